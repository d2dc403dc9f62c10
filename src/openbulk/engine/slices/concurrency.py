"""How many calls of a turn are under way: few at first, and one more for each answer, up to what the service takes."""

import asyncio

from openbulk.connectors.base import Features


class ConcurrencyLimiter:
    """Places for calls under way. A turn that is refused something ends, and the next one begins with few again."""

    def __init__(self, features: Features) -> None:
        self._width = features.initial_concurrency or features.concurrency
        self._most = features.concurrency
        self._free = asyncio.Semaphore(self._width)

    async def acquire(self) -> None:
        """Wait for a place."""
        await self._free.acquire()

    def release(self) -> None:
        """A call is over: its place is free, and another one beside it while there are fewer than there may be."""
        self._free.release()
        if self._width < self._most:
            self._width += 1
            self._free.release()
