"""The tables of a database of MySQL or MariaDB, from its information_schema."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import NullType

from openbulk.connectors.sql import mysql_catalog_statements as catalog
from openbulk.connectors.sql.numbers import NO_LIMITS, NumberLimits, shorten_float32
from openbulk.connectors.sql.type_names import TypeName
from openbulk.connectors.sql.unique_keys import UniqueKey, UniqueKeys
from openbulk.connectors.sql.values import Column, Kind
from openbulk.exact_json import decode_stored_json

GEOMETRY = "geometry"
"""The type name of all columns of shapes: they come and go as texts, such as POINT(1 2)."""
_KIND_OF_TYPE: Mapping[str, Kind] = {
    **dict.fromkeys(
        ("tinyint", "smallint", "mediumint", "int", "bigint", "bit", "year"), Kind.INTEGER
    ),
    **dict.fromkeys(("decimal", "float", "double"), Kind.NUMBER),
    "date": Kind.DATE,
    **dict.fromkeys(("datetime", "timestamp"), Kind.MOMENT),
    "time": Kind.TIME,
    "json": Kind.JSON,
    **dict.fromkeys(("char", "varchar", "enum", "set"), Kind.TEXT),
    **dict.fromkeys(("tinytext", "text", "mediumtext", "longtext"), Kind.TEXT),
    **dict.fromkeys(("binary", "varbinary"), Kind.BINARY),
    **dict.fromkeys(("tinyblob", "blob", "mediumblob", "longblob"), Kind.BINARY),
}
_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_YEARS = NumberLimits(1901, 2155)
"""Two digits mean a year of this or the last century, which is not for openbulk to guess."""
_FLOAT_DIGITS = {"float": 9, "double": 17}
_SHAPES = re.compile("geometry|point|linestring|polygon|geomcollection")
_MODIFIERS = re.compile(r"\((\d+)(?:,(\d+))?\)", re.ASCII)
_MEMBERS = re.compile("'((?:[^']|'')*)'")
"""Of `enum('a','b''c')`."""


def reflect_mysql(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Describe all tables. Each column has its `Column` in its `info`."""
    is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
    checks = set(map(tuple, connection.execute(catalog.JSON_CHECKS))) if is_mariadb else set()
    columns: defaultdict[str, list[sa.Column[Any]]] = defaultdict(list)
    for row in connection.execute(catalog.COLUMNS).mappings():
        is_json = (row["table_name"], f"json_valid(`{row['column_name']}`)") in checks
        column = _column(dict(row), is_json=is_json, is_mariadb=is_mariadb)
        is_key = row["column_key"] == "PRI"
        columns[row["table_name"]].append(_sql_column(column, is_key=is_key))
    for name, engine, is_transactional in connection.execute(catalog.TABLES):
        table = sa.Table(name, metadata, *columns.get(name, ()))
        if not is_transactional:
            table.info["unwritable"] = _no_transactions(name, engine)
    _add_references(connection, metadata)


def _no_transactions(table: str, engine: str | None) -> str:
    return (
        f"the table {table} is of the engine {engine}, which has no transactions: a batch could be "
        f"written by half, or twice. Convert it: ALTER TABLE {table} ENGINE=InnoDB"
    )


def _add_references(connection: sa.Connection, metadata: sa.MetaData) -> None:
    pairs: defaultdict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for row in connection.execute(catalog.REFERENCES):
        constraint, table, column, schema, other, referred = row
        pairs[constraint, table, schema, other].append((column, referred))
    for (_, name, schema, other), columns in pairs.items():
        if name not in metadata.tables:
            continue  # it was made since
        referred_table = _table_of(metadata, schema, other)
        for _, theirs in columns:
            if theirs not in referred_table.c:  # of another database
                referred_table.append_column(sa.Column(theirs, NullType()))
        own = [column for column, _ in columns]
        keys = [referred_table.c[theirs] for _, theirs in columns]
        metadata.tables[name].append_constraint(sa.ForeignKeyConstraint(own, keys))


