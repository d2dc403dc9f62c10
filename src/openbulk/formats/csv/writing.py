"""Rows of cells to the lines of a CSV."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from types import SimpleNamespace
from typing import Any

_PIECE_CHARACTERS = 64 * 1024
# RFC 4180, section 2.6, wants quotes around every line end in a cell. CPython before 3.13 quotes a
# cell only for the characters of the line end that the writer itself uses.
_LINE_END = "\r\n"


def encode_rows(
    header: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = ","
) -> Iterator[bytes]:
    """The lines of a CSV in UTF-8, many in each piece. None is empty, "" is empty in quotes."""
    lines: list[str] = []
    characters = 0
    writer = csv.writer(
        SimpleNamespace(write=lines.append), delimiter=delimiter, lineterminator=_LINE_END
    )
    for cells in chain([header], rows):
        line = _plain_line(cells, delimiter)
        if line is not None:
            lines.append(line)
        elif "" in cells:
            lines.append(delimiter.join(map(_quote, map(_cell_text, cells))) + _LINE_END)
        else:
            writer.writerow(map(_cell_text, cells))
        characters += len(lines[-1])
        if characters > _PIECE_CHARACTERS:
            yield _take(lines)
            characters = 0
    yield _take(lines)


def _plain_line(cells: Sequence[Any], delimiter: str) -> str | None:
    """The line of texts that need no quotes; None for other cells.

    `csv.writer` writes the same line, and takes three times as long.
    """
    if "" in cells:
        return None
    if None in cells:
        cells = ["" if cell is None else cell for cell in cells]
    try:
        line = delimiter.join(cells)
    except TypeError:
        return None
    has_quotes = '"' in line or "\n" in line or "\r" in line
    if has_quotes or not line or line.count(delimiter) >= len(cells):
        return None
    return line + _LINE_END


def _cell_text(cell: Any) -> Any:
    match cell:
        case bool():
            return str(cell).lower()
        case Decimal():
            return f"{cell:f}"
        case _:
            return cell


def _quote(cell: Any) -> str:
    if cell is None:
        return ""
    doubled = str(cell).replace('"', '""')
    return f'"{doubled}"'


def _take(lines: list[str]) -> bytes:
    """The lines so far, with the ends that the file has; the list is empty afterwards."""
    content = "".join([line[: -len(_LINE_END)] + "\n" for line in lines])
    lines.clear()
    return content.encode(errors="replace")
