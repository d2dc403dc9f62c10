"""Rows of one job that two processes send in turn: no event takes the place of another."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record
from openbulk.testing.connectors import Connect
from support import forget
from support.google_sandbox import configuration, event, read_all, target

FIRST, OTHER = event("Maths", iCalUID="a@x"), event("Art", iCalUID="a@x")
ONE_EVENT = {
    "iCalUID": ({"iCalUID": "a@x"}, None, "the iCalUID 'a@x'"),
    "id": ({"id": "maths2026"}, None, "the id 'maths2026'"),
    "a column of their own": ({"number": "7"}, "number", "the number '7'"),
}
"""What two rows have in common, the column that the caller names, and the words of an error."""


@dataclass
class Ledger:
    """What the slices of one job have recorded."""

    rows: dict[int, tuple[Record, str | None]] = field(default_factory=dict)
    fence: int = 0
    reads: list[int] = field(default_factory=list)

    async def send(
        self, connector: Connector, number: int, values: dict[str, Any], **more: Any
    ) -> Outcome:
        """The outcome of a row that one slice sends."""
        self.fence += 1
        done = max(self.rows, default=0)
        records = Records(self, self.fence, done, done)
        record = Record(number, values, key=f"run:{number}")
        (outcome,) = await connector.write(target(job_records=records, **more), [record])
        self.rows[number] = record, None if outcome.problem else outcome.id
        return outcome


@dataclass
class Records:
    """The records of the job, as one slice reads them."""

    ledger: Ledger
    fence: int
    cursor: int
    last: int

    async def each(self, after: int = 0) -> AsyncIterator[tuple[Record, str | None]]:
        self.ledger.reads.append(after)
        for number in range(after + 1, self.last + 1):
            yield self.ledger.rows[number]


@pytest.fixture
async def connect(http: aiohttp.ClientSession, url: str) -> Connect:
    """Connects a further process to the account."""
    settings = await configuration(http, url)
    return lambda: GoogleCalendarProvider().connect(ConnectionContext(settings, http, forget))


def is_refused(outcome: Outcome) -> bool:
    problem = outcome.problem
    return problem is not None and "row 2 has the iCalUID 'a@x', too" in problem.message


async def test_a_row_of_another_process_counts(connect: Connect) -> None:
    """Two processes take turns; each knows what the other one has sent."""
    ledger, one, two = Ledger(), connect(), connect()
    await ledger.send(one, 1, event("Choir", iCalUID="b@x"))
    await ledger.send(two, 2, FIRST)
    assert is_refused(await ledger.send(one, 3, OTHER))
    assert is_refused(await ledger.send(two, 4, OTHER))
    assert is_refused(await ledger.send(one, 5, OTHER))
    assert ledger.reads == [0, 0, 2], "what a process knows it reads once"


async def test_rows_of_this_process_are_not_read_again(connector: Connector) -> None:
    ledger = Ledger()
    await ledger.send(connector, 1, event("Choir", iCalUID="b@x"))
    await ledger.send(connector, 2, FIRST)
    assert is_refused(await ledger.send(connector, 3, OTHER))
    assert ledger.reads == []


async def test_a_row_that_was_refused_claims_nothing_for_another_process(
    connect: Connect,
) -> None:
    ledger = Ledger()
    await ledger.send(connect(), 1, event("Maths", iCalUID="a@x"))
    ledger.rows[1] = ledger.rows[1][0], None
    outcome = await ledger.send(connect(), 2, OTHER)
    assert outcome.kind is OutcomeKind.UPDATED


def problem_of(outcome: Outcome) -> str:
    return "" if outcome.problem is None else outcome.problem.message


@pytest.mark.parametrize("action", [Action.CREATE, Action.UPSERT, Action.UPDATE])
@pytest.mark.parametrize("case", ONE_EVENT)
@pytest.mark.parametrize("processes", [1, 2])
async def test_two_events_with_one_identifier_are_an_error_of_the_later_row(
    connect: Connect, case: str, action: Action, processes: int
) -> None:
    """Also if another process has sent the earlier row."""
    same, column, words = ONE_EVENT[case]
    if column and action is Action.CREATE:
        return  # a row without an id is an event of its own
    connectors = [connect() for _ in range(processes)]
    if action is Action.UPDATE:
        before = Ledger()
        await before.send(connectors[0], 1, event("Old", **same), identifier=column)
    more: dict[str, Any] = {"action": action, "identifier": column, "run": "2"}
    ledger = Ledger()
    await ledger.send(connectors[0], 1, event("Choir", iCalUID="b@x", number="8"), **more)
    first = await ledger.send(connectors[0], 2, event("Maths", **same), **more)
    assert first.problem is None
    twin = await ledger.send(connectors[-1], 3, event("Maths", **same), **more)
    other = await ledger.send(connectors[-1], 4, event("Art", **same), **more)
    assert f"row 2 has {words}, too" in problem_of(other)
    if action is not Action.CREATE:
        assert twin.kind is OutcomeKind.UNCHANGED
        assert "is another event by its summary" in problem_of(other)
    held = [one["summary"] for one in await read_all(connectors[0])]
    assert held.count("Maths") == 1
    assert "Art" not in held


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("case", ONE_EVENT)
async def test_two_rows_may_be_parts_of_one_event(
    connect: Connect, case: str, processes: int
) -> None:
    """Each sets fields that the other one does not: an update says what is to change."""
    same, column, words = ONE_EVENT[case]
    connectors = [connect() for _ in range(processes)]
    await Ledger().send(connectors[0], 1, event("Old", **same), identifier=column)
    more: dict[str, Any] = {"action": Action.UPDATE, "identifier": column, "run": "2"}
    ledger = Ledger()
    named = await ledger.send(connectors[0], 1, {**same, "summary": "Maths"}, **more)
    times = {name: {"date": f"2026-04-0{day}"} for day, name in enumerate(("start", "end"), 1)}
    moved = await ledger.send(connectors[-1], 2, {**same, **times}, **more)
    assert [named.kind, moved.kind] == [OutcomeKind.UPDATED] * 2
    again = await ledger.send(connectors[0], 3, {**same, "start": {"date": "2026-03-31"}}, **more)
    assert f"row 2 has {words}, too, and is another event by its start" in problem_of(again)
    (held,) = await read_all(connectors[0])
    assert (held["summary"], held["start"]["date"]) == ("Maths", "2026-04-01")
