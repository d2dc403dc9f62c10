"""JSON objects, one in each line (JSON Lines, also known as NDJSON)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from openbulk.domain.records import Problem, Row
from openbulk.formats.encoding_detection import detect_encoding
from openbulk.formats.json_values import (
    ValueDecoder,
    describe_syntax_error,
    encode_records,
    make_row,
)
from openbulk.formats.options import ENCODING
from openbulk.formats.text import CutLine, describe_damage, text_lines


class Jsonl:
    """Reads and writes JSON Lines."""

    name = "jsonl"
    looks_like = 'a JSON Lines file has an object in each line: {"summary": "Lesson"}'
    options = (ENCODING,)
    is_binary = False
    names_are_paths = False

    def recognizes(self, head: bytes) -> bool:
        """The first line begins an object."""
        return head.lstrip()[:1] == b"{"

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The objects. Any other line is a broken row; blank lines are skipped."""
        encoding = detect_encoding(file, options)
        return self._rows(text_lines(file, encoding), encoding)

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """An object in each line."""
        return (lines + b"\n" for lines in encode_records(records, b"\n"))

    def _rows(self, lines: Iterator[bytes], encoding: str) -> Iterator[Row]:
        decoder = ValueDecoder()
        number = 0
        for line_number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            number += 1
            try:
                value, problem = _decode_line(line, decoder, encoding)
            except ValueError as error:
                yield Row(number, problem=Problem(str(error)), line=line_number)
            else:
                yield make_row(number, line_number, value, problem, self.looks_like)


def _decode_line(line: bytes, decoder: ValueDecoder, encoding: str) -> tuple[Any, str | None]:
    """The value of a line, and the problem of a number in it. Raises ValueError with a sentence."""
    if isinstance(line, CutLine):
        raise ValueError(f"the line is longer than {len(line)} bytes; shorten the record")
    try:
        return decoder.decode(line.decode())
    except UnicodeDecodeError as error:
        raise ValueError(describe_damage(line, error, encoding)) from error
    except (ValueError, RecursionError) as error:
        reason = describe_syntax_error(error)
        raise ValueError(f"the line is not JSON ({reason}); {Jsonl.looks_like}") from error
