"""Conditions on records: comparisons, joined by and, or and not.

As in SQL, a condition has three truths: a comparison with an absent value is neither true nor false (None).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openbulk.domain.comparison import COMPARISONS, compare, is_like
from openbulk.domain.records import value_at

OPERATORS = (*COMPARISONS, "like", "in", "is null")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field against values: one, or for `in` many, or for `is null` none."""

    field: str
    """Dotted where it is nested."""
    operator: str
    """One of OPERATORS."""
    values: tuple[Any, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the condition reads."""
        return (self.field,)

    def truth(self, record: Mapping[str, Any]) -> bool | None:
        """Whether the comparison holds of a record; None where the record does not have the field."""
        value = value_at(record, self.field)
        if self.operator == "is null":
            return value is None
        if value is None:
            return None
        match self.operator:
            case "in":
                return any(compare("=", value, one) for one in self.values)
            case "like":
                return is_like(value, str(self.values[0]))
            case name:
                return compare(name, value, self.values[0])


@dataclass(frozen=True, slots=True)
class _Group:
    parts: tuple["Condition", ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the parts read."""
        return tuple(name for part in self.parts for name in part.fields)

    def truths(self, record: Mapping[str, Any]) -> set[bool | None]:
        """What the parts say of a record."""
        return {part.truth(record) for part in self.parts}


@dataclass(frozen=True, slots=True)
class All(_Group):
    """Every part holds."""

    def truth(self, record: Mapping[str, Any]) -> bool | None:
        """False where one part is false, else None where one part is neither."""
        truths = self.truths(record)
        if False in truths:
            return False
        return None if None in truths else True


@dataclass(frozen=True, slots=True)
class Either(_Group):
    """At least one part holds."""

    def truth(self, record: Mapping[str, Any]) -> bool | None:
        """True where one part is true, else None where one part is neither."""
        truths = self.truths(record)
        if True in truths:
            return True
        return None if None in truths else False


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Condition"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the part reads."""
        return self.part.fields

    def truth(self, record: Mapping[str, Any]) -> bool | None:
        """The opposite of the part; None where that is neither true nor false."""
        truth = self.part.truth(record)
        return None if truth is None else not truth


Condition = Comparison | All | Either | Not


def holds(condition: Condition | None, record: Mapping[str, Any]) -> bool:
    """Whether a record is wanted: the condition is true of it, or there is none."""
    return condition is None or condition.truth(record) is True


def conjuncts(condition: Condition | None) -> Sequence[Condition]:
    """The parts that must all hold; none where there is no condition."""
    if condition is None:
        return ()
    return condition.parts if isinstance(condition, All) else (condition,)


def fields_of(condition: Condition | None) -> tuple[str, ...]:
    """The fields that a condition reads; none where there is no condition."""
    return () if condition is None else condition.fields


def as_json(condition: Condition) -> list[Any]:
    """A condition in JSON's types, as the ledger keeps it; `condition_of` reads it back."""
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
    """A condition from the ledger. Raises ValueError for anything else."""
    match kept:
        case ["not", part]:
            return Not(condition_of(part))
        case ["and", *parts]:
            return All(tuple(map(condition_of, parts)))
        case ["or", *parts]:
            return Either(tuple(map(condition_of, parts)))
        case [name, field, values]:
            return Comparison(field, name, tuple(values))
    raise ValueError(f"{kept!r} is no condition")
