"""The engine: takes jobs in, gives them their turns, ends them, and has their callers told."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

import aiohttp
import structlog

from openbulk.connectors.base import Connector
from openbulk.domain.errors import (
    BadInput,
    DiskFull,
    Fenced,
    FileStoreUnavailable,
    FileTruncated,
    KeyMissing,
    NotFound,
    ServiceError,
    Unavailable,
)
from openbulk.domain.job import Download, IdempotencyKey, Job, Status, Upload
from openbulk.domain.records import Row
from openbulk.domain.workflow import Run
from openbulk.engine import metrics
from openbulk.engine.connections import Connections
from openbulk.engine.downloaded_records import as_rows, result_of
from openbulk.engine.notifications import Notifications
from openbulk.engine.queue.clock import Clock, elapsed
from openbulk.engine.queue.dbos_queue import LaneQueue, NextSlice
from openbulk.engine.queue.heartbeat import Heartbeat
from openbulk.engine.queue.lease import Lease
from openbulk.engine.queue.periodic import run_forever
from openbulk.engine.retry import MAX_SLICE_ATTEMPTS, wait_before_retry
from openbulk.engine.slices.deadline import (
    DISK_FULL_PAUSE_SECONDS,
    SliceDeadline,
    Written,
    retry_while_disk_full,
)
from openbulk.engine.slices.download import DownloadSlice
from openbulk.engine.slices.ending import Complete, Continue, Crash, Ending, Fail, Snooze, ending_of
from openbulk.engine.slices.parts import cut
from openbulk.engine.slices.upload import UploadSlice
from openbulk.engine.workflows.runner import Workflows
from openbulk.engine.workflows.scheduler import LOOK_SECONDS, Scheduler
from openbulk.formats.base import Format
from openbulk.storage.accounts import Accounts
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.files import FileStore
from openbulk.storage.outage import patient
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules
from openbulk.storage.slice_ledger import SliceLedger, Turn

log = structlog.get_logger()

SWEEP_SECONDS = 30.0
KEEP_FINISHED_WORK = timedelta(days=1)
KEEP_ORPHANS = timedelta(days=1)
"""Where other servers receive uploads, a file that no job owns may be one of those: no upload takes so long."""
START_SECONDS = 2.0
"""A caller waits no longer for its job's first turn to be put on its way."""
DRAIN_SECONDS = 4.5
AWAY_PAUSE_SECONDS = 0.5