def _table_of(metadata: sa.MetaData, schema: str, name: str) -> sa.Table:
    """A table that is referred to. `schema` is empty for the database itself."""
    if not schema:
        by_folded_name = {str(key).lower(): table for key, table in metadata.tables.items()}
        # With lower_case_table_names, the two may be written in different ways.
        return metadata.tables[name] if name in metadata.tables else by_folded_name[name.lower()]
    return sa.Table(name, metadata, schema=schema)


def mysql_types(connection: sa.Connection, _schema: str | None) -> dict[tuple[str, str], TypeName]:
    """The columns that there are, after the tables were described."""
    rows = connection.execute(catalog.COLUMNS).mappings()
    return {(row["table_name"], row["column_name"]): TypeName(row["data_type"]) for row in rows}


def mysql_column(column: sa.Column[Any], _names: Any) -> Column:
    """A column, as `reflect_mysql` has described it."""
    described: Column = column.info["column"]
    return described


def keep_mysql_types(_table: sa.Table, _columns: Mapping[str, Column]) -> None:
    """Values are already read without loss."""


def mysql_unique_keys(connection: sa.Connection, _schema: str | None) -> UniqueKeys:
    """The unique keys of all tables."""
    parts: defaultdict[tuple[str, str], list[str | None]] = defaultdict(list)
    for table, index, column, prefix in connection.execute(catalog.UNIQUE):
        # Part of a text, or an expression: the records do not show it.
        parts[table, index].append(column if prefix is None else None)
    found: defaultdict[str, list[UniqueKey]] = defaultdict(list)
    for (table, index), columns in parts.items():
        names = tuple(name for name in columns if name is not None)
        is_shown = len(names) == len(columns)
        found[table].append(UniqueKey(names if is_shown else (), name=index))
    return found


# --- columns ---


def _sql_column(column: Column, *, is_key: bool) -> sa.Column[Any]:
    return sa.Column(
        column.name,
        MysqlType(column.type_name, column.kind),
        primary_key=is_key,
        nullable=column.is_nullable,
        info={"column": column},
    )


def _column(row: Mapping[str, Any], *, is_json: bool, is_mariadb: bool) -> Column:
    type_name, full_type = row["data_type"].lower(), row["column_type"]
    kind = Kind.JSON if is_json else _KIND_OF_TYPE.get(type_name, Kind.OTHER)
    if full_type.startswith("tinyint(1)"):
        kind = Kind.BOOLEAN
    if _SHAPES.search(type_name):
        type_name = GEOMETRY
    is_numbered = "auto_increment" in row["extra"].lower()
    is_text = kind is Kind.TEXT
    size = _MODIFIERS.search(full_type)
    return Column(
        name=row["column_name"],
        kind=kind,
        is_nullable=row["is_nullable"] == "YES",
        has_default=is_numbered or _has_default(row["column_default"], is_mariadb=is_mariadb),
        is_numbered=is_numbered,
        is_generated=bool(row["generation_expression"]),
        is_zoned=type_name == "timestamp",
        choices=_members(type_name, full_type),
        is_set=type_name == "set",
        length=int(size[1]) if size and type_name in ("char", "varchar") and is_text else None,
        is_stripped=type_name == "char",
        byte_count=int(size[1]) if size and type_name == "binary" else None,
        max_bytes=_max_bytes(row, type_name),
        numbers=_limits(type_name, full_type),
        second_digits=row["datetime_precision"] or 0,
        comment=row["column_comment"] or None,
        type_name=type_name,
        full_type_name=full_type,
        charset=row["character_set_name"],
        collation=row["collation_name"],
        is_plain_text=str(row["collation_name"] or "").endswith("_bin"),
    )


def _has_default(default: str | None, *, is_mariadb: bool) -> bool:
    """Whether a column has another default than NULL, which MariaDB writes as an expression."""
    return default is not None and not (is_mariadb and default == "NULL")


