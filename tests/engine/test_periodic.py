"""Work that is repeated for as long as the process works."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from structlog.testing import capture_logs

from openbulk.domain.errors import DiskFull, Unavailable
from openbulk.engine.queue.periodic import run_forever


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (Unavailable("unavailable"), []),
        (DiskFull("files"), []),
        (ValueError("a flaw"), ["periodic work failed"]),
    ],
)
async def test_work_that_fails_is_repeated(error: Exception, logged: list[str]) -> None:
    """It is logged, unless the database is unavailable or the disk is full."""
    seen = asyncio.Event()
    failures = iter([error, None])

    async def work() -> None:
        if failure := next(failures, None):
            raise failure
        seen.set()

    with capture_logs() as logs:
        task = asyncio.create_task(run_forever("it", work, partial(asyncio.sleep, 0)))
        await asyncio.wait_for(seen.wait(), 5)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [line["event"] for line in logs] == logged
