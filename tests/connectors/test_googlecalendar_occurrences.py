"""Dates of a series as JSON and CSV have them, and events without ids, against the sandbox."""

from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import Connector
from openbulk.domain.records import Action, OutcomeKind
from support.google_sandbox import (
    calls,
    event,
    held,
    kinds,
    read_all,
    target,
    write_rows,
)

UID = "timetable-17@school.example"
BERLIN = "Europe/Berlin"
SERIES: dict[str, Any] = {
    "id": "maths2026",
    "summary": "Maths",
    "start": {"dateTime": "2026-10-19T08:00:00", "timeZone": BERLIN},
    "end": {"dateTime": "2026-10-19T08:45:00", "timeZone": BERLIN},
    "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
}
MOVED: dict[str, Any] = {
    "recurringEventId": "maths2026",
    "originalStartTime": {"dateTime": "2026-10-26T08:00:00"},
    "start": {"dateTime": "2026-10-26T10:00:00", "timeZone": BERLIN},
    "end": {"dateTime": "2026-10-26T10:45:00", "timeZone": BERLIN},
}


async def ids(connector: Connector) -> set[str]:
    """The ids of all events, as Google lists them."""
    return {str(one["id"]) for one in await read_all(connector)}


@pytest.mark.parametrize("action", [Action.CREATE, Action.UPSERT])
async def test_a_date_is_named_by_the_id_of_its_series(
    connector: Connector, action: Action
) -> None:
    """As Google's own JSON does it; a local time is in the zone of the series."""
    made, moved = await write_rows(connector, target(action), SERIES, MOVED)
    assert (made.kind, moved.kind) == (OutcomeKind.CREATED, OutcomeKind.UPDATED)
    assert await ids(connector) == {"maths2026", "maths2026_20261026T070000Z"}


async def test_a_part_of_a_date_can_be_changed(connector: Connector) -> None:
    """What the row does not say is as in the series."""
    row = {**MOVED, "location": "Room 5"}
    del row["start"], row["end"]
    outcomes = await kinds(connector, target(Action.UPSERT), SERIES, row)
    assert outcomes == [OutcomeKind.CREATED, OutcomeKind.UPDATED]
    by_id = {one["id"]: one for one in await read_all(connector)}
    date = by_id["maths2026_20261026T070000Z"]
    assert (date["location"], date["summary"]) == ("Room 5", "Maths")


async def test_a_date_is_deleted_by_whatever_time_names_it(connector: Connector) -> None:
    """The machine's own zone does not matter."""
    await write_rows(connector, target(), SERIES)
    gone = {name: MOVED[name] for name in ("recurringEventId", "originalStartTime")}
    assert await kinds(connector, target(Action.DELETE, run="2"), gone) == [OutcomeKind.DELETED]
    (_, date) = await read_all(connector)
    assert date["id"] == "maths2026_20261026T070000Z"
    assert date["status"] == "cancelled"


async def test_a_date_of_no_known_series_is_refused(connector: Connector) -> None:
    """It would become a single event, which nobody meant."""
    row = {**MOVED, "summary": "Maths", "recurringEventId": None}
    for action in (Action.CREATE, Action.UPSERT):
        (outcome,) = await write_rows(connector, target(action), row)
        assert outcome.problem is not None
        assert (
            "no field identifies the series; add iCalUID or recurringEventId"
            in outcome.problem.message
        )


async def test_all_later_dates_keep_what_their_row_does_not_say(connector: Connector) -> None:
    """A series of its own begins there, with the fields of the first one."""
    series = {**SERIES, "location": "Room 4"}
    change = {
        "recurringEventId": "maths2026",
        "originalStartTime": {"dateTime": "2026-11-02T08:00:00", "range": "THISANDFUTURE"},
        "summary": "Maths, advanced",
    }
    outcomes = await kinds(connector, target(Action.UPDATE), *[change])
    assert outcomes == [OutcomeKind.FAILED]
    await write_rows(connector, target(run="2"), series)
    for run, kind in (("3", OutcomeKind.UPDATED), ("4", OutcomeKind.UNCHANGED)):
        assert await kinds(connector, target(Action.UPDATE, run=run), change) == [kind]
        first, later = await read_all(connector)
        assert first["recurrence"] == ["RRULE:FREQ=WEEKLY;UNTIL=20261102T065959Z"]
        assert later["recurrence"] == ["RRULE:FREQ=WEEKLY;COUNT=2"]
        assert (later["summary"], later["location"]) == ("Maths, advanced", "Room 4")
        assert later["start"]["dateTime"].startswith("2026-11-02T08:00:00")


