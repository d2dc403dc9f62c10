"""A process's right to work: while its heartbeat is fresh, no other takes over its slices."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from openbulk.domain.errors import Fenced
from openbulk.engine.queue.clock import seconds_since_boot

_epoch_of_slice: ContextVar[int | None] = ContextVar("openbulk_epoch_of_slice", default=None)
"""The epoch of the lease in which the current slice began; None outside of slices."""


class Lease:
    """Decides whether a slice may continue. Without `seconds`, the process holds it forever.

    A frozen process notices here when it wakes, before it sends anything: its clock has kept
    running.
    """

    def __init__(
        self, seconds: float | None = None, clock: Callable[[], float] = seconds_since_boot
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._epoch = 0
        """How often the process was considered dead."""
        self._renewed_at = clock()
        self._renewed = asyncio.Event()

    @contextmanager
    def slice(self) -> Iterator[None]:
        """Begin a slice: the code inside belongs to it, including tasks that it starts."""
        token = _epoch_of_slice.set(self._epoch)
        try:
            yield
        finally:
            _epoch_of_slice.reset(token)

    async def wait_until_held(self) -> None:
        """Wait until the lease is valid. Raises Fenced if another process has taken over."""
        epoch = _epoch_of_slice.get()
        if epoch is None:
            return
        while epoch == self._epoch and not self.is_fresh():
            await self._renewed.wait()
        if epoch != self._epoch:
            raise Fenced

    def is_fresh(self) -> bool:
        """Whether the heartbeat is recent: no other process may consider this one dead."""
        return self._seconds is None or self._clock() - self._renewed_at < self._seconds

    def renew(self, sent_at: float) -> None:
        """Renew the lease: a heartbeat was written, no earlier than this time of `clock`."""
        self._renewed_at = sent_at
        self._renewed.set()
        self._renewed = asyncio.Event()

    def lose(self) -> None:
        """Lose the lease: the process was considered dead, and others own its slices now."""
        self._epoch += 1
