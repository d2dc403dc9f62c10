"""The statements of MySQL and MariaDB. Only those are used that both have."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pymysql
from sqlalchemy import CursorResult
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.mysql_batches import (
    EMPTY_BATCH,
    batch_source,
    batch_value,
    encode_batch,
    encode_value,
    written_value,
)
from openbulk.connectors.sql.mysql_errors import NO_VALUE, PACKET_TOO_LARGE, SUSPICIOUS_WARNINGS
from openbulk.connectors.sql.mysql_tables import GEOMETRY, reader_of, selected_column
from openbulk.connectors.sql.reference_statements import reference_columns, select_missing
from openbulk.connectors.sql.references import in_order_of_references
from openbulk.connectors.sql.rows import Row
from openbulk.connectors.sql.schema import Reference, Table, id_text
from openbulk.connectors.sql.statements import (
    NUMBER,
    ROWS,
    TABLE,
    Found,
    RowWrite,
    WrittenElsewhere,
    columns_of,
    found_by_number,
    insert_by_groups,
    numbers_by_place,
    numbers_of_changed,
    would_work,
)

_PACKET_ROOM = 64 * 1024
"""For the rest of a statement beside its batch."""


class MysqlStatements:
    """The statements that write into one table."""

    def __init__(self, connection: AsyncConnection, table: Table) -> None:
        self._connection = connection
        self._table = table
        preparer = connection.dialect.identifier_preparer
        self._quote = preparer.quote_identifier
        self._name = preparer.format_table(table.sql)
        self.fetches_compared = True  # MySQL compares none by itself
        self._is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
        self._last: tuple[str, tuple[Any, ...]] = ("", ())
        """The last statement, and its parameters if it gets no rows."""
        self._not_null = [
            name
            for name, column in table.columns.items()
            if column.type_name == "timestamp" and not column.is_nullable
        ]
        """Columns that may take null for the moment of the statement (see
        `explicit_defaults_for_timestamp` of the server that made the table)."""
        self._packet: int | None = None
        """How many bytes a statement may have, once it is known."""

    async def find(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        """What the table has for each row, by the rows' numbers."""
        keys = ", ".join(self._value(name) for name in identifiers)
        columns = "".join(
            f", {selected_column(self._table.columns[name], self._own(name))} "
            f"AS openbulk_column{place}"
            for place, name in enumerate(wanted)
        )
        # New rows, which are most of the rows of most files, are not in the result.
        result = await self._execute(
            f"SELECT * FROM (SELECT {NUMBER}, first_value({NUMBER}) OVER (PARTITION BY {keys} "
            f"ORDER BY {NUMBER}) AS openbulk_first, {self._own(identifiers[0])} IS NOT NULL AS "
            f"openbulk_exists, 1 AS openbulk_same{columns} "
            f"FROM {self._source(identifiers, identifiers)} LEFT JOIN {self._name} AS {TABLE} ON "
            f"{self._is_same(identifiers)}) AS openbulk_found "
            f"WHERE openbulk_exists OR openbulk_first <> {NUMBER}",
            identifiers,
            rows,
        )
        return found_by_number(rows, map(self._reading(wanted), result.all()), wanted)

    async def lock(self, rows: Sequence[Row], identifiers: Sequence[str]) -> None:
        """Keep others from changing the table's rows with these identities until the commit."""
        await self._execute(
            f"SELECT COUNT(*) FROM {self._source(identifiers, identifiers)} "
            f"JOIN {self._name} AS {TABLE} ON {self._is_same(identifiers)} FOR UPDATE",
            identifiers,
            rows,
        )

    def _reading(self, wanted: Sequence[str]) -> Any:
        """What makes values of a result of `find`, whose first four columns are no values."""
        columns = [self._table.columns[name] for name in wanted]
        readers = [reader_of(column.type_name, column.kind) for column in columns]
        if not any(readers):
            return tuple

        def read(found: Sequence[Any]) -> Sequence[Any]:
            values = zip(readers, found[4:], strict=True)
            return [*found[:4], *(reader(value) if reader else value for reader, value in values)]

        return read

    async def insert(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Insert rows, and return their ids.

        A row is inserted after those that it refers to, as each row is checked alone.
        """
        self._require_moments(rows)
        if any(self._table.columns[name].has_default for name in self._table.key):
            rows = [self._without_null_key(row) for row in rows]
        if not self._table.refers_to_itself:
            return await insert_by_groups(self._table, rows, self._insert_group)
        ordered = in_order_of_references(self._table, rows)
        ids = await insert_by_groups(self._table, ordered, self._insert_group)
        by_number = {row.number: row_id for row, row_id in zip(ordered, ids, strict=True)}
        return [by_number[row.number] for row in rows]

    def _require_moments(self, rows: Sequence[Row]) -> None:
        for name in self._not_null:
            if any(row.values.get(name, name) is None for row in rows):
                reason = f"Column '{name}' cannot be null"
                raise _error("", pymysql.IntegrityError(NO_VALUE, reason))

    def _without_null_key(self, row: Row) -> Row:
        """A row without the key that the database makes, in place of NULL for it."""
        missing = [name for name in self._table.key if row.values.get(name, name) is None]
        if not missing:
            return row
        values = {name: value for name, value in row.values.items() if name not in missing}
        return row._replace(values=values)

    async def _insert_group(self, rows: Sequence[Row]) -> Sequence[str | None]:
        table, names = self._table, columns_of(self._table, rows)
        has_keys = rows[0].values.keys() >= set(table.key)
        if not has_keys and table.is_numbered:
            return await self._insert_numbered(rows, names)
        # MySQL does not return what it has inserted.
        has_ids = has_keys or not (table.key and self._is_mariadb)
        returning = "" if has_ids else f" RETURNING {', '.join(map(self._quote, table.key))}"
        if names:
            result = await self._execute(
                f"{self._insert_from(self._source(names), names)} ORDER BY {NUMBER}{returning}",
                names,
                rows,
            )
        else:
            defaults = ", ".join(["()"] * len(rows))
            statement = f"INSERT INTO {self._name} () VALUES {defaults}{returning}"
            result = await self._run(statement, ())
        if result.rowcount != len(rows):
            raise WrittenElsewhere
        if returning:
            return list(map(id_text, result))
        return table.ids_of([row.values for row in rows]) if has_keys else [None] * len(rows)

    async def _insert_numbered(
        self, rows: Sequence[Row], names: Sequence[str]
    ) -> Sequence[str | None]:
        """Insert rows that the database numbers, and return their numbers.

        Rows that a statement lists get numbers that follow one another, whatever else is inserted
        (https://dev.mysql.com/doc/refman/8.0/en/innodb-auto-increment-handling.html).
        """
        columns = [self._table.columns[name] for name in names]
        places = [written_value(column, "%s") for column in columns]
        parameters = tuple(
            encode_value(column, row.values.get(column.name))
            for row in rows
            for column, place in zip(columns, places, strict=True)
            for _ in range(place.count("%s"))
        )
        into = f"INSERT INTO {self._name} ({', '.join(map(self._quote, names))}) VALUES "
        result = await self._run(
            into + ", ".join([f"({', '.join(places)})"] * len(rows)), parameters
        )
        if result.rowcount != len(rows):
            raise WrittenElsewhere
        return await self._made_ids(rows)

    async def _made_ids(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """The ids of rows that were just numbered; None if a trigger may have changed them."""
        if await self.triggers():
            return [None] * len(rows)
        made = await self._connection.exec_driver_sql(
            "SELECT LAST_INSERT_ID(), @@SESSION.auto_increment_increment"
        )
        first, step = tuple(made.one())
        numbered = [name for name in self._table.key if self._table.columns[name].is_numbered]
        ids: list[str | None] = []
        for place, row in enumerate(rows):
            values = {**row.values, **dict.fromkeys(numbered, first + place * step)}
            is_known = bool(self._table.key) and all(name in values for name in self._table.key)
            ids.append(id_text([values[name] for name in self._table.key]) if is_known else None)
        return ids

    async def update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        """Set the changed columns, and return the numbers of the rows that were updated."""
        self._require_moments(rows)
        names = list(dict.fromkeys([*identifiers, *changed]))
        source = self._source(names, identifiers)
        result = await self._execute(self._update_from(source, identifiers, changed), names, rows)
        return numbers_of_changed(result.rowcount, rows)

    async def delete(self, rows: Sequence[Row], identifiers: Sequence[str]) -> set[int]:
        """Delete the rows with these identities; return the numbers of those that were deleted."""
        source = self._source(identifiers, identifiers)
        result = await self._execute(self._delete_from(source, identifiers), identifiers, rows)
        return numbers_of_changed(result.rowcount, rows)

    def _insert_from(self, source: str, names: Sequence[str]) -> str:
        """Inserts the rows of a source that has these columns."""
        columns = ", ".join(map(self._quote, names))
        values = ", ".join(map(self._value_to_write, names))
        return f"INSERT INTO {self._name} ({columns}) SELECT {values} FROM {source}"

    def _update_from(self, source: str, identifiers: Sequence[str], changed: Sequence[str]) -> str:
        """Sets these columns to the values of a source."""
        values = ", ".join(f"{self._own(name)} = {self._value_to_write(name)}" for name in changed)
        return (
            f"UPDATE {source} STRAIGHT_JOIN {self._name} AS {TABLE} "
            f"ON {self._is_same(identifiers)} SET {values}"
        )

    def _delete_from(self, source: str, identifiers: Sequence[str]) -> str:
        """Deletes the rows with the identities of a source."""
        return (
            f"DELETE {TABLE} FROM {source} STRAIGHT_JOIN {self._name} AS {TABLE} "
            f"ON {self._is_same(identifiers)}"
        )

    async def find_refused(
        self, writes: Sequence[RowWrite], identifiers: Sequence[str]
    ) -> Mapping[int, DBAPIError]:
        """None: MySQL has no statement that goes on behind an error."""
        return {}

    async def check_constraints(self) -> None:
        """Each row has been checked when it was written."""

    async def count_inserted(self) -> int | None:
        """MySQL does not say."""
        return None

    async def triggers(self) -> str:
        """The names of the table's triggers that run before a row is written."""
        result = await self._connection.exec_driver_sql(_BEFORE, (self._table.name,))
        return ", ".join(str(name) for name in result.scalars())

    async def has_triggers(self) -> bool:
        """Whether the table has triggers, which may write referred rows, or other references."""
        result = await self._connection.exec_driver_sql(_TRIGGERS, (self._table.name,))
        return bool(result.all())

    async def find_missing(
        self, rows: Sequence[Row], reference: Reference
    ) -> Mapping[int, int | None]:
        """The numbers of the rows whose reference the referred table lacks."""
        parent = self._connection.dialect.identifier_preparer.format_table(reference.table)
        columns = [self._quote(name) for name in reference.columns]
        keys = [self._quote(name) for name in reference.referred]
        is_own = reference.table is self._table.sql
        names = reference_columns(self._table, reference)
        values = ", ".join(f"{self._value(name)} AS {self._quote(name)}" for name in names)
        missing = select_missing("batch", (parent, columns, keys), is_own=is_own)
        result = await self._execute(
            f"WITH batch AS (SELECT {NUMBER}, {values} FROM {self._source(names, names)}) "
            f"{missing}",
            names,
            rows,
        )
        return numbers_by_place(rows, list(result))

    async def check_of(self, name: str) -> str:
        """The expression of a check constraint."""
        parameters = [name]
        statement = _CHECK
        if self._is_mariadb:  # in MySQL, the name of a check is one of the database
            statement += " AND table_name = %s"
            parameters.append(self._table.name)
        result = await self._connection.exec_driver_sql(statement, tuple(parameters))
        return str(next(iter(result.scalars()), "")).replace("`", "")

    async def works_without_rows(self) -> bool:
        """Whether the last statement works if it gets no rows: then an error is about its rows."""
        return await would_work(self._connection, *self._last)

    async def column_at_fault(self, row: Row) -> str | None:
        """The column whose shape is none: MySQL's other messages name their columns."""
        columns = self._table.columns
        for name, value in row.values.items():
            is_given = columns[name].type_name == GEOMETRY and value is not None
            if is_given and not await self._is_shape(value):
                return name
        return None

    async def _is_shape(self, text: str) -> bool:
        """Whether a text is a shape; else MariaDB makes NULL of it, and MySQL an error."""
        try:
            shape = await self._connection.exec_driver_sql(_IS_SHAPE, (text,))
        except DBAPIError:
            return False
        return bool(shape.scalar())

    # --- the parts of a statement ---

    async def _execute(
        self, statement: str, names: Sequence[str], rows: Sequence[Row]
    ) -> CursorResult[Any]:
        """Run a statement on a batch with these columns."""
        return await self._run(statement, (encode_batch(self._table, names, rows),), (EMPTY_BATCH,))

    async def _run(
        self, statement: str, parameters: tuple[Any, ...], empty: tuple[Any, ...] | None = None
    ) -> CursorResult[Any]:
        """Run a statement. A value that it would change without an error is an error, too."""
        self._last = (statement, empty) if empty is not None else ("DO 0", ())
        await self._require_packet(statement, parameters)
        result = await self._connection.exec_driver_sql(statement, parameters)
        raw = await self._connection.get_raw_connection()
        driver: Any = raw.driver_connection
        if driver.warning_count:
            await self._require_no_warning(statement)
        return result

    async def _require_no_warning(self, statement: str) -> None:
        warnings = await self._connection.exec_driver_sql("SHOW WARNINGS")
        for warning in warnings:
            _level, code, message = tuple(warning)
            if code in SUSPICIOUS_WARNINGS:
                raise _error(statement, pymysql.DataError(code, message))

    async def _require_packet(self, statement: str, parameters: tuple[Any, ...]) -> None:
        """Raise an error for a statement that the server would not read: fewer rows are shorter."""
        size = len(statement) + sum(map(_size_of, parameters))
        if size < _PACKET_ROOM:
            return
        if self._packet is None:
            packet = await self._connection.exec_driver_sql("SELECT @@max_allowed_packet")
            self._packet = int(packet.scalar_one())
        if size + _PACKET_ROOM > self._packet:
            reason = (
                f"it has {size:,} bytes, and the database takes {self._packet - _PACKET_ROOM:,}: "
                "raise its max_allowed_packet"
            )
            raise _error(statement, pymysql.OperationalError(PACKET_TOO_LARGE, reason))

    def _source(self, names: Sequence[str], compared: Collection[str] = ()) -> str:
        return batch_source(self._table, list(dict.fromkeys(names)), compared, self._quote)

    def _own(self, name: str) -> str:
        return f"{TABLE}.{self._quote(name)}"

    def _value(self, name: str) -> str:
        """A column of the batch in the type of the table's column."""
        return batch_value(self._table.columns[name], f"{ROWS}.{self._quote(name)}")

    def _value_to_write(self, name: str) -> str:
        """A column of the batch as it is written."""
        return written_value(self._table.columns[name], f"{ROWS}.{self._quote(name)}")

    def _is_same(self, identifiers: Sequence[str]) -> str:
        return " AND ".join(f"{self._own(name)} = {self._value(name)}" for name in identifiers)


def _error(statement: str, error: Exception) -> DBAPIError:
    return OperationalError(statement, None, error)


def _size_of(value: Any) -> int:
    """The bytes of a parameter in a statement, where quotes are doubled."""
    if isinstance(value, str):
        return len(value.encode()) + value.count("'")
    return len(str(value))


_TRIGGERS = """
    SELECT trigger_name FROM information_schema.triggers
    WHERE event_object_schema = DATABASE() AND event_object_table = %s
"""
_BEFORE = f"{_TRIGGERS} AND action_timing = 'BEFORE' ORDER BY trigger_name"
_IS_SHAPE = "SELECT ST_GeomFromText(%s) IS NOT NULL"
_CHECK = """
    SELECT check_clause FROM information_schema.check_constraints
    WHERE constraint_schema = DATABASE() AND constraint_name = %s
"""
