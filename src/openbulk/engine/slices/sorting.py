"""Records in an order: parts are sorted in runs that fit into memory, and the runs are merged (external merge sort)."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import total_ordering
from typing import Any

import orjson

from openbulk.domain.query import Order, rank
from openbulk.domain.records import value_at
from openbulk.engine.slices.parts import BYTES_PER_PART, RECORDS_PER_PART, Cut
from openbulk.storage.files import FileStore, Part

RUN_BYTES = 16 * 1024 * 1024
"""Of the records that are sorted at one time; and of each run, a part is held while they are merged."""

ShouldStop = Callable[[], Awaitable[bool]]
Line = tuple[Any, bytes]
"""A record's place in the order, and the record."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=True)
class _Backwards:
    """A place in a descending order."""

    place: Any

    def __lt__(self, other: "_Backwards") -> bool:
        return bool(other.place < self.place)


def sorted_file(file: str) -> str:
    """Where the records of a download are kept once they are in their order."""
    return f"{file}/sorted"


async def sort(
    files: FileStore,
    file: str,
    parts: Sequence[Part],
    order: Sequence[Order],
    limit: int | None,
    stop: ShouldStop,
) -> Cut | None:
    """Write the records of a download anew, in their order and no more than the limit, in other parts; None where
    `stop` said so before the end.

    Records that are alike keep the order in which they were read. Sorting again makes the same parts.
    """
    runs: list[Sequence[str]] = []
    lines: list[Line] = []
    size = 0
    for place, part in enumerate(parts, 1):
        packed = await files.get(part.path(file))
        lines += [(place_of(orjson.loads(line), order), line) for line in packed.split(b"\n")]
        size += len(packed)
        if size > RUN_BYTES or place == len(parts):
            runs.append(await _write_run(files, f"{file}/runs/{len(runs)}", lines))
            lines, size = [], 0
        if await stop():
            return None
    merged = heapq.merge(*(_run(files, run, order) for run in runs), key=lambda line: line[0])
    return await _write_all(files, sorted_file(file), merged, limit, stop)


async def forget_unsorted(files: FileStore, file: str) -> None:
    """Delete what the sorted parts were made of."""
    for name in ("runs", "parts"):
        await files.delete(f"{file}/{name}")


def place_of(record: Mapping[str, Any], order: Sequence[Order]) -> tuple[Any, ...]:
    """A record's place in an order: what to sort it by."""
    places = ((rank(value_at(record, one.field)), one.descending) for one in order)
    return tuple(_Backwards(place) if descending else place for place, descending in places)


async def _write_run(files: FileStore, name: str, lines: list[Line]) -> Sequence[str]:
    """Sort, and write in parts; their paths."""
    await asyncio.to_thread(lines.sort, key=lambda line: line[0])
    paths: list[str] = []
    for begin in range(0, len(lines), RECORDS_PER_PART):
        paths.append(Part(begin + 1).path(name))
        await files.put(
            paths[-1], b"\n".join(line for _, line in lines[begin : begin + RECORDS_PER_PART])
        )
    return paths


def _run(files: FileStore, paths: Sequence[str], order: Sequence[Order]) -> Iterator[Line]:
    for path in paths:
        for line in files.get_now(path).split(b"\n"):
            yield place_of(orjson.loads(line), order), line


async def _write_all(
    files: FileStore, name: str, merged: Iterator[Line], limit: int | None, stop: ShouldStop
) -> Cut | None:
    first_rows: list[int] = []
    records = 0
    while lines := await asyncio.to_thread(
        _next_part, merged, None if limit is None else limit - records
    ):
        await files.put(Part(records + 1).path(name), b"\n".join(lines))
        first_rows.append(records + 1)
        records += len(lines)
        if await stop():
            return None
    return Cut(records, first_rows)


def _next_part(merged: Iterator[Line], most: int | None) -> list[bytes]:
    lines: list[bytes] = []
    size = 0
    while (
        (most is None or len(lines) < most)
        and len(lines) < RECORDS_PER_PART
        and size < BYTES_PER_PART
    ):
        found = next(merged, None)
        if found is None:
            break
        lines.append(found[1])
        size += len(found[1])
    return lines
