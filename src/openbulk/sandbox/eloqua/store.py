"""Contacts, accounts, campaigns and lists, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from openbulk.sandbox.eloqua.fields import CONTACTS, Entity

ASSETS = ("campaigns", "lists")


@dataclass
class Table:
    """The records of an entity, by number and by their identifier in lower case."""

    entity: Entity
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    by_identifier: dict[str, int] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def find(self, name: str, value: str) -> int | None:
        """The number of the record whose field has a value, whatever its case."""
        if name == self.entity.identifier:
            return self.by_identifier.get(value.lower())
        matches = (n for n, record in self.records.items() if str(record.get(name, "")).lower() == value.lower())
        return next(matches, None)

    def put(self, number: int | None, values: Mapping[str, Any]) -> int:
        """Change a record, or add one."""
        if number is None:
            number = next(self.numbers)
            self.records[number] = {"id": str(number), "createdAt": now()}
        self.records[number] |= {**values, "updatedAt": now()}
        identifier = str(self.records[number].get(self.entity.identifier, ""))
        self.by_identifier[identifier.lower()] = number
        return number


@dataclass
class Store:
    """Everything that the sandbox holds."""

    tables: dict[str, Table]
    assets: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: {name: {} for name in ASSETS})
    activities: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    asset_numbers: "count[int]" = field(default_factory=lambda: count(1))

    def note_created(self, table: Table, number: int) -> None:
        """A new contact has an activity to read."""
        if table.entity is CONTACTS:
            asset = {"name": "Welcome", "value": "1"}
            self.activities[number] = [
                {
                    "id": f"{number}",
                    "type": "emailSend",
                    "contact": str(number),
                    "activityDate": now(),
                    "details": [asset],
                }
            ]


def now() -> str:
    """The time of a change, as the Bulk API writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "0Z")
