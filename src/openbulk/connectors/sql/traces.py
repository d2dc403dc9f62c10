"""What a batch overwrites in a table and leaves there, for an undo of its job.

PostgreSQL has a version for each row: the transaction that wrote it, or its savepoint. Elsewhere
the values that were written stand for one; the rows that a batch changes are locked before they
are read, as SQLite's file is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from openbulk.connectors.sql.rows import Row
from openbulk.connectors.sql.schema import Table, split_id
from openbulk.connectors.sql.statements import Found, Statements
from openbulk.connectors.sql.values import Kind, to_json
from openbulk.domain.records import Action, Before

Kept = tuple[str, Mapping[str, Any]]
"""The version of a row of a table, and its values."""
_PLAIN = frozenset({Kind.INTEGER, Kind.TEXT, Kind.BOOLEAN})
"""Kinds whose values are as JSON has them."""


def undoable_actions(table: Table) -> frozenset[Action]:
    """The actions whose jobs can be undone: a row is found by its primary key."""
    return frozenset(Action) if table.key else frozenset()


@runtime_checkable
class VersionedStatements(Statements, Protocol):
    """Statements of a database whose rows have versions."""

    async def lock_and_read(
        self, rows: Sequence[Row], identifiers: Sequence[str], names: Sequence[str]
    ) -> Mapping[int, Kept]:
        """The table's rows with the identities of these, locked: by their numbers."""

    async def delete_and_return(
        self, rows: Sequence[Row], identifiers: Sequence[str], names: Sequence[str]
    ) -> Mapping[int, Kept]:
        """Delete rows, and return what they were."""

    async def version(self, key: Sequence[str]) -> str | None:
        """The version of the row with these texts as its primary key; None if there is none."""


class Traces:
    """What the batches of one table overwrite, and leave."""

    def __init__(self, table: Table, statements: Statements) -> None:
        self.columns = [one for one in table.columns if one not in table.computed_columns]
        """The columns whose values can be put back."""
        self._table = table
        self._statements = statements
        self._has_triggers: bool | None = None

    async def before_changes(
        self, rows: Sequence[Row], found: Mapping[int, Found], identifiers: Sequence[str]
    ) -> Mapping[int, Before]:
        """What the rows are about to overwrite, by their numbers. They have the same columns."""
        names = [name for name in rows[0].values if name not in identifiers]
        if isinstance(self._statements, VersionedStatements):
            locked = await self._statements.lock_and_read(rows, identifiers, names)
            return {number: before_of(*kept) for number, kept in locked.items()}
        return {
            row.number: before_of(None, {name: matches[0][name] for name in names})
            for row in rows
            if (matches := found[row.number].matches)
        }

    async def versions_of_new(
        self, rows: Sequence[Row], ids: Sequence[str | None]
    ) -> Sequence[Any]:
        """The versions of rows that were just inserted by one statement."""
        if isinstance(self._statements, VersionedStatements):
            return [await self._version_of_statement(ids)] * len(rows)
        if not await self._are_as_given(rows):
            return await self._read_back(rows, ids)
        values = [row.values for row in rows]
        names = values[0].keys()
        if all(self._table.columns[name].kind in _PLAIN for name in names):
            return values
        return [as_json(one) for one in values]

    async def versions_of_changed(self, rows: Sequence[Row]) -> Sequence[Any]:
        """The versions of rows that were just updated by one statement."""
        if isinstance(self._statements, VersionedStatements):
            return [await self._version_of_statement([row.id for row in rows])] * len(rows)
        return [as_json(row.values) for row in rows]

    async def _version_of_statement(self, ids: Sequence[str | None]) -> str | None:
        known = next(filter(None, ids), None)
        if known is None or not isinstance(self._statements, VersionedStatements):
            return None
        return await self._statements.version(split_id(known, len(self._table.key)))

    async def _are_as_given(self, rows: Sequence[Row]) -> bool:
        """Whether new rows have the values that were given, and no others."""
        given = {frozenset(row.values) for row in rows}
        if len(given) > 1 or next(iter(given)) < set(self.columns):
            return False
        if self._has_triggers is None:
            self._has_triggers = await self._statements.has_triggers()
        return not self._has_triggers

    async def _read_back(
        self, rows: Sequence[Row], ids: Sequence[str | None]
    ) -> Sequence[Mapping[str, Any] | None]:
        if not self._table.key or not all(ids):
            return [None] * len(rows)
        keys = [
            self._with_key(row, str(record_id)) for row, record_id in zip(rows, ids, strict=True)
        ]
        found = await self._statements.find(keys, self._table.key, self.columns)
        matches = [found[row.number].matches if row.number in found else () for row in rows]
        return [as_json(match[0]) if match else None for match in matches]

    def _with_key(self, row: Row, record_id: str) -> Row:
        """A row that was inserted, by its primary key: its own values, and those that it got."""
        key = self._table.key
        texts = zip(key, split_id(record_id, len(key)), strict=True)
        values = {name: row.values.get(name, text) for name, text in texts}
        return row._replace(values=values, identity=tuple(values.values()))


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a table as JSON has them."""
    return {name: to_json(value) for name, value in values.items()}


def before_of(version: str | None, values: Mapping[str, Any]) -> Before:
    """What was overwritten, of a row of the table."""
    return Before(as_json(values), version)
