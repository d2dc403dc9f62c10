"""The numbers that a column keeps. A number that it would round or cut is refused.

A column of floats keeps a number if the nearest float is written with the same digits: as briefly
as tells it apart from its neighbours, or with 9 or 17 digits, as programs write floats to be read
again (IEEE 754, section 5.12.2).
"""

import re
import struct
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from openbulk.domain.errors import OpenbulkError

_INTEGER = re.compile(r"[+-]?\d{1,1000}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,1000}(\.\d{0,1000})?|\.\d{1,1000})([eE][+-]?\d{1,4})?", re.ASCII)
_NOT_FINITE = {"nan": "NaN", "infinity": "Infinity", "-infinity": "-Infinity"}
"""As both databases and Python write them
(https://www.postgresql.org/docs/15/datatype-numeric.html)."""
MAX_EXPONENT = 1_000
"""A larger exponent would make millions of digits of a short text."""


class NotKept(OpenbulkError):
    """The column does not keep this number; the message ends the sentence "x is 1.5; ..."."""


@dataclass(frozen=True, slots=True)
class NumberLimits:
    """What a column of numbers keeps."""

    lowest: int | None = None
    highest: int | None = None
    """Of a column of whole numbers."""
    precision: int | None = None
    scale: int = 0
    """Digits in all, and digits after the point, of a column of decimals with a limit."""
    float_digits: int = 0
    """17 if the column holds floats of 64 bits, 9 if it holds floats of 32; else 0."""
    takes_long_floats: bool = True
    """Whether a float may also be written in all of `float_digits`, not only as briefly as tells it
    apart."""
    takes_nan: bool = True
    """Whether it takes NaN."""
    takes_infinity: bool = True


NO_LIMITS = NumberLimits()


def parse_integer(value: Any) -> int:
    """A whole number. Raises ValueError."""
    match value:
        case bool():
            raise ValueError("true and false are not numbers")
        case int():
            return value
        case float() | Decimal():
            return _whole(Decimal(str(value)))
    text = str(value).strip()
    if not _INTEGER.fullmatch(text):
        raise ValueError("not a whole number")
    return int(text)


def _whole(number: Decimal) -> int:
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError("not a whole number")
    whole = int(number)
    if whole != number:
        raise ValueError("not a whole number")
    return whole


def parse_decimal(value: Any) -> Decimal:
    """A number; also NaN and Infinity. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError("true and false are not numbers")
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        if abs(number.adjusted()) > MAX_EXPONENT and number:
            raise ValueError("too many digits")
        return number
    if text.lower() in _NOT_FINITE:
        return Decimal(_NOT_FINITE[text.lower()])
    raise ValueError("not a number")


def require_kept_integer(number: int, limits: NumberLimits) -> None:
    """Raise NotKept for a whole number beyond the column's range."""
    if limits.lowest is None or limits.highest is None:
        return
    if not limits.lowest <= number <= limits.highest:
        raise NotKept(f"it takes whole numbers from {limits.lowest} to {limits.highest}")


def require_kept_decimal(number: Decimal, limits: NumberLimits) -> None:
    """Raise NotKept for a number that the column would round or cut."""
    if not number.is_finite():
        if not limits.takes_nan and number.is_nan():
            raise NotKept("it takes numbers, and NaN is not one")
        if not limits.takes_infinity and number.is_infinite():
            raise NotKept("it takes numbers, and infinity is not one")
        return
    if limits.float_digits:
        _require_float(number, limits)
    elif limits.precision is not None and number:
        _require_digits(number, limits.precision, limits.scale)


def _require_digits(number: Decimal, precision: int, scale: int) -> None:
    before = precision - scale
    if number.adjusted() >= before:
        raise NotKept(f"it takes {before} digits before the point")
    if _digits_after_point(number) > scale:
        raise NotKept(f"it takes {scale} digits after the point, and would round this")


def _digits_after_point(number: Decimal) -> int:
    """How many digits after the point a number needs; negative if it ends in zeros before it."""
    _sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "the number is finite"
    zeros = 0
    for digit in reversed(digits):
        if digit:
            break
        zeros += 1
    return -exponent - zeros


def stored_float(number: Decimal, float_digits: int) -> float:
    """The float that is nearest to a number: of 32 bits for 9 digits, else of 64."""
    return _as_float32(number) if float_digits == 9 else float(number)


def shorten_float32(kept: float) -> float:
    """A float of 32 bits as the number that its fewest digits write."""
    return float(_shortest(kept, 9))


def _require_float(number: Decimal, limits: NumberLimits) -> None:
    digits = limits.float_digits
    kept = stored_float(number, digits)
    shortest = _shortest(kept, digits)
    if number == Decimal(shortest):
        return
    if limits.takes_long_floats and number == Decimal(f"{kept:.{digits - 1}e}"):
        return
    raise NotKept(f"it holds floating-point numbers, and would keep {shortest}")


def _shortest(kept: float, digits: int) -> str:
    """A float in the fewest digits that tell it apart from its neighbours."""
    if digits == 17:
        return repr(kept)
    for count in range(digits):
        text = f"{kept:.{count}e}"
        if _as_float32(Decimal(text)) == kept:
            return text
    return repr(kept)


def _as_float32(number: Decimal) -> float:
    try:
        (kept,) = struct.unpack("f", struct.pack("f", number))
    except OverflowError:
        return float("inf")
    return float(kept)
