"""The memory of all slices of a process is bounded, and no slice waits for ever."""

import asyncio
from contextlib import AsyncExitStack
from itertools import count

import pytest

from openbulk.domain.errors import SliceStopped
from openbulk.engine.slices.memory import (
    IN_FLIGHT_BYTES,
    LARGE_BYTES,
    LENT_SEATS,
    SEATS,
    MemoryShare,
    MustStop,
    SliceMemory,
)


async def goes_on() -> bool:
    return False


async def test_a_slice_always_has_one_batch_in_flight_and_more_within_the_budget_of_all() -> None:
    memory = SliceMemory()
    async with memory.share("a") as one, memory.share("b") as other:
        await one.take(IN_FLIGHT_BYTES)
        await asyncio.wait_for(other.take(1_000), 60)
        second = asyncio.create_task(other.take(1_000))
        third = asyncio.create_task(one.take(1_000))
        await asyncio.sleep(0)
        assert not second.done()
        one.give_back(IN_FLIGHT_BYTES)
        await asyncio.wait_for(asyncio.gather(second, third), 60)


async def test_only_some_slices_hold_large_records_and_the_others_take_turns() -> None:
    memory = SliceMemory()
    async with AsyncExitStack() as holders, memory.share("a") as small, memory.share("b") as large:
        first = await holders.enter_async_context(memory.share("c"))
        for holder in [first] * SEATS:
            await asyncio.wait_for(holder.admit(LARGE_BYTES + 1, goes_on), 60)  # one seat is enough
        for _ in range(SEATS - 1):
            other = await holders.enter_async_context(memory.share("c"))
            await other.admit(LARGE_BYTES + 1, goes_on)
        await asyncio.wait_for(small.admit(LARGE_BYTES, goes_on), 60)
        turn = asyncio.create_task(large.admit(LARGE_BYTES + 1, goes_on))
        await asyncio.sleep(0)
        assert not turn.done()
        first.end()
        await asyncio.wait_for(turn, 60)


async def test_a_slice_waits_for_no_other_once_none_of_its_own_batches_is_in_flight() -> None:
    memory = SliceMemory()
    async with memory.share("a") as held, memory.share("b") as slice_:
        await held.take(IN_FLIGHT_BYTES)  # by calls that a service never answers
        await slice_.take(1_000)
        for _ in range(3):
            next_one = asyncio.create_task(slice_.take(1_000))
            await asyncio.sleep(0)
            assert not next_one.done()
            slice_.give_back(1_000)
            await asyncio.wait_for(next_one, 60)


async def test_a_slice_and_its_calls_take_one_seat_together() -> None:
    memory = SliceMemory()
    async with AsyncExitStack() as holders:
        for _ in range(SEATS):
            holder = await holders.enter_async_context(memory.share("a"))
            await asyncio.wait_for(holder.admit(LARGE_BYTES + 1, goes_on), 60)
        async with memory.share("a") as slice_:
            both = [asyncio.create_task(slice_.admit(LARGE_BYTES + 1, goes_on)) for _ in range(2)]
            await asyncio.sleep(0)
            await holders.aclose()
            await asyncio.wait_for(asyncio.gather(*both), 60)
    async with AsyncExitStack() as holders:  # every seat is back
        for _ in range(SEATS):
            holder = await holders.enter_async_context(memory.share("a"))
            await asyncio.wait_for(holder.admit(LARGE_BYTES + 1, goes_on), 60)


async def test_a_slice_that_must_stop_waits_for_no_seat() -> None:
    memory = SliceMemory()
    async with AsyncExitStack() as holders, memory.share("a") as cancelled:
        shares = [await holders.enter_async_context(memory.share("a")) for _ in range(SEATS)]
        for share in shares:
            await share.admit(LARGE_BYTES + 1, goes_on)
        assert not any(share.is_wanted for share in shares)

        async def look() -> bool:
            assert all(share.is_wanted for share in shares)
            return True

        with pytest.raises(SliceStopped):
            await asyncio.wait_for(cancelled.admit(LARGE_BYTES + 1, look), 60)
        assert not any(share.is_wanted for share in shares)
        shares[0].end()
        await asyncio.wait_for(cancelled.admit(LARGE_BYTES + 1, goes_on), 60)


