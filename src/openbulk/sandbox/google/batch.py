"""`/batch/calendar/v3`: up to 50 calls in one request, each counted, answered and refused for itself.

https://developers.google.com/workspace/calendar/api/guides/batch; the page says 1000 today, Google's staff found 50 at
work (googleapis/google-api-dotnet-client#1621): the smaller bound is kept.
"""

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from openbulk.sandbox.google.answers import Rejected

PATH = "/batch/calendar/v3"
MAX_CALLS = 50
_BOUNDARY = re.compile(r'multipart/mixed\b.*?;\s*boundary="?(?P<boundary>[^";]+)"?', re.I)
_CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class _Call:
    """A call in a part of type application/http."""

    content_id: str
    verb: str
    path: str
    headers: CIMultiDict[str]
    body: bytes


async def batch(request: web.Request) -> web.Response:
    """Do the calls, all at once, and answer them in their order."""
    match = _BOUNDARY.match(request.headers.get("Content-Type", ""))
    if match is None:
        raise Rejected(400, "badRequest", "Failed to parse batch request, error: missing boundary.")
    unread = request.clone()
    calls = [_call(part) for part in _parts(await request.read(), match["boundary"].encode())]
    if len(calls) > MAX_CALLS:
        raise Rejected(
            400, "badRequest", f"The batch request has too many calls; the limit is {MAX_CALLS}."
        )
    answers = await asyncio.gather(*(_answer(request.app, unread, call) for call in calls))
    boundary = f"batch_{secrets.token_hex(8)}"
    body = (
        b"".join(_part(boundary, call, answer) for call, answer in zip(calls, answers, strict=True))
        + f"--{boundary}--\r\n".encode()
    )
    return web.Response(
        body=body, headers={"Content-Type": f"multipart/mixed; boundary={boundary}"}
    )


def _parts(body: bytes, boundary: bytes) -> Sequence[bytes]:
    pieces = (b"\r\n" + body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")).split(
        b"\r\n--" + boundary
    )
    return [piece for piece in pieces[1:] if not piece.startswith(b"--")]


def _call(part: bytes) -> _Call:
    """Raises Rejected for what is no call."""
    outer, _, inner = part.lstrip(_CRLF).partition(b"\r\n\r\n")
    head, _, body = inner.partition(b"\r\n\r\n")
    first, *lines = head.decode(errors="replace").split("\r\n")
    words = first.split()
    if len(words) < 2 or not words[1].startswith("/"):
        raise Rejected(
            400, "badRequest", "Failed to parse batch request, error: a part is no request."
        )
    content_id = _headers(outer.decode(errors="replace").split("\r\n")).get("Content-ID", "")
    return _Call(
        content_id.strip("<>"), words[0].upper(), words[1], _headers(lines), body.rstrip(_CRLF)
    )


def _headers(lines: Sequence[str]) -> CIMultiDict[str]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return CIMultiDict((name.strip(), value.strip()) for name, _, value in pairs)


async def _answer(app: web.Application, batched: web.Request, call: _Call) -> web.StreamResponse:
    """What the call alone would be answered; headers of the whole batch hold for each of its calls."""
    outer = {
        name: value
        for name, value in batched.headers.items()
        if not name.lower().startswith("content-")
    }
    inner = batched.clone(
        method=call.verb, rel_url=URL(call.path, encoded=True), headers={**outer, **call.headers}
    )
    # aiohttp has no public way to hand an application a request: this is its own, less the connection.
    inner._read_bytes = call.body
    if inner.path == PATH:
        raise Rejected(400, "badRequest", "A batch cannot hold another.")
    return await app._handle(inner)


def _part(boundary: str, call: _Call, answer: web.StreamResponse) -> bytes:
    body = (
        answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""
    )
    head = [
        f"--{boundary}",
        "Content-Type: application/http",
        f"Content-ID: <response-{call.content_id}>",
        "",
        f"HTTP/1.1 {answer.status} {answer.reason}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(head).encode() + body + _CRLF
