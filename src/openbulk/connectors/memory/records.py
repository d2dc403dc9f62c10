"""Records in memory, packed as JSON, within the room that all of them share."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from openbulk.exact_json import pack_line, trim, unpack_line

MAX_RECORDS = 500_000
MAX_BYTES = 100 * 1024 * 1024
"""What the records of all instances hold together. The server itself needs about as much."""
_OVERHEAD_BYTES = 150
"""Of a record: its key, its place in a dict, and two objects."""


@dataclass(slots=True)
class Room:
    """The room of a server, and what is taken of it."""

    max_records: int = MAX_RECORDS
    max_bytes: int = MAX_BYTES
    records: int = 0
    bytes: int = 0
    version: int = field(default_factory=time.time_ns)
    """Of the records that are written now: no other write, of this process or of one before, has
    the same."""

    def has(self, records: int, size: int) -> bool:
        """Whether there is room for more."""
        return self.records + records <= self.max_records and self.bytes + size <= self.max_bytes

    def take(self, records: int, size: int) -> None:
        """Take room, or give it back with negative numbers."""
        self.records += records
        self.bytes += size


class Records:
    """The records of an object, by key."""

    def __init__(self, room: Room) -> None:
        self.room = room
        """Its version is that of the records that are written now."""
        self._packed: dict[str, bytes] = {}
        self._versions: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, key: str) -> bool:
        return key in self._packed

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The values of a record."""
        packed = self._packed.get(key)
        values: Mapping[str, Any] | None = None if packed is None else unpack_line(packed)
        return values

    def version(self, key: str) -> int | None:
        """The version of a record; None if there is none."""
        return self._versions.get(key)

    def put(self, key: str, values: Mapping[str, Any]) -> bool:
        """Keep a record in place of the one with this key; False if there is no room for it."""
        packed = trim(pack_line(dict(values)))
        before = self._packed.get(key)
        more = _size(key, packed) - (0 if before is None else _size(key, before))
        is_new = int(before is None)
        if not self.room.has(is_new, more):
            return False
        self.room.take(is_new, more)
        self._packed[key] = packed
        self._versions[key] = self.room.version
        return True

    def delete(self, key: str) -> bool:
        """Delete a record; False if there is none."""
        packed = self._packed.pop(key, None)
        if packed is None:
            return False
        del self._versions[key]
        self.room.take(-1, -_size(key, packed))
        return True

    def clear(self) -> None:
        """Delete all records."""
        for key in list(self._packed):
            self.delete(key)


def _size(key: str, packed: bytes) -> int:
    return len(key) + len(packed) + _OVERHEAD_BYTES
