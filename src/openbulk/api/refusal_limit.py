"""Limits how many refused calls the audit log keeps: a program that repeats one fills no disk."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

AT_ONCE = 100
"""Refused calls of one owner that are kept at once."""
SECONDS_OF_ONE = 10.0
"""Then one more is kept after each of these."""
_REMEMBERED = 10_000
"""Owners that are remembered; those that were refused longest ago are forgotten."""


@dataclass(slots=True)
class _Owner:
    free_at: float = 0.0
    """When as many calls may be kept as at first."""
    left_out: int = 0


class RefusalLimit:
    """The refused calls of the last minutes, in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owners: OrderedDict[Hashable, _Owner] = OrderedDict()

    def take(self, owner: Hashable) -> int | None:
        """Keep a refused call: the number of those that were left out since the last that was kept.

        None if this one is left out, too.
        """
        known = self._owners.setdefault(owner, _Owner())
        self._owners.move_to_end(owner)
        if len(self._owners) > _REMEMBERED:
            self._owners.popitem(last=False)
        now = self._clock()
        free_at = max(now, known.free_at)
        if free_at - now > (AT_ONCE - 1) * SECONDS_OF_ONE:
            known.left_out += 1
            return None
        known.free_at = free_at + SECONDS_OF_ONE
        left_out, known.left_out = known.left_out, 0
        return left_out
