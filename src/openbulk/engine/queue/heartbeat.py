"""Heartbeats: a process shows that it is alive, and takes over the slices of dead processes."""

import asyncio
import os
import secrets
import socket
from contextlib import suppress
from functools import partial

import structlog

from openbulk.domain.errors import Unavailable
from openbulk.engine.queue.clock import Clock, seconds_since_boot
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.queue.lease import Lease
from openbulk.engine.queue.periodic import run_forever
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
    """Sends this process's heartbeats, and takes over slices of dead processes."""

    def __init__(
        self, name: str, workers: Workers, queue: LaneQueue, lease: Lease, clock: Clock
    ) -> None:
        self._name = name
        self._workers = workers
        self._queue = queue
        self._lease = lease
        self._clock = clock
        self._beat_at = 0.0
        self._trusts_others_from = 0.0
        self._beating: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Register this process, before it takes any work."""
        await self._register()
        self._beating = asyncio.create_task(self._beat_forever())
        self._watching = asyncio.create_task(
            run_forever("dead workers", self._reap_dead, partial(asyncio.sleep, BEAT_SECONDS))
        )

    async def stop_watching(self) -> None:
        """Leave dead workers to other processes. Call it before the queue of this process stops."""
        await _cancel(self._watching)

    async def stop(self) -> None:
        """Deregister this process: others may take over its slices at once."""
        await self.stop_watching()
        await _cancel(self._beating)
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(BEAT_TIMEOUT_SECONDS):
                await self._workers.deregister(self._name)

    async def _register(self) -> None:
        sent_at = seconds_since_boot()
        self._note_beat(sent_at, await self._workers.register(self._name))

    async def _beat_forever(self) -> None:
        while True:
            pause = BEAT_SECONDS if await self._beat() else RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _beat(self) -> bool:
        """Write a heartbeat; return whether it was written."""
        sent_at = seconds_since_boot()
        try:
            async with asyncio.timeout(BEAT_TIMEOUT_SECONDS):
                now = await self._workers.beat(self._name)
                if now is None:
                    await self._register_again()
                else:
                    self._note_beat(sent_at, now)
        except (Unavailable, TimeoutError):
            return False
        except Exception:
            # Without a heartbeat no slice of this process may continue: keep beating.
            log.exception("heartbeat failed")
            return False
        return True

    async def _register_again(self) -> None:
        log.warning("considered dead: others have taken over our slices", worker=self._name)
        self._lease.lose()
        await self._register()

    def _note_beat(self, sent_at: float, now: float) -> None:
        received_at = seconds_since_boot()
        if received_at - self._beat_at > DEAD_AFTER_SECONDS:
            # The database was unavailable, or this process was frozen: give the others time to
            # write a heartbeat, too.
            self._trusts_others_from = received_at + DEAD_AFTER_SECONDS
        self._beat_at = received_at
        self._clock.set(now, sent_at, received_at)
        self._lease.renew(sent_at)

    async def _reap_dead(self) -> None:
        if not self._lease.is_fresh() or seconds_since_boot() <= self._trusts_others_from:
            return
        # Inside the block: a worker that wakes now learns only after the takeover that it was
        # considered dead, and so begins none of its slices again.
        async with self._workers.reap_dead(DEAD_AFTER_SECONDS) as living:
            if living is not None and (count := await self._queue.take_over(living)):
                log.warning("took over the slices of dead workers", slices=count)


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
