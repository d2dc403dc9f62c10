"""openbulk's own API, as the terminal calls it."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx

from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.domain.contract import BASE_PATH

JOB_END = frozenset(
    {"COMPLETE", "COMPLETED", "CANCELLED", "ABORTED", "ERROR", "PLANNED", "VERIFIED"}
)
"""The statuses in which a job does nothing more by itself."""
_SECONDS = httpx.Timeout(60.0, connect=10.0)
_STREAM_SECONDS = httpx.Timeout(60.0, connect=10.0, read=120.0)
_CHUNK_BYTES = 256 * 1024
_NEXT_PAGE = "elements-next-page-token"
_CODES = {401: ExitCode.SIGN_IN, 413: ExitCode.LIMIT, 429: ExitCode.TRY_LATER}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller shows: an API key, or the secrets of a user and an organization."""

    key: str | None = None
    user: str | None = None
    organization: str | None = None

    @property
    def header(self) -> str:
        """The parts of the header `Authorization`."""
        if self.key is not None:
            return f"Bearer {self.key}"
        return f"User {self.user}, Organization {self.organization}"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, and the token of the next one."""

    items: list[dict[str, Any]]
    next_page: str | None


@dataclass(frozen=True, slots=True)
class Api:
    """A server, called with the credentials of a person.

    Every method raises CommandFailed with the sentence of the server, and the exit code of its
    status.
    """

    url: str
    credentials: Credentials
    http: httpx.Client
    instance: int | None = None
    """The instance that calls are about."""

    def with_instance(self, instance: int) -> "Api":
        """The same server, with calls about one instance."""
        return replace(self, instance=instance)

    def get(self, path: str, **query: Any) -> Any:
        """What a GET answers, as JSON."""
        return self._json("GET", path, query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """What a POST of JSON answers."""
        return self._json("POST", path, query, json=body if body is not None else {})

    def put(self, path: str, body: Any = None) -> Any:
        """What a PUT answers."""
        return self._json("PUT", path, {}, json=body if body is not None else {})

    def patch(self, path: str, body: Any) -> Any:
        """What a PATCH of JSON answers."""
        return self._json("PATCH", path, {}, json=body)

    def delete(self, path: str) -> Any:
        """What a DELETE answers."""
        return self._json("DELETE", path, {})

    def page(self, path: str, **query: Any) -> Page:
        """A page of a list."""
        reply = self._call("GET", path, params=_without_none(query))
        return Page(reply.json(), reply.headers.get(_NEXT_PAGE))

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """The items of a list, page by page."""
        page = self.page(path, **query)
        yield from page.items
        while page.next_page:
            page = self.page(path, **{**query, "nextPage": page.next_page})
            yield from page.items

    def send_file(self, stream: BinaryIO, name: str, metadata: Mapping[str, Any]) -> Any:
        """Send a file before there is a job for it, as the body itself. Returns its profile."""
        query = {"name": name, "metaData": json.dumps(metadata)} if metadata else {"name": name}
        headers = {"Content-Type": "application/octet-stream"}
        reply = self._call("POST", "/files", params=query, content=_chunks(stream), headers=headers)
        return reply.json()

    def send_form(self, path: str, stream: BinaryIO, name: str) -> Any:
        """Send a file as the part `file` of a form. Returns the answer."""
        return self._call("POST", path, files={"file": (name, stream)}).json()

    def save(self, path: str, target: BinaryIO, accept: str | None = None, **query: Any) -> None:
        """Write what a GET answers into a file."""
        headers = self._headers({"Accept": accept} if accept else {})
        with (
            _sentences_for_failures(self.url),
            self.http.stream(
                "GET", self._address(path), params=_without_none(query), headers=headers
            ) as reply,
        ):
            _require_success(reply)
            for chunk in reply.iter_bytes():
                target.write(chunk)

    def follow(self, job_id: str) -> Iterator[dict[str, Any]]:
        """The states of a job until it ends, at most one a second."""
        last: str | None = None
        while True:
            headers = self._headers({"Last-Event-ID": last} if last else {})
            address = self._address(f"/bulk/{quote(job_id)}/status/events")
            with (
                _sentences_for_failures(self.url),
                self.http.stream("GET", address, headers=headers, timeout=_STREAM_SECONDS) as reply,
            ):
                _require_success(reply)
                if reply.status_code == 204:
                    return
                for event_id, state in _events(reply):
                    last = event_id
                    yield state
                    if state.get("status") in JOB_END:
                        return

    def _json(self, method: str, path: str, query: Mapping[str, Any], **more: Any) -> Any:
        reply = self._call(method, path, params=_without_none(query), **more)
        return reply.json() if reply.content else None

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self._headers(more.pop("headers", {}))
        with _sentences_for_failures(self.url):
            reply = self.http.request(method, self._address(path), headers=headers, **more)
            _require_success(reply)
            return reply

    def _address(self, path: str) -> str:
        return f"{self.url}{BASE_PATH}{path}"

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        instance = "" if self.instance is None else f", Instance {self.instance}"
        return {**more, "Authorization": self.credentials.header + instance}


def connect(url: str, credentials: Credentials, authority: Path | None = None) -> Api:
    """A server at an address. `authority` is a file of certificates that it may be signed by."""
    verify: ssl.SSLContext | bool = True
    if authority is not None:
        verify = ssl.create_default_context(cafile=str(authority))
    # A redirect would carry the credentials to an address that nobody has named.
    http = httpx.Client(verify=verify, timeout=_SECONDS, follow_redirects=False)
    return Api(url.rstrip("/"), credentials, http)


@contextmanager
def _sentences_for_failures(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise CommandFailed(
            f"{url!r} is not the address of a server; write it like https://bulk.example.com",
            ExitCode.USAGE,
        ) from error
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise CommandFailed(
            f"{url} does not answer ({reason}); check the address, or try again in a moment",
            ExitCode.TRY_LATER,
        ) from error


def _require_success(reply: httpx.Response) -> None:
    if reply.is_success:
        return
    reply.read()
    code = _CODES.get(reply.status_code)
    if code is None:
        code = ExitCode.TRY_LATER if reply.status_code in (502, 503, 504) else ExitCode.FAILED
    raise CommandFailed(_message_of(reply), code)


def _message_of(reply: httpx.Response) -> str:
    try:
        message = reply.json()["message"]
    except (ValueError, KeyError, TypeError):
        return (
            f"{reply.request.url.copy_with(query=None)} answered {reply.status_code}, and not as "
            "openbulk does; check the address of the server"
        )
    return str(message)


def _events(reply: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    event_id = ""
    for line in reply.iter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            event_id = value
        elif name == "data":
            yield event_id, json.loads(value)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


def _without_none(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}
