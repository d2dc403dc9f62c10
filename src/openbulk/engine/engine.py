"""The engine: assembles its parts, starts, drains and stops them."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import aiohttp

from openbulk.domain.job import Job
from openbulk.engine.audit_chain import AuditChain
from openbulk.engine.completion import Completion
from openbulk.engine.connections import Connections
from openbulk.engine.file_profiles import FileProfiles
from openbulk.engine.housekeeping import Housekeeping
from openbulk.engine.intake import Intake
from openbulk.engine.job_controls import JobControls
from openbulk.engine.job_deletion import PAUSE_SECONDS, JobDeletion
from openbulk.engine.limits import LimitCheck
from openbulk.engine.notifications import Notifications
from openbulk.engine.queue.clock import Clock, seconds_since_boot
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.queue.dead_workers import Watch
from openbulk.engine.queue.heartbeat import Heartbeat
from openbulk.engine.queue.lease import Lease
from openbulk.engine.queue.periodic import run_forever
from openbulk.engine.slices.runner import SliceRunner
from openbulk.engine.slices.undo.keeping import UndoStores
from openbulk.engine.workflows.runner import Workflows
from openbulk.engine.workflows.scheduler import Scheduler
from openbulk.formats.base import Format
from openbulk.reading.readers import Readers
from openbulk.storage.accounts import Accounts
from openbulk.storage.audit import AuditLog
from openbulk.storage.deleted_jobs import DeletedJobs
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.mends import Mends
from openbulk.storage.notices import WORK
from openbulk.storage.outlook import Outlook, Outlooks
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules
from openbulk.storage.uploaded_files import UploadedFiles

BLIND_AFTER_SECONDS = 20.0
"""A process that could not look for so long what lies ahead cannot take work."""
DRAIN_SECONDS = 4.5
"""Running slices have this long to end, so that a process stops within 5 s."""


class Engine:
    """Runs jobs durably: after any crash, a job continues from its state in the ledger."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        deliveries: Deliveries,
        runs: Runs,
        limits: LimitCheck,
        schedules: Schedules,
        files: FileStore,
        mends: Mends,
        undo: UndoStores,
        readers: Readers,
        formats: Mapping[str, Format],
        accounts: Accounts,
        connections: Connections,
        queue: LaneQueue,
        http: aiohttp.ClientSession,
        present: Callable[[Job], bytes],
        deleted_jobs: DeletedJobs,
        uploaded_files: UploadedFiles,
        file_profiles: FileProfiles,
        audit: AuditLog,
        keep_files: timedelta,
        keep_jobs: timedelta,
        keep_undos: timedelta,
        keep_audit: timedelta,
        draining: asyncio.Event,
        outlooks: Outlooks,
        heartbeat: Heartbeat | None,
        watch: Watch | None,
        lease: Lease,
        clock: Clock,
        name: str,
    ) -> None:
        self.name = name
        """The name of this process among those that share its ledger."""
        self._queue = queue
        self._draining = draining
        self._outlooks = outlooks
        self._heartbeat = heartbeat
        self._watch = watch
        self._clock = clock
        self._seen_at = 0.0
        """When this process last looked what lies ahead."""
        self._lease = lease
        self._drained_by = 0.0
        self._watching: list[asyncio.Task[None]] = []
        self._periodic: list[asyncio.Task[None]] = []
        self._profiling: list[asyncio.Task[None]] = []
        self._audit = AuditChain(audit, clock, keep=keep_audit)
        self.intake = Intake(ledger, queue, connections, clock)
        self.workflows = Workflows(
            runs, ledger, self.intake.submit, limits.has_room_for_job, clock.now
        )
        self._notifications = Notifications(
            deliveries, accounts, queue, http, present, clock.now, draining
        )
        self.job_controls = JobControls(ledger, queue, clock)
        self.completion = Completion(ledger, self._notifications, self.workflows, clock)
        self.job_deletion = JobDeletion(deleted_jobs, runs, files, clock, keep_jobs=keep_jobs)
        self._runner = SliceRunner(
            ledger=ledger,
            files=files,
            mends=mends,
            undo=undo,
            readers=readers,
            formats=formats,
            connections=connections,
            announce=self.completion.announce,
            lease=lease,
            draining=draining,
            clock=clock,
            worker=name,
        )
        self._housekeeping = Housekeeping(
            ledger=ledger,
            files=files,
            mends=mends,
            undos=undo.undos,
            uploaded_files=uploaded_files,
            audit=self._audit,
            queue=queue,
            notifications=self._notifications,
            workflows=self.workflows,
            running_jobs=self._runner.running_jobs,
            keep_files=keep_files,
            keep_undos=keep_undos,
            clock=clock,
        )
        self._file_profiles = file_profiles
        self._scheduler = Scheduler(schedules, self.workflows, clock.now)

    async def start(self) -> None:
        """Start to work, and resume the work that the last process left unfinished."""
        is_shared = self._heartbeat is not None
        await self._housekeeping.delete_orphans(is_shared=is_shared)
        if not is_shared:
            await self._file_profiles.begin_alone()
            await self._audit.start_alone()
        # Before the queue: others would take over the slices of a worker that is not registered.
        if self._heartbeat is not None:
            await self._heartbeat.start()
        await self._queue.start(run_slice=self._runner.run, deliver=self._notifications.deliver)
        self._seen_at = seconds_since_boot()
        if self._watch is not None:
            watch = run_forever("dead workers", self._watch.look, self._watch.until_due)
            self._watching = [asyncio.create_task(watch)]
        sweep = run_forever("sweep", self._housekeeping.sweep, self._housekeeping.until_next_sweep)
        schedules = run_forever("schedules", self._scheduler.run_due, self._scheduler.until_due)
        delays = run_forever("delays", self._queue.enqueue_delayed, self._queue.until_delay_ends)
        # Apart from the sweep: after years without it, it takes long, and lost work does not wait.
        deletion = run_forever(
            "deletion of jobs", self.job_deletion.sweep, partial(asyncio.sleep, PAUSE_SECONDS)
        )
        profiles = run_forever(
            "profiles of files", self._file_profiles.read_all, self._file_profiles.until_next
        )
        audit = run_forever("audit log", self._audit.chain, self._audit.until_due)
        outlooks = self._outlooks.follow(self._see, self._hear)
        self._periodic = [
            asyncio.create_task(each)
            for each in (sweep, deletion, schedules, delays, audit, outlooks)
        ]
        self._profiling = [asyncio.create_task(profiles)]

    def _see(self, outlook: Outlook) -> None:
        self._seen_at = seconds_since_boot()
        if outlook.database_time is not None:
            asked_at = self._seen_at - outlook.seconds_to_read
            self._clock.set(outlook.database_time, asked_at, self._seen_at)
        if outlook.schedule_due is not None:
            self._scheduler.note_due(outlook.schedule_due)
        if outlook.has_workers and self._watch is not None:
            self._watch.note_workers()
        self._queue.see(outlook)

    def _hear(self, kind: str) -> bool:
        if self._watch is not None:
            self._watch.hear(kind)
        return kind == WORK and self._queue.hear_of_work()

    def note_schedule(self, due_at: datetime | None) -> None:
        """Take notice of when a schedule is due that was added or changed; None if never."""
        if due_at is not None:
            self._scheduler.note_due(due_at.timestamp())

    def drain(self) -> None:
        """Begin no more slices, and end the running ones.

        Their calls to the service are finished, and their outcomes are recorded.
        """
        if not self._draining.is_set():
            self._drained_by = seconds_since_boot() + DRAIN_SECONDS
            self._draining.set()
            self._queue.drain()

    @property
    def is_draining(self) -> bool:
        """Whether this process stops."""
        return self._draining.is_set()

    async def stop(self) -> None:
        """Drain, and stop. Slices that are due wait in the queue for another process."""
        self.drain()
        for task in self._periodic:
            task.cancel()
        while not self._queue.is_idle and seconds_since_boot() < self._drained_by:  # noqa: ASYNC110 - slices begin and end
            await asyncio.sleep(0.02)
        # Before the queue of this process stops: leave dead workers to other processes, and the
        # file that is read.
        for task in (*self._watching, *self._profiling):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(self._queue.stop)
        # After the queue: others take over the slices of a worker that is deregistered.
        if self._heartbeat is not None:
            await self._heartbeat.stop()

    def is_working(self) -> bool:
        """Whether this process polls its queue, and no other can consider it dead.

        One that rests polls nothing, and looks what lies ahead.
        """
        looks = seconds_since_boot() - self._seen_at < BLIND_AFTER_SECONDS
        is_resting = self._heartbeat is not None and self._heartbeat.is_resting
        is_alive = self._queue.is_polling and (is_resting or self._lease.is_fresh())
        return looks and is_alive and not self._draining.is_set()
