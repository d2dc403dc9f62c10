"""What carrying a plan out takes of each limit of a service, and how long it has to wait.

These functions only compute. A job makes its calls as soon as it may, so at each moment it has used
about the same share of its calls of each limit. What it has used at once comes back at once, a
window later: a job that takes one call more than two minutes allow waits for the third.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openbulk.connectors.pace import Budget
from openbulk.domain.plan import UsageLimit
from openbulk.engine.quota.sliding_window import (
    calls_in_window,
    calls_worth_waiting_for,
    expiries,
    limit_of,
    seconds_of_call,
)
from openbulk.storage.budgets import Spending

_ROUNDING = 1e-6
"""A share of calls that was computed from a number of them is that number again."""


@dataclass(frozen=True, slots=True)
class BudgetForecast:
    """One limit of the service for calls, and what a plan would take of it."""

    budget: Budget
    limit: int
    """Calls in its window, as far as is known."""
    left: int
    """Calls that are left of it now."""
    calls: int
    """Calls of the plan that count on it."""
    expiries: Sequence[tuple[float, int]] = ()
    """When calls come back that others have made: in how many seconds, and how many."""

    @property
    def is_met(self) -> bool:
        """Whether the plan takes more calls than are left now."""
        return self.calls > self.left

    def seconds_for(self, share: float) -> float:
        """Seconds until it has allowed this share of its calls."""
        calls = math.ceil(share * self.calls - _ROUNDING)
        if calls <= 0:
            return 0.0
        windows, place = divmod(calls - 1, self.limit)
        # The last calls of a job are granted one by one. In earlier windows, it waited for a few.
        enough = calls_worth_waiting_for(self.limit)
        coming = _together(enough, self.expiries) if windows else self.expiries
        return windows * seconds_of_call(self.budget) + self._seconds_until_place(place, coming)

    def _seconds_until_place(self, place: int, coming: Sequence[tuple[float, int]]) -> float:
        """Seconds until so many calls are made in the first window, and one more may be."""
        place -= self.left
        if place < 0:
            return 0.0
        for seconds, calls in coming:
            place -= calls
            if place < 0:
                return seconds
        first = 0.0 if self.left or not coming else coming[0][0]
        return seconds_of_call(self.budget) + first


@dataclass(frozen=True, slots=True)
class UsageForecast:
    """A limit on something else than calls, and what a plan would take of it."""

    limit: UsageLimit
    planned: int
    seconds: float | None
    """Seconds until the job meets it, if nothing was used of it before; None if it does not."""

    @property
    def is_met(self) -> bool:
        """Whether the plan alone goes beyond it."""
        return self.seconds is not None


def forecast_of_budget(
    budget: Budget, spending: Spending, calls: int, now: float
) -> BudgetForecast:
    """What some calls would take of a budget."""
    limit = max(1, limit_of(budget, spending))
    left = limit - calls_in_window(budget, spending, now)
    coming = _without_first(-left, expiries(budget, spending, now))
    return BudgetForecast(budget, limit, max(0, left), calls, coming)


def _together(enough: int, expiring: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Calls that come back, each with those before it that were too few to be granted.

    The last ones may still be too few. They are granted with the job's own, a window later.
    """
    granted, free = [], 0
    for seconds, calls in expiring:
        free += calls
        if free >= enough:
            granted.append((seconds, free))
            free = 0
    return granted


def _without_first(count: int, expiring: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """What comes back after so many calls that were made beyond the limit; they give no place."""
    rest = []
    for seconds, calls in expiring:
        beyond = min(max(0, count), calls)
        count -= beyond
        rest.append((seconds, calls - beyond))
    return rest


def seconds_for(share: float, budgets: Sequence[BudgetForecast]) -> float:
    """Seconds until all limits have allowed this share of the calls."""
    return max((one.seconds_for(share) for one in budgets), default=0.0)


def seconds_until_met(met: BudgetForecast, budgets: Sequence[BudgetForecast]) -> float | None:
    """Seconds until a job meets a limit, at the pace that the others allow; None if it does not."""
    if not met.is_met:
        return None
    return seconds_for(met.left / met.calls, [one for one in budgets if one is not met])


def forecast_of_usage(
    limit: UsageLimit, planned: int, budgets: Sequence[BudgetForecast]
) -> UsageForecast:
    """When a job of so many would meet a limit."""
    seconds = seconds_for(limit.number / planned, budgets) if planned > limit.number else None
    return UsageForecast(limit, planned, seconds)


def calls_by_budget(
    of_reads: Sequence[Budget], lookups: int, places: Sequence[tuple[Sequence[Budget], int]]
) -> Mapping[Budget, int]:
    """By budget, the calls that count on it: those that read, and those that write in places."""
    calls: dict[Budget, int] = dict.fromkeys(of_reads, lookups)
    for budgets, count in places:
        for budget in budgets:
            calls[budget] = calls.get(budget, 0) + count
    return calls
