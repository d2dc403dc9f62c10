"""Groups problems by their cause: the same sentence about the same field, whatever the value."""

import re
from hashlib import sha256

from openbulk.domain.records import OutcomeKind, Problem

PLACEHOLDER = "…"
_MAX_CHARACTERS = 2_000
"""What is behind them does not tell causes apart."""
# Databases write values and names in the same quotes; a name has the word for it in front.
_NAMES = "constraint column relation table index type trigger policy key"
_NAMED = "".join(rf"(?<!{word}\ )" for word in _NAMES.split())
_VALUE = re.compile(
    rf"""
    (?<!\w){_NAMED}'[^']{{0,500}}'(?!\w)     # the apostrophe in `Google's` is none
    | (?<!\w){_NAMED}"[^"]{{0,500}}"(?!\w)
    | (?<==)\([^()]{{0,500}}\)       # Key (email)=(ann@example.com) already exists: PostgreSQL
    | [^\s'"()\[\],;]*[\d@](?:[^\s'"()\[\],;]*\w)?  # a number, a date, an id, an address
    """,
    re.VERBOSE,
)
_RUN = re.compile(rf"{PLACEHOLDER}(?:[\s,]*{PLACEHOLDER})+")


def cause_text(text: str) -> str:
    """A message without the values that it names: `'Bob' is not a date` is `… is not a date`.

    Values are texts in quotes, and words with a digit or an @. Several in a row become one.
    """
    without_values = _VALUE.sub(PLACEHOLDER, text[:_MAX_CHARACTERS])
    return _RUN.sub(PLACEHOLDER, without_values)


def cause_id(kind: OutcomeKind, problem: Problem) -> str:
    """16 characters, the same for the problems of one cause: kind, field and sentence."""
    field = cause_text(problem.field or "")
    content = "\0".join((kind.value, field, cause_text(problem.message)))
    return sha256(content.encode(errors="replace")).hexdigest()[:16]
