"""Options: the keys of a job's `metaData`, each declared by the part that reads it.

A key that no part declares is refused before there is a job, so an undeclared one is never read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from openbulk.domain.errors import BadInput
from openbulk.domain.spelling import known_spelling, suggestion

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """A key of `metaData`."""

    name: str
    help: str
    """What it does, in a sentence or half of one."""
    choices: tuple[str, ...] = ()
    """The values that it takes, in any case; empty if it takes any text."""
    objects: frozenset[str] = frozenset()
    """The objects of a service that it is for; empty for all of them."""
    is_text: bool = True
    """Whether its value is a text, a number, true or false; otherwise it is any JSON."""
    problem_of: Callable[[str], str | None] | None = None
    """Says in a sentence what is wrong with a text; None if nothing is."""

    def is_for(self, object: str) -> bool:
        """Whether it is for this object of the service."""
        return not self.objects or object in self.objects


def option_text(value: Any) -> str:
    """The value of an option as text; what is no text and no number as JSON writes it."""
    return json_text(value) if isinstance(value, bool | Mapping | list) else str(value)


def json_text(value: Any) -> str:
    """A value as JSON has it, for a person to read."""
    return orjson.dumps(value, default=str).decode()


def with_known_spelling(
    given: Mapping[str, T], known: Iterable[str], owner: str, kind: str = "key"
) -> dict[str, T]:
    """The given keys in their known spelling; case does not matter.

    `owner` and `kind` are for messages: `metaData`, which has keys. Raises BadInput for an unknown
    key, and for one that is given twice.
    """
    names = list(known)
    spelt: dict[str, T] = {}
    for key, value in given.items():
        name = known_spelling(key, names)
        if name is None:
            raise BadInput(f"{owner} takes no {kind} {key[:80]!r}; {suggestion(key, names)}")
        if name in spelt:
            raise BadInput(f"{owner} has the {kind} {name!r} twice; leave one of them out")
        spelt[name] = value
    return spelt


def check_values(
    given: Mapping[str, Any], options: Sequence[Option], prefix: str = "metaData."
) -> dict[str, Any]:
    """The given values, with each choice in the spelling that its part knows.

    Raises BadInput for a value that its option does not take.
    """
    by_name = {option.name: option for option in options}
    return dict(given) | {
        name: _checked_value(value, by_name[name], prefix)
        for name, value in given.items()
        if name in by_name
    }


def _checked_value(value: Any, option: Option, prefix: str) -> Any:
    if value in (None, "") or not option.is_text:  # empty values count as absent
        return value
    shown = f"{prefix}{option.name} {option_text(value)[:80]!r}"
    if isinstance(value, Mapping | list):
        raise BadInput(f"{shown} is not a text; write {option.name!r} with a single value")
    problem = option.problem_of and option.problem_of(option_text(value))
    if problem:
        raise BadInput(problem)
    if not option.choices:
        return value
    choice = known_spelling(option_text(value), option.choices)
    if choice is None:
        raise BadInput(f"{shown} is not known; it can be {', '.join(option.choices)}")
    return choice
