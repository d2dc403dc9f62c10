"""Calls that are ready at the same moment go in one request; nothing else about them changes."""

import asyncio
from collections.abc import Sequence

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict

from openbulk.connectors.answers import Answer
from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.connectors.googlecalendar.batches import (
    MAX_CALLS,
    MIN_CALLS,
    READY_TOGETHER_SECONDS,
    Batches,
    read_batch,
)
from openbulk.connectors.http import Request
from openbulk.domain.errors import AnswerLost, RetryLater, SignInAgain
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.sandbox import google
from openbulk.testing.connectors import record
from support import Serve, forget
from support.google_sandbox import configuration, event, held, set_faults

EVENTS = Target("events", Action.CREATE)


@pytest.fixture
async def url(serve: Serve) -> str:
    return await serve(google.make_app(google.Options(latency_ms=20)))


async def write_together(
    connector: Connector, records: Sequence[Record]
) -> list[Outcome | BaseException]:
    """The outcomes of records that are sent at the same moment."""
    calls = await asyncio.gather(
        *(connector.write(EVENTS, [one]) for one in records), return_exceptions=True
    )
    return [call if isinstance(call, BaseException) else call[0] for call in calls]


async def batches(http: aiohttp.ClientSession, url: str) -> int:
    """How many the sandbox was sent."""
    async with http.get(f"{url}/sandbox/stats") as answer:
        count: int = (await answer.json())["batches"]
    return count


def lessons(count: int) -> list[Record]:
    return [record(number, event(f"Lesson {number}")) for number in range(1, count + 1)]


async def test_calls_that_are_ready_together_go_in_one_request(
    http: aiohttp.ClientSession, url: str, connector: Connector
) -> None:
    await connector.check()
    outcomes = await write_together(connector, lessons(2 * MAX_CALLS))
    assert all(
        isinstance(outcome, Outcome) and outcome.kind is OutcomeKind.CREATED for outcome in outcomes
    )
    assert len(await held(http, url)) == 2 * MAX_CALLS
    assert await batches(http, url) == 2


