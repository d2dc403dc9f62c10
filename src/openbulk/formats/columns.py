"""Records as a table: which columns it has, and what stands in a cell.

Nested fields are columns with dotted names (`start.dateTime`). A list is one cell, as JSON: a table does not grow a
column for each of an event's two hundred guests.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from openbulk.domain.errors import BadInput
from openbulk.domain.records import flatten, value_at

Cell = str | int | float | bool | None


def check_can_begin_anew(records: Iterable[Mapping[str, Any]]) -> None:
    """Raises TypeError for an iterator: gone through once, it would be an empty file."""
    if isinstance(records, Iterator):
        raise TypeError("records are gone through twice; hand in a collection, not an iterator")


class Table:
    """The columns of records: those that are asked for, or one for each field that a record has."""

    def __init__(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> None:
        self.columns = fields or _columns_of(records)
        parents = {prefix for name in self.columns for prefix in _prefixes(name) if prefix != name}
        self._wholes = frozenset(self.columns) - parents
        """Columns that have what is below them, too, as JSON: there is no other for it."""

    def cells(self, record: Mapping[str, Any]) -> list[Cell]:
        """A record's cell in each column; None where it has no value."""
        flat = flatten(record)
        return [
            _cell(value_at(record, name) if name in self._wholes and name not in flat else flat.get(name))
            for name in self.columns
        ]


def _columns_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The dotted names of all fields of records, in order."""
    check_can_begin_anew(records)
    return in_order(dict.fromkeys(name for record in records for name in flatten(record)))


def in_order(names: Iterable[str]) -> list[str]:
    """Dotted names in the order in which they are met, but those of one object side by side."""
    names = list(names)
    met: dict[str, int] = {}
    for name in names:
        for prefix in _prefixes(name):
            met.setdefault(prefix, len(met))
    return sorted(names, key=lambda name: [met[prefix] for prefix in _prefixes(name)])


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str | int | float):
        return value
    return orjson.dumps(value, default=str).decode()


def checked(records: Iterable[Mapping[str, Any]], written: Callable[[Mapping[str, Any]], object]) -> None:
    """Try every record, so that one that cannot be written is found before the first is. Raises BadInput.

    `written` is what will write it; it raises ValueError, or whatever a record of another shape makes it raise.
    """
    check_can_begin_anew(records)
    for number, record in enumerate(records, 1):
        try:
            written(record)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadInput(f"record {number} cannot be written: {error}") from None
