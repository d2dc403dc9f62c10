"""Promises about who looks for dead processes, and when. The clock is the test's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from openbulk.domain.errors import Unavailable
from openbulk.engine.queue import dead_workers
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.queue.dead_workers import Watch
from openbulk.engine.queue.heartbeat import DEAD_AFTER_SECONDS
from openbulk.storage.notices import LOOKED, REGISTERED, WORK
from openbulk.storage.workers import Living, Workers


class Installation:
    """The table of workers, and a queue that takes over the work of dead ones."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.living = frozenset({"a"})
        self.looks = 0
        self.is_available = True
        self.watch = Watch("b", cast(Workers, self), cast(LaneQueue, self))

    @asynccontextmanager
    async def reap_dead(self, id: str, after: float) -> AsyncIterator[Living]:
        assert (id, after) == ("b", DEAD_AFTER_SECONDS)
        if not self.is_available:
            raise Unavailable("away")
        self.looks += 1

        async def living() -> frozenset[str]:
            return self.living

        yield living

    async def take_over(self, living: Living) -> int:
        return 0

    def is_due(self) -> bool:
        """Whether this process is to look now."""
        step = self.watch.until_due()
        try:
            step.send(None)
        except StopIteration:
            return True
        finally:
            step.close()
        return False

    async def watch_for(self, seconds: float) -> None:
        """Let time pass, and look whenever it is time to look here."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.5
            if self.is_due():
                await self.watch.look()


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> Installation:
    made = Installation()
    monkeypatch.setattr(dead_workers, "seconds_since_boot", lambda: made.now)
    return made


async def test_nobody_looks_while_no_process_is_registered(installation: Installation) -> None:
    await installation.watch_for(60)
    assert installation.looks == 0


async def test_a_registered_process_is_looked_for_once_a_second(installation: Installation) -> None:
    installation.watch.hear(REGISTERED)
    await installation.watch_for(DEAD_AFTER_SECONDS + 1)
    installation.looks = 0
    await installation.watch_for(20)
    assert installation.looks == 20


async def test_a_process_that_hears_of_looks_makes_none(installation: Installation) -> None:
    for _ in range(60):
        installation.watch.hear(LOOKED)
        await installation.watch_for(1)
    assert installation.looks == 0
    # The one that looked has died.
    await installation.watch_for(10)
    assert installation.looks >= 5


async def test_a_look_that_finds_nobody_registered_is_the_last(installation: Installation) -> None:
    installation.watch.hear(REGISTERED)
    installation.living = frozenset()
    await installation.watch_for(60)
    assert installation.looks == 1
    installation.living = frozenset({"a"})
    installation.watch.hear(WORK)
    await installation.watch_for(60)
    assert installation.looks == 1
    installation.watch.note_workers()
    await installation.watch_for(60)
    assert installation.looks > 50


async def test_after_an_outage_the_others_have_time_for_a_heartbeat(
    installation: Installation,
) -> None:
    installation.watch.hear(REGISTERED)
    await installation.watch_for(20)
    installation.is_available = False
    with pytest.raises(Unavailable):
        await installation.watch_for(2)
    installation.is_available = True
    installation.looks = 0
    await installation.watch_for(DEAD_AFTER_SECONDS - 0.5)
    assert installation.looks == 0
    await installation.watch_for(2)
    assert installation.looks > 0


async def test_a_process_that_was_frozen_gives_the_others_time(installation: Installation) -> None:
    installation.watch.hear(REGISTERED)
    await installation.watch_for(20)
    installation.now += 3_600
    installation.looks = 0
    await installation.watch_for(DEAD_AFTER_SECONDS - 0.5)
    assert installation.looks == 0
