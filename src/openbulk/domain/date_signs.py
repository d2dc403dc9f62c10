"""Collects the cells of a file that show how its dates are written."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import contains
from typing import Any

from openbulk.domain.date_order import DateSigns
from openbulk.domain.records import Row, RowBatch

LOOKED_AT = 1_000
"""A column whose first cells, this many, have no date is not looked at any more."""
MAX_COLUMNS = 10_000
"""Columns that are looked at: a hostile file may have new ones in each row."""
MAX_CHARACTERS = 60
"""A longer text is not a date."""
_DIGIT = re.compile(r"\d")


@dataclass(slots=True)
class _Column:
    signs: DateSigns = field(default_factory=DateSigns)
    other_cells: int = 0
    has_dates: bool = False

    def add(self, path: str, value: Any, row: int | None) -> bool:
        """Note what a cell shows; False if the column need not be looked at any more."""
        if self._is_date(path, value, row):
            self.has_dates = True
        else:
            self.other_cells += 1
        return self.has_dates or self.other_cells < LOOKED_AT

    def _is_date(self, path: str, value: Any, row: int | None) -> bool:
        if not isinstance(value, str) or len(value) > MAX_CHARACTERS:
            return False
        if value[4:5] == value[7:8] == "-":  # ISO 8601, which shows nothing of other dates
            return True
        return bool(_DIGIT.search(value)) and self.signs.add(path, value, row)


class DateColumns:
    """What the columns of a file show of its dates. Holds a few cells of each column."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._known: set[str] = set()
        self._watched: dict[str, None] = {}

    def add(self, row: Row) -> None:
        """Note what a row shows."""
        self._add(row.values or {}, row.number)

    def add_batch(self, batch: RowBatch) -> None:
        """Note what rows show, as `add` does of each of them."""
        if self._known.issuperset(batch.columns) and self._watched.keys().isdisjoint(batch.columns):
            return
        has_nulls = any(map(contains, batch.cells, repeat(None)))
        # The order of columns decides which of two dates a message names.
        if has_nulls or not self._columns.keys() >= self._watched.keys():
            for row in batch.rows():
                self.add(row)
            return
        columns = dict(zip(batch.columns, zip(*batch.cells, strict=True), strict=True))
        self._watch([name for name, cells in columns.items() if any(c != "" for c in cells)])
        places = {
            name: next(
                (place for place, cell in enumerate(columns[name]) if cell), len(batch.cells)
            )
            for name in self._watched
            if name in columns
        }
        for name in sorted(places, key=places.__getitem__):
            self._add_column(name, columns[name], batch.first)

    def _add_column(self, name: str, cells: Sequence[str | None], first: int) -> None:
        for row, cell in enumerate(cells, first):
            if cell and not self._look(name, cell, row):
                del self._watched[name]
                return

    def add_record(self, values: Mapping[str, Any]) -> None:
        """Note what a single record shows, which is no row of a file."""
        self._add(values, None)

    def _add(self, values: Mapping[str, Any], row: int | None) -> None:
        self._watch(values)
        # Each record of a file may have names of its own: those of the others cost it nothing.
        names: Iterable[str] = self._watched
        if len(self._watched) > len(values):
            names = [name for name in values if name in self._watched]
        for name in [name for name in names if not self._look(name, values.get(name), row)]:
            del self._watched[name]

    def _watch(self, names: Collection[str]) -> None:
        """Look at the columns of these names from now on, unless they are known."""
        if not self._known.issuperset(names) and len(self._known) < MAX_COLUMNS:
            self._watched |= dict.fromkeys(name for name in names if name not in self._known)
            self._known.update(names)

    def _look(self, path: str, value: Any, row: int | None) -> bool:
        """Note what a cell shows; False if its column need not be looked at any more."""
        if value is None:
            return True
        if isinstance(value, Mapping):
            inner = [self._look(f"{path}.{name}", child, row) for name, child in value.items()]
            return not inner or any(inner)
        column = self._columns.get(path)
        if column is None:
            if len(self._columns) >= MAX_COLUMNS:
                return False
            column = self._columns[path] = _Column()
        return column.add(path, value, row)

    def signs(self) -> Mapping[str, DateSigns]:
        """By dotted name, the columns that show something."""
        return {path: one.signs for path, one in self._columns.items() if one.signs.seen}
