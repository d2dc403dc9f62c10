"""Says what a batch would do to a table: it is written, in a transaction that is rolled back.

So the database itself says which rows it would refuse, and why (docs/decisions/0054).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.actions import RowActions
from openbulk.connectors.sql.bisection import RowWriter
from openbulk.connectors.sql.comparison import is_same
from openbulk.connectors.sql.mysql_statements import MysqlStatements
from openbulk.connectors.sql.postgresql_statements import PostgresqlStatements
from openbulk.connectors.sql.rows import Row, RowMapper
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.sqlite_statements import SqliteStatements
from openbulk.connectors.sql.statements import Found, RowWrite, Statements
from openbulk.connectors.sql.values import to_json
from openbulk.domain.plan import Change, Completeness, Planned, PlannedKind, kind_of
from openbulk.domain.records import Outcome, Record, Target

Changes = Mapping[str, Change]
_WAITS = (
    "the row refers to another one that the table does not have yet; what becomes of it depends on "
    "the other rows of the file"
)


def completeness_of(table: Table) -> Completeness:
    """How much the plan of an upload into a table can say."""
    if not table.rolls_back:
        return Completeness.NONE
    return Completeness.BY_KEY if table.refers_to_itself else Completeness.COMPLETE


@dataclass(slots=True)
class Notes:
    """What statements have found and changed, by the numbers of rows."""

    changes: dict[int, Changes] = field(default_factory=dict)
    matches: dict[int, int] = field(default_factory=dict)
    """Rows of which the table has several."""
    versions: dict[int, str] = field(default_factory=dict)
    """The state of the table's rows that would change."""
    keys: dict[int, str] = field(default_factory=dict)
    """The identities of rows that have one."""


