"""Decides when a slice ends."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from openbulk.engine.slices.memory import MemoryShare
from openbulk.storage.slice_ledger import SliceLedger

SLICE_SECONDS = 2.0
MAX_SLICE_SECONDS = 30.0


class SliceDeadline:
    """Decides when a slice ends.

    That is after about two seconds if another job waits for the lane or for the seat that the slice
    has, else after half a minute; at once if the job is cancelled or paused, or the process is
    draining.
    """

    def __init__(
        self,
        ledger: SliceLedger,
        draining: asyncio.Event,
        now: Callable[[], datetime],
        memory: MemoryShare | None = None,
    ) -> None:
        """`memory` is None for a slice that only cuts a file."""
        self._memory = memory
        self._ledger = ledger
        self._draining = draining
        self._now = now
        self._clock = asyncio.get_running_loop().time
        self._began_at = self._clock()

    async def must_stop(self) -> bool:
        """Whether the job is cancelled or paused, or the process is draining."""
        return self._draining.is_set() or await self._ledger.is_stopped()

    async def is_over(self) -> bool:
        """Whether the slice must end now."""
        seconds = self._clock() - self._began_at
        if seconds > MAX_SLICE_SECONDS or await self.must_stop():
            return True
        if seconds <= SLICE_SECONDS:
            return False
        if self._memory is not None and self._memory.is_wanted:
            return True
        return await self._ledger.another_job_is_ready(self._now())
