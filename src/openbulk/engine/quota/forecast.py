"""What carrying a plan out takes of each limit of a service, and how long it has to wait.

These functions only compute. A job makes its calls one after another, so at each moment it has used
about the same share of its calls of each limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openbulk.connectors.pace import Budget
from openbulk.domain.plan import UsageLimit
from openbulk.engine.quota.sliding_window import calls_in_window, limit_of
from openbulk.storage.budgets import Spending


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

    @property
    def is_met(self) -> bool:
        """Whether the plan takes more calls than are left now."""
        return self.calls > self.left

    def seconds_for(self, share: float) -> float:
        """Seconds until it has allowed this share of its calls."""
        return max(0.0, share * self.calls - self.left) * self.budget.seconds / self.limit


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
    left = max(0, limit - calls_in_window(budget, spending, now))
    return BudgetForecast(budget, limit, left, calls)


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
