"""The memory of all slices of a process is bounded, and no slice waits for ever."""

import asyncio
from contextlib import AsyncExitStack

from openbulk.engine.slices.memory import IN_FLIGHT_BYTES, LARGE_BYTES, SEATS, SliceMemory


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
            await asyncio.wait_for(holder.admit(LARGE_BYTES + 1), 1)  # one seat is enough
        for _ in range(SEATS - 1):
            await (await holders.enter_async_context(memory.share())).admit(LARGE_BYTES + 1)
        await asyncio.wait_for(small.admit(LARGE_BYTES), 1)
        turn = asyncio.create_task(large.admit(LARGE_BYTES + 1))
        await asyncio.sleep(0)
        assert not turn.done()
        first.end()
        await asyncio.wait_for(turn, 1)
