"""Work that is repeated for as long as the process works."""

from collections.abc import Awaitable, Callable

import structlog

from openbulk.domain.errors import DiskFull, Unavailable

log = structlog.get_logger()


async def run_forever(
    name: str, work: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[object]]
) -> None:
    """Work and pause, again and again.

    Work that fails is logged and repeated after the pause: nothing else depends on it. A database
    that is away is no failure, nor is a full disk.
    """
    while True:
        try:
            await work()
        except (Unavailable, DiskFull):
            pass
        except Exception:
            log.exception("periodic work failed", work=name)
        await pause()
