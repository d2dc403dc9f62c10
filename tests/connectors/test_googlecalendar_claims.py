"""Rows of one job that two processes send in turn: no event takes the place of another."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.records import Outcome, OutcomeKind, Record
from openbulk.testing.connectors import Connect
from support import forget
from support.google_sandbox import configuration, event, target

FIRST, OTHER = event("Maths", iCalUID="a@x"), event("Art", iCalUID="a@x")


@dataclass
class Ledger:
    """What the slices of one job have recorded."""

    rows: dict[int, tuple[Record, str | None]] = field(default_factory=dict)
    fence: int = 0
    reads: list[int] = field(default_factory=list)

    async def send(self, connector: Connector, number: int, values: dict[str, Any]) -> Outcome:
        """The outcome of a row that one slice sends."""
        self.fence += 1
        done = max(self.rows, default=0)
        records = Records(self, self.fence, done, done)
        record = Record(number, values, key=f"run:{number}")
        (outcome,) = await connector.write(target(job_records=records), [record])
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
