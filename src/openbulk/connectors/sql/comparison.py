"""Whether a column already holds a value, so that it need not be written.

A wrong yes would lose a change, and a wrong no costs a write: in doubt the answer is no. Keys are
never compared here; the database does that.
"""

from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

_JSON_TYPES = (bool, int, float, Decimal, dict, list)
_EXACT_TYPES = frozenset({str, int, bool, Decimal, date})
"""Two values of one of these types are the same if they are equal."""


def is_same(found: Any, value: Any) -> bool:
    """Whether a value that was read from a column is the value to write."""
    kind = type(value)
    if type(found) is kind and kind in _EXACT_TYPES:
        return bool(found == value)
    if found is None or value is None:
        return found is value
    if _is_number(found) and _is_number(value):
        return _is_same_number(found, value)
    if isinstance(value, str):
        # Drivers return types of their own, such as network addresses.
        return not isinstance(found, _JSON_TYPES) and str(found) == value
    if isinstance(value, Mapping | list):
        return _is_same_document(found, value)
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    # 10:00+00:00 equals 11:00+01:00, and is another value; a list may be read as JSON.
    if isinstance(value, time) or isinstance(found, str):
        return str(found) == str(value)
    return bool(found == value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _is_same_number(found: Any, value: Any) -> bool:
    """Whether two numbers are equal; a float is the number that its digits write."""
    if isinstance(found, float) and isinstance(value, Decimal):
        return float(value) == found
    return Decimal(str(found)) == Decimal(str(value))


def _is_same_document(found: Any, value: Mapping[str, Any] | list[Any]) -> bool:
    """Whether two objects, or two lists, are the same: `1` and `true` are not."""
    if isinstance(value, Mapping) and isinstance(found, Mapping):
        names = value.keys()
        return found.keys() == names and all(is_same(found[name], value[name]) for name in names)
    if isinstance(value, list) and isinstance(found, list):
        return len(found) == len(value) and all(map(is_same, found, value))
    return False
