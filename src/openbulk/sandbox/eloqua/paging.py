"""Numbers in a query: what is none counts as not said."""

from collections.abc import Mapping


def number_in(query: Mapping[str, str], name: str, default: int) -> int:
    """A whole number from 0 on, else the default."""
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else default
