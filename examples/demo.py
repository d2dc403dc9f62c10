"""Shows the two flows of the README, from nothing to records in the service, on this machine alone.

`make demo` runs it. It starts openbulk and two sandboxes on free ports of loopback, shows each
request as a curl command with its answer, and stops everything. `make demo KEEP=1` lets them run,
so that you can look at all of it in the console.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
API = "/elements/api-v2"
CALLBACK = "https://app.example.com/signed-in"
WIDTH = 100
SECRET = re.compile(r'("(?:token|password|code|oauth\.api\.secret)": ")[^"]+"')


def main(arguments: Sequence[str]) -> None:
    """Run both flows. With `--keep`, the programs run on until you press Ctrl-C."""
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="openbulk-demo-") as folder:
        heading("Start openbulk, and a sandbox for each service")
        eloqua = stack.enter_context(started("sandbox", "eloqua", "--port", "0"))
        google = stack.enter_context(started("sandbox", "google", "--port", "0"))
        # The sandboxes are on loopback, which openbulk calls only if it is allowed to.
        allowed = {"OPENBULK_ALLOW_PRIVATE_ADDRESSES": "true"}
        serve = ("serve", "--port", "0", "--data-dir", folder)
        server = stack.enter_context(started(*serve, **allowed))
        caller = Caller(server.address + API, *server.secrets())
        introduce(server.address, eloqua.address, google.address)
        upload_contacts(caller, eloqua.address)
        upload_events(caller, google.address)
        download_events(caller)
        if "--keep" in arguments:
            keep_running(server)
    heading("Done. All programs are stopped.")


def keep_running(server: "Program") -> None:
    """Say where the console is, and wait until somebody presses Ctrl-C."""
    heading("Look at it in the console")
    show(f"""
{server.address}/jobs

Both services are connected there, and the jobs above are listed. Sign in with the two secrets in
{server.secrets_file}
Press Ctrl-C to stop all programs.""")
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def introduce(server: str, eloqua: str, google: str) -> None:
    """Say what runs where, and what the commands leave out."""
    show(f"""
openbulk                   {server}
Oracle Eloqua (sandbox)    {eloqua}
Google Calendar (sandbox)  {google}

Every command uses some of these three values. You can try the commands in openbulk's folder.
$API    {server}{API}
$AUTH   Authorization: User ..., Organization ...
        the two secrets that openbulk writes into a file at its first start
