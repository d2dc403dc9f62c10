"""Work that is repeated for as long as the process works."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from structlog.testing import capture_logs

from openbulk.domain.errors import DiskFull, Unavailable
from openbulk.engine.queue.periodic import do_each, run_forever


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
        await asyncio.wait_for(seen.wait(), 60)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [line["event"] for line in logs] == logged


async def test_an_item_that_fails_costs_only_itself() -> None:
    """An unavailable database would fail all of them, so it ends the round."""
    done: list[int] = []

    async def work(item: int) -> None:
        if item == 2:
            raise RecursionError
        if item == 4:
            raise Unavailable("unavailable")
        done.append(item)

    with capture_logs() as logs, pytest.raises(Unavailable):
        await do_each([1, 2, 3, 4, 5], work, lambda item: f"item {item}")
    assert done == [1, 3]
    assert [line["work"] for line in logs] == ["item 2"]
