"""Sends calls that are ready at the same moment together, up to 50 in one request.

Each call is a part of `multipart/mixed`; Google counts, answers and refuses it as if it had come
alone (https://developers.google.com/workspace/calendar/api/guides/batch). If calls come one at a
time, nothing is batched (docs/decisions/0023).
"""

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

from multidict import CIMultiDict

from openbulk.connectors.answers import UNSAFE_METHODS, Answer
from openbulk.connectors.http import Request, Send
from openbulk.domain.errors import AnswerLost, ServiceError

PATH = "/batch/calendar/v3"
MAX_CALLS = 50
"""Google's page says 1000; Google's staff say 50 (google-api-dotnet-client issue 1621)."""
MAX_BYTES = 1024 * 1024
MIN_CALLS = 4
"""Fewer calls than this are sent alone: Google answers a single call sooner."""
READY_TOGETHER_SECONDS = 0.005
_NO_BATCHES = frozenset({*range(300, 400), 400, 404, 405, 413, 415, 501})
"""Statuses by which a proxy, or another service at `base.url`, refuses a whole batch and makes none
of its calls. Redirects are among them, since openbulk follows none."""
_CRLF = b"\r\n"
_BOUNDARY = re.compile(r';\s*boundary="?(?P<boundary>[^";]*)', re.IGNORECASE)
_CONTENT_ID = re.compile(r"<*(?:response-)?(?P<number>\d{1,4})>*", re.ASCII)
_STATUS_LINE = re.compile(r"\s*\S+\s+(?P<status>[1-5]\d\d)(?:\s|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A request that waits for others, and the future of its answer."""

    request: Request
    answer: asyncio.Future[Answer]

    @property
    def authorization(self) -> str | None:
        """The credentials: only calls with equal credentials are batched."""
        return self.request.headers.get("Authorization")

    def finish(self, result: Answer | BaseException) -> None:
        """Give the caller its answer, or raise the error there."""
        if self.answer.done():
            return  # the caller was cancelled in the meantime
        if isinstance(result, BaseException):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class Batches:
    """Sends requests; those that are ready together go in one."""

    def __init__(self, send: Send, base_url: str) -> None:
        """`send` sends one request alone."""
        self._send_alone = send
        self._url = base_url.rstrip("/") + PATH
        self._pending: list[PendingCall] = []
        self._pending_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_supported = True

    async def send(self, request: Request) -> Answer:
        """Send a request, batched with others that are ready in time. Raises ServiceError."""
        # Reads go alone: if an answer is lost, only that call is repeated.
        if not self._is_supported or request.method not in UNSAFE_METHODS:
            return await self._send_alone(request)
        loop = asyncio.get_running_loop()
        call = PendingCall(request, loop.create_future())
        self._pending.append(call)
        self._pending_bytes += len(request.body or b"")
        if len(self._pending) == MAX_CALLS or self._pending_bytes >= MAX_BYTES:
            self._send_pending()
        elif len(self._pending) == 1:
            loop.call_later(READY_TOGETHER_SECONDS, self._send_pending)
        return await call.answer

    def _send_pending(self) -> None:
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        groups: dict[str | None, list[PendingCall]] = {}
        for call in pending:
            if not call.answer.done():  # its caller was cancelled
                groups.setdefault(call.authorization, []).append(call)
        for calls in groups.values():
            if len(calls) >= MIN_CALLS:
                self._start(calls)
            else:
                for call in calls:
                    self._start([call])

    def _start(self, calls: Sequence[PendingCall]) -> None:
        # The event loop keeps only a weak reference to a task (asyncio.create_task).
        task = asyncio.get_running_loop().create_task(self._send_group(calls))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_group(self, calls: Sequence[PendingCall]) -> None:
        """Send calls, and finish each with its answer or its error."""
        results: Sequence[Answer | BaseException]
        try:
            results = await self._send_together([call.request for call in calls])
        except BaseException as error:
            for call in calls:
                call.finish(error)
            if not isinstance(error, Exception):
                raise
            return
        for call, result in zip(calls, results, strict=True):
            call.finish(result)

    async def _send_together(self, requests: Sequence[Request]) -> Sequence[Answer | ServiceError]:
        if len(requests) == 1:
            return [await self._send_alone(requests[0])]
        answer = await self._send_alone(self._batch_request(requests))
        if answer.status in _NO_BATCHES:
            self._is_supported = False
            return await asyncio.gather(*map(self._answer_or_error, requests))
        if not answer.is_success:
            return [answer] * len(requests)
        answers = read_batch(answer)
        lost = AnswerLost("Google answered a batch without an answer to this call")
        return [
            replace(answers[number], method=request.method, call=f"{answer.call}, part {number}")
            if number in answers
            else lost
            for number, request in enumerate(requests)
        ]

    def _batch_request(self, requests: Sequence[Request]) -> Request:
        boundary = f"openbulk{secrets.token_hex(12)}"
        headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
        if authorization := requests[0].headers.get("Authorization"):
            headers["Authorization"] = authorization
        body = write_batch(requests, boundary)
        return Request("POST", self._url, None, body, headers, len(requests))

    async def _answer_or_error(self, request: Request) -> Answer | ServiceError:
        try:
            return await self._send_alone(request)
        except ServiceError as error:
            return error


# --- the body of a batch ---


def write_batch(requests: Sequence[Request], boundary: str) -> bytes:
    """The body of a batch: each request in a part, numbered from 0 by its Content-ID."""
    delimiter = f"--{boundary}".encode()
    parts = [
        b"%b\r\nContent-Type: application/http\r\nContent-ID: <%d>\r\n\r\n%b\r\n"
        % (delimiter, number, _write_request(request))
        for number, request in enumerate(requests)
    ]
    return b"".join([*parts, delimiter, b"--\r\n"])


def _write_request(request: Request) -> bytes:
    """A request in HTTP/1.1, without the credentials: the batch has them for all parts."""
    query = urlencode(request.params or {})
    path = urlsplit(request.url)._replace(scheme="", netloc="", query=query).geturl()
    body = request.body or b""
    assert isinstance(body, bytes)
    headers = {**request.headers, "Content-Length": str(len(body))}
    headers.pop("Authorization", None)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"{request.method} {path} HTTP/1.1", *lines, "", ""]).encode() + body


def read_batch(answer: Answer) -> Mapping[int, Answer]:
    """The answers in a batch's answer, by the numbers of their requests.

    Parts that cannot be read are left out, and those of which there are several for one request.
    """
    match = _BOUNDARY.search(answer.headers.get("Content-Type", ""))
    if match is None:
        return {}
    parts = (_CRLF + answer.body).split(
        b"\r\n--" + match["boundary"].strip().encode(errors="surrogateescape")
    )
    answers = list(_read_parts(parts[1:]))
    counts = Counter(number for number, _ in answers)
    return {number: one for number, one in answers if counts[number] == 1}


def _read_parts(parts: Sequence[bytes]) -> Iterator[tuple[int, Answer]]:
    for part in parts:
        outer, _, inner = part.partition(b"\r\n\r\n")
        head, _, body = inner.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        content_id = _headers(outer.decode("latin-1").split("\r\n")).get("Content-ID", "")
        # Google answers the part `<7>` with `<response-7>`.
        number, status = _CONTENT_ID.fullmatch(content_id), _STATUS_LINE.match(status_line)
        if number and status:
            yield int(number["number"]), Answer(int(status["status"]), _headers(lines), body)


def _headers(lines: Sequence[str]) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.add(name.strip(), value.strip())
    return headers
