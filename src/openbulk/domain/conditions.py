"""Conditions on records: comparisons, joined by and, or and not.

SQL's three-valued logic: a comparison with a missing value is None (unknown).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from openbulk.domain.comparison import COMPARISONS, compare, is_like
from openbulk.domain.records import value_at

OPERATORS = (*COMPARISONS, "like", "in", "is null")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares a field with one value; with many for `in`, with none for `is null`."""

    field: str
    """Its dotted name, if it is nested."""
    operator: str
    """One of OPERATORS."""
    values: tuple[Any, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the condition reads."""
        return (self.field,)

    def truth(self, record: Mapping[str, Any]) -> bool | None:
        """Whether the comparison holds for a record; None if the record lacks the field."""
        value = value_at(record, self.field)
        if self.operator == "is null":
            return value is None
        if value is None:
            return None
        if self.operator == "in":
            return any(compare("=", value, one) for one in self.values)
        if self.operator == "like":
            return is_like(value, str(self.values[0]))
        return compare(self.operator, value, self.values[0])

    def as_json(self) -> list[Any]:
        """The comparison in JSON's types."""
        return [self.operator, self.field, list(self.values)]


@dataclass(frozen=True, slots=True)
class _Group:
    """Conditions joined by one word: `and` or `or`."""

    word: ClassVar[str]
    decisive: ClassVar[bool]
    """The value that short-circuits the group."""
    parts: tuple["Condition", ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the parts read."""
        return tuple(name for part in self.parts for name in part.fields)

    def truth(self, record: Mapping[str, Any]) -> bool | None:
        """Whether the group holds for a record; None if its parts leave it unknown."""
        truths = {part.truth(record) for part in self.parts}
        if self.decisive in truths:
            return self.decisive
        return None if None in truths else not self.decisive

    def as_json(self) -> list[Any]:
        """The group in JSON's types."""
        return [self.word, *(part.as_json() for part in self.parts)]


class All(_Group):
    """Every part holds."""

    __slots__ = ()
    word, decisive = "and", False


class Either(_Group):
    """At least one part holds."""

    __slots__ = ()
    word, decisive = "or", True


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Condition"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the part reads."""
        return self.part.fields

    def truth(self, record: Mapping[str, Any]) -> bool | None:
        """The opposite of the part; None if the part is unknown."""
        truth = self.part.truth(record)
        return None if truth is None else not truth

    def as_json(self) -> list[Any]:
        """The negation in JSON's types."""
        return ["not", self.part.as_json()]


Condition = Comparison | All | Either | Not


def holds(condition: Condition | None, record: Mapping[str, Any]) -> bool:
    """Whether a condition is true for a record; True if there is no condition."""
    return condition is None or condition.truth(record) is True


def conjuncts(condition: Condition | None) -> Sequence[Condition]:
    """The parts that must all hold; none if there is no condition."""
    if condition is None:
        return ()
    if isinstance(condition, All):
        return condition.parts
    return (condition,)


def fields_of(condition: Condition | None) -> tuple[str, ...]:
    """The fields that a condition reads; none if there is no condition."""
    return () if condition is None else condition.fields


def rename_fields(condition: Condition, rename: Callable[[str], str]) -> Condition:
    """The condition on the fields that `rename` names."""
    match condition:
        case Comparison():
            return replace(condition, field=rename(condition.field))
        case Not(part):
            return Not(rename_fields(part, rename))
    return type(condition)(tuple(rename_fields(part, rename) for part in condition.parts))


def condition_of(kept: Sequence[Any]) -> Condition:
    """Restore a condition from its `as_json`. Raises ValueError for anything else."""
    match kept:
        case ["not", part]:
            return Not(condition_of(part))
        case ["and", *parts]:
            return All(tuple(map(condition_of, parts)))
        case ["or", *parts]:
            return Either(tuple(map(condition_of, parts)))
        case [name, field, values]:
            return Comparison(field, name, tuple(values))
    raise ValueError(f"{kept!r} is not a condition")
