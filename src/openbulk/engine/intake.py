"""Takes jobs in."""

import asyncio

import structlog

from openbulk.domain.job import Download, IdempotencyKey, Job, Upload
from openbulk.engine.connections import Connections
from openbulk.engine.queue.clock import Clock
from openbulk.engine.queue.dbos_queue import LaneQueue, NextSlice
from openbulk.storage.ledger import Ledger

log = structlog.get_logger()

ENQUEUE_SECONDS = 2.0
"""The longest that a caller waits until the first slice of its job is in the queue."""


class Intake:
    """Takes jobs in, and wakes those that wait."""

    def __init__(
        self, ledger: Ledger, queue: LaneQueue, connections: Connections, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._connections = connections
        self._now = clock.now

    async def submit(
        self,
        work: Upload | Download,
        *,
        organization_id: int,
        instance_id: int,
        request_id: str | None,
        idempotency_key: IdempotencyKey | None = None,
    ) -> Job:
        """Take a job in. Once this returns, the job is done whatever happens to this process.

        Raises IdempotencyKeyTaken.
        """
        job = await self._ledger.add_job(
            work,
            organization_id=organization_id,
            instance_id=instance_id,
            request_id=request_id,
            now=self._now(),
            idempotency_key=idempotency_key,
        )
        first_slice = NextSlice.of(job, self._now())
        log.info("job created", job=job.id, instance=instance_id, object=job.object)
        try:
            async with asyncio.timeout(ENQUEUE_SECONDS):
                await self._queue.enqueue_slice(first_slice)
        except Exception:
            # The ledger has the job, so it is taken: the sweep enqueues its first slice.
            log.exception("job is taken, but has to wait for the sweep", job=job.id)
        return job

    async def instance_changed(self, instance_id: int) -> None:
        """Connect the instance again, and let its waiting jobs try at once."""
        await self._connections.forget(instance_id)
        for job in await self._ledger.active_jobs():
            if job.instance_id == instance_id:
                await self._wake(job)

    async def _wake(self, job: Job) -> None:
        # A new slice is due in place of the one that waits: the queue runs a slice once.
        woken = await self._ledger.wake(job.id)
        if woken is not None:
            await self._queue.enqueue_slice(NextSlice.of(woken, self._now()))
