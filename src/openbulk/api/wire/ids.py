"""Ids of jobs and instances, and other whole numbers in requests."""

_MAX_DIGITS = 18
"""So many digits always fit into the 64 bits of a database's integer."""


def parse_id(text: str) -> int | None:
    """The whole number that a text is; None if it is none, or too large for any id."""
    # `int` and `isdecimal` alone would also accept the digits of other scripts.
    if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS:
        return int(text)
    return None
