"""Sorts a download by external merge sort: in runs that fit into memory, which are then merged."""

import heapq
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import total_ordering
from itertools import islice
from typing import Any

from openbulk.domain.comparison import sort_key
from openbulk.domain.query import Order
from openbulk.domain.records import value_at
from openbulk.engine.slices.parts import Cut
from openbulk.exact_json import unpack_line
from openbulk.reading.packing import BYTES_PER_PART, RECORDS_PER_PART
from openbulk.storage.files import FileStore, Part
from openbulk.threads import Threads

RUN_BYTES = 16 * 1024 * 1024
"""Size of a run, which is sorted in memory. While runs are merged, one part of each is in
memory."""

_THREADS = Threads("sort", 2)

ShouldStop = Callable[[], Awaitable[bool]]
Line = tuple[Any, bytes]
"""A record's sort key, and the record as JSON."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=True)
class _Descending:
    """Reverses the order of a value's sort key."""

    key: Any

    def __lt__(self, other: "_Descending") -> bool:
        return bool(other.key < self.key)


def record_sort_key(record: Mapping[str, Any], order: Sequence[Order]) -> tuple[Any, ...]:
    """The key that sorts records into an order."""
    keys = ((sort_key(value_at(record, one.field)), one.descending) for one in order)
    return tuple(_Descending(key) if descending else key for key, descending in keys)


def sorted_file(file: str) -> str:
    """The file with the sorted records of a download."""
    return f"{file}/sorted"


async def sort(
    files: FileStore,
    file: str,
    parts: Sequence[Part],
    order: Sequence[Order],
    limit: int | None,
    should_stop: ShouldStop,
) -> Cut | None:
    """Write the records of a download in order, at most `limit`, into `sorted_file`.

    Records with equal keys keep the order in which they were read. A second call writes the same
    parts. Returns None if `should_stop` ends it early.
    """
    runs: list[Sequence[str]] = []
    lines: list[Line] = []
    size = 0
    for number, part in enumerate(parts, 1):
        packed = await files.get(part.path(file))
        lines += _lines(packed, order)
        size += len(packed)
        if size > RUN_BYTES or number == len(parts):
            runs.append(await _write_run(files, f"{file}/runs/{len(runs)}", lines))
            lines, size = [], 0
        if await should_stop():
            return None
    # heapq.merge takes equal keys from the earlier run first, so the whole sort is stable.
    merged = heapq.merge(*(_read_run(files, run, order) for run in runs), key=_key)
    wanted = merged if limit is None else islice(merged, limit)
    return await _write_sorted(files, sorted_file(file), wanted, should_stop)


async def forget_unsorted(files: FileStore, file: str) -> None:
    """Delete the runs and the unsorted parts."""
    for name in ("runs", "parts"):
        await files.delete(f"{file}/{name}")


def _lines(packed: bytes, order: Sequence[Order]) -> Iterator[Line]:
    for line in packed.split(b"\n"):
        yield record_sort_key(unpack_line(line), order), line


def _key(line: Line) -> Any:
    return line[0]


async def _write_run(files: FileStore, name: str, lines: list[Line]) -> Sequence[str]:
    """Sort the lines, write them in parts, and return the parts' paths."""
    await _THREADS.run(lines.sort, key=_key)
    paths: list[str] = []
    for begin in range(0, len(lines), RECORDS_PER_PART):
        part = lines[begin : begin + RECORDS_PER_PART]
        paths.append(Part(begin + 1).path(name))
        await files.put(paths[-1], b"\n".join(line for _, line in part))
    return paths


def _read_run(files: FileStore, paths: Sequence[str], order: Sequence[Order]) -> Iterator[Line]:
    for path in paths:
        yield from _lines(files.get_now(path), order)


async def _write_sorted(
    files: FileStore, name: str, lines: Iterator[Line], should_stop: ShouldStop
) -> Cut | None:
    first_rows: list[int] = []
    records = 0
    while part := await _THREADS.run(_next_part, lines):
        await files.put(Part(records + 1).path(name), b"\n".join(part))
        first_rows.append(records + 1)
        records += len(part)
        if await should_stop():
            return None
    return Cut(records, first_rows)


def _next_part(lines: Iterator[Line]) -> list[bytes]:
    part: list[bytes] = []
    size = 0
    for _, line in islice(lines, RECORDS_PER_PART):
        part.append(line)
        size += len(line)
        if size >= BYTES_PER_PART:
            break
    return part
