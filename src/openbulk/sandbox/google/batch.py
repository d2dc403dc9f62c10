"""`/batch/calendar/v3`: up to 50 calls in one request, each counted and answered on its own.

https://developers.google.com/workspace/calendar/api/guides/batch
"""

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from openbulk.sandbox.google.errors import Rejected

PATH = "/batch/calendar/v3"
API = "/calendar/v3/"
# The guide says 1000; Google enforces 50 (its staff in googleapis/google-api-dotnet-client#1621).
MAX_CALLS = 50
_BOUNDARY = re.compile(r'multipart/mixed\b.*?;\s*boundary="?(?P<boundary>[^";]+)"?', re.I)
_REQUEST_LINE = re.compile(r"\s*(?P<verb>\S+)\s+(?P<address>/\S*)")
_CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class _Call:
    """A call in a part of type application/http."""

    content_id: str
    verb: str
    address: URL
    headers: CIMultiDict[str]
    body: bytes


async def handle_batch(request: web.Request) -> web.Response:
    """Perform the calls concurrently, and answer them in order."""
    match = _BOUNDARY.match(request.headers.get("Content-Type", ""))
    if match is None:
        raise _unreadable("missing boundary.")
    # Cloned before its body is read: each call is a clone of this request with its own body.
    unread = request.clone()
    parts = _split_parts(await request.read(), match["boundary"].encode())
    calls = [_parse_call(part) for part in parts]
    if len(calls) > MAX_CALLS:
        message = f"The batch request has too many calls; the limit is {MAX_CALLS}."
        raise Rejected(400, "badRequest", message)
    answers = await asyncio.gather(*(_perform(request.app, unread, call) for call in calls))
    boundary = f"batch_{secrets.token_hex(8)}"
    responses = [
        _response_part(boundary, call, answer) for call, answer in zip(calls, answers, strict=True)
    ]
    body = b"".join([*responses, f"--{boundary}--\r\n".encode()])
    headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
    return web.Response(body=body, headers=headers)


def _unreadable(problem: str) -> Rejected:
    return Rejected(400, "badRequest", f"Failed to parse batch request, error: {problem}")


def _split_parts(body: bytes, boundary: bytes) -> Sequence[bytes]:
    # A client may end its lines with LF alone.
    with_crlf = body.replace(b"\r\n", b"\n").replace(b"\n", _CRLF)
    pieces = (_CRLF + with_crlf).split(_CRLF + b"--" + boundary)
    return [piece for piece in pieces[1:] if not piece.startswith(b"--")]


def _parse_call(part: bytes) -> _Call:
    """The call in a part. Raises Rejected (400)."""
    outer, _, inner = part.lstrip(_CRLF).partition(2 * _CRLF)
    head, _, body = inner.partition(2 * _CRLF)
    request_line, *lines = head.decode(errors="replace").split("\r\n")
    match = _REQUEST_LINE.match(request_line)
    if match is None or not match["address"].isprintable():
        raise _unreadable("a part is not a request.")
    try:
        address = URL(match["address"], encoded=True)
    except ValueError as error:
        raise _unreadable("a part has an invalid address.") from error
    if not address.path.startswith(API):
        raise _unreadable("a part is not a call of this API.")
    part_headers = _parse_headers(outer.decode(errors="replace").split("\r\n"))
    content_id = part_headers.get("Content-ID", "").strip("<>")
    headers = _parse_headers(lines)
    return _Call(content_id, match["verb"].upper(), address, headers, body.rstrip(_CRLF))


def _parse_headers(lines: Sequence[str]) -> CIMultiDict[str]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return CIMultiDict((name.strip(), value.strip()) for name, _, value in pairs)


async def _perform(app: web.Application, batch: web.Request, call: _Call) -> web.StreamResponse:
    """The answer to one call of a batch. The batch's own headers apply to each of its calls."""
    outer = {
        name: value
        for name, value in batch.headers.items()
        if not name.lower().startswith("content-")
    }
    headers = {**outer, **call.headers}
    request = batch.clone(method=call.verb, rel_url=call.address, headers=headers)
    # aiohttp has no public way to pass a request to an application. This is how aiohttp itself does
    # it, without the connection.
    request._read_bytes = call.body
    return await app._handle(request)


def _response_part(boundary: str, call: _Call, answer: web.StreamResponse) -> bytes:
    content = answer.body if isinstance(answer, web.Response) else None
    body = content if isinstance(content, bytes) else b""
    head = [
        f"--{boundary}",
        "Content-Type: application/http",
        # The guide: the response has the id of the request, after "response-".
        f"Content-ID: <response-{call.content_id}>",
        "",
        f"HTTP/1.1 {answer.status} {answer.reason}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(head).encode() + body + _CRLF
