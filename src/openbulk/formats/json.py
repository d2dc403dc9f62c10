"""A JSON array of objects (RFC 8259), as a stream.

A null stays None: JSON distinguishes it from an absent field, and services clear the field.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row
from openbulk.formats.encoding_detection import detect_encoding
from openbulk.formats.json_values import (
    ValueDecoder,
    describe_syntax_error,
    encode_records,
    make_row,
)
from openbulk.formats.options import ENCODING
from openbulk.formats.text import text_chunks

MAX_ELEMENT_CHARACTERS = 16 * 1024 * 1024
_NOT_BLANK = re.compile(r"[^ \t\n\r]|\Z")
"""A character that is not blank, or the end. JSON has these four blanks (RFC 8259, section 2)."""


class Json:
    """Reads and writes a JSON array."""

    name = "json"
    looks_like = 'a JSON file is an array of objects: [{"summary": "Lesson"}, ...]'
    options = (ENCODING,)
    is_binary = False
    names_are_paths = False

    def recognizes(self, head: bytes) -> bool:
        """An array begins with a bracket."""
        return head.lstrip()[:1] == b"["

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The elements of the array. Nothing after a syntax error can be read.

        JSON has no next line at which reading could resume. Raises BadInput if the file is not an
        array.
        """
        text = _TextWindow(text_chunks(file, detect_encoding(file, options)))
        if not text.take("["):
            raise BadInput(f"the file is not a JSON array; {self.looks_like}")
        return _rows(text)

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """An array with an object in each line."""
        opening = b"["
        for lines in encode_records(records, b",\n"):
            yield opening + lines
            opening = b",\n"
        yield b"[]\n" if opening == b"[" else b"]\n"


def _rows(text: "_TextWindow") -> Iterator[Row]:
    """The elements after the opening bracket."""
    if text.take("]"):
        return
    number = 0
    while True:
        text.peek()
        line = text.line
        try:
            value, problem = text.take_value()
        except (ValueError, RecursionError) as error:
            yield _syntax_problem(number, line, describe_syntax_error(error))
            return
        number += 1
        yield make_row(number, line, value, problem, Json.looks_like)
        if not text.take(","):
            break
    if not text.take("]"):
        yield _syntax_problem(number, text.line, "a comma or the closing bracket is missing")
    elif text.peek():
        yield _syntax_problem(number, text.line, "there is text after the closing bracket")


def _syntax_problem(number: int, line: int, reason: str) -> Row:
    """The rest of the file, as a row after the last one that could be read (`number`)."""
    place = f"after element {number}" if number else "at the first element"
    message = f"the JSON breaks {place} ({reason}); nothing after it could be read"
    return Row(number + 1, line=line, problem=Problem(message))


class _TextWindow:
    """The part of a file's text that is being read: it grows at its end, and shrinks in front."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks = chunks
        self._held = ""
        self._position = 0
        self._decoder = ValueDecoder()
        self.line = 1
        """The line of the position, from 1."""

    def peek(self) -> str:
        """The next character that is not blank; "" at the end of the file."""
        while True:
            found = _NOT_BLANK.search(self._held, self._position)
            assert found is not None, "the pattern matches the end, too"
            self._move_to(found.start())
            if found.group() or not self._grow():
                return found.group()

    def take(self, mark: str) -> bool:
        """Take the next character that is not blank, if it is this one."""
        if self.peek() != mark:
            return False
        self._position += 1
        return True

    def take_value(self) -> tuple[Any, str | None]:
        """The next value, and what is wrong in it.

        Raises ValueError and RecursionError if there is no value.
        """
        while True:
            try:
                value, problem, end = self._decoder.decode_at(self._held, self._position)
            except (ValueError, RecursionError):
                # The rest of the value may be in the next piece of the file.
                is_too_long = len(self._held) - self._position > MAX_ELEMENT_CHARACTERS
                if is_too_long or not self._grow():
                    raise
                continue
            # A number at the end of the text may continue in the next piece.
            if end < len(self._held) or not self._grow():
                break
        problem = problem or _describe_undecoded(self._held[self._position : end])
        self._move_to(end)
        return value, problem

    def _move_to(self, position: int) -> None:
        self.line += self._held.count("\n", self._position, position)
        self._position = position

    def _grow(self) -> bool:
        """Hold more text: twice as much, so that a long value costs twice its length at most."""
        pieces = [self._held[self._position :]]
        wanted, grown = len(pieces[0]), 0
        for piece in self._chunks:
            pieces.append(piece)
            grown += len(piece)
            if grown > wanted:
                break
        self._held = "".join(pieces)
        self._position = 0
        return grown > 0


def _describe_undecoded(element: str) -> str | None:
    """What is wrong with an element that has a lone surrogate; None for others."""
    try:
        element.encode()
    except UnicodeEncodeError as error:
        return (
            f"character {error.start + 1} of the element is not text; save the file as UTF-8, "
            "or name its encoding in metaData.encoding"
        )
    return None
