"""The rows of a CSV. A broken one is a row of its own, and its neighbours are still read."""

import csv
import re
from collections.abc import Iterator, Sequence

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row
from openbulk.formats.csv.delimiters import delimiter_name
from openbulk.formats.csv.lines import MAX_RECORD_CHARACTERS, LineReader

_UNDECODED = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8, as `surrogateescape` decodes it."""


def read_header(lines: LineReader, delimiter: str) -> list[str]:
    """The first row with a text in it; an empty one if there is none. Raises BadInput."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_record()
        first_line = lines.number + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            lines.return_lines(keep=1)
            raise _unreadable_header(first_line, _describe_quoting(lines, error)) from error
        if lines.damage:
            raise _unreadable_header(first_line, lines.damage)
        if cells is None:
            return []
        if any(map(str.strip, cells)):
            return cells


def _unreadable_header(line: int, reason: str) -> BadInput:
    return BadInput(f"line {line}: the header cannot be read: {reason}")


class RowReader:
    """Reads records below a header, and starts over after a line that cannot be one."""

    def __init__(self, lines: LineReader, delimiter: str, header: Sequence[str]) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._header = header
        self._rows = 0
        self._doubtful_until = 0
        """A quote that was not closed reached to this line; a quote up to here may be its end."""

    def rows(self) -> Iterator[Row]:
        """Every row, good or broken, numbered from 1. Blank lines are skipped."""
        lines, width = self._lines, len(self._header)
        # CPython's reader resets itself at each record, so it can be used again after an error.
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            lines.begin_record()
            first_line = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._broken_row(first_line, self._start_over(error))
                continue
            has_other_width = len(cells) != width
            is_suspect = has_other_width or lines.damage or first_line <= self._doubtful_until
            problem = self._find_problem(cells) if is_suspect else None
            if problem is not None:
                yield self._broken_row(first_line, problem)
            elif len(cells) >= width and any(cells):  # else it is a blank line
                yield self._row(first_line, cells)

    def _row(self, line: int, cells: Sequence[str]) -> Row:
        pairs = zip(self._header, cells, strict=False)
        values = {name: cell for name, cell in pairs if cell}
        self._rows += 1
        return Row(self._rows, values, line=line)

    def _broken_row(self, line: int, problem: Problem) -> Row:
        self._rows += 1
        return Row(self._rows, problem=problem, line=line)

    def _find_problem(self, cells: Sequence[str]) -> Problem | None:
        """The problem of the record that was just read; None for a good one or a blank line."""
        lines = self._lines
        has_wrong_width = self._has_wrong_width(cells)
        # An unclosed quote takes in rows, up to a later quote. A cell of several lines (RFC 4180,
        # section 2.6) that is merely in a row of the wrong width does not.
        if has_wrong_width and any(map(self._is_row, lines.record_lines[1:])):
            return self._start_over(None)
        if lines.damage:
            return Problem(lines.damage, _damaged_field(self._header, cells))
        if has_wrong_width:
            return Problem(self._describe_width(cells))
        # The rest of a text whose quotes are wrong ends with the quote that should have closed it.
        quotes = "".join(lines.record_lines).count('"')
        if lines.number <= self._doubtful_until and quotes % 2:
            return Problem(_describe_quoting(lines, None))
        return None

    def _has_wrong_width(self, cells: Sequence[str]) -> bool:
        """Whether a row has too few or too many cells.

        Empty cells beyond the header do not count, and a line of blanks is not a row.
        """
        if len(cells) < len(self._header):
            return any(map(str.strip, cells))
        return any(cells[len(self._header) :])

    def _start_over(self, error: csv.Error | None) -> Problem:
        """Give up only the first line of the current record; its others are read again."""
        self._doubtful_until = max(self._doubtful_until, self._lines.number)
        self._lines.return_lines(keep=1)
        return Problem(self._lines.damage or _describe_quoting(self._lines, error))

    def _is_row(self, line: str) -> bool:
        """Whether a line inside a record of several lines would be a row of its own."""
        try:
            cells = next(csv.reader([line], delimiter=self._delimiter, strict=True), [])
        except csv.Error:
            return False
        return len(cells) == len(self._header) > 1

    def _describe_width(self, cells: Sequence[str]) -> str:
        name = delimiter_name(self._delimiter)
        plural = "s" * (len(cells) > 1)
        counts = f"the row has {len(cells)} cell{plural}, the header has {len(self._header)}"
        if len(cells) > len(self._header):
            return f"{counts}; a text with a {name} in it belongs in double quotes"
        missing = self._header[len(cells)]
        return f"{counts}: the first missing is {missing!r}; an empty cell needs its {name}"


def _damaged_field(header: Sequence[str], cells: Sequence[str]) -> str | None:
    pairs = zip(header, cells, strict=False)
    return next((name for name, cell in pairs if _UNDECODED.search(cell)), None)


def _describe_quoting(lines: LineReader, error: csv.Error | None) -> str:
    """Why the first line of the current record cannot be read."""
    # The message of CPython is "',' expected after '\"'".
    if "expected after" in str(error):
        return (
            "there is text after a closing quote, or a quote is not closed; "
            'double a quote that belongs to the text ("")'
        )
    if len(lines.record_lines[0]) > MAX_RECORD_CHARACTERS:
        return f"the row is longer than {MAX_RECORD_CHARACTERS:,} characters; shorten it"
    return (
        "a quote is opened and not closed; "
        'close it, or double a quote that belongs to the text ("")'
    )
