"""What is seen of a run from outside, for those who wait for it."""

import asyncio
from collections import defaultdict

from crash.scenario import Moment

LATEST_SECONDS = 6.0
"""A sign that has not come by then is not waited for."""


class Signs:
    """Signs by name; given once, they stay."""

    def __init__(self) -> None:
        self._signs: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.calls = 0

    def give(self, sign: str) -> None:
        """It has happened."""
        self._signs[sign].set()

    def count_calls(self, calls: int) -> None:
        """The sandbox has had so many calls."""
        for number in range(self.calls + 1, calls + 1):
            self.give(f"calls {number}")
        self.calls = max(self.calls, calls)

    async def wait(self, sign: str) -> None:
        """Until it has happened."""
        await self._signs[sign].wait()

    async def until(self, moment: Moment) -> None:
        """Wait for a moment."""
        if moment.behind:
            try:
                await asyncio.wait_for(self.wait(moment.behind), LATEST_SECONDS)
            except TimeoutError:
                return
        await asyncio.sleep(moment.delay)
