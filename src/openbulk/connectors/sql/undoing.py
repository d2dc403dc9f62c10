"""Puts rows of a table back as they were, in one transaction that holds them locked.

SQLite locks its file; the others lock each row (`SELECT ... FOR UPDATE`). So nobody changes a row
between the look at its version and the write.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.comparison import is_same
from openbulk.connectors.sql.dialects import mapper_of
from openbulk.connectors.sql.failures import is_of_rows
from openbulk.connectors.sql.refusals import Refusals
from openbulk.connectors.sql.rows import Row
from openbulk.connectors.sql.schema import Table, split_id
from openbulk.connectors.sql.statements import Statements, WrittenElsewhere
from openbulk.connectors.sql.traces import Traces, VersionedStatements, as_json, before_of
from openbulk.connectors.sql.write_log import WriteLog
from openbulk.domain.records import Action, Before, Outcome, OutcomeKind, Record, Target
from openbulk.domain.undo import Deed, Reversal

Values = Mapping[str, Any]


@dataclass(slots=True)
class _Work:
    """The rows of a batch by what is to be done with them."""

    deletions: list[Row] = field(default_factory=list)
    insertions: list[Row] = field(default_factory=list)
    updates: dict[tuple[str, ...], list[Row]] = field(default_factory=lambda: defaultdict(list))


class TableUndo:
    """Undoes what a job has done to a table, on a connection whose transaction has begun."""

    def __init__(
        self,
        connection: AsyncConnection,
        table: Table,
        target: Target,
        statements: Statements,
        write_log: sa.Table,
    ) -> None:
        self._connection = connection
        self._table = table
        # What was kept is JSON, where a text is a text.
        self._target = replace(target, action=Action.UPSERT, identifier_field=None, is_typed=True)
        self._statements = statements
        self._write_log = write_log
        self._traces = Traces(table, statements)
        self._mapper = mapper_of(table, self._target, connection.dialect.name)
        self._done: dict[int, Outcome] = {}
        self._work = _Work()
        self._before: dict[int, Before] = {}
        self._refused: DBAPIError | None = None
        """The error of the last attempt."""

    async def undo(
        self, batch: Sequence[Reversal], *, overwrites: bool, is_trial: bool
    ) -> Sequence[Outcome]:
        """Put rows back, and log it: a batch that is sent again is not done twice."""
        log = WriteLog(self._connection, self._write_log, self._target)
        known = {} if is_trial else await log.find([Record(one.row, {}) for one in batch])
        rest = {one.row: one for one in batch if one.row not in known}
        await self._decide(rest, overwrites=overwrites)
        if is_trial:
            reversed_ = [one.as_reversed() for one in rest.values() if one.row not in self._done]
            return [*self._done.values(), *reversed_]
        await self._write(rest)
        await log.add(list(self._done.values()))
        return [*known.values(), *self._done.values()]

    # --- what is to be done ---

    async def _decide(self, batch: Mapping[int, Reversal], *, overwrites: bool) -> None:
        rows = [row for one in batch.values() if (row := self._key_row(one)) is not None]
        current = await self._current(rows)
        for row in rows:
            reversal = batch[row.number]
            try:
                values = self._mapper.values_of(reversal.values)
                self._decide_row(row, reversal, values, current.get(row.number), overwrites)
            except FieldError as error:
                self._done[row.number] = reversal.as_irreversible(error.message)

    def _key_row(self, reversal: Reversal) -> Row | None:
        """The row with the id of a record as its identity."""
        key = self._table.key
        try:
            texts = split_id(reversal.id, len(key))
            values = self._mapper.values_of(dict(zip(key, texts, strict=True)))
            identity = tuple(values[name] for name in key)
        except FieldError as error:
            self._done[reversal.row] = reversal.as_irreversible(error.message)
            return None
        return Row(reversal.row, values, identity, reversal.id)

    async def _current(self, rows: Sequence[Row]) -> Mapping[int, tuple[str | None, Values]]:
        """The rows as the table has them now, with their versions."""
        if not rows:
            return {}
        columns, key = self._traces.columns, self._table.key
        if isinstance(self._statements, VersionedStatements):
            return await self._statements.lock_and_read(rows, key, columns)
        await self._statements.lock(rows, key)
        found = await self._statements.find(rows, key, columns)
        return {number: (None, one.matches[0]) for number, one in found.items() if one.matches}

    def _decide_row(
        self,
        row: Row,
        reversal: Reversal,
        values: Values,
        current: tuple[str | None, Values] | None,
        overwrites: bool,
    ) -> None:
        if current is None:
            if reversal.deed is Deed.DELETED:
                self._work.insertions.append(row._replace(values={**values, **row.values}))
            else:
                self._done[row.number] = reversal.as_gone()
            return
        version, now = current
        if reversal.deed is not Deed.CREATED and _has(now, values):
            self._done[row.number] = reversal.as_reversed()
        elif not overwrites and not self._is_ours(reversal, version, now):
            self._done[row.number] = reversal.as_kept()
        elif reversal.deed is Deed.CREATED:
            self._before[row.number] = before_of(version, now)
            self._work.deletions.append(row)
        else:
            self._before[row.number] = before_of(version, {name: now[name] for name in values})
            changed = row._replace(values={**values, **row.values})
            self._work.updates[tuple(sorted(values))].append(changed)

    def _is_ours(self, reversal: Reversal, version: str | None, now: Values) -> bool:
        """Whether a row is as the job has left it."""
        if reversal.version is None or version is not None:
            return bool(reversal.version == version)
        return _has(now, self._mapper.values_of(reversal.version))

    # --- writing ---

    async def _write(self, batch: Mapping[int, Reversal]) -> None:
        key, work, statements = self._table.key, self._work, self._statements
        await self._attempt(batch, work.deletions, partial(statements.delete, identifiers=key))
        for names, rows in work.updates.items():
            changed = [name for name in names if name not in key]
            update = partial(statements.update, identifiers=key, changed=changed)
            await self._attempt(batch, rows, update)
        await self._attempt(batch, work.insertions, self._insert)

    async def _insert(self, rows: Sequence[Row]) -> set[int]:
        await self._statements.insert(rows)
        return {row.number for row in rows}

    async def _attempt(
        self,
        batch: Mapping[int, Reversal],
        rows: Sequence[Row],
        write: Callable[[Sequence[Row]], Awaitable[set[int]]],
    ) -> None:
        """Write rows; if the database refuses one of them, halves find it."""
        if not rows:
            return
        try:
            async with self._connection.begin_nested():
                await self._write_rows(batch, rows, write)
            return
        except (DBAPIError, WrittenElsewhere) as error:
            refused = self._refused or error
            self._refused = None
        if isinstance(refused, DBAPIError) and is_of_rows(refused) is False:
            # A deadlock, for one: in MySQL it has ended the transaction, with its savepoint.
            raise refused
        if len(rows) == 1:
            self._done[rows[0].number] = await self._refusal(rows[0], refused)
            return
        half = len(rows) // 2
        await self._attempt(batch, rows[:half], write)
        await self._attempt(batch, rows[half:], write)

    async def _write_rows(
        self,
        batch: Mapping[int, Reversal],
        rows: Sequence[Row],
        write: Callable[[Sequence[Row]], Awaitable[set[int]]],
    ) -> None:
        """Write rows. An error is kept: that of its savepoint may come behind it."""
        try:
            written = await write(rows)
            await self._statements.check_constraints()
            await self._note(batch, rows, written)
        except DBAPIError as error:
            self._refused = error
            raise

    async def _refusal(self, row: Row, error: DBAPIError | WrittenElsewhere) -> Outcome:
        if isinstance(error, WrittenElsewhere):
            return Outcome.failure(row.number, f"the row was not put back: {error}")
        refusals = Refusals(self._connection, self._table, self._target, self._statements)
        return (await refusals.outcome(row, error))._replace(kind=OutcomeKind.FAILED)

    async def _note(
        self, batch: Mapping[int, Reversal], rows: Sequence[Row], written: set[int]
    ) -> None:
        """Note the outcomes of rows that were written, with what an undo of this undo needs."""
        now = await self._current(rows)
        for row in rows:
            if row.number not in written:
                self._done[row.number] = Outcome.failure(
                    row.number, "the database did not write the row: a trigger or a policy held it"
                )
                continue
            version: Any = None
            if row.number in now:
                version, values = now[row.number]
                version = version or as_json({name: values[name] for name in row.values})
            before = self._before.get(row.number)
            self._done[row.number] = batch[row.number].as_reversed(before=before, version=version)


def _has(now: Values, values: Values) -> bool:
    """Whether a row has these values."""
    return all(name in now and is_same(now[name], value) for name, value in values.items())
