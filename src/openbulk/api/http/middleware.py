"""What surrounds the handling of every request: its id, its path, and an answer if it fails."""

import asyncio
import uuid
from contextlib import AsyncExitStack, suppress

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbulk.api.http.error_responses import error_answer
from openbulk.domain.people import Caller

log = structlog.get_logger()

MAX_PATH_BYTES = 16 * 1024
"""Of a path and its query, which may be a long `where`."""
MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 1024

INSTANCE_ID = "Elements-Element-Instance-Id"
"""Response header with the number of the instance whose token a request carries."""

STOPPING = "openbulk is stopping; send the request again shortly, to this server or another"
FAILED = "openbulk failed to handle this request; its log has the details under this request id"


class RequestIds:
    """Gives every request an id, logs with it, and returns it as `Elements-Request-Id`.

    Beside it, the answer names the calling instance.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(b"elements-request-id", request_id.encode())]
                headers += _instance_header(scope)
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id):
            await self._app(scope, receive, send_with_id)


def _instance_header(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The header that names the calling instance; none if no token of one came."""
    caller: Caller | None = scope["state"].get("caller")
    if caller is None or caller.instance is None:
        return []
    return [(INSTANCE_ID.lower().encode(), str(caller.instance.id).encode())]


_FOR_BROWSERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
"""What a browser may do with an answer: show it as what it is, and nothing else, and forget it."""


class HeadersForBrowsers:
    """Adds headers that keep a browser from running or keeping an answer, unless it has its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [pair for pair in _FOR_BROWSERS.items() if pair[0] not in given]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class HeldUntilAnswered:
    """Gives every request a stack of what it holds, and releases it after the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        async with AsyncExitStack() as held:
            scope.setdefault("state", {})["held"] = held
            await self._app(scope, receive, send)


class TrailingSlashes:
    """Takes a path with a slash at its end for the path without it.

    Clients of the contract send `POST /instances/`. A redirect would lose the body of some of them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        # `raw_path`, because a slash that is written as %2F belongs to the id of a record.
        if (scope.get("raw_path") or b"").endswith(b"/") and scope["path"] != "/":
            scope["path"] = scope["path"].removesuffix("/")
        await self._app(scope, receive, send)


class HeadAsGet:
    """Answers HEAD wherever GET is possible: with the head of its answer (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            if message.get("more_body"):
                raise _HeadIsSent

        # A copy: the server frames the answer by the method of its own.
        with suppress(_HeadIsSent):
            await self._app({**scope, "method": "GET"}, receive, send_head)


class _HeadIsSent(Exception):
    """Ends an answer of many pieces: nobody wants them."""


class BoundedHeads:
    """Refuses a request whose head is larger than any client of the contract sends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        problem = _problem_of_head(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
            return
        status, message = problem
        await error_answer(Request(scope), status, message)(scope, receive, send)


def _problem_of_head(scope: Scope) -> tuple[int, str] | None:
    """The status and the message for a head that is too large; None for any other."""
    headers = scope["headers"]
    length = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if length > MAX_PATH_BYTES:
        return 414, f"path and query have {length} bytes; at most {MAX_PATH_BYTES} are read"
    if len(headers) > MAX_HEADERS:
        return 431, f"the request has {len(headers)} headers; at most {MAX_HEADERS} are read"
    size = sum(len(name) + len(value) for name, value in headers)
    if size > MAX_HEADER_BYTES:
        return 431, f"the headers have {size} bytes; at most {MAX_HEADER_BYTES} are read"
    return None


class UnhandledErrors:
    """Answers requests that fail unexpectedly, and those that a stopping server cancels.

    It logs each of them once. If the response has already started, it breaks the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        request = Request(scope)
        try:
            await self._app(scope, receive, send_and_note)
            return
        except asyncio.CancelledError:  # only a stopping server cancels a request
            reason = "the server is stopping"
            log.warning("request interrupted", path=request.url.path, reason=reason)
            answer = error_answer(request, 503, STOPPING)
        except Exception as error:
            log.error("request failed", path=request.url.path, exc_info=error)
            answer = error_answer(request, 500, FAILED)
        if not has_begun:
            await answer(scope, receive, send)
