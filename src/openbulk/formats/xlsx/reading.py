"""The records in a sheet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, islice
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput
from openbulk.domain.file_questions import OpenQuestion
from openbulk.domain.records import Problem, Row
from openbulk.formats.header import SAMPLE_ROWS, find_header, parse_header
from openbulk.formats.header_candidates import names_without_header, require_known_header
from openbulk.formats.options import stated_header_row
from openbulk.formats.table import column_letters, show_text
from openbulk.formats.xlsx.cells import Unreadable, is_blank
from openbulk.formats.xlsx.package import Package, Sheet
from openbulk.formats.xlsx.sheets import Cells, each_row


@dataclass(frozen=True, slots=True)
class SheetReader:
    """A sheet whose header is known."""

    package: Package
    sheet: Sheet
    header: Sequence[str]
    header_line: int
    """The number of the header's row in the sheet, from 1; 0 if no row has names."""

    @classmethod
    def of(cls, file: BinaryIO, options: Mapping[str, Any], looks_like: str) -> "SheetReader":
        """The sheet that metaData names, else the first visible one. Raises BadInput."""
        package = Package(file)
        sheet = package.choose_sheet(options.get("sheet"))
        stated = stated_header_row(options)
        rows = each_row(package, sheet)
        if stated is not None:
            rows = dropwhile(lambda row: row[0] < stated, rows)
        first_rows = list(islice(rows, SAMPLE_ROWS))
        try:
            if not first_rows and stated is not None:
                raise BadInput(f"metaData.headerRow is {stated}, and the sheet ends above it")
            if not first_rows:
                raise BadInput(f"the sheet is empty; {looks_like}")
            header, line = _read_header(first_rows, looks_like, stated)
        except OpenQuestion:
            raise
        except BadInput as error:
            raise BadInput(f"{error.message}{package.describe(sheet)}") from error
        return cls(package, sheet, header, line)

    def rows(self) -> Iterator[Row]:
        """The rows below the header that have a value, numbered from 1."""
        number = 0
        for line, cells in each_row(self.package, self.sheet):
            if line <= self.header_line:
                continue
            number += 1
            problem = self._find_problem(line, cells)
            values = self._values(cells)
            if problem is None:
                yield Row(number, values, None, line)
            else:
                unread = self._unread_text(line, cells)
                yield Row(number, None, problem, line, cells=values, unread=unread)

    def _values(self, cells: Cells) -> Mapping[str, Any]:
        header, width = self.header, len(self.header)
        readable = ((column, one) for column, one in cells.items() if type(one) is not Unreadable)
        return {header[column]: value for column, value in readable if column < width}

    def _find_problem(self, line: int, cells: Cells) -> Problem | None:
        width = len(self.header)
        if max(cells) < width and Unreadable not in map(type, cells.values()):
            return None
        for column, value in cells.items():
            if column >= width and not is_blank(value):
                return self._describe_width(line, column, cells)
            if type(value) is Unreadable and column < width:
                place = f"{column_letters(column)}{line}"
                return Problem(f"cell {place} {value}", self.header[column])
        return None

    def _unread_text(self, line: int, cells: Cells) -> str:
        """The cells that have no column, and those without a value, each with its place."""
        width = len(self.header)
        unread = {
            column: value
            for column, value in cells.items()
            if type(value) is Unreadable or (column >= width and not is_blank(value))
        }
        return "; ".join(
            f"{column_letters(column)}{line} {value if type(value) is Unreadable else repr(value)}"
            for column, value in unread.items()
        )

    def _describe_width(self, line: int, first: int, cells: Cells) -> Problem:
        last = max(column for column, value in cells.items() if not is_blank(value))
        shown = str(cells[first])[:_QUOTED_CHARACTERS]
        return Problem(
            f"the row has {last + 1} cells, the header has {len(self.header)}: cell "
            f"{column_letters(first)}{line} is {shown!r}; name its column, or clear it"
        )


_QUOTED_CHARACTERS = 40


def _read_header(
    first_rows: Sequence[tuple[int, Cells]], looks_like: str, stated: int | None
) -> tuple[Sequence[str], int]:
    """The names of the columns, and their line. Raises BadInput.

    The rows begin with the stated line, if that is not empty. The line is 0 without a header.
    """
    texts = _as_table(first_rows)
    if stated == 0:
        return names_without_header(texts), 0
    index = find_header(texts) if stated is None else 0
    assert index is not None, "a row has a text"
    if stated not in (None, first_rows[0][0]):
        raise BadInput(
            f"metaData.headerRow is {stated}, and that row is empty; name the row with the names "
            "of the columns"
        )
    first_line = first_rows[0][0]
    line = first_line + index
    if stated is None:
        require_known_header(texts, index, range(first_line, first_line + len(texts)))
    _require_readable(dict(first_rows)[line], line)
    return parse_header(texts[index], looks_like), line


def _as_table(rows: Sequence[tuple[int, Cells]]) -> Sequence[Sequence[str]]:
    """The texts of the first rows, blank ones included, as far as they show the header."""
    first_line = rows[0][0]
    width = max(max(cells) for _, cells in rows) + 1
    by_line = dict(rows)
    last_line = min(rows[-1][0], first_line + SAMPLE_ROWS - 1)
    return [
        [show_text(by_line.get(line, {}).get(column)) for column in range(width)]
        for line in range(first_line, last_line + 1)
    ]


def _require_readable(cells: Cells, line: int) -> None:
    for column, value in cells.items():
        if isinstance(value, Unreadable):
            place = f"{column_letters(column)}{line}"
            raise BadInput(f"the header cannot be read: cell {place} {value}")
