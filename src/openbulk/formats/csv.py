"""CSV as people have it (RFC 4180, and what spreadsheets make of it).

`metaData.delimiter` and `metaData.encoding` say what is otherwise found by looking. The first line names the
fields; dotted names make nested fields, `attendees[0].email` makes lists. An empty cell is an absent field, and
a line without any value is skipped: spreadsheets write such lines below the last one that is filled. Empty cells
beyond the header are Excel's, too, and pass; a row with too few cells is broken, as it may be cut off or shifted.
All values are texts. What is written has commas, `\\n` at the ends of lines, and lists as JSON in a cell.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row, nest
from openbulk.formats.columns import Table
from openbulk.formats.encoding import damage, encoding_of, text_lines

MAX_RECORD_CHARACTERS = 1024 * 1024
DELIMITERS = ",;\t|"
_DELIMITER_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
_PIECE_CHARACTERS = 64 * 1024
_SAMPLE_LINES = 20
_EXCEL_SEPARATOR = re.compile(r'"?sep=(?P<delimiter>.)"?\s*')
_UNDECODED = re.compile("[\udc80-\udcff]")
"""What `surrogateescape` makes of a byte that is not UTF-8."""

# The module's own bound on a cell, for the whole process, is lower: a cell may be as long as a record.
csv.field_size_limit(MAX_RECORD_CHARACTERS)


class Csv:
    """Reads and writes CSV."""

    name = "csv"
    looks_like = "a CSV has field names in its first line and a record in each line below"
    is_binary = False

    def recognizes(self, head: bytes) -> bool:
        """Any text may be CSV: it is asked last."""
        return True

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The rows of a file. Raises BadInput where its header or metaData cannot be used."""
        encoding = encoding_of(file, options)
        lines = _Lines(text_lines(file, encoding), encoding)
        delimiter = _delimiter(lines, options)
        header = _header(lines, delimiter)
        return _Rows(lines, delimiter, header).all()

    def write(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> Iterator[bytes]:
        """A header and a line for each record; a field without a value is an empty cell."""
        table = Table(records, fields)
        return written_rows(table.columns, map(table.cells, records))


def written_rows(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """The lines of a CSV, many at a time."""
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for cells in chain([header], rows):
        texts = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
        # The module sees a need for quotes only in the line end that it writes (CPython before 3.13).
        has_other_line_end = any(isinstance(cell, str) and "\r" in cell for cell in texts)
        (quoted if has_other_line_end else plain).writerow(texts)
        if text.tell() > _PIECE_CHARACTERS:
            yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    content = text.getvalue().encode(errors="replace")
    text.seek(0)
    text.truncate()
    return content


class _Lines:
    """Text lines, with those of the record that is being read kept, to start over in the middle of them."""

    def __init__(self, lines: Iterator[bytes], encoding: str) -> None:
        self._lines = lines
        self._encoding = encoding
        self._again: list[str] = []
        self.taken: list[str] = []
        """The lines that the current record has taken so far."""
        self._characters = 0
        self.number = 0
        """The line that was taken last, from 1."""
        self._last_damaged = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line; csv.Error where the record grows beyond any that was meant."""
        line = self._again.pop() if self._again else self._decoded(next(self._lines))
        self.taken.append(line)
        self.number += 1
        self._characters += len(line)
        if self._characters > MAX_RECORD_CHARACTERS:
            raise csv.Error("the record is too long")
        return line

    @property
    def damage(self) -> str | None:
        """What is wrong with the bytes of the lines taken."""
        if self._last_damaged <= self.number - len(self.taken):
            return None
        return next((found for line in self.taken if (found := self._damage_of(line))), None)

    def _damage_of(self, line: str) -> str | None:
        original = line.encode(errors="surrogateescape")
        try:
            original.decode()
        except UnicodeDecodeError as error:
            return damage(original, error, self._encoding)
        return None

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError:
            self._last_damaged = self.number + 1
            return line.decode("utf-8", "surrogateescape")

    def begin_record(self) -> None:
        """The lines taken so far are done with."""
        self.taken = []
        self._characters = 0

    def give_back(self, keep: int) -> None:
        """Take all lines but the first `keep` of the current record again."""
        back = self.taken[keep:]
        self._again.extend(reversed(back))
        self.number -= len(back)
        del self.taken[keep:]
        self._characters = sum(map(len, self.taken))

    def peek(self, count: int) -> list[str]:
        """The first lines of the file, which stay the next: so many, or as many as a record may be long."""
        while len(self.taken) < count:
            try:
                next(self)
            except (StopIteration, csv.Error):
                break
        sample = self.taken.copy()
        self.give_back(0)
        return sample


def _delimiter(lines: _Lines, options: Mapping[str, Any]) -> str:
    """What metaData says, else Excel's first line `sep=;`, else what cuts the first lines into equal rows."""
    sample = lines.peek(_SAMPLE_LINES)
    separator = _EXCEL_SEPARATOR.fullmatch(sample[0]) if sample else None
    if separator:
        next(lines)
    if told := options.get("delimiter"):
        delimiter = _DELIMITER_NAMES.get(str(told).lower(), str(told))
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise BadInput(f"metaData.delimiter {told!r} is not one character; it can be comma, semicolon, tab or pipe")
        return delimiter
    return separator["delimiter"] if separator else max(DELIMITERS, key=lambda d: _fitness(sample, d))


def _fitness(sample: Sequence[str], delimiter: str) -> tuple[int, int]:
    """How many lines have as many cells as the first one, and how many cells that is; a lone cell fits nothing."""
    widths: list[int] = []
    with suppress(csv.Error):  # the rows before the one that cannot be read are sample enough
        widths.extend(len(row) for row in csv.reader(sample, delimiter=delimiter) if row)
    width = widths[0] if widths else 0
    return (widths.count(width), width) if width > 1 else (0, 0)


def _header(lines: _Lines, delimiter: str) -> list[str]:
    """The names of the fields. Raises BadInput where they can't be told apart."""
    return field_names(_first_filled_row(lines, delimiter), Csv.looks_like)


def field_names(cells: Sequence[str], looks_like: str) -> list[str]:
    """The names in a header, less the empty ones at its end. Raises BadInput where they can't be told apart."""
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise BadInput(f"the file is empty; {looks_like}")
    columns: dict[str, int] = {}
    for column, name in enumerate(names, 1):
        if not name:
            raise BadInput(f"column {column} has no name in the header; name it, or take the column out")
        if (first := columns.setdefault(name, column)) != column:
            raise BadInput(f"column {first} and column {column} are both called {name!r}; rename one")
    return names


def _first_filled_row(lines: _Lines, delimiter: str) -> list[str]:
    """The first row with a text in it; an empty one where there is none. Raises BadInput."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_record()
        begin = lines.number + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            lines.give_back(1)
            raise BadInput(f"line {begin}: the header cannot be read: {_quoting_problem(lines, error)}") from error
        if lines.damage:
            raise BadInput(f"line {begin}: the header cannot be read: {lines.damage}")
        if cells is None or any(cell.strip() for cell in cells):
            return cells or []


@dataclass
class _Rows:
    """Cuts lines into records, and starts over behind what cannot be one."""

    lines: _Lines
    delimiter: str
    header: Sequence[str]

    def __post_init__(self) -> None:
        """Look once whether names are nested."""
        self._nested = any("." in name or "[" in name for name in self.header)
        self._number = 0
        # A quote that was not closed reaches to this line: until there, a quote may be the end of that one.
        self._doubtful_until = 0

    def all(self) -> Iterator[Row]:
        """Every row, good or broken."""
        lines, header, width = self.lines, self.header, len(self.header)
        # After an error, it goes on with the next line that it gets (CPython resets it at the start of each record).
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            lines.begin_record()
            begin = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._broken(begin, self._start_over(error))
                continue
            if len(cells) != width or lines.damage or begin <= self._doubtful_until:
                problem = self._problem_of(cells)
                if problem:
                    yield self._broken(begin, problem)
                    continue
                if len(cells) < width:  # a blank line
                    continue
            if values := {name: cell for name, cell in zip(header, cells, strict=False) if cell}:
                yield self._row(begin, values)

    def _row(self, line: int, values: dict[str, Any]) -> Row:
        if self._nested:
            try:
                values = nest(values)
            except ValueError as error:
                return self._broken(line, Problem(str(error)))
        self._number += 1
        return Row(self._number, values, line=line)

    def _broken(self, line: int, problem: Problem) -> Row:
        self._number += 1
        return Row(self._number, problem=problem, line=line)

    def _problem_of(self, cells: Sequence[str]) -> Problem | None:
        """What is wrong with the record that was just read; None where nothing is, or where it is blank."""
        lines, width = self.lines, len(self.header)
        wrong_width = any(cells[width:]) or (len(cells) < width and any(cell.strip() for cell in cells))
        if wrong_width and any(map(self._is_row, lines.taken[1:])):
            return self._start_over(None)
        if lines.damage:
            return Problem(lines.damage, _damaged_field(self.header, cells))
        if wrong_width:
            return Problem(self._width_problem(cells))
        if lines.number <= self._doubtful_until and "".join(lines.taken).count('"') % 2:
            return Problem(_quoting_problem(lines, None))
        return None

    def _start_over(self, error: csv.Error | None) -> Problem:
        """Give up only the first line of the record that was being read, and take the others again."""
        self._doubtful_until = max(self._doubtful_until, self.lines.number)
        self.lines.give_back(1)
        return Problem(self.lines.damage or _quoting_problem(self.lines, error))

    def _is_row(self, line: str) -> bool:
        """Whether a line that a record of several lines took in would be a row of its own."""
        try:
            cells = next(csv.reader([line], delimiter=self.delimiter, strict=True), [])
        except csv.Error:
            return False
        return len(cells) == len(self.header) > 1

    def _width_problem(self, cells: Sequence[str]) -> str:
        name = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}.get(self.delimiter, repr(self.delimiter))
        counts = f"the row has {len(cells)} cell{'s' * (len(cells) > 1)}, the header has {len(self.header)}"
        if len(cells) > len(self.header):
            return f"{counts}; a text with a {name} in it belongs in double quotes"
        return f"{counts}: the first missing is {self.header[len(cells)]!r}; an empty cell needs its {name}"


def _damaged_field(header: Sequence[str], cells: Sequence[str]) -> str | None:
    return next((name for name, cell in zip(header, cells, strict=False) if _UNDECODED.search(cell)), None)


def _quoting_problem(lines: _Lines, error: csv.Error | None) -> str:
    """Why the first line taken could not be read."""
    if error is not None and "expected after" in str(error):
        return (
            "a quoted text goes on behind its closing quote, or a quote is not closed; "
            'double a quote that belongs to the text ("")'
        )
    if len(lines.taken[0]) > MAX_RECORD_CHARACTERS:
        return f"the row is longer than {MAX_RECORD_CHARACTERS:,} characters; shorten it"
    return 'a quote is opened and not closed; close it, or double a quote that belongs to the text ("")'
