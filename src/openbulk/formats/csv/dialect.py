"""How a CSV is written: the character between its cells, its quotes, and where its header is."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.formats.csv.lines import LineReader
from openbulk.formats.header import SAMPLE_ROWS, find_header
from openbulk.formats.options import stated_header_row

DELIMITERS = ",;\t|"
_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
_SPOKEN_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
# Excel reads a first line like `sep=;` as the delimiter of the file, not as a row.
_EXCEL_SEPARATOR_LINE = re.compile(r'"?sep=(?P<delimiter>\\t|.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV is written."""

    delimiter: str
    has_blanks: bool = False
    """A blank comes before each quote that opens a cell: blanks there are not part of a cell."""
    header_row: int = 0
    """The number of rows above the header: titles, and blank lines."""
    header_line: int | None = None
    """The line of the header, from 1, if the caller states it. Then `header_row` says nothing."""

    @property
    def name(self) -> str:
        """The name of its delimiter in a message."""
        return _SPOKEN_NAMES.get(self.delimiter, repr(self.delimiter))

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Reads the rows of lines. Raises csv.Error for one whose quotes are wrong.

        CPython's reader resets itself at each record, so it can be used again after an error.
        """
        return csv.reader(
            lines, delimiter=self.delimiter, skipinitialspace=self.has_blanks, strict=True
        )

    def rows_of_lines(self, text: str) -> list[list[str]]:
        """The rows of a text, if each of its lines is a row; none otherwise."""
        lines = text.split("\n")
        if not self.has_blanks and '"' not in text and "\r" not in text:
            return [line.split(self.delimiter) for line in lines]
        try:
            rows = list(self.reader(lines))
        except csv.Error:
            return []
        return rows if len(rows) == len(lines) else []

    def sample_rows(self, sample: Sequence[str]) -> list[list[str]]:
        """The rows of the first lines, before the first one that cannot be read."""
        rows: list[list[str]] = []
        with suppress(csv.Error):
            rows.extend(self.reader(sample))
        return rows


def detect_dialect(lines: LineReader, options: Mapping[str, Any]) -> Dialect:
    """The dialect of a CSV.

    Its delimiter is that in metaData, else that of Excel's line `sep=;`, else the one that fits
    best. Takes the line `sep=;` and leaves all others. Raises BadInput.
    """
    header_line = stated_header_row(options)
    sample = lines.peek(SAMPLE_ROWS + (header_line or 0))
    separator_line = _EXCEL_SEPARATOR_LINE.fullmatch("".join(sample[:1]))
    if separator_line:
        next(lines)
        del sample[0]
    if header_line is not None:
        del sample[: header_line - 1 - lines.number]
    if wanted := options.get("delimiter"):
        delimiter = _parse_delimiter(str(wanted))
    elif separator_line:
        delimiter = _parse_delimiter(separator_line["delimiter"])
    else:
        delimiter = max(DELIMITERS, key=lambda one: _fitness(sample, one, header_line))
    dialect = Dialect(delimiter, _has_blanks_before_quotes(sample, delimiter))
    if header_line is not None:
        return replace(dialect, header_line=header_line)
    header_row = find_header(dialect.sample_rows(sample))
    return replace(dialect, header_row=header_row or 0)


def _parse_delimiter(wanted: str) -> str:
    delimiter = _NAMES.get(wanted.lower(), wanted)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise BadInput(
            f"metaData.delimiter {wanted!r} is not one character; "
            "it can be comma, semicolon, tab or pipe"
        )
    return delimiter


def _has_blanks_before_quotes(sample: Iterable[str], delimiter: str) -> bool:
    """Whether a cell begins with a blank and a quote: `1, "Li, Bo"`.

    A quote inside a quoted cell is doubled, and one at its end has a delimiter after it.
    """
    mark = re.escape(delimiter)
    opening = re.compile(rf'{mark} +"(?!["\r\n]|{mark}|$)')
    return any(map(opening.search, sample))


def _fitness(sample: Sequence[str], delimiter: str, header_line: int | None) -> tuple[int, int]:
    """How many rows have as many cells as the header, and how many cells that is.

    (0, 0) if the header is a single cell: every character that the file lacks would fit. The sample
    begins with the header if its line is stated.
    """
    rows = Dialect(delimiter).sample_rows(sample)
    header_row = find_header(rows) if header_line is None else 0
    if header_row is None or not rows:
        return (0, 0)
    widths = [len(row) for row in rows[header_row:]]
    if widths[0] == 1:
        return (0, 0)
    return (widths.count(widths[0]), widths[0])
