"""Calls that are ready at the same moment travel together: up to 50 in one request (docs/decisions/0023).

https://developers.google.com/workspace/calendar/api/guides/batch: each call is a part of `multipart/mixed`, and counts,
is answered and may be refused as if it had come alone. Where one call comes at a time, nothing is batched.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit

from multidict import CIMultiDict

from openbulk.connectors.http import UNSAFE_METHODS, Answer, Request, Send
from openbulk.domain.errors import AnswerLost, ServiceError

PATH = "/batch/calendar/v3"
MOST_CALLS = 50
"""The page says 1000 today; Google's staff found 50 at work (googleapis/google-api-dotnet-client#1621)."""
MOST_BYTES = 1024 * 1024
FEWEST_CALLS = 4
"""Fewer than these have a connection each: a call alone is answered sooner."""
READY_TOGETHER_SECONDS = 0.005
_NO_BATCHES = frozenset({400, 404, 405, 413, 415, 501})
"""What a proxy or another service at `base.url` says that takes no batches: no call of it was done."""
_CRLF = b"\r\n"

Ready = tuple[Request, "asyncio.Future[Answer]"]


class Batches:
    """A way to send requests that changes nothing but how they travel."""

    def __init__(self, send: Send, base_url: str) -> None:
        self._alone = send
        self._url = base_url.rstrip("/") + PATH
        self._ready: list[Ready] = []
        self._bytes = 0
        self._departing: set[asyncio.Task[None]] = set()
        self._are_taken = True

    async def send(self, request: Request) -> Answer:
        """Send a request, with those that are ready a moment later. Raises ServiceError."""
        if not self._are_taken or request.method not in UNSAFE_METHODS:
            return await self._alone(request)
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        self._ready.append((request, answered))
        self._bytes += len(request.body or b"")
        if len(self._ready) == MOST_CALLS or self._bytes >= MOST_BYTES:
            self._depart()
        elif len(self._ready) == 1:
            loop.call_later(READY_TOGETHER_SECONDS, self._depart)
        return await answered

    def _depart(self) -> None:
        ready = [one for one in self._ready if not one[1].done()]  # whoever asked may have gone
        self._ready, self._bytes = [], 0
        by_credentials: dict[str | None, list[Ready]] = {}
        for one in ready:
            by_credentials.setdefault(one[0].headers.get("Authorization"), []).append(one)
        for together in by_credentials.values():
            for group in (
                [together] if len(together) >= FEWEST_CALLS else [[one] for one in together]
            ):
                task = asyncio.get_running_loop().create_task(self._carry(group))
                self._departing.add(task)
                task.add_done_callback(self._departing.discard)

    async def _carry(self, group: Sequence[Ready]) -> None:
        """Send a group, and give each of it its answer, or what is to be raised instead."""
        try:
            answers: Sequence[Answer | ServiceError] = await self._answers(
                [request for request, _ in group]
            )
        except BaseException as error:
            for _, answered in group:
                if not answered.done():
                    answered.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, answered), answer in zip(group, answers, strict=True):
            if answered.done():
                continue  # whoever asked has gone
            if isinstance(answer, ServiceError):
                answered.set_exception(answer)
            else:
                answered.set_result(answer)

    async def _answers(self, requests: Sequence[Request]) -> Sequence[Answer | ServiceError]:
        if len(requests) == 1:
            return [await self._alone(requests[0])]
        boundary = f"openbulk{secrets.token_hex(12)}"
        headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
        if authorization := requests[0].headers.get("Authorization"):
            headers["Authorization"] = authorization
        answer = await self._alone(
            Request("POST", self._url, None, written(requests, boundary), headers)
        )
        if answer.status in _NO_BATCHES or 300 <= answer.status < 400:
            self._are_taken = False
            return await asyncio.gather(*(self._caught(request) for request in requests))
        if not answer.is_success:
            return [answer for _ in requests]
        found = read(answer)
        lost = AnswerLost("Google answered a batch without an answer to this call")
        return [found.get(number, lost) for number in range(len(requests))]

    async def _caught(self, request: Request) -> Answer | ServiceError:
        try:
            return await self._alone(request)
        except ServiceError as error:
            return error


def written(requests: Sequence[Request], boundary: str) -> bytes:
    """The body of a batch: each request in a part, numbered by its Content-ID."""
    parts = [
        b"--%b\r\nContent-Type: application/http\r\nContent-ID: <%d>\r\n\r\n%b\r\n"
        % (boundary.encode(), number, _written_one(request))
        for number, request in enumerate(requests)
    ]
    return b"".join([*parts, b"--%b--\r\n" % boundary.encode()])


def _written_one(request: Request) -> bytes:
    """A request as HTTP/1.1 writes it, less what the batch says for all of its parts."""
    parts = urlsplit(request.url)
    query = f"?{urlencode(request.params)}" if request.params else ""
    head = [f"{request.method} {parts.path}{query} HTTP/1.1"]
    head += [
        f"{name}: {value}" for name, value in request.headers.items() if name != "Authorization"
    ]
    body = request.body or b""
    assert isinstance(body, bytes)
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def read(answer: Answer) -> Mapping[int, Answer]:
    """The answers in a batch's answer, by the numbers of their requests; parts that cannot be read are not there."""
    boundary = _boundary(answer.headers.get("Content-Type", ""))
    found: dict[int, Answer] = {}
    if boundary is None:
        return found
    for part in (_CRLF + answer.body).split(b"\r\n--" + boundary)[1:]:
        outer, _, inner = part.partition(b"\r\n\r\n")
        head, _, body = inner.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        number = _headers(outer.decode("latin-1").split("\r\n")).get("Content-ID", "").strip("<>")
        words = status.split(None, 2)
        if (
            len(words) >= 2
            and words[1].isdecimal()
            and number.removeprefix("response-").isdecimal()
        ):
            found[int(number.removeprefix("response-"))] = Answer(
                int(words[1]), _headers(lines), body
            )
    return found


def _boundary(content_type: str) -> bytes | None:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary":
            return value.strip('"').encode()
    return None


def _headers(lines: Sequence[str]) -> CIMultiDict[str]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return CIMultiDict((name.strip(), value.strip()) for name, _, value in pairs)
