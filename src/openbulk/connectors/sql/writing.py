"""Writes batches into a table, each in one transaction.

If the database refuses a row, its neighbours are still written.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.failures import is_of_a_row, row_failure
from openbulk.connectors.sql.rows import Identity, Row, RowMapper, unique_key_groups
from openbulk.connectors.sql.schema import Table, id_text
from openbulk.connectors.sql.write_log import WriteLog
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target

Statement = Callable[[Sequence[Row]], Awaitable[list[Outcome]]]
"""Executes one SQL statement for rows that have the same columns."""


async def write_batch(
    connection: AsyncConnection,
    table: Table,
    target: Target,
    log: WriteLog,
    batch: Sequence[Record],
) -> list[Outcome]:
    """Write and log the records that are not in the write log yet; return one outcome per record.

    The connection's transaction has begun. Raises SQLAlchemyError.
    """
    known = await log.find(batch)
    rest = [record for record in batch if record.row not in known]
    if not rest:
        return list(known.values())
    outcomes = await _write_records(connection, table, target, rest)
    await log.add(rest, outcomes)
    return [*known.values(), *outcomes]


async def _write_records(
    connection: AsyncConnection, table: Table, target: Target, batch: Sequence[Record]
) -> list[Outcome]:
    is_sqlite = connection.dialect.name == "sqlite"
    try:
        mapper = RowMapper.of(table, target, is_sqlite=is_sqlite)
    except FieldError as error:
        return [error.outcome(record.row) for record in batch]
    rows, outcomes = mapper.rows(batch)
    return outcomes + await _RowWriter(connection, mapper).write(rows)


class _RowWriter:
    """Does the target's action with rows."""

    def __init__(self, connection: AsyncConnection, mapper: RowMapper) -> None:
        self._connection = connection
        self._mapper = mapper
        self._table = mapper.table
        self._action = mapper.target.action

    async def write(self, rows: Sequence[Row]) -> list[Outcome]:
        """An outcome for each row."""
        if self._action is Action.CREATE:
            return await self._execute(rows, self._insert)
        outcomes: list[Outcome] = []
        for group in unique_key_groups(rows):
            outcomes += await self._write_group(group)
        return outcomes

    async def _write_group(self, rows: Sequence[Row]) -> list[Outcome]:
        """Write rows with different identities: change those that exist, insert the others."""
        existing = await self._existing(rows)
        outcomes: list[Outcome] = []
        new: list[Row] = []
        old: list[Row] = []
        for row in rows:
            matches = existing.get(row.identity, [])
            if not matches:
                new.append(row)
            elif len(matches) > 1:
                outcomes.append(self._ambiguous(row, len(matches)))
            elif self._is_unchanged(row, matches[0]):
                row_id = self._table.id_of(matches[0])
                outcomes.append(Outcome(row.number, OutcomeKind.UNCHANGED, row_id))
            else:
                old.append(replace(row, id=self._table.id_of(matches[0])))
        change = self._delete if self._action is Action.DELETE else self._update
        outcomes += await self._write_new(new)
        return outcomes + await self._execute(old, change)

    async def _write_new(self, rows: Sequence[Row]) -> list[Outcome]:
        """Write rows that the table does not have."""
        match self._action:
            case Action.DELETE:
                return _outcomes(OutcomeKind.NOT_FOUND, rows)
            case Action.UPDATE:
                return [self._missing(row) for row in rows]
        return await self._execute(rows, self._insert)

    async def _existing(self, rows: Sequence[Row]) -> Mapping[Identity, list[Mapping[str, Any]]]:
        """The table's rows with these identities, each with the columns to compare."""
        known = [row for row in rows if row.identity]
        if not known:
            return {}
        names = self._mapper.identifiers
        compared = sorted({*names, *self._table.key}.union(*(row.values for row in known)))
        wanted = _is_one_of(self._table.sql_columns(names), [row.identity for row in known])
        select = sa.select(*self._table.sql_columns(compared)).where(wanted)
        existing: defaultdict[Identity, list[Mapping[str, Any]]] = defaultdict(list)
        for values in await self._connection.execute(select):
            found = dict(zip(compared, values, strict=True))
            existing[tuple(found[name] for name in names)].append(found)
        return existing

    def _is_unchanged(self, row: Row, found: Mapping[str, Any]) -> bool:
        """Whether the table's row already has the values. A delete always changes something."""
        if self._action is Action.DELETE:
            return False
        return all(_is_same(found[name], value) for name, value in row.values.items())

    def _ambiguous(self, row: Row, count: int) -> Outcome:
        identity = self._mapper.identity_text(row)
        return Outcome.failure(
            row.number,
            f"{count} rows of {self._table.name} have {identity}; the identifier must be unique",
            field=self._mapper.identifiers[0],
        )

    def _missing(self, row: Row) -> Outcome:
        identity = self._mapper.identity_text(row)
        return Outcome.failure(
            row.number,
            f"{self._table.name} has no row with {identity}; use action upsert to create it",
            field=self._mapper.identifiers[0],
        )

    # --- statements ---

    async def _insert(self, rows: Sequence[Row]) -> list[Outcome]:
        statement = sa.insert(self._table.sql)
        values = [dict(row.values) for row in rows]
        if rows[0].values.keys() >= set(self._table.key):
            await self._connection.execute(statement, values)
            ids = [self._table.id_of(row.values) for row in rows]
        else:
            # The database makes the keys, and returns them in the order of the rows.
            key = self._table.sql_columns(self._table.key)
            returning = statement.returning(*key, sort_by_parameter_order=True)
            ids = list(map(id_text, await self._connection.execute(returning, values)))
        return [
            Outcome(row.number, OutcomeKind.CREATED, row_id)
            for row, row_id in zip(rows, ids, strict=True)
        ]

    async def _update(self, rows: Sequence[Row]) -> list[Outcome]:
        changed = [name for name in rows[0].columns if name not in self._mapper.identifiers]
        columns = self._table.sql_columns(changed)
        statement = (
            sa.update(self._table.sql)
            .where(*self._has_identity())
            .values({column.name: _parameter("new", column) for column in columns})
        )
        parameters = [
            {**self._identity(row), **_parameters("new", changed, row.values)} for row in rows
        ]
        await self._connection.execute(statement, parameters)
        return _outcomes(OutcomeKind.UPDATED, rows)

    async def _delete(self, rows: Sequence[Row]) -> list[Outcome]:
        statement = sa.delete(self._table.sql).where(*self._has_identity())
        await self._connection.execute(statement, [self._identity(row) for row in rows])
        return _outcomes(OutcomeKind.DELETED, rows)

    def _has_identity(self) -> list[sa.ColumnElement[bool]]:
        """The condition for the table's row that a row changes; `_identity` is its parameters."""
        columns = self._table.sql_columns(self._mapper.identifiers)
        return [column == _parameter("old", column) for column in columns]

    def _identity(self, row: Row) -> dict[str, Any]:
        names = self._mapper.identifiers
        return _parameters("old", names, dict(zip(names, row.identity, strict=True)))

    # --- a bad row among good ones ---

    async def _execute(self, rows: Sequence[Row], statement: Statement) -> list[Outcome]:
        """Execute a statement for all rows, once for each set of columns that they have."""
        groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in rows:
            groups[row.columns].append(row)
        outcomes = await self._execute_groups(groups.values(), statement)
        if len(groups) > 1:
            # A foreign key may refer to a row of a later group, which exists now: try once more.
            failed = {row for row, one in outcomes.items() if one.kind is OutcomeKind.FAILED}
            again = [[row for row in group if row.number in failed] for group in groups.values()]
            outcomes |= await self._execute_groups(filter(None, again), statement)
        return list(outcomes.values())

    async def _execute_groups(
        self, groups: Iterable[Sequence[Row]], statement: Statement
    ) -> dict[int, Outcome]:
        """The outcomes of the groups' rows, by the rows' numbers."""
        outcomes: list[Outcome] = []
        for group in groups:
            outcomes += await self._bisect(group, statement)
        return {outcome.row: outcome for outcome in outcomes}

    async def _bisect(self, rows: Sequence[Row], statement: Statement) -> list[Outcome]:
        """Execute a statement for all rows. If it fails, try each half, down to the bad row.

        A savepoint undoes only the attempt that failed.
        """
        try:
            async with self._connection.begin_nested():
                outcomes = await statement(rows)
                await self._check_constraints()
                return outcomes
        except DBAPIError as error:
            if not is_of_a_row(error):
                raise
            if len(rows) == 1:
                return [row_failure(rows[0].number, error)]
        half = len(rows) // 2
        first = await self._bisect(rows[:half], statement)
        return first + await self._bisect(rows[half:], statement)

    async def _check_constraints(self) -> None:
        """Check deferred constraints now: at the commit, the row at fault is no longer known.

        https://www.postgresql.org/docs/15/sql-set-constraints.html
        """
        if not self._mapper.is_sqlite:
            await self._connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")


def _outcomes(kind: OutcomeKind, rows: Sequence[Row]) -> list[Outcome]:
    return [Outcome(row.number, kind, row.id) for row in rows]


def _is_one_of(
    columns: Sequence[sa.Column[Any]], identities: Sequence[Identity]
) -> sa.ColumnElement[bool]:
    if len(columns) == 1:
        return columns[0].in_(list(chain.from_iterable(identities)))
    return sa.tuple_(*columns).in_(identities)


def _is_same(found: Any, value: Any) -> bool:
    """Whether a column already holds a value.

    Text is compared with `str(found)`: drivers return types of their own, such as network
    addresses.
    """
    if isinstance(value, str):
        return str(found) == value
    return bool(found == value)


def _parameter(prefix: str, column: sa.Column[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(f"{prefix}_{column.name}", type_=column.type)


def _parameters(prefix: str, names: Iterable[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{name}": values[name] for name in names}
