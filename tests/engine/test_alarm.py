"""Promises about moments at which something is due."""

import asyncio

from openbulk.engine.queue.alarm import Alarm


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


async def test_moments_come_in_their_order_and_those_that_have_come_are_forgotten() -> None:
    clock = Clock()
    alarm = Alarm(clock)
    for moment in (300.0, 90.0, 200.0, 95.0):
        alarm.set(moment)
    await alarm.wait()
    waiting = asyncio.create_task(alarm.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.time = 250.0
    alarm.set(250.0)
    await waiting
    clock.time = 300.0
    await alarm.wait()


async def test_an_earlier_moment_ends_a_wait() -> None:
    alarm = Alarm(Clock())
    waiting = asyncio.create_task(alarm.wait())
    await asyncio.sleep(0)
    alarm.set(10_000.0)
    await asyncio.sleep(0)
    assert not waiting.done()
    alarm.set_by(99.0)
    await waiting


async def test_a_later_moment_that_others_know_changes_nothing() -> None:
    clock = Clock()
    alarm = Alarm(clock)
    alarm.set(99.0)
    alarm.set_by(150.0)
    await alarm.wait()
    clock.time = 150.0
    waiting = asyncio.create_task(alarm.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
