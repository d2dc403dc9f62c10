"""Shares out the reading processes: a bounded number, started when they are needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import structlog

from openbulk.byte_budget import ByteBudget
from openbulk.domain.errors import ReaderUnavailable
from openbulk.formats import FORMATS
from openbulk.formats.recognition import Inspection
from openbulk.reading.messages import Task
from openbulk.reading.packing import Packed, Summary, unpack_row
from openbulk.reading.reader import Reader, Reading, StoredFile
from openbulk.storage.files import FileStore

log = structlog.get_logger()

WAIT_SECONDS = 20.0
"""Maximum seconds that a caller waits for a process to look into its file."""
IDLE_SECONDS = 60.0
"""A process that nobody has needed for so long ends, but for the last one."""
_BUSY = "openbulk reads many other files at the moment; send it again in a minute"


class FileParts:
    """The parts of a file. A process reads it from the first call of `next_part` on."""

    def __init__(self, begin: Callable[[], Awaitable[Reading]]) -> None:
        self._begin = begin
        self._reading: Reading | None = None

    async def next_part(self) -> Packed | None:
        """The next part, or None. Raises what `Reading.next_rows` raises."""
        if self._reading is None:
            self._reading = await self._begin()
        return await self._reading.next_rows()

    def summary(self) -> Summary:
        """What the job of the file has to know, after its last part."""
        return Summary.from_json(self.answer)

    @property
    def answer(self) -> Any:
        """What the process says at the end, after the last part."""
        assert self._reading is not None
        return self._reading.answer


class Readers:
    """A bounded number of processes. The files of one owner never take all of them.

    Who waits for one has it in the order of `ByteBudget`.
    """

    def __init__(self, files: FileStore, size: int, *, in_background: bool = False) -> None:
        """Readers in the background give way to all others, and none of them waits for work."""
        self._files = files
        self._size = size
        self._in_background = in_background
        self._kept = 0 if in_background else 1
        """Idle processes that stay."""
        self._idle: list[tuple[float, Reader]] = []
        """Since when, and who; the one that has worked last is at the end."""
        self._places = ByteBudget(size, max(1, size - 1))

    async def start(self) -> None:
        """Start a process, so that the first file need not wait for it."""
        self._idle.append((self._now(), Reader()))

    async def stop(self) -> None:
        """End the processes. Those that read end with their files."""
        self._places.take_at_once(self._size)
        self._size = 0
        while self._idle:
            await self._idle.pop()[1].end()

    async def inspect(
        self,
        file: StoredFile,
        format_name: Any,
        options: Mapping[str, Any],
        count: int,
        *,
        takes_events: bool,
        owner: Hashable,
    ) -> Inspection:
        """The format and the first rows of a file, as `recognition.inspect_rows` finds them.

        There are fewer rows than `count` if they are large. Raises BadInput, and ReaderUnavailable
        if no process can do it now.
        """
        request = {
            "task": Task.INSPECT,
            "format": format_name,
            "options": options,
            "count": count,
            "takes_events": takes_events,
        }
        async with self._reading(file, request, owner, WAIT_SECONDS) as reading:
            rows = await reading.next_rows() or Packed(0, b"")
            await reading.next_rows()
        answer = reading.answer
        lines = rows.content.split(b"\n") if rows.records else []
        return Inspection(
            FORMATS[answer["format"]],
            [unpack_row(number, line) for number, line in enumerate(lines, 1)],
            answer["is_whole"],
            answer["source"],
            answer["header"],
        )

    @asynccontextmanager
    async def parts(
        self, file: StoredFile, format_name: str, options: Mapping[str, Any], *, owner: Hashable
    ) -> AsyncIterator[FileParts]:
        """The parts of a file. The first one waits for a process as long as it takes."""
        request = {"task": Task.READ, "format": format_name, "options": options}
        async with AsyncExitStack() as stack:
            reading = self._reading(file, request, owner, None)
            yield FileParts(partial(stack.enter_async_context, reading))

    @asynccontextmanager
    async def profile(
        self,
        file: StoredFile,
        options: Mapping[str, Any],
        *,
        first_rows: int | None,
        takes_events: bool,
        owner: Hashable,
    ) -> AsyncIterator[FileParts]:
        """The parts of a file, and at their end its profile (`reading.profile_task`).

        With `first_rows`, those of its beginning: a caller waits for it.
        """
        request = {
            "task": Task.PROFILE,
            "options": options,
            "first_rows": first_rows,
            "takes_events": takes_events,
        }
        patience = None if first_rows is None else WAIT_SECONDS
        async with AsyncExitStack() as stack:
            reading = self._reading(file, request, owner, patience)
            yield FileParts(partial(stack.enter_async_context, reading))

    @asynccontextmanager
    async def _reading(
        self,
        file: StoredFile,
        request: Mapping[str, Any],
        owner: Hashable,
        patience: float | None,
    ) -> AsyncIterator[Reading]:
        await self._wait_for_turn(owner, patience)
        reader = None
        reading = None
        try:
            reader = await self._take()
            reading = Reading(self._files, file, reader)
            await reading.begin(request)
            yield reading
        finally:
            # `shield`: a cancelled caller must not leave a process behind.
            is_clean = reading is not None and reading.is_clean
            await asyncio.shield(self._give_back(owner, reader, is_clean=is_clean))

    async def _wait_for_turn(self, owner: Hashable, patience: float | None) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._places.take(1, owner)
        except TimeoutError as error:
            raise ReaderUnavailable(_BUSY) from error

    async def _take(self) -> Reader:
        """A process that reads nothing: the one that has worked last, or a new one."""
        while self._idle:
            _, reader = self._idle.pop()
            if reader.is_alive:
                return reader
            await reader.end()
        try:
            return Reader(in_background=self._in_background)
        except OSError as error:
            log.exception("reading process cannot start")
            raise ReaderUnavailable(
                "openbulk cannot start a process that reads the file; send it again in a minute"
            ) from error

    async def _give_back(self, owner: Hashable, reader: Reader | None, *, is_clean: bool) -> None:
        if reader is not None and is_clean and self._size:
            self._idle.append((self._now(), reader))
        elif reader is not None:
            await reader.end()
        self._places.give_back(1, owner)
        while len(self._idle) > self._kept and self._is_old(self._idle[0][0]):
            await self._idle.pop(0)[1].end()

    def _is_old(self, idle_since: float) -> bool:
        return self._in_background or idle_since < self._now() - IDLE_SECONDS

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
