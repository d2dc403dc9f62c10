"""How many calls of a slice are under way: few at first, and one more with each answer."""

import asyncio
from collections.abc import Set as AbstractSet

from openbulk.connectors.base import Features


class ConcurrencyLimiter:
    """Places for calls under way, up to as many as the service takes.

    Of calls with a common ordering key, one is under way at a time. A slice that the service
    refuses a call ends, and the next one begins with few places again.
    """

    def __init__(self, features: Features) -> None:
        self._places = features.initial_concurrency or features.concurrency
        self._most = features.concurrency
        self._free = asyncio.Semaphore(self._places)
        self._keys_under_way: set[str] = set()
        self._one_is_over = asyncio.Event()

    async def acquire(self, ordering_keys: AbstractSet[str]) -> None:
        """Wait for a place, and until no call with one of these keys is under way."""
        await self._free.acquire()
        while not self._keys_under_way.isdisjoint(ordering_keys):
            self._one_is_over.clear()
            await self._one_is_over.wait()
        self._keys_under_way |= ordering_keys

    def release_after(self, call: asyncio.Task[None], ordering_keys: AbstractSet[str]) -> None:
        """When the call is over, free its place, and open another one while there may be more."""
        call.add_done_callback(lambda _: self._release(ordering_keys))

    def _release(self, ordering_keys: AbstractSet[str]) -> None:
        self._keys_under_way -= ordering_keys
        self._one_is_over.set()
        self._free.release()
        if self._places < self._most:
            self._places += 1
            self._free.release()
