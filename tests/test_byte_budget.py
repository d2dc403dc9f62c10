"""Bytes that were taken come back, whatever becomes of those who wait."""

import asyncio

import pytest

from openbulk.byte_budget import ByteBudget, PlaceOwner


@pytest.mark.parametrize("is_given", [False, True])
async def test_who_is_cancelled_in_the_moment_of_its_turn_keeps_nothing(is_given: bool) -> None:
    """The turn comes before the cancellation, or after it."""
    budget = ByteBudget(10)
    await budget.take(10)
    cancelled = asyncio.create_task(budget.take(10))
    next_one = asyncio.create_task(budget.take(10))
    await asyncio.sleep(0)
    if is_given:
        budget.give_back(10)
        cancelled.cancel()
    else:
        cancelled.cancel()
        budget.give_back(10)
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await asyncio.wait_for(next_one, 60)
    budget.give_back(10)
    await asyncio.wait_for(budget.take(10), 60)


async def test_the_next_place_goes_to_the_organization_that_holds_least() -> None:
    """However many owners another one has, and though they came first."""
    budget = ByteBudget(4, 2)
    await budget.take(1, PlaceOwner(2))
    budget.give_back(1, PlaceOwner(2))
    served: list[PlaceOwner] = []

    async def hold(owner: PlaceOwner) -> None:
        await budget.take(1, owner)
        served.append(owner)

    crowd = [PlaceOwner(1, number) for number in range(6)]
    tasks = [asyncio.create_task(hold(owner)) for owner in crowd]
    await asyncio.sleep(0)
    assert served == crowd[:3], "the fourth is for others"
    tasks.append(asyncio.create_task(hold(PlaceOwner(2, "a"))))
    await asyncio.sleep(0)
    assert served[3:] == [PlaceOwner(2, "a")]
    tasks.append(asyncio.create_task(hold(PlaceOwner(2, "b"))))
    await asyncio.sleep(0)
    budget.give_back(1, crowd[0])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert served[4:] == [PlaceOwner(2, "b")]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_one_organization_alone_may_hold_all() -> None:
    budget = ByteBudget(4, 2)
    for number in range(4):
        await asyncio.wait_for(budget.take(1, PlaceOwner(1, number)), 60)
    assert not budget.keeps_waiting(PlaceOwner(1, 4), 1), "nobody else has come"
