"""Cuts a job's file into parts: a slice starts at any record without reading those before it."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from openbulk.domain.job import NO_REMARKS, Job, Remarks
from openbulk.domain.records import Row, RowBatch
from openbulk.engine.file_date_order import keep_signs
from openbulk.engine.slices.memory import Admit
from openbulk.engine.slices.row_states import RowState, RowStates
from openbulk.reading.packing import (
    Packed,
    Packer,
    Summary,
    is_batch,
    unpack_batch,
    unpack_row,
)
from openbulk.storage.files import FileStore, Part
from openbulk.threads import Threads

STOP_POLL_SECONDS = 0.25
"""How often cutting looks whether it must stop."""
WRITTEN_BYTES = 512 * 1024
"""Parts that are being written at the same time, but for a larger one."""
_THREADS = Threads("parts", 4)


@dataclass(frozen=True, slots=True)
class Cut:
    """A file that was cut into parts, to its end."""

    records: int
    first_rows: Sequence[int]
    """The rows that the parts begin with."""
    remarks: Remarks = NO_REMARKS
    columns: Sequence[str] = ()
    """Those of a table, in their order."""
    delimiter: str = ","
    """What is between the cells of a CSV."""


class PartSource(Protocol):
    """Where the parts of a job come from."""

    async def next_part(self) -> Packed | None:
        """The next part; None after the last one. Raises BadInput if there is none to be had."""

    def summary(self) -> Summary:
        """What the job has to know of all its rows, after the last part."""


class RowsInThread:
    """Packs rows in a thread: those of a download, whose form is ours already."""

    def __init__(self, rows: Iterator[Row | RowBatch]) -> None:
        self._packer = Packer(rows)

    async def next_part(self) -> Packed | None:
        """The next part, or None."""
        return await _THREADS.run(self._packer.next_part)

    def summary(self) -> Summary:
        """What the rows have shown."""
        return self._packer.summary()


async def cut(
    files: FileStore, file: str, source: PartSource, stop: Callable[[], Awaitable[bool]]
) -> Cut | None:
    """Write the parts of a job's file; None if `stop` returns True before the last one.

    Cutting again makes the same parts, remarks and signs of dates. Raises BadInput if the file as a
    whole cannot be read.
    """
    first_rows: list[int] = []
    records = 0
    watch = _Watch(stop)
    async with _writing(files) as put:
        while part := await watch.next_part(source):
            if records and await watch.must_stop():
                return None
            await put(Part(records + 1).path(file), part.content)
            first_rows.append(records + 1)
            records += part.records
    if watch.has_stopped:
        return None
    summary = source.summary()
    if summary.signs:
        await keep_signs(files, file, summary.signs)
    return Cut(records, first_rows, summary.remarks, summary.columns, summary.delimiter)


@asynccontextmanager
async def _writing(files: FileStore) -> AsyncIterator[Callable[[str, bytes], Awaitable[None]]]:
    """Writes several objects at the same time, as each waits for the disk.

    All of them are written at the end of the block. Raises what writing one of them raises.
    """
    writes: dict[asyncio.Task[None], int] = {}

    async def put(path: str, content: bytes) -> None:
        while writes and sum(writes.values()) + len(content) > WRITTEN_BYTES:
            done, _ = await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
            for write in done:
                del writes[write]
                write.result()
        writes[asyncio.create_task(files.put(path, content))] = len(content)

    try:
        yield put
    finally:
        # Not cancelled: nothing may be written after the file of a stopped job is deleted.
        results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        if result is not None:
            raise result


class _Watch:
    """Looks at intervals whether cutting must stop, also while a part takes long."""

    def __init__(self, stop: Callable[[], Awaitable[bool]]) -> None:
        self._stop = stop
        self._clock = asyncio.get_running_loop().time
        self._look_at = 0.0
        self.has_stopped = False

    async def next_part(self, source: PartSource) -> Packed | None:
        """The next part; None after the last one, or when cutting must stop."""
        part = asyncio.create_task(source.next_part())
        try:
            while not (await asyncio.wait({part}, timeout=STOP_POLL_SECONDS))[0]:
                if await self.must_stop():
                    return None
            return part.result()
        finally:
            if part.cancel():
                await asyncio.wait({part})

    async def must_stop(self) -> bool:
        """Whether cutting must stop, as far as it was looked at a moment ago."""
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + STOP_POLL_SECONDS
            self.has_stopped = await self._stop()
        return self.has_stopped


async def rows_of(
    files: FileStore,
    job: Job,
    parts: Sequence[Part],
    states: RowStates,
    state: RowState,
    admit: Admit | None = None,
) -> AsyncGenerator[Row | RowBatch]:
    """The rows of a job's parts that have a state when they are reached."""
    ends = [part.first_row for part in parts[1:]]
    for part, end in zip_longest(parts, ends):
        if states.has_any(state, part.first_row, end):
            rows = rows_of_part(files, job, part, lambda row: states[row] == state, admit=admit)
            async with aclosing(rows):
                async for found in rows:
                    for one in _rows_in_state(found, states, state):
                        yield one


