"""A JSON array of objects, as a stream.

A null stays None: in JSON it can be told from an absent field, and services take it for "clear this".
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isinf
from typing import Any, BinaryIO

import orjson

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row
from openbulk.formats.encoding import encoding_of, text_chunks

MAX_ELEMENT_CHARACTERS = 16 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
_BLANKS = re.compile(r"[ \t\n\r]*")
_DIGITS_OF_64_BITS = 20
"""With the sign."""


class Json:
    """Reads and writes a JSON array."""

    name = "json"
    looks_like = 'a JSON file is an array of objects: [{"summary": "Lesson"}, ...]'
    is_binary = False

    def recognizes(self, head: bytes) -> bool:
        """An array begins with a bracket."""
        return head.lstrip()[:1] == b"["

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The elements of the array. Behind an error of syntax nothing can be read: JSON has no next line."""
        text = _Text(text_chunks(file, encoding_of(file, options)))
        if not text.takes("["):
            raise BadInput(f"the file is not a JSON array; {self.looks_like}")
        return _rows(text)

    def write(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> Iterator[bytes]:
        """An array with an object in each line."""
        before = b"["
        for lines in written_lines(records, b",\n"):
            yield before + lines
            before = b",\n"
        yield b"]\n" if before != b"[" else b"[]\n"


def written_lines(records: Iterable[Mapping[str, Any]], between: bytes) -> Iterator[bytes]:
    """Records as JSON, many at a time, with something between them."""
    pieces: list[bytes] = []
    size = 0
    for record in records:
        pieces.append(orjson.dumps(record))
        size += len(pieces[-1])
        if size > _PIECE_BYTES:
            yield between.join(pieces)
            pieces, size = [], 0
    if pieces:
        yield between.join(pieces)


class Values:
    """JSON to Python, with an eye on numbers that would not come out as they went in.

    The standard library's parser, because the fast ones are wrong at the edges: orjson takes integers beyond 64 bits
    for floats, and ijson 3.6 (yajl2_c) ends the process at an integer of more than 4,300 digits.
    """

    def __init__(self) -> None:
        self._problem: str | None = None
        self._decoder = json.JSONDecoder(
            parse_int=self._integer, parse_float=self._float, parse_constant=_refuse_constant
        )

    def one(self, text: str) -> tuple[Any, str | None]:
        """The one value of a text, and what is wrong with the numbers in it. Raises ValueError, RecursionError."""
        self._problem = None
        return self._decoder.decode(text), self._problem

    def first(self, text: str, at: int) -> tuple[Any, str | None, int]:
        """The value at a place of a text, what is wrong with its numbers, and the place behind it. Raises as `one`."""
        self._problem = None
        value, end = self._decoder.raw_decode(text, at)
        return value, self._problem, end

    def _integer(self, digits: str) -> int:
        if len(digits) <= _DIGITS_OF_64_BITS and -(2**63) <= (number := int(digits)) < 2**64:
            return number
        self._problem = (
            f"the integer {_shortened(digits)} cannot be sent, it is beyond 64 bits; write it in quotes, as a text"
        )
        return 0

    def _float(self, digits: str) -> float:
        number = float(digits)
        if isinf(number):
            self._problem = f"the number {_shortened(digits)} is too large; write it in quotes, as a text"
        return number


def row_of(number: int, line: int, value: Any, problem: str | None, looks_like: str) -> Row:
    """The row that a value makes: a broken one where it has a problem or is no object."""
    if problem is None and not isinstance(value, dict):
        problem = f"{_KINDS[type(value)]} is not an object; {looks_like}"
    return Row(number, line=line, problem=Problem(problem)) if problem else Row(number, value, line=line)


def reason(error: Exception) -> str:
    """Why a text is not JSON, in half a sentence."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


_KINDS = {
    list: "an array",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _shortened(digits: str) -> str:
    return digits if len(digits) <= 2 * _DIGITS_OF_64_BITS else f"{digits[:_DIGITS_OF_64_BITS]}..."


class _Text:
    """The piece of a file's text that is being read: it grows at its end and is dropped at its beginning."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks = chunks
        self._held = ""
        self._at = 0
        self._values = Values()
        self.line = 1
        """The line that was reached, from 1."""

    def takes(self, mark: str) -> bool:
        """Whether the next thing is this mark, which then is behind us."""
        if self.peek() != mark:
            return False
        self._at += 1
        return True

    def peek(self) -> str:
        """The next character that is not blank; nothing at the end of the file."""
        while True:
            begin, self._at = self._at, _BLANKS.match(self._held, self._at).end()  # type: ignore[union-attr]
            self.line += self._held.count("\n", begin, self._at)
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._grow():
                return ""

    def value(self) -> tuple[Any, str | None]:
        """The next value, and what is wrong in it, where its end could be found all the same.

        Raises ValueError and RecursionError where there is none.
        """
        while True:
            try:
                value, problem, end = self._values.first(self._held, self._at)
            except (ValueError, RecursionError):
                # It may be whole once more of the file is there.
                if len(self._held) - self._at > MAX_ELEMENT_CHARACTERS or not self._grow():
                    raise
                continue
            if end < len(self._held) or not self._grow():  # a number may go on behind the end
                break
        begin, self._at = self._at, end
        self.line += self._held.count("\n", begin, end)
        return value, problem or self._damage(begin, end)

    def _grow(self) -> bool:
        """Hold twice as much, so that a long value costs no more than twice its length to read."""
        pieces = [self._held[self._at :]]
        self._at, wanted, grown = 0, len(pieces[0]), 0
        while grown <= wanted and (piece := next(self._chunks, None)) is not None:
            pieces.append(piece)
            grown += len(piece)
        self._held = "".join(pieces)
        return grown > 0

    def _damage(self, begin: int, end: int) -> str | None:
        try:
            self._held[begin:end].encode()
        except UnicodeEncodeError as error:
            return (
                f"character {error.start + 1} of the element is not text; save the file as UTF-8, "
                "or name its encoding in metaData.encoding"
            )
        return None


def _rows(text: _Text) -> Iterator[Row]:
    number = 0
    if text.takes("]"):
        return
    while True:
        text.peek()
        line = text.line
        try:
            value, problem = text.value()
        except (ValueError, RecursionError) as error:
            yield _break(number, line, reason(error))
            return
        number += 1
        yield row_of(number, line, value, problem, Json.looks_like)
        if not text.takes(","):
            break
    if not text.takes("]"):
        yield _break(number, text.line, "a comma or the closing bracket is missing")
    elif text.peek():
        yield _break(number, text.line, "the closing bracket is not the end of the file")


def _break(number: int, line: int, why: str) -> Row:
    """What is left of the file, as the row behind the last one that could be read."""
    place = f"behind element {number}" if number else "at the first element"
    return Row(
        number + 1, line=line, problem=Problem(f"the JSON breaks {place} ({why}); nothing behind it could be read")
    )
