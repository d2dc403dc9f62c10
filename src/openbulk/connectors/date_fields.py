"""The fields of an object that hold dates and times, and their values in ISO 8601."""

from collections.abc import Callable, Mapping
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

DATE, MOMENT, TIME = "date", "date-time", "time"
"""What a field holds, as `format` in JSON Schema calls it."""
_HAS_DATE = frozenset({DATE, MOMENT})


class DateFields:
    """The fields of a JSON Schema that hold a date, a time, or both."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        fields = {
            name: field
            for name, field in schema.get("properties", {}).items()
            if not field.get("readOnly")
        }
        titles = {str(field["title"]): field for field in fields.values() if field.get("title")}
        kinds = {name: _kind_of(field) for name, field in {**titles, **fields}.items()}
        # A column has the name of its field, else its title, in any case.
        self._kinds = {_fold(name): kind for name, kind in kinds.items()} | kinds

    def has_date(self, path: str) -> bool:
        """Whether a column, by its dotted name, is a field with a date."""
        name, _, rest = path.partition(".")
        kind = self._kind(name)
        if isinstance(kind, DateFields):
            return kind.has_date(rest)
        return kind in _HAS_DATE and not rest

    def with_iso_dates(
        self, values: Mapping[str, Any], order: DateOrder, path: str = ""
    ) -> Mapping[str, Any]:
        """The values of a record with its dates and times in ISO 8601.

        A text that is none stays as it is: the connector knows what else the field takes. Raises
        FieldError for a day that does not exist.
        """
        changed: dict[str, Any] = {}
        for name, value in values.items():
            kind = self._kind(name)
            if isinstance(kind, DateFields) and isinstance(value, Mapping):
                changed[name] = kind.with_iso_dates(value, order, f"{path}{name}.")
            elif isinstance(kind, str) and isinstance(value, str):
                changed[name] = _iso_text(value, kind, order, f"{path}{name}")
        return {**values, **changed} if changed else values

    def _kind(self, name: str) -> "str | DateFields | None":
        return self._kinds.get(name) or self._kinds.get(_fold(name))


def _kind_of(field: Mapping[str, Any]) -> str | DateFields | None:
    if "properties" in field:
        return DateFields(field)
    kind = field.get("format")
    return kind if kind in _HAS_DATE or kind == TIME else None


def _fold(name: str) -> str:
    return name.strip().casefold()


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