class _PostgresqlPlan(PostgresqlStatements):
    """The statements of PostgreSQL, with notes of what they change."""

    def __init__(self, connection: AsyncConnection, table: Table, notes: Notes) -> None:
        super().__init__(connection, table)
        self._notes = notes
        self._fetches_all = False

    def _comparisons(self, rows: Sequence[Row], wanted: Sequence[str]) -> Mapping[str, str]:
        return {} if self._fetches_all else super()._comparisons(rows, wanted)

    async def find(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        found = await super().find(rows, identifiers, wanted)
        _note_matches(self._notes, found)
        return found

    async def find_and_insert(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        found = await super().find_and_insert(rows, identifiers, wanted)
        _note_matches(self._notes, found)
        return found

    async def find_values(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        """What the table has for each row, with the values of all these columns."""
        self._fetches_all = True
        found = await super().find(rows, identifiers, wanted)
        self._fetches_all = False
        return found

    async def update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        found = await self.find_values(rows, identifiers, changed)
        _note_changes(self._notes, rows, found, changed)
        return await self.write_update(rows, identifiers, changed)

    async def write_update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        """Update rows, and note nothing."""
        return await super().update(rows, identifiers, changed)


class _SqlitePlan(SqliteStatements):
    """The statements of SQLite, with notes of what they change."""

    def __init__(self, connection: AsyncConnection, table: Table, notes: Notes) -> None:
        super().__init__(connection, table)
        self._notes = notes

    async def find(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        found = await super().find(rows, identifiers, wanted)
        _note_matches(self._notes, found)
        return found

    async def find_values(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        """What the table has for each row, with the values of all these columns."""
        return await super().find(rows, identifiers, wanted)

    async def update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        found = await self.find_values(rows, identifiers, changed)
        _note_changes(self._notes, rows, found, changed)
        return await self.write_update(rows, identifiers, changed)

    async def write_update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        """Update rows, and note nothing."""
        return await super().update(rows, identifiers, changed)


class _MysqlPlan(MysqlStatements):
    """The statements of MySQL and MariaDB, with notes of what they change."""

    def __init__(self, connection: AsyncConnection, table: Table, notes: Notes) -> None:
        super().__init__(connection, table)
        self._notes = notes

    async def find(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        found = await super().find(rows, identifiers, wanted)
        _note_matches(self._notes, found)
        return found

    async def find_values(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        """What the table has for each row, with the values of all these columns."""
        return await super().find(rows, identifiers, wanted)

    async def update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        found = await self.find_values(rows, identifiers, changed)
        _note_changes(self._notes, rows, found, changed)
        return await self.write_update(rows, identifiers, changed)

    async def write_update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        """Update rows, and note nothing."""
        return await super().update(rows, identifiers, changed)


class _Plan(Statements, Protocol):
    """The statements of a database, with notes of what they change."""

    _connection: AsyncConnection
    _notes: Notes

    async def find_values(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]: ...

    async def write_update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]: ...


class _ComparesOnly:
    """Finds rows, notes in which columns they differ from the table, and leaves it as it is."""

    async def insert(self, rows: Sequence[Row]) -> Sequence[str | None]:
        return [None] * len(rows)

    async def find_and_insert(
        self: _Plan, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        return await self.find(rows, identifiers, wanted)

    async def update(
        self: _Plan, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        before = await self.find_values(rows, identifiers, changed)
        _note_changes(self._notes, rows, before, changed)
        after = await _values_after(self, rows, identifiers, changed)
        for number in before.keys() & after.keys():
            _drop_what_stays(self._notes, number, before[number], after[number])
        return {row.number for row in rows}

    async def delete(self, rows: Sequence[Row], identifiers: Sequence[str]) -> set[int]:
        return {row.number for row in rows}

    async def find_refused(
        self, writes: Sequence[RowWrite], identifiers: Sequence[str]
    ) -> Mapping[int, DBAPIError]:
        return {}


class _PostgresqlComparison(_ComparesOnly, _PostgresqlPlan):
    """Compares rows with a table of PostgreSQL."""


class _SqliteComparison(_ComparesOnly, _SqlitePlan):
    """Compares rows with a table of SQLite."""


class _MysqlComparison(_ComparesOnly, _MysqlPlan):
    """Compares rows with a table of MySQL or MariaDB."""


_PLANS: Mapping[str, Callable[[AsyncConnection, Table, Notes], Statements]] = {
    "postgresql": _PostgresqlPlan,
    "sqlite": _SqlitePlan,
    "mysql": _MysqlPlan,
}
_COMPARISONS: Mapping[str, Callable[[AsyncConnection, Table, Notes], Statements]] = {
    "postgresql": _PostgresqlComparison,
    "sqlite": _SqliteComparison,
    "mysql": _MysqlComparison,
}


async def _values_after(
    statements: _Plan, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
) -> Mapping[int, Found]:
    """What the table would have for rows once they were updated, as far as it takes them.

    The update is undone.
    """
    try:
        async with statements._connection.begin_nested() as savepoint:
            await statements.write_update(rows, identifiers, changed)
            found = await statements.find_values(rows, identifiers, changed)
            await savepoint.rollback()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
    else:
        return found
    if len(rows) == 1:
        return await _values_one_by_one(statements, rows, identifiers, changed)
    half = len(rows) // 2
    return {
        **await _values_after(statements, rows[:half], identifiers, changed),
        **await _values_after(statements, rows[half:], identifiers, changed),
    }


async def _values_one_by_one(
    statements: _Plan, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
) -> Mapping[int, Found]:
    """As above for one row that the table does not take as a whole: by each column alone."""
    (row,) = rows
    if len(changed) == 1:
        return {}
    values: dict[str, Any] = {}
    for name in changed:
        found = await _values_after(statements, rows, identifiers, [name])
        for match in found[row.number].matches if row.number in found else ():
            values |= match
    return {row.number: Found(row.number, [values])}


def _drop_what_stays(notes: Notes, number: int, before: Found, after: Found) -> None:
    """Drop the changes of a row that a trigger or a type takes back: the database normalizes it."""
    if before.matches and after.matches:
        old, new = before.matches[0], after.matches[0]
        notes.changes[number] = {
            name: change
            for name, change in notes.changes.get(number, {}).items()
            if name not in new or not is_same(new[name], old[name])
        }


def _note_matches(notes: Notes, found: Mapping[int, Found]) -> None:
    for number, one in found.items():
        notes.matches[number] = len(one.matches)


def _note_changes(
    notes: Notes, rows: Sequence[Row], found: Mapping[int, Found], changed: Sequence[str]
) -> None:
    for row in rows:
        if row.number in found and found[row.number].matches:
            match = found[row.number].matches[0]
            notes.changes[row.number] = {
                name: Change(to_json(match[name]), to_json(row.values[name]))
                for name in changed
                if not is_same(match[name], row.values[name])
            }


async def plan_batch(
    connection: AsyncConnection, table: Table, target: Target, batch: Sequence[Record]
) -> list[Planned]:
    """What a batch would do, on a connection whose transaction the caller rolls back.

    Raises SQLAlchemyError, and RolledBack.
    """
    dialect = connection.dialect.name
    try:
        mapper = _mapper_of(table, target, dialect)
    except FieldError as error:
        return [_plan_of(error.outcome(record.row), Notes()) for record in batch]
    notes = Notes()
    kinds = _COMPARISONS if target.only_compares else _PLANS
    statements = kinds[dialect](connection, table, notes)
    rows, refused = mapper.rows(batch)
    notes.keys = {row.number: mapper.identity_text(row) for row in rows if row.identity}
    actions = RowActions(mapper, statements, notes_versions=True)
    written = await RowWriter(connection, mapper, statements, actions).write(rows, None)
    notes.versions = actions.versions
    planned = [_plan_of(one, notes) for one in mapper.with_remarks([*refused, *written])]
    return [_as_kept(one) for one in planned] if target.only_compares else planned


def _as_kept(planned: Planned) -> Planned:
    """The plan of a row that the table has, where writing it again would change nothing."""
    is_same_again = planned.kind is PlannedKind.UPDATED and not planned.changes
    return replace(planned, kind=PlannedKind.UNCHANGED) if is_same_again else planned


def check_batch(
    table: Table, target: Target, batch: Sequence[Record], dialect: str
) -> list[Planned]:
    """Which records of a batch cannot be rows; the database is not asked about the others."""
    try:
        mapper = _mapper_of(table, target, dialect)
    except FieldError as error:
        return [_plan_of(error.outcome(record.row), Notes()) for record in batch]
    rows, refused = mapper.rows(batch)
    keys = {row.number: mapper.identity_text(row) for row in rows if row.identity}
    return [
        *(_plan_of(outcome, Notes()) for outcome in refused),
        *(Planned(row.number, PlannedKind.NOT_COMPARED, key=keys.get(row.number)) for row in rows),
    ]


def _mapper_of(table: Table, target: Target, dialect: str) -> RowMapper:
    is_sqlite, is_mysql = dialect == "sqlite", dialect == "mysql"
    return RowMapper.of(table, target, is_sqlite=is_sqlite, is_mysql=is_mysql)


def refusal_of(outcome: Outcome) -> Planned:
    """The plan of a record whose error ends its transaction."""
    return _plan_of(outcome, Notes())


def _plan_of(outcome: Outcome, notes: Notes) -> Planned:
    kind, problem, matches = kind_of(outcome), outcome.problem, notes.matches.get(outcome.row, 0)
    if outcome.is_early:
        kind = PlannedKind.NOT_COMPARED
    elif kind is PlannedKind.REFUSED and matches > 1:
        kind = PlannedKind.AMBIGUOUS
    is_known = kind is not PlannedKind.CREATED and problem is None
    changes: Mapping[str, Any] = {}
    if kind is PlannedKind.UPDATED:
        changes = notes.changes.get(outcome.row, {})
    return Planned(
        outcome.row,
        kind,
        outcome.id if is_known else None,
        changes,
        problem=problem,
        matches=matches if kind is PlannedKind.AMBIGUOUS else 0,
        version=notes.versions.get(outcome.row) if is_known else None,
        key=notes.keys.get(outcome.row),
        remark=_WAITS if outcome.is_early else outcome.remark,
    )
