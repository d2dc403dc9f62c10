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
from openbulk.domain.errors import SliceStopped

IN_FLIGHT_BYTES = 16 * 1024 * 1024
"""Memory of the records in all calls in flight, but for one batch of each slice."""
LARGE_BYTES = 1024 * 1024
"""Whoever reads or sorts more than this at once needs a seat."""
SEATS = 2
"""Each of these slices takes several times the bytes of its largest record."""

Admit = Callable[[int], Awaitable[None]]
"""Waits until so many bytes may be read."""
MustStop = Callable[[], Awaitable[bool]]
STOP_POLL_SECONDS = 0.25
"""How often a slice that waits for a seat looks whether it must stop."""


class SliceMemory:
    """The memory of the slices of a process."""

    def __init__(self) -> None:
        self._in_flight = ByteBudget(IN_FLIGHT_BYTES)
        self._seats = Seats(SEATS)

    @asynccontextmanager
    async def share(self) -> AsyncIterator["MemoryShare"]:
        """The share of one slice, until its end."""
        share = MemoryShare(self._in_flight, self._seats)
        try:
            yield share
        finally:
            share.end()


class Seats:
    """The seats of those who read a lot at once."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._waiting = 0

    @property
    def are_wanted(self) -> bool:
        """Whether somebody waits for one."""
        return self._waiting > 0

    async def take(self, must_stop: MustStop) -> None:
        """Wait for a seat. Raises SliceStopped."""
        taking = asyncio.create_task(self._free.acquire())
        self._waiting += 1
        try:
            while not (await asyncio.wait({taking}, timeout=STOP_POLL_SECONDS))[0]:
                if await must_stop():
                    raise SliceStopped
        except BaseException:
            if not taking.cancel():
                self._free.release()
            raise
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        """The next one gets it."""
        self._free.release()


class MemoryShare:
    """What one slice holds."""

    def __init__(self, in_flight: ByteBudget, seats: Seats) -> None:
        self._budget = in_flight
        self._seats = seats
        self._in_flight = 0
        self._has_seat = False
        self._turn: asyncio.Timeout | None = None
        """Ends the wait of a batch, if one waits."""
        self._asking = asyncio.Lock()
        """A slice and its calls may ask at the same time, and get one seat together."""

    async def take(self, size: int) -> None:
        """Wait until a batch may be sent. The only one in flight need not wait."""
        if self._in_flight == 0:
            self._budget.take_at_once(size)
        else:
            await self._wait_for(size)
        self._in_flight += size

    async def _wait_for(self, size: int) -> None:
        try:
            async with asyncio.timeout(None) as self._turn:
                await self._budget.take(size)
        except TimeoutError:  # those before it are back
            self._budget.take_at_once(size)
        finally:
            self._turn = None

    def give_back(self, size: int) -> None:
        """A batch is no longer in flight."""
        self._in_flight -= size
        self._budget.give_back(size)
        if self._in_flight == 0 and self._turn is not None:
            self._turn.reschedule(0)

    async def admit(self, size: int, must_stop: MustStop) -> None:
        """Wait until so many bytes may be read at once. The slice keeps its seat to its end.

        Raises SliceStopped once the slice must stop.
        """
        if size <= LARGE_BYTES:
            return
        async with self._asking:
            if not self._has_seat:
                await self._seats.take(must_stop)
                self._has_seat = True

    @property
    def is_wanted(self) -> bool:
        """Whether others wait for the seat that the slice has."""
        return self._has_seat and self._seats.are_wanted

    def end(self) -> None:
        """Give the seat back."""
        if self._has_seat:
            self._has_seat = False
            self._seats.give_back()
