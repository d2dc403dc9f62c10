"""The governor: how many calls each service gets, shared out between jobs, learned from refusals, remembered.

Calls are granted in reservations (`engine/quota/reservations.py`), from windows that slide (`engine/quota/sliding_window.py`).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from openbulk.connectors.pace import Budget, Permit, Throttle
from openbulk.domain.errors import CallWithdrawn, DiskFull, Fenced, RetryLater
from openbulk.engine import metrics
from openbulk.engine.queue.lease import Lease
from openbulk.engine.quota.reservations import Reservations
from openbulk.engine.quota.sliding_window import (
    PROBE_SECONDS,
    blamed,
    learn_less,
    learn_more,
    probed,
)
from openbulk.storage.budgets import Budgets, Spending

log = structlog.get_logger()

PATIENCE_SECONDS = 1.5
"""A call waits this long for leave; what takes longer ends the turn."""


class Governor:
    """Gives leave for calls, for all instances of this process."""

    def __init__(
        self, budgets: Budgets, now: Callable[[], float] = time.time, lease: Lease | None = None
    ) -> None:
        self._budgets = budgets
        self._now = now
        self.lease = lease or Lease()
        self._reservations = Reservations(budgets, now)
        self._unanswered: Counter[str] = Counter()
        self._refused_in_a_row: Counter[str] = Counter()
        self._probing: dict[str, asyncio.Event] = {}

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """Leave for one call. Raises RetryLater where that takes more than a moment."""
        patience = PATIENCE_SECONDS
        while True:
            await self._probe_to_end(budgets)
            granted = await self._reservations.take(budgets)
            for scope in granted.probes:
                self._probing[scope] = asyncio.Event()
            if granted.calls:
                self._unanswered.update(budget.scope for budget in budgets)
                return Permit(budgets, granted.probes)
            if granted.after > patience:
                raise RetryLater(granted.reason, after=granted.after)
            patience -= granted.after
            await asyncio.sleep(granted.after)

    def close(self) -> None:
        """No calls are made any more."""
        self._reservations.close()

    async def _probe_to_end(self, budgets: Sequence[Budget]) -> None:
        for budget in budgets:
            if (probe := self._probing.get(budget.scope)) is not None:
                try:
                    await asyncio.wait_for(probe.wait(), PROBE_SECONDS)
                except TimeoutError:
                    self._end_probe(budget.scope)

    async def report_answer(self, permit: Permit) -> None:
        """The call is over; one that went beyond a limit has shown that there is more."""
        self._over(permit)
        for scope in (
            budget.scope for budget in permit.budgets if budget.scope in self._refused_in_a_row
        ):
            del self._refused_in_a_row[scope]
        if not permit.probes:
            return
        gone_beyond = [budget for budget in permit.budgets if budget.scope in permit.probes]

        def change(spent: Sequence[Spending]) -> tuple[Sequence[Spending], None]:
            return [
                learn_more(budget, spending)
                for budget, spending in zip(gone_beyond, spent, strict=True)
            ], None

        try:
            with suppress(
                DiskFull
            ):  # what it has taught is learned another time; the call was made
                await self._budgets.change(permit.probes, change)
        finally:
            self._end_probes(permit)

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """Slow the budget that is to blame."""
        metrics.REFUSALS.inc()
        log.info(
            "call refused",
            reason=throttle.message,
            scopes=[budget.scope for budget in permit.budgets],
        )
        try:
            await self._slow(permit, throttle)
        finally:
            self.report_loss(permit)
        return RetryLater(
            throttle.message, after=throttle.after, provider_message=throttle.provider_message
        )

    async def _slow(self, permit: Permit, throttle: Throttle) -> None:
        if not permit.budgets:
            return
        now, narrowest = self._now(), permit.budgets[-1].scope
        self._refused_in_a_row[narrowest] += 1
        in_a_row = self._refused_in_a_row[narrowest]
        unanswered = {budget.scope: self._outstanding(budget) for budget in permit.budgets}

        def change(spent: Sequence[Spending]) -> tuple[Sequence[Spending], None]:
            at_fault = blamed(permit, throttle, spent, in_a_row, now)
            return [
                probed(spending)
                if budget != at_fault
                else _slowed(budget, probed(spending), throttle, unanswered[budget.scope], now)
                for budget, spending in zip(permit.budgets, spent, strict=True)
            ], None

        with suppress(DiskFull):
            await self._budgets.change([budget.scope for budget in permit.budgets], change)

    def report_loss(self, permit: Permit) -> None:
        """The call is over, and teaches nothing."""
        self._over(permit)
        self._end_probes(permit)

    def _outstanding(self, budget: Budget) -> int:
        """Calls of this process that were granted and have no answer yet: made or not, the refused one among them."""
        return self._unanswered[budget.scope] + self._reservations.left(budget.scope)

    def _over(self, permit: Permit) -> None:
        for budget in permit.budgets:
            self._unanswered[budget.scope] -= 1

    def _end_probes(self, permit: Permit) -> None:
        for scope in permit.probes:
            self._end_probe(scope)

    def _end_probe(self, scope: str) -> None:
        if (probe := self._probing.pop(scope, None)) is not None:
            probe.set()


def _slowed(
    budget: Budget, spending: Spending, throttle: Throttle, unanswered: int, now: float
) -> Spending:
    if throttle.after is None:
        return learn_less(budget, spending, unanswered, now)
    return replace(
        spending,
        closed_until=max(now + throttle.after, spending.closed_until),
        closed_for=throttle.message,
    )


class InstancePace:
    """The governor, as one instance sees it: its jobs take turns, and each turn has its share."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor
        self._jobs = 1
        self._taken: Counter[str] = Counter()

    def begin_slice(self, jobs: int) -> None:
        """A turn of one of so many jobs begins: it may take its share of each budget."""
        self._jobs = jobs
        self._taken.clear()

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """Take a permit for one call.

        Raises RetryLater where the slice has had its share or the budget is used up, and CallWithdrawn where another
        process has taken the slice over.
        """
        if self._jobs > 1 and any(self._taken[b.scope] * self._jobs >= b.calls for b in budgets):
            raise RetryLater("another job of this instance takes its turn", after=0.0)
        scopes = [budget.scope for budget in budgets]
        self._taken.update(scopes)
        try:
            permit = await self._governor.take(budgets)
        except BaseException:
            self._taken.subtract(scopes)
            raise
        try:
            await self._governor.lease.hold()
        except BaseException as error:
            self._governor.report_loss(permit)
            if isinstance(error, Fenced):
                # The permit is taken deep inside a connector, and connectors raise ServiceError alone.
                raise CallWithdrawn from error
            raise
        return permit

    async def report_answer(self, permit: Permit) -> None:
        """The service dealt with the call."""
        await self._governor.report_answer(permit)

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """The service took the call for one too many."""
        return await self._governor.report_refusal(permit, throttle)

    def report_loss(self, permit: Permit) -> None:
        """Nobody knows what became of the call."""
        self._governor.report_loss(permit)
