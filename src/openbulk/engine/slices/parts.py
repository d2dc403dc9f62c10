"""Cuts a job's file into parts: a slice starts at any record without reading those before it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from openbulk.domain.job import KEPT_REMARKS, NO_REMARKS, Job, Remarks, RowRemark, shorten_remark
from openbulk.domain.records import Problem, Row
from openbulk.engine.date_columns import DateColumns, keep_signs
from openbulk.exact_json import pack_line, unpack_line
from openbulk.storage.files import FileStore, Part

RECORDS_PER_PART = 1_000
BYTES_PER_PART = 4 * 1024 * 1024
"""A part ends at whichever limit it reaches first. This bounds the memory of a slice."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A file that was cut into parts, to its end."""

    records: int
    first_rows: Sequence[int]
    """The rows that the parts begin with."""
    remarks: Remarks = NO_REMARKS


@dataclass(slots=True)
class _RemarkCollector:
    """Collects what was left out of rows, in bounded memory."""

    rows: int = 0
    first: list[RowRemark] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Note the remarks of a row that is sent."""
        self.rows += 1
        if len(self.first) < KEPT_REMARKS:
            text = shorten_remark("; ".join(row.remarks))
            self.first.append(RowRemark(row.number, row.line, text))


async def cut(
    files: FileStore,
    file: str,
    read: Callable[[], Iterator[Row]],
    stop: Callable[[], Awaitable[bool]],
) -> Cut | None:
    """Cut the rows of a job's file into parts; None if `stop` returns True between two of them.

    Cutting again makes the same parts, remarks and signs of dates. Raises BadInput if the file as a
    whole cannot be read.
    """
    # Recognizing the encoding or the order of dates may take the whole file before the first row.
    rows = await asyncio.to_thread(read)
    first_rows: list[int] = []
    remarks = _RemarkCollector()
    dates = DateColumns()
    records = 0
    # In a thread: parsing a part takes longer than the event loop may be kept from other work.
    packed = await asyncio.to_thread(_next_part, rows, remarks, dates)
    while packed:
        await files.put(Part(records + 1).path(file), b"\n".join(packed))
        first_rows.append(records + 1)
        records += len(packed)
        packed = await asyncio.to_thread(_next_part, rows, remarks, dates)
        if packed and await stop():
            return None
    await keep_signs(files, file, dates.signs())
    return Cut(records, first_rows, Remarks(remarks.rows, tuple(remarks.first)))


def _next_part(rows: Iterator[Row], remarks: _RemarkCollector, dates: DateColumns) -> list[bytes]:
    packed: list[bytes] = []
    size = 0
    for row in rows:
        dates.add(row)
        packed.append(_pack(row, remarks))
        size += len(packed[-1])
        if len(packed) == RECORDS_PER_PART or size >= BYTES_PER_PART:
            break
    return packed


def _pack(row: Row, remarks: _RemarkCollector) -> bytes:
    """A row in the form that parts keep. The remarks of a row that can be sent are collected."""
    problem = None if row.problem is None else asdict(row.problem)
    try:
        packed = pack_line((row.line, row.values, problem))
    except TypeError as error:
        # No service takes such a value either: half of a surrogate pair, hundreds of nested levels.
        # Its row alone fails.
        refusal = Problem(f"a value cannot be sent ({error})")
        return _pack(Row(row.number, None, refusal, row.line), remarks)
    if row.remarks and row.problem is None:
        remarks.add(row)
    return packed


async def rows_of(
    files: FileStore, job: Job, parts: Sequence[Part], *, after: int
) -> AsyncIterator[Row]:
    """The rows of a job's parts after the row `after`."""
    for part in parts:
        rows = await files.get(part.path(job.upload.file))
        for number, packed in enumerate(rows.split(b"\n"), part.first_row):
            if number > after:
                line, values, problem = unpack_line(packed)
                yield Row(number, values, None if problem is None else Problem(**problem), line)
