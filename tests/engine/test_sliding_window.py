"""A window never gives more than its budget, and gives all of it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from openbulk.connectors.pace import OF_JOB, Budget, Permit, Throttle
from openbulk.engine.quota.sliding_window import (
    NEARLY_FULL_REFUSALS_TO_LEARN,
    PROBE_AGAIN_SECONDS,
    PROBE_REFUSALS_TO_LEARN,
    REFUSALS_TO_LEARN,
    budget_at_fault,
    calls_in_window,
    give_back,
    grant,
    learn_less,
    learn_more,
    limit_of,
    spend,
)
from openbulk.storage.budgets import Spending

USER = Budget("user", "user", 600, 60.0, "one user has 600 calls a minute")
PROJECT = Budget("project", "project", 10_000, 60.0, "the project has 10,000 calls a minute")
NOW = 1_800_000_000.0


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 300)), max_size=60))
def test_no_window_holds_more_calls_than_its_budget(asks: list[tuple[float, int]]) -> None:
    """Within any 60 seconds at most 600 calls are granted, however many are wanted."""
    spending, now = Spending(), NOW
    granted: list[tuple[float, int]] = []
    for pause, wanted in asks:
        now += pause
        calls = grant([USER], [spending], wanted, now).calls
        spending = spend(USER, spending, calls, now)
        granted.append((now, calls))
    for end, _ in granted:
        assert sum(calls for at, calls in granted if end - 60 < at <= end) <= USER.calls


def test_a_window_gives_all_of_its_budget_at_once_and_again_a_minute_later() -> None:
    """A job of 500 does not wait. Its calls are free again after a little more than a minute."""
    spending = spend(USER, Spending(), grant([USER], [Spending()], 1_000, NOW).calls, NOW)
    assert calls_in_window(USER, spending, NOW) == 600
    nothing = grant([USER], [spending], 1, NOW)
    assert nothing.calls == 0
    assert 60 < nothing.after < 61.5
    assert "600 calls" in nothing.reason
    assert grant([USER], [spending], 1_000, NOW + nothing.after).calls == 600


def test_the_last_call_of_a_job_waits_for_no_other() -> None:
    """A job that wants more waits until a few are free, which are worth a slice."""
    spending = spend(USER, spend(USER, Spending(), 1, NOW), 599, NOW + 20)
    assert grant([USER], [spending], 1, NOW + 20, may_probe=False).after < 41.5
    assert grant([USER], [spending], 30, NOW + 20, may_probe=False).after > 60


def test_the_narrowest_budget_bounds_the_others() -> None:
    """A call counts against all of them."""
    spent = spend(PROJECT, Spending(), 9_900, NOW)
    assert grant([PROJECT, USER], [spent, Spending()], 1_000, NOW).calls == 100


def test_calls_that_were_not_made_are_given_back() -> None:
    """To the bucket from which they were taken."""
    spending = spend(USER, Spending(), 100, NOW)
    assert calls_in_window(USER, give_back(USER, spending, 40, NOW), NOW + 1) == 60


def test_a_refusal_teaches_how_many_calls_there_are() -> None:
    """As many as were answered until then. Calls in flight were not."""
    spending = learn_less(USER, spend(USER, Spending(), 332, NOW), 32, NOW)
    assert limit_of(USER, spending) == 300
    assert grant([USER], [spending], 1, NOW).calls == 0


def test_one_call_probes_a_documented_limit_that_may_be_higher() -> None:
    """An answer raises the limit by much. After a refusal it stays, and is probed again later."""
    budget = replace(USER, may_probe=True)
    full = spend(budget, Spending(), 600, NOW)
    probe = grant([budget], [full], 50, NOW)
    assert (probe.calls, probe.probes) == (1, ("user",))
    assert limit_of(budget, learn_more(budget, full)) == 12_000
    refused = learn_less(budget, spend(budget, full, 1, NOW), 1, NOW)
    assert limit_of(budget, refused) == 600
    assert grant([budget], [refused], 1, NOW + 1).calls == 0
    later = NOW + PROBE_AGAIN_SECONDS + 1
    assert grant([budget], [spend(budget, refused, 600, later)], 1, later).probes == ("user",)


def test_a_refusal_is_blamed_on_the_budget_that_is_nearly_used_up() -> None:
    """Else on the narrowest, whose limit is documented nowhere. A probe is blamed itself."""
    calendar = replace(USER, scope="calendar", label="calendar")
    budgets = [PROJECT, USER, calendar]
    throttle = Throttle("too fast")
    few = [Spending()] * 3
    assert budget_at_fault(Permit(budgets), throttle, few, 1, NOW) is None
    assert budget_at_fault(Permit(budgets), throttle, few, REFUSALS_TO_LEARN, NOW) == calendar
    many = [Spending(), spend(USER, Spending(), 580, NOW), Spending()]
    assert (
        budget_at_fault(Permit(budgets), throttle, many, NEARLY_FULL_REFUSALS_TO_LEARN, NOW) == USER
    )
    assert (
        budget_at_fault(Permit(budgets), Throttle("too much", label="user", after=1.0), few, 1, NOW)
        == USER
    )
    own = Budget("job/7", OF_JOB, 10, 60.0, "the caller lets this job make 10 calls a minute")
    full = [spend(own, Spending(), 10, NOW), Spending()]
    assert budget_at_fault(Permit([own, USER]), throttle, full, REFUSALS_TO_LEARN, NOW) == USER
    assert budget_at_fault(Permit([own]), throttle, full[:1], REFUSALS_TO_LEARN, NOW) is None
    assert budget_at_fault(Permit(budgets, probes=("project",)), throttle, many, 1, NOW) is None
    assert (
        budget_at_fault(
            Permit(budgets, probes=("project",)), throttle, many, PROBE_REFUSALS_TO_LEARN, NOW
        )
        == PROJECT
    )


def test_a_closed_budget_says_why_and_until_when() -> None:
    """It grants no call."""
    closed = Spending(closed_until=NOW + 3_600, closed_for="too many events were made")
    nothing = grant([PROJECT, USER], [Spending(), closed], 1, NOW)
    assert (nothing.calls, nothing.after, nothing.reason) == (0, 3_600, "too many events were made")
