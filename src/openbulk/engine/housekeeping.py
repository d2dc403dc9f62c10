"""Enqueues work that processes have dropped, and deletes what is old."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta

import structlog

from openbulk.domain.job import NextSlice
from openbulk.engine.audit_chain import AuditChain
from openbulk.engine.notifications import Notifications
from openbulk.engine.queue.clock import Clock
from openbulk.engine.queue.dbos_queue import LaneQueue, slice_id
from openbulk.engine.queue.periodic import do_each
from openbulk.engine.workflows.runner import Workflows
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.mends import Mends
from openbulk.storage.undo import Undos, jobs_files_of
from openbulk.storage.uploaded_files import UploadedFiles

log = structlog.get_logger()

SWEEP_SECONDS = 30
FILES_AT_ONCE = 200
KEEP_FINISHED_SLICES = timedelta(days=1)
KEEP_ORPHANS = timedelta(days=1)
"""Another server may be receiving a file that no job owns yet. No upload takes this long."""


class Housekeeping:
    """The periodic sweep."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        files: FileStore,
        mends: Mends,
        undos: Undos,
        uploaded_files: UploadedFiles,
        audit: AuditChain,
        queue: LaneQueue,
        notifications: Notifications,
        workflows: Workflows,
        running_jobs: Collection[int],
        keep_files: timedelta,
        keep_undos: timedelta,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._mends = mends
        self._undos = undos
        self._uploaded_files = uploaded_files
        self._audit = audit
        self._queue = queue
        self._notifications = notifications
        self._workflows = workflows
        self._running_jobs = running_jobs
        self._keep_files = keep_files
        self._keep_undos = keep_undos
        self._now = clock.now

    async def until_next_sweep(self) -> None:
        """Wait half a minute; return within a second if the queue has lost work."""
        for _ in range(SWEEP_SECONDS):
            await asyncio.sleep(1.0)
            if self._queue.has_lost_work:
                return

    async def sweep(self) -> None:
        """Enqueue work that is in the ledger but not in the queue, and forget what is old.

        A process drops work if it dies, or if the disk of its queue is full. A step that fails is
        logged, and the others go on; so do the items of a step.
        """
        steps: list[Callable[[], Awaitable[object]]] = [
            self._requeue_lost_slices,
            self._enqueue_dropped_slices,
            self._notifications.sweep,
            self._workflows.sweep,
            self._forget_files,
            self._forget_uploaded_files,
            self._forget_undos,
            self._forget_slices,
            self._audit.sweep,
        ]
        await do_each(steps, lambda step: step(), lambda step: f"sweep: {step.__qualname__}")

    async def _requeue_lost_slices(self) -> None:
        if requeued := await self._queue.requeue_lost():
            log.warning("requeued slices whose end could not be recorded", slices=requeued)

    async def _forget_slices(self) -> None:
        finished_before = self._now() - KEEP_FINISHED_SLICES
        await self._queue.forget(finished_before=finished_before.isoformat())

    async def _enqueue_dropped_slices(self) -> None:
        # A job whose slice runs here was not dropped, whatever the queue records of that slice.
        running = self._running_jobs
        slices = [
            job.next_slice(self._now())
            async for job in self._ledger.active_jobs()
            if job.id not in running
        ]
        is_unfinished = await self._queue.is_unfinished_by_id([slice_id(due) for due in slices])

        async def enqueue(due: NextSlice) -> None:
            if slice_id(due) not in is_unfinished:
                await self._queue.enqueue_slice(due)
            elif not is_unfinished[slice_id(due)]:
                await self._enqueue_in_place_of(due)

        await do_each(slices, enqueue, lambda due: f"slice of job {due.job_id}")

    async def _enqueue_in_place_of(self, due: NextSlice) -> None:
        """Enqueue another slice, because the queue considers the one that is due finished."""
        skipped = await self._ledger.skip_slice(due.job_id, due.number)
        if skipped is not None:
            await self._queue.enqueue_slice(skipped.next_slice(self._now()))

    async def _forget_files(self) -> None:
        finished_before = self._now() - self._keep_files
        old = await self._ledger.files_of_jobs_finished_before(finished_before)
        await do_each(old, self._forget_file, lambda name: f"deletion of the file {name}")

    async def _forget_file(self, name: str) -> None:
        # In this order: if the process dies in between, the next sweep deletes the file again.
        await self._files.delete(name)
        await self._mends.forget(name)
        await self._ledger.forget_file(name)

    async def _forget_undos(self) -> None:
        old = await self._undos.old_files(self._now() - self._keep_undos)
        await do_each(old, self._undos.forget, lambda name: f"deletion of the undo of {name}")

    async def _forget_uploaded_files(self) -> None:
        used_before = self._now() - self._keep_files
        while old := await self._uploaded_files.delete_old(used_before, FILES_AT_ONCE):
            # What is left if the process dies here, the next start deletes as orphans.
            await do_each(old, self._files.delete, lambda name: f"deletion of the file {name}")

    async def delete_orphans(self, *, is_shared: bool) -> int:
        """Delete the files that no job owns; return their number. Called when a process starts.

        If other processes share the file store, files that they may be receiving are kept.
        """
        names = await self._files.names()
        undos = jobs_files_of(names).keys()
        owned = await self._ledger.files() | await self._uploaded_files.names() | undos
        orphans = (names - owned) | await self._undos.orphans(undos)
        if is_shared:
            old = self._now() - KEEP_ORPHANS
            orphans = frozenset([name for name in orphans if await self._files.is_older(name, old)])
        for name in orphans:
            await self._files.delete(name)
        return len(orphans)
