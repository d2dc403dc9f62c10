"""What a caller may want of a job that has begun: pause, resume, go slower, go before others."""

from collections.abc import Mapping
from typing import Any

import structlog

from openbulk.domain.job import Job
from openbulk.engine.queue.clock import Clock
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.storage.ledger import Ledger

log = structlog.get_logger()


class JobControls:
    """Pauses and resumes jobs, changes their pace and priority. Finished ones stay as they are."""

    def __init__(self, ledger: Ledger, queue: LaneQueue, clock: Clock) -> None:
        self._ledger = ledger
        self._queue = queue
        self._now = clock.now

    async def pause(self, job: Job) -> Job:
        """Pause a job: calls in flight are finished and recorded, and no others are made."""
        paused = await self._ledger.pause(job.id)
        if paused is None:
            return await self._now_of(job)
        log.info("job paused", job=job.id)
        return paused

    async def resume(self, job: Job) -> Job:
        """Resume a job where it was paused. One that is not paused goes on as it is."""
        resumed = await self._ledger.resume(job.id)
        if resumed is None:
            return await self._now_of(job)
        log.info("job resumed", job=job.id)
        # The sweep enqueues it if this fails.
        await self._queue.enqueue_slice(resumed.next_slice(self._now()))
        return resumed

    async def change(self, job: Job, controls: Mapping[str, Any]) -> Job:
        """Change `priority` or `calls_per_minute`, which the next slice goes by."""
        changed = await self._ledger.change_controls(job.id, controls)
        if changed is None:
            return await self._now_of(job)
        log.info("job controls changed", job=job.id, **controls)
        # It may wait for its own calls a minute, or for a job of a higher priority.
        woken = None if changed.is_paused else await self._ledger.wake(job.id, self._now())
        if woken is None:
            return changed
        await self._queue.enqueue_slice(woken.next_slice(self._now()))
        return woken

    async def _now_of(self, job: Job) -> Job:
        return await self._ledger.job(job.id) or job
