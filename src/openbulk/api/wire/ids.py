"""Numbers that callers name things by."""

_MOST_DIGITS = 18
"""What fits into 64 bits for certain."""


def id_in(text: str) -> int | None:
    """The number that a text is, None where it is none or no thing can have it."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None
