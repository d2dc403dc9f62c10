"""Says what a batch would do to a table: it is written, in a transaction that is rolled back.

So the database itself says which rows it would refuse, and why (docs/decisions/0054).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.actions import RowActions
from openbulk.connectors.sql.bisection import RowWriter
from openbulk.connectors.sql.comparison import is_same
from openbulk.connectors.sql.dialects import mapper_of, statements_of
from openbulk.connectors.sql.rows import Row, RowMapper
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.statements import Found, Statements
from openbulk.connectors.sql.values import to_json
from openbulk.domain.plan import Change, Completeness, Planned, PlannedKind, kind_of
from openbulk.domain.records import Outcome, OutcomeKind, Record, Target

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


class _PlannedActions(RowActions):
    """Does an action with rows, and notes what it finds and changes."""

    def __init__(
        self, connection: AsyncConnection, mapper: RowMapper, statements: Statements, notes: Notes
    ) -> None:
        super().__init__(mapper, statements, notes_versions=True)
        self._connection = connection
        self._notes = notes

    async def _write_different(
        self, rows: Sequence[Row], found: Mapping[int, Found], *, is_inserted: bool
    ) -> list[Outcome]:
        for number, one in found.items():
            self._notes.matches[number] = len(one.matches)
        return await super()._write_different(rows, found, is_inserted=is_inserted)

    async def _update_group(self, rows: Sequence[Row], found: Mapping[int, Found]) -> list[Outcome]:
        _note_changes(self._notes, rows, found, self._changed_columns(rows[0]))
        return await super()._update_group(rows, found)


class _ComparesOnly(_PlannedActions):
    """Finds rows, notes in which columns they differ from the table, and leaves it as it is."""

    def _can_insert_at_once(self, rows: Sequence[Row]) -> bool:
        return False

    async def find_refused(self, rows: Sequence[Row]) -> Mapping[int, DBAPIError]:
        return {}

    async def _insert(self, rows: Sequence[Row]) -> list[Outcome]:
        return [Outcome(row.number, OutcomeKind.CREATED) for row in rows]

    async def _update_group(self, rows: Sequence[Row], found: Mapping[int, Found]) -> list[Outcome]:
        changed = self._changed_columns(rows[0])
        _note_changes(self._notes, rows, found, changed)
        after = await self._values_after(rows, changed)
        for number in found.keys() & after.keys():
            _drop_what_stays(self._notes, number, found[number], after[number])
        return [Outcome(row.number, OutcomeKind.UPDATED, row.id) for row in rows]

    async def _delete(self, rows: Sequence[Row], found: Mapping[int, Found]) -> list[Outcome]:
        return [Outcome(row.number, OutcomeKind.DELETED, row.id) for row in rows]

    async def _values_after(
        self, rows: Sequence[Row], changed: Sequence[str]
    ) -> Mapping[int, Found]:
        """What the table would have for rows once they were updated, as far as it takes them.

        The update is undone.
        """
        identifiers, statements = self._mapper.identifiers, self._statements
        try:
            async with self._connection.begin_nested() as savepoint:
                await statements.update(rows, identifiers, changed)
                found = await statements.find(rows, identifiers, changed)
                await savepoint.rollback()
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
        else:
            return found
        if len(rows) == 1:
            return await self._values_one_by_one(rows[0], changed)
        half = len(rows) // 2
        return {
            **await self._values_after(rows[:half], changed),
            **await self._values_after(rows[half:], changed),
        }

    async def _values_one_by_one(self, row: Row, changed: Sequence[str]) -> Mapping[int, Found]:
        """As above for one row that the table does not take as a whole: by each column alone."""
        if len(changed) == 1:
            return {}
        values: dict[str, Any] = {}
        for name in changed:
            found = await self._values_after([row], [name])
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
        mapper = mapper_of(table, target, dialect)
    except FieldError as error:
        return [_plan_of(error.outcome(record.row), Notes()) for record in batch]
    notes = Notes()
    statements = statements_of(connection, table)
    rows, refused = mapper.rows(batch)
    notes.keys = {row.number: mapper.identity_text(row) for row in rows if row.identity}
    make_actions = _ComparesOnly if target.only_compares else _PlannedActions
    actions = make_actions(connection, mapper, statements, notes)
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
        mapper = mapper_of(table, target, dialect)
    except FieldError as error:
        return [_plan_of(error.outcome(record.row), Notes()) for record in batch]
    rows, refused = mapper.rows(batch)
    keys = {row.number: mapper.identity_text(row) for row in rows if row.identity}
    return [
        *(_plan_of(outcome, Notes()) for outcome in refused),
        *(Planned(row.number, PlannedKind.NOT_COMPARED, key=keys.get(row.number)) for row in rows),
    ]


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
