"""Writes the rows of a batch, each good one also beside bad ones.

If the database refuses a row, its neighbours are still written, and it is tried again once they
are: it may have referred to one of them.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.actions import RowActions
from openbulk.connectors.sql.failures import (
    Violation,
    is_of_rows,
    is_too_slow,
    may_get_better,
    violation_of,
)
from openbulk.connectors.sql.references import halves
from openbulk.connectors.sql.refusals import Refusals
from openbulk.connectors.sql.rows import Row, RowMapper
from openbulk.connectors.sql.schema import Reference
from openbulk.connectors.sql.statements import Statements, WrittenElsewhere
from openbulk.connectors.sql.suspects import cut_at_suspect
from openbulk.connectors.sql.waiting_rows import has_plain_key
from openbulk.domain.errors import OpenbulkError
from openbulk.domain.records import Action, Outcome, OutcomeKind

_T = TypeVar("_T")
_MAX_GUESSES = 10
"""In a batch. Among many bad rows, halves find them with fewer statements."""


class RolledBack(OpenbulkError):
    """An error of a row has ended the whole transaction: nothing of the batch is written."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__("an error of a row has ended the transaction")
        self.error = error


class RowWriter:
    """Writes the rows of one batch, in a transaction that has begun."""

    def __init__(
        self,
        connection: AsyncConnection,
        mapper: RowMapper,
        statements: Statements,
        actions: RowActions | None = None,
    ) -> None:
        """`actions` are those of rows that are planned, or whose plan is carried out."""
        self.actions = actions or RowActions(mapper, statements)
        self._connection = connection
        self._statements = statements
        self._is_sqlite = mapper.conversion.is_sqlite
        self._is_mysql = mapper.conversion.is_mysql
        self._table = mapper.table
        self._action = mapper.target.action
        self._refusals = Refusals(connection, mapper.table, mapper.target, statements)
        self._triggers: bool | None = None
        """Whether the table has triggers; None until it matters."""
        self._may_get_better: set[int] = set()
        """Numbers of refused rows that other rows may have been in the way of."""
        self._guesses = 0
        """How often the batch was cut at the row that an error spoke of."""
        self._refused: DBAPIError | None = None
        """The last error of an attempt."""
        self._needs_savepoint = self._is_sqlite
        """False before the first attempt in PostgreSQL: its transaction has only read so far."""

    async def write(self, rows: Sequence[Row], deferred: DBAPIError | None) -> list[Outcome]:
        """An outcome for each row. Refused rows are tried again until none of them gets better."""
        if deferred is None:
            outcomes = await self._bisect(rows)
        else:
            outcomes = await self._without_missing(rows, deferred) or await self._bisect(rows)
        tried = len(rows)
        while len(again := await self._rows_to_try_again(rows, outcomes)) not in {0, tried}:
            tried = len(again)
            outcomes |= await self._bisect(again)
        return [outcomes[row.number] for row in rows]

    async def _rows_to_try_again(
        self, rows: Sequence[Row], outcomes: dict[int, Outcome]
    ) -> Sequence[Row]:
        """The refused rows that may get better. Those that a later row has overtaken do not."""
        refused = [row for row in rows if row.number in self._may_get_better]
        if not refused or self._action is Action.CREATE:
            return refused
        written = [row for row in rows if outcomes[row.number].kind is not OutcomeKind.FAILED]
        overtaken = await self.actions.find_overtaken(refused, written)
        for row in refused:
            if row.number in overtaken:
                outcomes[row.number] = self.actions.overtaken_outcome(row, overtaken)
        return [row for row in refused if row.number not in overtaken]

    # --- a bad row among good ones ---

    async def _bisect(self, rows: Sequence[Row]) -> dict[int, Outcome]:
        """The outcomes of rows, by row number. If an attempt fails, its rows are tried in pieces,
        down to the bad row."""
        outcomes: dict[int, Outcome] = {}
        waiting = [rows] if rows else []
        while waiting:
            done, pieces = await self._try(waiting.pop())
            outcomes |= done
            waiting += filter(None, reversed(pieces))
        return outcomes

    async def _try(self, rows: Sequence[Row]) -> tuple[dict[int, Outcome], Sequence[Sequence[Row]]]:
        """The outcomes of an attempt, and the pieces to try in its place if it fails."""
        try:
            async with self._undo_on_error():
                attempted = await self._note_error(self.actions.attempt(rows))
                self._may_get_better.difference_update(row.number for row in rows)
                return {outcome.row: outcome for outcome in attempted}, ()
        except WrittenElsewhere:
            pieces = halves(self._table, rows) if self.actions.counts_inserted else (rows,)
            self.actions.counts_inserted = True
            return {}, pieces
        except DBAPIError as refused:
            error = refused
        if self.actions.inserts_at_once and is_of_rows(error) is None:
            # The table may have a rule, or its user may only update.
            self.actions.inserts_at_once = False
            return {}, (rows,)
        if len(rows) == 1 or not is_too_slow(error):
            await self._require_about_rows(error)
        if len(rows) == 1:
            return {rows[0].number: await self._refusal(rows[0], error)}, ()
        if outcomes := await self._without_missing(rows, error):
            return outcomes, ()
        if errors := await self._find_refused(rows, error):
            outcomes = {
                row.number: await self._refusal(row, errors[row.number])
                for row in rows
                if row.number in errors
            }
            return outcomes, ([row for row in rows if row.number not in errors],)
        return {}, self._pieces(rows, error)

    def _pieces(self, rows: Sequence[Row], error: DBAPIError) -> Sequence[Sequence[Row]]:
        """The rows around the one that an error speaks of, or halves."""
        if self._guesses < _MAX_GUESSES and not self._table.refers_to_itself:
            self._guesses += 1
            if pieces := cut_at_suspect(rows, error):
                return pieces
        return halves(self._table, rows)

    async def _find_refused(
        self, rows: Sequence[Row], error: DBAPIError
    ) -> Mapping[int, DBAPIError]:
        """The rows that the database refuses, with its errors; none if it does not say which.

        `error` is that of all of them together. Nothing of it stays written.
        """
        if is_too_slow(error):
            return {}
        try:
            async with self._connection.begin_nested() as savepoint:
                refused = await self._note_error(self.actions.find_refused(rows))
                await savepoint.rollback()
        except DBAPIError as failed:
            if failed.connection_invalidated:
                raise
            await self._require_transaction(failed)
            return {}
        if any(is_of_rows(one) is False for one in refused.values()):
            return {}
        return {number: one for number, one in refused.items() if self._is_certain(rows, one)}

    def _is_certain(self, rows: Sequence[Row], error: DBAPIError) -> bool:
        """Whether a row that was refused among these, each tried alone, is refused in any case."""
        if is_of_rows(error) is None:
            return False  # the user may not write this way at all
        if self._table.refers_to_itself:
            # It may refer to a later row, or both to one another: together they can be written.
            return not may_get_better(error, is_insert=self._action is Action.CREATE)
        # What was tried is undone, but for the numbers that the database gave: a number in the
        # file may have been another row's.
        return violation_of(error) is not Violation.UNIQUE or not self._mixes_numbers(rows)

    def _mixes_numbers(self, rows: Sequence[Row]) -> bool:
        """Whether some rows have a number that the database gives others."""
        numbered = [one.name for one in self._table.columns.values() if one.is_numbered]
        return any(len({name in row.values for row in rows}) > 1 for name in numbered)

    async def _note_error(self, attempt: Awaitable[_T]) -> _T:
        """The result of an attempt. Its error is kept: that of its savepoint may come behind it."""
        try:
            return await attempt
        except DBAPIError as error:
            self._refused = error
            raise

    @asynccontextmanager
    async def _undo_on_error(self) -> AsyncIterator[None]:
        """Undo an attempt if it fails, and nothing that was written before it."""
        if self._needs_savepoint:
            async with self._connection.begin_nested():
                yield
            return
        self._needs_savepoint = True
        try:
            yield
        except (DBAPIError, WrittenElsewhere):
            # The driver begins the next transaction with the next statement. A savepoint would
            # cost two statements for each batch that has no bad row.
            if not self._connection.invalidated:
                await self._connection.exec_driver_sql("ROLLBACK")
            raise

    async def _require_about_rows(self, error: DBAPIError) -> None:
        """Raise an error that is not about rows: then no other row could be written either."""
        if not error.connection_invalidated:
            await self._require_transaction(error)
        is_about_rows = is_of_rows(error)
        if is_about_rows is None:
            is_about_rows = await self._statements.works_without_rows()
        if not is_about_rows:
            raise error

    async def _require_transaction(self, error: DBAPIError) -> None:
        """Raise RolledBack if the error ended the transaction, as SQLite's RAISE(ROLLBACK) does.

        https://sqlite.org/lang_createtrigger.html
        """
        if self._is_mysql and self._refused is not None and is_of_rows(self._refused) is False:
            # A deadlock has ended the transaction: `error` is that of a savepoint that is gone.
            raise self._refused
        if not self._is_sqlite:
            return
        raw = await self._connection.get_raw_connection()
        driver: Any = raw.driver_connection
        if not driver.in_transaction:
            # `error` may be that of the savepoint, which is gone, too.
            raise RolledBack(self._refused or error)

    # --- rows that the database refuses ---

    async def _without_missing(self, rows: Sequence[Row], error: DBAPIError) -> dict[int, Outcome]:
        """The outcomes of rows, if some of them refer to rows that do not exist: those are refused
        at once, and the others written. Empty if the database does not show which ones they are."""
        is_reference = violation_of(error) is Violation.REFERENCE
        if self._action is Action.DELETE or not is_reference or await self._has_triggers():
            return {}
        missing = await self._find_missing(rows)
        if not missing:
            return {}
        outcomes: dict[int, Outcome] = {}
        for row in rows:
            if row.number in missing:
                outcome = self._refusals.of_missing(row, missing[row.number], error)
                outcomes[row.number] = self._or_early(
                    row, outcome, may_get_better=missing[row.number].table is self._table.sql
                )
        rest = [row for row in rows if row.number not in missing]
        return outcomes | await self._bisect(rest)

    async def _find_missing(self, rows: Sequence[Row]) -> Mapping[int, Reference]:
        """The rows that refer to rows that do not exist, or to such rows themselves."""
        missing: dict[int, Reference] = {}
        dependents: defaultdict[int, list[tuple[int, Reference]]] = defaultdict(list)
        for reference in self._table.references:
            for number, other in (await self._refusals.find_missing(rows, reference)).items():
                if other is None:
                    missing[number] = reference
                else:
                    dependents[other].append((number, reference))
        found = list(missing)
        while found:
            for number, reference in dependents.pop(found.pop(), ()):
                if number not in missing:
                    missing[number] = reference
                    found.append(number)
        return missing

    async def _has_triggers(self) -> bool:
        """Whether the table has triggers, which may make what is missing."""
        if self._triggers is None:
            self._triggers = await self._statements.has_triggers()
        return self._triggers

    async def _refusal(self, row: Row, error: DBAPIError) -> Outcome:
        """The outcome of a row that the database refuses alone."""
        outcome = await self._refusals.outcome(row, error)
        is_insert = self._action is Action.CREATE
        can = may_get_better(error, is_insert=is_insert)
        if is_insert and violation_of(error) is Violation.UNIQUE:
            outcome = self.actions.drift_of_taken(row) or outcome
        return self._or_early(row, outcome, may_get_better=can)

    def _or_early(self, row: Row, outcome: Outcome, *, may_get_better: bool) -> Outcome:
        """The outcome of a refused row; it is early if other rows may be in its way."""
        if not may_get_better:
            self._may_get_better.discard(row.number)
            return outcome
        self._may_get_better.add(row.number)
        return outcome._replace(is_early=has_plain_key(row))
