"""The fields of an object that hold dates and times, and their values in ISO 8601."""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

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

    def has_date(self, path: Path) -> bool:
        """Whether the field at a path holds a date."""
        name, *rest = path
        kind = self._kinds.get(str(name))
        if isinstance(kind, DateFields):
            return bool(rest) and kind.has_date(tuple(rest))
        return kind in _HAS_DATE and not rest

    def are_iso(self, names: Sequence[str], cells: Sequence[Sequence[str | None]]) -> bool:
        """Whether these columns of a table have plain ISO 8601 alone: nothing is to be converted.

        One look at a column takes a tenth of the time of one at each value.
        """
        for place, name in enumerate(names):
            kind = self._kinds.get(name)
            if kind is None:
                continue
            texts = list(filter(None, map(itemgetter(place), cells)))
            lines = "\n".join([*texts, ""])
            if not isinstance(kind, str) or not _PLAIN[kind].fullmatch(lines):
                return False
            if lines.count("\n") > len(texts):
                return False  # two in one cell
        return True

    def with_iso_dates(
        self, values: Mapping[str, Any], order: DateOrder, path: str = ""
    ) -> Mapping[str, Any]:
        """The values of a record, by the names of fields, with dates and times in ISO 8601.

        A text that is none stays as it is: the connector knows what else the field takes. Raises
        FieldError for a day that does not exist.
        """
        changed: dict[str, Any] = {}
        for name, kind in self._kinds.items():
            if (value := values.get(name)) is None:
                continue
            found = value
            if isinstance(kind, str):
                if isinstance(value, str):
                    found = _iso_text(value, kind, order, f"{path}{name}")
            elif isinstance(value, Mapping):
                found = kind.with_iso_dates(value, order, f"{path}{name}.")
            if found is not value:
                changed[name] = found
        return {**values, **changed} if changed else values


_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"(?:[01]\d|2[0-3]):\d\d(?::\d\d)?"
_OFFSET = r"(?:Z|[+-]\d\d:\d\d)?"
_PLAIN = {
    DATE: re.compile(rf"(?:{_DAY}\n)*", re.ASCII),
    MOMENT: re.compile(rf"(?:{_DAY}T{_CLOCK}{_OFFSET}\n)*", re.ASCII),
    TIME: re.compile(rf"(?:{_CLOCK}\n)*", re.ASCII),
}
"""Values, one a line, that `with_iso_dates` leaves as they are."""


def _kind_of(field: Mapping[str, Any]) -> str | DateFields | None:
    if "properties" in field:
        return DateFields(field)
    kind = field.get("format")
    return kind if kind in _HAS_DATE or kind == TIME else None


def _iso_text(text: str, kind: str, order: DateOrder, path: str) -> str:
    if is_iso(text) and not (kind == DATE and is_iso_midnight(text)):
        return text
    try:
        return _CONVERTERS[kind](text, order) or text
    except ValueError as error:
        raise FieldError(path, f"{path} {error}") from error


def _iso_time(text: str, _order: DateOrder) -> str | None:
    return iso_time(text)


_CONVERTERS: Mapping[str, Callable[[str, DateOrder], str | None]] = {
    DATE: iso_date,
    MOMENT: iso_moment,
    TIME: _iso_time,
}
