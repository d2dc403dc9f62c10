"""Waiting for an unavailable database."""

import asyncio

import pytest
from structlog.testing import capture_logs

from openbulk.domain.errors import Unavailable
from openbulk.storage import retry as retry_module
from openbulk.storage.retry import Outage, retry_while_unavailable


class Store:
    """A database that is unavailable for `failures` calls."""

    def __init__(self, failures: int) -> None:
        self._failures = failures

    async def ask(self) -> str:
        """The answer."""
        if self._failures:
            self._failures -= 1
            raise Unavailable("unavailable") from OSError(
                "connection failed:\n\tIs the server running?"
            )
        return "answer"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that this process's outage goes by."""
    clock = [100.0]
    monkeypatch.setattr(retry_module, "outage", Outage(lambda: clock[0]))
    return clock


async def test_a_call_that_waits_is_answered_and_the_log_has_two_lines(now: list[float]) -> None:
    with capture_logs() as logs:
        assert await retry_while_unavailable(Store(failures=3).ask, asyncio.Event()) == "answer"
    assert [(line["event"], line.get("reason")) for line in logs] == [
        ("database is unavailable", "connection failed: Is the server running?"),
        ("database is back", None),
    ]


async def test_a_process_that_drains_does_not_wait_and_logs_nothing(now: list[float]) -> None:
    draining = asyncio.Event()
    draining.set()
    with capture_logs() as logs, pytest.raises(Unavailable):
        await retry_while_unavailable(Store(failures=1).ask, draining)
    assert logs == []


def test_an_outage_is_logged_every_half_minute_however_many_callers_wait(
    now: list[float],
) -> None:
    outage = retry_module.outage
    with capture_logs() as logs:
        for _ in range(100):
            outage.report_failure(OSError("refused"))
            outage.report_failure(OSError("refused"))
            now[0] += 1
        outage.report_success()
        outage.report_success()
    said = [(line["event"], line["seconds"]) for line in logs]
    assert said == [
        *[("database is unavailable", seconds) for seconds in (0, 30, 60, 90)],
        ("database is back", 100.0),
    ]
