"""Compares two values of records: as numbers, as timestamps or as text.

CSV has only text, and JSON has no dates, so text that looks like a number or a date is one.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

# Digits are bounded: floats end at 309 digits, and all longer ones would be equal.
_NUMBER_TEXT = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_TIMESTAMP_TEXT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)
_NUMBER, _TIMESTAMP, _TEXT, _MISSING = range(4)
"""The kinds of values, in sorting order."""
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def compare(name: str, left: Any, right: Any) -> bool:
    """Whether a comparison holds between two values; `name` is one of COMPARISONS.

    Two numbers compare as numbers and two timestamps as timestamps; other pairs compare as text.
    """
    (kind, first), (other_kind, second) = _kind_and_value(left), _kind_and_value(right)
    if kind != other_kind:
        first, second = as_text(left), as_text(right)
    return COMPARISONS[name](first, second)


def sort_key(value: Any) -> tuple[int, Any]:
    """Sort key: numbers, then timestamps, then text; missing values last."""
    if value is None:
        return _MISSING, 0
    return _kind_and_value(value)


def is_text(value: str) -> bool:
    """Whether text compares as text, because it looks neither like a number nor like a date."""
    return _kind_and_value(value)[0] == _TEXT


def is_like(value: Any, pattern: str) -> bool:
    """Whether a value matches a pattern: `%` matches any text, and `_` one character."""
    # One regular expression with many `.*` can take minutes; its pieces, one by one, cannot.
    text = as_text(value)
    first, *others = pattern.split("%")
    if not others:
        return _piece(first).fullmatch(text) is not None
    found = _piece(first).match(text)
    *middle, last = others
    for piece in middle:
        found = found and _piece(piece).search(text, found.end())
    last_start = len(text) - len(last)
    if found is None or last_start < found.end():
        return False
    return _piece(last).match(text, last_start) is not None


@lru_cache(1024)
def _piece(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace("_", "."), re.DOTALL)


def _kind_and_value(value: Any) -> tuple[int, Any]:
    """The kind of a value, and the value converted to that kind."""
    number = _number(value)
    if number is not None:
        return _NUMBER, number
    timestamp = _timestamp(value)
    if timestamp is not None:
        return _TIMESTAMP, timestamp
    return _TEXT, as_text(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, Decimal):
        return float(value)  # as a text with these digits: 0.10 equals 0.1
    if isinstance(value, str) and _NUMBER_TEXT.fullmatch(value):
        return float(value)
    return None


def _timestamp(value: Any) -> datetime | None:
    """A date, or a date and time."""
    if not isinstance(value, str) or not _TIMESTAMP_TEXT.fullmatch(value):
        return None
    try:
        return in_utc(datetime.fromisoformat(value))
    except ValueError:
        return None


def in_utc(moment: datetime) -> datetime:
    """The datetime, taken as UTC if it has no offset."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def as_text(value: Any) -> str:
    """A value as text; booleans as `true` and `false`, like JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)
