"""The rows of a CSV. A broken one is a row of its own, and its neighbours are still read."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row, RowBatch
from openbulk.formats.csv.dialect import Dialect
from openbulk.formats.csv.lines import MAX_RECORD_CHARACTERS, LineReader

_BLANK_AND_QUOTE = re.compile(' +"')
_DAMAGED = re.compile("[\x00\udc80-\udcff]")
"""A zero byte, or a byte that is not UTF-8, as `surrogateescape` decodes it."""
BATCH_ROWS = 100
BATCH_CELLS = 10_000
"""Rows that are read together have at most so many cells."""


def read_header(lines: LineReader, dialect: Dialect) -> list[str]:
    """The header's cells; none if the file has no text. Raises BadInput."""
    reader = dialect.reader(lines)
    rows_above = dialect.header_row
    while True:
        lines.begin_record()
        first_line = lines.number + 1
        cells = _read_cells(reader, lines)
        if cells is None:
            _require_no_header_in(dialect.header_line, lines.number)
            return []
        rows_above -= 1
        if dialect.header_line is not None:
            if first_line < dialect.header_line:
                continue
            _require_header_in(dialect.header_line, first_line, cells)
        elif rows_above >= 0 or not any(map(str.strip, cells)):
            continue
        if lines.damage:
            raise _unreadable_header(first_line, lines.damage)
        return cells


def _read_cells(reader: Iterator[list[str]], lines: LineReader) -> list[str] | None:
    """The next row; None after the last one. Raises BadInput."""
    first_line = lines.number + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        lines.return_lines(keep=1)
        raise _unreadable_header(first_line, _describe_quoting(lines, error)) from error


def _require_no_header_in(line: int | None, last_line: int) -> None:
    """Raise BadInput if the file ends above the stated line of the header."""
    if line is not None:
        raise BadInput(
            f"metaData.headerRow is {line}, and the file has {last_line} lines; name the line with "
            "the names of the columns"
        )


def _require_header_in(line: int, first_line: int, cells: Sequence[str]) -> None:
    """Raise BadInput unless a record of texts begins in the stated line."""
    if first_line != line:
        raise BadInput(
            f"metaData.headerRow is {line}, and that line is inside of a cell in quotes; name the "
            "line in which the header begins"
        )
    if not any(map(str.strip, cells)):
        raise BadInput(
            f"metaData.headerRow is {line}, and that line is empty; name the line with the names "
            "of the columns"
        )


def _unreadable_header(line: int, reason: str) -> BadInput:
    return BadInput(f"line {line}: the header cannot be read: {reason}")