async def stalled(memory: SliceMemory, holders: AsyncExitStack, service: str) -> MemoryShare:
    """A slice with a large record in a call that its service does not answer."""
    share = await holders.enter_async_context(memory.share(service))
    await asyncio.wait_for(share.admit(LARGE_BYTES + 1, goes_on), 60)
    await share.take(LARGE_BYTES + 1)
    return share


async def all_seats(memory: SliceMemory) -> None:
    """Take every seat, and give them back."""
    async with AsyncExitStack() as holders:
        for number in range(SEATS):
            holder = await holders.enter_async_context(memory.share(f"holder {number}"))
            await asyncio.wait_for(holder.admit(LARGE_BYTES + 1, goes_on), 60)
        one_more = await holders.enter_async_context(memory.share("one more"))
        with pytest.raises(SliceStopped):
            await asyncio.wait_for(one_more.admit(LARGE_BYTES + 1, stops_after_a_while()), 60)


def stops_after_a_while() -> MustStop:
    """So that a slice has looked for a seat that it may be lent."""
    looks = count()

    async def must_stop() -> bool:
        return next(looks) == 1

    return must_stop


async def test_slices_of_a_service_that_does_not_answer_lend_their_seats() -> None:
    """However many there are of them: those of another service go on, one after the other."""
    memory = SliceMemory(stalled_after=0.0)
    async with AsyncExitStack() as holders:
        for _ in range(SEATS):
            await stalled(memory, holders, "dead")
        more = [asyncio.create_task(stalled(memory, holders, "dead")) for _ in range(20)]
        await asyncio.sleep(0)
        for _ in range(3):
            async with memory.share("alive") as alive:
                await asyncio.wait_for(alive.admit(LARGE_BYTES + 1, goes_on), 60)
        assert not any(task.done() for task in more)
        for task in more:
            task.cancel()
        await asyncio.wait(more)
    await all_seats(memory)


async def test_only_so_many_seats_are_lent() -> None:
    memory = SliceMemory(stalled_after=0.0)
    async with AsyncExitStack() as holders:
        for number in range(SEATS + LENT_SEATS):
            await stalled(memory, holders, f"dead {number}")
        async with memory.share("alive") as alive:
            with pytest.raises(SliceStopped):
                await asyncio.wait_for(alive.admit(LARGE_BYTES + 1, stops_after_a_while()), 60)
    await all_seats(memory)


async def test_a_slice_that_has_lent_its_seat_waits_for_one_before_it_reads_on() -> None:
    memory = SliceMemory(stalled_after=0.0)
    async with AsyncExitStack() as holders, memory.share("alive") as alive:
        lender = await stalled(memory, holders, "slow")
        other = await holders.enter_async_context(memory.share("other"))
        await other.admit(LARGE_BYTES + 1, goes_on)
        await asyncio.wait_for(alive.admit(LARGE_BYTES + 1, goes_on), 60)
        lender.give_back(LARGE_BYTES + 1)
        reading = asyncio.create_task(lender.admit(LARGE_BYTES + 1, goes_on))
        await asyncio.sleep(0)
        assert not reading.done()
        alive.end()
        await asyncio.wait_for(reading, 60)
    await all_seats(memory)


async def test_a_slice_that_works_keeps_its_seat() -> None:
    """None of its calls is in flight, or the last one was answered a moment ago."""
    memory = SliceMemory(stalled_after=1_000.0)
    async with AsyncExitStack() as holders, memory.share("alive") as alive:
        await stalled(memory, holders, "slow")
        holder = await holders.enter_async_context(memory.share("busy"))
        await holder.admit(LARGE_BYTES + 1, goes_on)
        with pytest.raises(SliceStopped):
            await asyncio.wait_for(alive.admit(LARGE_BYTES + 1, stops_after_a_while()), 60)
    await all_seats(memory)


async def test_the_batches_of_one_service_take_a_part_of_the_bytes_in_flight() -> None:
    memory = SliceMemory()
    half = IN_FLIGHT_BYTES // 2
    async with memory.share("dead") as dead, memory.share("dead") as too:
        for share in (dead, too):
            await share.take(half // 2)
        more = asyncio.create_task(dead.take(1))
        await asyncio.sleep(0)
        assert not more.done()
        async with memory.share("alive") as alive:
            for _ in range(2):
                await asyncio.wait_for(alive.take(half // 2), 60)
            for _ in range(2):
                alive.give_back(half // 2)
        too.give_back(half // 2)
        await asyncio.wait_for(more, 60)
