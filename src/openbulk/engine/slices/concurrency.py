"""Limits the calls of a slice in flight: few at first, and one more with each answer."""

import asyncio
from collections.abc import Set as AbstractSet

from openbulk.connectors.base import Features


class ConcurrencyLimiter:
    """Slots for calls in flight, up to the service's concurrency.

    Calls that share an ordering key run one at a time. If the service refuses a call, the slice
    ends, and the next one begins with few slots again.
    """

    def __init__(self, features: Features) -> None:
        self._slots = features.initial_concurrency or features.concurrency
        self._max_slots = features.concurrency
        self._free = asyncio.Semaphore(self._slots)
        self._keys_in_flight: set[str] = set()
        self._has_released = asyncio.Event()

    async def acquire(self, ordering_keys: AbstractSet[str]) -> None:
        """Wait for a slot, and until no call with one of these keys is in flight."""
        await self._free.acquire()
        while not self._keys_in_flight.isdisjoint(ordering_keys):
            self._has_released.clear()
            await self._has_released.wait()
        self._keys_in_flight |= ordering_keys

    def release_after(self, call: asyncio.Task[None], ordering_keys: AbstractSet[str]) -> None:
        """When the call ends, free its slot, and open another one up to the maximum."""
        call.add_done_callback(lambda _: self._release(ordering_keys))

    def _release(self, ordering_keys: AbstractSet[str]) -> None:
        self._keys_in_flight -= ordering_keys
        self._has_released.set()
        self._free.release()
        if self._slots < self._max_slots:
            self._slots += 1
            self._free.release()
