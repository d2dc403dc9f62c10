"""Writes batches into a table, each in one transaction, and logs what became of each row."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.actions import RowActions
from openbulk.connectors.sql.bisection import RowWriter
from openbulk.connectors.sql.dialects import mapper_of, statements_of
from openbulk.connectors.sql.refusals import Refusals
from openbulk.connectors.sql.rows import Row, RowMapper
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.statements import Statements
from openbulk.connectors.sql.traces import Traces
from openbulk.connectors.sql.undoing import TableUndo
from openbulk.connectors.sql.waiting_rows import WaitingRows
from openbulk.connectors.sql.write_log import WriteLog
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.domain.undo import Reversal


@dataclass(frozen=True, slots=True)
class BatchWriter:
    """Writes batches of a job into a table, on a connection whose transaction has begun."""

    connection: AsyncConnection
    table: Table
    target: Target
    write_log: sa.Table
    """The table of the write log."""

    async def write(
        self, batch: Sequence[Record], deferred: DBAPIError | None = None
    ) -> list[Outcome]:
        """Write and log the records that are not in the write log yet; return an outcome for each.

        `deferred` is the error with which SQLite refused to commit the batch, as a row refers to a
        row that does not exist. Raises SQLAlchemyError, RolledBack, and RetryLater.
        """
        log = WriteLog(self.connection, self.write_log, self.target)
        known = await self._with_versions(batch, await log.find(batch))
        rest = [record for record in batch if record.row not in known]
        if not rest:
            return list(known.values())
        return [*known.values(), *await self._write(rest, log, deferred)]

    async def _with_versions(
        self, batch: Sequence[Record], known: dict[int, Outcome]
    ) -> dict[int, Outcome]:
        """Outcomes from the log, which has no versions that are values: the rows have them."""
        traces = self._traces(self._statements())
        new = {row for row, one in known.items() if one.kind is OutcomeKind.CREATED}
        new = {row for row in new if known[row].version is None}
        if traces is None or not new:
            return known
        rows, _ = self._mapper().rows([record for record in batch if record.row in new])
        versions = await traces.versions_of_new(rows, [known[row.number].id for row in rows])
        pairs = zip(rows, versions, strict=True)
        return known | {
            row.number: known[row.number]._replace(version=version) for row, version in pairs
        }

    async def undo(
        self, batch: Sequence[Reversal], *, overwrites: bool, is_trial: bool
    ) -> Sequence[Outcome]:
        """Put rows back. Raises SQLAlchemyError, and RetryLater."""
        undo = TableUndo(
            self.connection, self.table, self.target, self._statements(), self.write_log
        )
        return await undo.undo(batch, overwrites=overwrites, is_trial=is_trial)

    async def _write(
        self, batch: Sequence[Record], log: WriteLog, deferred: DBAPIError | None
    ) -> list[Outcome]:
        try:
            mapper = self._mapper()
        except FieldError as error:
            outcomes = [error.outcome(record.row) for record in batch]
            await log.add(outcomes)
            return outcomes
        rows, outcomes = mapper.rows(batch)
        expected = {one.row: one.expected for one in batch if one.expected is not None}
        statements = self._statements()
        actions = RowActions(mapper, statements, expected, traces=self._traces(statements))
        writer = RowWriter(self.connection, mapper, statements, actions)
        outcomes = mapper.with_remarks([*outcomes, *await writer.write(rows, deferred)])
        # Those that come too early are sent again.
        await log.add([outcome for outcome in outcomes if not outcome.is_early])
        if log.run and self.target.action in (Action.UPSERT, Action.UPDATE):
            waiting = WaitingRows(self.connection, self.write_log, log.run, mapper.identifiers)
            await _update_waiting_rows(waiting, writer, log, rows, outcomes)
        return outcomes

    def _traces(self, statements: Statements) -> Traces | None:
        """What the batch overwrites, if its job can be undone."""
        return None if self.target.before_images is None else Traces(self.table, statements)

    async def refuse(self, record: Record, error: DBAPIError) -> Outcome:
        """Log that a record is refused whose error has ended its transaction."""
        outcome = await self.refusal(record, error)
        await WriteLog(self.connection, self.write_log, self.target).add([outcome])
        return outcome

    async def refusal(self, record: Record, error: DBAPIError) -> Outcome:
        """The outcome of a record whose error has ended its transaction."""
        row = self._mapper().row(record)
        refusals = Refusals(self.connection, self.table, self.target, self._statements())
        return await refusals.outcome(row, error)

    def _mapper(self) -> RowMapper:
        return mapper_of(self.table, self.target, self.connection.dialect.name)

    def _statements(self) -> Statements:
        return statements_of(self.connection, self.table)


async def _update_waiting_rows(
    waiting: WaitingRows,
    writer: RowWriter,
    log: WriteLog,
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
) -> None:
    """Note which rows of a batch wait, and refuse earlier ones that it has overtaken."""
    if not rows:
        return
    by_number = {outcome.row: outcome for outcome in outcomes}
    early = {outcome.row for outcome in outcomes if outcome.is_early}
    now_waiting = {row.number: row for row in rows if row.number in early}
    finished: set[int] = set()
    async for others in waiting.before(rows[-1].number):
        written = [row for row in rows if by_number[row.number].kind is not OutcomeKind.FAILED]
        finished.update(row.number for row in others if row.number in by_number)
        earlier = [row for row in others if row.number not in by_number]
        overtaken = await writer.actions.find_overtaken(earlier, written)
        finished |= overtaken.keys()
        await log.add(
            [
                writer.actions.overtaken_outcome(row, overtaken)
                for row in earlier
                if row.number in overtaken
            ]
        )
    new = [row for number, row in now_waiting.items() if number not in finished]
    await waiting.remove(finished - now_waiting.keys())
    await waiting.add([row for row in new if row.identity])