async def test_a_call_whose_caller_has_gone_does_not_leave_any_more() -> None:
    """A slice that another process has taken over sends nothing more."""
    sent: list[Request] = []

    async def alone(request: Request) -> Answer:
        sent.append(request)
        return Answer(200, CIMultiDict(), b"")

    together = Batches(alone, "http://127.0.0.1")
    request = Request(
        "POST", "http://127.0.0.1/calendar/v3/calendars/primary/events", None, b"{}", {}
    )
    calls = [asyncio.create_task(together.send(request)) for _ in range(MIN_CALLS)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await asyncio.sleep(2 * READY_TOGETHER_SECONDS)
    assert sent == []


async def test_few_have_a_connection_each(
    http: aiohttp.ClientSession, url: str, connector: Connector
) -> None:
    await connector.check()
    await write_together(connector, lessons(MIN_CALLS - 1))
    assert await batches(http, url) == 0


async def test_each_has_its_own_outcome(connector: Connector) -> None:
    """One that Google refuses takes nobody along."""
    records = lessons(10)
    records[7] = record(8, event("Elsewhere", calendarId="nobody@example.com"))
    outcomes = [
        outcome
        for outcome in await write_together(connector, records)
        if isinstance(outcome, Outcome)
    ]
    kinds = {outcome.row: outcome.kind for outcome in outcomes}
    assert kinds == {n: OutcomeKind.FAILED if n == 8 else OutcomeKind.CREATED for n in range(1, 11)}


async def test_a_batch_whose_answer_is_lost_is_sent_again_without_doubling(
    http: aiohttp.ClientSession, url: str, connector: Connector
) -> None:
    await connector.check()
    await set_faults(http, url, "drop-after=1")
    assert all(
        isinstance(outcome, AnswerLost) for outcome in await write_together(connector, lessons(20))
    )
    await set_faults(http, url, "")
    outcomes = await write_together(connector, lessons(20))
    assert all(
        isinstance(outcome, Outcome) and outcome.kind is OutcomeKind.CREATED for outcome in outcomes
    )
    assert len(await held(http, url)) == 20


async def test_calls_that_are_refused_for_a_quota_are_refused_each_for_itself(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    url = await serve(google.make_app(google.Options(quota_per_minute=15)))
    connector = GoogleCalendarProvider().connect(
        ConnectionContext(await configuration(http, url), http, forget)
    )
    outcomes = await write_together(connector, lessons(20))
    assert sum(isinstance(outcome, RetryLater) for outcome in outcomes) == 5
    assert len(await held(http, url)) == 15


async def test_a_token_that_runs_out_on_the_way_is_renewed(
    http: aiohttp.ClientSession, url: str, connector: Connector
) -> None:
    await connector.check()
    await set_faults(http, url, "expire-token=0.2")
    outcomes = await write_together(connector, lessons(50))
    await set_faults(http, url, "")
    ended = [outcome for outcome in outcomes if not isinstance(outcome, SignInAgain)]
    assert all(
        isinstance(outcome, Outcome) and outcome.kind is OutcomeKind.CREATED for outcome in ended
    )
    assert len(await held(http, url)) == len(ended) > 0


@pytest.mark.parametrize("status", [307, 404, 405, 501])
async def test_where_no_batches_are_known_calls_go_alone(
    serve: Serve, http: aiohttp.ClientSession, url: str, status: int
) -> None:
    """A proxy at `base.url` may pass the Calendar API on, and nothing else."""
    paths: list[str] = []

    async def pass_on(request: web.Request) -> web.Response:
        paths.append(request.path)
        if request.path.startswith("/batch"):
            return web.Response(status=status)
        headers = {
            name: request.headers[name]
            for name in ("Authorization", "Content-Type")
            if name in request.headers
        }
        async with http.request(
            request.method, url + request.path_qs, data=await request.read(), headers=headers
        ) as answer:
            return web.Response(status=answer.status, body=await answer.read())

    proxy = web.Application()
    proxy.router.add_route("*", "/{path:.*}", pass_on)
    settings = {**await configuration(http, url), "base.url": await serve(proxy)}
    connector = GoogleCalendarProvider().connect(ConnectionContext(settings, http, forget))
    for first in (1, 31):
        outcomes = await write_together(connector, lessons(60)[first - 1 : first + 29])
        assert all(
            isinstance(outcome, Outcome) and outcome.kind is OutcomeKind.CREATED
            for outcome in outcomes
        )
    assert len(await held(http, url)) == 60
    assert sum(path.startswith("/batch") for path in paths) == 1


async def test_whoever_stops_waiting_takes_nobody_along(
    http: aiohttp.ClientSession, url: str, connector: Connector
) -> None:
    await connector.check()
    calls = [asyncio.create_task(connector.write(EVENTS, [one])) for one in lessons(10)]
    await asyncio.sleep(0.01)
    calls[0].cancel()
    outcomes = await asyncio.gather(*calls[1:])
    assert all(outcome.kind is OutcomeKind.CREATED for (outcome,) in outcomes)


# The answer at https://developers.google.com/workspace/calendar/api/guides/batch, less the bodies.
ANSWER = b"""\
--batch_foobarbaz
Content-Type: application/http
Content-ID: <response-2>

HTTP/1.1 304 Not Modified
ETag: "etag/animals"


--batch_foobarbaz
Content-Type: application/http
Content-ID: <response-0>

HTTP/1.1 200 OK
Content-Type: application/json
Content-Length: 17
ETag: "etag/pony"

{"kind": "pony"}
--batch_foobarbaz--
""".replace(b"\n", b"\r\n")


def test_answers_are_matched_by_their_numbers() -> None:
    """In whatever order they come; one that is missing is missing."""
    found = read_batch(
        Answer(200, {"Content-Type": 'multipart/mixed; boundary="batch_foobarbaz"'}, ANSWER)
    )
    assert {number: answer.status for number, answer in found.items()} == {0: 200, 2: 304}
    assert found[0].json() == {"kind": "pony"}
    assert found[2].headers["etag"] == '"etag/animals"'


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/html", b"<p>sorry</p>"),
        ("multipart/mixed", ANSWER),
        ("multipart/mixed; boundary=other", ANSWER),
        (
            "multipart/mixed; boundary=b",
            b"--b\r\n\r\n\r\n--b\r\nContent-ID: <response-x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n--b--",
        ),
        (
            "multipart/mixed; boundary=b",
            b"--b\r\nContent-ID: <response-1>\r\n\r\nHTTP/1.1 OK\r\n\r\n--b--",
        ),
    ],
    ids=["no batch", "no boundary", "another boundary", "no number", "no status"],
)
def test_what_cannot_be_read_answers_nobody(kind: str, content: bytes) -> None:
    assert read_batch(Answer(200, {"Content-Type": kind}, content)) == {}
