"""Starts openbulk and its sandboxes as a user does, and calls them over HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.programs import Forked

USER_SECRET = "user+secret/of=tests"
ORGANIZATION_SECRET = "organization+secret/of=tests"
BASE_PATH = "/elements/api-v2"
UNFINISHED = {"CREATED", "RUNNING", "CANCELLATION_PENDING", "PLANNING", "VERIFYING"}
START_SECONDS = 300.0
SLOWER = 10
"""A busy machine may take so many times as long as a quiet one: multiply by it the seconds within
which something happens on a quiet one."""
FIRST_POLL_SECONDS = 0.02
LAST_POLL_SECONDS = 0.25
_STARTED = re.compile(r"listens on (?P<url>http://\S+)|openbulk works")


@dataclass
class Reply:
    """An HTTP response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    json_body: Any = None,
    timeout: float = 120.0,
) -> Reply:
    """Make one request. Returns redirects and errors like any other response."""
    sent = dict(headers or {})
    if json_body is not None:
        body, sent["Content-Type"] = json.dumps(json_body).encode(), "application/json"
    call = urllib.request.Request(url, body, sent, method=method)
    try:
        with _opener.open(call, timeout=timeout) as answer:
            return Reply(
                answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
            )
    except urllib.error.HTTPError as error:
        return Reply(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def until(look: Callable[[], Any], within: float, what: str) -> Any:
    """Call `look` until it returns something true, and return that; fail after `within` seconds.

    Looks often at first, and ten times a second in the end.
    """
    deadline, pause = time.monotonic() + within, FIRST_POLL_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(pause)
        pause = min(pause * 1.1, 0.1)
    return found


def set_faults(sandbox: "Process", spec: str) -> None:
    """Replace the faults of a sandbox."""
    reply = request("POST", f"{sandbox.url}/sandbox/faults", json_body={"spec": spec})
    assert reply.status == 200, reply.body


def multipart(
    file: bytes | None, fields: Mapping[str, str], *, metadata_first: bool = False
) -> tuple[bytes, str]:
    """A form as curl sends it. Returns the body and its content type."""
    boundary = uuid.uuid4().hex
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields.items()
    ]
    if file is not None:
        head = (
            b'Content-Disposition: form-data; name="file"; filename="sample.csv"\r\n'
            b"Content-Type: text/csv\r\n\r\n"
        )
        parts.insert(len(parts) if metadata_first else 0, head + file)
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return body + b"--" + boundary.encode() + b"--\r\n", f"multipart/form-data; boundary={boundary}"


@dataclass
class Process:
    """A program under test."""

    popen: "subprocess.Popen[bytes] | Forked"
    output: Path
    url: str

    def kill(self) -> None:
        """kill -9, as a crash does."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(120)

    def stop(self) -> int:
        """SIGTERM, as an operator does. Returns the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(120)

    def freeze(self) -> None:
        """SIGSTOP: the process stands still, and cannot notice."""
        self.popen.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self.popen.send_signal(signal.SIGCONT)

    def log(self) -> str:
        return self.output.read_text()

    def peak_memory_mb(self) -> float:
        """The most memory that the process held at any time, in MB (Linux)."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert match
        return int(match[1]) / 1024


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of this process, without settings of openbulk, and with `more`."""
    # Without compiled modules, each start takes a second longer.
    foreign = ("OPENBULK_", "PYTHONDONTWRITEBYTECODE")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**own, **(more or {})}


def _is_for_python(environment: Mapping[str, str]) -> bool:
    """Whether a variable, other than in this process, changes how a Python starts."""
    return any(
        name.startswith("PYTHON") and os.environ.get(name) != value
        for name, value in environment.items()
    )


