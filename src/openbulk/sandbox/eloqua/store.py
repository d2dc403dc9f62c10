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
    """The records of an entity, by number. A record is found by any field in constant time."""

    entity: Entity
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    _indexes: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """The numbers of records, by field and by value in lower case. `find` adds indexes."""

    def find(self, name: str, value: Any) -> int | None:
        """The number of the first record whose field has a value, in any case."""
        if name not in self._indexes:
            self._indexes[name] = self._build_index(name)
        numbers = self._indexes[name].get(_index_key(value), [])
        return next(iter(numbers), None)

    def put(self, number: int | None, values: Mapping[str, Any]) -> None:
        """Change a record, or add one."""
        changed_at = now()
        if number is None:
            number = next(self.numbers)
            self.records[number] = {"id": str(number), "createdAt": changed_at}
        record = self.records[number]
        for name in self._indexes.keys() & values.keys():
            old, new = _index_key(record.get(name)), _index_key(values[name])
            _reindex(self._indexes[name], number, old, new)
        record |= values
        record["updatedAt"] = changed_at

    def _build_index(self, name: str) -> dict[str, list[int]]:
        index: dict[str, list[int]] = {}
        for number, record in self.records.items():
            _reindex(index, number, "", _index_key(record.get(name)))
        return index


def _index_key(value: Any) -> str:
    """A value in lower case; empty for a value that no index holds."""
    return "" if value is None else str(value).lower()


def _reindex(index: dict[str, list[int]], number: int, old: str, new: str) -> None:
    # If the value stays the same, the record keeps its place among the records with that value.
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
        """Start empty."""
        self.clear()

    def clear(self) -> None:
        """Delete everything, and number from 1 again."""
        self.tables = {entity.plural: Table(entity) for entity in ENTITIES.values()}
        self.assets = {name: {} for name in ASSETS}
        self.asset_numbers = count(1)


def now() -> str:
    """The current time as the Bulk API writes it: to a tenth of a microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "0Z")
