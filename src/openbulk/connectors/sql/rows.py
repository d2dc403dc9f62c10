"""Records as rows of a table, and the columns that identify them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.values import Column, Conversion, Kind, to_database, to_json
from openbulk.domain.records import Action, Outcome, Record, Target

Identity = tuple[Any, ...]
"""The values of the columns that identify a row."""


@dataclass(frozen=True, slots=True)
class Row:
    """A record in the types of the table."""

    number: int
    """The record's row in its file."""
    values: Mapping[str, Any]
    identity: Identity = ()
    """Empty if the row is new in any case."""
    id: str | None = None
    """The id of the table's row that it changes."""
    computed: Mapping[str, Any] = field(default_factory=dict)
    """Values of columns that the database computes: they can only be compared."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, sorted: rows with the same columns have equal names."""
        return tuple(sorted(self.values))


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
    _first_in_utc: dict[str, int] = field(default_factory=dict)
    """By column, the first row whose time was taken for one in UTC."""

    @classmethod
    def of(cls, table: Table, target: Target, *, is_sqlite: bool) -> "RowMapper":
        """The mapper for a target. Raises FieldError if the target fits no record at all."""
        name = target.options.get("timeZone")
        zone = zone_of(name) if name else None
        conversion = Conversion(zone, is_sqlite, target.is_typed)
        return cls(table, target, _identifiers_of(table, target), conversion)

    def rows(self, batch: Sequence[Record]) -> tuple[list[Row], list[Outcome]]:
        """The rows of a batch, and the outcomes of the records that cannot be rows."""
        rows: list[Row] = []
        failed: list[Outcome] = []
        for record in batch:
            try:
                rows.append(self.row(record))
            except FieldError as error:
                failed.append(error.outcome(record.row))
            if self.conversion.taken_for_utc:
                self._note_utc(record.row)
        return rows, failed

    def _note_utc(self, row: int) -> None:
        for column in self.conversion.taken_for_utc:
            self._first_in_utc.setdefault(column, row)
        self.conversion.taken_for_utc.clear()

    def with_remarks(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes of `rows`, with a remark for each column whose times were taken for UTC.

        One remark is enough: it is that of the first such row.
        """
        names: defaultdict[int, list[str]] = defaultdict(list)
        for column, row in self._first_in_utc.items():
            names[row].append(column)
        return [
            replace(outcome, remark=_remark_of_utc(names[outcome.row]))
            if outcome.row in names
            else outcome
            for outcome in outcomes
        ]

    def row(self, record: Record) -> Row:
        """The row of a record. Raises FieldError."""
        values = self.values_of(record.values)
        computed = {
            name: values.pop(name)
            for name in self.table.computed_columns
            if name in values and name not in self.identifiers
        }
        if computed and self.target.action is Action.CREATE:
            raise computed_column_error(next(iter(computed)))
        missing = [name for name in self.identifiers if values.get(name) is None]
        if not missing:
            identity = tuple(values[name] for name in self.identifiers)
            return Row(record.row, values, identity, computed=computed)
        if not self._may_be_missing(missing):
            raise FieldError(missing[0], f"{missing[0]} is missing: it identifies the record")
        for name in missing:
            values.pop(name, None)
        return Row(record.row, values, computed=computed)

    def values_of(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record's values by column. Raises FieldError."""
        values: dict[str, Any] = {}
        for name, value in record.items():
            column = self.columns.get(name)
            if column is None:
                column = self.columns[name] = self.table.column(name)
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
