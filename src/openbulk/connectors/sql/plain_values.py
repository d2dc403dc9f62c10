"""Converts the values of a column together, if all of them are written in the usual way.

One call of a function of the standard library for a column costs a tenth of what `to_database`
costs value by value. What is made of a value is the same. Values that are written in another way
raise: then `to_database` looks at each of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from openbulk.connectors.sql.numbers import NumberLimits
from openbulk.connectors.sql.values import Column, Conversion, Kind

Convert = Callable[[Sequence[Any]], list[Any]]
"""Converts the values of a column. Raises one of `NOT_PLAIN` if one is not written as usual."""
NOT_PLAIN = (ValueError, TypeError, KeyError, InvalidOperation, OverflowError)

_BOOLEANS = {"true": True, "false": False, "True": True, "False": False, "1": True, "0": False}
_DIGITS = 15
"""A decimal of up to 15 digits is the shortest one that its double is written as (DBL_DIG)."""
_DIGITS_32 = 6
"""FLT_DIG: the same for a float of 32 bits."""


def plain_conversion(column: Column, conversion: Conversion) -> Convert | None:
    """What converts the values of a column together; None if each is looked at."""
    makers = _SQLITE_MAKERS if conversion.is_sqlite else _MAKERS
    make = makers.get(column.kind)
    return make(column) if make else None


def _join(values: Sequence[Any], separator: str = "") -> str:
    """All values in one text, to look at. Raises TypeError if one is no text."""
    return separator.join(values)


def _require(is_plain: bool) -> None:
    if not is_plain:
        raise ValueError("not written as usual")


def _integers(column: Column) -> Convert | None:
    lowest, highest = column.numbers.lowest, column.numbers.highest
    if lowest is None or highest is None:
        return None

    def convert(values: Sequence[Any]) -> list[Any]:
        text = _join(values)
        _require(text.isascii() and "_" not in text)
        numbers = list(map(int, values))
        _require(lowest <= min(numbers) and max(numbers) <= highest)
        return numbers

    return convert


def _numbers(column: Column) -> Convert | None:
    form = _plain_form(column.numbers)
    if form is None:
        return None

    def convert(values: Sequence[Any]) -> list[Any]:
        _require(form.fullmatch(_join(values, "\n")) is not None)
        return list(map(Decimal, values))

    return convert


def _plain_form(limits: NumberLimits) -> re.Pattern[str] | None:
    """The form of a column of numbers that it keeps, one a line; None if none is certain."""
    before, after = 40, 40
    number = r"-?\d{1,%d}(?:\.\d{0,%d})?"
    if limits.float_digits:
        digits = _DIGITS if limits.float_digits == 17 else _DIGITS_32
        number = rf"-?(?=[\d.]{{1,{digits}}}(?:\n|\Z))\d+(?:\.\d*)?"
    else:
        if limits.precision is not None:
            before, after = limits.precision - limits.scale, limits.scale
        if before < 1 or after < 0:
            return None
        number %= (before, after)
    return re.compile(rf"{number}(?:\n{number})*", re.ASCII)


def _sqlite_numbers(column: Column) -> Convert | None:
    form = _plain_form(NumberLimits(float_digits=column.numbers.float_digits or 17))
    if column.numbers.precision is not None:
        return None
    is_float = bool(column.numbers.float_digits)

    def convert(values: Sequence[Any]) -> list[Any]:
        _require(form is not None and form.fullmatch(_join(values, "\n")) is not None)
        numbers = list(map(float, values))
        if is_float:
            return numbers
        return [int(number) if number.is_integer() else number for number in numbers]

    return convert


def _booleans(_column: Column) -> Convert:
    return lambda values: [_BOOLEANS[value] for value in values]


def _dates(_column: Column) -> Convert:
    return lambda values: list(map(date.fromisoformat, values))


def _moments(column: Column) -> Convert:
    def convert(values: Sequence[Any]) -> list[Any]:
        text = _join(values)
        _require("." not in text and "," not in text)
        moments = list(map(datetime.fromisoformat, values))
        _require(all((moment.tzinfo is not None) is column.is_zoned for moment in moments))
        return moments

    return convert


def _texts(column: Column) -> Convert | None:
    if column.is_padded or column.is_stripped or column.is_set or column.makes_numbers_of_texts:
        return None
    choices = frozenset(column.choices)

    def convert(values: Sequence[Any]) -> list[Any]:
        text = _join(values)
        if not text.isprintable():
            _require("\x00" not in text)
            text.encode()  # UnicodeEncodeError is a ValueError
        _require(not choices or choices.issuperset(values))
        _require(column.length is None or max(map(len, values)) <= column.length)
        # A character has at most 4 bytes.
        _require(column.max_bytes is None or 4 * max(map(len, values)) <= column.max_bytes)
        return list(values)

    return convert


def _other_texts(column: Column) -> Convert | None:
    convert_texts = _texts(column)
    if convert_texts is None:
        return None

    def convert(values: Sequence[Any]) -> list[Any]:
        _require("" not in values)  # it is no value
        return convert_texts(values)

    return convert


def _sqlite_booleans(column: Column) -> Convert:
    convert = _booleans(column)
    return lambda values: list(map(int, convert(values)))


def _sqlite_moments(column: Column) -> Convert | None:
    if column.is_zoned:
        return None
    convert = _moments(column)
    return lambda values: [moment.isoformat(" ") for moment in convert(values)]


def _sqlite_dates(column: Column) -> Convert:
    convert = _dates(column)
    return lambda values: list(map(str, convert(values)))


_MAKERS: Mapping[Kind, Callable[[Column], Convert | None]] = {
    Kind.INTEGER: _integers,
    Kind.NUMBER: _numbers,
    Kind.BOOLEAN: _booleans,
    Kind.DATE: _dates,
    Kind.MOMENT: _moments,
    Kind.TEXT: _texts,
    Kind.OTHER: _other_texts,
}
_SQLITE_MAKERS: Mapping[Kind, Callable[[Column], Convert | None]] = {
    Kind.INTEGER: _integers,
    Kind.NUMBER: _sqlite_numbers,
    Kind.BOOLEAN: _sqlite_booleans,
    Kind.MOMENT: _sqlite_moments,
    Kind.DATE: _sqlite_dates,
    Kind.TEXT: _texts,
    Kind.OTHER: _other_texts,
}
