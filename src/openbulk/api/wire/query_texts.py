"""Texts of the query language in messages."""

EXAMPLE = "select * from events where status = 'confirmed' limit 100"
_SHOWN_CHARACTERS = len(EXAMPLE) * 3
"""A message shows at most this much of a refused query."""


def shorten(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
