"""Repeats work for as long as the process runs."""

from collections.abc import Awaitable, Callable

import structlog

from openbulk.domain.errors import DiskFull, Unavailable

log = structlog.get_logger()


async def run_forever(
    name: str, work: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[object]]
) -> None:
    """Work and pause, forever.

    Work that fails is logged and repeated after the pause. An unavailable database or a full disk
    does not count as a failure.
    """
    while True:
        try:
            await work()
        except (Unavailable, DiskFull):
            pass
        except Exception:
            log.exception("periodic work failed", work=name)
        await pause()
