"""A process's right to work: with a fresh heartbeat, no other process takes its slices over."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from openbulk.domain.errors import Fenced
from openbulk.engine.queue.clock import seconds_since_boot

_life_of_slice: ContextVar[int | None] = ContextVar("openbulk_life_of_slice", default=None)
"""The life of the process in which the current slice began; None outside of slices."""


class Lease:
    """Says whether a slice may go on. Without `seconds` it is held for ever, for a single process.

    A process that was frozen finds out here when it wakes, before it sends anything: its clock has
    run on.
    """

    def __init__(
        self, seconds: float = float("inf"), clock: Callable[[], float] = seconds_since_boot
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._life = 0
        """How often the process was taken for dead."""
        self._renewed_at = clock()
        self._renewed = asyncio.Event()

    @contextmanager
    def slice(self) -> Iterator[None]:
        """A slice begins now: what happens inside belongs to it, also in tasks begun inside."""
        token = _life_of_slice.set(self._life)
        try:
            yield
        finally:
            _life_of_slice.reset(token)

    async def hold(self) -> None:
        """Return once nobody else can have taken the slice over. Raises Fenced where one has."""
        life = _life_of_slice.get()
        if life is None:
            return
        while life == self._life and not self.is_fresh():
            await self._renewed.wait()
        if life != self._life:
            raise Fenced

    def is_fresh(self) -> bool:
        """Whether the last heartbeat is so recent that no other process takes this one for dead."""
        return self._clock() - self._renewed_at < self._seconds

    def renew(self, sent_at: float) -> None:
        """A heartbeat was written, not before this moment of `clock`."""
        self._renewed_at = sent_at
        self._renewed.set()
        self._renewed = asyncio.Event()

    def lose(self) -> None:
        """The process was taken for dead: its slices belong to others now."""
        self._life += 1
