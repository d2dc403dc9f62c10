"""What is looked at again and again, for as long as the process works."""

from collections.abc import Awaitable, Callable

import structlog

from openbulk.domain.errors import DiskFull, Unavailable

log = structlog.get_logger()


async def run_forever(
    what: str, look: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[object]]
) -> None:
    """Look, pause, and so on. A look that fails is logged: nothing else depends on it, and the next may fare better.
    A database that is away is no failure, nor is a full disk."""
    while True:
        try:
            await look()
        except (Unavailable, DiskFull):
            pass
        except Exception:
            log.exception("look failed", what=what)
        await pause()
