"""Heartbeats: a process that works shows that it is alive."""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from openbulk.domain.errors import Unavailable
from openbulk.engine.queue.clock import Clock, seconds_since_boot
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.queue.lease import Lease
from openbulk.storage.workers import Workers

log = structlog.get_logger()

BEAT_SECONDS = 1.0
DEAD_AFTER_SECONDS = 5.0
"""A process is considered dead this long after its last heartbeat."""
LEASE_SECONDS = 4.0
"""Shorter than DEAD_AFTER_SECONDS: a call begun just before expiry is sent before any takeover."""
BEAT_TIMEOUT_SECONDS = 2.0
RETRY_SECONDS = 0.25


def new_name() -> str:
    """A unique name for this process."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Heartbeat:
    """Sends this process's heartbeats while it works or may soon work.

    Without a sign of work it rests: it is not registered, and no other process looks for it. It
    registers again before it takes work.
    """

    def __init__(
        self, name: str, workers: Workers, queue: LaneQueue, lease: Lease, clock: Clock
    ) -> None:
        self._name = name
        self._workers = workers
        self._queue = queue
        self._lease = lease
        self._clock = clock
        self.is_resting = False
        """Whether this process has no work, and so needs no heartbeat."""
        self._woken = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Register this process, before it takes any work."""
        await self._register()
        loop = asyncio.get_running_loop()

        def note_wake() -> None:
            loop.call_soon_threadsafe(self._woken.set)

        self._queue.polling.on_wake(note_wake)
        self._beating = asyncio.create_task(self._beat_forever())

    async def stop(self) -> None:
        """Deregister this process: others may take over its slices at once."""
        self._queue.polling.on_wake(lambda: None)
        await _cancel(self._beating)
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(BEAT_TIMEOUT_SECONDS):
                await self._workers.deregister(self._name)

    async def _register(self) -> None:
        sent_at = seconds_since_boot()
        self._note_beat(sent_at, await self._workers.register(self._name))

    async def _beat_forever(self) -> None:
        while True:
            self._woken.clear()
            has_beaten = await self._succeeds(self._beat)
            if has_beaten and self._queue.close_to_rest():
                await self._rest()
            await asyncio.sleep(BEAT_SECONDS if has_beaten else RETRY_SECONDS)

    async def _rest(self) -> None:
        """Deregister until there is a sign of work, unless some is on its way."""
        is_idle = await self._succeeds(self._leave)
        if is_idle:
            self.is_resting = True
            await self._woken.wait()
            while not await self._succeeds(self._register):  # noqa: ASYNC110 - the database
                await asyncio.sleep(RETRY_SECONDS)
            self.is_resting = False
        self._queue.reopen()

    async def _leave(self) -> None:
        """Deregister. Raises _IsWorking."""
        if await self._queue.has_work():
            raise _IsWorking
        await self._workers.rest(self._name)

    async def _succeeds(self, step: Callable[[], Awaitable[None]]) -> bool:
        """Take a step in the database; return whether it was taken."""
        try:
            async with asyncio.timeout(BEAT_TIMEOUT_SECONDS):
                await step()
        except (Unavailable, TimeoutError, _IsWorking):
            return False
        except Exception:
            # Without a heartbeat no slice of this process may continue: keep beating.
            log.exception("heartbeat failed")
            return False
        return True

    async def _beat(self) -> None:
        """Write a heartbeat."""
        sent_at = seconds_since_boot()
        now = await self._workers.beat(self._name)
        if now is None:
            log.warning("considered dead: others have taken over our slices", worker=self._name)
            self._lease.lose()
            await self._register()
        else:
            self._note_beat(sent_at, now)

    def _note_beat(self, sent_at: float, now: float) -> None:
        self._clock.set(now, sent_at, seconds_since_boot())
        self._lease.renew(sent_at)


class _IsWorking(Exception):
    """This process has work that it may not leave."""


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
