"""Records as rows of a table, and the columns that identify them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from itertools import chain, repeat
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.plain_values import NOT_PLAIN, Convert, plain_conversion
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.values import Column, Conversion, Kind, to_database, to_json
from openbulk.domain.records import Action, Outcome, Record, Target

_ABSENT = object()
"""In place of a value that a record does not have."""
_REFUSED = object()
"""In place of a value that a column does not take."""
_NOTHING_COMPUTED: Mapping[str, Any] = MappingProxyType({})
Identity = tuple[Any, ...]
"""The values of the columns that identify a row."""


class Row(NamedTuple):
    """A record in the types of the table. A tuple, as each record of a job becomes one."""

    number: int
    """The record's row in its file."""
    values: Mapping[str, Any]
    identity: Identity = ()
    """Empty if the row is new in any case."""
    id: str | None = None
    """The id of the table's row that it changes."""
    computed: Mapping[str, Any] = _NOTHING_COMPUTED
    """Values of columns that the database computes: they can only be compared."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, sorted: rows with the same columns have equal names."""
        return tuple(sorted(self.values))


def values_by_column(
    rows: Sequence[Mapping[str, Any]], absent: Any = None
) -> Mapping[str, Sequence[Any]]:
    """The values of rows by column, with `absent` where a row has none."""
    shapes = dict.fromkeys(map(tuple, rows))
    if len(shapes) == 1:
        (names,) = shapes
        return dict(zip(names, zip(*(row.values() for row in rows), strict=True), strict=True))
    names = tuple(dict.fromkeys(chain.from_iterable(shapes)))
    return {name: [row.get(name, absent) for row in rows] for name in names}


def _plain_rows(
    numbers: Sequence[int], values: Sequence[dict[str, Any]], identities: Sequence[Identity]
) -> list[Row]:
    """Rows that nothing is to be said of. All of them in one call: each record becomes one."""
    fields = zip(numbers, values, identities, repeat(None), repeat(_NOTHING_COMPUTED))
    return list(map(Row._make, fields))


