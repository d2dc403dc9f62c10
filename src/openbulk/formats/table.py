"""Records as a table: its columns, and the value of each cell.

Nested fields are columns with dotted names (`start.dateTime`). A list is one cell, as JSON: a table
does not grow a column for each of an event's two hundred guests.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate, chain
from typing import Any

from openbulk.domain.records import flatten, value_at
from openbulk.exact_json import encode_json
from openbulk.formats.write_checks import require_reiterable

Cell = str | int | float | Decimal | bool | None
_SINGLE = frozenset({str, int, float, Decimal, bool, type(None)})
"""Types of values that have no fields inside."""


class Table:
    """The columns of records: those that are given, or one for each field that a record has."""

    def __init__(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> None:
        self.columns = fields or _columns_of(records)
        parents = {prefix for name in self.columns for prefix in _prefixes(name)[:-1]}
        self._object_columns = frozenset(self.columns) - parents
        """Columns without columns below them: an object in one of them becomes JSON."""

    def cells(self, record: Mapping[str, Any]) -> list[Cell]:
        """A record's cell in each column; None if it has no value."""
        if _SINGLE.issuperset(map(type, record.values())):
            return list(map(record.get, self.columns))
        flat = flatten(record)
        for name in self._object_columns - flat.keys():
            flat[name] = value_at(record, name)
        return [cell_of(flat.get(name)) for name in self.columns]


def _columns_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The dotted names of all fields of records, in order."""
    require_reiterable(records)
    return order_columns(dict.fromkeys(chain.from_iterable(map(flatten, records))))


def order_columns(names: Iterable[str]) -> list[str]:
    """Dotted names in the order in which they appear, with those of one object side by side."""
    names = list(names)
    prefixes = dict.fromkeys(chain.from_iterable(map(_prefixes, names)))
    ranks = {prefix: rank for rank, prefix in enumerate(prefixes)}
    return sorted(names, key=lambda name: list(map(ranks.__getitem__, _prefixes(name))))


def _prefixes(name: str) -> list[str]:
    """`a.b.c` has `a`, `a.b` and itself."""
    return list(accumulate(name.split("."), "{}.{}".format))


def show_text(value: Any) -> str:
    """The value of a cell as text; "" for an empty one."""
    return "" if value is None else str(value)


def cell_of(value: Any) -> Cell:
    """A value as a cell: a list or an object as JSON."""
    if isinstance(value, Cell):
        return value
    return encode_json(value, default=str).decode()


def column_letters(number: int) -> str:
    """The letters of a column as spreadsheets show them; the first one, A, has the number 0."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
