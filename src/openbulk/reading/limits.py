"""The limits of a reading process. It sets them itself, before it sees a file."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from openbulk.reading.messages import Channel

MEMORY_BYTES = 256 * 1024 * 1024
"""Memory that a file may take, beyond that of the process when it starts."""
KEPT_BYTES = 64 * 1024 * 1024
"""A process that still holds more than this after a file does not read another one."""
_GRACE_SECONDS = 3
"""Code that is not Python cannot be interrupted: the kernel ends the process this much later."""
_REPEAT_SECONDS = 0.25
"""A library may swallow the interruption, so it is repeated."""


class _OutOfTime(BaseException):
    """The file has used up its processor time. No handler of `Exception` catches this."""


class MemoryLimit:
    """Limits the memory of this process, for good."""

    def __init__(self) -> None:
        # No core dump: it would have the file in it.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self._first = _memory_size()
        if self._first is not None:
            limit = self._first + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def is_spent(self) -> bool:
        """Whether this process holds so much memory that another one should read the next file."""
        size = _memory_size()
        if size is None or self._first is None:
            return False
        return size - self._first > KEPT_BYTES


def _memory_size() -> int | None:
    """The address space of this process, in bytes; None on macOS, where it cannot be limited."""
    try:
        statistics = Path("/proc/self/statm").read_text()
    except FileNotFoundError:
        return None
    return int(statistics.split()[0]) * resource.getpagesize()


@contextmanager
def limited_time(seconds: float, channel: Channel) -> Iterator[None]:
    """Raise TimeoutError once the block has used so much processor time."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not channel.is_talking:
            raise _OutOfTime

    usage = resource.getrusage(resource.RUSAGE_SELF)
    latest = int(usage.ru_utime + usage.ru_stime + seconds + 1) + _GRACE_SECONDS
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    signal.signal(signal.SIGPROF, interrupt)
    resource.setrlimit(resource.RLIMIT_CPU, (latest, hard))
    signal.setitimer(signal.ITIMER_PROF, seconds, _REPEAT_SECONDS)
    try:
        yield
    except _OutOfTime:
        raise TimeoutError from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