@dataclass(slots=True)
class _Cells:
    """The values of a batch by column, one a record."""

    columns: dict[str, Sequence[Any]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    """The places of records of which a column refuses a value."""
    has_gaps: bool = False
    """Whether a record lacks a value that another one has."""

    def rows(self, count: int) -> list[dict[str, Any]]:
        """The values of each of so many records by column."""
        names = tuple(self.columns)
        if not names:
            return [{} for _ in range(count)]
        rows = zip(*self.columns.values(), strict=True)
        if not self.has_gaps:
            return [dict(zip(names, values, strict=True)) for values in rows]
        return [
            {name: value for name, value in zip(names, values, strict=True) if value is not _ABSENT}
            for values in rows
        ]

    def identities(self, names: Sequence[str]) -> list[Identity] | None:
        """The values of these columns, a record each; None if a record lacks one."""
        columns = [self.columns.get(name, (None,)) for name in names]
        if self.has_gaps or any(None in column for column in columns):
            return None
        return list(zip(*columns, strict=True))


@dataclass(frozen=True, slots=True)
class RowMapper:
    """Turns records into rows of a table."""

    table: Table
    target: Target
    identifiers: tuple[str, ...]
    """The columns that identify a row; none if all rows are new."""
    conversion: Conversion
    columns: dict[str, Column] = field(default_factory=dict)
    """The columns of names that have occurred in records."""
    _plain: dict[str, Convert | None] = field(default_factory=dict)
    """What converts the values of these columns together."""
    _first_in_utc: dict[str, int] = field(default_factory=dict)
    """By column, the first row whose time was taken for one in UTC."""

    @classmethod
    def of(
        cls, table: Table, target: Target, *, is_sqlite: bool, is_mysql: bool = False
    ) -> "RowMapper":
        """The mapper for a target. Raises FieldError if the target fits no record at all."""
        name = target.options.get("timeZone")
        zone = zone_of(name) if name else None
        conversion = Conversion(zone, is_sqlite, target.is_typed, is_mysql=is_mysql)
        return cls(table, target, _identifiers_of(table, target), conversion)

    def rows(self, batch: Sequence[Record]) -> tuple[list[Row], list[Outcome]]:
        """The rows of a batch, and the outcomes of the records that cannot be rows.

        Values are converted column by column. The records of which that fails are converted one by
        one, as are all if two of their names mean one column.
        """
        given = values_by_column([record.values for record in batch], _ABSENT)
        columns = self._columns_of(given)
        if columns is None:
            return self._rows_one_by_one(batch)
        cells = _Cells()
        for name, column in columns.items():
            cells.columns[column.name] = self._cells(column, given[name], batch, cells)
        values = cells.rows(len(batch))
        if not cells.refused and not self.table.computed_columns:
            identities = (
                cells.identities(self.identifiers) if self.identifiers else [()] * len(batch)
            )
            if identities is not None:
                return _plain_rows([record.row for record in batch], values, identities), []
        return self._rows_of(batch, cells, values)

    def _rows_of(
        self, batch: Sequence[Record], cells: _Cells, values_of_rows: Sequence[dict[str, Any]]
    ) -> tuple[list[Row], list[Outcome]]:
        rows: list[Row] = []
        outcomes: list[Outcome] = []
        for place, (record, values) in enumerate(zip(batch, values_of_rows, strict=True)):
            try:
                if place in cells.refused:
                    rows.append(self.row(record))
                else:
                    rows.append(self._row_of(record.row, values))
            except FieldError as error:
                outcomes.append(error.outcome(record.row))
            if self.conversion.taken_for_utc:
                self._note_utc(record.row)
        return rows, outcomes

    def _rows_one_by_one(self, batch: Sequence[Record]) -> tuple[list[Row], list[Outcome]]:
        rows: list[Row] = []
        outcomes: list[Outcome] = []
        for record in batch:
            try:
                rows.append(self.row(record))
            except FieldError as error:
                outcomes.append(error.outcome(record.row))
            if self.conversion.taken_for_utc:
                self._note_utc(record.row)
        return rows, outcomes

    def _columns_of(self, names: Iterable[str]) -> dict[str, Column] | None:
        """The columns by the names in a batch.

        None if two names mean one column, or a name means none: the records with it are refused.
        """
        try:
            columns = {name: self._column(name) for name in names}
        except FieldError:
            return None
        if len({column.name for column in columns.values()}) < len(columns):
            return None
        return columns

    def _column(self, name: str) -> Column:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = self.table.column(name)
            self._plain[column.name] = plain_conversion(column, self.conversion)
        return column

    def _cells(
        self, column: Column, values: Sequence[Any], batch: Sequence[Record], cells: _Cells
    ) -> Sequence[Any]:
        """A column's values as it takes them. Notes in `cells` which are absent or refused."""
        convert = self._plain[column.name]
        if convert is not None:
            try:
                return convert(values)
            except NOT_PLAIN:
                pass
        if not self._takes_empty_text(column):
            values = [_ABSENT if value == "" else value for value in values]
        given = [
            (record.row, value)
            for record, value in zip(batch, values, strict=True)
            if value is not _ABSENT and value is not None
        ]
        converted = iter(self._convert(column, convert, given))
        found: list[Any] = []
        for place, value in enumerate(values):
            is_given = value is not _ABSENT and value is not None
            found.append(next(converted) if is_given else value)
            if found[-1] is _REFUSED:
                cells.refused.add(place)
        cells.has_gaps |= len(given) < len(values)
        return found

    def _convert(
        self, column: Column, convert: Convert | None, given: Sequence[tuple[int, Any]]
    ) -> Sequence[Any]:
        """Values of rows, as the column takes them, or `_REFUSED`."""
        if convert is not None and given:
            try:
                return convert([value for _, value in given])
            except NOT_PLAIN:
                pass
        return [self._value(column, row, value) for row, value in given]

    def _value(self, column: Column, row: int, value: Any) -> Any:
        try:
            return to_database(column, value, self.conversion)
        except FieldError:
            return _REFUSED
        finally:
            if self.conversion.taken_for_utc:
                self._note_utc(row)

    def _note_utc(self, row: int) -> None:
        for column in self.conversion.taken_for_utc:
            self._first_in_utc.setdefault(column, row)
        self.conversion.taken_for_utc.clear()

    def with_remarks(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes of `rows`, with a remark for each column whose times were taken for UTC.

        One remark is enough: it is that of the first such row.
        """
        if not self._first_in_utc:
            return list(outcomes)
        names: defaultdict[int, list[str]] = defaultdict(list)
        for column, row in self._first_in_utc.items():
            names[row].append(column)
        return [
            outcome._replace(remark=_remark_of_utc(names[outcome.row]))
            if outcome.row in names
            else outcome
            for outcome in outcomes
        ]

    def row(self, record: Record) -> Row:
        """The row of a record. Raises FieldError."""
        return self._row_of(record.row, self.values_of(record.values))

    def _row_of(self, number: int, values: dict[str, Any]) -> Row:
        """The row of a record with these values by column. Raises FieldError."""
        computed: dict[str, Any] = {}
        if self.table.computed_columns:
            computed = {
                name: values.pop(name)
                for name in self.table.computed_columns
                if name in values and name not in self.identifiers
            }
        if computed and self.target.action is Action.CREATE:
            raise computed_column_error(next(iter(computed)))
        identity = tuple(map(values.get, self.identifiers))
        if None not in identity:
            return Row(number, values, identity, None, computed)
        missing = [name for name in self.identifiers if values.get(name) is None]
        if not self._may_be_missing(missing):
            raise FieldError(missing[0], f"{missing[0]} is missing: it identifies the record")
        for name in missing:
            values.pop(name, None)
        return Row(number, values, computed=computed)

    def values_of(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record's values by column. Raises FieldError."""
        values: dict[str, Any] = {}
        for name, value in record.items():
            column = self._column(name)
            if value == "" and not self._takes_empty_text(column):
                continue
            if column.name in values:
                raise self._same_column_error(column, name, record)
            values[column.name] = to_database(column, value, self.conversion)
        return values

    def _takes_empty_text(self, column: Column) -> bool:
        """Whether an empty text is a value of a column. In any other column it is none at all."""
        if column.kind is Kind.JSON:
            return self.conversion.is_typed
        if column.kind is Kind.BINARY:
            return True  # no bytes, in base64
        return column.kind is Kind.TEXT and (not column.choices or "" in column.choices)

    def _same_column_error(
        self, column: Column, name: str, record: Mapping[str, Any]
    ) -> FieldError:
        names = [one for one in record if self.columns.get(one) is column and one != name]
        first = names[0] if names else column.name
        return FieldError(
            name, f"{first!r} and {name!r} both mean the column {column.name}; keep one of them"
        )

    def identity_text(self, row: Row) -> str:
        """The identity of a row for a message: `land = 'DE', city = 'Bonn'`."""
        pairs = zip(self.identifiers, row.identity, strict=True)
        return ", ".join(f"{name} = {to_json(value)!r}" for name, value in pairs)

    def _may_be_missing(self, names: Sequence[str]) -> bool:
        """Whether an upsert without these columns inserts a row with a key from the database."""
        is_upsert_by_key = self.target.action is Action.UPSERT and not self.target.identifier_field
        return is_upsert_by_key and all(self.table.columns[name].has_default for name in names)


def _remark_of_utc(columns: Sequence[str]) -> str:
    return (
        f"the time in {' and '.join(columns)} has no offset, here and in rows behind: it was taken "
        "for a time in UTC; metaData.timeZone names another zone"
    )


def computed_column_error(name: str) -> FieldError:
    """The error for a value of a column that the database computes."""
    return FieldError(name, f"{name} is computed by the database; leave its column out")


def _identifiers_of(table: Table, target: Target) -> tuple[str, ...]:
    if target.action is Action.CREATE:
        return ()
    if target.identifier_field:
        return (table.column(target.identifier_field).name,)
    if not table.key:
        raise FieldError(
            "identifierFieldName",
            f"{table.name} has no primary key; metaData.identifierFieldName has to name the "
            "column that identifies a row",
        )
    return table.key


def zone_of(name: Any) -> tzinfo:
    """The time zone of a name. Raises FieldError."""
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise FieldError(
            "timeZone", f"metaData.timeZone {name!r} is not a time zone; one is Europe/Berlin"
        ) from error
