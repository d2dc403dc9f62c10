"""Calendar files whose series change from one date on, sent again: what happens is as in the file."""

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import Connector
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record
from openbulk.formats.ics import Ics
from support.google_sandbox import calls, read_all, target, write_rows
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


class File:
    """The records of a job, as the engine hands them to a connector."""

    fence, cursor, last = 1, 0, 0

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows

    async def each(self, after: int = 0) -> AsyncIterator[tuple[Record, str | None]]:
        for number, values in enumerate(self._rows, 1):
            yield Record(number, values), None


async def upload(
    connector: Connector, run: str, rows: Sequence[Mapping[str, Any]], **more: Any
) -> Sequence[Outcome]:
    """The outcomes of the rows of one file."""
    return await write_rows(connector, target(run=run, job_records=File(rows), **more), *rows)


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


@pytest.mark.parametrize("records", [2, 100])
@pytest.mark.parametrize("first", FILES)
async def test_after_any_two_files_what_happens_is_as_in_the_second(
    connector: Connector, first: str, records: int
) -> None:
    """Whether the series is split, moved, has another rule; of a small job, and of a large one."""
    for number, second in enumerate(FILES):
        uid = f"maths{number}@x"
        before, after = rows_of(FILES[first], uid), rows_of(FILES[second], uid)
        await upload(connector, f"{number} a", before, records=records)
        outcomes = await upload(connector, f"{number} b", after, records=records)
        wrong = [one.problem for one in outcomes if one.problem is not None]
        assert not wrong, (second, wrong)
        assert await happening(connector, uid) == sorted(occurrences(after), key=str), second
        again = await upload(connector, f"{number} c", after, records=records)
        assert {one.kind for one in again} == {OutcomeKind.UNCHANGED}, second
        assert "removed" not in " ".join(one.remark for one in again)
