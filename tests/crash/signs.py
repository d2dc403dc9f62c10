"""What is seen of a run from outside, for those who wait for it."""

import asyncio
from collections import defaultdict

from crash.scenario import Moment

OVER = "over"
"""The sign that all works are over."""


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

    async def until(self, moment: Moment) -> bool:
        """Wait for a moment; whether it has come before all was over."""
        over = asyncio.create_task(self.wait(OVER))
        here = asyncio.create_task(self._come(moment))
        await asyncio.wait((over, here), return_when=asyncio.FIRST_COMPLETED)
        has_come = here.done()
        over.cancel()
        here.cancel()
        return has_come

    async def _come(self, moment: Moment) -> None:
        if moment.behind:
            await self.wait(moment.behind)
        await asyncio.sleep(moment.delay)
