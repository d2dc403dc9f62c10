"""The fields of an object that hold dates and times, and their values in ISO 8601."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from openbulk.connectors.fields import FieldError
from openbulk.domain.dates import (
    DateOrder,
    is_iso,
    is_iso_midnight,
    iso_date,
    iso_moment,
    iso_time,
)
from openbulk.domain.field_paths import Path

DATE, MOMENT, TIME = "date", "date-time", "time"
"""What a field holds, as `format` in JSON Schema calls it."""
_HAS_DATE = frozenset({DATE, MOMENT})


class DayOrTime(NamedTuple):
    """An object that is either a day or a moment, as Google's `start` is."""

    day: str
    """Its field with the day."""
    moment: str
    """Its field with the day and the time."""


class DateFields:
    """The fields of a JSON Schema that hold a date, a time, or both."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
        kinds = {
            name: _kind_of(field) for name, field in properties.items() if not field.get("readOnly")
        }
        self._kinds = {name: kind for name, kind in kinds.items() if kind}

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._kinds)

    def are_iso(self, names: Sequence[str], cells: Sequence[Sequence[str | None]]) -> bool:
        """Whether `with_iso_dates` changes nothing in rows with these cells in these fields."""
        for place, name in enumerate(names):
            kind = self._kinds.get(name)
            if isinstance(kind, str):
                texts = filter(None, map(itemgetter(place), cells))
                if not all(_stays(text, kind) for text in texts):
                    return False
        return True

    def has_date(self, path: Path) -> bool:
        """Whether the field at a path holds a date."""
        return self._kind_at(path) in _HAS_DATE

    def has_day(self, path: Path) -> bool:
        """Whether the field at a path holds a date without a time."""
        return self._kind_at(path) == DATE

    def pair_at(self, path: Path) -> DayOrTime | None:
        """The pair at a path; None if what is there is not a day or else a time."""
        kind = self._kind_at(path)
        if not isinstance(kind, DateFields):
            return None
        by_kind = {one: name for name, one in kind._kinds.items() if isinstance(one, str)}
        if len(kind._kinds) != 2 or by_kind.keys() != _HAS_DATE:
            return None
        return DayOrTime(by_kind[DATE], by_kind[MOMENT])

    def _kind_at(self, path: Path) -> "str | DateFields | None":
        kind: str | DateFields | None = self
        for step in path:
            kind = kind._kinds.get(str(step)) if isinstance(kind, DateFields) else None
        return kind

    def with_iso_dates(
        self, values: Mapping[str, Any], order: DateOrder, path: str = ""
    ) -> Mapping[str, Any]:
        """The values of a record, by the names of fields, with dates and times in ISO 8601.

        A text that is none stays as it is: the connector knows what else the field takes. Raises
        FieldError for a day that does not exist.
        """
        changed: dict[str, Any] = {}
        for name, value in values.items():
            kind = self._kinds.get(name)
            if isinstance(kind, DateFields) and isinstance(value, Mapping):
                changed[name] = kind.with_iso_dates(value, order, f"{path}{name}.")
            elif isinstance(kind, str) and isinstance(value, str):
                changed[name] = _iso_text(value, kind, order, f"{path}{name}")
        return {**values, **changed} if changed else values


def _kind_of(field: Mapping[str, Any]) -> str | DateFields | None:
    if "properties" in field:
        return DateFields(field)
    kind = field.get("format")
    return kind if kind in _HAS_DATE or kind == TIME else None


def _iso_text(text: str, kind: str, order: DateOrder, path: str) -> str:
    if _stays(text, kind):
        return text
    try:
        return _CONVERTERS[kind](text, order) or text
    except ValueError as error:
        raise FieldError(path, f"{path} {error}") from error


def _stays(text: str, kind: str) -> bool:
    return is_iso(text) and not (kind == DATE and is_iso_midnight(text))


def _iso_time(text: str, _order: DateOrder) -> str | None:
    return iso_time(text)


_CONVERTERS: Mapping[str, Callable[[str, DateOrder], str | None]] = {
    DATE: iso_date,
    MOMENT: iso_moment,
    TIME: _iso_time,
}
