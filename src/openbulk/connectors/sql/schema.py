"""The tables of a database, from its own description of them."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import ArgumentError, DBAPIError, NoReferenceError, SAWarning
from sqlalchemy.types import NullType

from openbulk.connectors.base import Features, LocalTimes
from openbulk.connectors.fields import FieldError, did_you_mean
from openbulk.connectors.sql.mysql_tables import (
    keep_mysql_types,
    mysql_column,
    mysql_types,
    mysql_unique_keys,
    reflect_mysql,
)
from openbulk.connectors.sql.numbers import NO_LIMITS, NumberLimits
from openbulk.connectors.sql.type_names import TypeName, TypeNames, sqlite_types, type_names
from openbulk.connectors.sql.unique_keys import (
    UniqueKey,
    UniqueKeys,
    no_unique_keys,
    unique_keys,
)
from openbulk.connectors.sql.values import CHECKED_ITEMS, Column, Kind, to_json
from openbulk.domain.errors import BadInput
from openbulk.domain.records import Action

_T = TypeVar("_T")

WRITES = "openbulk_writes"
"""openbulk's own table: the log of the batches that it has written. It is not an object."""
RECORDS_PER_BATCH = 2_000
RELATED_RECORDS_PER_BATCH = 5_000
"""If rows of a table refer to one another: a row and the row that it refers to are then more often
in the same batch."""
_KEY_VALUES_PER_BATCH = 30_000
"""One statement of SQLite has all keys of a batch, and takes 32,766 values
(https://sqlite.org/limits.html)."""
_KIND_OF_COLUMN: Sequence[tuple[type[Any], Kind]] = (
    (sa.Boolean, Kind.BOOLEAN),
    (sa.Integer, Kind.INTEGER),
    (sa.Numeric, Kind.NUMBER),
    (sa.Float, Kind.NUMBER),
    (sa.DateTime, Kind.MOMENT),
    (sa.Date, Kind.DATE),
    (sa.Time, Kind.TIME),
    (sa.Uuid, Kind.UUID),
    (postgresql.MONEY, Kind.NUMBER),
    (postgresql.INTERVAL, Kind.INTERVAL),
    (postgresql.ranges.AbstractRange, Kind.RANGE),
    (sa.JSON, Kind.JSON),
    (postgresql.HSTORE, Kind.HSTORE),
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
    Kind.INTERVAL: {"type": "string"},
    Kind.RANGE: {"type": "string"},
    Kind.UUID: {"type": "string", "format": "uuid"},
    Kind.JSON: {},
    Kind.LIST: {"type": "array"},
    Kind.HSTORE: {"type": "object"},
    Kind.BINARY: {"type": "string", "format": "byte"},
    Kind.TEXT: {"type": "string"},
    Kind.OTHER: {"type": "string"},
}


