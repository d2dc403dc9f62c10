"""The clock of jobs and budgets: with several machines, it follows their database's clock."""

import time
from datetime import UTC, datetime

# CLOCK_BOOTTIME also counts the time for which the machine was suspended; macOS has no such clock.
_COUNTS_SLEEP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seconds_since_boot() -> float:
    """Monotonic seconds, including the time that the machine slept if the system counts it."""
    return time.clock_gettime(_COUNTS_SLEEP)


class Clock:
    """Unix time. Once the clock is set, no step of this machine's own clock moves it."""

    def __init__(self) -> None:
        self._ahead: float | None = None
        """Seconds that Unix time is ahead of `seconds_since_boot`; None until the clock is set."""

    def set(self, now: float, sent_at: float, received_at: float) -> None:
        """Set the time: another clock showed `now` between these times of `seconds_since_boot`."""
        self._ahead = now - (sent_at + received_at) / 2

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time() if self._ahead is None else seconds_since_boot() + self._ahead

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)
