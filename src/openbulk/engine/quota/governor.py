"""The governor: limits the calls to each service, shares them between jobs, learns from refusals.

Reservations (`reservations.py`) grant calls from sliding windows (`sliding_window.py`), which the
ledger keeps (`storage/budgets.py`).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from openbulk.connectors.pace import OF_JOB, Budget, Permit, Throttle
from openbulk.domain.errors import CallWithdrawn, DiskFull, Fenced, RetryLater
from openbulk.domain.job import Job
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
from openbulk.storage.budgets import Budgets, Spending, job_scope

log = structlog.get_logger()

MAX_WAIT_SECONDS = 1.5
"""Maximum seconds to wait for a permit; a longer wait ends the slice."""
_OTHERS_TURN_SECONDS = 0.3
"""A job that has used its share waits this long, so that the slice of another one begins first: on
SQLite, DBOS knows the order of work only to the second."""


class Governor:
    """Grants permits for calls to all instances of this process."""

    def __init__(
        self, budgets: Budgets, now: Callable[[], float] = time.time, lease: Lease | None = None
    ) -> None:
        self._budgets = budgets
        self._now = now
        self.lease = lease or Lease()
        self._reservations = Reservations(budgets, now)
        self._in_flight: Counter[str] = Counter()
        self._consecutive_refusals: Counter[str] = Counter()
        self._probes: dict[str, asyncio.Event] = {}
        """The probes in flight, by scope."""

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """Take a permit for one call. Raises RetryLater if it would have to wait for long."""
        # A short wait costs less than a slice that ends and begins again, with few calls at a time.
        seconds_left = MAX_WAIT_SECONDS
        while True:
            await self._wait_for_probes(budgets)
            granted = await self._reservations.take(budgets)
            for scope in granted.probes:
                self._probes[scope] = asyncio.Event()
            if granted.calls:
                self._in_flight.update(budget.scope for budget in budgets)
                return Permit(budgets, granted.probes)
            if granted.after > seconds_left:
                raise RetryLater(granted.reason, after=granted.after)
            seconds_left -= granted.after
            await asyncio.sleep(granted.after)

    def close(self) -> None:
        """Stop: no more calls are made."""
        self._reservations.close()

    async def _wait_for_probes(self, budgets: Sequence[Budget]) -> None:
        for budget in budgets:
            probe = self._probes.get(budget.scope)
            if probe is None:
                continue
            # A probe that was lost with its caller must not stop the others forever.
            try:
                await asyncio.wait_for(probe.wait(), PROBE_SECONDS)
            except TimeoutError:
                self._forget_probe(budget.scope)

    async def report_answer(self, permit: Permit) -> None:
        """Record that a call was answered. If it was a probe, its budget's limit is raised."""
        self._end_call(permit)
        for budget in permit.budgets:
            self._consecutive_refusals.pop(budget.scope, None)
        if permit.probes:
            await self._learn_more(permit)

    async def _learn_more(self, permit: Permit) -> None:
        probed = [budget for budget in permit.budgets if budget.scope in permit.probes]

        def change(spent: Sequence[Spending]) -> tuple[Sequence[Spending], None]:
            return list(map(learn_more, probed, spent)), None

        try:
            # The call has been made. If the disk is full, skip the update: a later probe
            # repeats it.
            with suppress(DiskFull):
                await self._budgets.change(permit.probes, change)
        finally:
            self._forget_probes(permit)

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """Record that a call was refused: slow down the budget at fault."""
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
        self._consecutive_refusals[narrowest] += 1
        refusals = self._consecutive_refusals[narrowest]
        scopes = [budget.scope for budget in permit.budgets]
        in_flight = {scope: self._calls_in_flight(scope) for scope in scopes}

        def change(spent: Sequence[Spending]) -> tuple[Sequence[Spending], None]:
            at_fault = budget_at_fault(permit, throttle, spent, refusals, now)
            after = list(map(end_probe, spent))
            for index, budget in enumerate(permit.budgets):
                if budget != at_fault:
                    continue
                if throttle.after is None:
                    count = in_flight[budget.scope]
                    after[index] = learn_less(budget, after[index], count, now)
                else:
                    after[index] = close(after[index], throttle, now)
            return after, None

        with suppress(DiskFull):
            await self._budgets.change(scopes, change)

    def report_loss(self, permit: Permit) -> None:
        """The call ended without an answer: release its probe, change no limit."""
        self._end_call(permit)
        self._forget_probes(permit)

    def _calls_in_flight(self, scope: str) -> int:
        """The granted calls without an answer: sent or not, the refused one included."""
        return self._in_flight[scope] + self._reservations.calls_not_made(scope)

    def _end_call(self, permit: Permit) -> None:
        for budget in permit.budgets:
            self._in_flight[budget.scope] -= 1

    def _forget_probes(self, permit: Permit) -> None:
        for scope in permit.probes:
            self._forget_probe(scope)

    def _forget_probe(self, scope: str) -> None:
        probe = self._probes.pop(scope, None)
        if probe is not None:
            probe.set()


def job_budget(job: Job) -> Budget | None:
    """The calls a minute that a job's caller lets it make; None without such a limit."""
    calls = job.calls_per_minute
    if calls is None:
        return None
    text = f"the caller lets this job make {calls:,} call{'s' * (calls != 1)} a minute"
    return Budget(job_scope(job.id), OF_JOB, calls, 60.0, text)


class InstancePace:
    """The governor for one instance: each slice gets its job's share of every budget."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor
        self._jobs = 1
        self._own: tuple[Budget, ...] = ()
        self._taken: Counter[str] = Counter()

    def begin_slice(self, jobs: int, own: Budget | None = None) -> None:
        """Begin a slice of a job. `jobs` jobs share the budgets, this one included.

        `own` is a budget of the job alone.
        """
        self._jobs = jobs
        self._own = () if own is None else (own,)
        self._taken.clear()

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """Take a permit for one call.

        Raises RetryLater if the slice has used its share or the budget is used up, and
        CallWithdrawn if another process has taken over the slice.
        """
        self._take_from_share(budgets)
        try:
            permit = await self._governor.take((*self._own, *budgets))
        except BaseException:
            self._taken.subtract(budget.scope for budget in budgets)
            raise
        try:
            await self._governor.lease.wait_until_held()
        except Fenced as error:
            self._governor.report_loss(permit)
            # A connector takes the permit, and connectors raise only ServiceError.
            raise CallWithdrawn from error
        except BaseException:
            self._governor.report_loss(permit)
            raise
        return permit

    def _take_from_share(self, budgets: Sequence[Budget]) -> None:
        if self._jobs > 1 and any(self._has_used_its_share(budget) for budget in budgets):
            reason = "another job of this instance gets its share of the calls"
            raise RetryLater(reason, after=_OTHERS_TURN_SECONDS)
        self._taken.update(budget.scope for budget in budgets)

    def _has_used_its_share(self, budget: Budget) -> bool:
        return self._taken[budget.scope] * self._jobs >= budget.calls

    async def report_answer(self, permit: Permit) -> None:
        """Record that the service answered the call."""
        await self._governor.report_answer(permit)

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """Record that the service refused the call because a budget is used up."""
        return await self._governor.report_refusal(permit, throttle)

    def report_loss(self, permit: Permit) -> None:
        """Record that the call ended without an answer."""
        self._governor.report_loss(permit)
