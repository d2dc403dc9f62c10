"""A JSON array of objects (RFC 8259), as a stream.

A null stays None: JSON distinguishes it from an absent field, and services clear the field.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row
from openbulk.formats.encoding_detection import detect_encoding
from openbulk.formats.json_recovery import find_element_end
from openbulk.formats.json_values import (
    ValueDecoder,
    describe_syntax_error,
    encode_records,
    make_row,
    require_few_values,
)
from openbulk.formats.options import ENCODING
from openbulk.formats.text import CHUNK_BYTES, text_chunks

MAX_ELEMENT_CHARACTERS = 16 * 1024 * 1024
MAX_BROKEN_CHARACTERS = 1024 * 1024
"""How far the end of a broken element is looked for."""
MAX_SEARCHED_CHARACTERS = 256 * 1024 * 1024
"""How much of a file is searched for the ends of broken elements, all in all."""
_QUOTED_CHARACTERS = 24
_LONGEST_WORD = 16
"""A word or an escape that the end of the text cuts off is shorter."""
_COLUMN_IN_BRACKETS = re.compile(rb"\[[A-Za-z_][\w .-]*\][ ]*[,;\t|]")
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
        """An array begins with a bracket. So does a CSV whose columns are `[id],[name]`."""
        beginning = head.lstrip()
        return beginning[:1] == b"[" and not _COLUMN_IN_BRACKETS.match(beginning)

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The elements of the array. One that is not JSON is a broken row, and reading continues.

        Raises BadInput if the file is not an array.
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
    """The elements after the opening bracket, and a broken row for whatever is no element."""
    numbers = count(1)
    has_more = text.peek() != "]"
    while has_more:
        yield text.take_element(next(numbers))
        while text.peek() not in _SEPARATORS:
            yield text.take_unseparated(next(numbers))
        has_more = text.take(",")
    if text.is_given_up:
        return
    if not text.take("]"):
        reason = "the closing bracket of the array is missing; the file may be cut off"
        yield Row(next(numbers), line=text.line, problem=Problem(reason))
    elif text.peek():
        reason = f"there is text after the closing bracket ({text.quote()}), which is not read"
        yield Row(next(numbers), line=text.line, problem=Problem(reason))


_SEPARATORS = frozenset({",", "]", ""})
"""What is behind an element: one of these marks, or the end of the file."""


class _TextWindow:
    """The part of a file's text that is being read: it grows at its end, and shrinks in front."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks = chunks
        self._returned: list[str] = []
        """Pieces that were held behind a long element, the next one last."""
        self._held = ""
        self._position = 0
        self._decoder = ValueDecoder()
        self._may_search = MAX_SEARCHED_CHARACTERS
        self.is_given_up = False
        """Whether the end of a broken element could not be found. The rest is not read."""
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

    def quote(self) -> str:
        """The beginning of the text at the position, for a message."""
        text = self._held[self._position : self._position + _QUOTED_CHARACTERS]
        return repr(text.encode(errors="replace").decode())

    def take_element(self, number: int) -> Row:
        """The next element as a row; the marks before it are taken."""
        self.peek()
        line = self.line
        try:
            value, problem, text = self._take_value()
        except BadInput as error:
            return self._take_broken(number, error.message)
        except (ValueError, RecursionError) as error:
            return self._take_broken(number, f"it is not JSON: {describe_syntax_error(error)}")
        return make_row(number, line, value, problem, text, Json.looks_like)

    def take_unseparated(self, number: int) -> Row:
        """Text behind an element that is neither a comma nor the closing bracket."""
        return self._take_broken(number, f"a comma is missing before {self.quote()}")

    def _take_broken(self, number: int, reason: str) -> Row:
        """A broken row; its text up to the mark behind it is taken, or else the whole rest."""
        line = self.line
        end = self._find_element_end()
        unread = self._held[self._position : end].strip()
        if end is not None:
            self._move_to(end)
        else:
            reason = f"{reason}; where it ends is not clear, so nothing after it was read"
            self._chunks, self._returned = iter(()), []
            self._held, self._position = "", 0
            self.is_given_up = True
        return Row(number, line=line, problem=Problem(reason), unread=unread)

    def _find_element_end(self) -> int | None:
        is_whole = False
        while self._may_search > 0:
            end, searched = find_element_end(self._held, self._position, is_whole=is_whole)
            self._may_search -= searched
            if end is not None or is_whole:
                return end
            is_too_long = len(self._held) - self._position > MAX_BROKEN_CHARACTERS
            is_whole = is_too_long or not self._grow()
        return None

    def _take_value(self) -> tuple[Any, Problem | None, str]:
        """The next value, what is wrong in it, and its text if it makes no record.

        Raises ValueError and RecursionError if there is no value.
        """
        while True:
            try:
                value, problem, end = self._decoder.decode_at(self._held, self._position)
            except json.JSONDecodeError as error:
                if self._may_continue(error) and self._grow():
                    require_few_values(self._held, self._position)
                    continue
                raise
            # A number at the end of the text may continue in the next piece.
            if end < len(self._held) or not self._grow():
                break
        is_record = problem is None and isinstance(value, dict)
        text = "" if is_record else self._held[self._position : end]
        self._move_to(end)
        if end > 2 * CHUNK_BYTES:
            self._return_pieces()
        return value, problem, text

    def _may_continue(self, error: json.JSONDecodeError) -> bool:
        """Whether the rest of the value that is no JSON may be in the next piece of the file."""
        if len(self._held) - self._position > MAX_ELEMENT_CHARACTERS:
            return False
        is_at_end = error.pos > len(self._held) - _LONGEST_WORD
        return is_at_end or error.msg.startswith("Unterminated string")

    def _move_to(self, position: int) -> None:
        self.line += self._held.count("\n", self._position, position)
        self._position = position

    def _next_piece(self) -> str | None:
        return self._returned.pop() if self._returned else next(self._chunks, None)

    def _return_pieces(self) -> None:
        """Hold a piece or so behind a long element: an error message counts the lines up to it."""
        rest, self._held, self._position = self._held[self._position :], "", 0
        begins = range(0, len(rest), CHUNK_BYTES)
        self._returned += (rest[begin : begin + CHUNK_BYTES] for begin in reversed(begins))

    def _grow(self) -> bool:
        """Hold more text: twice as much, so that a long value costs twice its length at most."""
        pieces = [self._held[self._position :]]
        wanted, grown = len(pieces[0]), 0
        while (piece := self._next_piece()) is not None:
            pieces.append(piece)
            grown += len(piece)
            if grown > wanted:
                break
        self._held = "".join(pieces)
        self._position = 0
        return grown > 0
