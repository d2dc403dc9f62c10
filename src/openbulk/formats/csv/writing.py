"""Rows of cells to the lines of a CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

_PIECE_CHARACTERS = 64 * 1024


def encode_rows(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """The lines of a CSV in UTF-8, many in each piece. None is empty, "" is empty in quotes."""
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    for cells in chain([header], rows):
        texts = list(map(_cell_text, cells))
        if any(map(_needs_quotes, texts)):
            text.write(",".join(map(_quote, texts)) + "\n")
        else:
            plain.writerow(texts)
        if text.tell() > _PIECE_CHARACTERS:
            yield _take(text)
    yield _take(text)


def _cell_text(cell: Any) -> Any:
    match cell:
        case bool():
            return str(cell).lower()
        case Decimal():
            return f"{cell:f}"
        case _:
            return cell


def _needs_quotes(cell: Any) -> bool:
    """Whether a cell needs quotes that CPython's writer leaves out.

    RFC 4180, section 2.6, wants quotes around every line end in a cell. CPython before 3.13 quotes
    a cell only for the line end that the writer itself uses. It quotes no empty text.
    """
    return isinstance(cell, str) and (not cell or "\r" in cell)


def _quote(cell: Any) -> str:
    if cell is None:
        return ""
    doubled = str(cell).replace('"', '""')
    return f'"{doubled}"'


def _take(text: io.StringIO) -> bytes:
    """The text so far; the buffer is empty afterwards."""
    content = text.getvalue().encode(errors="replace")
    text.seek(0)
    text.truncate()
    return content