def _rows_in_state(
    found: Row | RowBatch, states: RowStates, state: RowState
) -> Iterable[Row | RowBatch]:
    if isinstance(found, Row) or states.has_only(state, found.first, found.last):
        return (found,)
    return (row for row in found.rows() if states[row.number] == state)


def with_last_rows(parts: Sequence[Part], records: int) -> Sequence[tuple[Part, int]]:
    """All parts of a file, each with its last row."""
    last_rows = [part.first_row - 1 for part in parts[1:]]
    return list(zip(parts, [*last_rows, records], strict=False))


async def rows_of_part(
    files: FileStore,
    job: Job,
    part: Part,
    is_wanted: Callable[[int], bool] | None = None,
    *,
    admit: Admit | None = None,
) -> AsyncGenerator[Row | RowBatch]:
    """The rows of a part: all, or batches and those rows whose number `is_wanted` accepts.

    `is_wanted` is asked when a row is reached. `admit` is awaited before the part is read.
    """
    lines = PartReader(await files.get(part.path(job.upload.file_of_parts), admit=admit))
    number = part.first_row
    while (line := lines.next_line()) is not None:
        if is_batch(line):
            batch = unpack_batch(number, line)
            yield batch
            number += len(batch.cells)
            continue
        if is_wanted is None or is_wanted(number):
            row = unpack_row(number, line)
            # A large record is held once, and not with the line that it was made of.
            del line
            yield row
        number += 1


def each_row(found: Row | RowBatch) -> Iterable[Row]:
    """The rows of a batch, or the row itself."""
    return found.rows() if isinstance(found, RowBatch) else (found,)


class PartReader:
    """Reads the lines of a part, one at a time: all at once would be the part a second time.

    It holds nothing once the last line is read.
    """

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content
        self._position = 0

    def next_line(self) -> bytes | None:
        """The next line; None after the last one."""
        if self._content is None:
            return None
        end = self._content.find(b"\n", self._position)
        if end < 0:
            line = self._content[self._position :]
            self._content = None
            return line
        line = self._content[self._position : end]
        self._position = end + 1
        return line

    def next_lines(self, size: int) -> Sequence[bytes]:
        """The next lines, at most so many bytes or one line; none after the last one."""
        if self._content is None:
            return ()
        end = self._content.rfind(b"\n", self._position, self._position + size)
        if end < 0:
            line = self.next_line()
            return () if line is None else (line,)
        lines = self._content[self._position : end].split(b"\n")
        self._position = end + 1
        return lines

    def skip(self, lines: int) -> None:
        """Leave out some lines."""
        for _ in range(lines):
            if self._content is None:
                return
            self._position = self._content.find(b"\n", self._position) + 1
            if self._position == 0:
                self._content = None
