"""The tables of a database, as it describes them itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType

from openbulk.connectors.base import Features
from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.values import Column, Kind
from openbulk.domain.records import Action

WRITES = "openbulk_writes"
"""Where openbulk notes what it has written, beside it."""
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
    """A table, for people and for statements."""

    sql: sa.Table
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    """The columns of its primary key."""
    by_folded_name: Mapping[str, Column] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As the database calls it."""
        return self.sql.name

    def column(self, name: str) -> Column:
        """A column by its name, in any case. Raises FieldError where there is none."""
        column = self.columns.get(name) or self.by_folded_name.get(name.strip().casefold())
        if column is None:
            near = get_close_matches(name, self.columns, 1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"its columns are: {', '.join(self.columns)}"
            )
            raise FieldError(name, f"{self.name} has no column {name!r}; {hint}")
        return column

    def features(self, concurrency: int) -> Features:
        """What can be done with its rows."""
        return Features(
            frozenset(Action),
            max_batch=RECORDS_PER_BATCH,
            concurrency=concurrency,
            idempotent_writes=True,
            identifiers=self.key if len(self.key) == 1 else (),
            applies_where=True,
            sorts=True,
            id=self.key[0] if len(self.key) == 1 else None,
        )

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a row."""
        return {
            "type": "object",
            "properties": {name: _described(column) for name, column in self.columns.items()},
            "required": [
                name
                for name, column in self.columns.items()
                if not (column.is_nullable or column.has_default or column.is_generated)
            ],
        }


def reflect(connection: sa.Connection, schema: str | None) -> dict[str, Table]:
    """All tables of a schema by name, but openbulk's own."""
    found = sa.MetaData(schema=schema)
    found.reflect(connection)
    tables = sorted(
        (one for one in found.tables.values() if one.schema == schema), key=lambda one: one.name
    )
    return {one.name: _table(one, connection.dialect.name) for one in tables if one.name != WRITES}


def _table(table: sa.Table, dialect: str) -> Table:
    key = tuple(column.name for column in table.primary_key.columns)
    columns = {column.name: _column(column, table, dialect) for column in table.columns}
    if (
        dialect == "sqlite"
    ):  # it keeps whatever it is given: what comes out is what somebody has put in
        for column in table.columns:
            column.nullable = column.nullable and not column.primary_key
            if columns[column.name].kind is not Kind.INTEGER:
                column.type = NullType()
    return Table(table, columns, key, {name.casefold(): column for name, column in columns.items()})


def _column(column: sa.Column[Any], table: sa.Table, dialect: str) -> Column:
    kind = next((kind for type_, kind in _KINDS if isinstance(column.type, type_)), Kind.OTHER)
    is_row_id = (
        dialect == "sqlite" and kind is Kind.INTEGER and list(table.primary_key.columns) == [column]
    )
    return Column(
        name=column.name,
        kind=kind,
        is_nullable=bool(column.nullable),
        has_default=column.server_default is not None or column.identity is not None or is_row_id,
        is_generated=column.computed is not None
        or bool(column.identity is not None and column.identity.always),
        is_zoned=bool(getattr(column.type, "timezone", False)),
        choices=tuple(getattr(column.type, "enums", ())),
        length=getattr(column.type, "length", None)
        if kind is Kind.TEXT and dialect != "sqlite"
        else None,
        comment=column.comment,
    )


def _described(column: Column) -> dict[str, Any]:
    described: dict[str, Any] = dict(_SCHEMA[column.kind])
    if column.comment:
        described["description"] = column.comment
    if column.choices:
        described["enum"] = list(column.choices)
    if column.is_generated:
        described["readOnly"] = True
    return described
