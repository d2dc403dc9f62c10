"""Runs a slice of a job, and returns the slice that follows it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import structlog

from openbulk.byte_budget import PlaceOwner
from openbulk.connectors.base import Connector
from openbulk.domain.errors import (
    BadInput,
    Fenced,
    FileStoreUnavailable,
    ReaderUnavailable,
    Unavailable,
)
from openbulk.domain.job import Job, NextSlice, Retry, Status, Undo, Verification
from openbulk.domain.records import OutcomeKind
from openbulk.engine import metrics
from openbulk.engine.backoff import MAX_SLICE_ATTEMPTS, wait_before_retry
from openbulk.engine.connections import Connections
from openbulk.engine.queue.clock import Clock
from openbulk.engine.queue.lease import Lease
from openbulk.engine.quota.governor import job_budget
from openbulk.engine.slices.deadline import SliceDeadline
from openbulk.engine.slices.download import DownloadSlice
from openbulk.engine.slices.downloaded_records import Result, as_rows, result_of
from openbulk.engine.slices.ending import Complete, Continue, Crash, Ending, Fail, Snooze, ending_of
from openbulk.engine.slices.memory import MemoryShare, SliceMemory
from openbulk.engine.slices.parts import PartSource, RowsInThread, cut
from openbulk.engine.slices.plans.apply_slice import ApplySlice
from openbulk.engine.slices.plans.earlier_rows import EarlierRowsOfJobs
from openbulk.engine.slices.plans.later_rows import LaterRowsOfJobs
from openbulk.engine.slices.plans.plan_slice import PlanSlice
from openbulk.engine.slices.plans.verify_slice import VerifySlice
from openbulk.engine.slices.retried_parts import RetriedParts
from openbulk.engine.slices.undo.keeping import UndoStores
from openbulk.engine.slices.undo.undo_slice import UndoPlanSlice, UndoSlice
from openbulk.engine.slices.undo.undone_parts import UndoneParts
from openbulk.engine.slices.upload import UploadSlice
from openbulk.formats.base import Format
from openbulk.reading.reader import StoredFile
from openbulk.reading.readers import Readers
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.mends import Mends
from openbulk.storage.plans import ApplyLedger, PlanLedger
from openbulk.storage.retry import (
    retry_until_written,
    retry_while_disk_full,
    retry_while_unavailable,
)
from openbulk.storage.slice_ledger import SliceLedger
from openbulk.storage.verifications import VerificationLedger

log = structlog.get_logger()

UNAVAILABLE_PAUSE_SECONDS = 0.5
GIVES_WAY = "another job of this instance has a higher priority"
GIVES_WAY_SECONDS = 1.0
"""A job with a lower priority looks so often whether it may go on."""
MAX_READ_ATTEMPTS = 2
"""A job ends if the process that reads its file is killed so often: the file may be the reason."""

Announce = Callable[[Job], Awaitable[None]]
"""Notifies a job's caller that the job is finished. May be called twice."""


