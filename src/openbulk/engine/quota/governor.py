"""The governor: how many calls each service gets, shared between jobs, learned from refusals.

Calls are granted in reservations (`reservations.py`) from windows that slide (`sliding_window.py`),
and are remembered in the ledger (`storage/budgets.py`).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from openbulk.connectors.pace import Budget, Permit, Throttle
from openbulk.domain.errors import CallWithdrawn, DiskFull, Fenced, RetryLater
from openbulk.engine import metrics
from openbulk.engine.queue.lease import Lease
from openbulk.engine.quota.reservations import Reservations
from openbulk.engine.quota.sliding_window import (
    PROBE_SECONDS,
    budget_at_fault,
    close,
    end_probe,
    learn_less,
    learn_more,
)
from openbulk.storage.budgets import Budgets, Spending

log = structlog.get_logger()

PATIENCE_SECONDS = 1.5
"""A call waits so long for a permit; a longer wait ends the slice."""


class Governor:
    """Gives permits for calls, for all instances of this process."""

    def __init__(
        self, budgets: Budgets, now: Callable[[], float] = time.time, lease: Lease | None = None
    ) -> None:
        self._budgets = budgets
        self._now = now
        self.lease = lease or Lease()
        self._reservations = Reservations(budgets, now)
        self._unanswered: Counter[str] = Counter()
        self._refused_in_a_row: Counter[str] = Counter()
        self._probes: dict[str, asyncio.Event] = {}
        """The probes under way, by scope."""

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """Take a permit for one call. Raises RetryLater where that takes more than a moment."""
        # A short wait costs less than a slice that ends and begins again, with few calls at a time.
        patience = PATIENCE_SECONDS
        while True:
            await self._wait_for_probes(budgets)
            granted = await self._reservations.take(budgets)
            for scope in granted.probes:
                self._probes[scope] = asyncio.Event()
            if granted.calls:
                self._unanswered.update(budget.scope for budget in budgets)
                return Permit(budgets, granted.probes)
            if granted.after > patience:
                raise RetryLater(granted.reason, after=granted.after)
            patience -= granted.after
            await asyncio.sleep(granted.after)

    def close(self) -> None:
        """Stop: no calls are made any more."""
        self._reservations.close()

    async def _wait_for_probes(self, budgets: Sequence[Budget]) -> None:
        for budget in budgets:
            probe = self._probes.get(budget.scope)
            if probe is None:
                continue
            # A probe that was lost with its caller must not stop the others for ever.
            try:
                await asyncio.wait_for(probe.wait(), PROBE_SECONDS)
            except TimeoutError:
                self._forget_probe(budget.scope)

    async def report_answer(self, permit: Permit) -> None:
        """The call was answered. A probe has shown that there is more than its budget's limit."""
        self._end_call(permit)
        for budget in permit.budgets:
            self._refused_in_a_row.pop(budget.scope, None)
        if permit.probes:
            await self._learn_more(permit)

    async def _learn_more(self, permit: Permit) -> None:
        probed = [budget for budget in permit.budgets if budget.scope in permit.probes]

        def change(spent: Sequence[Spending]) -> tuple[Sequence[Spending], None]:
            return list(map(learn_more, probed, spent)), None

        try:
            # The call was made. On a full disk its lesson is learned another time.
            with suppress(DiskFull):
                await self._budgets.change(permit.probes, change)
        finally:
            self._forget_probes(permit)

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """The call was refused: slow the budget that is at fault."""
        metrics.REFUSALS.inc()
        scopes = [budget.scope for budget in permit.budgets]
        log.info("call refused", reason=throttle.message, scopes=scopes)
        try:
            if permit.budgets:
                await self._slow_down(permit, throttle)
        finally:
            self.report_loss(permit)
        return RetryLater(
            throttle.message, after=throttle.after, provider_message=throttle.provider_message
        )

    async def _slow_down(self, permit: Permit, throttle: Throttle) -> None:
        now = self._now()
        narrowest = permit.budgets[-1].scope
        self._refused_in_a_row[narrowest] += 1
        in_a_row = self._refused_in_a_row[narrowest]
        scopes = [budget.scope for budget in permit.budgets]
        unanswered = {scope: self._calls_without_answer(scope) for scope in scopes}

        def change(spent: Sequence[Spending]) -> tuple[Sequence[Spending], None]:
            at_fault = budget_at_fault(permit, throttle, spent, in_a_row, now)
            after = list(map(end_probe, spent))
            for index, budget in enumerate(permit.budgets):
                if budget != at_fault:
                    continue
                if throttle.after is None:
                    count = unanswered[budget.scope]
                    after[index] = learn_less(budget, after[index], count, now)
                else:
                    after[index] = close(after[index], throttle, now)
            return after, None

        with suppress(DiskFull):
            await self._budgets.change(scopes, change)

    def report_loss(self, permit: Permit) -> None:
        """The call is over, and teaches nothing."""
        self._end_call(permit)
        self._forget_probes(permit)

    def _calls_without_answer(self, scope: str) -> int:
        """The calls that were granted and have no answer: made or not, a refused one among them."""
        return self._unanswered[scope] + self._reservations.calls_not_made(scope)

    def _end_call(self, permit: Permit) -> None:
        for budget in permit.budgets:
            self._unanswered[budget.scope] -= 1

    def _forget_probes(self, permit: Permit) -> None:
        for scope in permit.probes:
            self._forget_probe(scope)

    def _forget_probe(self, scope: str) -> None:
        probe = self._probes.pop(scope, None)
        if probe is not None:
            probe.set()


class InstancePace:
    """The governor as one instance sees it: each slice gets its job's share of every budget."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor
        self._jobs = 1
        self._taken: Counter[str] = Counter()

    def begin_slice(self, jobs: int) -> None:
        """Begin a slice of one of so many jobs that share the budgets."""
        self._jobs = jobs
        self._taken.clear()

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """Take a permit for one call.

        Raises RetryLater where the slice has had its share or the budget is used up, and
        CallWithdrawn where another process has taken the slice over.
        """
        self._take_from_share(budgets)
        try:
            permit = await self._governor.take(budgets)
        except BaseException:
            self._taken.subtract(budget.scope for budget in budgets)
            raise
        try:
            await self._governor.lease.hold()
        except Fenced as error:
            self._governor.report_loss(permit)
            # The permit is taken deep inside a connector, and connectors raise ServiceError alone.
            raise CallWithdrawn from error
        except BaseException:
            self._governor.report_loss(permit)
            raise
        return permit

    def _take_from_share(self, budgets: Sequence[Budget]) -> None:
        if self._jobs > 1 and any(self._has_had_its_share(budget) for budget in budgets):
            raise RetryLater("another job of this instance takes its share", after=0.0)
        self._taken.update(budget.scope for budget in budgets)

    def _has_had_its_share(self, budget: Budget) -> bool:
        return self._taken[budget.scope] * self._jobs >= budget.calls

    async def report_answer(self, permit: Permit) -> None:
        """The service handled the call."""
        await self._governor.report_answer(permit)

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """The service refused the call because a budget is used up."""
        return await self._governor.report_refusal(permit, throttle)

    def report_loss(self, permit: Permit) -> None:
        """The call has no answer."""
        self._governor.report_loss(permit)
