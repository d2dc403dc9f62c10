"""Ids of jobs and instances, and other whole numbers in requests."""

_MAX_DIGITS = 18
"""A number with this many digits always fits into a database's 64-bit integer."""
MAX_ID = 10**_MAX_DIGITS - 1


def parse_id(text: str) -> int | None:
    """The whole number in a text; None if it is not one, or too large for any id."""
    # `int` and `isdecimal` alone would also accept the digits of other scripts.
    if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS:
        return int(text)
    return None
