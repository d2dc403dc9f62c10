"""The filter of an export in Eloqua's expression language: comparisons, AND, OR, NOT, parentheses.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Tutorials/Filtering.htm
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_CHARACTERS = 1000
MAX_DEPTH = 50
"""Maximum number of NOTs and parentheses around a comparison. It is the sandbox's own."""
_TOKEN = re.compile(
    r"\s*(?:'(?P<field>\{\{[^']*\}\})'\s*(?P<operator>>=|<=|!=|=|>|<)\s*'(?P<value>[^']*)'"
    r"|(?P<word>AND|OR|NOT|[()]))"
)
# Eloqua compares as its SQL Server does: it ignores case and, for equality, trailing blanks.
_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "=": lambda stored, value: stored.rstrip() == value.rstrip(),
    "!=": lambda stored, value: stored.rstrip() != value.rstrip(),
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

ValueOf = Callable[[str], str]
"""The value of a record's field, by the field's name."""
Predicate = Callable[[ValueOf], bool]
"""Whether a record passes a filter."""


def parse_filter(text: str, known: Mapping[str, str]) -> Predicate:
    """Parse a filter; `known` holds the names of fields by their statements.

    Raises ValueError with a reason worded like Eloqua's.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"Must be at most {MAX_CHARACTERS} characters long")
    parser = _Parser(_split_tokens(text), known)
    predicate = parser.parse_or()
    if parser.tokens:
        raise ValueError("Must be one expression")
    return predicate


def accept_all(_value_of: Callable[[str], Any]) -> bool:
    """The filter of an export that has none."""
    return True


def _split_tokens(text: str) -> list[re.Match[str]]:
    tokens: list[re.Match[str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        token = _TOKEN.match(text, position)
        if token is None:
            unread = text[position : position + 40]
            raise ValueError(f"Must be an expression: not understood at {unread!r}")
        tokens.append(token)
        position = token.end()
    return tokens


class _Parser:
    """A recursive descent parser. NOT binds tighter than AND, and AND tighter than OR."""

    def __init__(self, tokens: list[re.Match[str]], known: Mapping[str, str]) -> None:
        self.tokens = tokens
        self._known = known
        self._depth = 0

    def parse_or(self) -> Predicate:
        return self._parse_chain("OR", self._parse_and, any)

    def _parse_and(self) -> Predicate:
        return self._parse_chain("AND", self._parse_operand, all)

    def _parse_chain(
        self,
        word: str,
        parse_part: Callable[[], Predicate],
        combine: Callable[[Iterable[bool]], bool],
    ) -> Predicate:
        parts = [parse_part()]
        while self._skip_word(word):
            parts.append(parse_part())
        return lambda value_of: combine(part(value_of) for part in parts)

    def _parse_operand(self) -> Predicate:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"Must be nested at most {MAX_DEPTH} deep")
        predicate = self._parse_negation()
        self._depth -= 1
        return predicate

    def _parse_negation(self) -> Predicate:
        if self._skip_word("NOT"):
            operand = self._parse_operand()
            return lambda value_of: not operand(value_of)
        if self._skip_word("("):
            predicate = self.parse_or()
            if not self._skip_word(")"):
                raise ValueError("Must have a closing parenthesis")
            return predicate
        return self._parse_comparison()

    def _parse_comparison(self) -> Predicate:
        if not self.tokens or self.tokens[0]["field"] is None:
            raise ValueError("Must have a comparison: '{{field}}' = 'value'")
        token = self.tokens.pop(0)
        name = self._known.get(token["field"])
        if name is None:
            raise ValueError(f"Must be a reference to an existing field: {token['field']}")
        compare, value = _COMPARISONS[token["operator"]], token["value"].lower()
        return lambda value_of: compare(value_of(name).lower(), value)

    def _skip_word(self, word: str) -> bool:
        if not self.tokens or self.tokens[0]["word"] != word:
            return False
        self.tokens.pop(0)
        return True
