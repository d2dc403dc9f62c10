"""Google's dates, its sync tokens and a reading of the whole calendar give the same changes."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.conditions import Comparison, holds
from openbulk.domain.errors import CursorExpired
from openbulk.domain.query import Bookmark, PageRequest, Query
from openbulk.notify.egress import guarded_connector
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from openbulk.sandbox import google
from support import Serve, forget
from support.google_sandbox import configuration, event, violations

SERIES = {
    "summary": "Choir",
    "start": {"dateTime": "2026-09-07T18:00:00Z", "timeZone": "UTC"},
    "end": {"dateTime": "2026-09-07T19:00:00Z", "timeZone": "UTC"},
    "recurrence": ["RRULE:FREQ=DAILY;COUNT=3"],
}
FROM_THE_START = PageRequest()
IDS = ("maths", "arts0", "music", "choir")
SHOWN: tuple[Mapping[str, str], ...] = (
    {},
    {"showDeleted": "true"},
    {"showDeleted": "false"},
    {"singleEvents": "true"},
    {"singleEvents": "true", "showDeleted": "true"},
)


@dataclass
class Calendar:
    """Ann's calendar: changed as a person does, and read as openbulk does."""

    http: aiohttp.ClientSession
    url: str
    settings: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, body: object = None) -> int:
        address = f"{self.url}/calendar/v3/calendars/primary/events{path}"
        async with self.http.request(method, address, headers=self.headers, json=body) as answer:
            await answer.read()
            return answer.status

    async def do(self, step: tuple[str, str]) -> None:
        """One change; those that make no sense are refused, and change nothing."""
        what, name = step
        match what:
            case "create":
                values = SERIES if name == "choir" else event(name)
                if await self.call("POST", "", {**values, "id": name}) == 409:
                    await self.call("PATCH", f"/{name}", {"status": "confirmed"})
            case "change":
                await self.call("PATCH", f"/{name}", {"location": str(time.time_ns())})
            case "cancel":
                await self.call("PATCH", f"/{name}", {"status": "cancelled"})
            case "delete":
                await self.call("DELETE", f"/{name}")
            case "call off":
                await self.call("DELETE", "/choir_20260908T180000Z")
            case "move":
                body = {
                    "start": {"dateTime": "2026-09-09T20:00:00Z"},
                    "end": {"dateTime": "2026-09-09T21:00:00Z"},
                }
                await self.call("PATCH", "/choir_20260909T180000Z", body)

    def connector(self) -> Connector:
        return GoogleCalendarProvider().connect(ConnectionContext(self.settings, self.http, forget))

    async def read(
        self, query: Query, request: PageRequest = FROM_THE_START
    ) -> tuple[list[Mapping[str, Any]], Bookmark | None]:
        records: list[Mapping[str, Any]] = []
        bookmark: Bookmark | None = None
        async for page in self.connector().read(query, request):
            records += page.records
            bookmark = page.bookmark
        return records, bookmark

    async def say(self, path: str, body: object = None) -> Any:
        async with self.http.post(f"{self.url}/sandbox/{path}", json=body) as answer:
            return await answer.json()


@asynccontextmanager
async def calendar_of(http: aiohttp.ClientSession, url: str) -> AsyncIterator[Calendar]:
    calendar = Calendar(http, url, await configuration(http, url))
    tokens = await calendar.say("tokens", {"user": "ann@example.com"})
    calendar.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    yield calendar
    assert await violations(http, url) == []


