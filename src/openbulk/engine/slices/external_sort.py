"""Sorts a download by external merge sort: in runs that fit into memory, which are then merged.

A merge holds a part of each of its runs. So only some runs are merged at a time, into longer ones.
"""

import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import total_ordering
from itertools import count, islice
from typing import Any

from openbulk.domain.comparison import sort_key
from openbulk.domain.query import Order
from openbulk.domain.records import value_at
from openbulk.engine.slices.parts import Cut, PartReader
from openbulk.exact_json import unpack_line
from openbulk.reading.packing import RECORDS_PER_PART, Packed, PartLines
from openbulk.storage.files import FileStore, Part
from openbulk.threads import Threads

RUN_BYTES = 8 * 1024 * 1024
"""Size of a run, which is sorted in memory, or of one record more."""
MERGED_BYTES = 32 * 1024 * 1024
"""The parts of all runs that are merged at the same time."""

_THREADS = Threads("sort", 2)

ShouldStop = Callable[[], Awaitable[bool]]
Line = tuple[Any, bytes]
"""A record's sort key, and the record as JSON."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted records in the file store."""

    name: str
    paths: Sequence[str]
    """Of its parts."""
    largest: int
    """Bytes of its largest part."""


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
    names = (f"{file}/runs/{number}" for number in count())
    runs = await _sort_runs(files, file, parts, order, names, should_stop)
    while runs and len(groups := _fitting_groups(runs)) > 1:
        runs = await _merge_groups(files, groups, order, names, should_stop)
    if runs is None:
        return None
    merged = _merge(files, runs, order)
    wanted = merged if limit is None else islice(merged, limit)
    cut = Cut(0, [])
    async for first_row, part in _parts_of(wanted):
        await files.put(Part(first_row).path(sorted_file(file)), part.content)
        cut = Cut(first_row + part.records - 1, [*cut.first_rows, first_row])
        if await should_stop():
            return None
    return cut


async def forget_unsorted(files: FileStore, file: str) -> None:
    """Delete the runs and the unsorted parts."""
    for name in ("runs", "parts"):
        await files.delete(f"{file}/{name}")


async def _sort_runs(
    files: FileStore,
    file: str,
    parts: Sequence[Part],
    order: Sequence[Order],
    names: Iterator[str],
    should_stop: ShouldStop,
) -> list[_Run] | None:
    """Sort the records in runs; None if `should_stop` ends it."""
    runs: list[_Run] = []
    lines: list[Line] = []
    size = 0
    for number, part in enumerate(parts, 1):
        packed = await files.get(part.path(file))
        size += len(packed)
        lines += _lines(PartReader(packed), order)
        del packed
        if size > RUN_BYTES or number == len(parts):
            await _THREADS.run(lines.sort, key=_key)
            runs.append(await _write_run(files, next(names), iter(lines)))
            lines, size = [], 0
        if await should_stop():
            return None
    return runs


def _fitting_groups(runs: Sequence[_Run]) -> list[list[_Run]]:
    """The runs in groups that can be merged at once: two at least, but for the last one."""
    groups: list[list[_Run]] = []
    size = 0
    for run in runs:
        if not groups or (len(groups[-1]) > 1 and size + run.largest > MERGED_BYTES):
            groups.append([])
            size = 0
        groups[-1].append(run)
        size += run.largest
    return groups


async def _merge_groups(
    files: FileStore,
    groups: Sequence[Sequence[_Run]],
    order: Sequence[Order],
    names: Iterator[str],
    should_stop: ShouldStop,
) -> list[_Run] | None:
    """Merge each group into one run; None if `should_stop` ends it."""
    runs: list[_Run] = []
    for group in groups:
        runs.append(await _write_run(files, next(names), _merge(files, group, order)))
        for run in group:
            await files.delete(run.name)
        if await should_stop():
            return None
    return runs


def _merge(files: FileStore, runs: Sequence[_Run], order: Sequence[Order]) -> Iterator[Line]:
    """The lines of runs in order; it blocks."""
    # heapq.merge takes equal keys from the earlier run first, so the whole sort is stable.
    return heapq.merge(*(_read_run(files, run, order) for run in runs), key=_key)


async def _write_run(files: FileStore, name: str, lines: Iterator[Line]) -> _Run:
    """Write sorted lines in parts."""
    paths: list[str] = []
    largest = 0
    async for first_row, part in _parts_of(lines):
        paths.append(Part(first_row).path(name))
        await files.put(paths[-1], part.content)
        largest = max(largest, len(part.content))
    return _Run(name, paths, largest)


def _read_run(files: FileStore, run: _Run, order: Sequence[Order]) -> Iterator[Line]:
    for path in run.paths:
        yield from _lines(PartReader(files.get_now(path)), order)


def _lines(lines: PartReader, order: Sequence[Order]) -> Iterator[Line]:
    while (line := lines.next_line()) is not None:
        yield record_sort_key(unpack_line(line), order), line


def _key(line: Line) -> Any:
    return line[0]


async def _parts_of(lines: Iterator[Line]) -> AsyncIterator[tuple[int, Packed]]:
    """Lines in parts, each with its first row. The lines are iterated over in a thread."""
    waiting = PartLines(RECORDS_PER_PART)
    first_row = 1
    while part := await _THREADS.run(_next_part, lines, waiting):
        yield first_row, part
        first_row += part.records


def _next_part(lines: Iterator[Line], waiting: PartLines) -> Packed | None:
    for _, line in lines:
        part = waiting.add(line)
        if part:
            return part
    return waiting.take()
