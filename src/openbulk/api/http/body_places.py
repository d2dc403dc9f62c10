"""Places for bodies that arrive at the same time: callers share them, and slow bodies give way.

A body may be slow as long as no other one waits. While another one waits for a place, a body that
is slower than its rate loses its own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Hashable

from openbulk.byte_budget import ByteBudget
from openbulk.domain.errors import BadInput

WAIT_SECONDS = 60.0
"""Maximum seconds that a request waits for a place. Its body stays with the caller meanwhile."""
PATIENCE_SECONDS = 3.0
"""A body may pause for so long, or be behind its rate by so much, before it counts as slow."""
LOOK_SECONDS = 0.25
"""While a body waits for a place, those that are slow give way one by one."""


class BodyPlaces:
    """The places of bodies, and the rate at which a body keeps its own while others wait."""

    def __init__(
        self, places: ByteBudget, bytes_per_second: int, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.budget = places
        self._patience = patience
        self._rate = bytes_per_second
        self._slow_at: dict[asyncio.Timeout, tuple[float, Hashable]] = {}
        """When each body that is waited for becomes slow, and whose it is."""

    async def take(self, size: int, owner: Hashable) -> None:
        """Wait for a place, and take it. Raises TimeoutError if none comes in time."""
        taking = asyncio.create_task(self.budget.take(size, owner))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not (await asyncio.wait({taking}, timeout=LOOK_SECONDS))[0]:
                    self._end_slowest(size, owner)
        except BaseException:
            if not taking.cancel():
                self.budget.give_back(size, owner)
            raise

    async def chunks(self, body: AsyncIterator[bytes], owner: Hashable) -> AsyncGenerator[bytes]:
        """The chunks of a body. Raises BadInput if it is slow, and another one needs its place.

        Only the time in which the caller is waited for counts.
        """
        now, patience = asyncio.get_running_loop().time, self._patience
        while True:
            begin = now()
            try:
                async with asyncio.timeout(None) as turn:
                    self._slow_at[turn] = (begin + patience, owner)
                    chunk = await anext(body, None)
            except TimeoutError as error:
                raise BadInput(
                    f"the body came more slowly than {self._rate:,} bytes a second while others "
                    "waited for its place; send it faster, or again later"
                ) from error
            finally:
                self._slow_at.pop(turn, None)
            if chunk is None:
                return
            patience += begin - now() + len(chunk) / self._rate
            patience = max(0.0, min(patience, self._patience))
            yield chunk

    def _end_slowest(self, size: int, owner: Hashable) -> None:
        """End the body that is slow for the longest time, if its place would be of use."""
        now = asyncio.get_running_loop().time()
        only_own = self.budget.keeps_waiting(owner, size)
        slow = {
            turn: slow_at
            for turn, (slow_at, whose) in self._slow_at.items()
            if slow_at < now and (whose == owner or not only_own)
        }
        if slow:
            slowest = min(slow, key=slow.__getitem__)
            del self._slow_at[slowest]
            slowest.reschedule(now)