class Engine:
    """Runs jobs so that they survive: whatever dies, a job goes on where the ledger says it stood."""

    def __init__(
        self,
        *,
        ledger: SliceLedger,
        deliveries: Deliveries,
        runs: Runs,
        schedules: Schedules,
        files: FileStore,
        formats: Mapping[str, Format],
        accounts: Accounts,
        connections: Connections,
        lanes: LaneQueue,
        http: aiohttp.ClientSession,
        present: Callable[[Job], bytes],
        keep_files: timedelta,
        draining: asyncio.Event,
        heart: Heartbeat | None,
        lease: Lease,
        clock: Clock,
        name: str,
    ) -> None:
        self._ledger = ledger
        self._patient_ledger = patient(ledger, draining.is_set)
        self._files = files
        self._formats = formats
        self._connections = connections
        self._lanes = lanes
        self._keep_files = keep_files
        self._now = clock.now
        self._draining = draining
        self._heart = heart
        self._lease = lease
        self.name = name
        """What this process is called among those that share its ledger."""
        self._drained_by = 0.0
        self._at_work: set[int] = set()
        self._notifications = Notifications(
            patient(deliveries, draining.is_set),
            patient(accounts, draining.is_set),
            lanes,
            http,
            present,
            clock.now,
            draining,
        )
        self.workflows = Workflows(runs, ledger, self._submit_for, clock.now)
        self._scheduler = Scheduler(schedules, self.workflows, clock.now)
        self._watching: list[asyncio.Task[None]] = []

    # --- its life ---

    async def start(self) -> None:
        """Begin to work; goes on with what was under way when the last process ended."""
        if self._heart is not None:
            await self._heart.start()
        await self._lanes.start(run_slice=self._run_slice, deliver=self._notifications.deliver)
        self._watching = [
            asyncio.create_task(
                run_forever("what was left lying", self._sweep, self._until_next_sweep)
            ),
            asyncio.create_task(
                run_forever("schedules", self._scheduler.look, partial(asyncio.sleep, LOOK_SECONDS))
            ),
        ]

    def drain(self) -> None:
        """Begin no more turns, and end those under way: their calls are finished, their outcomes written down."""
        if not self._draining.is_set():
            self._drained_by = elapsed() + DRAIN_SECONDS
            self._draining.set()
            self._lanes.take_no_more()

    async def stop(self) -> None:
        """Drain, and stop. What is due next is put into its lane, for another process or the next one."""
        self.drain()
        for task in self._watching:
            task.cancel()
        while not self._lanes.is_idle and elapsed() < self._drained_by:  # noqa: ASYNC110 - turns come and go
            await asyncio.sleep(0.02)
        if self._heart is not None:
            await self._heart.stop_watching()
        await asyncio.to_thread(self._lanes.stop)
        if self._heart is not None:
            await self._heart.stop()

    def is_working(self) -> bool:
        """Whether this process looks for work, and nobody can take it for dead."""
        return self._lanes.is_polling and self._lease.is_fresh() and not self._draining.is_set()

    # --- what callers ask of it ---

    async def submit(
        self,
        work: Upload | Download,
        *,
        organization_id: int,
        instance_id: int,
        request_id: str | None,
        idempotency_key: IdempotencyKey | None = None,
    ) -> Job:
        """Take a job in. Once this returns it will be done, whatever happens to this process. Raises IdempotencyKeyTaken."""
        job = await self._ledger.add_job(
            work,
            organization_id=organization_id,
            instance_id=instance_id,
            request_id=request_id,
            now=self._now(),
            idempotency_key=idempotency_key,
        )
        log.info("job created", job=job.id, instance=instance_id, object=job.object)
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._lanes.enqueue_slice(self._next(job))
        except Exception:
            # The job stands in the ledger: it is taken, and the sweep puts it on its way.
            log.exception("job is taken, but has to wait for the sweep", job=job.id)
        return job

    async def _submit_for(self, work: Upload | Download, instance_id: int, run: Run) -> Job:
        return await self.submit(
            work,
            organization_id=run.organization_id,
            instance_id=instance_id,
            request_id=run.request_id,
        )

    async def cancel(self, job: Job) -> Job:
        """Cancel a job: nothing more is sent, and what was sent stays sent. One that was complete is called cancelled,
        too, as its caller expects; one that failed stays as it is."""
        cancelled = await self._ledger.cancel(job.id, self._now())
        if cancelled is None:
            return (
                await self._ledger.cancel_complete(job.id) or await self._ledger.job(job.id) or job
            )
        log.info("job cancelled", job=job.id, status=cancelled.status)
        if cancelled.is_finished:
            await self._announce(cancelled)
        return cancelled

    async def instance_changed(self, instance_id: int) -> None:
        """Connect anew, and let the instance's waiting jobs try at once."""
        await self._connections.forget(instance_id)
        for job in await self._ledger.active_jobs():
            if job.instance_id == instance_id:
                woken = await self._ledger.wake(job.id)
                if woken is not None:
                    await self._lanes.enqueue_slice(self._next(woken))

    # --- turns ---

    async def _run_slice(self, job_id: int, number: int) -> NextSlice | None:
        """Give a job its turn; the turn that follows."""
        while True:
            with self._lease.turn():
                try:
                    return await self._begin_and_end_turn(job_id, number)
                except Fenced:
                    return None
                except Unavailable:  # nothing is under way: begin again from what the ledger says
                    if self._draining.is_set():
                        raise
            await asyncio.sleep(AWAY_PAUSE_SECONDS)

    async def _begin_and_end_turn(self, job_id: int, number: int) -> NextSlice | None:
        turn = await self._written(
            lambda: self._patient_ledger.begin_slice(job_id, number, self._now(), self.name)
        )
        if turn is None:
            return await self._due(job_id, number)
        self._at_work.add(job_id)
        try:
            ending = await self._take_turn(turn)
            return await self._written(lambda: self._end_turn(turn, ending))
        finally:
            self._at_work.discard(job_id)

    async def _written(self, write: Callable[[], Awaitable[Written]]) -> Written:
        return await retry_while_disk_full(write, self._draining)

    async def _due(self, job_id: int, number: int) -> NextSlice | None:
        """The turn that a job is waiting for, where it is not the one that was asked about."""
        job = await self._patient_ledger.job(job_id)
        if job is None or job.is_finished or job.slice == number:
            return None
        return self._next(job)

    def _next(self, job: Job) -> NextSlice:
        delay = (job.waiting_until - self._now()).total_seconds() if job.waiting_until else 0.0
        return NextSlice(
            job.id, job.slice, job.instance_id if job.calls_its_service else None, max(0.0, delay)
        )

    async def _take_turn(self, turn: Turn) -> Ending:
        if turn.job.slice_attempts > MAX_SLICE_ATTEMPTS:
            return Fail(
                Status.ABORTED,
                f"failed {MAX_SLICE_ATTEMPTS} times in a row without getting anywhere",
            )
        if turn.job.status is Status.CANCELLATION_PENDING:
            return Continue()
        try:
            if turn.job.is_download:
                return await self._download(turn)
            if turn.job.records is None:
                return await self._read_file(turn)
            return await self._upload(turn)
        except (ServiceError, DiskFull) as error:
            return ending_of(error)
        except FileStoreUnavailable as error:
            log.warning("files are away", job=turn.job.id, reason=error.reason)
            return ending_of(error)
        except (Fenced, Unavailable):
            raise
        except KeyMissing as error:
            return Snooze(
                f"{error}; it goes on when that key stands in OPENBULK_MASTER_KEY again, behind the first"
            )
        except (NotFound, BadInput, FileTruncated, FileNotFoundError) as error:
            return Fail(Status.ABORTED, str(error))
        except Exception as error:
            return Crash(error)

    async def _read_file(self, turn: Turn) -> Ending:
        """Cut a job's file into parts; a large one beside the lanes, where it keeps no other job from its turn."""
        job = turn.job

        async def stop() -> bool:
            return self._draining.is_set() or await self._patient_ledger.is_cancelled(job.id)

        done = await cut(self._files, job.upload.file, await self._rows_of(job.upload), stop)
        if done is None:
            return Continue()
        await self._patient_ledger.set_parts(job.id, turn.fence, done.records, done.first_rows)
        log.info("file read", job=job.id, records=done.records)
        if not job.upload.is_small:
            return Continue()
        return await self._upload(replace(turn, job=replace(job, records=done.records)))

    async def _rows_of(self, upload: Upload) -> Callable[[], Iterator[Row]]:
        """What reads an upload's rows: out of its file, or out of what another job has read."""
        if upload.records_of is None:
            file = self._files.open(upload.file, upload.file_size)
            return partial(self._formats[upload.file_format].read, file, upload.target.options)
        read = await self._patient_ledger.job(upload.records_of)
        assert read is not None
        return partial(as_rows, await result_of(self._patient_ledger, self._files, read))

    async def _upload(self, turn: Turn) -> Ending:
        connector, deadline = await self._connector(turn.job), self._deadline(turn.job)
        ledger = self._patient_ledger
        return await UploadSlice(
            turn, connector=connector, ledger=ledger, files=self._files, deadline=deadline
        ).run()

    async def _download(self, turn: Turn) -> Ending:
        connector, deadline = await self._connector(turn.job), self._deadline(turn.job)
        ledger = self._patient_ledger
        return await DownloadSlice(
            turn, connector=connector, ledger=ledger, files=self._files, deadline=deadline
        ).run()

    def _deadline(self, job: Job) -> SliceDeadline:
        return SliceDeadline(job, self._patient_ledger, self._draining, self._now, self._lease)

    async def _connector(self, job: Job) -> Connector:
        """The connector for a job's turn, which takes no more than its share of the service's quota."""
        connection = await self._connections.to(job.instance_id)
        connection.pace.begin_slice(await self._ledger.unfinished_jobs(job.instance_id))
        return connection.connector

    async def _end_turn(self, turn: Turn, ending: Ending) -> NextSlice | None:
        job = turn.job
        match ending:
            case Fail(status=status, reason=reason):
                await self._finish(job.id, turn.fence, status, reason)
                return None
            case Complete():
                await self._finish(job.id, turn.fence, Status.COMPLETE)
                return None
            case _ if await self._patient_ledger.is_cancelled(job.id):
                await self._finish(job.id, turn.fence, Status.CANCELLED)
                return None
            case Continue():
                return await self._go_on(turn, 0.0, None)
            case Snooze(reason=reason, after=after, most=most):
                delay = wait_before_retry(turn.waits, after, random.random(), most)  # noqa: S311
                metrics.WAITS.inc()
                log.info("job waits", job=job.id, reason=reason, seconds=round(delay, 1))
                return await self._go_on(turn, delay, reason)
            case Crash(error=error):
                log.error("turn failed", job=job.id, attempt=job.slice_attempts, exc_info=error)
                return await self._go_on_after_crash(turn, error)

    async def _go_on(self, turn: Turn, delay: float, reason: str | None) -> NextSlice:
        until = self._now() + timedelta(seconds=delay) if delay else None
        return self._next(
            await self._patient_ledger.end_slice(
                turn.job.id, turn.fence, wait_until=until, wait_for=reason
            )
        )

    async def _go_on_after_crash(self, turn: Turn, error: Exception) -> NextSlice:
        delay = wait_before_retry(turn.job.slice_attempts - 1, None, 0.0)
        return self._next(
            await self._patient_ledger.end_slice(
                turn.job.id,
                turn.fence,
                crashed=True,
                wait_until=self._now() + timedelta(seconds=delay),
                wait_for=f"an unexpected failure ({type(error).__name__}); trying again",
            )
        )

    async def _finish(
        self, job_id: int, fence: int, status: Status, error: str | None = None
    ) -> None:
        job = await self._patient_ledger.finish(job_id, fence, status, now=self._now(), error=error)
        metrics.JOBS.labels(job.status).inc()
        log.info("job finished", job=job.id, status=job.status, records=job.cursor, reason=error)
        await self._announce(job)

    async def _announce(self, job: Job) -> None:
        """A job is finished: tell its caller, and go on with the workflow that it belongs to."""
        await self._notifications.announce(job)
        await self.workflows.job_finished(job)

    # --- what was left lying ---

    async def _until_next_sweep(self) -> None:
        """Half a minute; a second, where something is to be taken up again."""
        for _ in range(round(SWEEP_SECONDS / DISK_FULL_PAUSE_SECONDS)):
            await asyncio.sleep(DISK_FULL_PAUSE_SECONDS)
            if self._lanes.has_lost_work:
                return

    async def _sweep(self) -> None:
        """Put back on its way what a process that died, or for which the disk was full, dropped between ledger and
        lanes; forget what is old."""
        if taken := await self._lanes.take_back():
            log.warning("took up again what could not be written down", turns=taken)
        jobs = [job for job in await self._ledger.active_jobs() if job.id not in self._at_work]
        going_on = await self._lanes.unfinished_by_id([self._next(job).id for job in jobs])
        for job in jobs:
            match going_on.get(self._next(job).id):
                case None:
                    await self._lanes.enqueue_slice(self._next(job))
                case False if (
                    skipped := await self._ledger.skip_slice(job.id, job.slice)
                ) is not None:
                    await self._lanes.enqueue_slice(self._next(skipped))
        await self._notifications.sweep()
        await self.workflows.sweep()
        for name in await self._ledger.files_of_jobs_finished_before(
            self._now() - self._keep_files
        ):
            await self._files.delete(name)
            await self._ledger.forget_file(name)
        await self._lanes.forget(finished_before=(self._now() - KEEP_FINISHED_WORK).isoformat())

    async def delete_orphans(self) -> int:
        """Delete files that no job owns, and that no server may be receiving; how many. At the start."""
        orphans = await self._files.names() - await self._ledger.files()
        if self._heart is not None:
            old = self._now() - KEEP_ORPHANS
            orphans = frozenset([name for name in orphans if await self._files.is_older(name, old)])
        for name in orphans:
            await self._files.delete(name)
        return len(orphans)
