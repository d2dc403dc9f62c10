"""The log of written batches, in the database itself, so that no batch is written twice.

An entry is written in the transaction of its batch: both are committed, or neither is. If a batch's
answer is lost, or its job dies before it records the outcomes, the log still has them.
"""

import time
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.schema import WRITES
from openbulk.domain.errors import RetryLater
from openbulk.domain.records import Before, Outcome, OutcomeKind, Problem, Record, Target
from openbulk.exact_json import pack_line, unpack_line

KEEP_SECONDS = 30 * 24 * 3600.0


_MYSQL_RUN = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
"""MySQL has no index on a whole text, and takes letters of another case for the same."""


def write_log_table(schema: str | None) -> sa.Table:
    """The table of the log: for each batch, its rows and their outcomes."""
    return sa.Table(
        WRITES,
        sa.MetaData(schema=schema),
        sa.Column("run", sa.Text().with_variant(_MYSQL_RUN, "mysql"), primary_key=True),
        sa.Column("first_row", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_row", sa.BigInteger, nullable=False),
        sa.Column("outcomes", sa.Text().with_variant(mysql.LONGTEXT(), "mysql"), nullable=False),
        sa.Column("written_at", sa.Double, nullable=False),
        mysql_engine="InnoDB",
        mysql_default_charset="utf8mb4",
    )


def delete_old_entries(table: sa.Table) -> sa.Delete:
    """The statement that deletes entries that no job still needs."""
    return sa.delete(table).where(table.c.written_at < time.time() - KEEP_SECONDS)


class WriteLog:
    """The entries of one run, on a connection whose transaction has begun.

    Each entry has the outcomes of rows that follow one another without a gap. Without a run
    (`Target.run`) nothing identifies a batch: none is found or logged.
    """

    def __init__(self, connection: AsyncConnection, table: sa.Table, target: Target) -> None:
        self.run = target.run
        self._earlier_runs = target.earlier_runs
        self._connection = connection
        self._table = table
        self._records = target.records

    async def find(self, batch: Sequence[Record]) -> dict[int, Outcome]:
        """The outcomes of the batch's records that were written before, by row.

        A retry also finds what earlier jobs have written of its rows, whatever came of the answer.
        """
        rows = {record.row for record in batch}
        found: dict[int, Outcome] = {}
        for run in self._earlier_runs:
            earlier = await self._find(run, rows)
            found |= {row: one for row, one in earlier.items() if one.problem is None}
        return found | await self._find(self.run, rows)

    async def _find(self, run: str, rows: Collection[int]) -> dict[int, Outcome]:
        entries = await self._entries_with(run, rows)
        found: dict[int, Outcome] = {}
        for begin in range(0, len(entries), _ENTRIES_AT_ONCE):
            texts = sa.select(self._table.c.outcomes).where(
                self._table.c.run == run,
                self._table.c.first_row.in_(entries[begin : begin + _ENTRIES_AT_ONCE]),
            )
            outcomes = _outcomes_in((await self._connection.execute(texts)).scalars())
            found.update((one.row, one) for one in outcomes if one.row in rows)
        return found

    async def _entries_with(self, run: str, rows: Collection[int]) -> list[int]:
        """The first rows of the entries of a run that have one of these rows."""
        if not run or not rows:
            return []
        columns = self._table.c
        # A batch can be cut differently the second time, so any overlap counts.
        overlapping = sa.select(columns.first_row, columns.last_row).where(
            columns.run == run,
            columns.first_row <= max(rows),
            columns.last_row >= min(rows),
        )
        ordered = sorted(rows)
        return [
            first
            for first, last in await self._connection.execute(overlapping)
            if ordered[bisect_left(ordered, first)] <= last
        ]

    async def add(self, outcomes: Sequence[Outcome]) -> None:
        """Log the outcomes of a batch. Raises RetryLater if another process has just done so."""
        if not self.run or not outcomes:
            return
        await self._require_unwritten([outcome.row for outcome in outcomes])
        entries = list(map(self._entry, _without_gaps(outcomes)))
        try:
            await self._connection.execute(sa.insert(self._table), entries)
        except IntegrityError as error:
            raise _written_elsewhere() from error

    def _entry(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        return {
            "run": self.run,
            "first_row": outcomes[0].row,
            "last_row": outcomes[-1].row,
            "outcomes": pack_line([_to_json(outcome) for outcome in outcomes]).decode(),
            "written_at": time.time(),
        }

    async def _require_unwritten(self, rows: Collection[int]) -> None:
        """Raise RetryLater if another process has written one of these rows since `find`.

        A process that is considered dead may still work on this job, with batches that are cut
        differently. From here to the end of the transaction, one process at a time looks and logs.
        """
        dialect = self._connection.dialect.name
        # SQLite has one writer at a time, and batches of the whole job are cut alike.
        if dialect == "sqlite" or len(rows) == self._records:
            return
        if dialect == "mysql":
            await self._lock_entry()
        else:
            await self._connection.execute(_LOCK, {"run": self.run})
        if await self._entries_with(self.run, rows):
            raise _written_elsewhere()

    async def _lock_entry(self) -> None:
        """Lock an entry of the run's own until the end of the transaction, and make it first.

        MySQL's named locks belong to sessions, and would outlive the transaction.
        """
        entry = {"run": f"{self.run}/lock", "first_row": 0, "last_row": 0, "outcomes": "[]"}
        insert = mysql.insert(self._table).values(**entry, written_at=time.time())
        await self._connection.execute(
            insert.on_duplicate_key_update(last_row=self._table.c.last_row)
        )


_ENTRIES_AT_ONCE = 500
_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtext('openbulk'), hashtext(:run))")


def _written_elsewhere() -> RetryLater:
    return RetryLater("another process has just written the batch", after=0.0)


def _without_gaps(outcomes: Sequence[Outcome]) -> list[Sequence[Outcome]]:
    """Outcomes in the order of their rows, cut where a row is missing."""
    ordered = sorted(outcomes, key=attrgetter("row"))
    if ordered[-1].row - ordered[0].row == len(ordered) - 1:
        return [ordered]
    ranges = groupby(enumerate(ordered), lambda pair: pair[1].row - pair[0])
    return [[outcome for _, outcome in pairs] for _, pairs in ranges]


def _to_json(outcome: Outcome) -> list[Any]:
    # orjson writes the kind as its value.
    fields: list[Any] = [outcome.row, outcome.kind, outcome.id]
    if outcome.problem is not None:
        return [*fields, *_problem_fields(outcome.problem), *_trace_fields(outcome)]
    if outcome.before is not None:
        return [*fields, None, None, None, *_trace_fields(outcome)]
    if isinstance(outcome.version, str):
        fields.append(outcome.version)
    return fields


def _problem_fields(problem: Problem) -> list[Any]:
    return [problem.message, problem.field, problem.provider_message]


def _trace_fields(outcome: Outcome) -> list[Any]:
    """What an undo needs of an outcome; nothing if it has overwritten nothing."""
    return [] if outcome.before is None else [list(outcome.before), outcome.version]


def _outcomes_in(texts: Iterable[str]) -> Iterable[Outcome]:
    lines = (unpack_line(text.encode()) for text in texts)
    return map(_outcome_of, chain.from_iterable(lines))


def _outcome_of(fields: Sequence[Any]) -> Outcome:
    row, kind, record_id, *others = fields
    outcome = Outcome(row, OutcomeKind(kind), record_id)
    if len(others) == 1:
        return outcome._replace(version=others[0])
    if others and others[0] is not None:
        outcome = outcome._replace(problem=Problem(*others[:3]))
    if len(others) > 3:
        outcome = outcome._replace(before=Before(*others[3]), version=others[4])
    return outcome
