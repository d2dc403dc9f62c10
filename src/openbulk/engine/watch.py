"""Whose turn it is, and for how long."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from openbulk.domain.job import Job
from openbulk.engine.lease import Lease
from openbulk.storage.ledger import Ledger

TURN_SECONDS = 2.0
LONGEST_TURN_SECONDS = 30.0


class Watch:
    """Says when a turn is over: after about two seconds where another job waits for the lane, else after half a minute;
    at once where the job is cancelled or the process is asked to stop."""

    def __init__(
        self,
        job: Job,
        ledger: Ledger,
        draining: asyncio.Event,
        now: Callable[[], datetime],
        lease: Lease | None = None,
    ) -> None:
        self._job = job
        self._ledger = ledger
        self._draining = draining
        self._now = now
        self._lease = lease or Lease()
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()

    async def hold(self) -> None:
        """Return as soon as it is certain that the turn is still this process's. Raises Fenced where it is not."""
        await self._lease.hold()

    async def is_called_off(self) -> bool:
        """Whether the job is cancelled, or the process is asked to stop."""
        return self._draining.is_set() or await self._ledger.is_cancelled(self._job.id)

    async def is_over(self) -> bool:
        """Whether to end the turn."""
        lasted = self._clock() - self._began
        return (
            lasted > LONGEST_TURN_SECONDS
            or await self.is_called_off()
            or (lasted > TURN_SECONDS and await self._ledger.has_rival(self._job, self._now()))
        )