@pytest.fixture
async def calendar(http: aiohttp.ClientSession, serve: Serve) -> AsyncIterator[Calendar]:
    async with calendar_of(http, await serve(google.make_app(google.Options()))) as made:
        yield made


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["create", "change", "cancel", "delete"]), st.sampled_from(IDS)),
        st.tuples(st.sampled_from(["call off", "move"]), st.just("choir")),
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=STEPS,
    between=STEPS,
    after=STEPS,
    shown=st.sampled_from(SHOWN),
    page_size=st.integers(1, 4),
)
async def test_changes_are_the_same_by_whichever_means(
    before: list[tuple[str, str]],
    between: list[tuple[str, str]],
    after: list[tuple[str, str]],
    shown: Mapping[str, str],
    page_size: int,
) -> None:
    """Whatever was made, changed, cancelled, deleted and brought back.

    Before the bookmark, between it and the date of the query, and after that date."""
    runner = web.AppRunner(google.make_app(google.Options()), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    connector = guarded_connector(allowed=LOOPBACK_AND_PRIVATE, limit=10)
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        calendar_of(http, f"http://127.0.0.1:{runner.addresses[0][1]}") as calendar,
    ):
        for step in [("create", "choir"), *before]:
            await calendar.do(step)
        whole, pages = Query("events", parameters=shown), PageRequest(page_size)
        _, bookmark = await calendar.read(whole, pages)
        assert bookmark is not None
        for step in between:
            await calendar.do(step)
        await asyncio.sleep(0.002)  # Google's dates have milliseconds
        now = datetime.now(UTC)
        since = now.replace(microsecond=now.microsecond // 1000 * 1000)
        for step in after:
            await calendar.do(step)
        wanted = Comparison("updated", ">=", (since.isoformat(),))
        ways = [
            (Query("events", parameters=shown, changed_since=since), pages),
            (whole, PageRequest(page_size, since=bookmark.text)),
            (whole, pages),
        ]
        by_date, by_token, chosen = [
            sorted(
                (one for one in (await calendar.read(*way))[0] if holds(wanted, one)),
                key=lambda one: str(one["id"]),
            )
            for way in ways
        ]
        assert by_token == by_date == chosen
    await runner.cleanup()


async def test_a_bookmark_is_dated_by_google_and_not_too_early(calendar: Calendar) -> None:
    await calendar.do(("create", "maths"))
    _, bookmark = await calendar.read(Query("events"))
    assert bookmark is not None
    records, _ = await calendar.read(Query("events"))
    assert datetime.fromisoformat(records[0]["updated"]) <= bookmark.taken_at
    assert bookmark.taken_at - datetime.now(UTC) <= timedelta(seconds=1)


@pytest.mark.parametrize(
    "name", ["timeMin", "timeMax", "updatedMin", "q", "privateExtendedProperty"]
)
async def test_what_google_does_not_combine_with_sync_tokens_leaves_no_bookmark(
    calendar: Calendar, name: str
) -> None:
    values = {
        "q": "maths",
        "privateExtendedProperty": "a=b",
        "updatedMin": datetime.now(UTC).isoformat(),
    }
    parameters = {name: values.get(name, "2026-09-01T00:00:00Z")}
    assert (await calendar.read(Query("events", parameters=parameters)))[1] is None


async def test_changes_by_their_date_leave_no_bookmark_and_the_whole_calendar_does(
    calendar: Calendar,
) -> None:
    """Google lists changes by their date for some weeks only."""
    await calendar.do(("create", "maths"))
    assert (
        await calendar.read(Query("events", changed_since=datetime.now(UTC) - timedelta(days=1)))
    )[1] is None
    records, bookmark = await calendar.read(
        Query("events", changed_since=datetime.now(UTC) - timedelta(days=99))
    )
    assert len(records) == 1
    assert bookmark is not None


async def test_the_bookmark_of_another_sign_in_is_not_used(calendar: Calendar) -> None:
    """Somebody else's main calendar has the same name."""
    _, bookmark = await calendar.read(Query("events"))
    assert bookmark is not None
    other = Calendar(
        calendar.http,
        calendar.url,
        await configuration(calendar.http, calendar.url, user="bob@x.example"),
    )
    with pytest.raises(CursorExpired, match="another account"):
        await other.read(Query("events"), PageRequest(since=bookmark.text))


@pytest.mark.parametrize("tokens", ["page", "sync"])
async def test_a_place_among_changes_that_google_has_forgotten_asks_to_read_again(
    calendar: Calendar, tokens: str
) -> None:
    """Also on a later page."""
    _, bookmark = await calendar.read(Query("events"), PageRequest(1))
    assert bookmark is not None
    for name in ("maths", "arts0"):
        await calendar.do(("create", name))
    request = PageRequest(1, since=bookmark.text)
    page = await anext(calendar.connector().read(Query("events"), request))
    await calendar.say("forget", {"tokens": tokens})
    with pytest.raises(CursorExpired):
        await anext(calendar.connector().read(Query("events"), replace(request, after=page.next)))


async def test_a_page_that_google_has_forgotten_asks_to_read_again(calendar: Calendar) -> None:
    for name in ("maths", "arts0"):
        await calendar.do(("create", name))
    page = await anext(calendar.connector().read(Query("events"), PageRequest(1)))
    await calendar.say("forget", {"tokens": "page"})
    with pytest.raises(CursorExpired, match="read the list from its beginning"):
        await anext(calendar.connector().read(Query("events"), PageRequest(1, page.next)))
