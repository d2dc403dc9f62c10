"""Writes batches into a table, each in one transaction.

If the database refuses a row, its neighbours are still written, and it is tried again once they
are: it may have referred to one of them.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.comparison import is_same
from openbulk.connectors.sql.failures import (
    Violation,
    is_of_rows,
    is_too_slow,
    may_get_better,
    violation_of,
)
from openbulk.connectors.sql.postgresql_statements import PostgresqlStatements
from openbulk.connectors.sql.references import halves
from openbulk.connectors.sql.refusals import Refusals
from openbulk.connectors.sql.rows import Row, RowMapper, computed_column_error
from openbulk.connectors.sql.schema import Reference, Table
from openbulk.connectors.sql.sqlite_statements import SqliteStatements
from openbulk.connectors.sql.statements import Found, Statements, WrittenElsewhere
from openbulk.connectors.sql.waiting_rows import WaitingRows, has_plain_key
from openbulk.connectors.sql.write_log import WriteLog
from openbulk.domain.errors import OpenbulkError
from openbulk.domain.records import Action, Outcome, OutcomeKind, Problem, Record, Target

Match = Mapping[str, Any]
"""A row of the table, with the columns that were asked for."""


class RolledBack(OpenbulkError):
    """An error of a row has ended the whole transaction: nothing of the batch is written."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__("an error of a row has ended the transaction")
        self.error = error


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
        known = await log.find(batch)
        rest = [record for record in batch if record.row not in known]
        if not rest:
            return list(known.values())
        return [*known.values(), *await self._write(rest, log, deferred)]

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
        writer = _RowWriter(self.connection, mapper, self._statements())
        outcomes += await writer.write(rows, deferred)
        # Those that come too early are sent again.
        await log.add([outcome for outcome in outcomes if not outcome.is_early])
        if log.run and self.target.action in (Action.UPSERT, Action.UPDATE):
            waiting = WaitingRows(self.connection, self.write_log, log.run, mapper.identifiers)
            await _update_waiting_rows(waiting, writer, log, rows, outcomes)
        return outcomes

    async def refuse(self, record: Record, error: DBAPIError) -> Outcome:
        """Log that a record is refused whose error has ended its transaction."""
        row, log = (
            self._mapper().row(record),
            WriteLog(self.connection, self.write_log, self.target),
        )
        refusals = Refusals(self.connection, self.table, self.target, self._statements())
        outcome = await refusals.outcome(row, error)
        await log.add([outcome])
        return outcome

    def _mapper(self) -> RowMapper:
        return RowMapper.of(self.table, self.target, is_sqlite=self._is_sqlite)

    def _statements(self) -> Statements:
        statements = SqliteStatements if self._is_sqlite else PostgresqlStatements
        return statements(self.connection, self.table)

    @property
    def _is_sqlite(self) -> bool:
        return self.connection.dialect.name == "sqlite"


async def _update_waiting_rows(
    waiting: WaitingRows,
    writer: "_RowWriter",
    log: WriteLog,
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
) -> None:
    """Note which rows of a batch wait, and refuse earlier ones that it has overtaken."""
    if not rows:
        return
    by_number = {outcome.row: outcome for outcome in outcomes}
    written = [row for row in rows if by_number[row.number].kind is not OutcomeKind.FAILED]
    now_waiting = {row.number: row for row in rows if by_number[row.number].is_early}
    finished: set[int] = set()
    async for others in waiting.before(rows[-1].number):
        finished.update(row.number for row in others if row.number in by_number)
        earlier = [row for row in others if row.number not in by_number]
        overtaken = await writer.find_overtaken(earlier, written)
        finished |= overtaken.keys()
        await log.add(
            [writer.overtaken(row, overtaken) for row in earlier if row.number in overtaken]
        )
    new = [row for number, row in now_waiting.items() if number not in finished]
    await waiting.remove(finished - now_waiting.keys())
    await waiting.add([row for row in new if row.identity])


