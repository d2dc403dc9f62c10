"""Outcomes of records, in blocks: one row of the ledger holds those that were recorded together.

That is about a thousand, less where a service is slow. A block may lack rows between its first and
its last one, since calls end in any order: other blocks have them. No row is in two blocks.
Problems are rows of their own, since they are read by page.
"""

import json
import zlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, groupby, repeat
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.domain.errors import OpenbulkError
from openbulk.domain.records import Outcome, OutcomeKind
from openbulk.domain.row_kinds import RowKinds
from openbulk.storage.problems import add_problems
from openbulk.storage.tables import outcome_blocks as blocks

T = TypeVar("T")
_ROW, _KIND, _PROBLEM = attrgetter("row"), attrgetter("kind"), attrgetter("problem")
Range = tuple[int, int]
"""The first and the last row of some that follow one another."""
Lines = Mapping[int, int | None]
"""Line numbers of records in their file, by row."""
_BLOCKS_AT_ONCE = 100


class AlreadyRecorded(OpenbulkError):
    """A record has an outcome already: nothing was written."""

    def __init__(self, row: int) -> None:
        super().__init__(f"row {row} has an outcome already")


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """What became of one record, as the ledger has it."""

    row: int
    line: int | None
    kind: OutcomeKind
    id: str | None


async def add_outcomes(
    connection: AsyncConnection,
    job_id: int,
    results: Sequence[Outcome],
    lines: Lines,
    *,
    are_first: bool = False,
) -> None:
    """Write a block, and its problems. Raises AlreadyRecorded.

    The transaction holds the lock of the job's row: nobody else adds outcomes meanwhile.
    `are_first`: the job has no outcomes yet, so there are none to compare with.
    """
    if not results:
        return
    ordered = sorted(results, key=_ROW)
    if not are_first:
        await _require_unrecorded(connection, job_id, ordered)
    await connection.execute(insert(blocks).values(_block_values(job_id, ordered, lines)))
    failed = list(compress(ordered, map(_PROBLEM, ordered)))
    if failed:
        await add_problems(connection, job_id, failed, lines)


async def _require_unrecorded(
    connection: AsyncConnection, job_id: int, ordered: Sequence[Outcome]
) -> None:
    done = await recorded_ranges(connection, job_id, ordered[0].row, ordered[-1].row)
    again = (outcome.row for outcome in ordered if done and _is_in(done, outcome.row))
    if (row := next(again, None)) is not None:
        raise AlreadyRecorded(row)


async def recorded_ranges(
    connection: AsyncConnection, job_id: int, first: int, last: int | None = None
) -> Sequence[Range]:
    """The rows from `first` to `last` of a job that have an outcome, in their order."""
    chosen = select(blocks.c.first_row, blocks.c.last_row, blocks.c.ranges)
    found = await connection.execute(chosen.where(*_overlaps(job_id, first, last)))
    parts = [
        (max(begin, first), end if last is None else min(end, last))
        for block in found
        for begin, end in _ranges_of(block)
    ]
    return list(_join(sorted(part for part in parts if part[0] <= part[1])))


async def rows_without_outcome(
    connection: AsyncConnection, job_id: int, rows: Collection[int]
) -> frozenset[int]:
    """Those of some rows of a job that have no outcome."""
    if not rows:
        return frozenset()
    done = await recorded_ranges(connection, job_id, min(rows), max(rows))
    return frozenset(row for row in rows if not _is_in(done, row))


async def row_kinds(connection: AsyncConnection, job_id: int, records: int) -> RowKinds:
    """What became of each row of a job, at one moment. Some blocks are held at a time."""
    kinds = RowKinds(records)
    of_job = blocks.c.job_id == job_id
    # The blocks of this moment: others may be added meanwhile, and none is ever changed.
    found = (await connection.scalars(select(blocks.c.first_row).where(of_job))).all()
    for begin in range(0, len(found), _BLOCKS_AT_ONCE):
        some = blocks.c.first_row.in_(found[begin : begin + _BLOCKS_AT_ONCE])
        for block in await connection.execute(select(blocks).where(of_job, some)):
            runs = json.loads(zlib.decompress(block.content))["kinds"]
            for first, last, kind in _place_runs(_ranges_of(block), runs):
                kinds.set_range(first, last, OutcomeKind(kind))
    return kinds


