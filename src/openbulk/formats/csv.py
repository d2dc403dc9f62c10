"""CSV as people have it (RFC 4180, and what spreadsheets make of it).

`metaData.delimiter` and `metaData.encoding` say what is otherwise found by looking. The first line names the
fields; dotted names make nested fields, `attendees[0].email` makes lists. An empty cell is an absent field, and
a line without any value is skipped: spreadsheets write such lines below the last one that is filled.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row, nest
from openbulk.formats.encoding import CutLine, encoding_of, text_lines

MAX_FIELD_CHARACTERS = 1024 * 1024
DELIMITERS = ",;\t|"
_DELIMITER_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
_SAMPLE_LINES = 20
_EXCEL_SEPARATOR = re.compile(r'"?sep=(?P<delimiter>.)"?\s*')

# The bound is the module's own, for the whole process: without it, a quote that is never closed takes in the file.
csv.field_size_limit(MAX_FIELD_CHARACTERS)


class Csv:
    """Reads CSV."""

    name = "csv"
    looks_like = "a CSV has field names in its first line and a record in each line below"

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


class _Lines:
    """Text lines, with those of the record that is being read kept, to start over in the middle of them."""

    def __init__(self, lines: Iterator[bytes], encoding: str) -> None:
        self._lines = lines
        self._encoding = encoding
        self._again: list[str] = []
        self.taken: list[str] = []
        """The lines that the current record has taken so far."""
        self.number = 0
        """The line that was taken last, from 1."""
        self._damaged: dict[int, str] = {}

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else self._decoded(next(self._lines))
        self.taken.append(line)
        self.number += 1
        return line

    @property
    def damage(self) -> str | None:
        """What is wrong with the bytes of the lines taken."""
        if not self._damaged:
            return None
        taken = range(self.number - len(self.taken) + 1, self.number + 1)
        return next((self._damaged[number] for number in taken if number in self._damaged), None)

    def _decoded(self, line: bytes) -> str:
        if isinstance(line, CutLine):
            self._damaged[self.number + 1] = f"the line is longer than {len(line)} bytes"
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            self._damaged[self.number + 1] = (
                f"byte 0x{line[error.start]:02X} at position {error.start + 1} of the line is not "
                f"{_ENCODING_NAMES.get(self._encoding, 'UTF-8')}; save the file as UTF-8, or name its encoding in "
                "metaData.encoding"
            )
            return line.decode("utf-8", "replace")

    def begin_record(self) -> None:
        """The lines taken so far are done with."""
        self.taken = []

    def give_back(self, keep: int) -> None:
        """Take all lines but the first `keep` of the current record again."""
        back = self.taken[keep:]
        self._again.extend(reversed(back))
        self.number -= len(back)
        del self.taken[keep:]

    def peek(self, count: int) -> list[str]:
        """The next lines, which stay the next."""
        self.begin_record()
        lines = [line for line, _ in zip(self, range(count), strict=False)]
        self.give_back(0)
        return lines


_ENCODING_NAMES = {"cp1252": "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


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
    rows: list[list[str]] = []
    with suppress(csv.Error):  # the rows before the one that cannot be read are sample enough
        rows.extend(csv.reader(sample, delimiter=delimiter))
    width = len(rows[0]) if rows else 0
    if width < 2:
        return 0, 0
    return sum(len(row) == width for row in rows), width


def _header(lines: _Lines, delimiter: str) -> list[str]:
    """The names of the fields. Raises BadInput where they can't be told apart."""
    lines.begin_record()
    try:
        cells = next((row for row in csv.reader(lines, delimiter=delimiter, strict=True) if any(row)), [])
    except csv.Error as error:
        raise BadInput(f"line {lines.number}: the header cannot be read ({error}); {Csv.looks_like}") from error
    if lines.damage:
        raise BadInput(f"line {lines.number}: the header cannot be read: {lines.damage}")
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise BadInput(f"the file is empty; {Csv.looks_like}")
    for column, name in enumerate(names, 1):
        if not name:
            raise BadInput(f"column {column} has no name in the header; name it, or take the column out")
        if names.index(name) + 1 != column:
            raise BadInput(f"column {names.index(name) + 1} and column {column} are both called {name!r}; rename one")
    return names


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

    def all(self) -> Iterator[Row]:
        """Every row, good or broken."""
        lines, header, width = self.lines, self.header, len(self.header)
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            lines.begin_record()
            begin = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                lines.give_back(1)
                reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
                yield self._broken(begin, lines.damage or _quoting_problem(error))
                continue
            if not any(cells):
                continue
            damage = lines.damage
            if damage or len(cells) < width or any(cells[width:]):
                problem = damage or self._width_problem(cells)
                if len(lines.taken) > 1 and self._begins_row(lines.taken[1]):
                    lines.give_back(1)
                    reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
                    problem = lines.damage or _quoting_problem(None)
                yield self._broken(begin, problem)
                continue
            yield self._row(begin, {name: cell for name, cell in zip(header, cells, strict=False) if cell})

    def _row(self, line: int, values: dict[str, Any]) -> Row:
        if self._nested:
            try:
                values = nest(values)
            except ValueError as error:
                return self._broken(line, str(error))
        self._number += 1
        return Row(self._number, values, line=line)

    def _broken(self, line: int, problem: str) -> Row:
        self._number += 1
        return Row(self._number, problem=Problem(problem), line=line)

    def _begins_row(self, line: str) -> bool:
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


def _quoting_problem(error: csv.Error | None) -> str:
    if error is not None and "expected after" in str(error):
        return (
            "a quoted text goes on behind its closing quote, or a quote is not closed; "
            'double a quote that belongs to the text ("")'
        )
    if error is not None and "field larger" in str(error):
        return f"a quote is not closed, or a cell is longer than {MAX_FIELD_CHARACTERS} characters"
    return 'a quote is opened and not closed; close it, or double a quote that belongs to the text ("")'
