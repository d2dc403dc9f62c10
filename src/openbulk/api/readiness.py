"""Whether the parts of the server answer, looked at no more often than every two seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

ANSWER_SECONDS = 3.0
"""Seconds after which a part that does not answer counts as broken."""
REMEMBERED_SECONDS = 2.0
"""Anybody may ask, as often as they like: database and file store are checked less often."""
Checks = Mapping[str, Callable[[], Awaitable[object]]]


class Readiness:
    """Checks parts of the server, and remembers the result for a moment."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._broken: Mapping[str, str] = {}
        self._checked_at = float("-inf")
        self._checking = asyncio.Lock()

    async def broken_parts(self) -> Mapping[str, str]:
        """The parts that do not answer, and the kind of error of each."""
        async with self._checking:
            if time.monotonic() - self._checked_at > REMEMBERED_SECONDS:
                found = {name: await _error_of(check) for name, check in self._checks.items()}
                self._broken = {name: error for name, error in found.items() if error}
                self._checked_at = time.monotonic()
            return self._broken


async def _error_of(check: Callable[[], Awaitable[object]]) -> str | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await check()
    except Exception as error:  # the server cannot take work, whatever the reason
        return type(error).__name__
    return None
