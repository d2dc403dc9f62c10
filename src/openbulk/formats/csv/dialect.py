"""How a CSV is written: the character between its cells, its quotes, and where its header is."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import length_hint
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.formats.csv.delimiter_candidates import DELIMITERS, FoundTable, choose_delimiter
from openbulk.formats.csv.lines import LineReader
from openbulk.formats.header import SAMPLE_ROWS, find_header
from openbulk.formats.header_candidates import require_known_header
from openbulk.formats.options import stated_header_row

_NAMES = {**{name: mark for mark, name in DELIMITERS.items()}, "\\t": "\t"}
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
    """The line of the header, from 1, if the caller states it; 0 if no row has names.

    Then `header_row` says nothing.
    """

    @property
    def name(self) -> str:
        """The name of its delimiter in a message."""
        return DELIMITERS.get(self.delimiter, repr(self.delimiter))

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
        return [row for _, row in self._numbered_rows(sample)]

    def sample_lines(self, sample: Sequence[str]) -> list[int]:
        """The number of the line, from 1, in which each of `sample_rows` begins."""
        return [line for line, _ in self._numbered_rows(sample)]

    def _numbered_rows(self, sample: Sequence[str]) -> list[tuple[int, list[str]]]:
        rows: list[tuple[int, list[str]]] = []
        lines = iter(sample)
        line = 1
        with suppress(csv.Error):
            for row in self.reader(lines):
                rows.append((line, row))
                line = len(sample) - length_hint(lines) + 1
        return rows


def detect_dialect(lines: LineReader, options: Mapping[str, Any]) -> Dialect:
    """The dialect of a CSV.

    Its delimiter is that in metaData, else that of Excel's line `sep=;`, else the one that fits
    best. Takes the line `sep=;` and leaves all others. Raises BadInput: an OpenQuestion if several
    delimiters fit as well, or several rows may be the header.
    """
    header_line = stated_header_row(options)
    sample = lines.peek(SAMPLE_ROWS + (header_line or 0))
    separator_line = _EXCEL_SEPARATOR_LINE.fullmatch("".join(sample[:1]))
    if separator_line:
        next(lines)
        del sample[0]
    if header_line:
        del sample[: header_line - 1 - lines.number]
    if wanted := options.get("delimiter"):
        delimiter = _parse_delimiter(str(wanted))
    elif separator_line:
        delimiter = _parse_delimiter(separator_line["delimiter"])
    else:
        tables = [_read_table(sample, one, header_line) for one in DELIMITERS]
        delimiter = choose_delimiter(tables, sample)
    dialect = Dialect(delimiter, _has_blanks_before_quotes(sample, delimiter))
    if header_line is not None:
        return replace(dialect, header_line=header_line)
    rows = dialect.sample_rows(sample)
    header_row = find_header(rows)
    if header_row is not None:
        numbers = [lines.number + line for line in dialect.sample_lines(sample)]
        require_known_header(rows, header_row, numbers)
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


def _read_table(sample: Sequence[str], delimiter: str, header_line: int | None) -> FoundTable:
    """The table that the first lines are with a delimiter.

    The sample begins with the header if its line is stated.
    """
    rows = Dialect(delimiter).sample_rows(sample)
    header_row = find_header(rows) if header_line is None else 0
    return FoundTable(delimiter, rows[header_row:] if header_row is not None else ())
