"""Says what a batch would do to a table: it is written, in a transaction that is rolled back.

So the database itself says which rows it would refuse, and why (docs/decisions/0054).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.actions import RowActions
from openbulk.connectors.sql.bisection import RowWriter
from openbulk.connectors.sql.comparison import is_same
from openbulk.connectors.sql.postgresql_statements import PostgresqlStatements
from openbulk.connectors.sql.rows import Row, RowMapper
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.sqlite_statements import SqliteStatements
from openbulk.connectors.sql.statements import Found, Statements
from openbulk.connectors.sql.values import to_json
from openbulk.domain.plan import Change, Completeness, Planned, PlannedKind, kind_of
from openbulk.domain.records import Outcome, Record, Target

Changes = Mapping[str, Change]
_WAITS = (
    "the row refers to another one that the table does not have yet; what becomes of it depends on "
    "the other rows of the file"
)


_PLANNED_BY = frozenset({"postgresql", "sqlite"})
"""The databases that undo all of a transaction."""


def completeness_of(table: Table, dialect: str) -> Completeness:
    """How much the plan of an upload into a table can say."""
    if dialect not in _PLANNED_BY:
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

    async def update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        self._fetches_all = True
        found = await super().find(rows, identifiers, changed)
        self._fetches_all = False
        _note_changes(self._notes, rows, found, changed)
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

    async def update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        found = await super().find(rows, identifiers, changed)
        _note_changes(self._notes, rows, found, changed)
        return await super().update(rows, identifiers, changed)


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
    is_sqlite = connection.dialect.name == "sqlite"
    try:
        mapper = RowMapper.of(table, target, is_sqlite=is_sqlite)
    except FieldError as error:
        return [_plan_of(error.outcome(record.row), Notes()) for record in batch]
    notes = Notes()
    statements: Statements
    if is_sqlite:
        statements = _SqlitePlan(connection, table, notes)
    else:
        statements = _PostgresqlPlan(connection, table, notes)
    rows, refused = mapper.rows(batch)
    notes.keys = {row.number: mapper.identity_text(row) for row in rows if row.identity}
    actions = RowActions(mapper, statements, notes_versions=True)
    written = await RowWriter(connection, mapper, statements, actions).write(rows, None)
    notes.versions = actions.versions
    return [_plan_of(one, notes) for one in mapper.with_remarks([*refused, *written])]


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
