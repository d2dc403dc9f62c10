"""Days and times of a mapped row: whole days, and last days that stand for the day after."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields, DayOrTime
from openbulk.connectors.fields import FieldError, short_repr
from openbulk.domain.errors import BadInput
from openbulk.domain.field_paths import Path
from openbulk.domain.file_mapping import FieldSource, FileMapping
from openbulk.domain.yes_no import parse_yes_no
from openbulk.engine.mapped_rows import MappedRows, ReadCell, Values, cell_reader, text_of

_DAY_CHARACTERS = len("2026-05-30")


@dataclass(frozen=True, slots=True)
class _DayField:
    """A field of a mapping that may hold a whole day."""

    path: Path
    """Of the service's field."""
    source: FieldSource
    pair: DayOrTime | None
    """None if the field is a day, and never a moment."""
    cells: Mapping[str, ReadCell]

    def empty_columns(self, row: Values) -> Sequence[str]:
        """The columns that it is made of, and that are empty in a row."""
        return [name for name in self.source.columns if self.cells[name](row) in (None, "")]

    def day_in(self, value: Any) -> str:
        """The day in the value of the field; empty if it has none, or a time."""
        day = value.get(self.pair.day) if self.pair and isinstance(value, Mapping) else value
        return day if isinstance(day, str) else ""

    def moment_in(self, value: Any) -> str:
        """The moment in the value of a pair; empty if it has none."""
        moment = value.get(self.pair.moment) if self.pair and isinstance(value, Mapping) else ""
        return moment if isinstance(moment, str) else ""

    def with_day(self, value: Any, day: str) -> Any:
        """The value of the field with a day."""
        if self.pair is None:
            return day
        others = {name: one for name, one in value.items() if name not in self.pair}
        return {**others, self.pair.day: day}

    def is_whole_day(self, row: Values) -> bool | None:
        """What its column for that says; None without one, and for an empty cell."""
        name = self.source.all_day
        text = text_of(self.cells[name](row)) if name is not None else ""
        if not text.strip():
            return None
        found = parse_yes_no(text)
        if found is None:
            raise FieldError(
                name,
                f"the column {name!r} has {short_repr(text)}, which is neither yes nor no; write "
                "yes for a whole day",
            )
        return found


def mapped_rows(
    mapping: FileMapping, columns: Columns, dates: DateFields, *, is_table: bool
) -> MappedRows:
    """Maps rows to the fields of an object."""
    pairs: dict[str, DayOrTime] = {}
    timed: set[str] = set()
    for field in mapping.sources:
        path = columns.path_of(field)
        if path is None:
            continue
        pair, around = dates.pair_at(path), dates.pair_at(path[:-1])
        if pair is not None:
            pairs[field] = pair
        if around is not None and path[-1] == around.moment:
            timed.add(field)
    return MappedRows(mapping, is_table=is_table, pairs=pairs, timed=timed)


def require_days(mapping: FileMapping, columns: Columns, dates: DateFields, place: str) -> None:
    """Raise BadInput for `lastDay` or `allDay` of a field that holds no day."""
    for field, source in mapping.sources.items():
        path = columns.path_of(field)
        if path is None or not (source.last_day or source.all_day):
            continue
        if dates.pair_at(path) is not None or (dates.has_day(path) and not source.all_day):
            continue
        key = "allDay" if source.all_day else "lastDay"
        around = dates.pair_at(path[:-1])
        right = "leave it out"
        if around is not None:
            right = f"map {field.rpartition('.')[0]!r}, which is a day or a time"
        raise BadInput(f"{place}.{field[:80]}: {key} has no effect on this field; {right}")


class WholeDays:
    """Finishes the days of mapped rows, once their dates are in ISO 8601."""

    def __init__(
        self, mapping: FileMapping, columns: Columns, dates: DateFields, *, is_table: bool
    ) -> None:
        self._fields: list[_DayField] = []
        for field, source in mapping.sources.items():
            path = columns.path_of(field)
            pair = None if path is None else dates.pair_at(path)
            if path is not None and source.columns and (pair is not None or source.last_day):
                names = source.all_columns
                cells = {name: cell_reader(name, is_table=is_table) for name in names}
                self._fields.append(_DayField(path, source, pair, cells))

    def __bool__(self) -> bool:
        """Whether the mapping has a field that may hold a whole day."""
        return bool(self._fields)

    def of(self, row: Values, fields: Values) -> Values:
        """The fields of a row, with the days that it means. Raises FieldError."""
        found = {one.path: _value_at(fields, one.path) for one in self._fields}
        changed = dict(found)
        until_midnight = {
            one.path for one in self._fields if one.pair and _make_whole_day(one, row, changed)
        }
        self._require_alike(row, changed)
        self._add_days(changed, until_midnight)
        for path, value in changed.items():
            if value is not found[path]:
                fields = _with_value(fields, path, value)
        return fields

    def _require_alike(self, row: Values, values: Mapping[Path, Any]) -> None:
        """Raise FieldError for a row with a time for one field, and an empty cell in another."""
        timed = [one for one in self._fields if one.moment_in(values[one.path])]
        for one in self._fields if timed else ():
            empty = one.empty_columns(row) if one.pair and one.day_in(values[one.path]) else ()
            others = [name for name in timed[0].source.columns if name not in one.source.columns]
            if empty and others:
                says = f"and {others[0]!r} is not: fill both, or neither for whole days"
                raise _empty_cell(empty[0], says)

    def _add_days(self, values: dict[Path, Any], until_midnight: Collection[Path]) -> None:
        """Make each last day the day after it."""
        days = {one.path: one.day_in(values[one.path]) for one in self._fields}
        first = min(filter(None, days.values()), default="")
        for one in self._fields:
            day = days[one.path]
            # A program that writes the midnight at which an event ends means the day after it.
            is_day_after = one.path in until_midnight and day > first
            if day and one.source.last_day and not is_day_after:
                values[one.path] = one.with_day(values[one.path], _day_after(day, one))


def _make_whole_day(one: _DayField, row: Values, values: dict[Path, Any]) -> bool:
    """Make a moment a day if its row says so; return whether the moment was a midnight.

    Raises FieldError for a row that is no whole day, and has no time.
    """
    value = values[one.path]
    says, moment = one.is_whole_day(row), one.moment_in(value)
    if says and moment:
        values[one.path] = one.with_day(value, moment[:_DAY_CHARACTERS])
        return moment[_DAY_CHARACTERS + 1 :].startswith("00:00")
    empty = one.empty_columns(row)
    if says is False and empty and one.day_in(value):
        column = one.source.all_day
        raise _empty_cell(
            empty[0], f"and {column!r} says that the row is no whole day: fill it, or say yes there"
        )
    return False


def _empty_cell(column: str, says: str) -> FieldError:
    return FieldError(column, f"the column {column!r} is empty, {says}")


def _day_after(text: str, one: _DayField) -> str:
    try:
        return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
    except ValueError:
        return text  # the connector says what is wrong with it
    except OverflowError:
        raise FieldError(
            ", ".join(one.source.columns), f"the day after {text} is after the year 9999"
        ) from None


def _value_at(fields: Values, path: Path) -> Any:
    place: Any = fields
    for step in path:
        place = place.get(step) if isinstance(place, Mapping) else None
    return place


def _with_value(fields: Values, path: Path, value: Any) -> Values:
    """The fields with another value at a path. The given ones stay as they are."""
    step, *rest = path
    inner = _with_value(fields.get(str(step), {}), tuple(rest), value) if rest else value
    return {**fields, str(step): inner}
