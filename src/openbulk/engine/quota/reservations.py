"""Reservations: calls that the ledger grants together, in one transaction.

A granted call stays counted after a crash, and all processes share one budget. While calls are made
quickly, the next reservation is fetched before the last one is used up. Calls that are not made
within half a second are given back.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from openbulk.connectors.pace import Budget
from openbulk.domain.errors import DiskFull, Unavailable
from openbulk.engine.quota.sliding_window import Grant, Unused, give_all_back, reserve
from openbulk.storage.budgets import Budgets

RESERVATION_SECONDS = 0.5
FIRST_RESERVATION = 16
MAX_RESERVATION = 1_024
NO_CALL = Grant(0)
ONE_CALL = Grant(1)


@dataclass(slots=True)
class _Reservation:
    """Calls that were granted together and are not made yet."""

    size: int = FIRST_RESERVATION
    """How many calls to fetch next."""
    granted: int = 0
    left: int = 0
    granted_at: float = 0.0
    """When the calls begin to count."""
    arrived_at: float = 0.0
    """When the grant arrived; the ledger may have been slow to record it."""
    unused: list[Unused] = field(default_factory=list)
    """Calls of earlier reservations that will not be made; given back with the next fetch."""
    pending_fetch: asyncio.Event | None = None
    """Set when the ledger has answered. Until then, all callers wait for it."""
    answer: Grant = NO_CALL
    """The ledger's last answer."""
    is_followed: bool = False
    """Whether the next reservation was fetched while this one was used."""
    timer: asyncio.TimerHandle | None = None
    """Gives back what is left of it then."""

    def is_usable(self, now: float) -> bool:
        """Whether calls are left, and may still be made."""
        return self.left > 0 and now - self.arrived_at <= RESERVATION_SECONDS

    def is_running_out(self, now: float) -> bool:
        """Whether to fetch more because calls are made quickly; once for each reservation."""
        if self.is_followed or self.pending_fetch is not None or self.size == FIRST_RESERVATION:
            return False
        return self.left < self.granted // 2 or now - self.arrived_at > RESERVATION_SECONDS / 2

    def resize(self, now: float) -> None:
        """Size the next reservation for twice the calls made while one is usable."""
        age = max(now - self.arrived_at, 0.001)
        wanted = int(2 * (self.granted - self.left) * RESERVATION_SECONDS / age)
        self.size = max(FIRST_RESERVATION, min(wanted, 2 * self.size, MAX_RESERVATION))

    def drop_rest(self) -> None:
        """Make no more of these calls."""
        if self.left:
            self.unused.append(Unused(self.left, self.granted_at))
        self.left = 0

    def replace_by(self, granted: Grant, granted_at: float, now: float) -> None:
        """Replace these calls by calls that have just been granted."""
        self.drop_rest()
        self.granted = self.left = granted.calls
        self.is_followed = False
        self.granted_at = granted_at
        self.arrived_at = now

    def take_unused(self) -> list[Unused]:
        """Remove the calls to give back, and return them."""
        unused, self.unused = self.unused, []
        return unused


class Reservations:
    """The reservations of a process: one for all calls that count against the same budgets."""

    def __init__(self, budgets: Budgets, now: Callable[[], float]) -> None:
        self._budgets = budgets
        self._now = now
        self._reservations: dict[tuple[str, ...], _Reservation] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def calls_not_made(self, scope: str) -> int:
        """Count the calls that a budget has granted to this process and that are not made yet."""
        return sum(
            reservation.left + sum(unused.calls for unused in reservation.unused)
            for scopes, reservation in self._reservations.items()
            if scope in scopes
        )

    def close(self) -> None:
        """Stop: no more calls are made."""
        for reservation in self._reservations.values():
            if reservation.timer is not None:
                reservation.timer.cancel()
        for task in self._tasks:
            task.cancel()

    async def take(self, budgets: Sequence[Budget]) -> Grant:
        """Take one call. If there is none, the grant says when there are some again.

        A probe is granted to one caller. The others get `calls=0` and `after=0`.
        """
        reservation = self._reservations.setdefault(_scopes_of(budgets), _Reservation())
        # After each wait the state is new: others may have used up what has arrived.
        while not reservation.is_usable(self._now()):
            if reservation.pending_fetch is None:
                return await self._fetch_and_take(budgets, reservation)
            await reservation.pending_fetch.wait()
            if reservation.answer.probes:
                # The probe belongs to another caller; the governor waits for its end.
                return NO_CALL
            if not reservation.answer.calls:
                return reservation.answer
        reservation.left -= 1
        if reservation.is_running_out(self._now()):
            reservation.is_followed = True
            self._start(self._fetch_ahead(budgets, reservation))
        return ONE_CALL

    async def _fetch_and_take(self, budgets: Sequence[Budget], reservation: _Reservation) -> Grant:
        granted = await self._fetch(budgets, reservation, may_probe=True)
        reservation.left = max(0, reservation.left - 1)
        return granted

    async def _fetch_ahead(self, budgets: Sequence[Budget], reservation: _Reservation) -> None:
        """Fetch calls before they are needed. Without a caller there is no probe."""
        # A caller that found no call left may have been faster: then it is fetching already.
        if reservation.pending_fetch is None:
            with suppress(DiskFull, Unavailable):
                await self._fetch(budgets, reservation, may_probe=False)

    async def _fetch(
        self, budgets: Sequence[Budget], reservation: _Reservation, *, may_probe: bool
    ) -> Grant:
        """Fetch a reservation from the ledger, and wake all callers that wait for one."""
        pending_fetch = reservation.pending_fetch = asyncio.Event()
        reservation.answer = NO_CALL
        try:
            granted = await self._reserve(budgets, reservation, may_probe=may_probe)
            if granted.calls or may_probe:
                reservation.answer = granted
            return granted
        finally:
            pending_fetch.set()
            reservation.pending_fetch = None

    async def _reserve(
        self, budgets: Sequence[Budget], reservation: _Reservation, *, may_probe: bool
    ) -> Grant:
        now = self._now()
        reservation.resize(now)
        if may_probe:
            reservation.drop_rest()
        change = partial(
            reserve,
            budgets,
            wanted=reservation.size,
            now=now,
            unused=reservation.take_unused(),
            may_probe=may_probe,
        )
        granted = await self._budgets.change(_scopes_of(budgets), change)
        if not granted.calls:
            return granted
        reservation.replace_by(granted, now, self._now())
        if reservation.timer is not None:
            reservation.timer.cancel()
        reservation.timer = asyncio.get_running_loop().call_later(
            2 * RESERVATION_SECONDS, self._give_back, budgets, reservation
        )
        return granted

    def _give_back(self, budgets: Sequence[Budget], reservation: _Reservation) -> None:
        """Give back the rest of a reservation, once nobody uses it."""
        if reservation.pending_fetch is not None or reservation.is_usable(self._now()):
            return
        reservation.drop_rest()
        unused = reservation.take_unused()
        if unused:
            self._start(self._count_as_unused(budgets, unused))

    async def _count_as_unused(self, budgets: Sequence[Budget], unused: Sequence[Unused]) -> None:
        with suppress(DiskFull, Unavailable):
            await self._budgets.change(
                _scopes_of(budgets), lambda spent: (give_all_back(budgets, spent, unused), None)
            )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work in the background."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _scopes_of(budgets: Sequence[Budget]) -> tuple[str, ...]:
    return tuple(budget.scope for budget in budgets)
