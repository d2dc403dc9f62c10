"""A JSON array of objects, read as a stream.

A null stays None: in JSON it can be told from an absent field, and services take it for "clear this".
"""

import io
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, BinaryIO

import ijson
from ijson.common import JSONError

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row
from openbulk.formats.encoding import Utf8File, encoding_of


class Json:
    """Reads a JSON array."""

    name = "json"
    looks_like = 'a JSON file is an array of objects: [{"summary": "Lesson"}, ...]'

    def recognizes(self, head: bytes) -> bool:
        """An array begins with a bracket."""
        return head.lstrip()[:1] == b"["

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The elements of the array. Behind an error of syntax nothing can be read: JSON has no next line."""
        text = io.BufferedReader(Utf8File(file, encoding_of(file, options)))
        if text.peek(1024).lstrip()[:1] != b"[":
            raise BadInput(f"the file is not a JSON array; {self.looks_like}")
        return _rows(text)


def _rows(text: BinaryIO) -> Iterator[Row]:
    number = 0
    try:
        for number, element in enumerate(ijson.items(text, "item"), 1):
            if isinstance(element, dict):
                yield Row(number, _plain(element))
            else:
                kind = type(element).__name__
                yield Row(number, problem=Problem(f"the element is not an object but {kind}; {Json.looks_like}"))
    except (JSONError, UnicodeDecodeError) as error:
        place = "at the first element" if number == 0 else f"behind element {number}"
        yield Row(
            number + 1,
            problem=Problem(f"the JSON breaks {place} ({_first_line(error)}); nothing behind it could be read"),
        )


def _plain(value: Any) -> Any:
    """Decimals as floats. ijson could make floats itself, but would then stop at the first integer beyond 64 bits."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