async def test_all_later_dates_are_not_changed_over_changes_of_their_own(
    connector: Connector,
) -> None:
    """Google would drop these, and nobody would know."""
    moved = {
        **MOVED,
        "originalStartTime": {"dateTime": "2026-11-02T08:00:00"},
        "start": {"dateTime": "2026-11-02T10:00:00", "timeZone": BERLIN},
        "end": {"dateTime": "2026-11-02T10:45:00", "timeZone": BERLIN},
    }
    await write_rows(connector, target(), SERIES, moved)
    change = {
        **MOVED,
        "originalStartTime": {"dateTime": "2026-10-26T08:00:00", "range": "THISANDFUTURE"},
    }
    (outcome,) = await write_rows(connector, target(run="2"), change)
    assert outcome.problem is not None
    assert "some of them have changes of their own in the calendar" in outcome.problem.message


async def test_a_series_keeps_its_end_when_days_become_times(connector: Connector) -> None:
    """UNTIL is of the type of the start, also of one that the row changes."""
    days = {
        "id": "camp2026",
        "summary": "Camp",
        "start": {"date": "2026-10-19"},
        "recurrence": ["RRULE:FREQ=DAILY;UNTIL=20261021"],
    }
    times = {"id": "camp2026", "start": SERIES["start"], "end": SERIES["end"]}
    await write_rows(connector, target(), days)
    (changed,) = await write_rows(connector, target(Action.UPDATE, run="2"), times)
    assert changed.problem is None
    (series,) = await read_all(connector)
    assert series["recurrence"] == ["RRULE:FREQ=DAILY;UNTIL=20261021T215959Z"]


async def test_a_recurrence_alone_is_of_the_type_of_the_event(connector: Connector) -> None:
    """An update need not say the start."""
    await write_rows(connector, target(), SERIES)
    row = {"id": "maths2026", "recurrence": ["RRULE:FREQ=WEEKLY", "EXDATE;VALUE=DATE:20261026"]}
    assert await kinds(connector, target(Action.UPDATE, run="2"), row) == [OutcomeKind.UPDATED]
    assert await kinds(connector, target(Action.UPDATE, run="3"), row) == [OutcomeKind.UNCHANGED]
    (series,) = await read_all(connector)
    assert series["recurrence"] == [
        "RRULE:FREQ=WEEKLY",
        "EXDATE;TZID=Europe/Berlin:20261026T080000",
    ]


@pytest.mark.parametrize("row", [{**SERIES, "summary": "Old"}, {**MOVED, "summary": "Old"}])
async def test_an_older_version_of_a_row_is_refused(
    connector: Connector, row: dict[str, Any]
) -> None:
    """Of a series, and of a date of it, each by its own number; what differs in nothing is fine."""
    newer = [{**SERIES, "sequence": 7}, {**MOVED, "summary": "New", "sequence": 3}]
    await write_rows(connector, target(), *newer)
    (older,) = await write_rows(connector, target(run="2"), {**row, "sequence": 2})
    assert older.problem is not None
    assert "the calendar holds a newer version of this event (SEQUENCE" in older.problem.message
    same = [{**SERIES, "sequence": 1}, {**MOVED, "summary": "New", "sequence": 1}]
    assert await kinds(connector, target(run="3"), *same) == [OutcomeKind.UNCHANGED] * 2
    assert await kinds(connector, target(run="4"), {**row, "sequence": 7}) == [OutcomeKind.UPDATED]


