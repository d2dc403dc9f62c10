"""Records, and what became of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_LIST_ITEM = re.compile(r"(?P<name>[^\[\]]+)\[(?P<index>\d{1,4})\]")


class Action(StrEnum):
    """What a job does with each of its records."""

    CREATE = "create"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


class OutcomeKind(StrEnum):
    """How a record ended. Exactly one of these is counted for each record of a job that was reached."""

    CREATED = "created"
    UPDATED = "updated"
    UPSERTED = "upserted"
    """Created or updated; the service does not say which."""
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The service may or may not have taken it, and has no way to say: a person has to look."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record was not taken, in words for the person who has to mend it."""

    message: str
    """What is wrong and what would be right, in one sentence."""
    field: str | None = None
    """The column or field at fault, where one is."""
    provider_message: str | None = None
    """What the cloud service said, word for word."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record on its way to a service (or back)."""

    row: int
    """Its number in the file, from 1; the header of a CSV is not counted."""
    values: Mapping[str, Any]
    """Field name to value; nested objects as mappings, lists as sequences. A field without a value is absent."""
    key: str = ""
    """The same for every sending of this record: what makes a repeated call harmless where the service honours it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the records of a job go, and what is done with them there."""

    object: str
    action: Action
    identifier_field: str | None = None
    """The field that tells records apart, where the caller named one (`identifierFieldName`)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The caller's `metaData`, as it came: a connector reads the keys that it documents and ignores the rest."""
    run: str = ""
    """The same for all records of one job, and for those of no other: what a connector has looked up for one of them
    holds for the others."""
    records: int | None = None
    """How many records the job has, where that is known: whether looking them all up at once is worth it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a format reads at one place of a file: a record's values, or the problem that kept it from being one."""

    number: int
    """From 1; the header of a CSV is not counted."""
    values: Mapping[str, Any] | None = None
    problem: Problem | None = None
    line: int | None = None
    """The physical line of the file on which it starts, from 1, header counted; None where a format has no lines."""
    remarks: Sequence[str] = ()
    """What the file has for this record and no service can take, in sentences: it was left out of the values."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record."""

    row: int
    kind: OutcomeKind
    id: str | None = None
    """The record's id at the service, where there is one."""
    problem: Problem | None = None
    """Set exactly where the kind is `failed` or `unknown`."""
    mails_outside: bool = False
    """Whether people outside the caller's organization were sent mail about it."""

    @classmethod
    def failed(
        cls,
        row: int,
        message: str,
        *,
        field: str | None = None,
        provider_message: str | None = None,
    ) -> "Outcome":
        """The record was refused, because of what the message says."""
        return cls(row, OutcomeKind.FAILED, problem=Problem(message, field, provider_message))


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted names into nested values: `{"start.date": d}` into `{"start": {"date": d}}`.

    `attendees[0].email` makes a list; list places that no name fills are left out.
    A name that is both a value and a parent of others (`start` and `start.date`) raises ValueError.
    """
    root: dict[Any, Any] = {}
    for name, value in flat.items():
        *parents, last = _steps(name)
        place = root
        for step in parents:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise ValueError(f"{name!r} is below a field that has a value of its own")
        if isinstance(place.get(last), dict) and place[last]:
            raise ValueError(f"{name!r} has both a value and fields below it")
        place[last] = _Leaf(value)
    settled = _settle(root)
    assert isinstance(settled, dict)
    return settled


def value_at(values: Mapping[str, Any], path: str) -> object:
    """The value of a field by its dotted name, nested or not; None where there is none."""
    place: object = values
    for step in path.split("."):
        place = place.get(step) if isinstance(place, Mapping) else None
    return values.get(path, place)


@dataclass(frozen=True, slots=True)
class _Leaf:
    value: Any


def _steps(name: str) -> list[str | int]:
    if "." not in name and "[" not in name:
        return [name]
    steps: list[str | int] = []
    for part in name.split("."):
        item = _LIST_ITEM.fullmatch(part)
        steps += [item["name"], int(item["index"])] if item else [part]
    return steps


def _settle(node: Any) -> Any:
    if isinstance(node, _Leaf):
        return node.value
    if node and all(isinstance(step, int) for step in node):
        return [_settle(node[index]) for index in sorted(node)]
    return {str(step): _settle(child) for step, child in node.items()}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested values into dotted names: `{"start": {"date": d}}` into `{"start.date": d}`; `nest` turns them back.

    Lists stay as they are, and so do mappings that are empty or whose names `nest` would take apart.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if (
            isinstance(value, Mapping)
            and value
            and not any("." in key or "[" in key for key in value)
        ):
            flat |= flatten(value, f"{path}.")
        else:
            flat[path] = value
    return flat
