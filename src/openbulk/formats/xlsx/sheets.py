"""The rows of a sheet as a stream: only cells that are there take memory."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

from openbulk.domain.errors import BadInput
from openbulk.formats.table import column_letters
from openbulk.formats.xlsx.cells import CellReader, Unreadable, is_blank
from openbulk.formats.xlsx.merged_cells import Merged, MergedCells, column_number
from openbulk.formats.xlsx.package import Package, Sheet
from openbulk.formats.xlsx.xml import each_child

MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
"""Of a sheet (https://support.microsoft.com/office/excel-specifications-and-limits)."""
MAX_ROW_CHARACTERS = 8 * 1024 * 1024
"""Of the texts in a row. A short row may refer to long texts, again and again."""
MAX_SPREAD_CELLS = 5_000_000
"""Cells below others that they are merged with, whose value they get."""
_DIGITS = "0123456789"
_ROW_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_SHOWN_CHARACTERS = 20

Cells = dict[int, Any]
"""The values of a row by the number of their column, from 0; no empty ones."""


def each_row(package: Package, sheet: Sheet) -> Iterator[tuple[int, Cells]]:
    """The rows with more than blanks: their number in the sheet, from 1, and their cells.

    A cell below another one that it is merged with has its value. Raises BadInput.
    """
    spread = _MergedSpreader(MergedCells(package.merged_cells(sheet)))
    reader: CellReader | None = None
    line = 0
    with package.open(sheet.part) as part:
        for row in each_child(part, "sheetData", "row"):
            if reader is None:
                reader = _make_reader(package, row)
            line = _line_of(row, line)
            cells = _read_cells(row, reader)
            if not all(map(is_blank, cells.values())):
                spread.fill(line, cells)
                yield line, cells


def _make_reader(package: Package, row: Element) -> CellReader:
    namespace = row.tag.removesuffix("row")
    return CellReader(
        namespace, package.strings, package.readers, recalculates=package.recalculates
    )


def _line_of(row: Element, previous: int) -> int:
    stated = row.get("r")
    if stated is None:
        stated = str(previous + 1)
    line = int(stated) if _ROW_NUMBER.fullmatch(stated) else 0
    if not 0 < line <= MAX_ROWS:
        shown = stated[:_SHOWN_CHARACTERS]
        raise BadInput(f"the sheet has a row {shown}; a sheet has {MAX_ROWS:,} rows")
    return line


def _read_cells(row: Element, reader: CellReader) -> Cells:
    """The cells of a row. One that names no column is behind the one before it."""
    cells: Cells = {}
    column = -1
    room = MAX_ROW_CHARACTERS
    for cell in row:
        place = cell.get("r")
        column = column + 1 if place is None else _column_of(place.rstrip(_DIGITS))
        if column >= MAX_COLUMNS:
            raise BadInput(f"the sheet has a cell {place}; a sheet has {MAX_COLUMNS:,} columns")
        value = reader.read(cell)
        if value is not None:
            cells[column] = value
        if type(value) is str:
            room -= len(value)
            if room < 0:
                raise BadInput("a row of the workbook is too large; send a CSV")
    return cells


@lru_cache(MAX_COLUMNS)
def _column_of(letters: str) -> int:
    if not letters.isascii() or not letters.isalpha() or len(letters) > 3:
        shown = letters[:_SHOWN_CHARACTERS]
        raise BadInput(f"the workbook cannot be read (a cell is in a column {shown!r})")
    return column_number(letters.upper())


class _MergedSpreader:
    """Gives merged cells the value that people see in them."""

    def __init__(self, merged: MergedCells) -> None:
        self._merged = merged
        self._current: list[tuple[Merged, Any]] = []
        """Those that have a value and reach to further lines."""
        self._room = MAX_SPREAD_CELLS

    def fill(self, line: int, cells: Cells) -> None:
        """Complete the cells of a line; call it for each line with a value, in order."""
        for merged in self._merged.take(line):
            value = cells.get(merged.first_column) if merged.first_line == line else None
            if value is not None and merged.last_column > merged.first_column:
                value = Unreadable(_describe(merged, value))
            if value is not None:
                self._current.append((merged, value))
        if not self._current:
            return
        self._current = [one for one in self._current if one[0].last_line >= line]
        self._room -= len(self._current)
        if self._room < 0:
            raise BadInput(
                f"the sheet has merged cells that stand for more than {MAX_SPREAD_CELLS:,} cells; "
                "send a CSV"
            )
        for merged, value in self._current:
            cells[merged.first_column] = value


def _describe(merged: Merged, value: Any) -> str:
    last = column_letters(merged.last_column)
    return f"holds {value!r} and is merged with the cells up to column {last}; split them"
