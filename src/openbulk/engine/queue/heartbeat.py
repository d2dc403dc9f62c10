"""Who lives and who has died: each process says that it lives, and takes over what the dead have left."""

import asyncio
import os
import secrets
import socket
from contextlib import suppress
from functools import partial

import structlog

from openbulk.domain.errors import Unavailable
from openbulk.engine.queue.clock import Clock, elapsed
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.queue.lease import Lease
from openbulk.engine.queue.periodic import run_forever
from openbulk.storage.workers import Workers

log = structlog.get_logger()

BEAT_SECONDS = 1.0
DEAD_AFTER_SECONDS = 5.0
"""A process that was not heard of for so long is taken for dead."""
LEASE_SECONDS = 4.0
"""It stops before that by itself: a call that it begins now leaves it before anybody has taken over."""
BEAT_PATIENCE_SECONDS = 2.0
RETRY_SECONDS = 0.25


def new_name() -> str:
    """A name for this process that none has had before."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Heartbeat:
    """Keeps this process alive in the eyes of the others, and watches them."""

    def __init__(
        self, name: str, workers: Workers, lanes: LaneQueue, lease: Lease, clock: Clock
    ) -> None:
        self._name = name
        self._workers = workers
        self._lanes = lanes
        self._lease = lease
        self._clock = clock
        self._beaten_at = 0.0
        self._trusts_from = 0.0
        self._beating: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Be there, before any work is taken."""
        await self._arrive()
        self._beating = asyncio.create_task(self._beat_for_ever())
        self._watching = asyncio.create_task(
            run_forever("the dead", self._deadline, partial(asyncio.sleep, BEAT_SECONDS))
        )

    async def stop_watching(self) -> None:
        """Leave the dead to others, while this process still lives: before its lanes are closed."""
        await _end(self._watching)

    async def stop(self) -> None:
        """Say that this process works no longer: others take up at once what it has left undone."""
        await self.stop_watching()
        await _end(self._beating)
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(BEAT_PATIENCE_SECONDS):
                await self._workers.deregister(self._name)

    async def _arrive(self) -> None:
        asked_at = elapsed()
        self._heard(asked_at, await self._workers.register(self._name))

    async def _beat_for_ever(self) -> None:
        while True:
            pause = BEAT_SECONDS if await self._beat() else RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _beat(self) -> bool:
        """Whether the process was heard of."""
        asked_at = elapsed()
        try:
            async with asyncio.timeout(BEAT_PATIENCE_SECONDS):
                now = await self._workers.beat(self._name)
                if now is None:
                    log.warning(
                        "taken for dead: others have taken over what was under way here",
                        worker=self._name,
                    )
                    self._lease.lose()
                    await self._arrive()
                else:
                    self._heard(asked_at, now)
        except (Unavailable, TimeoutError):
            return False
        except Exception:  # without a heart nothing here may work: it goes on beating
            log.exception("heartbeat failed")
            return False
        return True

    def _heard(self, asked_at: float, now: float) -> None:
        answered_at = elapsed()
        if answered_at - self._beaten_at > DEAD_AFTER_SECONDS:
            # The database was away, or this process was: the others get time to be heard of, too.
            self._trusts_from = answered_at + DEAD_AFTER_SECONDS
        self._beaten_at = answered_at
        self._clock.set(now, asked_at, answered_at)
        self._lease.renew(asked_at)

    async def _deadline(self) -> None:
        if not self._lease.is_fresh() or elapsed() <= self._trusts_from:
            return
        async with self._workers.reap_dead(DEAD_AFTER_SECONDS) as living:
            if living is not None and (taken := await self._lanes.take_over(living)):
                log.warning("took over what dead processes had left", turns=taken)


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
