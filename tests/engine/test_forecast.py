"""What a plan takes of the limits of a service, and when it meets them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openbulk.connectors.pace import Budget
from openbulk.domain.plan import Counted, UsageLimit
from openbulk.engine.quota.forecast import (
    calls_by_budget,
    forecast_of_budget,
    forecast_of_usage,
    seconds_for,
    seconds_until_met,
)
from openbulk.engine.quota.sliding_window import grant, seconds_of_call, spend
from openbulk.storage.budgets import Spending

DAY = Budget("day", "day", 1_000, 86_400.0, "one project takes {calls} calls a day")
USER = Budget("user", "user", 600, 60.0, "one user takes {calls} calls a minute")
A_WINDOW = seconds_of_call(USER)
"""60 s, and what the governor adds because a call may arrive late."""


def test_calls_count_on_the_limits_that_they_use() -> None:
    """Those that read on the shared ones alone; those that write in their place, too."""
    choir = Budget("choir", "calendar", 60, 60.0, "one calendar takes {calls} calls")
    counted = calls_by_budget([DAY, USER], 5, [([DAY, USER, choir], 30), ([DAY, USER], 2)])
    assert counted == {DAY: 37, USER: 37, choir: 30}


def test_a_limit_is_met_when_the_others_have_allowed_so_many_calls() -> None:
    """The first 600 calls at once, the next ones a minute later, as soon as those count no more."""
    user = forecast_of_budget(USER, Spending(), 3_000, 0.0)
    day = forecast_of_budget(DAY, Spending(), 3_000, 0.0)
    assert seconds_until_met(day, [day, user]) == A_WINDOW
    assert seconds_for(1.0, [user]) == 4 * A_WINDOW
    assert seconds_until_met(forecast_of_budget(DAY, Spending(), 1_000, 0.0), [user]) is None
    limit = UsageLimit(Counted.CREATED, 60, "60 calendars")
    assert forecast_of_usage(limit, 60, [user]).seconds is None
    half = forecast_of_usage(limit, 120, [user])
    assert (half.is_met, half.seconds) == (True, 2 * A_WINDOW)


def test_a_learned_limit_is_the_one_that_is_told() -> None:
    learned = Spending(learned=12_000)
    told = forecast_of_budget(USER, learned, 1, 0.0)
    assert told.budget.sentence(told.limit) == "one user takes 12,000 calls a minute"
    spent = Spending(buckets=((0, 12_000),), learned=12_000)
    reason = grant([USER], [spent], 1, 1.0).reason
    assert reason == "one user takes 12,000 calls a minute, and all are used"


@given(
    made=st.lists(st.tuples(st.floats(0.0, 59.0), st.integers(1, 400)), max_size=4),
    calls=st.integers(1, 2_500),
    learned=st.one_of(st.none(), st.integers(100, 900)),
)
@example(made=[(6.0, 1)], calls=100, learned=100)
@example(made=[(20.0, 1)], calls=1_200, learned=None)
@example(made=[(3.0, 2), (9.0, 10), (30.0, 20), (44.0, 100)], calls=199, learned=100)
def test_a_job_waits_as_long_as_its_forecast_says(
    made: list[tuple[float, int]], calls: int, learned: int | None
) -> None:
    """Whatever was used of the limit before. The governor waits until a few calls are free."""
    spending, now = Spending(learned=learned), 1_000_060.0
    for ago, count in sorted(made, reverse=True):
        spending = spend(USER, spending, count, now - ago)
    forecast = forecast_of_budget(USER, spending, calls, now).seconds_for(1.0)
    taken = now
    while calls:
        granted = grant([USER], [spending], calls, taken, may_probe=False)
        if granted.calls:
            spending, calls = spend(USER, spending, granted.calls, taken), calls - granted.calls
        else:
            taken += granted.after
    assert taken - now == pytest.approx(forecast, rel=0.1, abs=2.0)