$TOKEN  the token of the instance, from the answer to its sign-in""")


def upload_contacts(caller: "Caller", eloqua: str) -> None:
    """The first flow: a file of contacts goes into a marketing service."""
    heading("Flow 1: ten contacts into Oracle Eloqua")
    step("1. Sign in to Eloqua. The answer holds a token. The next commands send it.")
    configuration = {"base.url": eloqua, "username": "Acme\\admin", "password": "secret"}
    caller.sign_in(
        {"element": {"key": "eloqua"}, "name": "Marketing", "configuration": configuration}
    )
    step("2. List the kinds of records that Eloqua has. They are called objects.")
    caller.get("/hubs/marketing/objects")
    step("3. Upload ten contacts. openbulk stores the file and answers with the number of a job.")
    job = caller.upload("/hubs/marketing/bulk/contact?path=/sample.csv", "sample.csv")
    step("4. Ask for the status until the job is COMPLETE. Ten records, none failed.")
    status = caller.finished(f"/hubs/marketing/bulk/{job}/status")
    step("5. Look into Eloqua. The ten contacts are there.")
    contacts = get_json(f"{eloqua}/sandbox/contacts")
    show_table(contacts, ("C_EmailAddress", "C_FirstName", "C_LastName", "C_Title"))
    require(status["recordsCount"] == len(contacts) == 10 and status["recordsFailedCount"] == 0)


def upload_events(caller: "Caller", google: str) -> None:
    """The second flow: a file of events goes into a calendar, after an OAuth sign-in."""
    heading("Flow 2: three events into Google Calendar, and back")
    step("1. Ask for the address of Google's consent page.")
    keys = {"apiKey": "demo", "apiSecret": "demo-secret"}
    parameters = {**keys, "callbackUrl": CALLBACK, "base.url": google}
    url = caller.get("/elements/googlecalendar/oauth/url", parameters)["oauthUrl"]
    step("2. A person opens that page and presses Allow. Google sends them back with a code.")
    code = press_allow(url)
    show(f"{CALLBACK}?code={code[:8]}...")
    step("3. Sign in with this code. The answer holds a new token.")
    configuration = {
        "base.url": google,
        "oauth.api.key": "demo",
        "oauth.api.secret": "demo-secret",
        "oauth.callback.url": CALLBACK,
    }
    body = {"element": {"key": "googlecalendar"}, "name": "School", "configuration": configuration}
    caller.sign_in({**body, "providerData": {"code": code}})
    step("4. Upload three events. This is a job, too.")
    job = caller.upload("/bulk/events", "events.csv")
    step("5. Ask for the status until the job is COMPLETE. No event has failed.")
    status = caller.finished(f"/bulk/{job}/status")
    step("6. Look into the calendar. The three events are there.")
    events = get_json(f"{google}/sandbox/events")
    rows = [{**event, "start": event["start"]["dateTime"]} for event in events]
    show_table(rows, ("summary", "start", "location"))
    require(status["recordsCount"] == len(events) == 3 and status["recordsFailedCount"] == 0)


def download_events(caller: "Caller") -> None:
    """The way back: a query is a job, and its result is a file."""
    step("7. Read events back: all but those in the garden. A query is a job, too.")
    query = "select summary, start.dateTime, location from events where location != 'Garden'"
    job = caller.post("/bulk/query", {"q": query})["id"]
    step("8. Ask for the status until the job is COMPLETE. Then its file is ready.")
    caller.finished(f"/bulk/{job}/status")
    step("9. Fetch the file as CSV. For a calendar file, send 'Accept: text/calendar'.")
    require(len(caller.fetch(f"/bulk/{job}/events").splitlines()) == 3)


@dataclass
class Program:
    """A program that runs beside the demo."""

    output: Path

    @property
    def address(self) -> str:
        """The address where it listens."""
        return self._wait_for(r"listens on (\S+)")

    @property
    def secrets_file(self) -> Path:
        """The file into which the first start writes the secrets of its callers."""
        return Path(self._wait_for(r"secrets for your calls are in (\S+)"))

    def secrets(self) -> tuple[str, str]:
        """The user's and the organization's secret."""
        written = self.secrets_file.read_text()
        secrets = dict(line.split("=", 1) for line in written.splitlines())
        return secrets["OPENBULK_USER_SECRET"], secrets["OPENBULK_ORGANIZATION_SECRET"]

    def _wait_for(self, pattern: str) -> str:
        for _ in range(600):
            if match := re.search(pattern, self.output.read_text()):
                return match[1]
            time.sleep(0.05)
        raise SystemExit(f"the program did not start:\n{self.output.read_text()}")


@contextmanager
def started(*arguments: str, **env: str) -> Iterator[Program]:
    """Run `openbulk` with these arguments until the end of the demo."""
    foreign = "OPENBULK_"
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    with tempfile.NamedTemporaryFile(prefix="openbulk-demo-", suffix=".log") as log:
        command = [sys.executable, "-m", "openbulk", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=own | env)
        try:
            yield Program(Path(log.name))
        finally:
            process.terminate()
            process.wait(20)


class Caller:
    """Calls openbulk, and shows each call as a curl command with its answer."""

    def __init__(self, base: str, user: str, organization: str) -> None:
        self._base = base
        self._secrets = f"User {user}, Organization {organization}"
        self._token = ""

    def sign_in(self, body: Mapping[str, Any]) -> None:
        """Make an instance; later calls send its token."""
        self._token = ""
        kind = "application/json"
        command = "curl $API/instances"
        self._show_command(command, f'-H "Content-Type: {kind}"', f"-d '{as_json(body)}'")
        sent = json.dumps(body).encode()
        answer = self._call("POST", "/instances", sent, {"Content-Type": kind})
        self._token = f", Element {show_json(answer)['token']}"

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Make a GET request. Returns the answer's JSON."""
        if parameters:
            return self._call_with("GET", "curl -G", path, parameters)
        self._show_command(f"curl $API{path}")
        return show_json(self._call("GET", path))

    def post(self, path: str, parameters: Mapping[str, str]) -> Any:
        """Make a POST request, with parameters in the address. Returns the answer's JSON."""
        return self._call_with("POST", "curl -X POST -G", path, parameters)

    def upload(self, path: str, name: str) -> str:
        """Upload a file from beside this program. Returns the id of the job."""
        self._show_command(f'curl "$API{path}"', f"-F file=@examples/{name}")
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        form = head.encode() + (HERE / name).read_bytes() + b"\r\n--b--\r\n"
        kind = "multipart/form-data; boundary=b"
        answer = self._call("POST", path, form, {"Content-Type": kind})
        return str(show_json(answer)["id"])

    def finished(self, path: str) -> Any:
        """Poll a status until its job is finished; show and return the last answer."""
        for _ in range(600):
            if json.loads(self._call("GET", path))["status"] not in {"CREATED", "RUNNING"}:
                break
            time.sleep(0.05)
        return self.get(path)

    def fetch(self, path: str) -> str:
        """Fetch the file of a download."""
        self._show_command(f"curl $API{path}", '-H "Accept: text/csv"')
        text = self._call("GET", path, headers={"Accept": "text/csv"})
        show(text)
        return text

    def _call_with(self, method: str, curl: str, path: str, parameters: Mapping[str, str]) -> Any:
        # curl's -G puts the parameters into the address.
        options = (f'--data-urlencode "{name}={value}"' for name, value in parameters.items())
        self._show_command(f"{curl} $API{path}", *options)
        return show_json(self._call(method, f"{path}?{urllib.parse.urlencode(parameters)}"))

    def _show_command(self, curl: str, *options: str) -> None:
        """Print a curl command, each option on a line of its own."""
        header = '-H "$AUTH, Element $TOKEN"' if self._token else '-H "$AUTH"'
        command = " \\\n".join((f"$ {curl}", header, *options))
        indented = command.replace("\n", "\n          ")
        print(f"   {indented}\n", flush=True)

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        sent = {"Authorization": self._secrets + self._token, **(headers or {})}
        request = urllib.request.Request(self._base + path, body, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text: str = answer.read().decode()
        except urllib.error.HTTPError as error:
            problem = f"{method} {path} was answered {error.code}: {error.read().decode()}"
            raise SystemExit(problem) from error
        return text


def press_allow(url: str) -> str:
    """Do what the person's browser does on the consent page. Returns the code."""
    with urllib.request.urlopen(url, timeout=30) as page:
        fields = re.findall(r"name='([^']+)' value='([^']*)'", page.read().decode())
    form = {name: value.replace("&amp;", "&") for name, value in fields} | {"decision": "allow"}
    browser = urllib.request.build_opener(_NoRedirect())
    try:
        browser.open(url, urllib.parse.urlencode(form).encode(), timeout=30)
    except urllib.error.HTTPError as redirect:
        query = urllib.parse.urlsplit(redirect.headers["Location"]).query
        return urllib.parse.parse_qs(query)["code"][0]
    raise SystemExit("the consent page did not redirect")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Stops at the redirect: its address belongs to the caller's application."""

    def redirect_request(self, *_: Any) -> None:
        """Do not follow it."""


def get_json(url: str) -> Any:
    """The JSON at an address."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


# --- what the demo prints ---


def heading(text: str) -> None:
    """Begin a part of the demo."""
    print(f"\n\n{text}\n{'=' * len(text)}", flush=True)


def step(text: str) -> None:
    """Say what happens next."""
    print(f"\n{text}\n", flush=True)


def show_json(text: str) -> Any:
    """Print the JSON of an answer, and return it."""
    value = json.loads(text)
    show(as_json(value))
    return value


def show(text: str) -> None:
    """Print an answer, and cut its long lines."""
    for line in text.splitlines():
        cut = line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
        print(f"   {cut}".rstrip(), flush=True)


def show_table(records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print some fields of records."""
    table = [columns, *([str(one.get(name, "")) for name in columns] for one in records)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        show("  ".join(cells).rstrip())


def as_json(value: Any) -> str:
    """JSON for a person: an entry on each line if it fits, secrets hidden."""
    text = json.dumps(value)
    if isinstance(value, dict):
        entries = ",\n".join(f"{json.dumps(key)}: {_entry(one)}" for key, one in value.items())
        text = "{\n  " + entries.replace("\n", "\n  ") + "\n}"
    return SECRET.sub(r'\1..."', text)


def _entry(value: Any) -> str:
    text = json.dumps(value)
    is_long = isinstance(value, dict) and len(text) > WIDTH - 30
    return json.dumps(value, indent=2) if is_long else text


def require(holds: bool) -> None:
    """End the demo with an error unless this holds."""
    if not holds:
        raise SystemExit("the demo did not end as it should")


if __name__ == "__main__":
    main(sys.argv[1:])
