"""Reads rows in pages: each page begins after the last row of the previous page.

A page takes the same time however long the table is. An OFFSET would read all rows before it
(https://www.postgresql.org/docs/15/queries-limit.html). The page token holds the values that the
last row is sorted by, as JSON: PostgreSQL's as the texts that it writes and reads itself, so that
no type has to be known here, and SQLite's as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import NullType

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.mysql_tables import comparable
from openbulk.connectors.sql.numbers import NO_LIMITS, stored_float
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.values import (
    Column,
    Conversion,
    Kind,
    is_beyond_64_bits,
    to_database,
    to_json,
)
from openbulk.domain.comparison import COMPARISONS
from openbulk.domain.conditions import All, Comparison, Condition, Either, Not
from openbulk.domain.errors import BadInput
from openbulk.domain.query import Query, not_a_page_token

PAGE_BYTES = 4 * 1024 * 1024
"""A page ends early once its rows have so many bytes."""
_FIRST_ROWS, _MOST_ROWS = 10, 250
"""Rows that are fetched at once: few, until it is known how large they are."""
_TEXT = Column("like", Kind.TEXT)
"""What a pattern is."""
_NO_ESCAPE = "\x1f"
"""For `like`: no character escapes `%` and `_`. The default would be the backslash."""


@dataclass(frozen=True, slots=True)
class _SortKey:
    """One value that rows are sorted by. NULL sorts as the greatest value, as in PostgreSQL."""

    sql: ColumnElement[Any]
    selected: ColumnElement[Any]
    """`sql` as a page selects it for the page token."""
    bind: Callable[[Any], ColumnElement[Any]]
    """Makes a value of the page token comparable with `sql`."""
    is_nullable: bool = False
    descending: bool = False
    sorts_nulls_first: bool = False
    """Whether the database takes NULL for the least value, and has no words for the opposite."""

    def ordering(self) -> list[ColumnElement[Any]]:
        """The ORDER BY terms."""
        if self.sorts_nulls_first:
            terms = [self.sql.is_(None), self.sql] if self.is_nullable else [self.sql]
            return [term.desc() if self.descending else term.asc() for term in terms]
        if self.descending:
            return [self.sql.desc().nulls_first()]
        return [self.sql.asc().nulls_last()]

    def equals(self, value: Any) -> ColumnElement[bool]:
        """The condition for rows with this value."""
        if value is None:
            return self.sql.is_(None)
        return self.sql == self.bind(value)

    def follows(self, value: Any) -> ColumnElement[bool]:
        """The condition for rows that sort after this value."""
        if value is None:
            return self.sql.is_not(None) if self.descending else sa.false()
        if self.descending:
            return self.sql < self.bind(value)
        greater = self.sql > self.bind(value)
        if self.is_nullable:
            return sa.or_(greater, self.sql.is_(None))
        return greater


async def read_page(
    connection: AsyncConnection, statement: sa.Select[Any], size: int
) -> tuple[list[Sequence[Any]], bool]:
    """The rows of a page, and whether there may be more after it. It has one row at least."""
    rows: list[Sequence[Any]] = []
    taken, count = 0, _FIRST_ROWS
    async with connection.stream(statement) as result:
        while taken < PAGE_BYTES and (fetched := await result.fetchmany(count)):
            rows += fetched
            largest = max(map(_size_of, fetched))
            taken += largest * len(fetched)
            count = min(_MOST_ROWS, max(1, (PAGE_BYTES - taken) // (largest + 1)))
    return rows, len(rows) == size or taken >= PAGE_BYTES


def _size_of(row: Sequence[Any]) -> int:
    return sum(len(value) for value in row if isinstance(value, str | bytes))


def _cast_to(type_name: str) -> Callable[[Any], ColumnElement[Any]]:
    """Makes a value of a type from its text, in PostgreSQL."""
    type_ = _NamedType(type_name)
    return lambda value: sa.cast(sa.literal(str(value), sa.Text), type_)


def _bind_of(column: Column) -> Callable[[Any], ColumnElement[Any]]:
    """Makes a value of a column of PostgreSQL from its text."""
    bind = _cast_to(column.number_type or column.type_name)
    if not column.number_type:
        return bind
    type_ = _NamedType(column.type_name)
    return lambda value: sa.cast(bind(value), type_)


class _NamedType(sa.types.UserDefinedType[Any]):
    """A type by its name in SQL."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_more: Any) -> str:
        """The name for a statement."""
        return self.name.replace("%", "%%")


def _bind_sqlite(value: Any) -> ColumnElement[Any]:
    """A value as it is stored: any column can hold a value of any of SQLite's types."""
    if isinstance(value, dict):
        value = float(value["float"]) if "float" in value else bytes.fromhex(value["hex"])
    if not isinstance(value, str | int | float | bytes) or is_beyond_64_bits(value):
        raise ValueError("not a value of SQLite")
    return sa.literal(value, NullType())