async def test_a_version_that_somebody_else_wrote_counts(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """As far as Google counts it."""
    await write_rows(connector, target(Action.CREATE), TYPED)
    (only,) = await held(http, url)
    moved = {**ROW, "id": only["id"], "start": TYPED["start"], "sequence": 0}
    later = {"id": only["id"], "start": {"dateTime": "2026-10-19T06:30:00Z"}}
    await write_rows(connector, target(Action.UPDATE, run="2"), later)
    (outcome,) = await write_rows(connector, target(Action.UPDATE, run="3"), moved)
    assert outcome.problem is not None
    assert "SEQUENCE 1; this row has 0" in outcome.problem.message


# --- by summary and start ---


TYPED: dict[str, Any] = {
    "summary": "Fair",
    "start": {"dateTime": "2026-10-19T06:00:00Z"},
    "end": {"dateTime": "2026-10-19T07:00:00Z"},
}
ROW: dict[str, Any] = {
    "summary": "Fair",
    "start": {"dateTime": "2026-10-19T08:00:00", "timeZone": BERLIN},
    "end": {"dateTime": "2026-10-19T10:00:00", "timeZone": BERLIN},
}


@pytest.mark.parametrize("records", [None, 3], ids=["listed", "looked up one by one"])
@pytest.mark.parametrize(
    ("there", "row"),
    [(TYPED, ROW), (event("Camp"), event("Camp", location="Lake"))],
    ids=["a time", "a day"],
)
async def test_an_upsert_without_ids_finds_what_create_made(
    connector: Connector,
    http: aiohttp.ClientSession,
    url: str,
    there: dict[str, Any],
    row: dict[str, Any],
    records: int | None,
) -> None:
    """Or a person: the summary and the start say which event is meant."""
    await write_rows(connector, target(Action.CREATE), there)
    assert await kinds(connector, target(run="2", records=records), row) == [OutcomeKind.UPDATED]
    assert await kinds(connector, target(run="3", records=records), row) == [OutcomeKind.UNCHANGED]
    assert len(await held(http, url)) == 1


@pytest.mark.parametrize("records", [None, 3], ids=["listed", "looked up one by one"])
async def test_another_summary_or_another_start_is_another_event(
    connector: Connector, http: aiohttp.ClientSession, url: str, records: int | None
) -> None:
    """An event without a summary is known by nothing."""
    await write_rows(connector, target(Action.CREATE), TYPED, {**TYPED, "summary": None})
    others = [
        {**ROW, "summary": "Faire"},
        {**ROW, "start": {"dateTime": "2026-10-19T08:01:00", "timeZone": BERLIN}},
        {**ROW, "summary": None},
    ]
    created = [OutcomeKind.CREATED] * 3
    assert await kinds(connector, target(run="2", records=records), *others) == created
    assert len(await held(http, url)) == 5


async def test_one_row_never_takes_the_place_of_another_without_ids(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """Two rows with one summary and one start, which differ: nothing says which is meant."""
    second = {**ROW, "location": "Room 5"}
    outcomes = await write_rows(connector, target(), ROW, ROW, second)
    assert [one.kind for one in outcomes[:2]] == [OutcomeKind.CREATED, OutcomeKind.UNCHANGED]
    assert outcomes[2].problem is not None
    assert outcomes[2].problem.message.startswith("row 1 has the same summary and start")
    (only,) = await held(http, url)
    assert "location" not in only


async def test_one_uid_for_two_events_costs_the_second(connector: Connector) -> None:
    """In any format; what is the same event by summary and start may be written twice."""
    rows = [
        {**ROW, "iCalUID": UID},
        {**ROW, "iCalUID": UID, "location": "Room 5"},
        {**ROW, "iCalUID": UID, "summary": "Concert"},
    ]
    first, same, other = await write_rows(connector, target(), *rows)
    assert (first.kind, same.kind) == (OutcomeKind.CREATED, OutcomeKind.UPDATED)
    assert other.problem is not None
    assert other.problem.message == (
        f"row 1 has the iCalUID '{UID}', too, and is another event by its summary; "
        "give each event an iCalUID of its own"
    )


@pytest.mark.parametrize("more", [{"start": {"date": "2026-04-01"}}, {"summary": "Concert"}])
async def test_a_cancelled_row_of_another_event_deletes_none_of_an_earlier_row(
    connector: Connector, http: aiohttp.ClientSession, url: str, more: dict[str, object]
) -> None:
    """Two events under one iCalUID are never taken for one."""
    first = event("Fair", iCalUID=UID)
    other = {**first, "end": {"date": "2026-04-02"}, "status": "cancelled", **more}
    outcomes = await write_rows(connector, target(), first, other)
    assert outcomes[0].kind is OutcomeKind.CREATED
    assert outcomes[1].problem is not None
    assert outcomes[1].problem.message == (
        f"row 1 has the iCalUID '{UID}', too, and is another event by its {next(iter(more))}; "
        "give each event an iCalUID of its own"
    )
    assert [one["summary"] for one in await held(http, url)] == ["Fair"]


@pytest.mark.parametrize("row", [event("Fair"), {}])
async def test_a_cancelled_row_of_the_same_event_deletes_it(
    connector: Connector, http: aiohttp.ClientSession, url: str, row: dict[str, object]
) -> None:
    called_off = {**row, "iCalUID": UID, "status": "cancelled"}
    rows = [event("Fair", iCalUID=UID), called_off]
    assert await kinds(connector, target(), *rows) == [OutcomeKind.CREATED, OutcomeKind.DELETED]
    assert await held(http, url) == []


async def test_a_cancelled_row_costs_one_look(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """There is nothing to create."""
    before = await calls(http, url)
    row = event("Fair", iCalUID=UID, status="cancelled")
    assert await kinds(connector, target(Action.CREATE), row) == [OutcomeKind.UNCHANGED]
    after = await calls(http, url)
    assert sum(after.values()) - sum(before.values()) == 1
