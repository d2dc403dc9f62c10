"""Which rows may be the header of a table where its rows do not show it: asked, and not guessed."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from openbulk.domain.file_profile import ValueType
from openbulk.domain.file_questions import Choice, Example, OpenQuestion, Question
from openbulk.domain.value_types import look_of
from openbulk.formats.header import may_be_name
from openbulk.formats.table import column_letters

KEY = "headerRow"
NO_HEADER = 0
"""In `metaData.headerRow`: no row has the names of the columns."""
_COLUMNS = 100
"""Columns that are looked at; further ones do not show more."""
_CELLS, _CELL_CHARACTERS = 6, 30
"""Of a row that is shown."""
_MOST = 0.75
_ROWS_BELOW = 5
"""So far below a narrow row may be the header."""
_TYPED_ROWS, _TYPED_COLUMNS = 3, 2
"""Two rows of names are above so many columns and rows of other values."""
_NEVER_NAMES: frozenset[ValueType] = frozenset({"date", "datetime", "email", "url", "phone"})
_TYPED: frozenset[ValueType] = frozenset({*_NEVER_NAMES, "time", "number"})
_COUNTED = re.compile(r"[0-9]{1,9}")

Rows = Sequence[Sequence[str]]
Doubt = Literal["record", "names"]


class HeaderUnknown(OpenQuestion):
    """A table does not show which of its rows has the names of its columns."""

    def __init__(self, rows: Mapping[int, Sequence[str]], doubt: Doubt) -> None:
        """`rows` are the candidates by their numbers; NO_HEADER has the first record."""
        shown = {number: _show(cells) for number, cells in rows.items()}
        first = next(number for number in rows if number != NO_HEADER)
        listed = " or ".join(f"row {number} ({shown[number]})" for number in rows if number)
        message = f"{listed} may have the names of the columns"
        if doubt == "record":
            message = f"row {first} ({shown[first]}) looks like a record, and is above all others"
        zero = f"{NO_HEADER} if no row has the names of the columns, which are A, B, C then"
        others = " or ".join(str(number) for number in rows if number)
        known = f"{zero}, or to {others} if it has them" if NO_HEADER in rows else others
        choices = [Choice(str(number), _reading(number, text)) for number, text in shown.items()]
        example = Example(None, None, f"row {first}: {shown[first]}")
        super().__init__(
            Question(KEY, f"{message}; set metaData.{KEY} to {known}", tuple(choices), example)
        )


def _reading(number: int, text: str) -> str:
    if number == NO_HEADER:
        return f"no row has names; the first record is {text}"
    return f"the names are {text}"


def _show(cells: Sequence[str]) -> str:
    filled = [cell.strip() for cell in cells if cell.strip()]
    texts = [repr(cell[:_CELL_CHARACTERS]) for cell in filled[:_CELLS]]
    return ", ".join(texts) + ", ..." * (len(filled) > _CELLS)


def names_without_header(rows: Rows) -> Sequence[str]:
    """A, B, C: the names of the columns of a table without a header, which begins with these rows.

    It has as many columns as most of its rows have.
    """
    widths = Counter(width for width in map(_last_filled, rows) if width)
    width = max(widths, key=lambda one: (widths[one], one), default=0)
    return [column_letters(column) for column in range(width)]


def _last_filled(row: Sequence[str]) -> int:
    """How many cells a row has, without the empty ones at its end."""
    return max((place for place, cell in enumerate(row, 1) if cell.strip()), default=0)


def require_known_header(rows: Rows, header: int, numbers: Sequence[int]) -> None:
    """Raise HeaderUnknown if the row `header` of a table's first rows need not be its header.

    `numbers` has the number of each row, as `metaData.headerRow` counts.
    """
    cut = [row[:_COLUMNS] for row in rows]
    below = [index for index in range(header + 1, len(cut)) if any(map(str.strip, cut[index]))]
    other = _wider_names(cut, header, below)
    if other is not None:
        candidates = {numbers[other]: cut[other]}
        if _has_all_names(cut[header]):
            candidates = {numbers[header]: cut[header], **candidates}
        raise HeaderUnknown(candidates, "names")
    if _is_record(cut[header], [cut[index] for index in below]):
        raise HeaderUnknown({NO_HEADER: cut[header], numbers[header]: cut[header]}, "record")
    if below and _has_two_rows_of_names(cut[header], [cut[index] for index in below]):
        two = (header, below[0])
        raise HeaderUnknown({numbers[index]: cut[index] for index in two}, "names")


# --- a row of names below another one ---


def _wider_names(rows: Rows, header: int, below: Sequence[int]) -> int | None:
    """A row of names that most rows are as wide as, and wider than the one above; None without."""
    width = _count_of_cells(rows[header])
    for place, index in enumerate(below[:_ROWS_BELOW]):
        others = below[place + 1 :]
        wider = sum(_count_of_cells(rows[one]) > width for one in others)
        is_wider = _count_of_cells(rows[index]) > width and others and wider >= _MOST * len(others)
        if is_wider and _has_all_names(rows[index]) and _may_be_names(rows[index]):
            return index
    return None


def _count_of_cells(row: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _has_all_names(row: Sequence[str]) -> bool:
    """Whether no cell is empty up to the last one that is not."""
    return _count_of_cells(row) == _last_filled(row)


def _may_be_names(row: Sequence[str]) -> bool:
    """Whether each cell may be a name. Blanks in front are those of a text with commas."""
    return all(may_be_name(cell) and not cell.startswith(" ") for cell in row)


def _has_two_rows_of_names(header: Sequence[str], below: Rows) -> bool:
    """Whether the first row below is as different from the others as the header is."""
    second, *others = below
    if len(others) < _TYPED_ROWS or not _may_be_names(second):
        return False
    typed = 0
    for column, cell in enumerate(second):
        kind = _type_of_column(others, column)
        if kind is None:
            continue
        if not (cell.strip() and _cell(header, column).strip()) or look_of(cell).type == kind:
            return False
        typed += 1
    return typed >= _TYPED_COLUMNS


def _type_of_column(rows: Rows, column: int) -> ValueType | None:
    """What most cells of a column look like; None if it is a text, or the column is empty."""
    filled = [cell for row in rows if (cell := _cell(row, column).strip())]
    counts = Counter(look_of(cell).type for cell in filled)
    for kind, count in counts.most_common(1):
        if kind in _TYPED and count >= _MOST * len(filled):
            return kind
    return None


def _cell(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""


# --- a record in place of the names ---


def _is_record(header: Sequence[str], below: Rows) -> bool:
    """Whether a cell is of a type that no name has, as those below it are; or counts on in them."""
    counted = set(_counted_columns(header, below))
    if counted and not any(one + 1 in counted for one in counted):
        return True
    for column, cell in enumerate(header):
        kind = look_of(cell.strip()).type
        if kind in _NEVER_NAMES and (not below or _type_of_column(below, column) == kind):
            return True
    return False


def _counted_columns(header: Sequence[str], below: Rows) -> Iterator[int]:
    """The columns whose first cell is a number, and whose next ones are the numbers after it."""
    for column in range(len(header)):
        cells = [_cell(row, column).strip() for row in (header, *below[:2])]
        if len(cells) < 3 or not all(map(_COUNTED.fullmatch, cells)):
            continue
        if all(int(second) - int(first) == 1 for first, second in pairwise(cells)):
            yield column
