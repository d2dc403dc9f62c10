"""Series that change from one date on, sent again: what happens is as in the latest file."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import Connector
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind
from openbulk.formats.ics import Ics
from support.google_sandbox import ANN, read_all, starts, target, write_rows
from support.job_records import JobFile
from support.occurrences import occurrences, read_moment

WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=4"


def when(name: str, moment: str, **parameters: str) -> str:
    """A line of a file with a time of June 2026 in Berlin, or a day: `04T1000`, `04`."""
    more = "".join(f";{key}={value}" for key, value in parameters.items())
    if "T" in moment:
        return f"{name};TZID=Europe/Berlin{more}:202606{moment}00"
    return f"{name};VALUE=DATE{more}:202606{moment}"


def events(start: str, end: str, rule: str, *changes: tuple[str, str, str]) -> list[list[str]]:
    """A series, and its changes from a date on: the date, the new start, the new end."""
    whole = [when("DTSTART", start), when("DTEND", end), rule]
    return [whole] + [
        [when("RECURRENCE-ID", date, RANGE="THISANDFUTURE"), when("DTSTART", a), when("DTEND", b)]
        for date, a, b in changes
    ]


FILES = {
    "split": events("04T1000", "04T1100", WEEKLY, ("11T1000", "11T1200", "11T1300")),
    "no split": events("04T1000", "04T1100", WEEKLY),
    "later split": events("04T1000", "04T1100", WEEKLY, ("18T1000", "18T1200", "18T1300")),
    "two splits": events(
        "04T1000",
        "04T1100",
        WEEKLY,
        ("11T1000", "11T1200", "11T1300"),
        ("18T1000", "18T1500", "18T1600"),
    ),
    "moved an hour": events("04T0900", "04T1000", WEEKLY, ("11T0900", "11T1200", "11T1300")),
    "moved an hour, no split": events("04T0900", "04T1000", WEEKLY),
    "moved a day": events("05T1000", "05T1100", WEEKLY, ("12T1000", "12T1200", "12T1300")),
    "every other week": events(
        "04T1000",
        "04T1100",
        "RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3",
        ("18T1000", "18T1400", "18T1500"),
    ),
    "once": events("04T1000", "04T1100", "RRULE:FREQ=WEEKLY;COUNT=1"),
    "split at the last date": events(
        "04T1000", "04T1100", WEEKLY, ("25T1000", "25T1200", "25T1300")
    ),
    "days": events("04", "05", WEEKLY, ("11", "12", "13")),
    "days, no split": events("04", "05", WEEKLY),
}


def rows_of(file: Sequence[Sequence[str]], uid: str) -> list[Mapping[str, Any]]:
    """The rows of a file with a series of this UID."""
    blocks = "".join(
        "\n".join(["BEGIN:VEVENT", f"UID:{uid}", f"SUMMARY:{uid}", *lines, "END:VEVENT", ""])
        for lines in file
    )
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\n{blocks}END:VCALENDAR\n"
    rows = list(Ics().read(io.BytesIO(text.encode()), {}))
    assert all(row.problem is None for row in rows), rows
    return [row.values or {} for row in rows]


async def upload(
    connector: Connector, run: str, rows: Sequence[Mapping[str, Any]], **more: Any
) -> Sequence[Outcome]:
    """The outcomes of the rows of one file."""
    return await write_rows(
        connector, target(run=run, job_records=JobFile.of(*rows), **more), *rows
    )


async def happening(connector: Connector, uid: str) -> list[tuple[object, str]]:
    """When Google shows the events of a series, with their summaries."""
    query = Query("events", parameters={"singleEvents": "true"})
    found = [
        (read_moment(one["start"], "UTC"), one["summary"])
        async for page in connector.read(query, PageRequest(size=2_500))
        for one in page.records
        if one["summary"] == uid
    ]
    return sorted(found, key=str)


NAMES = list(FILES)
REMOVED = (
    "the series no longer changes from these dates on, and its later parts were removed from the "
    "calendar: "
)
KEPT = (
    "the calendar has later parts of the series, which the file does not have, and they stay, from "
    "these dates on: "
)


@pytest.mark.parametrize("first", NAMES)
async def test_after_any_two_files_what_happens_is_as_in_the_second(
    connector: Connector, first: str
) -> None:
    """Whether the series is split, moved, has another rule; of a small job, and of a large one."""
    for number, second in enumerate(NAMES):
        which = number + NAMES.index(first)
        if which % 3 == 2:
            continue  # two thirds of all pairs show every kind
        uid, size = f"maths{number}@x", {"records": 100 if which % 2 else 2}
        before, after = rows_of(FILES[first], uid), rows_of(FILES[second], uid)
        await upload(connector, f"{number} a", before, **size)
        outcomes = await upload(connector, f"{number} b", after, **size)
        wrong = [one.problem for one in outcomes if one.problem is not None]
        assert not wrong, (second, wrong)
        assert await happening(connector, uid) == sorted(occurrences(after), key=str), second
        if number % 4 == 0:
            again = await upload(connector, f"{number} c", after, **size)
            assert {one.kind for one in again} == {OutcomeKind.UNCHANGED}, second
            assert "removed" not in " ".join(one.remark for one in again)


@pytest.mark.parametrize("size", [2, 100])
@pytest.mark.parametrize("second", ["no split", "later split", "moved an hour", "once"])
async def test_an_update_changes_where_a_series_changes(
    connector: Connector, second: str, size: int
) -> None:
    """The later part is part of the series, though Google has another event for it."""
    await upload(connector, "1", rows_of(FILES["split"], "maths@x"))
    after = rows_of(FILES[second], "maths@x")
    outcomes = await upload(connector, "2", after, action=Action.UPDATE, records=size)
    assert {one.kind for one in outcomes} == {OutcomeKind.UPDATED}
    assert outcomes[0].remark == f"{REMOVED}2026-06-11"
    assert await happening(connector, "maths@x") == sorted(occurrences(after), key=str)


async def test_a_part_that_was_removed_comes_back_with_its_file(connector: Connector) -> None:
    split, whole = (rows_of(FILES[name], "maths@x") for name in ("split", "no split"))
    for run, rows in enumerate((split, whole, split, whole)):
        await upload(connector, str(run), rows)
        assert await happening(connector, "maths@x") == sorted(occurrences(rows), key=str)


@pytest.mark.parametrize("size", [1, 100])
async def test_a_part_stays_that_the_series_of_the_file_ends_for(
    connector: Connector, size: int
) -> None:
    """A file may be an extract of what Google holds. The remark names what it does not have."""
    series, later = rows_of(FILES["split"], "maths@x")
    await upload(connector, "1", [series, later])
    held = await read_all(connector)
    (outcome,) = await upload(connector, "2", [series], records=size)
    assert (outcome.kind, outcome.remark) == (OutcomeKind.UNCHANGED, f"{KEPT}2026-06-11")
    assert await read_all(connector) == held
    times = {name: {**series[name], "timeZone": "Europe/Berlin"} for name in ("start", "end")}
    times["start"] = {"dateTime": "2026-06-04T09:30:00", "timeZone": "Europe/Berlin"}
    (outcome,) = await upload(connector, "3", [{**series, **times}], records=size)
    assert (outcome.kind, outcome.remark) == (OutcomeKind.UPDATED, f"{KEPT}2026-06-11")
    (outcome,) = await upload(
        connector, "4", [{"iCalUID": "maths@x"}], records=size, action=Action.DELETE
    )
    assert (outcome.kind, outcome.remark) == (OutcomeKind.DELETED, f"{KEPT}2026-06-11")
    assert len(await happening(connector, "maths@x")) == 3


@pytest.mark.parametrize("size", [2, 100])
async def test_a_part_with_a_row_by_its_id_is_left_to_that_row(
    connector: Connector, size: int
) -> None:
    """The file may name its events by Google's ids alone."""
    await upload(connector, "1", rows_of(FILES["split"], "maths@x"))
    first, later = await read_all(connector)
    rows = [
        {"id": first["id"], "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=1"]},
        {"id": later["id"], "location": "Attic"},
    ]
    outcomes = await upload(connector, "2", rows, action=Action.UPDATE, records=size)
    assert [(one.kind, one.remark) for one in outcomes] == [(OutcomeKind.UPDATED, "")] * 2
    assert len(await happening(connector, "maths@x")) == 4


