"""JSON objects, one a line (JSON Lines, also known as NDJSON)."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from openbulk.domain.records import Problem, Row
from openbulk.formats.encoding import CutLine, encoding_of, text_lines


class Jsonl:
    """Reads JSON Lines."""

    name = "jsonl"
    looks_like = 'a JSON Lines file has an object in each line: {"summary": "Lesson"}'

    def recognizes(self, head: bytes) -> bool:
        """The first line begins an object."""
        return head.lstrip()[:1] == b"{"

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The objects; a line that is none is a broken row, and a blank one is skipped."""
        return self._rows(text_lines(file, encoding_of(file, options)))

    def _rows(self, lines: Iterator[bytes]) -> Iterator[Row]:
        number = 0
        for place, line in enumerate(lines, 1):
            if line.isspace():
                continue
            number += 1
            yield self._row(number, place, line)

    def _row(self, number: int, place: int, text: bytes) -> Row:
        if isinstance(text, CutLine):
            return Row(number, problem=Problem(f"the line is longer than {len(text)} bytes"), line=place)
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return Row(number, problem=Problem(f"the line is not JSON ({error}); {self.looks_like}"), line=place)
        if not isinstance(value, dict):
            return Row(number, problem=Problem(f"the line is not an object; {self.looks_like}"), line=place)
        return Row(number, value, line=place)
