"""The statements of SQLite."""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import Connection, CursorResult, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.reference_statements import reference_columns, select_missing
from openbulk.connectors.sql.rows import Row, values_by_column
from openbulk.connectors.sql.schema import Reference, Table, id_text
from openbulk.connectors.sql.statements import (
    NUMBER,
    ROWS,
    TABLE,
    Deed,
    Found,
    RowWrite,
    WrittenElsewhere,
    columns_of,
    found_by_number,
    insert_by_groups,
    numbers_by_place,
    numbers_of_changed,
)

_MAX_PARAMETERS = 30_000
"""In one statement; SQLite takes 32,766 (https://sqlite.org/limits.html)."""


class SqliteStatements:
    """The statements that write into one table."""

    def __init__(self, connection: AsyncConnection, table: Table) -> None:
        self._connection = connection
        self._table = table
        preparer = connection.dialect.identifier_preparer
        self._quote = preparer.quote_identifier
        self._name = self._quote(table.name)
        self.fetches_compared = True  # SQLite compares none by itself
        self._last = ("", 0)

    async def lock(self, rows: Sequence[Row], identifiers: Sequence[str]) -> None:
        """SQLite has one writer at a time: others wait for the transaction as it is."""

    async def find(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        """What the table has for each row, by the rows' numbers."""
        names = [self._quote(name) for name in identifiers]
        source = self._source(names, len(rows))
        keys = ", ".join(f"{ROWS}.{name}" for name in names)
        is_same = " AND ".join(f"{TABLE}.{name} = {ROWS}.{name}" for name in names)
        columns = "".join(
            f", {TABLE}.{self._quote(name)} AS openbulk_column{place}"
            for place, name in enumerate(wanted)
        )
        # New rows, which are most of the rows of most files, are not in the result.
        result = await self._execute(
            f"{source} SELECT * FROM (SELECT {NUMBER}, first_value({NUMBER}) OVER (PARTITION BY "
            f"{keys} ORDER BY {NUMBER}) AS openbulk_first, {TABLE}.{names[0]} IS NOT NULL AS "
            f"openbulk_exists, 1{columns} FROM {ROWS} LEFT JOIN {self._name} AS {TABLE} ON "
            f"{is_same}) WHERE openbulk_exists OR openbulk_first <> {NUMBER}",
            tuple(chain.from_iterable(row.identity for row in rows)),
        )
        return found_by_number(rows, result.all(), wanted)

    async def insert(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Insert rows, and return their ids."""
        return await insert_by_groups(self._table, rows, self._insert_group)

    async def _insert_group(self, rows: Sequence[Row]) -> Sequence[str | None]:
        table, names = self._table, columns_of(self._table, rows)
        keys = ", ".join(map(self._quote, table.key))
        if not names:
            return [await self._insert_defaults(row, keys) for row in rows]
        into, places = self._insertion(names)
        values = _values_of(rows, names)
        has_keys = rows[0].values.keys() >= set(table.key)
        if has_keys and not table.refers_to_itself:
            result = await self._execute(into + places, values)
            _require_all(result.rowcount, rows)
            return table.ids_of([row.values for row in rows])
        # In one statement: rows may refer to later ones, and return the keys that they got.
        returning = "" if has_keys else f" RETURNING {keys}"
        ids: list[str | None] = []
        size = _MAX_PARAMETERS // len(names)
        for begin in range(0, len(values), size):
            some = values[begin : begin + size]
            statement = f"{into}{', '.join([places] * len(some))}{returning}"
            result = await self._execute(statement, tuple(chain.from_iterable(some)))
            written = rows[begin : begin + size]
            if has_keys:
                _require_all(result.rowcount, written)
                ids += table.ids_of([row.values for row in written])
            else:
                ids += self._returned_ids(result)
        _require_all(len(ids), rows)
        return ids

    def _returned_ids(self, result: CursorResult[Any]) -> list[str]:
        # SQLite promises no order (https://sqlite.org/lang_returning.html, section 3), but numbers
        # the rows in theirs.
        keys = list(map(tuple, result))
        if self._table.is_numbered:
            keys.sort()
        return list(map(id_text, keys))

    async def _insert_defaults(self, row: Row, keys: str) -> str | None:
        statement = f"INSERT INTO {self._name} DEFAULT VALUES"
        if not keys:
            result = await self._execute(statement, ())
            _require_all(result.rowcount, [row])
            return None
        result = await self._execute(f"{statement} RETURNING {keys}", ())
        made = [id_text(key) for key in result]
        _require_all(len(made), [row])
        return made[0]

    async def update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        """Set the changed columns, and return the numbers of the rows that were updated."""
        result = await self._execute(
            self._update_of(changed, identifiers),
            [
                (*values, *row.identity)
                for values, row in zip(_values_of(rows, changed), rows, strict=True)
            ],
        )
        return numbers_of_changed(result.rowcount, rows)

    async def delete(self, rows: Sequence[Row], identifiers: Sequence[str]) -> set[int]:
        """Delete the rows with these identities; return the numbers of those that were deleted."""
        result = await self._execute(
            self._deletion(identifiers), [tuple(row.identity) for row in rows]
        )
        return numbers_of_changed(result.rowcount, rows)

    async def find_refused(
        self, writes: Sequence[RowWrite], identifiers: Sequence[str]
    ) -> Mapping[int, DBAPIError]:
        """The errors of the rows that the database refuses, by the rows' numbers."""
        statements = [self._statement_of(write, identifiers) for write in writes]
        driver: Any = (await self._connection.get_raw_connection()).driver_connection
        errors = await driver.call(partial(_errors_of_each, statements=statements))
        refused = {
            writes[place].row.number: DBAPIError(statements[place][0], None, error)
            for place, error in errors.items()
        }
        if not driver.in_transaction:
            raise refused[max(refused)]
        return refused

    def _statement_of(
        self, write: RowWrite, identifiers: Sequence[str]
    ) -> tuple[str, tuple[Any, ...]]:
        """The statement that writes one row, and its parameters."""
        row, names = write.row, write.columns
        values = tuple(map(row.values.get, names))
        if write.deed is Deed.UPDATE:
            return self._update_of(names, identifiers), (*values, *row.identity)
        if write.deed is Deed.DELETE:
            return self._deletion(identifiers), tuple(row.identity)
        if not names:
            return f"INSERT INTO {self._name} DEFAULT VALUES", ()
        return "".join(self._insertion(names)), values

    async def check_constraints(self) -> None:
        """SQLite checks deferred constraints at the commit alone."""

    async def count_inserted(self) -> int | None:
        """SQLite does not say: a trigger's own rows count as well."""
        return None

    async def triggers(self) -> str:
        """The names of the table's triggers."""
        result = await self._connection.exec_driver_sql(
            "SELECT group_concat(name, ', ') FROM sqlite_master "
            "WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE",
            (self._table.name,),
        )
        return str(result.scalar() or "")

    async def find_missing(
        self, rows: Sequence[Row], reference: Reference
    ) -> Mapping[int, int | None]:
        """The numbers of the rows whose reference the referred table lacks."""
        columns = reference_columns(self._table, reference)
        if len(columns) * len(rows) > _MAX_PARAMETERS:
            return {}
        parent = self._quote(reference.table.name)
        names = [self._quote(name) for name in reference.columns]
        keys = [self._quote(name) for name in reference.referred]
        is_own = reference.table is self._table.sql
        statement = (
            f"{self._source([self._quote(name) for name in columns], len(rows))} "
            f"{select_missing(ROWS, (parent, names, keys), is_own=is_own)}"
        )
        values = tuple(row.values.get(name) for row in rows for name in columns)
        result = await self._connection.exec_driver_sql(statement, values)
        return numbers_by_place(rows, list(result))

    async def has_triggers(self) -> bool:
        """Whether the table has triggers, which may write referred rows, or other references."""
        return bool(await self.triggers())

    async def check_of(self, name: str) -> str:
        """The expression of a check constraint. SQLite names one without a name by it."""

        def find(connection: Connection) -> str:
            checks = inspect(connection).get_check_constraints(self._table.name)
            return next((str(one["sqltext"]) for one in checks if one["name"] == name), "")

        return await self._connection.run_sync(find)

    async def works_without_rows(self) -> bool:
        """Whether the last statement can be compiled: then an error is about its rows."""
        statement, parameters = self._last
        try:
            await self._connection.exec_driver_sql(f"EXPLAIN {statement}", (None,) * parameters)
        except DBAPIError:
            return False
        return True

    async def column_at_fault(self, row: Row) -> str | None:
        """SQLite's messages name the column, and most columns take any value."""
        return None

    # --- the parts of a statement ---

    async def _execute(
        self, statement: str, parameters: tuple[Any, ...] | list[tuple[Any, ...]]
    ) -> CursorResult[Any]:
        first = parameters[0] if isinstance(parameters, list) else parameters
        self._last = (statement, len(first))
        return await self._connection.exec_driver_sql(statement, parameters)

    def _source(self, names: Sequence[str], count: int) -> str:
        """The batch as a table with these columns, and the place of each row."""
        places = ", ".join(f"({place}{', ?' * len(names)})" for place in range(1, count + 1))
        # The columns of the first SELECT give the batch their affinity and collation
        # (https://sqlite.org/datatype3.html, sections 3.2 and 7.1).
        return (
            f"WITH {ROWS}({', '.join([NUMBER, *names])}) AS (SELECT NULL, {', '.join(names)} "
            f"FROM {self._name} WHERE 0 UNION ALL SELECT * FROM (VALUES {places}))"
        )

    def _insertion(self, names: Sequence[str]) -> tuple[str, str]:
        """What inserts rows with these columns, and the places for the values of one."""
        columns = ", ".join(map(self._quote, names))
        places = f"({', '.join('?' * len(names))})"
        return f"INSERT INTO {self._name} ({columns}) VALUES ", places

    def _update_of(self, changed: Sequence[str], identifiers: Sequence[str]) -> str:
        values = ", ".join(f"{self._quote(name)} = ?" for name in changed)
        return f"UPDATE {self._name} SET {values} WHERE {self._has_identity(identifiers)}"

    def _deletion(self, identifiers: Sequence[str]) -> str:
        return f"DELETE FROM {self._name} WHERE {self._has_identity(identifiers)}"

    def _has_identity(self, identifiers: Sequence[str]) -> str:
        return " AND ".join(f"{self._quote(name)} = ?" for name in identifiers)


def _values_of(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The values of rows in the order of these columns; None where a row has none."""
    columns = values_by_column([row.values for row in rows])
    if not names:
        return [()] * len(rows)
    return list(zip(*(columns[name] for name in names), strict=True))


def _require_all(count: int, rows: Sequence[Row]) -> None:
    if count != len(rows):
        raise WrittenElsewhere


def _errors_of_each(
    connection: sqlite3.Connection, statements: Sequence[tuple[str, tuple[Any, ...]]]
) -> Mapping[int, sqlite3.Error]:
    """Run statements, and return the errors of those that fail, by their places.

    One that fails leaves nothing behind, also where a trigger's RAISE(FAIL) would. An error that
    ends the transaction ends the run: https://sqlite.org/lang_createtrigger.html.
    """
    errors: dict[int, sqlite3.Error] = {}
    cursor = connection.cursor()
    for place, (statement, values) in enumerate(statements):
        cursor.execute("SAVEPOINT openbulk_row")
        try:
            cursor.execute(statement, values)
        except sqlite3.Error as error:
            errors[place] = error
            if not connection.in_transaction:
                break
            cursor.execute("ROLLBACK TO openbulk_row")
        cursor.execute("RELEASE openbulk_row")
    cursor.close()
    return errors
