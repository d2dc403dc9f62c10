"""Series keep their moments on the way from a calendar file to Google, and back to a file."""

import asyncio
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import aiohttp
import icalendar
import recurring_ical_events
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from formats.test_ics_properties import END, all_day_series, changing_series, timed_series
from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Record, Target
from openbulk.formats.ics import Ics
from openbulk.notify.egress import guarded_connector
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from openbulk.sandbox import google
from support import forget
from support.google_sandbox import configuration, violations
from support.job_records import JobFile
from support.occurrences import Moment, occurrences, read_moment

BEGIN = date(2025, 1, 1)
ACTIONS = st.sampled_from([Action.CREATE, Action.UPSERT])
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
Occurrence = tuple[Moment, str]
"""A start and a summary."""


async def round_trip(content: bytes, action: Action, end: date) -> tuple[list[Occurrence], bytes]:
    """What Google lists before `end` of the events of a file, and a new file of these events."""
    runner = web.AppRunner(google.make_app(google.Options()), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    session = aiohttp.ClientSession(
        connector=guarded_connector(allowed=LOOPBACK_AND_PRIVATE, limit=10)
    )
    try:
        async with session as http:
            context = ConnectionContext(await configuration(http, url), http, forget)
            connector = GoogleCalendarProvider().connect(context)
            await upload(connector, content, action)
            listed = await read_all(connector, singleEvents="true", timeMax=f"{end}T00:00:00Z")
            file = b"".join(Ics().write(await read_all(connector)))
            assert await violations(http, url) == []
    finally:
        await runner.cleanup()
    shown = [one for one in listed if one["status"] != "cancelled"]
    found = [(read_moment(one["start"], "UTC"), one.get("summary", "")) for one in shown]
    return sort(found), file


def check_round_trip(
    content: bytes, action: Action, right: Sequence[Occurrence], end: date
) -> None:
    """Google has the right occurrences, and so has a file of what it has."""
    by_google, file = asyncio.run(round_trip(content, action, end))
    assert by_google == sort(right)
    assert occurrences(read_rows(file), end) == sort(right)
    # What a rule means that does not have its own start is undefined (RFC 5545, section 3.8.5.3):
    # the library leaves that start out, and counts from it.
    written = icalendar.Calendar.from_ical(file).events
    starts = {in_utc(one.start) for one in written}
    by_library = read_occurrences(file, end)
    if starts <= {moment for moment, _ in by_library}:
        clocks = {moment for one in written for moment in clocks_of_exdates(one)}
        assert sort(by_library) == sort([one for one in right if one[0] not in clocks])


def clocks_of_exdates(event: icalendar.Event) -> Iterator[Moment]:
    """The moments that the library takes out beside an EXDATE.

    It compares clocks without their zones (`util.to_recurrence_ids`): that of the EXDATE's zone
    with UTC's, and UTC's with that of the zone.
    """
    for one in event.exdates:
        if isinstance(one, datetime):
            yield one.replace(tzinfo=UTC)
            yield one.astimezone(UTC).replace(tzinfo=one.tzinfo).astimezone(UTC)


def read_rows(content: bytes) -> list[dict[str, Any]]:
    rows = list(Ics().read(io.BytesIO(content), {"encoding": "utf-8"}))
    assert [row.problem for row in rows] == [None] * len(rows)
    return [dict(row.values or {}) for row in rows]


async def upload(connector: Connector, content: bytes, action: Action) -> None:
    rows = read_rows(content)
    target = Target("events", action, run="1", job_records=JobFile.of(*rows))
    for number, values in enumerate(rows, 1):
        record = Record(number, values, key=f"file:{number}")
        (outcome,) = await connector.write(target, [record])
        assert outcome.problem is None, outcome.problem.message


async def read_all(connector: Connector, **parameters: str) -> list[dict[str, Any]]:
    pages = connector.read(Query("events", parameters=parameters), PageRequest())
    return [dict(one) async for page in pages for one in page.records]


def read_occurrences(file: bytes, end: date) -> list[Occurrence]:
    """What a file says, by a library that is not ours."""
    calendar = icalendar.Calendar.from_ical(file)
    # The library's bounds are in the zone of each event.
    events = recurring_ical_events.of(calendar).between(BEGIN, end + timedelta(days=2))
    found = [(in_utc(one["DTSTART"].dt), str(one.get("SUMMARY", ""))) for one in events]
    return [one for one in found if is_before(one[0], end)]


def in_utc(moment: date | datetime) -> Moment:
    return moment.astimezone(UTC) if isinstance(moment, datetime) else moment


def is_before(moment: Moment, end: date) -> bool:
    return (moment.date() if isinstance(moment, datetime) else moment) < end


def sort(found: Sequence[Occurrence]) -> list[Occurrence]:
    return sorted(found, key=lambda one: (str(one[0]), one[1]))


def calendar_file(*lines: str) -> bytes:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *lines, "END:VCALENDAR"]).encode()


@FEW
@given(timed_series(), ACTIONS)
def test_a_timed_series_keeps_its_moments(
    series: tuple[list[str], list[Moment], str], action: Action
) -> None:
    lines, right, _ = series
    content = calendar_file("BEGIN:VEVENT", "UID:a@x", *lines, "END:VEVENT")
    check_round_trip(content, action, [(one, "") for one in right], END)


@FEW
@given(all_day_series(), ACTIONS)
def test_an_all_day_series_keeps_its_days(
    series: tuple[list[str], list[Moment]], action: Action
) -> None:
    lines, right = series
    content = calendar_file(*lines, "END:VEVENT")
    check_round_trip(content, action, [(one, "") for one in right], END)


@FEW
@given(changing_series(), ACTIONS)
def test_a_series_that_changes_keeps_its_moments_and_its_names(
    series: tuple[list[list[str]], list[Occurrence]], action: Action
) -> None:
    events, right = series
    blocks = [["BEGIN:VEVENT", "UID:a@x", *lines, "END:VEVENT"] for lines in events]
    content = calendar_file(*(line for block in blocks for line in block))
    check_round_trip(content, action, right, date(2029, 1, 1))
