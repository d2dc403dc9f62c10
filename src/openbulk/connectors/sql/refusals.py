"""Why the database refuses a row: what is wrong, and what would be right."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.fields import short_repr
from openbulk.connectors.sql.failures import (
    Violation,
    detail_of,
    diagnostics_of,
    is_of_a_type,
    message_of,
    violation_of,
)
from openbulk.connectors.sql.mysql_errors import hint_for
from openbulk.connectors.sql.rows import Row
from openbulk.connectors.sql.schema import Reference, Table
from openbulk.connectors.sql.statements import KEPT, Statements
from openbulk.connectors.sql.values import to_json
from openbulk.domain.records import Action, Outcome, Target

_SQLITE_KEY = re.compile(r"constraint failed: (.+)$")
"""The columns, or the name of a check or an index (https://sqlite.org/rescode.html)."""
_SQLITE_TYPE = re.compile(r"column [^.]+\.(.+)$")
"""The column of a table of strict types (https://sqlite.org/stricttables.html)."""
_POSTGRESQL_KEY = re.compile(r"\((.+?)\)=\((.*)\)")
"""Columns and values in the detail of a violated key, in any language of the server."""
_KEPT = re.compile(rf'{KEPT}(.*)"', re.DOTALL)
_MYSQL_KEY = re.compile(r"Duplicate entry '.*' for key '(?:[^']*\.)?([^']+)'$", re.DOTALL)
_MYSQL_COLUMN = re.compile(r" for column (?:(?:`[^`]*`\.)*`([^`]+)`|'([^']+)') at row \d+$")
_MYSQL_MISSING = re.compile(r"^(?:Column|Field) '([^']+)' ")
_MYSQL_CHECK = re.compile(
    r"^(?:CONSTRAINT `([^`]+)` failed|Check constraint '([^']+)' is violated)"
)
"""Names in the messages of MySQL and MariaDB."""
_LENGTH = re.compile(r"\((\d+)\)")


class Refusals:
    """Says of refused rows what is wrong with them. Each of its questions undoes itself."""

    def __init__(
        self, connection: AsyncConnection, table: Table, target: Target, statements: Statements
    ) -> None:
        self._connection = connection
        self._table = table
        self._target = target
        self._statements = statements
        self._rules: dict[str, str] = {}
        """The expressions of checks, by their names."""

    async def outcome(self, row: Row, error: DBAPIError) -> Outcome:
        """The outcome of a row that the database refuses alone."""
        violation = violation_of(error)
        if violation is Violation.REFERENCE:
            return await self._of_reference(row, error)
        describe = _DESCRIPTIONS[violation] if violation else Refusals._of_value
        field, message = await describe(self, row, error)
        return self._failure(row, field, message, error)

    def of_missing(self, row: Row, reference: Reference, error: DBAPIError) -> Outcome:
        """The outcome of a row that refers to a row that does not exist. The error may be that of
        another row of the statement."""
        values = _assignments(reference.columns, row.values)
        keys = _assignments(
            reference.referred,
            {
                key: row.values[name]
                for name, key in zip(reference.columns, reference.referred, strict=True)
            },
            " = ",
        )
        message = (
            f"{values}, and {reference.table.name} has no row with {keys}; add that row first, or "
            f"correct the value"
        )
        own = error if _is_about(row, reference, error) else None
        return self._failure(row, reference.columns[0], message, own)

    async def missing_reference(self, row: Row) -> Reference | None:
        """A reference of a row to a row that does not exist."""
        for reference in self._table.references:
            if row.number in await self.find_missing([row], reference):
                return reference
        return None

    async def find_missing(
        self, rows: Sequence[Row], reference: Reference
    ) -> Mapping[int, int | None]:
        """As the statement of this name; nothing if this user may not read the referred table."""
        try:
            async with self._connection.begin_nested():
                return await self._statements.find_missing(rows, reference)
        except DBAPIError:
            return {}

    async def _of_reference(self, row: Row, error: DBAPIError) -> Outcome:
        reference = None
        if self._target.action is not Action.DELETE:
            reference = await self.missing_reference(row)
        if reference is not None:
            return self.of_missing(row, reference, error)
        name = getattr(diagnostics_of(error), "table_name", None)
        others = [one for one in self._table.referring if name is None or one.startswith(name)]
        if not others:
            return self._failure(row, *await self._of_value(row, error), error)
        message = (
            f"rows of {' or '.join(others)} still refer to this row of {self._table.name}; delete "
            "or change those first"
        )
        return self._failure(row, None, message, error)

    # --- descriptions: the field at fault, and what is wrong ---

    async def _of_unique(self, row: Row, error: DBAPIError) -> tuple[str | None, str]:
        names, values = self._key_in(error, row)
        if not names:
            return await self._of_value(row, error)
        other = f"another row of {self._table.name} has already"
        if any(name in self._made_by_database(row) for name in names):
            return names[0], (
                f"the database gave the row {_assignments(names, values, ' = ')}, which {other}: "
                "its sequence is behind; advance it in the database"
            )
        message = (
            f"{_assignments(names, values)}, which {other}; {self._way_to_change(names)}, or "
            f"correct the value"
        )
        return names[0], message

    def _way_to_change(self, names: Sequence[str]) -> str:
        """How to change the row of the table that has a unique value."""
        if set(names) == set(self._table.key):
            return "use action upsert or update to change that row"
        if len(names) == 1:
            return (
                f"use action upsert or update with identifierFieldName {names[0]} to change that "
                "row"
            )
        return "use action upsert or update, by the primary key, to change that row"

    def _made_by_database(self, row: Row) -> set[str]:
        columns = self._table.columns.values()
        return {one.name for one in columns if one.is_numbered and one.name not in row.values}

    def _key_in(self, error: DBAPIError, row: Row) -> tuple[list[str], Mapping[str, Any]]:
        """The columns of a violated key with their values; none if it is not of columns."""
        detail = detail_of(error)
        if found := _POSTGRESQL_KEY.search(detail or ""):
            names = [_unquote(name) for name in found[1].split(", ")]
            given = dict(zip(names, found[2].split(", "), strict=False))
        elif found := _MYSQL_KEY.search(message_of(error)):
            names, given = list(self._columns_of_key(found[1])), {}
        elif found := _SQLITE_KEY.search(message_of(error)):
            prefix = f"{self._table.name}."
            names = [name.removeprefix(prefix) for name in found[1].split(f", {prefix}")]
            given = {}
        else:
            return [], {}
        if not self._is_own(error) or not set(names) <= self._table.columns.keys():
            return [], {}
        return names, {name: row.values.get(name, given.get(name)) for name in names}

    def _columns_of_key(self, name: str) -> Sequence[str]:
        """The columns of an index of MySQL; none if it is one of another table."""
        if name == "PRIMARY":
            return self._table.key
        return next((key.columns for key in self._table.unique_keys if key.name == name), ())

    def _is_own(self, error: DBAPIError) -> bool:
        """Whether an error names this table, or none: a trigger may have written into another."""
        name = getattr(diagnostics_of(error), "table_name", None)
        return name is None or name == self._table.name

    async def _of_missing_value(self, row: Row, error: DBAPIError) -> tuple[str | None, str]:
        name = getattr(diagnostics_of(error), "column_name", None)
        if name is None and (found := _SQLITE_KEY.search(message_of(error))):
            name = found[1].removeprefix(f"{self._table.name}.")
        if found := _MYSQL_MISSING.search(message_of(error)):
            name = found[1]
        if name is None:
            name = await self._statements.column_at_fault(row)  # a domain
        if not self._is_own(error) or name not in self._table.columns:
            return await self._of_value(row, error)
        return name, f"{name} needs a value, and the row has none; give it one"

    async def _of_check(self, row: Row, error: DBAPIError) -> tuple[str | None, str]:
        name = getattr(diagnostics_of(error), "constraint_name", None)
        if name is None and (found := _SQLITE_KEY.search(message_of(error))):
            name = found[1]
        if found := _MYSQL_CHECK.search(message_of(error)):
            # MariaDB names the check of a column by table and column.
            name = (found[1] or found[2]).removeprefix(f"{self._table.name}.")
        if name is None or not self._is_own(error):
            return await self._of_value(row, error)
        rule = await self._rule(name)
        names = [one for one in row.values if re.search(rf"\b{re.escape(one)}\b", rule)]
        if not names and (at_fault := await self._statements.column_at_fault(row)):
            names = [at_fault]
        values = _assignments(names, row.values) if names else "a value is not allowed"
        label = "a check" if name == rule else f"the check {name}"
        wanted = f"{label} of {self._table.name} requires {rule}" if rule else f"{label} refuses it"
        return names[0] if len(names) == 1 else None, f"{values}; {wanted}"

    async def _rule(self, name: str) -> str:
        """The expression of a check; SQLite names a check without a name by it."""
        if name not in self._rules:
            async with self._connection.begin_nested():
                rule = await self._statements.check_of(name)
            self._rules[name] = rule or ("" if _is_name(name) else name)
        return self._rules[name]

    async def _of_length(self, row: Row, error: DBAPIError) -> tuple[str | None, str]:
        name = await self._statements.column_at_fault(row)
        length = _LENGTH.search(message_of(error))
        if name is None or length is None:
            return await self._of_value(row, error)
        value = row.values[name]
        size = f"has {len(value)} characters" if isinstance(value, str) else "has a text too long"
        return name, f"{name} {size}; it takes {length[1]}"

    async def _of_policy(self, row: Row, error: DBAPIError) -> tuple[str | None, str]:
        return None, (
            f"a row-level security policy of {self._table.name} does not let this user write the "
            "row; correct the row, or use another user"
        )

    async def _of_value(self, row: Row, error: DBAPIError) -> tuple[str | None, str]:
        """For any other error: the value that its column's type does not take, if it is one."""
        message = message_of(error)
        name = await self._name_at_fault(row, error)
        if name is None:
            return None, f"the database refuses the row: {message}"
        column = self._table.columns[name]
        type_name = f" {column.full_type_name}" if column.full_type_name else ""
        value = short_repr(to_json(row.values.get(name)))
        if found := _KEPT.search(message):
            kept = short_repr(found[1])
            return name, (
                f"{name} is {value}, of which its type{type_name} would keep {kept}: write it like "
                "that, or correct it"
            )
        said = _MYSQL_COLUMN.sub("", message)
        hint = hint_for(column, error.orig)
        return name, f"{name} is {value}, which its type{type_name} does not take: {said}{hint}"

    async def _name_at_fault(self, row: Row, error: DBAPIError) -> str | None:
        if found := _MYSQL_COLUMN.search(message_of(error)):
            name = found[1] or found[2]
            return name if name in self._table.columns else None
        if found := _SQLITE_TYPE.search(message_of(error)):
            return found[1] if found[1] in self._table.columns else None
        if not is_of_a_type(error):
            return None
        return await self._statements.column_at_fault(row)

    def _failure(
        self, row: Row, field: str | None, message: str, error: DBAPIError | None
    ) -> Outcome:
        said = None if error is None else detail_of(error) or message_of(error)
        return Outcome.failure(row.number, message, field=field, provider_message=said)


_DESCRIPTIONS = {
    Violation.UNIQUE: Refusals._of_unique,
    Violation.MISSING_VALUE: Refusals._of_missing_value,
    Violation.CHECK: Refusals._of_check,
    Violation.LENGTH: Refusals._of_length,
    Violation.POLICY: Refusals._of_policy,
}


def _is_about(row: Row, reference: Reference, error: DBAPIError) -> bool:
    """Whether an error of several rows is about this one, or names none, as in SQLite."""
    found = _POSTGRESQL_KEY.search(detail_of(error) or "")
    if found is None:
        return True
    values = ", ".join(str(row.values[name]) for name in reference.columns)
    return (found[1], found[2]) == (", ".join(reference.columns), values)


def _assignments(names: Iterable[str], values: Mapping[str, Any], verb: str = " is ") -> str:
    """Names with their values, for a message: `land is 'DE', city is 'Bonn'`."""
    return ", ".join(f"{name}{verb}{short_repr(to_json(values.get(name)))}" for name in names)


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _is_name(text: str) -> bool:
    """Whether SQLite names a check by this text: any other text is its expression."""
    return re.fullmatch(r"\w+", text) is not None
