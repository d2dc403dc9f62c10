"""The engine: assembles its parts, starts, drains and stops them."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

import aiohttp

from openbulk.domain.job import Job
from openbulk.engine.completion import Completion
from openbulk.engine.connections import Connections
from openbulk.engine.housekeeping import Housekeeping
from openbulk.engine.intake import Intake
from openbulk.engine.job_deletion import JobDeletion
from openbulk.engine.notifications import Notifications
from openbulk.engine.queue.clock import Clock, seconds_since_boot
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.queue.heartbeat import Heartbeat
from openbulk.engine.queue.lease import Lease
from openbulk.engine.queue.periodic import run_forever
from openbulk.engine.slices.runner import SliceRunner
from openbulk.engine.workflows.runner import Workflows
from openbulk.engine.workflows.scheduler import SCHEDULE_POLL_SECONDS, Scheduler
from openbulk.formats.base import Format
from openbulk.reading.readers import Readers
from openbulk.storage.accounts import Accounts
from openbulk.storage.deleted_jobs import DeletedJobs
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules

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
        schedules: Schedules,
        files: FileStore,
        readers: Readers,
        formats: Mapping[str, Format],
        accounts: Accounts,
        connections: Connections,
        queue: LaneQueue,
        http: aiohttp.ClientSession,
        present: Callable[[Job], bytes],
        deleted_jobs: DeletedJobs,
        keep_files: timedelta,
        keep_jobs: timedelta,
        draining: asyncio.Event,
        heartbeat: Heartbeat | None,
        lease: Lease,
        clock: Clock,
        name: str,
    ) -> None:
        self.name = name
        """The name of this process among those that share its ledger."""
        self._queue = queue
        self._draining = draining
        self._heartbeat = heartbeat
        self._lease = lease
        self._drained_by = 0.0
        self._periodic: list[asyncio.Task[None]] = []
        self.intake = Intake(ledger, queue, connections, clock)
        self.workflows = Workflows(runs, ledger, self.intake.submit, clock.now)
        self._notifications = Notifications(
            deliveries, accounts, queue, http, present, clock.now, draining
        )
        self.completion = Completion(ledger, self._notifications, self.workflows, clock)
        self.job_deletion = JobDeletion(deleted_jobs, runs, files, clock, keep_jobs=keep_jobs)
        self._runner = SliceRunner(
            ledger=ledger,
            files=files,
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
            queue=queue,
            notifications=self._notifications,
            workflows=self.workflows,
            job_deletion=self.job_deletion,
            running_jobs=self._runner.running_jobs,
            keep_files=keep_files,
            clock=clock,
        )
        self._scheduler = Scheduler(schedules, self.workflows, clock.now)

    async def start(self) -> None:
        """Start to work, and resume the work that the last process left unfinished."""
        is_shared = self._heartbeat is not None
        await self._housekeeping.delete_orphans(is_shared=is_shared)
        # Before the queue: others would take over the slices of a worker that is not registered.
        if self._heartbeat is not None:
            await self._heartbeat.start()
        await self._queue.start(run_slice=self._runner.run, deliver=self._notifications.deliver)
        sweep = run_forever("sweep", self._housekeeping.sweep, self._housekeeping.until_next_sweep)
        schedules = run_forever(
            "schedules", self._scheduler.run_due, partial(asyncio.sleep, SCHEDULE_POLL_SECONDS)
        )
        self._periodic = [asyncio.create_task(sweep), asyncio.create_task(schedules)]

    def drain(self) -> None:
        """Begin no more slices, and end the running ones.

        Their calls to the service are finished, and their outcomes are recorded.
        """
        if not self._draining.is_set():
            self._drained_by = seconds_since_boot() + DRAIN_SECONDS
            self._draining.set()
            self._queue.drain()

    async def stop(self) -> None:
        """Drain, and stop. Slices that are due wait in the queue for another process."""
        self.drain()
        for task in self._periodic:
            task.cancel()
        while not self._queue.is_idle and seconds_since_boot() < self._drained_by:  # noqa: ASYNC110 - slices begin and end
            await asyncio.sleep(0.02)
        if self._heartbeat is not None:
            await self._heartbeat.stop_watching()
        await asyncio.to_thread(self._queue.stop)
        # After the queue: others take over the slices of a worker that is deregistered.
        if self._heartbeat is not None:
            await self._heartbeat.stop()

    def is_working(self) -> bool:
        """Whether this process polls its queue, and no other can consider it dead."""
        is_alive = self._queue.is_polling and self._lease.is_fresh()
        return is_alive and not self._draining.is_set()
