"""Events that exist are changed, left alone, deleted and made again, against the sandbox."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import Connector
from openbulk.connectors.columns import Columns
from openbulk.connectors.googlecalendar import EVENT_FEATURES
from openbulk.connectors.googlecalendar.schema import event_schema
from openbulk.domain.errors import AnswerLost
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, OutcomeKind
from openbulk.formats import FORMATS
from openbulk.formats.recognition import inspect
from support.google_sandbox import (
    calls,
    event,
    held,
    kinds,
    read_all,
    set_faults,
    target,
    write_rows,
)

UID = "timetable-17@school.example"


@pytest.mark.parametrize(
    ("identifier", "more"),
    [(None, {"id": "maths2026"}), (None, {"iCalUID": UID}), ("ref", {"ref": "17"}), (None, {})],
    ids=["id", "iCalUID", "column", "summary and start"],
)
async def test_the_same_rows_sent_again_change_nothing(
    connector: Connector,
    http: aiohttp.ClientSession,
    url: str,
    identifier: str | None,
    more: dict[str, str],
) -> None:
    """By whatever identifies the events: the second job lists them once, and writes nothing."""
    row = event("Maths", location="Room 4", **more)
    assert await kinds(connector, target(identifier=identifier), row) == [OutcomeKind.CREATED]
    before = await calls(http, url)
    assert await kinds(connector, target(identifier=identifier, run="2"), row) == [
        OutcomeKind.UNCHANGED
    ]
    after = await calls(http, url)
    assert {name: after[name] - before.get(name, 0) for name in after} == {"GET": 1, "POST": 0}
    assert len(await held(http, url)) == 1


@pytest.mark.parametrize("records", [None, 3], ids=["listed", "looked up one by one"])
@pytest.mark.parametrize(
    ("identifier", "more"), [("ref", {"ref": "17"}), ("id", {"id": "maths2026"})]
)
async def test_a_changed_row_changes_its_event_and_nothing_else(
    connector: Connector,
    http: aiohttp.ClientSession,
    url: str,
    records: int | None,
    identifier: str,
    more: dict[str, str],
) -> None:
    """What the row does not speak of stays as it is."""
    first = target(identifier=identifier)
    assert await kinds(connector, first, event("Maths", location="Room 4", **more)) == [
        OutcomeKind.CREATED
    ]
    second = target(Action.UPDATE, identifier, run="2", records=records)
    assert await kinds(connector, second, {"location": "Room 5", **more}) == [OutcomeKind.UPDATED]
    (only,) = await held(http, url)
    assert (only["summary"], only["location"]) == ("Maths", "Room 5")


async def test_a_date_becomes_a_time(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """Google merges what a patch has: the date has to be cleared."""
    await write_rows(connector, target(identifier="ref"), event("Maths", ref="1"))
    timed = {
        "summary": "Maths",
        "ref": "1",
        "start": {"dateTime": "2026-03-01T09:00:00+00:00", "timeZone": "UTC"},
        "end": {"dateTime": "2026-03-01T10:00:00+00:00", "timeZone": "UTC"},
    }
    assert await kinds(connector, target(identifier="ref", run="2"), timed) == [OutcomeKind.UPDATED]
    (only,) = await held(http, url)
    assert "date" not in only["start"]  # type: ignore[operator]


async def test_an_update_of_what_is_not_there_says_so(connector: Connector) -> None:
    """And how to create it."""
    (outcome,) = await write_rows(connector, target(Action.UPDATE, "ref"), event("Maths", ref="1"))
    assert outcome.problem is not None
    assert "has no event with ref '1'; use action upsert to create it" in outcome.problem.message


async def test_an_update_needs_to_know_which_event_is_meant(connector: Connector) -> None:
    """A row without anything that identifies its event fails before a call is spent."""
    (outcome,) = await write_rows(connector, target(Action.UPDATE), event("Maths"))
    assert outcome.problem is not None
    assert "add id or iCalUID, or name the column" in outcome.problem.message


@pytest.mark.parametrize(
    ("identifier", "more"),
    [("ref", {"ref": "17"}), (None, {"id": "maths2026"}), (None, {"iCalUID": UID})],
    ids=["column", "id", "iCalUID"],
)
async def test_deleted_events_are_gone_and_deleting_them_again_is_no_failure(
    connector: Connector,
    http: aiohttp.ClientSession,
    url: str,
    identifier: str | None,
    more: dict[str, str],
) -> None:
    """Whoever deleted them."""
    await write_rows(connector, target(identifier=identifier), event("Maths", **more))
    assert await kinds(connector, target(Action.DELETE, identifier, run="2"), more) == [
        OutcomeKind.DELETED
    ]
    assert await held(http, url) == []
    (again,) = await kinds(connector, target(Action.DELETE, identifier, run="3"), more)
    assert again is OutcomeKind.NOT_FOUND


async def test_deleting_what_never_was_changes_nothing(connector: Connector) -> None:
    """The event is as it should be; a missing calendar is an error."""
    assert await kinds(connector, target(Action.DELETE), {"id": "neverthere"}) == [
        OutcomeKind.NOT_FOUND
    ]
    (outcome,) = await write_rows(
        connector, target(Action.DELETE, options={"calendarId": "no@x"}), {"id": "neverthere"}
    )
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.problem is not None
    assert "calendar 'no@x'" in outcome.problem.message


async def test_an_event_that_somebody_deleted_can_be_made_again(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """Its id stays taken: it gets another, and is found by its identifier from then on."""
    row = event("Maths", ref="17")
    ids = []
    for run in range(1, 4):
        (made,) = await write_rows(connector, target(identifier="ref", run=f"{run}a"), row)
        assert made.kind is OutcomeKind.CREATED
        ids.append(made.id)
        await write_rows(connector, target(Action.DELETE, "ref", run=f"{run}b"), {"ref": "17"})
    assert len(set(ids)) == 3


async def test_an_event_with_the_callers_own_id_is_brought_back(connector: Connector) -> None:
    """The id is wanted: the event of that id lives again."""
    row = event("Maths", id="maths2026")
    await write_rows(connector, target(), row)
    await write_rows(connector, target(Action.DELETE, run="2"), row)
    assert await kinds(connector, target(run="3"), row) == [OutcomeKind.CREATED]
    assert await kinds(connector, target(run="4"), row) == [OutcomeKind.UNCHANGED]


async def test_an_upsert_whose_answer_was_lost_makes_one_event(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """And counts it as created."""
    await write_rows(connector, target(identifier="ref"), event("Other", ref="0"))
    await set_faults(http, url, "drop-after=1")
    with pytest.raises(AnswerLost):
        await write_rows(connector, target(identifier="ref"), event("Maths", ref="17"))
    await set_faults(http, url, "")
    assert await kinds(connector, target(identifier="ref"), event("Maths", ref="17")) == [
        OutcomeKind.CREATED
    ]
    assert len(await held(http, url)) == 2


async def test_a_foreign_event_is_imported_without_mail(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """By `events.import`, which keeps its iCalUID; a second creation of it is refused."""
    row = event("Fair", iCalUID=UID, organizer={"email": "fair@elsewhere.example"})
    assert await kinds(connector, target(Action.CREATE), row) == [OutcomeKind.CREATED]
    (only,) = await held(http, url)
    assert only["iCalUID"] == UID
    (_, again) = await write_rows(connector, target(Action.CREATE, run="2"), event("Other"), row)
    assert again.kind is OutcomeKind.FAILED
    assert await kinds(connector, target(Action.CREATE), row) == [OutcomeKind.CREATED], (
        "the first one, sent once more"
    )


async def test_a_cancelled_row_deletes_its_event(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """As calendar files say it; one that is not there stays away."""
    await write_rows(connector, target(), event("Fair", iCalUID=UID))
    cancelled = event("Fair", iCalUID=UID, status="cancelled")
    assert await kinds(connector, target(run="2"), cancelled) == [OutcomeKind.DELETED]
    assert await kinds(
        connector, target(run="3"), event("Fair", iCalUID="other@x", status="cancelled")
    ) == [OutcomeKind.UNCHANGED]
    assert await held(http, url) == []


async def test_rows_name_their_own_calendars(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """A column `calendarId` goes before what metaData says."""
    (outcome,) = await write_rows(
        connector,
        target(Action.CREATE, options={"calendarId": "primary"}),
        event("Maths", calendarId="no@x"),
    )
    assert outcome.problem is not None
    assert "calendar 'no@x'" in outcome.problem.message


async def test_rows_that_mailed_people_outside_are_counted(connector: Connector) -> None:
    """Only where the caller wants mail, and a guest is of another domain than the account."""
    guests = {"inside": "bob@example.com", "outside": "eve@elsewhere.example"}
    for send, counted in (
        ("all", {"inside": False, "outside": True}),
        ("none", {"inside": False, "outside": False}),
    ):
        to = target(Action.CREATE, run=send, options={"sendUpdates": send})
        rows = [event("Fair", attendees=[{"email": email}]) for email in guests.values()]
        outcomes = await write_rows(connector, to, *rows)
        assert (
            dict(zip(guests, [outcome.mails_outside for outcome in outcomes], strict=True))
            == counted
        )


async def test_an_update_of_the_start_leaves_the_end_alone(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """A row that says nothing of the end makes no one-day event of a week."""
    camp = {
        "summary": "Camp",
        "id": "camp2026",
        "start": {"date": "2026-09-14"},
        "end": {"date": "2026-09-19"},
    }
    await write_rows(connector, target(), camp)
    earlier = {"id": "camp2026", "start": {"date": "2026-09-13"}}
    assert await kinds(connector, target(Action.UPDATE, run="2"), earlier) == [OutcomeKind.UPDATED]
    (only,) = await held(http, url)
    assert (only["start"], only["end"]) == ({"date": "2026-09-13"}, {"date": "2026-09-19"})


async def test_the_calendars_reminders_replace_an_events_own(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """Google refuses to have both."""
    own = {"useDefault": False, "overrides": [{"method": "popup", "minutes": 5}]}
    await write_rows(connector, target(), event("Maths", id="maths2026", reminders=own))
    default = event("Maths", id="maths2026", reminders={"useDefault": True})
    assert await kinds(connector, target(run="2"), default) == [OutcomeKind.UPDATED]
    (only,) = await held(http, url)
    assert only["reminders"] == {"useDefault": True, "overrides": []}


@pytest.mark.parametrize("action", [Action.CREATE, Action.UPSERT])
async def test_a_calendar_that_is_not_there_costs_one_call(
    connector: Connector, http: aiohttp.ClientSession, url: str, action: Action
) -> None:
    """However many rows are meant for it; another job asks again."""
    rows = [event(f"Lesson {number}", calendarId="no@x") for number in range(5)]
    outcomes = await write_rows(connector, target(action), *rows)
    assert {
        outcome.problem and outcome.problem.message.partition(":")[0] for outcome in outcomes
    } == {"calendar 'no@x'"}
    assert sum((await calls(http, url)).values()) == 1
    await write_rows(connector, target(action, run="2"), *rows)
    assert sum((await calls(http, url)).values()) == 2


WEEK: list[dict[str, Any]] = [
    {
        "summary": "Camp",
        "start": {"date": "2026-09-14"},
        "end": {"date": "2026-09-19"},
        "visibility": "private",
    },
    {
        "summary": "Maths",
        "description": "Bring:\n- ruler",
        "start": {"dateTime": "2026-09-07T08:00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-09-07T08:45:00", "timeZone": "Europe/Berlin"},
        "recurrence": [
            "RRULE:FREQ=WEEKLY;BYDAY=MO,TU;COUNT=10",
            "EXDATE;TZID=Europe/Berlin:20260914T080000",
        ],
        "attendees": [
            {"email": "ann@example.com", "responseStatus": "accepted"},
            {"email": "bob@example.com"},
        ],
        "reminders": {"useDefault": False, "overrides": [{"method": "popup", "minutes": 10}]},
        "extendedProperties": {"private": {"class": "7a"}, "shared": {"room": "4"}},
    },
    {
        "summary": "Flight",
        "start": {"dateTime": "2026-09-20T10:00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-09-20T13:00:00", "timeZone": "America/New_York"},
        "transparency": "transparent",
        "guestsCanModify": True,
    },
    event("Fair", iCalUID="fair@elsewhere.example", organizer={"email": "fair@elsewhere.example"}),
]


SERIES: dict[str, Any] = {
    "iCalUID": UID,
    "summary": "Maths",
    "start": {"dateTime": "2026-10-19T08:00:00", "timeZone": "Europe/Berlin"},
    "end": {"dateTime": "2026-10-19T08:45:00", "timeZone": "Europe/Berlin"},
    "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
}
MOVED: dict[str, Any] = {
    "iCalUID": UID,
    "summary": "Maths, later",
    "originalStartTime": {"dateTime": "2026-10-26T08:00:00", "timeZone": "Europe/Berlin"},
    "start": {"dateTime": "2026-10-26T10:00:00", "timeZone": "Europe/Berlin"},
    "end": {"dateTime": "2026-10-26T10:45:00", "timeZone": "Europe/Berlin"},
}
CALLED_OFF: dict[str, Any] = {
    "iCalUID": UID,
    "status": "cancelled",
    "originalStartTime": {"dateTime": "2026-11-02T08:00:00", "timeZone": "Europe/Berlin"},
}


@pytest.mark.parametrize("name", FORMATS)
async def test_what_was_read_and_is_sent_again_makes_no_write(
    connector: Connector, http: aiohttp.ClientSession, url: str, name: str
) -> None:
    """All-day, recurring, moved, with guests, over zones, imported; in a file of any format."""
    await kinds(connector, target(Action.CREATE), *WEEK)
    await kinds(connector, target(run="2"), SERIES, MOVED, CALLED_OFF)
    read = [
        dict(one)
        async for page in connector.read(Query("events"), PageRequest())
        for one in page.records
    ]
    assert len(read) == len(WEEK) + 3
    before = await calls(http, url)
    rows = again(read, name)
    # Google's own columns have no place for an occurrence that was called off.
    assert len(rows) == len(read) - name.startswith("google")
    assert await kinds(connector, target(run="3"), *rows) == [OutcomeKind.UNCHANGED] * len(rows)
    after = await calls(http, url)
    assert {
        method: after[method] - before[method] for method in after if method != "GET"
    } == dict.fromkeys(after.keys() - {"GET"}, 0)
    assert after["GET"] - before["GET"] <= 2


def again(records: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """The records of a file that was written of these, and recognized."""
    file = io.BytesIO(b"".join(FORMATS[name].write(records)))
    recognized = inspect(file, None, {})
    columns = Columns(
        target(), EVENT_FEATURES, event_schema(), names_are_paths=recognized.names_are_paths
    )
    rows = list(recognized.read(file, {}))
    assert [row.problem for row in rows] == [None] * len(rows)
    return [dict(columns.fields_of(row.values or {})) for row in rows]


async def test_occurrences_of_a_series_are_moved_and_called_off(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """Over a clock change, as calendar files have it; sent again, all of it is as it should be."""
    rows = [SERIES, MOVED, CALLED_OFF]
    assert await kinds(connector, target(), *rows) == [
        OutcomeKind.CREATED,
        OutcomeKind.UPDATED,
        OutcomeKind.DELETED,
    ]
    shown = {one["id"].partition("_2026")[2]: one for one in await read_all(connector)}
    assert shown["1026T070000Z"]["summary"] == "Maths, later"
    assert shown["1102T070000Z"]["status"] == "cancelled"
    before = await calls(http, url)
    assert await kinds(connector, target(run="2"), *rows) == [OutcomeKind.UNCHANGED] * 3
    after = await calls(http, url)
    assert after["GET"] - before["GET"] == 1
    assert sum(after.values()) - sum(before.values()) == 1
    assert (
        await kinds(connector, target(run="3"), *await read_all(connector))
        == [OutcomeKind.UNCHANGED] * 3
    )


async def test_an_occurrence_needs_its_series_and_a_time_of_it(connector: Connector) -> None:
    """The message says which is missing."""
    (alone,) = await write_rows(connector, target(), MOVED)
    assert alone.problem is not None
    assert (
        "this is one date (2026-10-26T08:00:00 (Europe/Berlin)) of a series with iCalUID "
        "'timetable-17@school.example', and neither the rows of the file before it nor calendar "
        "'primary' hold that series; send the whole series"
    ) in alone.problem.message
    never = {
        **MOVED,
        "originalStartTime": {"dateTime": "2026-10-27T08:00:00", "timeZone": "Europe/Berlin"},
    }
    (_, wrong) = await write_rows(connector, target(run="2"), SERIES, never)
    assert wrong.problem is not None
    assert "has no occurrence at 2026-10-27T08:00:00 (Europe/Berlin)" in wrong.problem.message


@pytest.mark.parametrize(
    "row",
    [
        {"summary": "x", "start": {"date": "9999-12-31"}},
        {"summary": "x", "start": {"date": "9999-12-31"}, "end": {"date": "9999-12-31"}},
    ],
)
async def test_a_date_at_the_end_of_the_calendar_fails_its_row_only(
    connector: Connector, row: dict[str, Any]
) -> None:
    """It is no failure of openbulk."""
    (outcome,) = await write_rows(connector, target(Action.CREATE), row)
    assert outcome.problem is not None
    assert "calendars go from year 1 to 9999" in outcome.problem.message


async def test_one_half_of_a_time_can_be_changed_without_the_other(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """The moment of a series that keeps its zone; its zone with the same moment; or its end."""
    await write_rows(connector, target(), {**SERIES, "iCalUID": None, "id": "maths2026"})
    update = target(Action.UPDATE, run="2")
    moved = {
        "id": "maths2026",
        "start": {"dateTime": "2026-10-19T09:00:00+02:00"},
        "end": {"dateTime": "2026-10-19T09:45:00+02:00"},
    }
    zone = {"id": "maths2026", "start": {"timeZone": "Europe/Paris"}}
    until = {"id": "maths2026", "recurrence": ["RRULE:FREQ=DAILY;UNTIL=20261231T225959Z"]}
    assert await kinds(connector, update, moved, zone, until, zone) == [
        OutcomeKind.UPDATED,
        OutcomeKind.UPDATED,
        OutcomeKind.UPDATED,
        OutcomeKind.UNCHANGED,
    ]
    (only,) = await held(http, url)
    assert only["start"] == {"dateTime": "2026-10-19T09:00:00+02:00", "timeZone": "Europe/Paris"}
