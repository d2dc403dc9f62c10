"""The types of columns as the database itself names them.

SQLAlchemy's reflection turns them into its own, and an unknown one into none at all.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from openbulk.connectors.sql.mysql_catalog_statements import VERSION


@dataclass(frozen=True, slots=True)
class TypeName:
    """The type of one column."""

    type: str
    """In PostgreSQL without a length; in SQLite as it was declared."""
    full_type: str = ""
    """With its length or precision."""
    base_type: str = ""
    """Of a domain, the type that it is made of; else the same as `full_type`."""
    collation: str | None = None
    """The name of its collation, quoted; None for the database's own."""
    default: str | None = None
    """The expression of the column's default, or of its domain's."""
    is_deterministic: bool = True
    """Whether its collation takes texts for equal only if they have the same characters."""
    money_digits: int = 2
    """How many digits after the point the database's type `money` has: lc_monetary decides."""
    is_composed: bool = False
    """A composite type, or a range: its parts have types of their own."""

    @property
    def modifiers(self) -> tuple[int, ...]:
        """What stands in parentheses behind a type of PostgreSQL: `10, 2` of `numeric(10,2)`."""
        inside = _MODIFIERS.search(self.base_type)
        return tuple(map(int, inside[1].split(","))) if inside else ()

    @property
    def has_own_form(self) -> bool:
        """Whether PostgreSQL may keep something else of a text in silence: rounded, cut, or less.

        It tells by what it writes of it.
        """
        has_fields = self.base_type.startswith("interval ")
        return self.is_composed or has_fields or self.base_type in _OWN_FORMS

    @property
    def is_padded(self) -> bool:
        """Whether a column of PostgreSQL pads texts with blanks: `char(n)`."""
        return self.base_type.startswith("character(")

    keeps_any: bool = False
    """A column of the type ANY of a strict table of SQLite keeps a text as it is."""

    @property
    def is_number(self) -> bool:
        """Whether the name of a type of SQLite speaks of numbers."""
        return any(part in self.type.upper() for part in _NUMBERS)

    @property
    def makes_numbers_of_texts(self) -> bool:
        """Whether SQLite stores a text that looks like a number as one, in a column of this type.

        https://sqlite.org/datatype3.html, section 3.1
        """
        name = self.type.upper()
        keeps = not name or self.keeps_any or any(part in name for part in _KEEPS_TEXTS)
        return "INT" in name or not keeps


_MODIFIERS = re.compile(r"\((\d+(?:,-?\d+)?)\)", re.ASCII)
_NUMBERS = ("NUM", "DEC", "REAL", "FLOA", "DOUB", "MONEY", "CURRENCY")
_OWN_FORMS = frozenset(
    {'"char"', "name", "oid", "point", "line", "lseg", "box", "path", "polygon", "circle"}
)
"""https://www.postgresql.org/docs/15/datatype-character.html (table 8.5), and
https://www.postgresql.org/docs/15/datatype-geometric.html, whose numbers are floats."""
_KEEPS_TEXTS = ("CHAR", "CLOB", "TEXT", "BLOB")

TypeNames = Mapping[tuple[str, str], TypeName]
"""By table and column."""


def type_names(connection: sa.Connection, schema: str | None) -> dict[tuple[str, str], TypeName]:
    """The types of all columns of a schema of PostgreSQL."""
    rows = connection.execute(_POSTGRESQL, {"schema": schema})
    return {(table, column): TypeName(*rest) for table, column, *rest in rows}


def sqlite_types(connection: sa.Connection, _schema: str | None) -> dict[tuple[str, str], TypeName]:
    """The types of all columns of a file of SQLite."""
    found: dict[tuple[str, str], TypeName] = {}
    for table, sql in connection.execute(_SQLITE_TABLES).all():
        is_strict = _STRICT.search(sql or "") is not None
        # A table of a module that this process does not have cannot be described.
        with suppress(DBAPIError):
            for column, type_ in connection.execute(_SQLITE_COLUMNS, {"name": table}):
                keeps_any = is_strict and type_.upper() == "ANY"
                found[table, column] = TypeName(type_ or "", keeps_any=keeps_any)
    return found


def schema_version(connection: sa.Connection, schema: str | None) -> tuple[object, ...]:
    """Something that changes with every change of the tables, and takes next to no time.

    https://sqlite.org/pragma.html#pragma_schema_version; in PostgreSQL the transactions that have
    written its catalog.
    """
    if connection.dialect.name == "sqlite":
        return tuple(connection.exec_driver_sql("PRAGMA schema_version").one())
    if connection.dialect.name == "mysql":
        return tuple(connection.execute(VERSION).one())
    return tuple(connection.execute(_CATALOG_VERSION, {"schema": schema}).one())


_CATALOG_VERSION = sa.text(
    """
    WITH tables AS (
        SELECT c.oid, c.xmin FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
        WHERE s.nspname = :schema AND c.relkind IN ('r', 'p')
    )
    SELECT (SELECT sum(CAST(CAST(xmin AS text) AS bigint)) FROM tables),
           (SELECT count(*) FROM tables),
           (SELECT sum(CAST(CAST(a.xmin AS text) AS bigint))
            FROM pg_attribute a JOIN tables ON tables.oid = a.attrelid),
           (SELECT sum(CAST(CAST(o.xmin AS text) AS bigint))
            FROM pg_constraint o JOIN tables ON tables.oid = o.conrelid),
           (SELECT sum(CAST(CAST(d.xmin AS text) AS bigint))
            FROM pg_attrdef d JOIN tables ON tables.oid = d.adrelid),
           (SELECT sum(CAST(CAST(i.xmin AS text) AS bigint))
            FROM pg_index i JOIN tables ON tables.oid = i.indrelid),
           (SELECT count(*) FROM pg_enum),
           current_setting('lc_monetary')
    """
)
# https://www.postgresql.org/docs/15/catalog-pg-attribute.html. A type modifier of -1 names the type
# without a length: `bpchar`, where `character` alone would be one character long.
_POSTGRESQL = sa.text(
    """
    SELECT c.relname, a.attname, format_type(a.atttypid, -1), format_type(a.atttypid, a.atttypmod),
           CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
                ELSE format_type(a.atttypid, a.atttypmod) END,
           CASE WHEN a.attcollation NOT IN (0, t.typcollation)
                THEN quote_ident(n.nspname) || '.' || quote_ident(o.collname) END,
           coalesce(pg_get_expr(d.adbin, d.adrelid), t.typdefault),
           coalesce(CAST(to_jsonb(o) ->> 'collisdeterministic' AS boolean), true),
           scale(CAST(CAST(0 AS money) AS numeric)),
           coalesce(b.typtype, t.typtype) IN ('c', 'r', 'm')
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = :schema
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type b ON b.oid = t.typbasetype
    LEFT JOIN pg_collation o ON o.oid = a.attcollation
    LEFT JOIN pg_namespace n ON n.oid = o.collnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
    """
)
_SQLITE_TABLES = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
_STRICT = re.compile(r"\)[^)]*\bSTRICT\b[^)]*$", re.IGNORECASE)
"""The end of the statement that made a table (https://sqlite.org/stricttables.html)."""
_SQLITE_COLUMNS = sa.text("SELECT name, type FROM pragma_table_xinfo(:name)")
