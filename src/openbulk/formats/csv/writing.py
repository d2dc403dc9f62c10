"""Rows of cells to the lines of a CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

_PIECE_CHARACTERS = 64 * 1024


def encode_rows(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """The lines of a CSV in UTF-8, many in each piece."""
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for cells in chain([header], rows):
        texts = list(map(_cell_text, cells))
        # RFC 4180, section 2.6, wants quotes around every line end in a cell. CPython before 3.13
        # quotes a cell only for the line end that the writer itself uses.
        writer = quoted if any(map(_has_carriage_return, texts)) else plain
        writer.writerow(texts)
        if text.tell() > _PIECE_CHARACTERS:
            yield _take(text)
    yield _take(text)


def _cell_text(cell: Any) -> Any:
    return str(cell).lower() if isinstance(cell, bool) else cell


def _has_carriage_return(cell: Any) -> bool:
    return isinstance(cell, str) and "\r" in cell


def _take(text: io.StringIO) -> bytes:
    """The text so far; the buffer is empty afterwards."""
    content = text.getvalue().encode(errors="replace")
    text.seek(0)
    text.truncate()
    return content
