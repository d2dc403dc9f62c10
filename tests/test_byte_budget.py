"""Bytes that were taken come back, whatever becomes of those who wait."""

import asyncio

import pytest

from openbulk.byte_budget import ByteBudget


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
