"""Waits for an unavailable database or a full disk, instead of failing."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from openbulk.domain.errors import DiskFull, Unavailable

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 1.0
"""Seconds between two attempts to reach the database: doubled from the first to the last."""
DISK_FULL_PAUSE_SECONDS = 1.0
REMINDER_SECONDS = 30.0

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]


class Outage:
    """Logs an unavailable database: once, then every half minute, and once when it is back.

    Any number of callers may wait for it, in any threads: together they log once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began_at: float | None = None
        self._logged_at = 0.0

    def report_failure(self, error: BaseException) -> None:
        """Report that a caller waits because of this error."""
        with self._lock:
            now = self._clock()
            if self._began_at is None:
                self._began_at = now
            elif now - self._logged_at < REMINDER_SECONDS:
                return
            self._logged_at = now
            reason = " ".join(str(error).split())  # PostgreSQL's messages have several lines
            seconds = round(now - self._began_at)
            log.warning("database is unavailable", reason=reason, seconds=seconds)

    def report_success(self) -> None:
        """Report that a caller which waited got its answer."""
        with self._lock:
            if self._began_at is not None:
                seconds = round(self._clock() - self._began_at, 1)
                log.warning("database is back", seconds=seconds)
                self._began_at = None


outage = Outage()
"""The outage of this process's database, which the ledger and the lanes share."""


async def retry_while_unavailable(call: Call[T], draining: asyncio.Event) -> T:
    """Make a call to the database, and repeat it while the database is unavailable.

    The call must do no harm when it is made twice: the answer to the first may have been lost.
    Raises Unavailable if the database is unavailable while the process drains.
    """
    pause = FIRST_PAUSE_SECONDS
    has_waited = False
    while True:
        try:
            result = await call()
        except Unavailable as error:
            if draining.is_set():
                raise
            outage.report_failure(error.__cause__ or error)
        else:
            if has_waited:
                outage.report_success()
            return result
        has_waited = True
        await asyncio.sleep(pause)
        pause = min(MAX_PAUSE_SECONDS, pause * 2)


async def retry_while_disk_full(call: Call[T], draining: asyncio.Event) -> T:
    """Make a call that writes, and repeat it while the disk is full.

    Raises DiskFull if the disk is full while the process drains.
    """
    while True:
        try:
            return await call()
        except DiskFull as error:
            log.warning("disk is full", needed_for=error.what)
            with suppress(TimeoutError):
                await asyncio.wait_for(draining.wait(), DISK_FULL_PAUSE_SECONDS)
            if draining.is_set():
                raise


async def retry_until_written(call: Call[T], draining: asyncio.Event) -> T:
    """Make a write that must not be lost: wait while database or disk do not allow it."""

    async def write() -> T:
        return await retry_while_unavailable(call, draining)

    return await retry_while_disk_full(write, draining)
