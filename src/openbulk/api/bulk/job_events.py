"""What happens to a job while it happens: server-sent events.

The form is that of the HTML standard (https://html.spec.whatwg.org/multipage/server-sent-events.html).
An event has all that is known of the job, and its id says what the reader has seen. So a reader
that comes back with it gets what has changed since, and has missed nothing.
"""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Request, Response

from openbulk.api.bulk.job_requests import JobId, approval_of, find_job
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import may_answer
from openbulk.api.http.streamed_answers import StreamedAnswer
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import present_job_event
from openbulk.domain.errors import TooManyUnderWay
from openbulk.domain.job import Job

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 404, 405))

POLL_SECONDS = 1.0
QUIET_SECONDS = 15.0
"""Proxies close connections on which nothing is sent for half a minute or so."""
STREAM_SECONDS = 600.0
"""A stream ends after so long, and its reader begins another one: by then, the secrets that began
it may hold no more."""
MAX_STREAMS = 200
"""Streams of an organization at the same time, in this process."""
RATE_SECONDS = 10.0
"""Over so long, the records a second are measured."""
MEDIA_TYPE = "text/event-stream"
_FINISHED = 204
"""Tells a reader by the standard to come back no more."""
_streams: Counter[int] = Counter()
_EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events, as they happen.",
        "content": {
            MEDIA_TYPE: {
                "schema": {"type": "string"},
                "example": 'event: job\nid: 6d1f0a33\ndata: {"id": "1", "status": "RUNNING"}\n\n',
            }
        },
    },
    204: {"description": "The job is finished, and the reader has seen its last event."},
}


@router.get(
    "/bulk/{job_id}/status/events",
    summary="Follow a job",
    response_class=Response,
    responses={**_EVENT_STREAM, **may_answer(429)},
)
async def events(
    request: Request,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    last_event_id: Annotated[
        str, Header(description="Id of the last event that you have.", examples=["6d1f0a33"])
    ] = "",
) -> Response:
    """What happens to a job, once a second at most: its status, counts, rate and time left.

    The stream ends with the job, and after ten minutes. A reader that comes back with the header
    `Last-Event-ID`, as browsers do by themselves, gets what has changed since.
    """
    job = await find_job(services, caller, job_id)
    if job.is_finished and last_event_id == _event_id(await _shape(job, services)):
        return Response(status_code=_FINISHED)
    request.state.held.enter_context(_one_stream(job.organization_id))
    pieces = _pieces(services, job, last_event_id)
    return StreamedAnswer(pieces, await anext(pieces), {"content-type": MEDIA_TYPE})


@contextmanager
def _one_stream(organization_id: int) -> Iterator[None]:
    """A stream of an organization. Raises TooManyUnderWay."""
    if _streams[organization_id] >= MAX_STREAMS:
        raise TooManyUnderWay(
            f"{MAX_STREAMS} streams of events are open, which is the limit of an organization; "
            "close some, or ask for the status of the job instead"
        )
    _streams[organization_id] += 1
    try:
        yield
    finally:
        _streams[organization_id] -= 1
        if not _streams[organization_id]:
            del _streams[organization_id]


async def _pieces(services: Services, job: Job, seen: str) -> AsyncGenerator[bytes]:
    """The text of a stream, until the job is finished or deleted, or the server stops."""
    clock = asyncio.get_running_loop().time
    ends_at, quiet_at = clock() + STREAM_SECONDS, clock() + QUIET_SECONDS
    rate = _Rate()
    yield b"retry: 2000\n\n"
    while True:
        rate.add(clock(), job)
        shape = await _shape(job, services)
        event_id = _event_id(shape)
        if event_id != seen:
            shape |= rate.shape(job)
            yield b"event: job\nid: %b\ndata: %b\n\n" % (event_id.encode(), orjson.dumps(shape))
            seen, quiet_at = event_id, clock() + QUIET_SECONDS
        elif clock() >= quiet_at:
            yield b": nothing new\n\n"
            quiet_at = clock() + QUIET_SECONDS
        if job.is_finished or clock() >= ends_at or services.engine.is_draining:
            return
        await asyncio.sleep(POLL_SECONDS)
        found = await services.ledger.job(job.id)
        if found is None:
            return
        job = found


async def _shape(job: Job, services: Services) -> dict[str, Any]:
    shape = present_job_event(job, services.completed_status)
    return {**shape, **await approval_of(services, job)}


def _event_id(shape: Mapping[str, Any]) -> str:
    """Of all that an event says, but for the rate."""
    return hashlib.sha256(orjson.dumps(shape)).hexdigest()[:16]


class _Rate:
    """How many records a second get their outcomes, in the last seconds of a stream."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, now: float, job: Job) -> None:
        """Note how far the job is."""
        self._seen.append((now, job.counts.total or job.cursor))
        while self._seen[0][0] < now - RATE_SECONDS:
            self._seen.popleft()

    def shape(self, job: Job) -> dict[str, Any]:
        """`recordsPerSecond` and `secondsLeft`, as far as they are known."""
        (begin, before), (end, after) = self._seen[0], self._seen[-1]
        if job.is_finished or job.is_paused or end == begin:
            return {}
        rate = (after - before) / (end - begin)
        shape: dict[str, Any] = {"recordsPerSecond": round(rate, 1)}
        if rate > 0 and job.not_reached is not None and not job.is_download:
            shape["secondsLeft"] = round(job.not_reached / rate)
        return shape
