"""The time that jobs and budgets are dated with: on several machines, that of their database."""

import time
from datetime import UTC, datetime

# CLOCK_BOOTTIME also counts the time for which the machine was suspended; macOS has no such clock.
_COUNTS_SLEEP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seconds_since_boot() -> float:
    """Seconds since some moment, also those for which the machine slept, where it can tell."""
    return time.clock_gettime(_COUNTS_SLEEP)


class Clock:
    """Unix time. Once the clock is set, no step of this machine's own clock moves it."""

    def __init__(self) -> None:
        self._ahead: float | None = None
        """Seconds that Unix time is ahead of `seconds_since_boot`; None until the clock is set."""

    def set(self, now: float, sent_at: float, received_at: float) -> None:
        """Another clock showed `now` between two moments of `seconds_since_boot`."""
        self._ahead = now - (sent_at + received_at) / 2

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time() if self._ahead is None else seconds_since_boot() + self._ahead

    def now(self) -> datetime:
        """This moment, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)