@pytest.mark.parametrize("size", [1, 100])
async def test_the_parts_of_a_series_go_with_it_if_it_is_called_off(
    connector: Connector, size: int
) -> None:
    await upload(connector, "1", rows_of(FILES["two splits"], "maths@x"))
    (whole,) = rows_of(FILES["no split"], "maths@x")
    called_off = {**whole, "status": "cancelled"}
    (outcome,) = await upload(connector, "2", [called_off], records=size)
    assert outcome.kind is OutcomeKind.DELETED
    assert outcome.remark == f"{REMOVED}2026-06-11, 2026-06-18"
    assert await happening(connector, "maths@x") == []


@pytest.mark.parametrize("size", [1, 100])
async def test_a_part_without_a_mark_is_found_behind_the_end_of_its_series(
    connector: Connector, http: aiohttp.ClientSession, url: str, size: int
) -> None:
    """Google made it, for a person who changed all later dates; or an earlier openbulk."""
    await upload(connector, "1", rows_of(FILES["two splits"], "maths@x"))
    for event in await held_events(http, url):
        event["extendedProperties"]["private"].pop("openbulkSeries", None)
        await replace_event(http, url, event)
    (whole,) = rows_of(FILES["no split"], "maths@x")
    (outcome,) = await upload(connector, "2", [whole], records=size)
    assert outcome.remark == f"{REMOVED}2026-06-11, 2026-06-18"
    assert await happening(connector, "maths@x") == sorted(occurrences([whole]), key=str)


