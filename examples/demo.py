"""The two flows of the README, from nothing to records in the service. Everything runs on this machine.

Starts openbulk and two sandboxes on free ports of loopback, shows each request as a curl command with its answer,
and stops everything. `make demo` runs it.
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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
API = "/elements/api-v2"
CALLBACK = "https://app.example.com/signed-in"


def main() -> None:
    """Run both flows."""
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="openbulk-demo-") as folder:
        say("Starting openbulk, and stand-ins for Oracle Eloqua and Google")
        eloqua = stack.enter_context(started("sandbox", "eloqua", "--port", "0"))
        google = stack.enter_context(started("sandbox", "google", "--port", "0"))
        server = stack.enter_context(
            started(
                "serve",
                "--port",
                "0",
                "--data-dir",
                folder,
                OPENBULK_ALLOW_PRIVATE_ADDRESSES="true",
            )
        )
        caller = Caller(server.address + API, *server.secrets())
        marketing(caller, eloqua.address)
        calendar(caller, google.address)
        say("Done. Everything that was started has been stopped.")


def marketing(caller: "Caller", eloqua: str) -> None:
    """The page that openbulk began with: contacts into a marketing service."""
    say("1. Contacts into a marketing service (Oracle Eloqua)")
    note("Sign in. The answer holds the instance's token, which the next calls carry.")
    configuration = {"base.url": eloqua, "username": "Acme\\admin", "password": "secret"}
    caller.sign_in(
        {"element": {"key": "eloqua"}, "name": "Marketing", "configuration": configuration}
    )
    note("Which objects are there?")
    caller.get("/hubs/marketing/objects")
    note("Upload the file. The answer comes at once; the work goes on behind it.")
    job = caller.upload("/hubs/marketing/bulk/contact?path=/sample.csv", "sample.csv")
    note("How does the job stand?")
    status = caller.finished(f"/hubs/marketing/bulk/{job}/status")
    note("Log in to the cloud service and find the new contacts:")
    contacts = get_json(f"{eloqua}/sandbox/contacts")
    show_table(contacts, ("C_EmailAddress", "C_FirstName", "C_LastName", "C_Title"))
    require(status["recordsCount"] == len(contacts) == 10 and status["recordsFailedCount"] == 0)


def calendar(caller: "Caller", google: str) -> None:
    """Events into Google Calendar, signed in through OAuth."""
    say("2. Events into Google Calendar")
    note("Where does a person allow openbulk to act for them?")
    query = {
        "apiKey": "demo",
        "apiSecret": "demo-secret",
        "callbackUrl": CALLBACK,
        "siteAddress": google,
    }
    url = caller.get(f"/elements/googlecalendar/oauth/url?{urllib.parse.urlencode(query)}")[
        "oauthUrl"
    ]
    note("They open that address and press Allow. It leads back with a code:")
    code = press_allow(url)
    print(f"   {CALLBACK}?code={code[:12]}...\n")
    note("Sign in with the code.")
    configuration = {
        "base.url": google,
        "oauth.api.key": "demo",
        "oauth.api.secret": "demo-secret",
        "oauth.callback.url": CALLBACK,
    }
    body = {"element": {"key": "googlecalendar"}, "name": "School", "configuration": configuration}
    caller.sign_in({**body, "providerData": {"code": code}})
    note("Upload the events.")
    job = caller.upload("/bulk/events", "events.csv")
    status = caller.finished(f"/bulk/{job}/status")
    note("In the calendar:")
    events = get_json(f"{google}/sandbox/events")
    rows = [
        {"summary": e["summary"], "start": e["start"]["dateTime"], "location": e["location"]}
        for e in events
    ]
    show_table(rows, ("summary", "start", "location"))
    require(status["recordsCount"] == len(events) == 3 and status["recordsFailedCount"] == 0)
    note("And back again: a query brings them out, as a job.")
    job = caller.ask(
        "select summary, start.dateTime, location from events where location != 'Garden'"
    )
    caller.finished(f"/bulk/{job}/status")
    note("Its file, as CSV; 'Accept: text/calendar' would make it a calendar file.")
    require(len(caller.fetch(f"/bulk/{job}/events").splitlines()) == 3)


class Program:
    """A program that runs beside the demo."""

    def __init__(self, output: Path) -> None:
        self._output = output

    @property
    def address(self) -> str:
        """Where it listens, once it does."""
        return self._wait_for(r"listens on (\S+)")

    def secrets(self) -> tuple[str, str]:
        """The secrets that a first start prints."""
        return self._wait_for(r"User secret +(\S+)"), self._wait_for(r"Organization secret +(\S+)")

    def _wait_for(self, pattern: str) -> str:
        for _ in range(600):
            if match := re.search(pattern, self._output.read_text()):
                return match[1]
            time.sleep(0.05)
        raise SystemExit(f"it did not start:\n{self._output.read_text()}")


@contextmanager
def started(*arguments: str, **env: str) -> Iterator[Program]:
    """Run `openbulk` with these arguments until the demo is over."""
    settings = {
        name: value for name, value in os.environ.items() if not name.startswith("OPENBULK_")
    } | env
    with tempfile.NamedTemporaryFile(prefix="openbulk-demo-", suffix=".log") as log:
        command = [sys.executable, "-m", "openbulk", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=settings)
        try:
            yield Program(Path(log.name))
        finally:
            process.terminate()
            process.wait(20)


class Caller:
    """Calls openbulk, and shows what it does."""

    def __init__(self, base: str, user: str, organization: str) -> None:
        self._base = base
        self._secrets = f"User {user}, Organization {organization}"
        self._token = ""

    def sign_in(self, body: Mapping[str, Any]) -> None:
        """Make an instance, and carry its token from now on."""
        self._token = ""
        answer = self._call(
            "POST",
            "/instances",
            f"-d '{hidden(body)}'",
            json.dumps(body).encode(),
            "application/json",
        )
        self._token = f", Element {answer['token']}"

    def get(self, path: str) -> Any:
        """Make a GET request."""
        return self._call("GET", path)

    def ask(self, query: str) -> str:
        """Ask for records by a query; the id of its job."""
        return str(self._call("POST", f"/bulk/query?{urllib.parse.urlencode({'q': query})}")["id"])

    def fetch(self, path: str) -> str:
        """The file of a download."""
        request = urllib.request.Request(
            self._base + path, headers={"Authorization": self._secrets + self._token}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text: str = answer.read().decode()
        print(
            f"   $ curl -H 'Authorization: Element ..., User ..., Organization ...' '{self._base}{path}'"
        )
        print("\n".join(f"   {line}" for line in text.splitlines()), end="\n\n")
        return text

    def upload(self, path: str, name: str) -> str:
        """Upload a file; the id of its job."""
        content = (HERE / name).read_bytes()
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + b"\r\n--b--\r\n"
        answer = self._call(
            "POST", path, f"-F file=@{name}", body, "multipart/form-data; boundary=b"
        )
        return str(answer["id"])

    def finished(self, path: str) -> Any:
        """Ask for a status until the job is finished; shows the last answer."""
        for _ in range(600):
            status = self._call("GET", path, quiet=True)
            if status["status"] not in {"CREATED", "RUNNING"}:
                break
            time.sleep(0.05)
        return self._call("GET", path)

    def _call(
        self,
        method: str,
        path: str,
        what: str = "",
        body: bytes | None = None,
        kind: str = "",
        *,
        quiet: bool = False,
    ) -> Any:
        headers = {"Authorization": self._secrets + self._token} | (
            {"Content-Type": kind} if kind else {}
        )
        request = urllib.request.Request(self._base + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                result = json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(
                f"{method} {path} answered {error.code}: {error.read().decode()}"
            ) from error
        if not quiet:
            element = "Element ..., " if self._token else ""
            print(
                f"   $ curl -X {method} -H 'Authorization: {element}User ..., Organization ...' {what}".rstrip()
            )
            print(f"     '{self._base}{path if len(path) < 100 else path[:97] + '...'}'")
            print("\n".join(f"   {line}" for line in hidden(result, 2).splitlines()), end="\n\n")
        return result


def hidden(value: Any, indent: int | None = None) -> str:
    """JSON for a person to read, tokens and passwords shortened."""
    text = json.dumps(value, indent=indent)
    return re.sub(r'("(?:token|password|code|oauth\.api\.secret)": ")[^"]+"', r'\1..."', text)


def press_allow(url: str) -> str:
    """What a person's browser does with the consent page; the code that comes back."""
    with urllib.request.urlopen(url, timeout=30) as page:
        fields = re.findall(r"name='([^']+)' value='([^']*)'", page.read().decode())
    form = {name: value.replace("&amp;", "&") for name, value in fields} | {"decision": "allow"}
    opener = urllib.request.build_opener(_Stay())
    try:
        opener.open(url, urllib.parse.urlencode(form).encode(), timeout=30)
    except urllib.error.HTTPError as redirect:
        return urllib.parse.parse_qs(urllib.parse.urlsplit(redirect.headers["Location"]).query)[
            "code"
        ][0]
    raise SystemExit("the sign-in page did not lead back")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Does not follow the redirect: the address that it leads to is the caller's own."""

    def redirect_request(self, *_: Any) -> None:
        """Stay."""


def get_json(url: str) -> Any:
    """What an address holds."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def show_table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Print some columns of records."""
    widths = [
        max(len(str(row.get(column, ""))) for row in [*rows, {column: column}])
        for column in columns
    ]
    for row in [{column: column for column in columns}, *rows]:
        cells = (
            str(row.get(column, "")).ljust(width)
            for column, width in zip(columns, widths, strict=True)
        )
        print(f"   {'  '.join(cells)}".rstrip())
    print()


def say(text: str) -> None:
    """A heading."""
    print(f"\n=== {text}\n", flush=True)


def note(text: str) -> None:
    """What comes next."""
    print(f"-- {text}\n", flush=True)


def require(holds: bool) -> None:
    """The demo is a test, too."""
    if not holds:
        raise SystemExit("the demo did not end as it should")


if __name__ == "__main__":
    main()
