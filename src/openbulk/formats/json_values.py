"""JSON values and Python's: what `json` and `jsonl` have in common.

The decoder is the standard library's, because the fast ones are wrong at the edges: orjson turns
integers beyond 64 bits into floats, and ijson 3.6 (yajl2_c) ends the process at an integer of more
than 4,300 digits.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from math import isinf
from typing import Any

import orjson

from openbulk.domain.records import Problem, Row

_PIECE_BYTES = 64 * 1024
_MAX_INTEGER_CHARACTERS = 20
"""The digits of 64 bits, with a sign."""


class ValueDecoder:
    """Decodes JSON. Reports numbers that would change on the way."""

    def __init__(self) -> None:
        self._problem: str | None = None
        self._decoder = json.JSONDecoder(
            parse_int=self._integer, parse_float=self._float, parse_constant=_refuse_constant
        )

    def decode(self, text: str) -> tuple[Any, str | None]:
        """The only value of a text, and the problem of a number in it.

        Raises ValueError if the text is not JSON, RecursionError if it is nested too deep.
        """
        self._problem = None
        return self._decoder.decode(text), self._problem

    def decode_at(self, text: str, position: int) -> tuple[Any, str | None, int]:
        """The value at a position of a text, the problem of a number in it, and its end.

        Raises ValueError and RecursionError, as `decode` does.
        """
        self._problem = None
        value, end = self._decoder.raw_decode(text, position)
        return value, self._problem, end

    def _integer(self, digits: str) -> int:
        # Python refuses to convert more than 4,300 digits, so their number is checked first.
        if len(digits) <= _MAX_INTEGER_CHARACTERS:
            number = int(digits)
            if -(2**63) <= number < 2**64:
                return number
        self._problem = (
            f"the integer {_shorten(digits)} cannot be sent: it is beyond 64 bits; "
            "write it in quotes, as a text"
        )
        return 0

    def _float(self, digits: str) -> float:
        number = float(digits)
        if isinf(number):
            self._problem = (
                f"the number {_shorten(digits)} is too large; write it in quotes, as a text"
            )
        return number


def _refuse_constant(name: str) -> None:
    """RFC 8259, section 6: NaN and Infinity are not permitted."""
    raise ValueError(f"{name} is not JSON")


def _shorten(digits: str) -> str:
    if len(digits) <= 2 * _MAX_INTEGER_CHARACTERS:
        return digits
    return f"{digits[:_MAX_INTEGER_CHARACTERS]}..."


def describe_syntax_error(error: Exception) -> str:
    """Why a text is not JSON, in half a sentence."""
    match error:
        case RecursionError():
            return "it is nested too deep"
        case json.JSONDecodeError():
            return error.msg
        case _:
            return str(error)


_SPOKEN_TYPES = {
    list: "an array",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def make_row(number: int, line: int, value: Any, problem: str | None, looks_like: str) -> Row:
    """The row of a decoded value: a broken one if it has a problem or is not an object."""
    if problem is None and not isinstance(value, dict):
        problem = f"{_SPOKEN_TYPES[type(value)]} is not an object; {looks_like}"
    if problem is not None:
        return Row(number, line=line, problem=Problem(problem))
    return Row(number, value, line=line)


def encode_records(records: Iterable[Mapping[str, Any]], separator: bytes) -> Iterator[bytes]:
    """Records as JSON in UTF-8, with a separator between them, many in each piece."""
    piece: list[bytes] = []
    size = 0
    for record in records:
        piece.append(orjson.dumps(record))
        size += len(piece[-1])
        if size > _PIECE_BYTES:
            yield separator.join(piece)
            piece, size = [], 0
    if piece:
        yield separator.join(piece)
