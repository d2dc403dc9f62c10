"""Checks all records before the first byte of a file is written: half a file is of no use."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from openbulk.domain.errors import BadInput

EVENT_LOOKS_LIKE = (
    'an event has a start: {"date": "2026-05-30"} or {"dateTime": "2026-05-30T10:00:00+02:00"}'
)


def require_reiterable(records: Iterable[Mapping[str, Any]]) -> None:
    """Raise TypeError for an iterator: its second pass would write an empty file."""
    if isinstance(records, Iterator):
        raise TypeError("records are read twice; pass a collection, not an iterator")


def require_writable(
    records: Iterable[Mapping[str, Any]],
    encode: Callable[[Mapping[str, Any]], object],
    looks_like: str,
) -> None:
    """Raise BadInput for the first record that `encode` refuses, with its number.

    `encode` may raise AttributeError, KeyError, TypeError or ValueError. `looks_like` describes a
    record that can be written.
    """
    require_reiterable(records)
    for number, record in enumerate(records, 1):
        try:
            encode(record)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = _describe(error)
            raise BadInput(f"record {number} cannot be written: {reason}; {looks_like}") from None


def _describe(error: Exception) -> str:
    match error:
        case KeyError():
            return f"it has no {error}"
        case ValueError():
            return str(error)
        case _:
            return f"a field has the wrong type ({error})"
