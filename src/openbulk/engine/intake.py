"""Accepts jobs."""

import asyncio
from collections.abc import Callable

import structlog

from openbulk.domain.approvals import NOBODY_KNOWN, Author
from openbulk.domain.audit import Deed
from openbulk.domain.errors import BadInput, NotFound, SignInAgain
from openbulk.domain.instance import CallingInstance
from openbulk.domain.job import Download, IdempotencyKey, Job, Upload
from openbulk.domain.records import Target
from openbulk.engine.connections import Connections
from openbulk.engine.queue.clock import Clock
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.upload_check import require_permission, require_possible
from openbulk.formats.recognition import Inspection
from openbulk.storage.ledger import Ledger
from openbulk.storage.retries import RetriedRows

log = structlog.get_logger()

ENQUEUE_SECONDS = 2.0
"""Maximum seconds that a caller waits for the first slice of its job to be enqueued."""


class Intake:
    """Accepts jobs, and wakes waiting ones."""

    def __init__(
        self, ledger: Ledger, queue: LaneQueue, connections: Connections, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._connections = connections
        self._now = clock.now

    async def require_possible(
        self, instance: CallingInstance, target: Target, file: Inspection
    ) -> None:
        """Raise BadInput if no record of a file can work, with what would be right.

        Returns if the instance cannot be connected: the job will say why it waits, or ends.
        """
        try:
            connection = await self._connections.to_version(instance.id, instance.version)
        except (BadInput, NotFound, SignInAgain):
            return
        try:
            await require_possible(target, file, connection.connector)
        except BadInput:
            # Connectors remember what an object is like, and it may have changed since.
            async with self._connections.another(instance.id) as connector:
                await require_possible(target, file, connector)
            await self._connections.forget(instance.id)

    async def require_permission(self, instance: CallingInstance, target: Target) -> None:
        """Raise BadInput if an object takes no files, whatever is in them. Else as above."""
        try:
            connection = await self._connections.to_version(instance.id, instance.version)
        except (BadInput, NotFound, SignInAgain):
            return
        await require_permission(target, connection.connector)

    async def submit(
        self,
        work: Upload | Download,
        *,
        organization_id: int,
        instance_id: int,
        request_id: str | None,
        idempotency_key: IdempotencyKey | None = None,
        retried: RetriedRows | None = None,
        deed: Callable[[int], Deed] | None = None,
        author: Author = NOBODY_KNOWN,
    ) -> Job:
        """Accept a job. Once this returns, the job will be done, even if this process dies.

        `retried` are the rows of a retry. `deed` makes the entry of the audit log that is written
        with the job. Raises IdempotencyKeyTaken, and Conflict if another job
        retries one of them.
        """
        job = await self._ledger.add_job(
            work,
            organization_id=organization_id,
            instance_id=instance_id,
            request_id=request_id,
            now=self._now(),
            idempotency_key=idempotency_key,
            retried=retried,
            deed=deed,
            author=author,
        )
        first_slice = job.next_slice(self._now())
        log.info("job created", job=job.id, instance=instance_id, object=job.object)
        try:
            async with asyncio.timeout(ENQUEUE_SECONDS):
                await self._queue.enqueue_slice(first_slice)
        except Exception:
            # The ledger has the job, so it is accepted: the sweep enqueues its first slice.
            log.exception("job is accepted, but has to wait for the sweep", job=job.id)
        return job

    async def instance_changed(self, instance_id: int) -> None:
        """Reconnect the instance, and let its waiting jobs try at once."""
        await self._connections.forget(instance_id)
        async for job in self._ledger.active_jobs():
            if job.instance_id == instance_id:
                await self._wake(job)

    async def _wake(self, job: Job) -> None:
        # A new slice replaces the waiting one, because the queue runs each slice once.
        woken = await self._ledger.wake(job.id, self._now())
        if woken is not None:
            await self._queue.enqueue_slice(woken.next_slice(self._now()))
