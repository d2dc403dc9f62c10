"""Calls are granted in reservations, each in one transaction of the ledger.

Whatever dies, what was granted counts, and several processes spend from one budget. While calls are made quickly, the
next reservation is asked for before the last one is used up; what is not used in half a second is given back.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from openbulk.connectors.pace import Budget
from openbulk.domain.errors import DiskFull, Unavailable
from openbulk.engine.quota.sliding_window import Grant, closed_for_probe, give_back, grant, spend
from openbulk.storage.budgets import Budgets, Spending

RESERVATION_SECONDS = 0.5
FIRST_RESERVATION = 16
MAX_RESERVATION = 1_024
_NONE, _ONE = Grant(0), Grant(1)


@dataclass(slots=True)
class _Reservation:
    """Calls that were granted together and are not made yet."""

    size: int = FIRST_RESERVATION
    """How many to ask for."""
    granted: int = 0
    left: int = 0
    granted_at: float = 0.0
    """From when they count."""
    arrived_at: float = 0.0
    """When they could be made: a ledger may take its time to write them down."""
    aside: list[tuple[int, float]] = field(default_factory=list)
    """What was left of earlier ones, and from when it counts; given back when the ledger is asked again."""
    coming: asyncio.Event | None = None
    """Set when the ledger has answered: whoever wants a call meanwhile waits for that, and asks for nothing."""
    answer: Grant = _NONE
    """What it said last."""
    is_followed: bool = False
    """Whether the next one was asked for while this one was used."""

    def is_good(self, now: float) -> bool:
        """Whether there are calls left that may still be made."""
        return self.left > 0 and now - self.arrived_at <= RESERVATION_SECONDS

    def is_running_out(self, now: float) -> bool:
        """Whether to ask for more, as calls are made quickly; once for each reservation."""
        if self.is_followed or self.coming is not None or self.size == FIRST_RESERVATION:
            return False
        return self.left < self.granted // 2 or now - self.arrived_at > RESERVATION_SECONDS / 2

    def resize(self, now: float) -> None:
        """Ask for twice of what was used, for as long as a reservation is good."""
        age = max(now - self.arrived_at, 0.001)
        wanted = int(2 * (self.granted - self.left) * RESERVATION_SECONDS / age)
        self.size = max(FIRST_RESERVATION, min(wanted, 2 * self.size, MAX_RESERVATION))

    def put_aside(self) -> None:
        """Make no more of these calls."""
        if self.left:
            self.aside.append((self.left, self.granted_at))
        self.left = 0


class Reservations:
    """The reservations of a process, one for all calls that count on the same budgets."""

    def __init__(self, budgets: Budgets, now: Callable[[], float]) -> None:
        self._budgets = budgets
        self._now = now
        self._reservations: dict[tuple[str, ...], _Reservation] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def left(self, scope: str) -> int:
        """Calls that were granted on a budget, and are not made yet, or never will be."""
        reservations = [
            reservation for scopes, reservation in self._reservations.items() if scope in scopes
        ]
        return sum(
            reservation.left + sum(calls for calls, _ in reservation.aside)
            for reservation in reservations
        )

    def close(self) -> None:
        """No calls are made any more."""
        for task in self._tasks:
            task.cancel()

    async def take(self, budgets: Sequence[Budget]) -> Grant:
        """One call; or none, and when there are some again. A call that goes beyond a limit is granted to one who asks,
        and the others are told that there is none."""
        reservation = self._reservations.setdefault(
            tuple(budget.scope for budget in budgets), _Reservation()
        )
        while not reservation.is_good(self._now()):
            if reservation.coming is None:
                return await self._next_reservation(budgets, reservation)
            await reservation.coming.wait()
            if reservation.answer.probes:
                return _NONE  # that call is somebody else's, and is waited for
            if not reservation.answer.calls:
                return reservation.answer
        reservation.left -= 1
        if reservation.is_running_out(self._now()):
            reservation.is_followed = True
            self._beside(self._more_in_time(budgets, reservation))
        return _ONE

    async def _next_reservation(
        self, budgets: Sequence[Budget], reservation: _Reservation
    ) -> Grant:
        """Have another reservation granted, and let all who wait know of it; one of its calls is taken."""
        granted = await self._ask(budgets, reservation, may_probe=True)
        reservation.left = max(0, reservation.left - 1)
        return granted

    async def _more_in_time(self, budgets: Sequence[Budget], reservation: _Reservation) -> None:
        """Have another reservation granted while calls of the last one are made. Nobody is there who would make a call that
        goes beyond a limit, and whoever finds no call left asks by himself."""
        if reservation.coming is None:  # else somebody was faster, and found none left
            with suppress(DiskFull, Unavailable):
                await self._ask(budgets, reservation, may_probe=False)

    async def _ask(
        self, budgets: Sequence[Budget], reservation: _Reservation, *, may_probe: bool
    ) -> Grant:
        """Give back what was put aside, ask the ledger for a reservation, and let all who wait know of the answer."""
        coming = reservation.coming = asyncio.Event()
        reservation.answer = _NONE
        try:
            granted = await self._granted(budgets, reservation, may_probe=may_probe)
            if granted.calls or may_probe:
                reservation.answer = granted
            return granted
        finally:
            coming.set()
            reservation.coming = None

    async def _granted(
        self, budgets: Sequence[Budget], reservation: _Reservation, *, may_probe: bool
    ) -> Grant:
        now = self._now()
        reservation.resize(now)
        if may_probe:
            reservation.put_aside()
        aside, reservation.aside = reservation.aside, []

        def change(spent: Sequence[Spending]) -> tuple[Sequence[Spending], Grant]:
            left = _given_back(budgets, spent, aside)
            given = grant(budgets, left, reservation.size, now, may_probe=may_probe)
            after = [spend(b, s, given.calls, now) for b, s in zip(budgets, left, strict=True)]
            return [
                closed_for_probe(s, now) if b.scope in given.probes else s
                for b, s in zip(budgets, after, strict=True)
            ], given

        given = await self._budgets.change([budget.scope for budget in budgets], change)
        if given.calls:
            reservation.put_aside()
            reservation.granted = reservation.left = given.calls
            reservation.is_followed = False
            reservation.granted_at, reservation.arrived_at = now, self._now()
            self._beside(self._back_in_time(budgets, reservation))
        return given

    async def _back_in_time(self, budgets: Sequence[Budget], reservation: _Reservation) -> None:
        """Give back what is left of a reservation that nobody asks for any more."""
        arrived_at = reservation.arrived_at
        await asyncio.sleep(2 * RESERVATION_SECONDS)
        if (
            reservation.arrived_at != arrived_at
            or reservation.coming is not None
            or reservation.is_good(self._now())
        ):
            return
        reservation.put_aside()
        aside, reservation.aside = reservation.aside, []
        if aside:
            with suppress(DiskFull, Unavailable):
                await self._budgets.change(
                    [budget.scope for budget in budgets],
                    lambda spent: (_given_back(budgets, spent, aside), None),
                )

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the calls."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _given_back(
    budgets: Sequence[Budget], spent: Sequence[Spending], aside: Sequence[tuple[int, float]]
) -> Sequence[Spending]:
    for calls, granted_at in aside:
        spent = [give_back(b, s, calls, granted_at) for b, s in zip(budgets, spent, strict=True)]
    return spent