def _sqlite_place(value: Any) -> Any:
    """A stored value for the page token; its opposite is `_bind_sqlite`."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float) and not isfinite(value):
        return {"float": str(value)}
    return value


def _bind_mysql(value: Any) -> ColumnElement[Any]:
    """A value of a page token of MySQL; its opposite is `_mysql_place`."""
    if isinstance(value, dict) and "decimal" in value:
        return sa.literal(Decimal(value["decimal"]), NullType())
    return _bind_sqlite(value)


def _mysql_place(value: Any) -> Any:
    """A value for the page token: a number keeps its digits, and a moment is a text."""
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if isinstance(value, date | time):
        return str(value)
    if isinstance(value, int) and is_beyond_64_bits(value):
        return {"decimal": str(value)}
    return _sqlite_place(value)


_ROWID: ColumnElement[Any] = sa.literal_column("rowid")
_CTID: ColumnElement[Any] = sa.literal_column("ctid")
_SQLITE_POSITION = _SortKey(_ROWID, _ROWID, _bind_sqlite)
"""https://sqlite.org/rowidtable.html"""
_POSTGRESQL_POSITION = _SortKey(_CTID, sa.cast(_CTID, sa.Text), _cast_to("tid"))
"""https://www.postgresql.org/docs/15/ddl-system-columns.html; an update moves a row."""


