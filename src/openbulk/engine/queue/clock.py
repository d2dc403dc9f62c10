"""The time that jobs and budgets are dated with: on several machines, that of their database."""

import time
from datetime import UTC, datetime


def elapsed() -> float:
    """Seconds since some moment; they also pass while the machine sleeps, where it says so."""
    return time.clock_gettime(_COUNTS_SLEEP)


_COUNTS_SLEEP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """Unix time, by this machine's clock until it is set by another one; from then on no step of this machine's clock
    moves it."""

    def __init__(self) -> None:
        self._ahead: float | None = None

    def set(self, now: float, asked_at: float, answered_at: float) -> None:
        """The other clock said `now`, between two moments of `elapsed`."""
        self._ahead = now - (asked_at + answered_at) / 2

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time() if self._ahead is None else elapsed() + self._ahead

    def now(self) -> datetime:
        """The same as a point in time."""
        return datetime.fromtimestamp(self.time(), UTC)