_DOCUMENTS = (Kind.JSON, Kind.HSTORE)


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: columns whose values a row of a table has to have."""

    columns: tuple[str, ...]
    table: sa.Table
    """The table that it refers to."""
    referred: tuple[str, ...]
    """The columns of that table, in the order of `columns`."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns, and its SQL for statements."""

    sql: sa.Table
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    """The columns of its primary key."""
    by_folded_name: Mapping[str, Sequence[Column]]
    computed_columns: Sequence[str]
    """The columns that the database computes, so that they accept no values."""
    references: Sequence[Reference] = ()
    referring: Sequence[str] = ()
    """The tables that refer to it, each with the columns that do: `orders (customer_id)`."""
    unique_keys: Sequence[UniqueKey] = ()
    unwritable: str = ""
    """Why no batch can be written into it; empty if batches can."""
    rolls_back: bool = True
    """Whether the database undoes all of a transaction, with what the table's triggers have done.
    """

    @property
    def name(self) -> str:
        """The table's name in the database."""
        return self.sql.name

    @property
    def own_references(self) -> list[Reference]:
        """Its references to its own rows."""
        return [reference for reference in self.references if reference.table is self.sql]

    @property
    def refers_to_itself(self) -> bool:
        """Whether its rows may refer to one another."""
        return bool(self.own_references)

    @property
    def is_numbered(self) -> bool:
        """Whether the database numbers new rows."""
        return any(column.is_numbered for column in self.columns.values())

    def column(self, name: str) -> Column:
        """A column by its name, in any case. Raises FieldError if there is none, or several."""
        if name in self.columns:
            return self.columns[name]
        similar = self.by_folded_name.get(name.strip().casefold(), ())
        if len(similar) > 1:
            names = " and ".join(repr(column.name) for column in similar)
            raise FieldError(name, f"{name!r} can mean {names}; write it as one of these columns")
        for column in similar:
            return column
        hint = did_you_mean(name, self.columns, f"its columns are: {', '.join(self.columns)}")
        raise FieldError(name, f"{self.name} has no column {name!r}; {hint}")

    def sql_columns(self, names: Iterable[str]) -> list[sa.Column[Any]]:
        """Columns by their names in the database, for statements."""
        return [self.sql.c[name] for name in names]

    def id_of(self, values: Mapping[str, Any]) -> str | None:
        """A row's primary key as text; None if the row has no value for it."""
        known = [values[name] for name in self.key if name in values]
        if not known or len(known) < len(self.key):
            return None
        return id_text(known)

    def ids_of(self, rows: Iterable[Mapping[str, Any]]) -> list[str | None]:
        """The primary keys of rows that have a value for each of its columns."""
        if len(self.key) != 1:
            return list(map(self.id_of, rows))
        (name,) = self.key
        keys = [values[name] for values in rows]
        if set(map(type, keys)) <= {str, int}:
            return list(map(str, keys))
        return [id_text((key,)) for key in keys]

    @property
    def _identity(self) -> dict[Action, tuple[str, ...]]:
        """The columns that a row needs for an action; an upsert without a key that the database
        makes is a new row."""
        is_made = bool(self.key) and all(self.columns[name].has_default for name in self.key)
        actions = (Action.UPDATE, Action.DELETE, *([] if is_made else [Action.UPSERT]))
        return dict.fromkeys(actions, self.key)

    def features(self, concurrency: int) -> Features:
        """What openbulk can do with its rows."""
        one_column = self.key if len(self.key) == 1 else ()
        is_related = self.refers_to_itself
        # Batches that are written at the same time would not find one another's rows, and take
        # turns at numbers.
        is_ordered = is_related or self.is_numbered
        max_batch = RELATED_RECORDS_PER_BATCH if is_related else RECORDS_PER_BATCH
        return Features(
            frozenset(Action),
            max_batch=min(max_batch, _KEY_VALUES_PER_BATCH // max(len(self.key), 1)),
            concurrency=1 if is_ordered else concurrency,
            idempotent_writes=True,
            identifiers=one_column,
            identity=self._identity,
            applies_where=True,
            sorts=True,
            id=next(iter(one_column), None),
            documents=frozenset(
                name for name, column in self.columns.items() if column.kind in _DOCUMENTS
            ),
            local_times=self._local_times,
        )

    @property
    def _local_times(self) -> LocalTimes | None:
        """Columns that hold an instant, such as `timestamptz`, take local times for times in UTC.

        None if there are none: the others keep them as they are.
        """
        moments = [one for one in self.columns.items() if one[1].kind is Kind.MOMENT]
        zoned = [name for name, column in moments if column.is_zoned]
        return LocalTimes("UTC", frozenset(zoned), is_of_service=False) if zoned else None

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a row."""
        return {
            "type": "object",
            "properties": {name: _schema_of(column) for name, column in self.columns.items()},
            "required": [name for name, column in self.columns.items() if column.is_required],
        }


def id_text(values: Iterable[Any]) -> str:
    """The values of a primary key as the id of a record: joined by commas."""
    return ",".join([str(to_json(value)) for value in values])


def require_schema(connection: sa.Connection, schema: str) -> None:
    """Raise BadInput for a schema that the database does not have."""
    names = sa.inspect(connection).get_schema_names()
    names = [name for name in names if name != "information_schema" or name == schema]
    if schema in names:
        return
    nearest = get_close_matches(schema, names, len(names), cutoff=0.0)
    raise BadInput(
        f"db.schema: the database has no schema {schema[:60]!r}; its schemas are "
        f"{', '.join(nearest)}"
    )


def reflect(connection: sa.Connection, schema: str | None) -> dict[str, Table]:
    """All tables of a schema by name, except openbulk's own."""
    dialect = _DIALECTS[connection.dialect.name]
    metadata = sa.MetaData(schema=schema)
    dialect.reflect(connection, metadata)
    names = dialect.type_names(connection, schema)
    # Reflection follows foreign keys into other schemas. A table that was changed while it was
    # described has columns without a type: it is described anew with the next look.
    tables = [
        table
        for table in metadata.tables.values()
        if table.schema == schema
        and table.name != WRITES
        and all((table.name, column.name) in names for column in table.columns)
    ]
    tables.sort(key=lambda table: table.name)
    keys = dialect.unique_keys(connection, schema)
    references = {table: _references_of(table) for table in metadata.tables.values()}
    return {
        str(table.name): replace(
            _table(table, names, dialect),
            references=references[table],
            referring=_tables_referring_to(table, references),
            unique_keys=keys.get(table.name, ()),
            unwritable=table.info.get("unwritable", ""),
            rolls_back=table.info.get("rolls_back", True),
        )
        for table in tables
    }


def _reflect_postgresql(connection: sa.Connection, metadata: sa.MetaData) -> None:
    with warnings.catch_warnings():
        # A type that SQLAlchemy does not know, such as a composite one, is read as text.
        warnings.filterwarnings("ignore", "Did not recognize type", SAWarning)
        metadata.reflect(connection)


def _reflect_sqlite(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Describe all tables but those that SQLite itself cannot use.

    It takes a foreign key of other columns than those that it refers to, and a table of a module
    that this process does not have, and complains once the table is used.
    """
    # A table that is referred to may not exist (https://sqlite.org/foreignkeys.html, section 3).
    for name in sa.inspect(connection).get_table_names():
        try:
            metadata.reflect(connection, only=[name], resolve_fks=False)
        except DBAPIError as error:
            if "no such module" not in str(error.orig):
                raise
        except ArgumentError:
            continue


def _references_of(table: sa.Table) -> list[Reference]:
    references: list[Reference] = []
    for key in table.foreign_key_constraints:
        # SQLite takes a reference to a table, or a column, that does not exist.
        with suppress(NoReferenceError):
            references.append(
                Reference(
                    tuple(str(element.parent.name) for element in key.elements),
                    key.referred_table,
                    tuple(str(element.column.name) for element in key.elements),
                )
            )
    return references


def _tables_referring_to(
    table: sa.Table, references: Mapping[sa.Table, Sequence[Reference]]
) -> list[str]:
    return [
        f"{other.name} ({', '.join(reference.columns)})"
        for other, of_other in references.items()
        for reference in of_other
        if reference.table is table
    ]


def _table(table: sa.Table, names: TypeNames, dialect: "_Dialect") -> Table:
    # The names of a reflected table are of a subclass of str, which orjson does not take as a key.
    key = tuple(map(str, table.primary_key.columns.keys()))
    columns = {str(column.name): dialect.column(column, names) for column in table.columns}
    dialect.loosen_types(table, columns)
    by_folded_name: defaultdict[str, list[Column]] = defaultdict(list)
    for name, column in columns.items():
        by_folded_name[name.strip().casefold()].append(column)
    computed = [name for name, column in columns.items() if column.is_generated]
    return Table(table, columns, key, by_folded_name, computed)


class _ListAsJson(sa.types.UserDefinedType[Any]):
    """A list that PostgreSQL turns into JSON, as the driver does not know the type of its items."""

    cache_ok = True

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The column as a statement selects it."""
        return sa.func.to_json(column, type_=NullType())


class _Money(sa.types.UserDefinedType[Any]):
    """`money`, or a list of it, which comes and goes as numbers.

    How its texts are written and read depends on lc_monetary: in one database `5,50` is 5.5, and in
    another one 550.
    """

    cache_ok = True

    def __init__(self, name: str, numbers: str) -> None:
        self.name = name
        self.numbers = numbers

    def get_col_spec(self, **_more: Any) -> str:
        """The name for a statement."""
        return self.name.replace("%", "%%")

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The column as a statement selects it."""
        return sa.cast(column, NUMBERS_OF_MONEY[self.numbers])

    def bind_expression(self, bindvalue: sa.BindParameter[Any]) -> sa.ColumnElement[Any]:
        """A number to compare with the column."""
        return sa.cast(sa.cast(bindvalue, NUMBERS_OF_MONEY[self.numbers]), self)


NUMBERS_OF_MONEY: Mapping[str, sa.types.TypeEngine[Any]] = {
    "numeric": sa.Numeric(),
    "numeric[]": postgresql.ARRAY(sa.Numeric()),
}
"""The types that `money`, and a list of it, are cast to."""


def _type_to_read(type_: Any, column: Column) -> Any:
    """The type with which a column's values are read without loss."""
    if column.number_type:
        return _Money(column.type_name, column.number_type)
    base = _base_of(type_)
    item = base.item_type if isinstance(base, postgresql.ARRAY) else None
    if isinstance(item, postgresql.DOMAIN | postgresql.CITEXT):
        return _ListAsJson()
    if isinstance(item or base, postgresql.ranges.AbstractRange):
        return NullType()  # read as text
    return type_


def _base_of(type_: Any) -> Any:
    """The type under a domain."""
    while isinstance(type_, postgresql.DOMAIN):
        type_ = type_.data_type
    return type_


def _loosen_types(table: sa.Table, columns: Mapping[str, Column]) -> None:
    """Read PostgreSQL's values without loss."""
    for column in table.columns:
        column.type = _type_to_read(column.type, columns[column.name])


def _loosen_sqlite_types(table: sa.Table, columns: Mapping[str, Column]) -> None:
    """Read SQLite's values without conversion: any column can hold a value of any type.

    https://sqlite.org/datatype3.html
    """
    for column in table.columns:
        column.nullable = column.nullable and not column.primary_key
        if columns[column.name].kind is not Kind.INTEGER:
            column.type = NullType()


def _first_match(table: Sequence[tuple[type[Any], _T]], type_: Any, default: _T) -> _T:
    """What a table has for the first type that this one is of."""
    return next((value for known, value in table if isinstance(type_, known)), default)


def _column(column: sa.Column[Any], names: TypeNames) -> Column:
    """A column of PostgreSQL."""
    type_, identity = _base_of(column.type), column.identity
    name = names[column.table.name, column.name]
    is_numbered = identity is not None or "nextval(" in (name.default or "")
    return replace(
        _column_of_type(str(column.name), type_, name),
        is_nullable=bool(column.nullable),
        has_default=name.default is not None or identity is not None,
        is_numbered=is_numbered,
        is_generated=column.computed is not None or bool(identity and identity.always),
        choices=tuple(getattr(type_, "enums", ())),
        is_padded=name.is_padded,
        # Ranges whose bounds are known are checked here.
        has_own_form=name.has_own_form and not isinstance(type_, postgresql.ranges.AbstractRange),
        is_plain_text=isinstance(type_, _PLAIN_TEXTS) and name.is_deterministic,
        comment=column.comment,
        type_name=name.type,
        full_type_name=name.full_type,
        collation=name.collation,
    )


def _column_of_type(column: str, type_: Any, name: TypeName) -> Column:
    """What a type of PostgreSQL keeps: that of a column, or of the items of a list."""
    kind = _first_match(_KIND_OF_COLUMN, type_, Kind.OTHER)
    sizes: dict[str, Any] = dict(zip(_MODIFIER_NAMES.get(kind, ()), name.modifiers, strict=False))
    item = _item_of(column, type_, name)
    number_type = "numeric" if isinstance(type_, postgresql.MONEY) else ""
    if item is not None and item.number_type:
        number_type = "numeric[]"
    return Column(
        name=column,
        kind=kind,
        is_zoned=bool(getattr(type_, "timezone", False)),
        numbers=_limits_of(type_, name),
        item=item,
        number_type=number_type,
        **sizes,
    )


def _item_of(column: str, type_: Any, name: TypeName) -> Column | None:
    """What the items of a list, or the bounds of a range, keep; None if they are as they are."""
    if isinstance(type_, postgresql.ARRAY):
        item = _column_of_type(column, _base_of(type_.item_type), name)
        return item if item.kind in CHECKED_ITEMS else None
    bounds = _first_match(_BOUNDS, type_, None)
    return None if bounds is None else replace(bounds, name=column)


_PLAIN_TEXTS = (sa.TEXT, sa.VARCHAR, sa.CHAR, sa.Enum, postgresql.CITEXT)
_DAYS = Column("", Kind.DATE)
_LOCAL_TIMES = Column("", Kind.MOMENT)
_MOMENTS = Column("", Kind.MOMENT, is_zoned=True)
_BOUNDS: Sequence[tuple[type[Any], Column]] = (
    (postgresql.DATERANGE, _DAYS),
    (postgresql.DATEMULTIRANGE, _DAYS),
    (postgresql.TSRANGE, _LOCAL_TIMES),
    (postgresql.TSMULTIRANGE, _LOCAL_TIMES),
    (postgresql.TSTZRANGE, _MOMENTS),
    (postgresql.TSTZMULTIRANGE, _MOMENTS),
)
"""The bounds of ranges; those of numbers are read by the database as they are written."""
_MODIFIER_NAMES = {
    Kind.TEXT: ("length",),
    Kind.MOMENT: ("second_digits",),
    Kind.TIME: ("second_digits",),
    Kind.INTERVAL: ("second_digits",),
}
"""What the number in parentheses behind a type means for a column."""


def _limits_of(type_: Any, name: TypeName) -> NumberLimits:
    """What a column of a numeric type of PostgreSQL keeps.

    https://www.postgresql.org/docs/15/datatype-numeric.html
    """
    if isinstance(type_, postgresql.MONEY):
        return replace(_MONEY, scale=name.money_digits)
    limits = _first_match(_LIMITS, type_, NO_LIMITS)
    if limits is NO_LIMITS and isinstance(type_, sa.Numeric) and name.modifiers:
        precision, scale = name.modifiers
        return NumberLimits(precision=precision, scale=scale)
    return limits


_MONEY = NumberLimits(precision=19, takes_nan=False, takes_infinity=False)
"""An integer of 64 bits (https://www.postgresql.org/docs/15/datatype-money.html)."""
_INTEGERS_64 = NumberLimits(-(2**63), 2**63 - 1)
_FLOATS_64 = NumberLimits(float_digits=17)
_LIMITS: Sequence[tuple[type[Any], NumberLimits]] = (
    (sa.SmallInteger, NumberLimits(-(2**15), 2**15 - 1)),
    (sa.BigInteger, _INTEGERS_64),
    (sa.Integer, NumberLimits(-(2**31), 2**31 - 1)),
    (sa.REAL, NumberLimits(float_digits=9)),
    (sa.Float, _FLOATS_64),
)
"""The limits of PostgreSQL's types: the first type that matches decides."""
_SQLITE_LIMITS: Sequence[tuple[type[Any], NumberLimits]] = (
    (sa.Integer, _INTEGERS_64),
    (sa.Float, _FLOATS_64),
)


def _sqlite_column(column: sa.Column[Any], names: TypeNames) -> Column:
    name = names[column.table.name, column.name]
    kind = _first_match(_KIND_OF_COLUMN, column.type, Kind.OTHER)
    if kind is Kind.OTHER or (kind is Kind.NUMBER and not name.is_number):
        kind = Kind.TEXT
    # SQLite fills a primary key that is one INTEGER column
    # (https://sqlite.org/lang_createtable.html#rowid).
    is_row_id = kind is Kind.INTEGER and list(column.table.primary_key.columns) == [column]
    return Column(
        name=str(column.name),
        kind=kind,
        is_nullable=bool(column.nullable),
        has_default=column.server_default is not None or is_row_id,
        is_numbered=is_row_id,
        is_generated=column.computed is not None,
        # SQLite does not enforce the length of a text column.
        numbers=_first_match(_SQLITE_LIMITS, column.type, NO_LIMITS),
        comment=column.comment,
        makes_numbers_of_texts=name.makes_numbers_of_texts,
    )


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How the tables of one kind of database are described."""

    reflect: Callable[[sa.Connection, sa.MetaData], None]
    type_names: Callable[[sa.Connection, str | None], TypeNames]
    unique_keys: Callable[[sa.Connection, str | None], UniqueKeys]
    column: Callable[[sa.Column[Any], TypeNames], Column]
    loosen_types: Callable[[sa.Table, Mapping[str, Column]], None]


_DIALECTS: Mapping[str, _Dialect] = {
    "postgresql": _Dialect(_reflect_postgresql, type_names, unique_keys, _column, _loosen_types),
    "sqlite": _Dialect(
        _reflect_sqlite, sqlite_types, no_unique_keys, _sqlite_column, _loosen_sqlite_types
    ),
    "mysql": _Dialect(
        reflect_mysql, mysql_types, mysql_unique_keys, mysql_column, keep_mysql_types
    ),
}


def _schema_of(column: Column) -> dict[str, Any]:
    schema: dict[str, Any] = dict(_SCHEMA[column.kind])
    if column.comment:
        schema["description"] = column.comment
    if column.choices:
        schema["enum"] = list(column.choices)
    if column.is_generated:
        schema["readOnly"] = True
    return schema