class Selection:
    """Selects the pages of a query. Raises BadInput for a query that the table cannot answer."""

    def __init__(self, table: Table, query: Query, page_size: int, dialect: str) -> None:
        self._table = table
        self._query = query
        self._page_size = page_size
        self._is_sqlite = dialect == "sqlite"
        self._is_mysql = dialect == "mysql"
        self._counts_rows = self._is_mysql and not table.key
        """Whether a page begins after so many rows, as a row has no position of its own."""
        self._sort_keys = self._choose_sort_keys()
        self._names = self._choose_columns()

    def statement(self, after: str | None) -> sa.Select[Any]:
        """The statement for the page after a page token, or for the first page. Raises BadInput."""
        sort_values = [
            # The label keeps it apart from the columns that are read.
            key.selected.label(f"openbulk_place{number}")
            for number, key in enumerate(self._sort_keys)
        ]
        select = sa.select(*self._table.sql_columns(self._names), *sort_values)
        if self._query.where is not None:
            select = select.where(self._condition(self._query.where))
        if self._counts_rows:
            select = select.offset(_count_in(after))
        elif after is not None:
            select = select.where(self._sorts_after(after))
        ordering = [term for key in self._sort_keys for term in key.ordering()]
        return select.order_by(*ordering).limit(self._page_size)

    def record(self, row: Sequence[Any]) -> dict[str, Any]:
        """The record of a row of the page."""
        return dict(zip(self._names, map(to_json, row), strict=False))

    def page_token(self, after: str | None, rows: Sequence[Sequence[Any]]) -> str:
        """The token of the page behind the page that has these rows and follows `after`."""
        if self._counts_rows:
            return orjson.dumps([_count_in(after) + len(rows)]).decode()
        places = rows[-1][len(self._names) :]
        if self._is_sqlite or self._is_mysql:
            places = list(map(_mysql_place if self._is_mysql else _sqlite_place, places))
        return orjson.dumps(list(places)).decode()

    def _choose_columns(self) -> list[str]:
        if not self._query.fields:
            return list(self._table.columns)
        wanted = {self._column_of(name).name for name in self._query.fields}
        return [name for name in self._table.columns if name in wanted]

    def _choose_sort_keys(self) -> list[_SortKey]:
        """The keys that the query names, then the primary key: no two rows sort as equal."""
        keys = [self._sort_key(one.field, one.descending) for one in self._query.order]
        named = {self._column(one.field).name for one in self._query.order}
        rest = self._table.columns if self._counts_rows else self._table.key
        keys += [self._sort_key(name) for name in rest if name not in named]
        if not self._table.key and not self._counts_rows:
            keys.append(_SQLITE_POSITION if self._is_sqlite else _POSTGRESQL_POSITION)
        return keys

    def _sort_key(self, name: str, descending: bool = False) -> _SortKey:
        column = self._column(name)
        sql = self._table.sql.c[column.name]
        if self._is_sqlite:
            # Under the type of the column, SQLAlchemy would convert what is stored.
            stored: ColumnElement[Any] = sa.type_coerce(sql, NullType())
            return _SortKey(sql, stored, _bind_sqlite, column.is_nullable, descending)
        if self._is_mysql:
            compared = comparable(column, sql)
            # Under the type of the column, SQLAlchemy would convert what the driver reads.
            stored = sa.type_coerce(compared, NullType())
            return _SortKey(
                compared,
                stored,
                _bind_mysql,
                column.is_nullable,
                descending,
                sorts_nulls_first=True,
            )
        return _SortKey(
            sql, self._stored_text(column), _bind_of(column), column.is_nullable, descending
        )

    def _column_of(self, field: str) -> Column:
        """The column that a field is, or is a part of."""
        if field in self._table.columns:
            return self._column(field)
        return self._column(field.partition(".")[0])

    def _column(self, name: str) -> Column:
        try:
            return self._table.column(name)
        except FieldError as error:
            raise BadInput(error.message) from error

    def _sorts_after(self, after: str) -> ColumnElement[bool]:
        """The condition for the rows after a page token. Raises BadInput."""
        try:
            values = orjson.loads(after)
            if not isinstance(values, list) or len(values) != len(self._sort_keys):
                raise ValueError("not a token")
            return _sorts_after(self._sort_keys, values)
        except (ValueError, TypeError, KeyError) as error:
            raise not_a_page_token() from error

    # --- conditions ---

    def _condition(self, condition: Condition) -> ColumnElement[bool]:
        match condition:
            case Not(part=part):
                return sa.not_(self._condition(part))
            case All(parts=parts):
                return sa.and_(sa.true(), *map(self._condition, parts))
            case Either(parts=parts):
                return sa.or_(sa.false(), *map(self._condition, parts))
            case Comparison():
                return self._comparison(condition)

    def _comparison(self, comparison: Comparison) -> ColumnElement[bool]:
        column = self._whole_column(comparison.field)
        sql: ColumnElement[Any] = self._table.sql.c[column.name]
        if comparison.operator == "is null":
            return sql.is_(None)
        if comparison.operator == "like":
            pattern = self._value(_TEXT, comparison.values[0])
            return self._text_of(column).like(pattern, escape=_NO_ESCAPE)
        if self._is_mysql and column.kind is Kind.NUMBER:
            sql = comparable(column, sql)
        values = [self._value(column, value) for value in comparison.values]
        if comparison.operator == "in":
            return sql.in_(values)
        # Python's operators, applied to columns, make conditions.
        compared: Any = COMPARISONS[comparison.operator](sql, values[0])
        return cast("ColumnElement[bool]", compared)

    def _whole_column(self, name: str) -> Column:
        if "." in name and name not in self._table.columns:
            raise BadInput(
                f"{name} is part of a column; conditions are possible on whole columns only"
            )
        return self._column(name)

    def _text_of(self, column: Column) -> ColumnElement[str]:
        """A column as text. PostgreSQL has no LIKE for its enumerations, numbers and dates."""
        if self._is_mysql:
            # Each case of a letter is a letter of its own, as in the other databases.
            return sa.collate(self._stored_text(column), "utf8mb4_bin")
        if column.kind is Kind.TEXT and not column.choices:
            return self._table.sql.c[column.name]
        return self._stored_text(column)

    def _stored_text(self, column: Column) -> ColumnElement[str]:
        """A column as the database writes it; money as a number."""
        sql: ColumnElement[Any] = self._table.sql.c[column.name]
        if column.number_type:
            sql = sa.cast(sql, _NamedType(column.number_type))
        return sa.cast(sql, sa.Text)

    def _value(self, column: Column, value: Any) -> Any:
        """A value to compare with a column. It may be longer than the column allows."""
        try:
            conversion = Conversion(is_sqlite=self._is_sqlite, is_mysql=self._is_mysql)
            converted = to_database(_without_bounds(column), value, conversion)
        except FieldError as error:
            raise BadInput(error.message) from error
        if self._is_mysql and column.numbers.float_digits and converted is not None:
            return stored_float(converted, column.numbers.float_digits)
        return converted


def _count_in(after: str | None) -> int:
    """How many rows are before a page. Raises BadInput."""
    if after is None:
        return 0
    try:
        (count,) = orjson.loads(after)
    except (ValueError, TypeError) as error:
        raise not_a_page_token() from error
    if not isinstance(count, int) or not 0 <= count < 2**63:
        raise not_a_page_token()
    return count


def _without_bounds(column: Column) -> Column:
    """A column that also takes values that are too long for it. Money would be rounded."""
    item = None if column.item is None else _without_bounds(column.item)
    numbers = column.numbers if column.number_type else NO_LIMITS
    return replace(
        column, length=None, choices=(), numbers=numbers, item=item, byte_count=None, max_bytes=None
    )


def _sorts_after(keys: Sequence[_SortKey], values: Sequence[Any]) -> ColumnElement[bool]:
    """The condition for rows that sort after the row with these values."""
    key, value = keys[0], values[0]
    if len(keys) == 1:
        return key.follows(value)
    same = sa.and_(key.equals(value), _sorts_after(keys[1:], values[1:]))
    return sa.or_(key.follows(value), same)
