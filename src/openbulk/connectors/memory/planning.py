"""The records of a plan: those of memory, with what the plan would change beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from openbulk.connectors.memory.records import Records, Room
from openbulk.domain.plan import Change


class PlannedRecords(Records):
    """Records over others, which stay as they are."""

    def __init__(self, records: Records, room: Room) -> None:
        super().__init__(replace(room))
        self._below = records
        self._deleted: set[str] = set()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        yield from (key for key in self._below if key not in self._deleted)
        yield from (key for key in self._packed if key not in self._below)

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The values of a record, as the plan would leave them."""
        if key in self._packed:
            return super().get(key)
        return None if key in self._deleted else self._below.get(key)

    def version(self, key: str) -> int | None:
        """The version of a record, as the plan would leave it."""
        return super().version(key) or self._below.version(key)

    def put(self, key: str, values: Mapping[str, Any]) -> bool:
        """Keep a record; False if there is no room for it."""
        if not super().put(key, values):
            return False
        self._deleted.discard(key)
        return True

    def delete(self, key: str) -> bool:
        """Leave a record out; False if there is none."""
        if key not in self:
            return False
        super().delete(key)
        self._deleted.add(key)
        return True


def changes_between(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Mapping[str, Change]:
    """The fields that differ between two states of a record; none if it has only one of them."""
    if before is None or after is None:
        return {}
    names = dict.fromkeys([*before, *after])
    pairs = {name: (before.get(name), after.get(name)) for name in names}
    return {name: Change(old, new) for name, (old, new) in pairs.items() if old != new}
