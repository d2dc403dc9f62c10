"""Calls are granted in lots, each in one transaction of the ledger.

Whatever dies, what was granted counts, and several processes spend from one budget. While calls are made quickly, the
next lot is asked for before the last one is used up; what is not used in half a second is given back.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from openbulk.connectors.pace import Budget
from openbulk.domain.errors import NoRoom, Unavailable
from openbulk.engine.quota.sliding_window import Grant, closed_for_probe, give_back, grant, spend
from openbulk.storage.budgets import Budgets, Spending

LOT_SECONDS = 0.5
LOT_FIRST = 16
LOT_MOST = 1_024
_NONE, _ONE = Grant(0), Grant(1)


@dataclass(slots=True)
class _Lot:
    """Calls that were granted together and are not made yet."""

    size: int = LOT_FIRST
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
        return self.left > 0 and now - self.arrived_at <= LOT_SECONDS

    def is_running_out(self, now: float) -> bool:
        """Whether to ask for more, as calls are made quickly; once for each lot."""
        if self.is_followed or self.coming is not None or self.size == LOT_FIRST:
            return False
        return self.left < self.granted // 2 or now - self.arrived_at > LOT_SECONDS / 2

    def resize(self, now: float) -> None:
        """Ask for twice of what was used, for as long as a lot is good."""
        age = max(now - self.arrived_at, 0.001)
        wanted = int(2 * (self.granted - self.left) * LOT_SECONDS / age)
        self.size = max(LOT_FIRST, min(wanted, 2 * self.size, LOT_MOST))

    def put_aside(self) -> None:
        """Make no more of these calls."""
        if self.left:
            self.aside.append((self.left, self.granted_at))
        self.left = 0


class Lots:
    """The lots of a process, one for all calls that count on the same budgets."""

    def __init__(self, budgets: Budgets, now: Callable[[], float]) -> None:
        self._budgets = budgets
        self._now = now
        self._lots: dict[tuple[str, ...], _Lot] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def left(self, scope: str) -> int:
        """Calls that were granted on a budget, and are not made yet, or never will be."""
        lots = [lot for scopes, lot in self._lots.items() if scope in scopes]
        return sum(lot.left + sum(calls for calls, _ in lot.aside) for lot in lots)

    def close(self) -> None:
        """No calls are made any more."""
        for task in self._tasks:
            task.cancel()

    async def take(self, budgets: Sequence[Budget]) -> Grant:
        """One call; or none, and when there are some again. A call that goes beyond a limit is granted to one who asks,
        and the others are told that there is none."""
        lot = self._lots.setdefault(tuple(budget.scope for budget in budgets), _Lot())
        while not lot.is_good(self._now()):
            if lot.coming is None:
                return await self._next_lot(budgets, lot)
            await lot.coming.wait()
            if lot.answer.probes:
                return _NONE  # that call is somebody else's, and is waited for
            if not lot.answer.calls:
                return lot.answer
        lot.left -= 1
        if lot.is_running_out(self._now()):
            lot.is_followed = True
            self._beside(self._more_in_time(budgets, lot))
        return _ONE

    async def _next_lot(self, budgets: Sequence[Budget], lot: _Lot) -> Grant:
        """Have another lot granted, and let all who wait know of it; one of its calls is taken."""
        granted = await self._ask(budgets, lot, may_probe=True)
        lot.left = max(0, lot.left - 1)
        return granted

    async def _more_in_time(self, budgets: Sequence[Budget], lot: _Lot) -> None:
        """Have another lot granted while calls of the last one are made. Nobody is there who would make a call that
        goes beyond a limit, and whoever finds no call left asks by himself."""
        if lot.coming is None:  # else somebody was faster, and found none left
            with suppress(NoRoom, Unavailable):
                await self._ask(budgets, lot, may_probe=False)

    async def _ask(self, budgets: Sequence[Budget], lot: _Lot, *, may_probe: bool) -> Grant:
        """Give back what was put aside, ask the ledger for a lot, and let all who wait know of the answer."""
        coming = lot.coming = asyncio.Event()
        lot.answer = _NONE
        try:
            granted = await self._granted(budgets, lot, may_probe=may_probe)
            if granted.calls or may_probe:
                lot.answer = granted
            return granted
        finally:
            coming.set()
            lot.coming = None

    async def _granted(self, budgets: Sequence[Budget], lot: _Lot, *, may_probe: bool) -> Grant:
        now = self._now()
        lot.resize(now)
        if may_probe:
            lot.put_aside()
        aside, lot.aside = lot.aside, []

        def change(spent: Sequence[Spending]) -> tuple[Sequence[Spending], Grant]:
            left = _given_back(budgets, spent, aside)
            given = grant(budgets, left, lot.size, now, may_probe=may_probe)
            after = [spend(b, s, given.calls, now) for b, s in zip(budgets, left, strict=True)]
            return [
                closed_for_probe(s, now) if b.scope in given.probes else s for b, s in zip(budgets, after, strict=True)
            ], given

        given = await self._budgets.change([budget.scope for budget in budgets], change)
        if given.calls:
            lot.put_aside()
            lot.granted = lot.left = given.calls
            lot.is_followed = False
            lot.granted_at, lot.arrived_at = now, self._now()
            self._beside(self._back_in_time(budgets, lot))
        return given

    async def _back_in_time(self, budgets: Sequence[Budget], lot: _Lot) -> None:
        """Give back what is left of a lot that nobody asks for any more."""
        arrived_at = lot.arrived_at
        await asyncio.sleep(2 * LOT_SECONDS)
        if lot.arrived_at != arrived_at or lot.coming is not None or lot.is_good(self._now()):
            return
        lot.put_aside()
        aside, lot.aside = lot.aside, []
        if aside:
            with suppress(NoRoom, Unavailable):
                await self._budgets.change(
                    [budget.scope for budget in budgets], lambda spent: (_given_back(budgets, spent, aside), None)
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
