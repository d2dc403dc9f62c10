"""Contacts, accounts, campaigns and lists, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from openbulk.sandbox.eloqua.fields import ENTITIES, Entity

ASSETS = ("campaigns", "lists")


@dataclass
class Table:
    """The records of an entity, by number. They are found by the value of any field in constant time."""

    entity: Entity
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    _indexes: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """By field, as far as it was asked for; by value in lower case; the numbers of the records that have it."""

    def find(self, name: str, value: Any) -> int | None:
        """The number of the first record whose field has a value, in any case."""
        numbers = self._index(name).get(_folded(value))
        return numbers[0] if numbers else None

    def put(self, number: int | None, values: Mapping[str, Any]) -> None:
        """Change a record, or add one."""
        changed = now()
        if number is None:
            number = next(self.numbers)
            self.records[number] = {"id": str(number), "createdAt": changed}
        record = self.records[number]
        for name, index in self._indexes.items():
            if name in values:
                _move(index, number, _folded(record.get(name)), _folded(values[name]))
        record |= values
        record["updatedAt"] = changed

    def _index(self, name: str) -> dict[str, list[int]]:
        if name not in self._indexes:
            index: dict[str, list[int]] = {}
            for number, record in self.records.items():
                _move(index, number, "", _folded(record.get(name)))
            self._indexes[name] = index
        return self._indexes[name]


def _folded(value: Any) -> str:
    return "" if value is None else str(value).lower()


def _move(index: dict[str, list[int]], number: int, old: str, new: str) -> None:
    if old == new:
        return
    if old:
        index[old].remove(number)
    if new:
        index.setdefault(new, []).append(number)


@dataclass
class Store:
    """Everything that the sandbox holds."""

    tables: dict[str, Table] = field(default_factory=dict)
    assets: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    asset_numbers: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.tables = {entity.plural: Table(entity) for entity in ENTITIES.values()}
        self.assets = {name: {} for name in ASSETS}
        self.asset_numbers = count(1)


def now() -> str:
    """The time, as the Bulk API writes it: to a tenth of a microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "0Z")
