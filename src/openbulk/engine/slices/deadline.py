"""Whose turn it is, and for how long."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

import structlog

from openbulk.domain.errors import DiskFull
from openbulk.domain.job import Job
from openbulk.engine.queue.lease import Lease
from openbulk.storage.ledger import Ledger

log = structlog.get_logger()
SLICE_SECONDS = 2.0
LONGEST_SLICE_SECONDS = 30.0
DISK_FULL_PAUSE_SECONDS = 1.0
"""How often a full disk is tried again."""


Written = TypeVar("Written")


async def happens_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, and no longer than so many seconds; whether it has happened."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def retry_while_disk_full(
    write: Callable[[], Awaitable[Written]], draining: asyncio.Event
) -> Written:
    """Write something down that must not be lost: again and again, as long as the disk is full.

    Raises DiskFull where the process is asked to stop meanwhile.
    """
    while True:
        try:
            return await write()
        except DiskFull as error:
            log.warning("no room on the disk", what=error.what)
            if await happens_within(draining, DISK_FULL_PAUSE_SECONDS):
                raise


class SliceDeadline:
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

    async def written(self, write: Callable[[], Awaitable[Written]]) -> Written:
        """Write down what became of records, as soon as there is room for it."""
        return await retry_while_disk_full(write, self._draining)

    async def is_called_off(self) -> bool:
        """Whether the job is cancelled, or the process is asked to stop."""
        return self._draining.is_set() or await self._ledger.is_cancelled(self._job.id)

    async def is_over(self) -> bool:
        """Whether to end the turn."""
        lasted = self._clock() - self._began
        return (
            lasted > LONGEST_SLICE_SECONDS
            or await self.is_called_off()
            or (
                lasted > SLICE_SECONDS
                and await self._ledger.another_job_is_ready(self._job, self._now())
            )
        )
