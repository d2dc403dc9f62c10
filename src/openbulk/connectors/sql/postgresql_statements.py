"""The statements of PostgreSQL.

Each column of a batch is one parameter, an array: `unnest` makes a table of them
(https://www.postgresql.org/docs/15/functions-array.html).
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import is_
from typing import Any

from sqlalchemy import CursorResult
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.array_literals import (
    EMPTY_ARRAY,
    ArrayColumn,
    encode_document,
)
from openbulk.connectors.sql.reference_statements import reference_columns, select_missing
from openbulk.connectors.sql.rows import Row, values_by_column
from openbulk.connectors.sql.schema import Reference, Table, id_text
from openbulk.connectors.sql.statements import (
    KEPT,
    NUMBER,
    ROWS,
    TABLE,
    Found,
    WrittenElsewhere,
    columns_of,
    found_by_number,
    have_gaps,
    insert_by_groups,
    numbers_by_place,
    would_work,
)
from openbulk.connectors.sql.traces import Kept
from openbulk.connectors.sql.values import Column, Kind

CELLS = "openbulk_cells"
"""The alias of the batch before its lists are made."""
_CAST = (Kind.LIST, Kind.OTHER)
"""Kinds that do not come in an array of their own type."""
_COUNT = "rows"
"""The parameter of a batch without columns: how many rows it has."""
_COMPARED = frozenset(
    {
        Kind.INTEGER,
        Kind.NUMBER,
        Kind.BOOLEAN,
        Kind.DATE,
        Kind.MOMENT,
        Kind.UUID,
        Kind.BINARY,
        Kind.TEXT,
    }
)
"""Kinds of which PostgreSQL itself says whether a value is the one that a column has. Of other
types it takes different values for equal, such as `1 mon` and `30 days`, or has no equality."""


class PostgresqlStatements:
    """The statements that write into one table."""

    def __init__(self, connection: AsyncConnection, table: Table) -> None:
        self._connection = connection
        self._table = table
        preparer = connection.dialect.identifier_preparer
        self._quote = preparer.quote_identifier
        self._name = preparer.format_table(table.sql)
        self._last = ("", dict[str, Any]())
        """The last statement, and its parameters if it gets no rows."""
        self._encoded = EncodedRows(table, ())
        """The rows of the last statement, or those that it had a piece of."""
        self.fetches_compared = False
        """Whether the columns that PostgreSQL compares are in the result, too."""

    async def lock(self, rows: Sequence[Row], identifiers: Sequence[str]) -> None:
        """Keep others from changing the table's rows with these identities until the commit."""
        await self._execute(
            f"SELECT count(*) FROM (SELECT FROM {self._joined_source(identifiers, rows)} "
            f"JOIN {self._name} AS {TABLE} ON {self._is_same(identifiers)} "
            f"FOR UPDATE OF {TABLE}) AS openbulk_locked",
            identifiers,
            rows,
        )

    async def find(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        """What the table has for each row, by the rows' numbers."""
        compared = self._comparisons(rows, wanted)
        fetched = self._columns_to_fetch(wanted, compared)
        names = [*identifiers, *compared]
        look = self._look(rows, names, identifiers, compared, fetched)
        result = await self._execute(
            f"SELECT {_found_columns(fetched)} FROM ({look}) AS openbulk_found {_IS_FOUND}",
            names,
            rows,
        )
        return found_by_number(rows, result.all(), fetched, frozenset(compared))

    async def find_and_insert(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        """What the table has for each row, by the rows' numbers. All other rows are inserted."""
        compared = self._comparisons(rows, wanted)
        fetched = self._columns_to_fetch(wanted, compared)
        names = columns_of(self._table, rows)
        look = self._look(rows, names, identifiers, compared, fetched)
        values = ", ".join(map(self._quote, names))
        result = await self._execute(
            f"WITH openbulk_found AS MATERIALIZED ({look}), openbulk_new AS (INSERT INTO "
            f"{self._name} ({values}) SELECT {values} FROM openbulk_found WHERE NOT "
            f"openbulk_exists AND openbulk_first = {NUMBER} ORDER BY {NUMBER} RETURNING 1) "
            f"SELECT openbulk_inserted, openbulk_old.* FROM (SELECT count(*) AS openbulk_inserted "
            f"FROM openbulk_new) AS openbulk_counted LEFT JOIN (SELECT {_found_columns(fetched)} "
            f"FROM openbulk_found {_IS_FOUND}) AS openbulk_old ON true",
            names,
            rows,
        )
        lines: Sequence[Any] = result.all()
        old = [line[1:] for line in lines if line[1] is not None]
        found = found_by_number(rows, old, fetched, frozenset(compared))
        if lines[0][0] != len(rows) - len(found):
            raise WrittenElsewhere
        return found

    def _columns_to_fetch(
        self, wanted: Sequence[str], compared: Mapping[str, str]
    ) -> Sequence[str]:
        """The columns that are in a result."""
        return [name for name in wanted if self.fetches_compared or name not in compared]

    def _look(
        self,
        rows: Sequence[Row],
        names: Sequence[str],
        identifiers: Sequence[str],
        compared: Mapping[str, str],
        fetched: Sequence[str],
    ) -> str:
        """Selects the batch with these columns, and what the table has for each row."""
        keys = ", ".join(self._key_in_rows(name) for name in identifiers)
        columns = "".join(
            f", {self._read(name)} AS openbulk_column{place}" for place, name in enumerate(fetched)
        )
        return (
            f"SELECT {ROWS}.*, first_value({NUMBER}) OVER (PARTITION BY {keys} ORDER BY {NUMBER}) "
            f"AS openbulk_first, {TABLE}.tableoid IS NOT NULL AS openbulk_exists, "
            f"{' AND '.join(compared.values()) or 'true'} AS openbulk_same{columns} "
            f"FROM {self._joined_source(names, rows)} LEFT JOIN {self._name} AS {TABLE} "
            f"ON {self._is_same(identifiers)}"
        )

    def _comparisons(self, rows: Sequence[Row], wanted: Sequence[str]) -> Mapping[str, str]:
        """Whether a column has the value of a row, in SQL, for each column that SQL can compare.

        A row without a value for a column leaves it as it is.
        """
        names = [
            name
            for name in wanted
            if self._table.columns[name].kind in _COMPARED and name not in self._table.key
        ]
        if not have_gaps(rows):
            return {name: self._comparison(name) for name in names if name in rows[0].values}
        return {
            name: f"({ROWS}.{self._quote(name)} IS NULL OR {self._comparison(name)})"
            for name in names
            # Here NULL is for no value; where a row has NULL for a value, Python compares.
            if any(name in row.values for row in rows)
            and not any(row.values.get(name, name) is None for row in rows)
        }

    def _comparison(self, name: str) -> str:
        column = self._table.columns[name]
        old, new = (f"{alias}.{self._quote(name)}" for alias in (TABLE, ROWS))
        if column.kind is Kind.TEXT:
            # Byte by byte: a new case of a letter is a change, also in a column of `citext`.
            old, new = (f'CAST({value} AS text) COLLATE "C"' for value in (old, new))
        return f"{old} IS NOT DISTINCT FROM {new}"

    async def insert(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Insert rows, and return their ids."""
        return await insert_by_groups(self._table, rows, self._insert_group)

    async def _insert_group(self, rows: Sequence[Row]) -> Sequence[str | None]:
        table, names = self._table, columns_of(self._table, rows)
        statement = f"{self._insert_from(self._source(names), names)} ORDER BY {NUMBER}"
        if rows[0].values.keys() >= set(table.key):
            result = await self._execute(statement, names, rows)
            if result.rowcount != len(rows):
                raise WrittenElsewhere
            return table.ids_of([row.values for row in rows])
        # The rows are inserted in their order, and returned in it.
        keys = ", ".join(self._read(name) for name in table.key)
        result = await self._execute(f"{statement} RETURNING {keys}", names, rows)
        ids = [id_text(key) for key in result]
        if len(ids) != len(rows):
            raise WrittenElsewhere
        return ids

    async def update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        """Set the changed columns, and return the numbers of the rows that were updated."""
        source = self._joined_source([*identifiers, *changed], rows)
        result = await self._execute(
            f"{self._update_from(source, identifiers, changed)} RETURNING {NUMBER}",
            [*identifiers, *changed],
            rows,
        )
        return _numbers_of(rows, result)

    async def delete(self, rows: Sequence[Row], identifiers: Sequence[str]) -> set[int]:
        """Delete the rows with these identities; return the numbers of those that were deleted."""
        source = self._joined_source(identifiers, rows)
        result = await self._execute(
            f"{self._delete_from(source, identifiers)} RETURNING {NUMBER}", identifiers, rows
        )
        return _numbers_of(rows, result)

    def _insert_from(self, source: str, names: Sequence[str]) -> str:
        """Inserts the rows of a source that has these columns."""
        values = ", ".join(f"{ROWS}.{self._quote(name)}" for name in names)
        into = f" ({', '.join(map(self._quote, names))})" if names else ""
        return f"INSERT INTO {self._name} AS {TABLE}{into} SELECT {values} FROM {source}"

    def _update_from(self, source: str, identifiers: Sequence[str], changed: Sequence[str]) -> str:
        """Sets these columns to the values of a source."""
        values = ", ".join(f"{self._quote(name)} = {ROWS}.{self._quote(name)}" for name in changed)
        return (
            f"UPDATE {self._name} AS {TABLE} SET {values} FROM {source} "
            f"WHERE {self._is_same(identifiers)}"
        )

    def _delete_from(self, source: str, identifiers: Sequence[str]) -> str:
        """Deletes the rows with the identities of a source."""
        return (
            f"DELETE FROM {self._name} AS {TABLE} USING {source} WHERE {self._is_same(identifiers)}"
        )

    async def lock_and_read(
        self, rows: Sequence[Row], identifiers: Sequence[str], names: Sequence[str]
    ) -> Mapping[int, Kept]:
        """The table's rows with the identities of these, locked: by their numbers.

        The next statement sees what this one has waited for: transactions read what is committed.
        """
        result = await self._execute(
            f"SELECT {self._kept_columns(names)} FROM {self._joined_source(identifiers, rows)} "
            f"JOIN {self._name} AS {TABLE} ON {self._is_same(identifiers)} FOR UPDATE OF {TABLE}",
            identifiers,
            rows,
        )
        return _kept_by_number(rows, result, names)

    async def delete_and_return(
        self, rows: Sequence[Row], identifiers: Sequence[str], names: Sequence[str]
    ) -> Mapping[int, Kept]:
        """Delete rows, and return what they were."""
        result = await self._execute(
            f"DELETE FROM {self._name} AS {TABLE} "
            f"USING {self._joined_source(identifiers, rows)} "
            f"WHERE {self._is_same(identifiers)} RETURNING {self._kept_columns(names)}",
            identifiers,
            rows,
        )
        return _kept_by_number(rows, result, names)

    def _kept_columns(self, names: Sequence[str]) -> str:
        """The place of a row in the batch, its version, and these columns.

        `xmin` is the transaction, or the savepoint, that has written the row
        (https://www.postgresql.org/docs/15/ddl-system-columns.html).
        """
        return ", ".join([NUMBER, f"CAST({TABLE}.xmin AS text)", *map(self._read, names)])

    async def version(self, key: Sequence[str]) -> str | None:
        """The version of the row with these texts as its primary key; None if there is none."""
        names = self._table.key
        is_same = " AND ".join(
            f"{self._quote(name)} = CAST(%(key{place})s AS "
            f"{_escape(self._table.columns[name].full_type_name)})"
            for place, name in enumerate(names)
        )
        result = await self._connection.exec_driver_sql(
            f"SELECT CAST(xmin AS text) FROM {self._name} WHERE {is_same}",
            {f"key{place}": text for place, text in enumerate(key)},
        )
        version: str | None = result.scalar()
        return version

    async def check_constraints(self) -> None:
        """Check deferred constraints now: at the commit, the row at fault is no longer known.

        https://www.postgresql.org/docs/15/sql-set-constraints.html
        """
        await self._connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")

    async def count_inserted(self) -> int | None:
        """How many rows this transaction has inserted so far, into the table or one of its own.

        A trigger may have put them into an inheriting table. None if the server does not count
        (https://www.postgresql.org/docs/15/monitoring-stats.html).
        """
        result = await self._connection.exec_driver_sql(_COUNT_INSERTED, {"table": self._plain})
        return result.scalar()

    async def triggers(self) -> str:
        """The names of triggers that can hold a row back."""
        result = await self._connection.exec_driver_sql(_TRIGGERS, {"table": self._plain})
        return str(result.scalar() or "")

    async def find_missing(
        self, rows: Sequence[Row], reference: Reference
    ) -> Mapping[int, int | None]:
        """The numbers of the rows whose reference the referred table lacks.

        None if policies hide rows of that table from this user: the database checks references
        without them (https://www.postgresql.org/docs/15/ddl-rowsecurity.html).
        """
        parent = self._connection.dialect.identifier_preparer.format_table(reference.table)
        columns = [self._quote(name) for name in reference.columns]
        keys = [self._quote(name) for name in reference.referred]
        is_own = reference.table is self._table.sql
        names = reference_columns(self._table, reference)
        statement = (
            f"WITH batch AS MATERIALIZED (SELECT * FROM {self._source(names)}) "
            f"{select_missing('batch', (parent, columns, keys), is_own=is_own)} "
            f"AND NOT row_security_active(CAST(%(parent)s AS regclass))"
        )
        parameters = {**self._parameters(names, rows), "parent": parent.replace("%%", "%")}
        result = await self._connection.exec_driver_sql(statement, parameters)
        return numbers_by_place(rows, list(result))

    async def has_triggers(self) -> bool:
        """Whether the table has triggers, which may write referred rows, or other references."""
        result = await self._connection.exec_driver_sql(_HAS_TRIGGERS, {"table": self._plain})
        return bool(result.scalar())

    async def check_of(self, name: str) -> str:
        """The expression of a check constraint of the table, or of a domain."""
        parameters = {"table": self._plain, "name": name}
        result = await self._connection.exec_driver_sql(_CHECK, parameters)
        return str(result.scalar() or "")

    async def works_without_rows(self) -> bool:
        """Whether the last statement works if it gets no rows: then an error is about its rows."""
        return await would_work(self._connection, *self._last)

    async def column_at_fault(self, row: Row) -> str | None:
        """The column whose type does not take its value; None if it is none alone."""
        for name in row.values:
            parameters = {"rows": encode_document([{name: row.values[name]}])}
            try:
                async with self._connection.begin_nested():
                    await self._connection.exec_driver_sql(
                        self._probe(name, "%(rows)s"), parameters
                    )
            except DBAPIError:
                return name
        return None

    def _probe(self, name: str, document: str) -> str:
        """A query that fails if the type of a column does not take its value in a document."""
        column = self._table.columns[name]
        type_name = _given_type(column) or _escape(column.full_type_name)
        return (
            f"SELECT {self._value_of(column)} FROM json_to_recordset(CAST({document} AS json)) "
            f"AS {ROWS}({self._quote(name)} {type_name})"
        )

    # --- the parts of a statement ---

    async def _execute(
        self, statement: str, names: Iterable[str], rows: Sequence[Row]
    ) -> CursorResult[Any]:
        """Run a statement on a batch with these columns."""
        parameters = self._parameters(names, rows)
        self._last = (
            statement,
            dict.fromkeys(parameters, 0 if _COUNT in parameters else EMPTY_ARRAY),
        )
        return await self._connection.exec_driver_sql(statement, parameters)

    def _parameters(self, names: Iterable[str], rows: Sequence[Row]) -> dict[str, Any]:
        places = self._encoded.places_of(rows)
        if places is None:
            self._encoded, places = EncodedRows(self._table, rows), slice(None)
        arrays = {
            f"column{place}": self._encoded.array(name, places)
            for place, name in enumerate(dict.fromkeys(names))
        }
        return arrays or {_COUNT: len(rows)}

    @property
    def _plain(self) -> str:
        """The table's name as a value, not as a part of a statement."""
        return unescape(self._name)

    def _source(self, names: Iterable[str]) -> str:
        """The batch as a table with these columns, and the place of each row."""
        columns = [self._table.columns[name] for name in dict.fromkeys(names)]
        if not columns:
            return f"generate_series(1, CAST(%({_COUNT})s AS integer)) AS {ROWS}({NUMBER})"
        arrays = ", ".join(
            f"CAST(CAST(%(column{place})s AS text) AS {element_type(column)}[])"
            for place, column in enumerate(columns)
        )
        aliases = ", ".join([*(self._quote(column.name) for column in columns), NUMBER])
        if not any(column.kind in _CAST or _given_type(column) for column in columns):
            return f"unnest({arrays}) WITH ORDINALITY AS {ROWS}({aliases})"
        cells = ", ".join([*map(self._cell, columns), NUMBER])
        return (
            f"(SELECT {cells} FROM unnest({arrays}) WITH ORDINALITY AS {CELLS}({aliases})) "
            f"AS {ROWS}"
        )

    def _cell(self, column: Column) -> str:
        """A column of the batch in its own type.

        A list comes as JSON, as an array has no lists of different lengths in it; and a type that
        may have columns of its own, which `unnest` would take apart, as a text.
        """
        name, type_name = self._quote(column.name), _escape(column.type_name)
        if column.kind is Kind.LIST:
            record = f"json_build_object('list', CAST({CELLS}.{name} AS json))"
            definition = f"list {column.number_type or type_name}"
            cell = f"(SELECT list FROM json_to_record({record}) AS lists({definition}))"
            return f"CAST({cell} AS {type_name}) AS {name}"
        if _given_type(column) or column.kind is not Kind.OTHER:
            return self._value_of(column)
        return f"CAST({name} AS {type_name}) AS {name}"

    def _value_of(self, column: Column) -> str:
        """A column of the batch in its own type; money comes as a number.

        A text that the database would write in another way is an error: it may have changed it.
        """
        name = self._quote(column.name)
        if not _given_type(column):
            return name
        value = f"CAST({name} AS {_escape(column.full_type_name)})"
        if column.has_own_form:
            kept = f"CAST({value} AS text)"
            error = f"CAST(CAST('{KEPT}' || {kept} AS boolean) AS text)"
            value = f"CAST(CASE {name} WHEN {kept} THEN {name} ELSE {error} END AS " + (
                f"{_escape(column.full_type_name)})"
            )
        return f"{value} AS {name}"

    def _read(self, name: str) -> str:
        """A column of the table as it is read."""
        column = f"{TABLE}.{self._quote(name)}"
        number_type = self._table.columns[name].number_type
        return f"CAST({column} AS {number_type})" if number_type else column

    def _joined_source(self, names: Iterable[str], rows: Sequence[Row]) -> str:
        """The batch as a table to join with the table itself.

        PostgreSQL expects 100 rows of any batch, and reads a small table from end to end for them.
        LIMIT tells it that there is one, so that it uses the index.
        """
        source = self._source(names)
        if len(rows) > 1:
            return source
        return f"(SELECT * FROM {source} LIMIT 1) AS {ROWS}"

    def _is_same(self, identifiers: Sequence[str]) -> str:
        return " AND ".join(
            f"{TABLE}.{self._quote(name)} = {ROWS}.{self._quote(name)}" for name in identifiers
        )

    def _key_in_rows(self, name: str) -> str:
        collation = self._table.columns[name].collation
        column = f"{ROWS}.{self._quote(name)}"
        if not collation:
            return column
        return f"{column} COLLATE {_escape(collation)}"


class EncodedRows:
    """The columns of rows as arrays. A batch with a bad row is sent again in pieces."""

    def __init__(self, table: Table, rows: Sequence[Row]) -> None:
        self._table = table
        self._rows = rows
        self._values = values_by_column([row.values for row in rows])
        self._columns: dict[str, ArrayColumn] = {}

    def places_of(self, rows: Sequence[Row]) -> slice | None:
        """Where these rows are among its own; None if they are others, or not in their order."""
        if rows is self._rows:
            return slice(None)
        first = next((at for at, row in enumerate(self._rows) if row is rows[0]), 0) if rows else 0
        places = slice(first, first + len(rows))
        own = self._rows[places]
        return places if len(own) == len(rows) and all(map(is_, own, rows)) else None

    def array(self, name: str, places: slice) -> str:
        """A column of the rows at these places."""
        if name not in self._columns:
            values = self._values.get(name) or [None] * len(self._rows)
            self._columns[name] = ArrayColumn.of(self._table.columns[name], values)
        return self._columns[name].literal(places)


def _given_type(column: Column) -> str:
    """The type in which the values of a batch come, if it is not that of the column."""
    return "text" if column.has_own_form else column.number_type


def _escape(sql: str) -> str:
    """SQL for a statement with parameters, in which % begins one."""
    return sql.replace("%", "%%")


def unescape(sql: str) -> str:
    """SQL for a statement without parameters."""
    return sql.replace("%%", "%")


def element_type(column: Column) -> str:
    """The type in which a column's values are in their array."""
    if column.kind in _CAST:
        return "text"
    return _given_type(column) or _escape(column.type_name)


def _found_columns(fetched: Sequence[str]) -> str:
    columns = [NUMBER, "openbulk_first", "openbulk_exists", "openbulk_same"]
    return ", ".join([*columns, *(f"openbulk_column{place}" for place in range(len(fetched)))])


_IS_FOUND = f"WHERE openbulk_exists OR openbulk_first <> {NUMBER}"
"""New rows, which are most of the rows of most files, are not in the result."""
_COUNT_INSERTED = """
    WITH RECURSIVE family(id) AS (
        SELECT CAST(%(table)s AS regclass)::oid
        UNION SELECT inhrelid FROM pg_inherits JOIN family ON inhparent = family.id
    )
    SELECT CAST(sum(pg_stat_get_xact_tuples_inserted(id)) AS bigint) FROM family
    WHERE current_setting('track_counts')::boolean
"""
_HAS_TRIGGERS = """
    SELECT EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = CAST(%(table)s AS regclass) AND NOT tgisinternal
    )
"""
_CHECK = """
    SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint
    WHERE conname = %(name)s AND contype = 'c'
    AND (conrelid = CAST(%(table)s AS regclass) OR contypid <> 0)
    ORDER BY conrelid DESC LIMIT 1
"""
_TRIGGERS = """
    SELECT string_agg(tgname, ', ' ORDER BY tgname) FROM pg_trigger
    WHERE tgrelid = CAST(%(table)s AS regclass) AND NOT tgisinternal AND tgtype & 2 > 0
"""
"""Bit 1 of tgtype is TRIGGER_TYPE_BEFORE
(https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/catalog/pg_trigger.h)."""


def _kept_by_number(
    rows: Sequence[Row], result: Iterable[Any], names: Sequence[str]
) -> dict[int, Kept]:
    return {
        rows[place - 1].number: (version, dict(zip(names, values, strict=True)))
        for place, version, *values in result
    }


def _numbers_of(rows: Sequence[Row], places: Iterable[Any]) -> set[int]:
    """The numbers of the rows at these places of a batch."""
    return {rows[place - 1].number for (place,) in places}
