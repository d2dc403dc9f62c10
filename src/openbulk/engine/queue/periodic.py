"""Repeats work for as long as the process runs."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import structlog

from openbulk.domain.errors import DiskFull, Unavailable

log = structlog.get_logger()


T = TypeVar("T")


async def do_each(
    items: Iterable[T], work: Callable[[T], Awaitable[object]], name: Callable[[T], str]
) -> None:
    """Work on items one by one; log the name of each that fails, and go on.

    Raises Unavailable and DiskFull, which would fail all of them.
    """
    for item in items:
        try:
            await work(item)
        except (Unavailable, DiskFull):
            raise
        except Exception:
            log.exception("periodic work failed", work=name(item))


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
