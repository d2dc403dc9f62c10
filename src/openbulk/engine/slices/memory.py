"""Bounds the memory of all slices that run in a process.

A slice holds a part of its file, the batch that it makes, and the batches in flight. Two bounds
apply to all slices together: the bytes of the batches in flight, and the number of slices that hold
records of megabytes. Slices wait in turn; a slice without a batch in flight need not wait, so that
slow calls of one service do not stop the others. Nor do its large records: a slice that only waits
for an answer lends its seat, and the slices of one service never take all seats.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager

from openbulk.byte_budget import ByteBudget, organization_of
from openbulk.domain.errors import SliceStopped
from openbulk.domain.records import Record

IN_FLIGHT_BYTES = 16 * 1024 * 1024
"""Memory of the records in all calls in flight, but for one batch of each slice."""
OF_ONE_SERVICE = IN_FLIGHT_BYTES // 2
LARGE_BYTES = 1024 * 1024
"""A slice that reads or sorts more than this at once needs a seat."""
SEATS = 2
"""Each of these slices takes several times the bytes of its largest record."""
LENT_SEATS = 4
"""Slices that wait for an answer and have lent their seat. Each holds its large records."""
STALLED_SECONDS = 5.0
"""A slice with calls in flight that takes and gives back nothing for so long waits for its service:
nothing that it does itself takes as long."""

Admit = Callable[[int], Awaitable[None]]
"""Waits until so many bytes may be read."""
MustStop = Callable[[], Awaitable[bool]]
STOP_POLL_SECONDS = 0.25
"""How often a slice that waits for a seat looks whether it must stop."""


class SliceMemory:
    """The memory of the slices of a process."""

    def __init__(self, stalled_after: float = STALLED_SECONDS) -> None:
        self._in_flight = ByteBudget(IN_FLIGHT_BYTES, OF_ONE_SERVICE)
        self._seats = Seats(SEATS, LENT_SEATS, stalled_after)

    @asynccontextmanager
    async def share(self, service: Hashable) -> AsyncIterator["MemoryShare"]:
        """The share of one slice that calls a service, until its end."""
        share = MemoryShare(self._in_flight, self._seats, service)
        try:
            yield share
        finally:
            if share.may_have_seat:
                share.end()


class Seats:
    """The seats of those who read a lot at once.

    One service has at most `count` of them, with those that are lent. Of those who wait, the one
    whose organization has the fewest is next, then whose service has, and then who came first.
    """

    def __init__(self, count: int, lent: int, stalled_after: float) -> None:
        self._of_one_service = count
        self._free = count
        self._free_to_lend = lent
        self._stalled_after = stalled_after
        self._seated: set[MemoryShare] = set()
        self._lenders: set[MemoryShare] = set()
        self._waiting: dict[MemoryShare, asyncio.Future[None]] = {}

    def has_own(self, share: "MemoryShare") -> bool:
        """Whether a share has a seat that it has not lent."""
        return share in self._seated

    def are_wanted_of(self, share: "MemoryShare") -> bool:
        """Whether others wait for the seat of a share."""
        return share in self._seated | self._lenders and bool(self._waiting)

    async def take(self, share: "MemoryShare", must_stop: MustStop) -> None:
        """Wait for a seat, or for one in place of the one that was lent. Raises SliceStopped."""
        turn = self._waiting[share] = asyncio.get_running_loop().create_future()
        self._serve()
        try:
            while not (await asyncio.wait({turn}, timeout=STOP_POLL_SECONDS))[0]:
                if await must_stop():
                    raise SliceStopped
                self._lend()
        except BaseException:
            if self._waiting.pop(share, None) is None:
                self.give_back(share)
            raise

    def give_back(self, share: "MemoryShare") -> None:
        """Give back what a share has, if it has a seat. The next one gets it."""
        if share in self._seated:
            self._seated.remove(share)
            self._free += 1
        elif share in self._lenders:
            self._lenders.remove(share)
            self._free_to_lend += 1
        self._serve()

    def _serve(self) -> None:
        while self._free and (share := self._next()) is not None:
            if share in self._lenders:
                self._lenders.remove(share)
                self._free_to_lend += 1
            self._seated.add(share)
            self._free -= 1
            self._waiting.pop(share).set_result(None)

    def _next(self) -> "MemoryShare | None":
        """The next share to get a seat, even if none is free."""
        holders = self._seated | self._lenders
        taken = Counter(share.service for share in holders)
        of_organization = Counter(organization_of(share.service) for share in holders)
        possible = (
            share
            for share in self._waiting
            if share in self._lenders or taken[share.service] < self._of_one_service
        )
        return min(
            possible,
            key=lambda share: (
                of_organization[organization_of(share.service)],
                taken[share.service],
            ),
            default=None,
        )

    def _lend(self) -> None:
        """Lend the seats of those who wait for their services to those who wait for a seat."""
        stalled = [one for one in self._seated if one.is_stalled(self._stalled_after)]
        for share in stalled[: self._free_to_lend]:
            if self._next() is None:
                return
            self._seated.remove(share)
            self._lenders.add(share)
            self._free_to_lend -= 1
            self._free += 1
            self._serve()


class MemoryShare:
    """What one slice holds."""

    def __init__(self, in_flight: ByteBudget, seats: Seats, service: Hashable) -> None:
        self.service = service
        self._budget = in_flight
        self._seats = seats
        self._in_flight = 0
        self._changed_at = time.monotonic()
        """When the slice has last taken something, or given it back."""
        self._turn: asyncio.Timeout | None = None
        """Ends the wait of a batch, if one waits."""
        self.may_have_seat = False
        """Whether the slice has taken one, which it may have lent."""
        self._asking = asyncio.Lock()
        """A slice and its calls may ask at the same time, and get one seat together."""

    async def take(self, size: int) -> None:
        """Wait until a batch may be sent. The only one in flight need not wait."""
        if self._in_flight == 0:
            self._budget.take_at_once(size, self.service)
        else:
            await self._wait_for(size)
        self._in_flight += size
        self._changed_at = time.monotonic()

    async def _wait_for(self, size: int) -> None:
        try:
            async with asyncio.timeout(None) as self._turn:
                await self._budget.take(size, self.service)
        except TimeoutError:  # those before it are back
            self._budget.take_at_once(size, self.service)
        finally:
            self._turn = None

    def give_back(self, size: int) -> None:
        """A batch is no longer in flight."""
        self._in_flight -= size
        self._changed_at = time.monotonic()
        self._budget.give_back(size, self.service)
        if self._in_flight == 0 and self._turn is not None:
            self._turn.reschedule(0)

    @asynccontextmanager
    async def hold(self, batch: Sequence[Record]) -> AsyncIterator[None]:
        """Send a batch in the block, as soon as it may be."""
        size = sum(record.size for record in batch)
        await self.take(size)
        try:
            yield
        finally:
            self.give_back(size)

    def is_stalled(self, after: float) -> bool:
        """Whether the slice has waited for an answer of its service for so many seconds."""
        return self._in_flight > 0 and time.monotonic() - self._changed_at >= after

    async def admit(self, size: int, must_stop: MustStop) -> None:
        """Wait until so many bytes may be read at once.

        The slice keeps its seat to its end, or until it lends it. Raises SliceStopped once the
        slice must stop.
        """
        if size <= LARGE_BYTES:
            return
        self.may_have_seat = True
        async with self._asking:
            if not self._seats.has_own(self):
                await self._seats.take(self, must_stop)
            self._changed_at = time.monotonic()

    @property
    def is_wanted(self) -> bool:
        """Whether others wait for the seat that the slice has."""
        return self._seats.are_wanted_of(self)

    def end(self) -> None:
        """Give the seat back."""
        self._seats.give_back(self)
