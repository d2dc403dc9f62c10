"""JSON objects, one a line (JSON Lines, also known as NDJSON)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from openbulk.domain.records import Problem, Row
from openbulk.formats.encoding import CutLine, damage, encoding_of, text_lines
from openbulk.formats.json import Values, reason, row_of, written_lines


class Jsonl:
    """Reads and writes JSON Lines."""

    name = "jsonl"
    looks_like = 'a JSON Lines file has an object in each line: {"summary": "Lesson"}'
    is_binary = False

    def recognizes(self, head: bytes) -> bool:
        """The first line begins an object."""
        return head.lstrip()[:1] == b"{"

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The objects; a line that is none is a broken row, and a blank one is skipped."""
        encoding = encoding_of(file, options)
        return self._rows(text_lines(file, encoding), encoding)

    def write(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> Iterator[bytes]:
        """An object in each line."""
        return (lines + b"\n" for lines in written_lines(records, b"\n"))

    def _rows(self, lines: Iterator[bytes], encoding: str) -> Iterator[Row]:
        number = 0
        values = Values()
        for place, line in enumerate(lines, 1):
            if line.isspace():
                continue
            number += 1
            try:
                value, problem = _value(line, values, encoding)
            except ValueError as error:
                yield Row(number, problem=Problem(str(error)), line=place)
            else:
                yield row_of(number, place, value, problem, self.looks_like)


def _value(line: bytes, values: Values, encoding: str) -> tuple[Any, str | None]:
    """The value of a line, and what is wrong in it. Raises ValueError with a sentence."""
    if isinstance(line, CutLine):
        raise ValueError(f"the line is longer than {len(line)} bytes")
    try:
        return values.one(line.decode())
    except UnicodeDecodeError as error:
        raise ValueError(damage(line, error, encoding)) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the line is not JSON ({reason(error)}); {Jsonl.looks_like}") from error
