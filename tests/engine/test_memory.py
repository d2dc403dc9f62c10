"""The memory of all slices of a process is bounded, and no slice waits for ever."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from openbulk.domain.errors import SliceStopped
from openbulk.engine.slices.memory import IN_FLIGHT_BYTES, LARGE_BYTES, SEATS, SliceMemory


async def goes_on() -> bool:
    return False


async def test_a_slice_always_has_one_batch_in_flight_and_more_within_the_budget_of_all() -> None:
    memory = SliceMemory()
    async with memory.share() as one, memory.share() as other:
        await one.take(IN_FLIGHT_BYTES)
        await asyncio.wait_for(other.take(1_000), 1)
        second = asyncio.create_task(other.take(1_000))
        third = asyncio.create_task(one.take(1_000))
        await asyncio.sleep(0)
        assert not second.done()
        one.give_back(IN_FLIGHT_BYTES)
        await asyncio.wait_for(asyncio.gather(second, third), 1)


async def test_only_some_slices_hold_large_records_and_the_others_take_turns() -> None:
    memory = SliceMemory()
    async with AsyncExitStack() as holders, memory.share() as small, memory.share() as large:
        first, *_ = [await holders.enter_async_context(memory.share()) for _ in range(SEATS)]
        for holder in [first] * SEATS:
            await asyncio.wait_for(holder.admit(LARGE_BYTES + 1, goes_on), 1)  # one seat is enough
        for _ in range(SEATS - 1):
            await (await holders.enter_async_context(memory.share())).admit(
                LARGE_BYTES + 1, goes_on
            )
        await asyncio.wait_for(small.admit(LARGE_BYTES, goes_on), 1)
        turn = asyncio.create_task(large.admit(LARGE_BYTES + 1, goes_on))
        await asyncio.sleep(0)
        assert not turn.done()
        first.end()
        await asyncio.wait_for(turn, 1)


async def test_a_slice_waits_for_no_other_once_none_of_its_own_batches_is_in_flight() -> None:
    memory = SliceMemory()
    async with memory.share() as held, memory.share() as slice_:
        await held.take(IN_FLIGHT_BYTES)  # by calls that a service never answers
        await slice_.take(1_000)
        for _ in range(3):
            next_one = asyncio.create_task(slice_.take(1_000))
            await asyncio.sleep(0)
            assert not next_one.done()
            slice_.give_back(1_000)
            await asyncio.wait_for(next_one, 1)


async def test_a_slice_and_its_calls_take_one_seat_together() -> None:
    memory = SliceMemory()
    async with AsyncExitStack() as holders:
        for _ in range(SEATS):
            holder = await holders.enter_async_context(memory.share())
            await asyncio.wait_for(holder.admit(LARGE_BYTES + 1, goes_on), 1)
        async with memory.share() as slice_:
            both = [asyncio.create_task(slice_.admit(LARGE_BYTES + 1, goes_on)) for _ in range(2)]
            await asyncio.sleep(0)
            await holders.aclose()
            await asyncio.wait_for(asyncio.gather(*both), 1)
    async with AsyncExitStack() as holders:  # every seat is back
        for _ in range(SEATS):
            holder = await holders.enter_async_context(memory.share())
            await asyncio.wait_for(holder.admit(LARGE_BYTES + 1, goes_on), 1)


async def test_a_slice_that_must_stop_waits_for_no_seat() -> None:
    memory = SliceMemory()
    async with AsyncExitStack() as holders, memory.share() as cancelled:
        shares = [await holders.enter_async_context(memory.share()) for _ in range(SEATS)]
        for share in shares:
            await share.admit(LARGE_BYTES + 1, goes_on)
        assert not any(share.is_wanted for share in shares)

        async def look() -> bool:
            assert all(share.is_wanted for share in shares)
            return True

        with pytest.raises(SliceStopped):
            await asyncio.wait_for(cancelled.admit(LARGE_BYTES + 1, look), 5)
        assert not any(share.is_wanted for share in shares)
        shares[0].end()
        await asyncio.wait_for(cancelled.admit(LARGE_BYTES + 1, goes_on), 5)
