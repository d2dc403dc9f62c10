"""How two values of records compare: as numbers, as moments in time, or as text.

A CSV has only texts, and JSON has no dates. So a text that looks like a number or a date is taken for one.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

# Digits are bounded: a float with more than 308 of them is infinity, and all such texts would be equal.
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)
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

    The two compare as numbers where both are numbers, as moments where both are moments, and otherwise as text.
    """
    comparison = COMPARISONS[name]
    for read in (_number, _moment):
        first, second = read(left), read(right)
        if first is not None and second is not None:
            return comparison(first, second)
    return comparison(_text(left), _text(right))


def rank(value: Any) -> tuple[int, Any]:
    """A value's place in an order: numbers, then moments, then texts; an absent value comes last."""
    if value is None:
        return 3, 0
    for place, read in enumerate((_number, _moment)):
        known = read(value)
        if known is not None:
            return place, known
    return 2, _text(value)


def is_text(value: str) -> bool:
    """Whether a text compares as text: it looks neither like a number nor like a date."""
    return _number(value) is None and _moment(value) is None


def is_like(value: Any, pattern: str) -> bool:
    """Whether a value matches a pattern in which `%` stands for any text, and `_` for one character."""
    # One regular expression with many `.*` could take minutes; its pieces, one after another, cannot.
    text = _text(value)
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


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return None


def _moment(value: Any) -> datetime | None:
    """A date, or a date and time; in UTC where it has no offset."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: Any) -> str:
    """A value as text; true and false as JSON writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)
