"""Bounds the memory of all slices that run in a process.

A slice holds a part of its file, the batch that it makes, and the batches in flight. Two bounds
apply to all slices together: the bytes of the batches in flight, and the number of slices that hold
records of megabytes. Slices wait in turn; a slice without a batch in flight need not wait, so that
slow calls of one service do not stop the others.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from openbulk.byte_budget import ByteBudget

IN_FLIGHT_BYTES = 16 * 1024 * 1024
"""Memory of the records in all calls in flight, but for one batch of each slice."""
LARGE_BYTES = 1024 * 1024
"""Whoever reads or sorts more than this at once needs a seat."""
SEATS = 2
"""Each of these slices takes several times the bytes of its largest record."""

Admit = Callable[[int], Awaitable[None]]
"""Waits until so many bytes may be read."""


class SliceMemory:
    """The memory of the slices of a process."""

    def __init__(self) -> None:
        self._in_flight = ByteBudget(IN_FLIGHT_BYTES)
        self._seats = asyncio.Semaphore(SEATS)

    @asynccontextmanager
    async def share(self) -> AsyncIterator["MemoryShare"]:
        """The share of one slice, until its end."""
        share = MemoryShare(self._in_flight, self._seats)
        try:
            yield share
        finally:
            share.end()


class MemoryShare:
    """What one slice holds."""

    def __init__(self, in_flight: ByteBudget, seats: asyncio.Semaphore) -> None:
        self._budget = in_flight
        self._seats = seats
        self._in_flight = 0
        self._has_seat = False

    async def take(self, size: int) -> None:
        """Wait until a batch may be sent. The first one in flight need not wait."""
        if self._in_flight == 0:
            self._budget.take_at_once(size)
        else:
            await self._budget.take(size)
        self._in_flight += size

    def give_back(self, size: int) -> None:
        """A batch is no longer in flight."""
        self._in_flight -= size
        self._budget.give_back(size)

    async def admit(self, size: int) -> None:
        """Wait until so many bytes may be read at once. The slice keeps its seat to its end."""
        if size > LARGE_BYTES and not self._has_seat:
            await self._seats.acquire()
            self._has_seat = True

    def end(self) -> None:
        """Give the seat back."""
        if self._has_seat:
            self._has_seat = False
            self._seats.release()
