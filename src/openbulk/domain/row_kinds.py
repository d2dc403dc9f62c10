"""What became of each row of a job, and choices of its rows: one byte for each row."""

import zlib
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from openbulk.domain.records import OutcomeKind

_KINDS = tuple(OutcomeKind)
_NOT_REACHED, _OF_OTHERS = len(_KINDS), 255

RowKind = OutcomeKind | None
"""What became of a row; None if the job has not reached it."""
RETRIED: tuple[RowKind, ...] = (
    OutcomeKind.FAILED,
    OutcomeKind.DRIFTED,
    OutcomeKind.UNKNOWN,
    None,
)
"""What a job can be sent again for."""


EVERY_KIND: tuple[RowKind, ...] = (*OutcomeKind, None)


class RowChoice:
    """Some of the rows of a file, numbered from 1."""

    def __init__(self, records: int) -> None:
        """None of them."""
        self._chosen = bytearray(records + 1)

    @classmethod
    def of(cls, chosen: bytes | bytearray) -> "RowChoice":
        """A choice by a byte for each row, and one before the first."""
        choice = cls(0)
        choice._chosen = bytearray(chosen)
        return choice

    @classmethod
    def unpack(cls, packed: bytes) -> "RowChoice":
        """The choice that `pack` packed."""
        return cls.of(zlib.decompress(packed))

    def pack(self) -> bytes:
        """The choice in few bytes: a million rows take from 1 to 125 KB."""
        return zlib.compress(bytes(self._chosen))

    def __contains__(self, row: int) -> bool:
        return 0 < row < len(self._chosen) and bool(self._chosen[row])

    def __len__(self) -> int:
        return self._chosen.count(1)

    def __bytes__(self) -> bytes:
        return bytes(self._chosen)

    def add(self, rows: Iterable[int]) -> None:
        """Choose these rows, too."""
        for row in rows:
            self._chosen[row] = 1

    def rows(self) -> Iterator[int]:
        """Their numbers, in the order of the file."""
        row = self._chosen.find(1)
        while row >= 0:
            yield row
            row = self._chosen.find(1, row + 1)

    def has_any(self, first: int, last: int) -> bool:
        """Whether a row from `first` to `last` is chosen."""
        return self._chosen.find(1, first, last + 1) >= 0

    def following(self, row: int) -> "RowChoice":
        """The rows behind a row."""
        none = bytes(min(row + 1, len(self._chosen)))
        return RowChoice.of(none + self._chosen[len(none) :])

    def first(self, count: int) -> "RowChoice":
        """The first rows, so many at most."""
        last = next(islice(self.rows(), count - 1, None), len(self._chosen) - 1)
        return RowChoice.of(self._chosen[: last + 1])

    def both(self, other: "RowChoice") -> "RowChoice":
        """The rows that the other choice has, too."""
        return RowChoice.of(_and(self._chosen, other._chosen))

    def without(self, other: "RowChoice") -> "RowChoice":
        """The rows that the other choice does not have."""
        return RowChoice.of(_and(self._chosen, other._chosen.translate(_INVERTED)))


_INVERTED = bytes([1, *bytes(255)])
_OTHERS = bytes([_OF_OTHERS, *bytes(255)])


def _and(one: bytearray, other: bytearray) -> bytes:
    size = min(len(one), len(other))
    both = int.from_bytes(one[:size], "little") & int.from_bytes(other[:size], "little")
    return both.to_bytes(size, "little")


class RowKinds:
    """What became of each row of a job at one moment."""

    def __init__(self, records: int) -> None:
        """No row has been reached."""
        self._kinds = bytearray([_OF_OTHERS]) + bytearray([_NOT_REACHED]) * records

    @property
    def records(self) -> int:
        """Number of the last row."""
        return len(self._kinds) - 1

    def set_range(self, first: int, last: int, kind: OutcomeKind) -> None:
        """Note what became of the rows from `first` to `last`."""
        self._kinds[first : last + 1] = bytes([_KINDS.index(kind)]) * (last + 1 - first)

    def keep_only(self, own: RowChoice) -> None:
        """Leave out the rows that the job does not send."""
        others = bytes(own).translate(_OTHERS)
        kept = int.from_bytes(self._kinds, "little") | int.from_bytes(others, "little")
        self._kinds = bytearray(kept.to_bytes(len(self._kinds), "little"))

    def has(self, row: int) -> bool:
        """Whether it is a row of the job."""
        return 0 < row < len(self._kinds) and self._kinds[row] != _OF_OTHERS

    def of(self, row: int) -> RowKind:
        """What became of a row of the job."""
        code = self._kinds[row]
        return None if code == _NOT_REACHED else _KINDS[code]

    def choose(self, kinds: Collection[RowKind]) -> RowChoice:
        """The rows of these kinds."""
        codes = {_NOT_REACHED if kind is None else _KINDS.index(kind) for kind in kinds}
        table = bytes(code in codes for code in range(256))
        return RowChoice.of(self._kinds.translate(table))