def _max_bytes(row: Mapping[str, Any], type_name: str) -> int | None:
    """How many bytes a column takes, if they can be counted here.

    Of one LONGTEXT in another one with less room, MariaDB 10.11 keeps what is left of its length
    divided by 256 or by 65,536, without a warning.
    """
    is_text = type_name.endswith("text") and row["character_set_name"] == "utf8mb4"
    if not is_text and _KIND_OF_TYPE.get(type_name) is not Kind.BINARY:
        return None
    return int(row["character_octet_length"])


def _members(type_name: str, full_type: str) -> tuple[str, ...]:
    if type_name not in ("enum", "set"):
        return ()
    return tuple(member.replace("''", "'") for member in _MEMBERS.findall(full_type))


def _limits(type_name: str, full_type: str) -> NumberLimits:
    """What a column of numbers keeps.

    https://dev.mysql.com/doc/refman/8.0/en/numeric-types.html
    """
    size = _MODIFIERS.search(full_type)
    if type_name in _BITS:
        bits = _BITS[type_name]
        if "unsigned" in full_type:
            return NumberLimits(0, 2**bits - 1)
        return NumberLimits(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if type_name == "bit":
        return NumberLimits(0, 2 ** int(size[1] if size else 1) - 1)
    if type_name == "year":
        return _YEARS
    if size is not None and type_name in ("decimal", "float", "double"):
        # A float with digits after the point is rounded to them.
        scale = int(size[2] or 0)
        return NumberLimits(
            precision=int(size[1]), scale=scale, takes_nan=False, takes_infinity=False
        )
    if type_name in _FLOAT_DIGITS:
        digits = _FLOAT_DIGITS[type_name]
        return NumberLimits(float_digits=digits, takes_nan=False, takes_infinity=False)
    return NO_LIMITS


# --- reading values ---


class MysqlType(sa.types.UserDefinedType[Any]):
    """Reads the values of a column without loss."""

    cache_ok = True

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind

    def get_col_spec(self, **_more: Any) -> str:
        """The name for a statement."""
        return self.name

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The column as a statement selects it."""
        if self.name == "float":
            return sa.type_coerce(sa.cast(column, mysql.DOUBLE(asdecimal=False)), self)
        if self.name == GEOMETRY:
            return sa.func.ST_AsText(column)
        return column

    def result_processor(self, _dialect: Any, _coltype: Any) -> Callable[[Any], Any] | None:
        """What makes a value of what the driver reads."""
        return reader_of(self.name, self.kind)


def comparable(column: Column, sql: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A column as it is compared and sorted.

    A FLOAT is compared as the DOUBLE that it is; an enumeration is sorted by its texts, and not by
    their places in its type, which is how it is compared.
    """
    if column.type_name == "float":
        return sa.cast(sql, mysql.DOUBLE(asdecimal=False))
    if column.type_name in ("enum", "set"):
        return sa.cast(sql, sa.Text)
    return sql


def selected_column(column: Column, sql: str) -> str:
    """A column as a statement selects it.

    A FLOAT is written with six digits, which may be fewer than it has.
    """
    if column.type_name == "float":
        return f"CAST({sql} AS DOUBLE)"
    if column.type_name == GEOMETRY:
        return f"ST_AsText({sql})"
    return sql


def reader_of(type_name: str, kind: Kind) -> Callable[[Any], Any] | None:
    """What makes a value of what the driver reads; None if it is one."""
    if type_name == "float":
        return _read_float32
    return _READERS.get(kind)


def _read_float32(value: Any) -> Any:
    return shorten_float32(value) if isinstance(value, float) and isfinite(value) else value


def _read_boolean(value: Any) -> Any:
    return bool(value) if value in (0, 1) else value


def _read_json(value: Any) -> Any:
    return decode_stored_json(value) if isinstance(value, str | bytes) else value


_READERS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.BOOLEAN: _read_boolean,
    Kind.JSON: _read_json,
}
