"""The API, as the console calls it: in this process, for the person who is signed in.

The console can do what the API can, and nothing else. A call goes through everything that a call
from outside goes through, but for the secrets: the session says who calls.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbulk.domain.errors import OpenbulkError
from openbulk.domain.people import Caller

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Of an answer that a page is made of. Files pass through piece by piece."""
FIRST_ERROR = 400
_NEXT_PAGE = "elements-next-page-token"
_OF_BODIES = frozenset({b"content-type", b"content-length", b"transfer-encoding"})
_OF_ALL = frozenset({b"host", b"user-agent"})
"""Links have the address of the server, and sessions the name of the browser."""


class ApiRefusal(OpenbulkError):
    """The API has refused a call, with a message for the person."""

    def __init__(self, status: int, message: str, answer: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer
        """All of the API's answer."""


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """An answer in JSON."""

    body: Any
    next_page: str | None
    """The token of the next page; None if there is none."""


class ApiCalls:
    """Calls the API for one request of a person."""

    def __init__(
        self,
        api: ASGIApp,
        prefix: str,
        request: Request,
        caller: Caller | None,
        authorization: str = "",
    ) -> None:
        """Without a caller, calls are those of `authorization`, or of somebody unknown."""
        self._api = api
        self._authorization = authorization
        self._prefix = prefix
        self._request = request
        self._caller = caller

    async def get(self, path: str, **parameters: object) -> Any:
        """The body of an answer. Raises ApiRefusal."""
        return (await self.call("GET", path, parameters=parameters)).body

    async def page(self, path: str, **parameters: object) -> ApiAnswer:
        """An answer, and where its next page begins. Raises ApiRefusal."""
        return await self.call("GET", path, parameters=parameters)

    async def send(self, method: str, path: str, body: object = None, **parameters: object) -> Any:
        """Send JSON, and return the body of the answer. Raises ApiRefusal."""
        return (await self.call(method, path, body, parameters)).body

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        parameters: Mapping[str, object] | None = None,
    ) -> ApiAnswer:
        """Make a call with a small answer. Raises ApiRefusal."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"content-type", b"application/json")] if content else []
        scope = self._scope(method, path, parameters or {}, headers)
        return await self._answer(scope, _Content(content))

    async def upload(self, path: str, parameters: Mapping[str, object]) -> Any:
        """Hand the body of the person's request on as it arrives; return the body of the answer.

        Raises ApiRefusal.
        """
        scope = self._scope("POST", path, parameters, self._headers_of(_OF_BODIES))
        return (await self._answer(scope, self._request.receive)).body

    async def download(
        self, path: str, parameters: Mapping[str, object], *, accept: str = ""
    ) -> "Download":
        """Answer the person's request with that of the API, piece by piece.

        `accept` is the media type that the API is asked for; "" for any.
        """
        headers = [(b"accept", accept.encode())] if accept else []
        scope = self._scope("GET", path, parameters, headers)
        return Download(self._api, scope)

    async def _answer(self, scope: Scope, receive: Receive) -> ApiAnswer:
        received = _Received()
        await self._api(scope, receive, received)
        answer = received.json()
        if received.status >= FIRST_ERROR:
            said = answer if isinstance(answer, Mapping) else {}
            raise ApiRefusal(received.status, str(said.get("message", "")), said)
        return ApiAnswer(answer, received.headers.get(_NEXT_PAGE))

    def _authorization_header(self) -> list[tuple[bytes, bytes]]:
        text = self._authorization
        return [(b"authorization", text.encode("latin-1", "replace"))] if text else []

    def _headers_of(self, names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
        return [pair for pair in self._request.headers.raw if pair[0].lower() in names]

    def _scope(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, object],
        headers: list[tuple[bytes, bytes]],
    ) -> Scope:
        given = {name: value for name, value in parameters.items() if value not in (None, "")}
        full = self._prefix + path
        outer = self._request.scope
        return {
            "type": "http",
            "asgi": outer["asgi"],
            "http_version": outer.get("http_version", "1.1"),
            "method": method,
            "scheme": outer.get("scheme", "http"),
            "path": full,
            "raw_path": quote(full, safe="/%:@!$&'()*+,;=~").encode(),
            "query_string": urlencode(given, doseq=True).encode(),
            "root_path": "",
            "headers": [*headers, *self._headers_of(_OF_ALL), *self._authorization_header()],
            "client": outer.get("client"),
            "server": outer.get("server"),
            # Nobody outside can set it: the server makes the scope of each request.
            "state": {"is_of_console": True}
            | ({} if self._caller is None else {"caller": self._caller}),
        }


class Download(Response):
    """An answer of the API as the answer to the person."""

    def __init__(self, api: ASGIApp, scope: Scope) -> None:
        super().__init__()
        self._api = api
        self._scope_of_call = scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it as it comes."""
        await self._api(self._scope_of_call, receive, send)


class _Content:
    """The body of a call, as the API receives it."""

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content

    async def __call__(self) -> Message:
        if self._content is None:
            # Who listens for the end of the connection ends a stream there: it never comes.
            await asyncio.Event().wait()
        content, self._content = self._content or b"", None
        return {"type": "http.request", "body": content, "more_body": False}


class _Received:
    """The answer of a call."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        else:
            self._body += message.get("body", b"")
            if len(self._body) > MAX_ANSWER_BYTES:
                raise ValueError(f"an answer for a page has more than {MAX_ANSWER_BYTES} bytes")

    def json(self) -> Any:
        """What the API says."""
        return json.loads(self._body) if self._body else None


def path_of(*steps: object) -> str:
    """A path whose steps may have any characters: `/bulk/7/plan`."""
    return "".join(f"/{quote(str(step), safe='')}" for step in steps)


def object_path(name: str) -> str:
    """The path of an object, whose name may be a path itself: `/calendars/main/events`."""
    return path_of(*name.split("/"))
