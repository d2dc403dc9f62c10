"""Waits for the next of several moments."""

import asyncio
import heapq
from collections.abc import Callable

_LOOK_SECONDS = 5.0
"""The clock is looked at this often: it may be set, and a machine may sleep."""


class Alarm:
    """Moments of Unix time at which something is due."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._moments: list[float] = []
        self._is_earlier = asyncio.Event()

    def set(self, moment: float) -> None:
        """Add a moment."""
        heapq.heappush(self._moments, moment)
        self._is_earlier.set()

    def set_by(self, moment: float) -> None:
        """Add a moment, unless an earlier one is known."""
        if not self._moments or moment < self._moments[0]:
            self.set(moment)

    async def wait(self) -> None:
        """Wait until a moment has come, and forget all that have."""
        while not self._moments or self._moments[0] > self._now():
            self._is_earlier.clear()
            pause = _LOOK_SECONDS
            if self._moments:
                pause = min(pause, self._moments[0] - self._now())
            try:
                async with asyncio.timeout(pause if self._moments else None):
                    await self._is_earlier.wait()
            except TimeoutError:
                continue
        while self._moments and self._moments[0] <= self._now():
            heapq.heappop(self._moments)