class _RowWriter:
    """Does the target's action with rows."""

    def __init__(
        self, connection: AsyncConnection, mapper: RowMapper, statements: Statements
    ) -> None:
        self._connection = connection
        self._mapper = mapper
        self._statements = statements
        self._table = mapper.table
        self._action = mapper.target.action
        self._refusals = Refusals(connection, mapper.table, mapper.target, statements)
        self._triggers: bool | None = None
        """Whether the table has triggers; None until it matters."""
        self._may_get_better: set[int] = set()
        """Numbers of refused rows that other rows may have been in the way of."""
        self._refused: DBAPIError | None = None
        """The last error of an attempt."""
        self._needs_savepoint = mapper.conversion.is_sqlite
        """False before the first attempt in PostgreSQL: its transaction has only read so far."""
        self._counts_inserted = False
        """Whether the database holds rows back, so that they have to be counted."""

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
        overtaken = await self.find_overtaken(refused, written)
        for row in refused:
            if row.number in overtaken:
                outcomes[row.number] = self.overtaken(row, overtaken)
        return [row for row in refused if row.number not in overtaken]

    async def find_overtaken(
        self, refused: Sequence[Row], written: Sequence[Row]
    ) -> Mapping[int, int]:
        """The numbers of refused rows that may not be written any more.

        Each with the number of a later row with the same identity that is written: it counts.
        """
        refused = [row for row in refused if row.identity]
        if not refused or not written:
            return {}
        found = await self._find(sorted([*refused, *written], key=_number), ())
        last = {found[row.number].first: row.number for row in written if row.identity}
        pairs = {row.number: last.get(found[row.number].first, 0) for row in refused}
        return {number: later for number, later in pairs.items() if later > number}

    def overtaken(self, row: Row, overtaken: Mapping[int, int]) -> Outcome:
        """The outcome of a row that a later one has overtaken."""
        return Outcome.failure(
            row.number,
            f"row {overtaken[row.number]} of the file, which also has "
            f"{self._mapper.identity_text(row)}, was written before this one, which had to wait "
            "for another row; send this one again if its values are the right ones",
            field=self._mapper.identifiers[0],
        )

    # --- the target's action, with rows in one attempt ---

    async def _attempt_checked(self, rows: Sequence[Row]) -> list[Outcome]:
        try:
            outcomes = await self._attempt(rows)
            if any(outcome.kind is not OutcomeKind.UNCHANGED for outcome in outcomes):
                await self._statements.check_constraints()
        except DBAPIError as error:
            self._refused = error
            raise
        return outcomes

    async def _attempt(self, rows: Sequence[Row]) -> list[Outcome]:
        """Do the action with rows, in the order of the file where they have the same identity."""
        if self._action is Action.CREATE:
            return await self._insert(rows)
        outcomes: list[Outcome] = []
        while rows:
            found = await self._find(rows, self._compared_columns(rows))
            first = [row for row in rows if _is_first(row, found)]
            outcomes += await self._write_different(first, found)
            rows = [row for row in rows if not _is_first(row, found)]
        return outcomes

    async def _find(self, rows: Sequence[Row], wanted: Sequence[str]) -> Mapping[int, Found]:
        known = [row for row in rows if row.identity]
        if not known:
            return {}
        return await self._statements.find(known, self._mapper.identifiers, wanted)

    def _compared_columns(self, rows: Sequence[Row]) -> Sequence[str]:
        if self._action is Action.DELETE:
            return self._table.key
        names = set(self._table.key).union(*(row.values for row in rows))
        names = names.union(*(row.computed for row in rows))
        return sorted(names - (set(self._mapper.identifiers) - set(self._table.key)))

    async def _write_different(
        self, rows: Sequence[Row], found: Mapping[int, Found]
    ) -> list[Outcome]:
        """Write rows with different identities: change those that exist, insert the others."""
        outcomes: list[Outcome] = []
        new: list[Row] = []
        old: list[Row] = []
        for row in rows:
            matches = found[row.number].matches if row.identity else []
            outcome = self._outcome_without_writing(row, matches)
            if outcome is not None:
                outcomes.append(outcome)
            elif matches:
                old.append(replace(row, id=self._table.id_of(matches[0])))
            else:
                new.append(row)
        change = self._delete if self._action is Action.DELETE else self._update
        return [*outcomes, *await self._insert(new), *await change(old)]

    def _outcome_without_writing(self, row: Row, matches: Sequence[Match]) -> Outcome | None:
        """The outcome of a row that cannot be written, or need not; None for all others."""
        if len(matches) > 1:
            return self._ambiguous(row, len(matches))
        if not matches:
            return self._without_match(row)
        if self._action is Action.DELETE:
            return None
        for name, value in row.computed.items():
            if not is_same(matches[0][name], value):
                return computed_column_error(name).outcome(row.number)
        if self._is_unchanged(row, matches[0]):
            return Outcome(row.number, OutcomeKind.UNCHANGED, self._table.id_of(matches[0]))
        return None

    def _without_match(self, row: Row) -> Outcome | None:
        """The outcome of a row that the table does not have; None if it can be inserted."""
        if self._action is Action.DELETE:
            return Outcome(row.number, OutcomeKind.NOT_FOUND)
        if self._action is Action.UPDATE:
            return self._missing(row, "use action upsert to create it")
        for name in row.computed:
            return computed_column_error(name).outcome(row.number)
        for name in self._table.computed_columns:
            if name in row.values:
                return self._missing(row, f"the database makes {name}, so it cannot be given")
        return None

    def _is_unchanged(self, row: Row, match: Match) -> bool:
        identifiers = self._mapper.identifiers
        return all(
            is_same(match[name], value)
            for name, value in row.values.items()
            if name not in identifiers
        )

    def _changed_columns(self, row: Row) -> list[str]:
        return [name for name in row.columns if name not in self._mapper.identifiers]

    def _ambiguous(self, row: Row, count: int) -> Outcome:
        identity = self._mapper.identity_text(row)
        return Outcome.failure(
            row.number,
            f"{count} rows of {self._table.name} have {identity}; the identifier must be unique",
            field=self._mapper.identifiers[0],
        )

    def _missing(self, row: Row, hint: str) -> Outcome:
        identity = self._mapper.identity_text(row)
        return Outcome.failure(
            row.number,
            f"{self._table.name} has no row with {identity}; {hint}",
            field=self._mapper.identifiers[0],
        )

    # --- statements ---

    async def _insert(self, rows: Sequence[Row]) -> list[Outcome]:
        if not rows:
            return []
        if self._counts_inserted:
            return await self._insert_and_count(rows)
        return _new_row_outcomes(rows, await self._statements.insert(rows))

    async def _insert_and_count(self, rows: Sequence[Row]) -> list[Outcome]:
        """Insert rows that a trigger may put elsewhere. Raises WrittenElsewhere for several rows
        of which only some are stored."""
        before = await self._statements.count_inserted()
        try:
            ids = await self._statements.insert(rows)
        except WrittenElsewhere:
            after = await self._statements.count_inserted()
            stored = 0 if before is None or after is None else after - before
            if stored >= len(rows):
                return [Outcome(row.number, OutcomeKind.CREATED) for row in rows]
            if len(rows) > 1:
                raise
            return [await self._outcome_held_back(rows[0])]
        return _new_row_outcomes(rows, ids)

    async def _update(self, rows: Sequence[Row]) -> list[Outcome]:
        groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in rows:
            groups[row.columns].append(row)
        outcomes: list[Outcome] = []
        for group in groups.values():
            updated = await self._statements.update(
                group, self._mapper.identifiers, self._changed_columns(group[0])
            )
            outcomes += await self._outcomes(OutcomeKind.UPDATED, group, updated)
        return outcomes

    async def _delete(self, rows: Sequence[Row]) -> list[Outcome]:
        if not rows:
            return []
        deleted = await self._statements.delete(rows, self._mapper.identifiers)
        return await self._outcomes(OutcomeKind.DELETED, rows, deleted)

    async def _outcomes(
        self, kind: OutcomeKind, rows: Sequence[Row], written: set[int]
    ) -> list[Outcome]:
        return [
            Outcome(row.number, kind, row.id)
            if row.number in written
            else await self._outcome_held_back(row)
            for row in rows
        ]

    async def _outcome_held_back(self, row: Row) -> Outcome:
        """The outcome of a row that the database has taken without an error, and not written."""
        name, triggers = self._table.name, await self._statements.triggers()
        if not triggers:
            return Outcome.failure(
                row.number,
                f"the database did not write the row: a policy of {name} does not let this user "
                "change it, or another program has just removed it",
            )
        problem = Problem(
            f"the database did not write the row itself: a trigger of {name} ({triggers}) has "
            "taken it; check what became of it"
        )
        return Outcome(row.number, OutcomeKind.UNKNOWN, row.id, problem)

    # --- a bad row among good ones ---

    async def _bisect(self, rows: Sequence[Row]) -> dict[int, Outcome]:
        """The outcomes of an attempt, by row number. If it fails, each half is tried, down to the
        bad row."""
        if not rows:
            return {}
        try:
            async with self._undo_on_error():
                attempted = await self._attempt_checked(rows)
                self._may_get_better.difference_update(row.number for row in rows)
                return {outcome.row: outcome for outcome in attempted}
        except WrittenElsewhere:
            is_first = not self._counts_inserted
            self._counts_inserted = True
            if is_first:
                return await self._bisect(rows)
        except DBAPIError as error:
            if len(rows) == 1 or not is_too_slow(error):
                await self._require_about_rows(error)
            if len(rows) == 1:
                return {rows[0].number: await self._refusal(rows[0], error)}
            if outcomes := await self._without_missing(rows, error):
                return outcomes
        first, second = halves(self._table, rows)
        written = await self._bisect(first)
        return written | await self._bisect(second)

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
        if not self._mapper.conversion.is_sqlite:
            return
        raw = await self._connection.get_raw_connection()
        driver: Any = raw.driver_connection
        if not driver.in_transaction:
            # `error` may be that of the savepoint, which is gone, too.
            raise RolledBack(self._refused or error)

    # --- rows that the database refuses ---

    async def _without_missing(self, rows: Sequence[Row], error: DBAPIError) -> dict[int, Outcome]:
        """The outcomes of rows, if some of them refer to rows that do not exist: those are refused
        at once, and the others written. Empty if it cannot be told which ones they are."""
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
        return self._or_early(row, outcome, may_get_better=can)

    def _or_early(self, row: Row, outcome: Outcome, *, may_get_better: bool) -> Outcome:
        """The outcome of a refused row; it is early if other rows may be in its way."""
        if not may_get_better:
            self._may_get_better.discard(row.number)
            return outcome
        self._may_get_better.add(row.number)
        return replace(outcome, is_early=has_plain_key(row))


def _new_row_outcomes(rows: Sequence[Row], ids: Sequence[str | None]) -> list[Outcome]:
    return [
        Outcome(row.number, OutcomeKind.CREATED, row_id)
        for row, row_id in zip(rows, ids, strict=True)
    ]


def _number(row: Row) -> int:
    return row.number


def _is_first(row: Row, found: Mapping[int, Found]) -> bool:
    """Whether no row before it has the same identity."""
    return not row.identity or found[row.number].first == row.number
