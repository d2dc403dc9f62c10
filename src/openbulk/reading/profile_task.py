"""Reads a file to describe it: how it is read, what is in its columns, and what it leaves open."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, BinaryIO

from openbulk.domain.date_order import DateOrderUnknown
from openbulk.domain.errors import BadInput
from openbulk.domain.file_questions import OpenQuestion, Question
from openbulk.domain.records import Row
from openbulk.formats.base import Format
from openbulk.formats.description import FileDescription, describe_file
from openbulk.formats.encoding_detection import EncodingUnknown
from openbulk.formats.packed import unpack
from openbulk.formats.recognition import read_beginning
from openbulk.reading.packing import Packed, PartLines, pack_row
from openbulk.reading.profiling import FileProfiler

ROWS_PER_PART = 5_000
"""A part has fewer if they are large. Pages of rows are read from parts."""


class Profile:
    """The rows of a file, part by part, and then what they show.

    `request` has `format` (in `options`), `options`, `takes_events`, and `first_rows`: so many rows
    of the beginning are read, or None for all.
    """

    def __init__(self, file: BinaryIO, request: Mapping[str, Any]) -> None:
        """Raises BadInput if the file cannot be read; what it leaves open is in `to_json`."""
        self._options: Mapping[str, Any] = request["options"]
        self._limit: int | None = request["first_rows"]
        self._profiler = FileProfiler((), is_nested=True)
        self._lines = PartLines(ROWS_PER_PART)
        self._questions: Sequence[Question] = ()
        self._problem: str | None = None
        """Why no row can be read; None if some can."""
        self._description = FileDescription()
        self._is_whole = False
        self._rows: Iterator[Row] = iter(())
        self.read = 0
        """Number of the last row that was read."""
        self._format: Format | None = None
        try:
            self._open(unpack(file), takes_events=request["takes_events"])
        except OpenQuestion as error:
            self._note(error)

    def _note(self, error: OpenQuestion) -> None:
        """Note what the file leaves open. The rest of a file may show the order of its dates."""
        if self._is_whole or not isinstance(error, DateOrderUnknown | EncodingUnknown):
            self._questions, self._problem = [error.question], error.message

    def _open(self, file: BinaryIO, *, takes_events: bool) -> None:
        stated = self._options.get("format")
        beginning = read_beginning(file, stated, self._options, takes_events=takes_events)
        self._format = beginning.format
        readable, is_whole = beginning.file, beginning.is_whole
        if self._limit is None:
            readable, is_whole = file, True
        readable.seek(0)
        self._is_whole = is_whole
        self._description = describe_file(self._format, readable, self._options)
        is_table = beginning.format.names_are_paths
        header = self._description.header if is_table else ()
        self._profiler = FileProfiler(header, is_nested=not is_table)
        rows = self._format.read(readable, self._options)
        self._rows = rows if self._limit is None else self._first(rows, self._limit)

    def _first(self, rows: Iterator[Row], count: int) -> Iterator[Row]:
        """The first rows; if the file is cut, its last row may be, too, and is left out."""
        previous: Row | None = None
        for row in islice(rows, count + 1):
            if previous is not None:
                yield previous
            previous = row
        if previous is None:
            return
        if previous.number > count:
            self._is_whole = False
        elif self._is_whole:
            yield previous

    def _require_records(self) -> None:
        if self._format is not None and not self._profiler.rows:
            raise BadInput(f"the file holds no record; {self._format.looks_like}")

    def next_part(self) -> Packed | None:
        """The next part; None after the last one. Raises what reading raises."""
        try:
            for row in self._rows:
                self.read = row.number
                sendable, packed = pack_row(row)
                part = self._lines.add(packed)
                if part:
                    self._profiler.look()  # no more rows are held than those of a part
                self._profiler.add(sendable)
                if part:
                    return part
        except OpenQuestion as error:
            self._note(error)
        return self._lines.take()

    def to_json(self) -> dict[str, Any]:
        """What the rows have shown."""
        profiler = self._profiler
        columns = profiler.profile()
        questions = self._questions
        if not questions and self._is_whole:
            self._require_records()
            questions = profiler.questions(self._options)
        return {
            "format": "" if self._format is None else self._format.name,
            **asdict(replace(self._description, header=())),
            "problem": self._problem,
            "rows": profiler.rows,
            "broken": profiler.broken,
            "complete": self._is_whole,
            "columns": [asdict(column) for column in columns],
            "has_more_columns": profiler.has_more_columns,
            "questions": [question.to_json() for question in questions],
        }