class SliceRunner:
    """Runs slices, one at a time for each job."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        files: FileStore,
        mends: Mends,
        undo: UndoStores,
        readers: Readers,
        formats: Mapping[str, Format],
        connections: Connections,
        announce: Announce,
        lease: Lease,
        draining: asyncio.Event,
        clock: Clock,
        worker: str,
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._mends = mends
        self._undo = undo
        self._readers = readers
        self._formats = formats
        self._connections = connections
        self._announce = announce
        self._lease = lease
        self._draining = draining
        self._now = clock.now
        self._worker = worker
        self._memory = SliceMemory()
        self._earlier_rows = EarlierRowsOfJobs()
        self._later_rows = LaterRowsOfJobs()
        self.running_jobs: set[int] = set()
        """Ids of the jobs with a slice that runs in this process."""

    async def run(self, job_id: int, number: int) -> NextSlice | None:
        """Run a slice; return the one that follows it, or None.

        If the slice is not due, return the slice that is.
        """
        while True:
            try:
                return await self._run(job_id, number)
            except Fenced:
                # The runner that has taken the slice over enqueues the next one.
                return None
            except Unavailable:
                # No call is in flight any more: begin again from the state in the ledger.
                if self._draining.is_set():
                    raise
            await asyncio.sleep(UNAVAILABLE_PAUSE_SECONDS)

    async def _run(self, job_id: int, number: int) -> NextSlice | None:
        begin = partial(
            self._ledger.begin_slice,
            job_id,
            number,
            self._now(),
            worker=self._worker,
            lease=self._lease,
            draining=self._draining,
        )
        with self._lease.slice():
            ledger = await retry_until_written(begin, self._draining)
            if ledger is None:
                return await self._slice_due_instead(job_id, number)
            self.running_jobs.add(job_id)
            try:
                ending = await self._work(ledger)
                return await self._end(ledger, ending)
            finally:
                self.running_jobs.discard(job_id)

    async def _slice_due_instead(self, job_id: int, number: int) -> NextSlice | None:
        job = await retry_while_unavailable(partial(self._ledger.job, job_id), self._draining)
        if job is None or job.is_finished or job.slice == number:
            return None
        return job.next_slice(self._now())

    # --- the work ---

    async def _work(self, ledger: SliceLedger) -> Ending:
        try:
            return await self._cut_and_transfer(ledger)
        except FileStoreUnavailable as error:
            log.warning("file store is unavailable", job=ledger.job.id, reason=error.reason)
            return ending_of(error)
        except (Fenced, Unavailable):
            raise
        except Exception as error:
            return ending_of(error)

    async def _cut_and_transfer(self, ledger: SliceLedger) -> Ending:
        job = ledger.job
        if job.slice_attempts > MAX_SLICE_ATTEMPTS:
            reason = f"failed {MAX_SLICE_ATTEMPTS} times in a row without progress"
            return Fail(Status.ABORTED, reason)
        if job.status is Status.CANCELLATION_PENDING or job.is_paused:
            # The runner that had to end the slice has died, or it was due already: `_end` ends it.
            return Continue()
        is_cut = job.is_download or job.records is not None
        if not is_cut and not await self._cut_file(ledger):
            return Continue()
        if ledger.gives_way:
            return Snooze(GIVES_WAY, GIVES_WAY_SECONDS)
        connection = await self._connections.to_version(job.instance_id, ledger.instance_version)
        # The slice gets its job's share of the service's quota.
        connection.pace.begin_slice(ledger.jobs_in_lane, job_budget(job))
        async with self._memory.share(connection.service) as memory:
            return await self._transfer(ledger, connection.connector, memory)

    async def _transfer(
        self, ledger: SliceLedger, connector: Connector, memory: MemoryShare
    ) -> Ending:
        job, deadline = ledger.job, SliceDeadline(ledger, self._draining, self._now, memory)
        if job.is_download:
            return await DownloadSlice(
                ledger, connector=connector, files=self._files, deadline=deadline, memory=memory
            ).run()
        return await self._kind_of_upload(ledger)(
            ledger,
            connector=connector,
            files=self._files,
            deadline=deadline,
            memory=memory,
            undo=self._undo,
            names_are_paths=not job.upload.records_of
            and self._formats[job.upload.file_format].names_are_paths,
        ).run()

    def _kind_of_upload(self, ledger: SliceLedger) -> Callable[..., UploadSlice]:
        if isinstance(ledger, VerificationLedger):
            return partial(VerifySlice, later=self._later_rows.of(ledger.job.id))
        is_undo = ledger.job.undo is not None
        if isinstance(ledger, PlanLedger):
            plan = UndoPlanSlice if is_undo else PlanSlice
            return partial(plan, earlier=self._earlier_rows.of(ledger.job.id))
        if is_undo:
            return UndoSlice
        return ApplySlice if isinstance(ledger, ApplyLedger) else UploadSlice

    async def _cut_file(self, ledger: SliceLedger) -> bool:
        """Cut a job's file into parts; return whether this slice also sends their records."""
        upload = ledger.job.upload
        if upload.verification is not None:
            await self._take_parts(ledger, upload.verification)
            return upload.is_small
        deadline = SliceDeadline(ledger, self._draining, self._now)
        try:
            async with self._parts_of(ledger) as source:
                done = await cut(self._files, upload.file, source, deadline.must_stop)
        except ReaderUnavailable as error:
            if ledger.job.slice_attempts < MAX_READ_ATTEMPTS:
                raise
            raise BadInput(f"{error.message}; that happened {MAX_READ_ATTEMPTS} times") from error
        if done is None:
            return False
        ledger.set_parts(done.records, done.first_rows, done.remarks, done.columns, done.delimiter)
        if upload.retry is not None:
            await ledger.begin_retry(await self._unknown_rows(ledger))
        log.info("file is cut", job=ledger.job.id, records=done.records)
        if self._draining.is_set():
            return False
        # A large file is cut outside the lane, so that no other job waits for it. The next slice,
        # in the lane, sends its records.
        return upload.is_small

    @asynccontextmanager
    async def _parts_of(self, ledger: SliceLedger) -> AsyncIterator[PartSource]:
        """The parts of an upload: of its file, a download's records, or the job that it retries."""
        job, upload = ledger.job, ledger.job.upload
        if upload.retry is not None:
            yield await self._retried_parts(ledger, upload.retry)
            return
        if upload.undo is not None:
            yield await self._undone_parts(upload.undo)
            return
        if upload.records_of is not None:
            yield RowsInThread(as_rows(await self._result_of(upload.records_of)))
            return
        owner = PlaceOwner(job.organization_id, job.instance_id)
        file = StoredFile(upload.file_to_read, upload.file_size)
        options = upload.target.options
        async with self._readers.parts(file, upload.file_format, options, owner=owner) as parts:
            yield parts

    async def _retried_parts(self, ledger: SliceLedger, retry: Retry) -> RetriedParts:
        earlier, own = await self._earlier_job(retry), await ledger.own_rows()
        assert own is not None
        find_parts = partial(self._ledger.parts_from, earlier.id, 1)
        parts = await retry_while_unavailable(find_parts, self._draining)
        return RetriedParts(self._files, self._mends, ledger.job, earlier, parts, own)

    async def _undone_parts(self, undo: Undo) -> UndoneParts:
        find = partial(self._ledger.job, undo.of)
        earlier = await retry_while_unavailable(find, self._draining)
        if earlier is None:
            raise BadInput(f"job {undo.of} is deleted, and so is what it has overwritten")
        return UndoneParts(self._ledger, self._undo.undos, earlier, undo)

    async def _take_parts(self, ledger: SliceLedger, verification: Verification) -> None:
        """Have a verification read the parts of the earlier job where they are."""
        earlier = await self._earlier_job(verification)
        assert earlier.records is not None
        find_parts = partial(self._ledger.parts_from, earlier.id, 1)
        parts = await retry_while_unavailable(find_parts, self._draining)
        first_rows = [part.first_row for part in parts]
        ledger.set_parts(earlier.records, first_rows, columns=earlier.columns)

    async def _unknown_rows(self, ledger: SliceLedger) -> Sequence[int]:
        """The rows of a retry that the service may have taken already, as nobody knows."""
        retry = ledger.job.retry
        if retry is None:
            return ()
        find_kinds = partial(self._ledger.row_kinds, await self._earlier_job(retry))
        kinds = await retry_while_unavailable(find_kinds, self._draining)
        own = await ledger.own_rows()
        assert own is not None
        return list(kinds.choose([OutcomeKind.UNKNOWN]).both(own).rows())

    async def _earlier_job(self, later: Retry | Verification) -> Job:
        find = partial(self._ledger.job, later.of)
        earlier = await retry_while_unavailable(find, self._draining)
        if earlier is None or not earlier.has_file:
            raise BadInput(f"the file of job {later.of} is no longer kept; upload it again")
        return earlier

    async def _result_of(self, job_id: int) -> Result:
        find = partial(self._ledger.job, job_id)
        source = await retry_while_unavailable(find, self._draining)
        assert source is not None
        find_result = partial(result_of, self._ledger, self._files, source)
        return await retry_while_unavailable(find_result, self._draining)

    # --- the end ---

    async def _end(self, ledger: SliceLedger, ending: Ending) -> NextSlice | None:
        match ending:
            case Complete():
                await self._finish(ledger, Status.COMPLETE)
            case Fail(status=status, reason=reason):
                await self._finish(ledger, status, reason)
            case _ if await ledger.is_cancelled():
                await self._finish(ledger, Status.CANCELLED)
            case _:
                job = await self._continue(ledger, ending)
                return None if job.is_paused else job.next_slice(self._now())
        return None

    async def _continue(self, ledger: SliceLedger, ending: Continue | Snooze | Crash) -> Job:
        match ending:
            case Continue():
                return await ledger.end()
            case Snooze():
                return await self._snooze(ledger, ending)
            case Crash(error=error):
                return await self._try_again(ledger, error)

    async def _finish(self, ledger: SliceLedger, status: Status, reason: str | None = None) -> None:
        job = await ledger.finish(status, now=self._now(), error=reason)
        metrics.JOBS.labels(job.status).inc()
        log.info("job finished", job=job.id, status=job.status, records=job.cursor, reason=reason)
        await retry_while_disk_full(partial(self._announce, job), self._draining)

    async def _snooze(self, ledger: SliceLedger, ending: Snooze) -> Job:
        chance = random.random()  # noqa: S311
        seconds = wait_before_retry(ledger.waits, ending.after, chance, ending.max_wait)
        metrics.WAITS.inc()
        log.info("job waits", job=ledger.job.id, reason=ending.reason, seconds=round(seconds, 1))
        return await ledger.end(
            wait_until=self._now() + timedelta(seconds=seconds), wait_for=ending.reason
        )

    async def _try_again(self, ledger: SliceLedger, error: Exception) -> Job:
        attempt = ledger.job.slice_attempts
        log.error("slice failed", job=ledger.job.id, attempt=attempt, exc_info=error)
        seconds = wait_before_retry(attempt - 1, None, 0.0)
        return await ledger.end(
            crashed=True,
            wait_until=self._now() + timedelta(seconds=seconds),
            wait_for=f"an unexpected failure ({type(error).__name__}); openbulk tries again",
        )