class RowReader:
    """Reads records below a header, and starts over after a line that cannot be one."""

    def __init__(
        self,
        lines: LineReader,
        dialect: Dialect,
        header: Sequence[str],
        null_value: str = "",
        header_line: int = 1,
    ) -> None:
        self._lines = lines
        self._dialect = dialect
        self.delimiter = dialect.delimiter
        self.header_line = header_line
        """The line in which the header begins, from 1."""
        self.header = header
        """The names of the fields."""
        self._null_value = null_value
        self._rows = 0

    def rows(self) -> Iterator[Row]:
        """Every row, good or broken, numbered from 1. Blank lines are skipped."""
        for found in self.batches():
            if isinstance(found, RowBatch):
                yield from found.rows()
            else:
                yield found

    def batches(self) -> Iterator[Row | RowBatch]:
        """The rows, in batches where each of them is a line in which nothing is unusual."""
        lines = self._lines
        reader = self._dialect.reader(lines)
        while True:
            if batch := self._next_batch():
                yield batch
                continue
            lines.begin_record()
            first_line = lines.number + 1
            try:
                row = self._row(first_line, next(reader))
            except StopIteration:
                return
            except csv.Error as error:
                row = self._broken_row(first_line, self._start_over(error))
            if row is not None:
                yield row

    def _next_batch(self) -> RowBatch | None:
        """The rows of the next lines; None if one of them has to be read by itself.

        `_row` would make the same of each.
        """
        width = len(self.header)
        text = self._lines.plain_text(max(1, min(BATCH_ROWS, BATCH_CELLS // width)))
        rows = self._dialect.rows_of_lines(text)
        if set(map(len, rows)) != {width} or not all(map(any, rows)):
            return None
        cells = _with_nulls(rows, self._null_value) if self._null_value else rows
        batch = RowBatch(self._rows + 1, self.header, cells, self._lines.number + 1)
        self._lines.take_plain_text()
        self._rows += len(rows)
        return batch

    def _row(self, line: int, cells: Sequence[str]) -> Row | None:
        """The record that was just read, good or broken; None for a blank line."""
        has_quotes = '"' in self._lines.record_lines[0]
        if len(cells) != len(self.header) or self._is_suspect(line):
            lines_read = len(self._lines.record_lines)
            problem = self._find_problem(cells)
            if problem is not None:
                is_whole = len(self._lines.record_lines) == lines_read
                return self._broken_row(line, problem, cells if is_whole else ())
            cells = cells if len(cells) >= len(self.header) else ()
        pairs = zip(self.header, cells, strict=False)
        values: dict[str, Any] = {name: cell for name, cell in pairs if cell}
        if not values:
            return None
        if has_quotes:
            values |= self._quoted_empty_texts(cells)
        if self._null_value:
            values |= {name: None for name, cell in values.items() if cell == self._null_value}
        self._rows += 1
        return Row(self._rows, values, None, line)

    def _is_suspect(self, line: int) -> bool:
        """Whether a record that begins in this line needs a second look, whatever its width."""
        lines = self._lines
        if line <= lines.doubtful_until or ' "' in lines.record_lines[0]:
            return True
        return line <= lines.last_damaged and lines.damage is not None

    def _quoted_empty_texts(self, cells: Sequence[str]) -> Mapping[str, str]:
        """The empty cells that are in quotes: a text without a character, and not no value."""
        text = "".join(self._lines.record_lines)
        if '""' not in text or all(cells):
            return {}
        raw_cells = _raw_cells(text, self._dialect)
        triples = zip(self.header, cells, raw_cells, strict=False)
        return {name: "" for name, cell, raw in triples if not cell and raw.strip() == '""'}

    def _broken_row(self, line: int, problem: Problem, cells: Sequence[str] = ()) -> Row:
        """A row with the cells that could be read, and the rest of its text: to be mended."""
        self._rows += 1
        pairs = zip(self.header, cells, strict=False)
        values = {name: self._shown_cell(cell) for name, cell in pairs if cell}
        unread = self._unread_text(cells)
        return Row(self._rows, problem=problem, line=line, cells=values, unread=unread)

    def _shown_cell(self, cell: str) -> str | None:
        """A cell of a broken row; None if it says that it clears its field."""
        return _DAMAGED.sub("\ufffd", cell) if cell != self._null_value else None

    def _unread_text(self, cells: Sequence[str]) -> str:
        """The cells that have no column; all of the text if it has too few cells."""
        if len(cells) < len(self.header):
            text = "".join(self._lines.record_lines).rstrip("\r\n")
        else:
            surplus = self.delimiter.join(cells[len(self.header) :])
            text = surplus.rstrip(f" {self.delimiter}")
        return _DAMAGED.sub("\ufffd", text)

    def _find_problem(self, cells: Sequence[str]) -> Problem | None:
        """The problem of the record that was just read; None for a good one or a blank line."""
        lines = self._lines
        has_wrong_width = self._has_wrong_width(cells)
        # An unclosed quote takes in rows, up to a later quote. A cell of several lines (RFC 4180,
        # section 2.6) that is merely in a row of the wrong width does not.
        if has_wrong_width and any(map(self._is_row, lines.record_lines[1:])):
            return self._start_over(None)
        if lines.damage:
            return Problem(lines.damage, _damaged_field(self.header, cells))
        quoting = self._quoting_problem()
        if quoting is not None:
            return quoting
        if has_wrong_width:
            return Problem(self._describe_width(cells))
        # The rest of a text whose quotes are wrong ends with the quote that should have closed it.
        quotes = "".join(lines.record_lines).count('"')
        if lines.number <= lines.doubtful_until and quotes % 2:
            return Problem(_describe_quoting(lines, None))
        return None

    def _quoting_problem(self) -> Problem | None:
        """The problem of a cell that begins with a blank and a quote; None if there is none.

        By RFC 4180, section 2, the blank belongs to the cell, and so does the quote.
        """
        if self._dialect.has_blanks:
            return None
        raw_cells = _raw_cells("".join(self._lines.record_lines), self._dialect)
        pairs = zip(self.header, raw_cells, strict=False)
        name = next((name for name, raw in pairs if _BLANK_AND_QUOTE.match(raw)), None)
        if name is None:
            return None
        return Problem("there is a blank before an opening quote; take the blank out", name)

    def _has_wrong_width(self, cells: Sequence[str]) -> bool:
        """Whether a row has too few or too many cells.

        Blank cells beyond the header do not count, and a line of blanks is not a row.
        """
        if len(cells) < len(self.header):
            return any(map(str.strip, cells))
        return any(map(str.strip, cells[len(self.header) :]))

    def _start_over(self, error: csv.Error | None) -> Problem:
        """Give up only the first line of the current record; its others are read again."""
        last_line = self._lines.number
        self._lines.begin_doubt(last_line)
        self._lines.return_lines(keep=1)
        return Problem(self._lines.damage or _describe_quoting(self._lines, error))

    def _is_row(self, line: str) -> bool:
        """Whether a line inside a record of several lines would be a row of its own."""
        try:
            cells = next(self._dialect.reader([line]), [])
        except csv.Error:
            return False
        return len(cells) == len(self.header) > 1

    def _describe_width(self, cells: Sequence[str]) -> str:
        name = self._dialect.name
        plural = "s" * (len(cells) > 1)
        counts = f"the row has {len(cells)} cell{plural}, the header has {len(self.header)}"
        if _has_backslash(self._lines):
            return f"{counts}; {_BACKSLASH}"
        if len(cells) > len(self.header):
            return f"{counts}; a text with a {name} in it belongs in double quotes"
        missing = self.header[len(cells)]
        return f"{counts}: the first missing is {missing!r}; an empty cell needs its {name}"


def _with_nulls(rows: Iterable[Sequence[str]], null_value: str) -> Sequence[Sequence[str | None]]:
    return [
        [None if cell == null_value else cell for cell in cells] if null_value in cells else cells
        for cells in rows
    ]


def _raw_cells(text: str, dialect: Dialect) -> Iterator[str]:
    """The cells of a record as they are written, with their quotes."""
    mark = re.escape(dialect.delimiter)
    blanks = " *" * dialect.has_blanks
    cell = re.compile(rf'(?P<cell>{blanks}(?:"(?:[^"]|"")*"|[^{mark}\r\n]*))(?:{mark}|[\r\n]*\Z)')
    place = 0
    while place < len(text) and (match := cell.match(text, place)):
        yield match["cell"]
        place = match.end()


def _damaged_field(header: Sequence[str], cells: Sequence[str]) -> str | None:
    pairs = zip(header, cells, strict=False)
    return next((name for name, cell in pairs if _DAMAGED.search(cell)), None)


_BACKSLASH = (
    r"a backslash before a quote (\") is not an escape in CSV: "
    'double a quote that belongs to the text ("")'
)


def _has_backslash(lines: LineReader) -> bool:
    r"""Whether the current record has a quote after a backslash: `"say \"hi\""`."""
    return '\\"' in lines.record_lines[0]


def _describe_quoting(lines: LineReader, error: csv.Error | None) -> str:
    """Why the first line of the current record cannot be read."""
    if _has_backslash(lines):
        return _BACKSLASH
    # The messages of CPython are "',' expected after '\"'" and "new-line character seen in ...".
    if "expected after" in str(error):
        return (
            "there is text after a closing quote, or a quote is not closed; "
            'double a quote that belongs to the text ("")'
        )
    if "new-line character" in str(error):
        return (
            "a carriage return (CR) is inside a cell that has no quotes, and the lines of the "
            "file end in LF; put the cell in double quotes, or take the carriage return out"
        )
    if len(lines.record_lines[0]) > MAX_RECORD_CHARACTERS:
        return f"the row is longer than {MAX_RECORD_CHARACTERS:,} characters; shorten it"
    return (
        "a quote is opened and not closed; "
        'close it, or double a quote that belongs to the text ("")'
    )