@dataclass
class Processes:
    """Starts programs, and ends those that still run."""

    folder: Path
    started: list[Process] = field(default_factory=list)
    max_files: tuple[int, int] | None = None
    """The soft and the hard limit of open files of each program; None for those of this process."""
    program: Path | None = None
    """An installed `openbulk`; None for that of this checkout."""
    imports_anew: bool = False
    """Whether each program is a new interpreter, as from a shell, and not a fork of one that has
    imported openbulk already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.started:
            if process.popen.poll() is None:
                process.kill()

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Start a program, and wait until it prints where it listens or that it works."""
        output = self.folder / f"{len(self.started)}-{arguments[0]}.log"
        popen = self._start(arguments, _environment(env), output)
        process = Process(popen, output, "")
        self.started.append(process)
        deadline = time.monotonic() + START_SECONDS
        while not (match := _STARTED.search(process.log())):
            assert popen.poll() is None, f"{arguments} ended:\n{process.log()}"
            assert time.monotonic() < deadline, f"{arguments} did not start:\n{process.log()}"
            time.sleep(0.02)
        process.url = match["url"] or ""
        return process

    def _start(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: Path
    ) -> "subprocess.Popen[bytes] | Forked":
        output.touch()
        own = [sys.executable, "-m", "openbulk"]
        program = own if self.program is None else [str(self.program)]
        if not (self.program or self.imports_anew or self.max_files or _is_for_python(environment)):
            return Forked(arguments, environment, output)
        command = [*self._limits(), *program, *arguments]
        with output.open("wb") as file:
            return subprocess.Popen(command, stdout=file, stderr=file, env=environment)

    def _limits(self) -> list[str]:
        """The beginning of a command that sets the limits of files."""
        if self.max_files is None:
            return []
        soft, hard = self.max_files
        return ["sh", "-c", f'ulimit -Sn {soft}; ulimit -Hn {hard}; exec "$0" "$@"']

    def command(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command, and wait for its end."""
        stem = self.folder / f"{len(self.started)}-{arguments[0]}"
        output, errors = stem.with_suffix(".out"), stem.with_suffix(".err")
        forked = Forked(arguments, _environment(env), output, errors)
        self.started.append(Process(forked, errors, ""))
        code = forked.wait(300)
        return subprocess.CompletedProcess(arguments, code, output.read_text(), errors.read_text())

    def sandbox(self, service: str, *options: str, port: int = 0) -> Process:
        """Start the sandbox of a service."""
        return self.run("sandbox", service, "--port", str(port), *options)

    def server(
        self, *options: str, port: int = 0, data_dir: Path | None = None, **env: str
    ) -> "Server":
        """Start a server. It may call loopback addresses; `env` has further settings."""
        return Server(
            self.run("serve", "--port", str(port), *options, env=self._settings(data_dir, env))
        )

    def worker(self, *options: str, data_dir: Path | None = None, **env: str) -> Process:
        """Start a worker. It needs OPENBULK_DATABASE_URL in `env`."""
        return self.run("worker", *options, env=self._settings(data_dir, env))

    def _settings(self, data_dir: Path | None, env: Mapping[str, str]) -> dict[str, str]:
        return {
            "OPENBULK_USER_SECRET": USER_SECRET,
            "OPENBULK_ORGANIZATION_SECRET": ORGANIZATION_SECRET,
            "OPENBULK_ALLOW_PRIVATE_ADDRESSES": "true",
            "OPENBULK_MEMORY_CONNECTOR": "true",
            "OPENBULK_DATA_DIR": str(data_dir or self.folder / "data"),
            **env,
        }


@dataclass
class Server:
    """A running openbulk, as its callers see it."""

    process: Process
    element_token: str | None = None
    instance_id: str | None = None

    @property
    def authorization(self) -> str:
        secrets = f"User {USER_SECRET}, Organization {ORGANIZATION_SECRET}"
        return secrets + (f", Element {self.element_token}" if self.element_token else "")

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Reply:
        """Make a request with the caller's secrets. `path` begins below /elements/api-v2."""
        sent = {"Authorization": self.authorization, **(headers or {})}
        return request(method, f"{self.process.url}{BASE_PATH}{path}", headers=sent, **more)

    def metrics(self) -> str:
        """What Prometheus reads."""
        headers = {"Authorization": self.authorization}
        return request("GET", f"{self.process.url}/metrics", headers=headers).body.decode()

    def instance(
        self, element: str, configuration: Mapping[str, str] | None = None, **more: Any
    ) -> "Server":
        """Make an instance. Returns this server with the instance's token and id."""
        body = {"element": {"key": element}, "configuration": dict(configuration or {}), **more}
        reply = self.call("POST", "/instances", json_body=body)
        assert reply.status == 200, reply.body
        return Server(self.process, reply.json["token"], str(reply.json["id"]))

    def eloqua(self, sandbox: Process, **configuration: str) -> "Server":
        """An instance of the Eloqua sandbox."""
        signed_in = {"base.url": sandbox.url, "username": "Acme\\admin", "password": "secret"}
        return self.instance("eloqua", {**signed_in, **configuration})

    def google(self, sandbox: Process, **configuration: str) -> "Server":
        """An instance of the Google sandbox, signed in by a refresh token."""
        tokens = request(
            "POST", f"{sandbox.url}/sandbox/tokens", json_body={"user": "ann@example.com"}
        ).json
        signed_in = {
            "base.url": sandbox.url,
            "oauth.api.key": "client",
            "oauth.api.secret": "secret",
            "oauth.user.refresh_token": tokens["refresh_token"],
        }
        return self.instance("googlecalendar", {**signed_in, **configuration})

    def upload(
        self,
        object: str,
        file: bytes | None,
        metadata: Mapping[str, Any] | str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: str = "",
        metadata_first: bool = False,
        timeout: float = 120.0,
    ) -> Reply:
        """Upload a file as curl does."""
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        fields = {} if metadata is None else {"metaData": text}
        body, content_type = multipart(file, fields, metadata_first=metadata_first)
        path = f"/bulk/{urllib.parse.quote(object)}{query}"
        sent = {"Content-Type": content_type, **(headers or {})}
        return self.call("POST", path, body=body, headers=sent, timeout=timeout)

    def status(self, job_id: str) -> Any:
        reply = self.call("GET", f"/bulk/{job_id}/status")
        assert reply.status == 200, reply.body
        return reply.json

    def finished(self, job_id: str, *, within: float = 300.0, every: float | None = None) -> Any:
        """Poll the status of a job; return it when the job is finished.

        Polls `every` so many seconds; without it first often, then seldom: a poll costs the
        server 2 ms.
        """
        deadline, pause = time.monotonic() + within, every or FIRST_POLL_SECONDS
        while (status := self.status(job_id))["status"] in UNFINISHED:
            assert time.monotonic() < deadline, (
                f"not finished within {within} s: {status}\n{self.process.log()[-4000:]}"
            )
            time.sleep(pause)
            pause = every or min(pause * 1.3, LAST_POLL_SECONDS)
        return status

    def done(
        self, object: str, file: bytes, metadata: Mapping[str, Any] | None = None, **more: Any
    ) -> Any:
        """Upload a file, and wait until its job is finished. Returns its status."""
        reply = self.upload(object, file, metadata)
        assert reply.status == 200, reply.body
        return self.finished(reply.json["id"], **more)

    def errors(self, job_id: str) -> list[dict[str, Any]]:
        """All error records of a job, page by page."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            reply = self.call("GET", f"/bulk/{job_id}/errors?pageSize=2000&nextPage={token}")
            assert reply.status == 200, reply.body
            found += reply.json
            token = reply.headers.get("elements-next-page-token", "")
            if not token:
                return found