async def recorded_outcomes(
    connection: AsyncConnection, job_id: int, first: int, last: int
) -> Iterator[RecordedOutcome]:
    """The outcomes of the rows from `first` to `last` of a job, block by block."""
    found = (await connection.execute(select(blocks).where(*_overlaps(job_id, first, last)))).all()
    outcomes = chain.from_iterable(outcomes_in(block) for block in found)
    return (outcome for outcome in outcomes if first <= outcome.row <= last)


def outcomes_in(block: Any) -> Iterator[RecordedOutcome]:
    """The outcomes in a row of the table `outcome_blocks`, by their rows."""
    content = json.loads(zlib.decompress(block.content))
    rows = chain.from_iterable(range(first, last + 1) for first, last in _ranges_of(block))
    kinds = _each_of_runs(content["kinds"])
    distances = _each_of_runs(content["line - row"])
    ids = content["ids"] or repeat(None)
    for row, kind, distance, record_id in zip(rows, kinds, distances, ids, strict=False):
        line = None if distance is None else row + distance
        yield RecordedOutcome(row, line, OutcomeKind(kind), record_id)


def _overlaps(job_id: int, first: int, last: int | None) -> Sequence[ColumnElement[bool]]:
    begins = () if last is None else (blocks.c.first_row <= last,)
    return (blocks.c.job_id == job_id, blocks.c.last_row >= first, *begins)


def _block_values(job_id: int, ordered: Sequence[Outcome], lines: Lines) -> dict[str, Any]:
    rows = [outcome.row for outcome in ordered]
    ranges = ranges_of(rows)
    ids = [outcome.id for outcome in ordered]
    # A line is a number from 1, or None.
    distances = [line and line - row for row, line in zip(rows, map(lines.get, rows), strict=True)]
    content = {
        "kinds": [(kind.value, count) for kind, count in _runs_of(map(_KIND, ordered))],
        "line - row": _runs_of(distances),  # the same for most rows of a file
        "ids": ids if any(one is not None for one in ids) else None,
    }
    return {
        "job_id": job_id,
        "first_row": rows[0],
        "last_row": rows[-1],
        "ranges": ranges if len(ranges) > 1 else None,
        "content": zlib.compress(json.dumps(content, separators=(",", ":")).encode()),
    }


def _ranges_of(block: Any) -> Sequence[Range]:
    return block.ranges or [(block.first_row, block.last_row)]


def ranges_of(rows: Sequence[int]) -> Sequence[Range]:
    """The ranges of sorted rows, of which none is there twice."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return [(rows[0], rows[-1])]
    return list(_join((row, row) for row in rows))


def _join(ranges: Iterable[Range]) -> Iterator[Range]:
    """Sorted ranges, those that follow one another as one."""
    remaining = iter(ranges)
    first, last = next(remaining, (1, 0))
    for begin, end in remaining:
        if begin != last + 1:
            yield first, last
            first = begin
        last = end
    if first <= last:
        yield first, last


def _place_runs(
    ranges: Sequence[Range], runs: Iterable[tuple[T, int]]
) -> Iterator[tuple[int, int, T]]:
    """The first and the last row of each run, cut where a row is missing; and its value."""
    remaining = iter(ranges)
    first, last = next(remaining)
    for value, count in runs:
        left = count
        while left:
            end = min(last, first + left - 1)
            yield first, end, value
            left -= end + 1 - first
            first, last = (end + 1, last) if end < last else next(remaining, (0, 0))


def _is_in(ranges: Sequence[Range], row: int) -> bool:
    place = bisect_right(ranges, row, key=lambda one: one[0])
    return place > 0 and row <= ranges[place - 1][1]


def _runs_of(values: Iterable[T]) -> list[tuple[T, int]]:
    return [(value, len(list(run))) for value, run in groupby(values)]


def _each_of_runs(runs: Iterable[tuple[T, int]]) -> Iterator[T]:
    return chain.from_iterable(repeat(value, count) for value, count in runs)
