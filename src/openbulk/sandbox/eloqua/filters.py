"""The filter of an export, in Eloqua's expression language: comparisons, AND, OR, NOT and parentheses.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Tutorials/Filtering.htm
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_CHARACTERS = 1000
_TOKEN = re.compile(
    r"\s*(?:'(?P<field>\{\{[^']*\}\})'\s*(?P<operator>>=|<=|!=|=|>|<)\s*'(?P<value>[^']*)'|(?P<word>AND|OR|NOT|[()]))"
)
_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "=": lambda there, value: there.rstrip() == value.rstrip(),
    "!=": lambda there, value: there.rstrip() != value.rstrip(),
    ">": lambda there, value: there > value,
    ">=": lambda there, value: there >= value,
    "<": lambda there, value: there < value,
    "<=": lambda there, value: there <= value,
}
"""Eloqua compares as its SQL server does: in any case, and without blanks at the end."""

Holds = Callable[[Callable[[str], str]], bool]
"""Whether a filter holds of a record, whose values are asked for by the names of their fields."""


def parse(text: str, known: Mapping[str, str]) -> Holds:
    """A filter; `known` are the names of fields by their statements. Raises ValueError with Eloqua's kind of reason."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"Must be at most {MAX_CHARACTERS} characters long")
    tokens: list[re.Match[str]] = []
    place = 0
    while text[place:].strip():
        token = _TOKEN.match(text, place)
        if token is None:
            raise ValueError(
                f"Must be an expression: not understood at {text[place : place + 40]!r}"
            )
        tokens.append(token)
        place = token.end()
    filter_ = _Filter(tokens, known)
    holds = filter_.either()
    if filter_.tokens:
        raise ValueError("Must be one expression")
    return holds


class _Filter:
    def __init__(self, tokens: list[re.Match[str]], known: Mapping[str, str]) -> None:
        self.tokens = tokens
        self._known = known

    def either(self) -> Holds:
        parts = [self._both()]
        while self._skip("OR"):
            parts.append(self._both())
        return lambda value_of: any(part(value_of) for part in parts)

    def _both(self) -> Holds:
        parts = [self._one()]
        while self._skip("AND"):
            parts.append(self._one())
        return lambda value_of: all(part(value_of) for part in parts)

    def _one(self) -> Holds:
        if self._skip("NOT"):
            part = self._one()
            return lambda value_of: not part(value_of)
        if self._skip("("):
            part = self.either()
            if not self._skip(")"):
                raise ValueError("Must have a closing parenthesis")
            return part
        if not self.tokens or self.tokens[0]["field"] is None:
            raise ValueError("Must have a comparison: '{{field}}' = 'value'")
        return self._comparison(self.tokens.pop(0))

    def _comparison(self, token: re.Match[str]) -> Holds:
        if (name := self._known.get(token["field"])) is None:
            raise ValueError(f"Must be a reference to an existing field: {token['field']}")
        compare, value = _COMPARISONS[token["operator"]], token["value"].lower()
        return lambda value_of: compare(value_of(name).lower(), value)

    def _skip(self, word: str) -> bool:
        if not self.tokens or self.tokens[0]["word"] != word:
            return False
        self.tokens.pop(0)
        return True


def everything(_value_of: Callable[[str], Any]) -> bool:
    """The filter of an export that has none."""
    return True
