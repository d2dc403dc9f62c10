"""Pauses of long work on the event loop."""

import asyncio
from time import monotonic

PAUSE_SECONDS = 0.02
"""Work on many records pauses after so long, so that others can work."""


class Pauses:
    """The pauses of one piece of work."""

    def __init__(self) -> None:
        self._due_at = monotonic() + PAUSE_SECONDS

    async def take_if_due(self) -> None:
        """Let others work, if this work has gone on for long. Call it at each record."""
        if monotonic() > self._due_at:
            await asyncio.sleep(0)
            self._due_at = monotonic() + PAUSE_SECONDS
