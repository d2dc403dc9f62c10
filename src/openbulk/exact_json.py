"""JSON in which every number keeps its digits, in and out.

A number is a float only if that float is written with the same digits. Every other one is a
`decimal.Decimal`: `1.50`, an amount of 19 digits, an integer beyond 64 bits. RFC 8259, section 6,
leaves the precision of numbers to the reader.
"""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, AnyStr

import orjson

MAX_DIGITS = 1_000
"""Of a number, also without its exponent: any conversion of it takes next to no time."""
SAFE_CHARACTERS = 18
"""An integer that is no longer, with its sign, is within 64 bits."""
_SHOWN_DIGITS = 40
MAX_DEPTH = 200
"""Levels of objects and lists. orjson, which writes them, ends at 254."""

MAX_VALUES = 200_000
"""Values of a record, and names in it: a larger one would take the server's memory, and no service
takes it. An empty object has two bytes, and takes 72 in memory."""
_TEXTS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?$)', re.DOTALL)
_TEXTS_IN_BYTES = re.compile(_TEXTS.pattern.encode(), re.DOTALL)
_MARKS, _EMPTY = (",", ":", "[", "{"), ("[]", "{}")
_MARKS_IN_BYTES, _EMPTY_IN_BYTES = (b",", b":", b"[", b"{"), (b"[]", b"{}")

Default = Callable[[Any], Any]
"""Replaces a value that JSON does not have; raises TypeError if it cannot."""

# --- numbers ---


def parse_integer(digits: str) -> int | Decimal:
    """An integer in the syntax of JSON. Raises ValueError with a sentence."""
    if len(digits) <= SAFE_CHARACTERS:
        return int(digits)
    number = _parse_decimal(digits)
    return int(number) if -(2**63) <= number < 2**64 else number


def parse_float(digits: str) -> float | Decimal:
    """A number with a fraction or an exponent. Raises ValueError with a sentence."""
    number = float(digits)
    return number if repr(number) == digits else _parse_decimal(digits)


def _parse_decimal(digits: str) -> Decimal:
    with suppress(InvalidOperation):  # an exponent beyond those of `decimal`
        number = Decimal(digits)
        if len(digits) <= MAX_DIGITS and abs(number.adjusted()) <= MAX_DIGITS:
            return number
    raise ValueError(
        f"the number {_shorten(digits)} has more than {MAX_DIGITS:,} digits; "
        "write it in quotes, as a text"
    )


def _shorten(digits: str) -> str:
    return digits if len(digits) <= _SHOWN_DIGITS else f"{digits[:_SHOWN_DIGITS]}..."


# --- JSON ---


def refuse_type(value: Any) -> Any:
    """Raise TypeError."""
    raise TypeError(f"{type(value).__name__} is not a type of JSON")


def encode_json(value: Any, default: Default = refuse_type) -> bytes:
    """A value as JSON in UTF-8; a Decimal with its digits.

    Raises TypeError for a value that cannot be JSON, and for an int beyond 64 bits.
    """
    return orjson.dumps(value, default=partial(_encode_other, default))


def _encode_other(default: Default, value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    return default(value)


def decode_json(text: str | bytes) -> Any:
    """The value of a text. Slower than orjson.loads, which rounds.

    Raises ValueError, and RecursionError for a value that is nested too deep.
    """
    return _DECODER.decode(_as_text(text))


def _as_text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode()


def decode_stored_json(text: str | bytes) -> Any:
    """A document of a database; its text if it is beyond what openbulk writes as JSON.

    PostgreSQL keeps numbers of 131,072 digits, and thousands of levels
    (https://www.postgresql.org/docs/15/datatype-json.html).
    """
    stored = _as_text(text)
    try:
        value = decode_json(stored)
    except (ValueError, RecursionError):
        return stored
    return stored if is_deeper(value, MAX_DEPTH) else value


def is_deeper(value: Any, levels: int) -> bool:
    """Whether a value has more than this many levels of objects and lists."""
    level = [value] if isinstance(value, list | dict) else []
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, list | dict)
        ]
        if not level:
            return False
    return bool(level)


def has_few_values(text: str | bytes, begin: int = 0) -> bool:
    """Whether the JSON of a record, or its beginning, has at most `MAX_VALUES` values and names."""
    if len(text) - begin <= MAX_VALUES or _count_marks(text, begin) <= MAX_VALUES:
        return True
    if isinstance(text, bytes):
        without_texts: str | bytes = _TEXTS_IN_BYTES.sub(b"", text[begin:])
    else:
        without_texts = _TEXTS.sub("", text[begin:])
    return _count_marks(without_texts, 0) <= MAX_VALUES


def _count_marks(text: str | bytes, begin: int) -> int:
    """How many marks a text has that come with a value or a name, also inside of texts."""
    if isinstance(text, bytes):
        return _count_of(text, begin, _MARKS_IN_BYTES, _EMPTY_IN_BYTES)
    return _count_of(text, begin, _MARKS, _EMPTY)


def _count_of(text: AnyStr, begin: int, marks: Sequence[AnyStr], empty: Sequence[AnyStr]) -> int:
    # The mark of an empty list is the one before it.
    count = sum(text.count(mark, begin) for mark in marks)
    return count - sum(text.count(both, begin) for both in empty)


def _refuse_constant(name: str) -> Any:
    """NaN and Infinity are not permitted (RFC 8259, section 6)."""
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    parse_int=parse_integer, parse_float=parse_float, parse_constant=_refuse_constant
)

# --- lines that openbulk keeps for itself ---

_EXACT_MARK = b" "
"""Ends a line whose numbers need `decode_json`. orjson writes no blank outside of texts."""


def pack_line(value: Any, default: Default = refuse_type) -> bytes:
    """A value as a line for `unpack_line`; next to no cost for a value without a Decimal.

    Raises TypeError, as `encode_json` does.
    """
    try:
        if default is refuse_type:
            return orjson.dumps(value)
        return orjson.dumps(value, default=partial(_encode_no_decimal, default))
    except TypeError:
        return encode_json(value, default) + _EXACT_MARK


def _encode_no_decimal(default: Default, value: Any) -> Any:
    return refuse_type(value) if isinstance(value, Decimal) else default(value)


def trim(encoded: bytes) -> bytes:
    """A copy that takes no more memory than its bytes. Trim what you keep many of.

    orjson makes each value in a buffer of 4 KiB or more, and leaves it as large as it is.
    """
    return bytes(memoryview(encoded))


def unpack_line(line: bytes) -> Any:
    """The value that `pack_line` packed."""
    return decode_json(line) if line.endswith(_EXACT_MARK) else orjson.loads(line)


def unpack_lines(lines: Sequence[bytes]) -> Sequence[Any]:
    """The values of several lines; faster than one by one."""
    if any(line.endswith(_EXACT_MARK) for line in lines):
        return list(map(unpack_line, lines))
    values: list[Any] = orjson.loads(b"[%b]" % b",".join(lines))
    return values
