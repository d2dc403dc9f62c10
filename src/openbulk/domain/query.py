"""What a caller wants to read, and how it comes back."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from openbulk.domain.records import value_at

_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
OPERATORS = (*COMPARISONS, "like", "in", "is null")


@dataclass(frozen=True, slots=True)
class Query:
    """Which records of one object to read."""

    object: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The service's own query parameters, passed through."""
    fields: tuple[str, ...] = ()
    """The fields that are wanted, dotted: a service may leave out the others. None: all of them."""
    changed_since: datetime | None = None
    """Records that were last changed before this may be left out, where the service can do that."""
    where: "Condition | None" = None
    """What has to hold of the records. A service that does not apply it (`Features.applies_where`) may still leave out
    what it knows not to be wanted."""
    order: tuple["Order", ...] = ()
    """What to sort by, where the service can (`Features.sorts`)."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Where in the answer to a query to begin, and how large its pages are."""

    size: int = 200
    """Most records a page may hold; a service may give fewer."""
    after: str | None = None
    """The cursor of an earlier page: the pages behind it are read. None reads from the first page on."""
    since: str | None = None
    """The text of a bookmark (`Features.has_changes`): only what was changed since it was taken is read."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A place in a service's feed of changes, from which a later reading learns what was changed since."""

    text: str
    """As the service wrote it."""
    taken_at: datetime
    """A moment by the service's own clock, not before the bookmark was taken: every later change is behind it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of an answer, and the cursor to the rest."""

    records: Sequence[Mapping[str, Any]]
    next: str | None
    """None on the last page."""
    bookmark: Bookmark | None = None
    """On the last page, where the service keeps a feed of changes for what was asked."""


@dataclass(frozen=True, slots=True)
class Order:
    """A field to sort by."""

    field: str
    """Dotted where it is nested."""
    descending: bool = False


def rank(value: Any) -> tuple[int, Any]:
    """A value's place in an order: numbers, then moments, then texts, each as what they are; the absent comes last."""
    if value is None:
        return 3, 0
    for place, kind in enumerate((_number, _moment)):
        if (known := kind(value)) is not None:
            return place, known
    return 2, _text(value)


def is_text(value: str) -> bool:
    """Whether a text is compared as one: it looks neither like a number nor like a date."""
    return _number(value) is None and _moment(value) is None


# --- conditions ---


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field against values: one, or for `in` many, or for `is null` none."""

    field: str
    """Dotted where it is nested."""
    operator: str
    """One of OPERATORS."""
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Condition"


Condition = Comparison | All | Either | Not


def holds(condition: Condition, record: Mapping[str, Any]) -> bool:
    """Whether a record is wanted. As in SQL, what is compared with an absent value is neither true nor false, and
    such a record is not wanted."""
    return _truth(condition, record) is True


def _truth(condition: Condition, record: Mapping[str, Any]) -> bool | None:
    match condition:
        case Comparison():
            return _compared(condition, value_at(record, condition.field))
        case Not(part=part):
            truth = _truth(part, record)
            return None if truth is None else not truth
        case All(parts=parts):
            return _joined((_truth(part, record) for part in parts), settled_by=False)
        case Either(parts=parts):
            return _joined((_truth(part, record) for part in parts), settled_by=True)


def _joined(truths: Iterator[bool | None], *, settled_by: bool) -> bool | None:
    found = list(truths)
    if settled_by in found:
        return settled_by
    return None if None in found else not settled_by


def _compared(comparison: Comparison, there: Any) -> bool | None:
    if comparison.operator == "is null":
        return there is None
    if there is None:
        return None
    match comparison.operator:
        case "in":
            return any(_ordered("=", there, value) for value in comparison.values)
        case "like":
            return _is_like(_text(there), str(comparison.values[0]))
        case name:
            return _ordered(name, there, comparison.values[0])


def _ordered(name: str, there: Any, value: Any) -> bool:
    """Numbers as numbers, moments as moments, everything else as text: a CSV has only texts, and JSON has no dates."""
    for kind in (_number, _moment):
        mine, other = kind(there), kind(value)
        if mine is not None and other is not None:
            return COMPARISONS[name](mine, other)
    return COMPARISONS[name](_text(there), _text(value))


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _moment(value: Any) -> datetime | None:
    """A date, or a time; without an offset, in UTC."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_like(text: str, like: str) -> bool:
    """`%` stands for any text, `_` for one character. Takes no longer than the two are long: a regular expression with
    many `.*` in it would."""
    first, *others = (_piece(piece) for piece in like.split("%"))
    if not others:
        return first.fullmatch(text) is not None
    found = first.match(text)
    for piece in others[:-1]:
        found = found and piece.search(text, found.end())
    length = len(like.rpartition("%")[2])
    return (
        found is not None
        and len(text) - length >= found.end()
        and others[-1].match(text, len(text) - length) is not None
    )


@lru_cache(1024)
def _piece(like: str) -> re.Pattern[str]:
    return re.compile(
        "".join("." if character == "_" else re.escape(character) for character in like), re.DOTALL
    )


def fields_of(condition: Condition) -> Iterator[str]:
    """The fields that a condition speaks of."""
    match condition:
        case Comparison(field=name):
            yield name
        case Not(part=part):
            yield from fields_of(part)
        case All(parts=parts) | Either(parts=parts):
            for part in parts:
                yield from fields_of(part)


def conjuncts(condition: Condition | None) -> Sequence[Condition]:
    """The parts that must all hold."""
    if condition is None:
        return ()
    return condition.parts if isinstance(condition, All) else (condition,)


def as_json(condition: Condition) -> list[Any]:
    """A condition as it is kept in the ledger; `condition_of` reads it back."""
    match condition:
        case Comparison():
            return [condition.operator, condition.field, list(condition.values)]
        case Not(part=part):
            return ["not", as_json(part)]
        case All(parts=parts):
            return ["and", *map(as_json, parts)]
        case Either(parts=parts):
            return ["or", *map(as_json, parts)]


def condition_of(kept: Sequence[Any]) -> Condition:
    """A condition from the ledger."""
    match kept:
        case ["not", part]:
            return Not(condition_of(part))
        case ["and", *parts]:
            return All(tuple(map(condition_of, parts)))
        case ["or", *parts]:
            return Either(tuple(map(condition_of, parts)))
        case [name, of, values]:
            return Comparison(of, name, tuple(values))
    raise ValueError(f"{kept!r} is no condition")
