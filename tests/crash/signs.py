"""Signs of how far a run has come, for those who wait for one."""

import asyncio
from collections import defaultdict

from crash.scenario import Moment

OVER = "over"
"""All works are over."""


class Signs:
    """Signs by name. A sign that was given stays."""

    def __init__(self) -> None:
        self._signs: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.calls = 0

    def give(self, sign: str) -> None:
        """Give a sign."""
        self._signs[sign].set()

    def count_calls(self, calls: int) -> None:
        """Give the signs up to this number of calls."""
        for number in range(self.calls + 1, calls + 1):
            self.give(f"calls {number}")
        self.calls = max(self.calls, calls)

    async def wait(self, sign: str) -> None:
        """Wait until the sign is given."""
        await self._signs[sign].wait()

    async def until(self, moment: Moment) -> bool:
        """Wait for a moment. Returns whether it has come before all works are over."""
        over = asyncio.create_task(self.wait(OVER))
        here = asyncio.create_task(self._come(moment))
        await asyncio.wait((over, here), return_when=asyncio.FIRST_COMPLETED)
        has_come = here.done()
        over.cancel()
        here.cancel()
        return has_come

    async def _come(self, moment: Moment) -> None:
        if moment.after:
            await self.wait(moment.after)
        await asyncio.sleep(moment.delay)
