"""Watches over the processes that work, and takes over the slices of dead ones."""

import asyncio
import random

import structlog

from openbulk.domain.errors import Unavailable
from openbulk.engine.queue.clock import seconds_since_boot
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.queue.heartbeat import BEAT_SECONDS, DEAD_AFTER_SECONDS
from openbulk.storage.notices import LOOKED, REGISTERED
from openbulk.storage.workers import Workers

log = structlog.get_logger()

_LATE_SECONDS = (0.05, 0.25)
"""A look of another process that is this late is made here."""


class Watch:
    """Looks for dead processes once a second, while any is registered.

    That is once a second for all processes together: each look is heard by the others, which look
    only when they hear none. So it goes on if the one that looks dies or is frozen.
    """

    def __init__(self, name: str, workers: Workers, queue: LaneQueue) -> None:
        self._name = name
        self._workers = workers
        self._queue = queue
        self._is_needed = asyncio.Event()
        self._registrations = 0
        """How often a process was seen or heard to be registered."""
        self._looked_at = 0.0
        """When any process looked last, as far as this one knows."""
        self._is_ours = False
        """Whether that look was made here: then the next one is, too."""
        self._trusts_others_from = 0.0

    def note_workers(self) -> None:
        """Watch from now on: a process is registered."""
        self._registrations += 1
        self._is_needed.set()

    def hear(self, kind: str) -> None:
        """Take notice of what another process says."""
        if kind == LOOKED:
            self._looked_at = seconds_since_boot()
            self._is_ours = False
        if kind in (LOOKED, REGISTERED):
            self.note_workers()

    async def until_due(self) -> None:
        """Wait until it is time to look here."""
        while True:
            await self._is_needed.wait()
            late = 0.0 if self._is_ours else random.uniform(*_LATE_SECONDS)  # noqa: S311
            pause = self._looked_at + BEAT_SECONDS + late - seconds_since_boot()
            if pause <= 0:
                return
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Take over the slices of dead processes."""
        now = seconds_since_boot()
        if now - self._looked_at > DEAD_AFTER_SECONDS:
            # A watch begins, or this process was frozen: give the others time for a heartbeat.
            self._trusts_others_from = now + DEAD_AFTER_SECONDS
        self._looked_at = now
        self._is_ours = True
        if now < self._trusts_others_from:
            return
        registrations = self._registrations
        try:
            has_workers = await self._reap_dead()
        except Unavailable:
            # The others cannot write a heartbeat either.
            self._trusts_others_from = seconds_since_boot() + DEAD_AFTER_SECONDS
            raise
        if not has_workers and registrations == self._registrations:
            self._is_needed.clear()

    async def _reap_dead(self) -> bool:
        """Take over the slices of dead processes; return whether any process may be alive."""
        # Inside the block: a worker that wakes now learns only after the takeover that it was
        # considered dead, and so begins none of its slices again.
        async with self._workers.reap_dead(self._name, DEAD_AFTER_SECONDS) as living:
            if living is None:
                return True
            if count := await self._queue.take_over(living):
                log.warning("took over the slices of dead workers", slices=count)
            return bool(await living())
