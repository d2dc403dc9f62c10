"""The tables of a database, from its own description of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType

from openbulk.connectors.base import Features
from openbulk.connectors.fields import FieldError, did_you_mean
from openbulk.connectors.sql.values import Column, Kind, to_json
from openbulk.domain.records import Action

WRITES = "openbulk_writes"
"""openbulk's own table: the log of the batches that it has written. It is not an object."""
RECORDS_PER_BATCH = 1_000
_KINDS: Sequence[tuple[type[Any], Kind]] = (
    (sa.Boolean, Kind.BOOLEAN),
    (sa.Integer, Kind.INTEGER),
    (sa.Numeric, Kind.NUMBER),
    (sa.DateTime, Kind.MOMENT),
    (sa.Date, Kind.DATE),
    (sa.Time, Kind.TIME),
    (sa.Uuid, Kind.UUID),
    (sa.JSON, Kind.JSON),
    (postgresql.ARRAY, Kind.LIST),
    (sa.LargeBinary, Kind.BINARY),
    (sa.String, Kind.TEXT),
)
"""The kinds of columns: the first type that matches decides."""
_SCHEMA: Mapping[Kind, Mapping[str, str]] = {
    Kind.INTEGER: {"type": "integer"},
    Kind.NUMBER: {"type": "number"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.DATE: {"type": "string", "format": "date"},
    Kind.MOMENT: {"type": "string", "format": "date-time"},
    Kind.TIME: {"type": "string", "format": "time"},
    Kind.UUID: {"type": "string", "format": "uuid"},
    Kind.JSON: {},
    Kind.LIST: {"type": "array"},
    Kind.BINARY: {"type": "string", "format": "byte"},
    Kind.TEXT: {"type": "string"},
    Kind.OTHER: {"type": "string"},
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns, and its SQL for statements."""

    sql: sa.Table
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    """The columns of its primary key."""
    by_folded_name: Mapping[str, Column] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The table's name in the database."""
        return self.sql.name

    def column(self, name: str) -> Column:
        """A column by its name, in any case. Raises FieldError if there is none."""
        column = self.columns.get(name) or self.by_folded_name.get(name.strip().casefold())
        if column is None:
            hint = did_you_mean(name, self.columns, f"its columns are: {', '.join(self.columns)}")
            raise FieldError(name, f"{self.name} has no column {name!r}; {hint}")
        return column

    def sql_columns(self, names: Iterable[str]) -> list[sa.Column[Any]]:
        """Columns by their names in the database, for statements."""
        return [self.sql.c[name] for name in names]

    def id_of(self, values: Mapping[str, Any]) -> str | None:
        """A row's primary key as text; None if the row has no value for it."""
        if not self.key or not values.keys() >= set(self.key):
            return None
        return id_text(values[name] for name in self.key)

    def features(self, concurrency: int) -> Features:
        """What openbulk can do with its rows."""
        one_column = self.key if len(self.key) == 1 else ()
        return Features(
            frozenset(Action),
            max_batch=RECORDS_PER_BATCH,
            concurrency=concurrency,
            idempotent_writes=True,
            identifiers=one_column,
            applies_where=True,
            sorts=True,
            id=next(iter(one_column), None),
        )

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a row."""
        return {
            "type": "object",
            "properties": {name: _schema_of(column) for name, column in self.columns.items()},
            "required": [name for name, column in self.columns.items() if column.is_required],
        }


def id_text(values: Iterable[Any]) -> str:
    """The values of a primary key as the id of a record: joined by commas."""
    return ",".join(str(to_json(value)) for value in values)


def reflect(connection: sa.Connection, schema: str | None) -> dict[str, Table]:
    """All tables of a schema by name, except openbulk's own."""
    metadata = sa.MetaData(schema=schema)
    metadata.reflect(connection)
    # Reflection follows foreign keys into other schemas.
    tables = [
        table
        for table in metadata.tables.values()
        if table.schema == schema and table.name != WRITES
    ]
    tables.sort(key=lambda table: table.name)
    return {table.name: _table(table, connection.dialect.name) for table in tables}


def _table(table: sa.Table, dialect: str) -> Table:
    key = tuple(table.primary_key.columns.keys())
    columns = {column.name: _column(column, dialect) for column in table.columns}
    if dialect == "sqlite":
        _loosen_types(table, columns)
    return Table(table, columns, key, {name.casefold(): column for name, column in columns.items()})


def _loosen_types(table: sa.Table, columns: Mapping[str, Column]) -> None:
    """Read SQLite's values without conversion: any column can hold a value of any type.

    https://sqlite.org/datatype3.html
    """
    for column in table.columns:
        column.nullable = column.nullable and not column.primary_key
        if columns[column.name].kind is not Kind.INTEGER:
            column.type = NullType()


def _column(column: sa.Column[Any], dialect: str) -> Column:
    kind = next((kind for type_, kind in _KINDS if isinstance(column.type, type_)), Kind.OTHER)
    identity, is_sqlite = column.identity, dialect == "sqlite"
    # SQLite does not enforce the length of a text column.
    has_length = kind is Kind.TEXT and not is_sqlite
    return Column(
        name=column.name,
        kind=kind,
        is_nullable=bool(column.nullable),
        has_default=column.server_default is not None
        or identity is not None
        or (is_sqlite and _is_row_id(column, kind)),
        is_generated=column.computed is not None or bool(identity and identity.always),
        is_zoned=bool(getattr(column.type, "timezone", False)),
        choices=tuple(getattr(column.type, "enums", ())),
        length=getattr(column.type, "length", None) if has_length else None,
        comment=column.comment,
    )


def _is_row_id(column: sa.Column[Any], kind: Kind) -> bool:
    """SQLite fills a primary key that is one INTEGER column (https://sqlite.org/lang_createtable.html#rowid)."""
    return kind is Kind.INTEGER and list(column.table.primary_key.columns) == [column]


def _schema_of(column: Column) -> dict[str, Any]:
    schema: dict[str, Any] = dict(_SCHEMA[column.kind])
    if column.comment:
        schema["description"] = column.comment
    if column.choices:
        schema["enum"] = list(column.choices)
    if column.is_generated:
        schema["readOnly"] = True
    return schema
