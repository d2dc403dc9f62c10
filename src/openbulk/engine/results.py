"""The rows of an upload with what became of them: read part by part, at one moment of the job."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from openbulk.domain.errors import Conflict, NotFound
from openbulk.domain.job import Job
from openbulk.domain.records import Row
from openbulk.domain.row_kinds import RowChoice, RowKind, RowKinds
from openbulk.engine.slices.parts import each_row, rows_of_part, with_last_rows
from openbulk.storage.files import FileStore, Part
from openbulk.storage.ledger import Ledger
from openbulk.storage.problems import RecordError


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A row of a file, and what became of it."""

    row: Row
    kind: RowKind
    id: str | None
    """The service's id of the record."""
    error: RecordError | None


class Results:
    """Some rows of a job, with what had become of them when this was made."""

    def __init__(
        self,
        ledger: Ledger,
        files: FileStore,
        job: Job,
        parts: Sequence[Part],
        kinds: RowKinds,
        wanted: RowChoice,
    ) -> None:
        """`wanted` are the rows that are read."""
        self.job = job
        self.kinds = kinds
        self._ledger = ledger
        self._files = files
        self._parts = with_last_rows(parts, kinds.records)
        self._wanted = wanted

    async def parts(self) -> AsyncGenerator[Sequence[ResultRow]]:
        """The wanted rows, those of a part at a time.

        Raises NotFound once the job is deleted, and Conflict once its file is.
        """
        for part, last in self._parts:
            if self._wanted.has_any(part.first_row, last):
                yield await self._read(part, last)

    def rows(self, loop: asyncio.AbstractEventLoop) -> Iterator[ResultRow]:
        """The wanted rows, one by one, for a thread: it waits while `loop` reads them."""
        parts = self.parts()
        while part := asyncio.run_coroutine_threadsafe(_next(parts), loop).result():
            yield from part

    async def _read(self, part: Part, last: int) -> Sequence[ResultRow]:
        rows = [row async for row in self._rows_of(part)]
        outcomes = await self._ledger.outcomes_between(self.job.id, part.first_row, last)
        found = await self._ledger.errors_between(self.job.id, part.first_row, last)
        # Outcomes and files go after their job: as long as it is there, all of them are.
        await require_there(self._ledger, self.job)
        ids = {outcome.row: outcome.id for outcome in outcomes}
        errors = {error.row: error for error in found}
        return [self._result(row, ids, errors) for row in rows]

    def _result(
        self, row: Row, ids: Mapping[int, str | None], errors: Mapping[int, RecordError]
    ) -> ResultRow:
        kind = self.kinds.of(row.number)
        if kind is None:  # at the moment of these results; it may have an outcome since
            return ResultRow(row, kind, None, None)
        return ResultRow(row, kind, ids.get(row.number), errors.get(row.number))

    async def _rows_of(self, part: Part) -> AsyncIterator[Row]:
        try:
            found = rows_of_part(self._files, self.job, part, self._wanted.__contains__)
            async for one in found:
                for row in each_row(one):
                    if row.number in self._wanted:
                        yield row
        except FileNotFoundError as error:
            await require_there(self._ledger, self.job)
            raise file_is_gone(self.job) from error


async def _next(parts: AsyncGenerator[Sequence[ResultRow]]) -> Sequence[ResultRow]:
    async for part in parts:
        return part
    return ()


async def results_of(
    ledger: Ledger, files: FileStore, job: Job, kinds: RowKinds, wanted: RowChoice
) -> Results:
    """The results of some rows of a job, of what `kinds_of_rows` has found. Raises NotFound."""
    parts = await ledger.parts_from(job.id, 1)
    await require_there(ledger, job)
    return Results(ledger, files, job, parts, kinds, wanted)


async def kinds_of_rows(ledger: Ledger, job: Job) -> RowKinds:
    """What became of each row of an upload, at this moment.

    Raises Conflict if its rows cannot be read, now or any more.
    """
    require_rows(job)
    return await ledger.row_kinds(job)


def require_rows(job: Job) -> None:
    """Raise Conflict if the rows of an upload cannot be read, now or any more."""
    if not job.has_file:
        raise file_is_gone(job)
    if job.records is None and job.is_finished:
        raise Conflict(f"no row of job {job.id} was read: {job.error or 'it was cancelled'}")
    if job.records is None:
        raise Conflict(f"the file of job {job.id} is still being read; ask again in a moment")


async def require_there(ledger: Ledger, job: Job) -> None:
    """Raise NotFound if a job was deleted: what was read of it before may be a part."""
    if await ledger.job(job.id) is None:
        raise NotFound(f"job {job.id} was deleted while it was read")


def file_is_gone(job: Job) -> Conflict:
    """The rows of a job cannot be read any more."""
    return Conflict(
        f"the file of job {job.id} is no longer kept (OPENBULK_KEEP_FILES_DAYS); "
        f"/bulk/{job.id} has its counts, and /bulk/{job.id}/errors its failed records, with their "
        "row and line"
    )
