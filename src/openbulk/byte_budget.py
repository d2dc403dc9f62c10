"""Bytes that may be held at the same time."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """Whoever holds bytes takes them first, and gives them back; who comes first is served first.

    More than the whole budget is taken alone.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Wait until so many bytes are free, and take them."""
        size = min(size, self._size)
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        place = (size, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        try:
            await place[1]
        except asyncio.CancelledError:
            # The bytes may have been given in the moment in which the task was cancelled.
            if place[1].cancelled():
                self._waiting.remove(place)
            else:
                self._free += size
            self._serve()
            raise

    def take_at_once(self, size: int) -> None:
        """Take bytes even if they are not free: the others wait longer."""
        self._free -= min(size, self._size)

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        self._free += min(size, self._size)
        self._serve()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator["HeldBytes"]:
        """Take bytes for the block; it may give back some of them before its end."""
        await self.take(size)
        bytes_of_block = HeldBytes(self, min(size, self._size))
        try:
            yield bytes_of_block
        finally:
            bytes_of_block.shrink(0)

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, served = self._waiting.popleft()
            self._free -= size
            served.set_result(None)


class HeldBytes:
    """The bytes that a block holds."""

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._budget = budget
        self._size = size

    def shrink(self, size: int) -> None:
        """Keep so many bytes, and give back the others."""
        size = min(size, self._size)
        self._budget.give_back(self._size - size)
        self._size = size
