"""Limits the calls of a slice in flight: few at first, and one more with each answer."""

import asyncio
from collections.abc import Hashable
from collections.abc import Set as AbstractSet
from functools import partial

from openbulk.connectors.base import Features
from openbulk.engine.slices.memory import MemoryShare


class ConcurrencyLimiter:
    """Slots for calls in flight, up to the service's concurrency, and the bytes of their records.

    Calls that share an ordering key run one after another; a call that may share one with any
    other runs alone. If the service refuses a call, the slice ends, and the next one begins with
    few slots again.
    """

    def __init__(self, features: Features, memory: MemoryShare) -> None:
        self._slots = features.initial_concurrency or features.concurrency
        self._max_slots = features.concurrency
        self._free = asyncio.Semaphore(self._slots)
        self._memory = memory
        self._calls: set[asyncio.Task[None]] = set()
        """The calls in flight."""
        self._last_calls: dict[Hashable, asyncio.Task[None]] = {}
        """The latest call in flight of each ordering key."""
        self._last_alone: set[asyncio.Task[None]] = set()
        """The latest call in flight that runs alone; none if there is none."""

    async def acquire(self, size: int) -> None:
        """Wait for a slot, and until the records in flight leave room for `size` bytes."""
        await self._free.acquire()
        await self._memory.take(size)

    def calls_before(
        self, ordering_keys: AbstractSet[Hashable] | None
    ) -> AbstractSet[asyncio.Task[None]]:
        """The calls in flight that a call with these keys has to wait for; without keys, all.

        Each of them has a slot, so that they end whatever else waits.
        """
        if ordering_keys is None:
            return set(self._calls)
        same = {self._last_calls[key] for key in self._last_calls.keys() & ordering_keys}
        return same | self._last_alone

    def release_after(
        self, call: asyncio.Task[None], ordering_keys: AbstractSet[Hashable] | None, size: int
    ) -> None:
        """When the call ends, free its slot and bytes, and open another slot up to the maximum."""
        self._calls.add(call)
        if ordering_keys is None:
            self._last_alone = {call}
        keys = ordering_keys or frozenset()
        self._last_calls.update(dict.fromkeys(keys, call))
        call.add_done_callback(partial(self._release, keys, size))

    def _release(
        self, ordering_keys: AbstractSet[Hashable], size: int, call: asyncio.Task[None]
    ) -> None:
        self._memory.give_back(size)
        self._calls.discard(call)
        self._last_alone.discard(call)
        for key in ordering_keys:
            if self._last_calls.get(key) is call:
                del self._last_calls[key]
        self._free.release()
        if self._slots < self._max_slots:
            self._slots += 1
            self._free.release()
