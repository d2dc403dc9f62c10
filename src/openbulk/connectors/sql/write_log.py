"""The log of written batches, in the database itself, so that no batch is written twice.

An entry is written in the transaction of its batch: both are committed, or neither is. If a batch's
answer is lost, or its job dies before it records the outcomes, the log still has them.
"""

import time
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.schema import WRITES
from openbulk.domain.errors import RetryLater
from openbulk.domain.records import Outcome, OutcomeKind, Problem, Record

KEEP_SECONDS = 30 * 24 * 3600.0


def write_log_table(schema: str | None) -> sa.Table:
    """The table of the log: for each batch, its rows and their outcomes."""
    return sa.Table(
        WRITES,
        sa.MetaData(schema=schema),
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("first_row", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_row", sa.BigInteger, nullable=False),
        sa.Column("outcomes", sa.Text, nullable=False),
        sa.Column("written_at", sa.Double, nullable=False),
    )


def delete_old_entries(table: sa.Table) -> sa.Delete:
    """The statement that deletes entries that no job still needs."""
    return sa.delete(table).where(table.c.written_at < time.time() - KEEP_SECONDS)


class WriteLog:
    """The entries of one run, on a connection whose transaction has begun.

    Without a run (`Target.run`) nothing identifies a batch: none is found or logged.
    """

    def __init__(self, connection: AsyncConnection, table: sa.Table, run: str) -> None:
        self._connection = connection
        self._table = table
        self._run = run

    async def find(self, batch: Sequence[Record]) -> dict[int, Outcome]:
        """The outcomes of the batch's records that were written before, by row."""
        if not self._run:
            return {}
        rows = {record.row for record in batch}
        columns = self._table.c
        # A batch can be cut differently the second time, so any overlap counts.
        overlapping = sa.select(columns.outcomes).where(
            columns.run == self._run,
            columns.first_row <= max(rows),
            columns.last_row >= min(rows),
        )
        texts = (await self._connection.execute(overlapping)).scalars()
        return {one.row: one for one in _outcomes_in(texts) if one.row in rows}

    async def add(self, outcomes: Sequence[Outcome]) -> None:
        """Log the outcomes of a batch. Raises RetryLater if another process has just done so."""
        if not self._run or not outcomes:
            return
        rows = [outcome.row for outcome in outcomes]
        entry = {
            "run": self._run,
            "first_row": min(rows),
            "last_row": max(rows),
            "outcomes": orjson.dumps([_to_json(outcome) for outcome in outcomes]).decode(),
            "written_at": time.time(),
        }
        try:
            await self._connection.execute(sa.insert(self._table), entry)
        except IntegrityError as error:
            # A process considered dead still works on this job, and committed first.
            raise RetryLater("another process has just written the batch", after=0.0) from error


def _to_json(outcome: Outcome) -> list[Any]:
    fields: list[Any] = [outcome.row, outcome.kind.value, outcome.id]
    if outcome.problem is not None:
        fields += [outcome.problem.message, outcome.problem.field, outcome.problem.provider_message]
    return fields


def _outcomes_in(texts: Iterable[str]) -> Iterable[Outcome]:
    return map(_outcome_of, chain.from_iterable(map(orjson.loads, texts)))


def _outcome_of(fields: Sequence[Any]) -> Outcome:
    row, kind, record_id, *problem = fields
    return Outcome(row, OutcomeKind(kind), record_id, Problem(*problem) if problem else None)