@pytest.mark.parametrize("size", [1, 100])
async def test_a_part_is_removed_after_a_kill_between_the_two_calls(
    connector: Connector, http: aiohttp.ClientSession, url: str, size: int
) -> None:
    """The series was written, and the process died before its part was removed."""
    (whole,) = rows_of(FILES["no split"], "maths@x")
    await upload(connector, "1", rows_of(FILES["split"], "maths@x"))
    (series,) = [one for one in await held_events(http, url) if one["iCalUID"] == "maths@x"]
    await replace_event(http, url, {**series, "recurrence": whole["recurrence"]})
    (outcome,) = await upload(connector, "2", [whole], records=size)
    assert (outcome.kind, outcome.remark) == (OutcomeKind.UNCHANGED, f"{REMOVED}2026-06-11")
    assert await happening(connector, "maths@x") == sorted(occurrences([whole]), key=str)


async def test_a_create_of_another_file_makes_nothing_happen_twice(connector: Connector) -> None:
    """A later part is created with its series, and without one, and never beside another's."""
    first, second = (rows_of(FILES[name], "maths@x") for name in ("split", "later split"))
    create = {"action": Action.CREATE}
    assert [one.kind for one in await upload(connector, "1", first, **create)] == [
        OutcomeKind.CREATED
    ] * 2
    series, later = await upload(connector, "2", second, **create)
    assert "the iCalUID 'maths@x' exists" in series.problem.message if series.problem else False
    assert later.is_early
    assert later.problem is not None
    assert "its dates would happen twice; use action upsert" in later.problem.message
    assert await happening(connector, "maths@x") == sorted(occurrences(first), key=str)
    # As from Google, without its series.
    await upload(connector, "3", first, action=Action.DELETE)
    (alone,) = await upload(connector, "4", second[1:], **create)
    assert alone.kind is OutcomeKind.CREATED


async def test_a_create_names_the_parts_that_take_place_beside_it(connector: Connector) -> None:
    """The series was deleted, and its later part was not."""
    await upload(connector, "1", rows_of(FILES["split"], "maths@x"))
    await upload(connector, "2", [{"iCalUID": "maths@x"}], action=Action.DELETE)
    whole = rows_of(FILES["no split"], "maths@x")
    (outcome,) = await upload(connector, "3", whole, action=Action.CREATE)
    assert outcome.kind is OutcomeKind.CREATED
    assert outcome.remark == (
        "the calendar has later parts of the series, which the file does not have, and which take "
        "place beside it, from these dates on: 2026-06-11"
    )


def change_from(date: str, hour: str) -> dict[str, Any]:
    """A row of JSON that moves all dates from one on."""
    berlin = {"timeZone": "Europe/Berlin"}
    return {
        "iCalUID": "maths@x",
        "originalStartTime": {"dateTime": f"{date}T10:00:00", "range": "THISANDFUTURE", **berlin},
        "start": {"dateTime": f"{date}T{hour}:00:00", **berlin},
        "end": {"dateTime": f"{date}T{hour}:30:00", **berlin},
    }


@pytest.mark.parametrize("size", [2, 100])
async def test_rows_that_change_later_dates_may_come_with_their_series(
    connector: Connector, size: int
) -> None:
    """They are the parts of their file, wherever the calendar has split the series before."""
    (whole,) = rows_of(FILES["no split"], "maths@x")
    for run, (date, hour) in enumerate([("2026-06-11", "12"), ("2026-06-18", "14")]):
        rows = [whole, change_from(date, hour)]
        for again in range(2):
            outcomes = await upload(connector, f"{run} {again}", rows, records=size)
            assert [one.problem for one in outcomes] == [None, None]
            days = ("2026-06-04", "2026-06-11", "2026-06-18", "2026-06-25")
            expected = [f"{day}T{hour if day >= date else 10}" for day in days]
            assert await starts(connector) == expected


async def test_all_later_dates_are_not_changed_over_a_part_of_their_own(
    connector: Connector,
) -> None:
    """Google has another event for these: half of the dates would change in silence."""
    await upload(connector, "1", rows_of(FILES["later split"], "maths@x"))
    held = await read_all(connector)
    for row in (change_from("2026-06-11", "12"), change_from("2026-06-11", "12") | OFF):
        (outcome,) = await upload(connector, "2", [row], action=Action.UPDATE)
        assert outcome.problem is not None
        assert "those from 2026-06-18 on are a series of their own" in outcome.problem.message
        assert await read_all(connector) == held


OFF = {"status": "cancelled"}


async def held_events(http: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with http.get(f"{url}/sandbox/events") as answer:
        listed: list[dict[str, Any]] = await answer.json()
    return listed


async def replace_event(http: aiohttp.ClientSession, url: str, event: Mapping[str, Any]) -> None:
    """Write an event as another program does."""
    async with http.post(f"{url}/sandbox/tokens", json={"user": ANN}) as answer:
        token = (await answer.json())["access_token"]
    address = f"{url}/calendar/v3/calendars/primary/events/{event['id']}"
    headers = {"Authorization": f"Bearer {token}"}
    fields = ("summary", "start", "end", "recurrence", "extendedProperties")
    body = {name: event[name] for name in fields}
    async with http.put(address, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
