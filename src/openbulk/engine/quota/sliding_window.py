"""Sliding windows: count a budget's calls in buckets, to compute how many are left.

These functions only compute. `Spending` is a budget's state in the ledger. Times are Unix time in
seconds.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from openbulk.connectors.pace import OF_JOB, Budget, Permit, Throttle
from openbulk.storage.budgets import Spending

BUCKETS = 240
"""Buckets of a window: each is 0.25 s of a minute, or 6 min of a day."""
NEARLY_FULL = 0.95
"""A refusal is blamed on the widest budget of which this share is used."""
PROBE_REFUSALS_TO_LEARN = 2
NEARLY_FULL_REFUSALS_TO_LEARN = 3
REFUSALS_TO_LEARN = 8
"""Consecutive refusals needed to lower a limit; fewer are treated as transient.

The first number is for a probe, the second if a budget is nearly used up, the third if none is:
then the narrowest budget has an undocumented limit.
"""
GRACE = 0.5
"""Allowance for network delay, in seconds: the service counts a call when it arrives."""
MIN_FREE_SHARE = 0.05
"""A job waits until this share of a budget is free: fewer calls are not worth a slice."""
PROBE_AGAIN_SECONDS = 60.0
PROBE_SECONDS = 5.0
"""Maximum seconds that other calls wait for a probe."""
PROBE_POLL_SECONDS = 0.1
# The ledger stores this text, and processes compare it: do not change it.
PROBING = "one call finds out whether there is more"
FIRST_GROWTH = 20.0
LATER_GROWTH = 1.1
"""A successful probe multiplies the limit: by FIRST_GROWTH until the first refusal, then by
LATER_GROWTH."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The calls that all budgets together grant."""

    calls: int
    after: float = 0.0
    """Seconds until there are more, if there are none."""
    reason: str = ""
    """The reason why there are none, in a sentence."""
    probes: tuple[str, ...] = ()
    """The scopes for which the granted call is a probe."""


@dataclass(frozen=True, slots=True)
class Unused:
    """Granted calls that will not be made."""

    calls: int
    granted_at: float


def limit_of(budget: Budget, spending: Spending) -> int:
    """The learned limit, else the documented one."""
    return budget.calls if spending.learned is None else spending.learned


def calls_worth_waiting_for(limit: int) -> int:
    """The free calls that a job waits for which wants more of them."""
    return math.ceil(limit * MIN_FREE_SHARE)


def calls_in_window(budget: Budget, spending: Spending, now: float) -> int:
    """The calls that count in the window that ends now."""
    return sum(calls for bucket, calls in spending.buckets if _expiry_of(budget, bucket) > now)


def expiries(budget: Budget, spending: Spending, now: float) -> list[tuple[float, int]]:
    """When the calls that count now count no more: in how many seconds, and how many of them.

    The soonest come first.
    """
    pairs = sorted((_expiry_of(budget, bucket), calls) for bucket, calls in spending.buckets)
    return [(expiry - now, calls) for expiry, calls in pairs if expiry > now]


def seconds_of_call(budget: Budget) -> float:
    """For how many seconds a call counts, at most."""
    return budget.seconds + _bucket_seconds(budget) + GRACE


def reserve(
    budgets: Sequence[Budget],
    spent: Sequence[Spending],
    *,
    wanted: int,
    now: float,
    unused: Iterable[Unused],
    may_probe: bool,
) -> tuple[Sequence[Spending], Grant]:
    """Give unused calls back, then grant calls; return the spending after that, and the grant."""
    spent = give_all_back(budgets, spent, unused)
    granted = grant(budgets, spent, wanted, now, may_probe=may_probe)
    pairs = zip(budgets, spent, strict=True)
    after = [spend(budget, spending, granted.calls, now) for budget, spending in pairs]
    for index, budget in enumerate(budgets):
        if budget.scope in granted.probes:
            after[index] = close_for_probe(after[index], now)
    return after, granted


def grant(
    budgets: Sequence[Budget],
    spent: Sequence[Spending],
    wanted: int,
    now: float,
    *,
    may_probe: bool = True,
) -> Grant:
    """Grant as many of the wanted calls as every budget has left; if none, say when there are."""
    for spending in spent:
        if spending.closed_until > now:
            return _none_while_closed(spending, now)
    pairs = list(zip(budgets, spent, strict=True))
    left = [limit_of(*pair) - calls_in_window(*pair, now) for pair in pairs]
    calls = min([wanted, *left])
    if calls > 0:
        return Grant(calls)
    empty = [pair for pair, free in zip(pairs, left, strict=True) if free <= 0]
    if may_probe and all(_is_probe_due(*pair, now) for pair in empty):
        return Grant(1, probes=tuple(budget.scope for budget, _ in empty))
    after, budget, limit = max(
        ((_seconds_until_free(*pair, wanted, now), pair[0], limit_of(*pair)) for pair in empty),
        key=lambda wait: wait[0],
    )
    return Grant(0, after, f"{budget.sentence(limit)}, and all are used")


def _none_while_closed(spending: Spending, now: float) -> Grant:
    after = spending.closed_until - now
    if spending.closed_for == PROBING:
        after = PROBE_POLL_SECONDS  # most probes are answered sooner than in PROBE_SECONDS
    return Grant(0, after, spending.closed_for)


def spend(budget: Budget, spending: Spending, calls: int, now: float) -> Spending:
    """Count calls that are granted now, and forget those that have left the window."""
    buckets = dict(spending.buckets)
    current = int(now // _bucket_seconds(budget))
    buckets[current] = buckets.get(current, 0) + calls
    kept = [(bucket, n) for bucket, n in buckets.items() if _expiry_of(budget, bucket) > now]
    return replace(spending, buckets=tuple(sorted(kept)))


def give_back(budget: Budget, spending: Spending, calls: int, granted_at: float) -> Spending:
    """Remove calls that were granted at `granted_at` and not made."""
    buckets = dict(spending.buckets)
    bucket = int(granted_at // _bucket_seconds(budget))
    if bucket in buckets:
        buckets[bucket] = max(0, buckets[bucket] - calls)
    return replace(spending, buckets=tuple(buckets.items()))


def give_all_back(
    budgets: Sequence[Budget], spent: Sequence[Spending], unused: Iterable[Unused]
) -> Sequence[Spending]:
    """Give calls back to all the budgets that they count against."""
    for one in unused:
        pairs = zip(budgets, spent, strict=True)
        spent = [give_back(*pair, one.calls, one.granted_at) for pair in pairs]
    return spent


# --- learning from refusals and probes ---


def budget_at_fault(
    permit: Permit, throttle: Throttle, spent: Sequence[Spending], refusals: int, now: float
) -> Budget | None:
    """The budget that a refusal is about: the one that was probed, or is nearly used up.

    None if the refusal may be transient. `refusals` counts the consecutive ones.
    """
    pairs = [pair for pair in zip(permit.budgets, spent, strict=True) if pair[0].label != OF_JOB]
    if not pairs:
        return None
    suspects = [pair for pair in pairs if _is_suspect(pair[0], permit, throttle)] or pairs
    nearly_full = [
        (budget, spending)
        for budget, spending in suspects
        if calls_in_window(budget, spending, now) >= limit_of(budget, spending) * NEARLY_FULL
    ]
    enough = REFUSALS_TO_LEARN
    if permit.probes:
        enough = PROBE_REFUSALS_TO_LEARN
    elif nearly_full:
        enough = NEARLY_FULL_REFUSALS_TO_LEARN
    if throttle.after is None and refusals < enough:
        return None
    widest_first = nearly_full or suspects[-1:]
    return widest_first[0][0]


def _is_suspect(budget: Budget, permit: Permit, throttle: Throttle) -> bool:
    if permit.probes and budget.scope not in permit.probes:
        return False
    return throttle.label in (None, budget.label)


def close_for_probe(spending: Spending, now: float) -> Spending:
    """Let no other call go beyond the limit, on any machine, until the probe is answered."""
    return replace(spending, closed_until=now + PROBE_SECONDS, closed_for=PROBING)


def end_probe(spending: Spending) -> Spending:
    """Reopen a budget after its probe was answered or refused."""
    if spending.closed_for != PROBING:
        return spending
    return replace(spending, closed_until=0.0, closed_for="")


def close(spending: Spending, throttle: Throttle, now: float) -> Spending:
    """Close a budget for as long as the service asks."""
    until = max(now + (throttle.after or 0.0), spending.closed_until)
    return replace(spending, closed_until=until, closed_for=throttle.message)


def learn_less(budget: Budget, spending: Spending, in_flight: int, now: float) -> Spending:
    """Lower the limit after a refusal, to the calls that the service had answered until then."""
    answered = calls_in_window(budget, spending, now) - in_flight
    learned = max(1, min(limit_of(budget, spending), answered))
    return replace(spending, learned=learned, refused_at=now)


def learn_more(budget: Budget, spending: Spending) -> Spending:
    """Raise the limit after a successful probe."""
    growth = LATER_GROWTH if spending.refused_at else FIRST_GROWTH
    learned = math.ceil(limit_of(budget, spending) * growth)
    return replace(end_probe(spending), learned=learned)


def _is_probe_due(budget: Budget, spending: Spending, now: float) -> bool:
    if not budget.may_probe:
        return False
    return not spending.refused_at or now - spending.refused_at > PROBE_AGAIN_SECONDS


# --- buckets ---


def _bucket_seconds(budget: Budget) -> float:
    return budget.seconds / BUCKETS


def _expiry_of(budget: Budget, bucket: int) -> float:
    """When the calls in a bucket no longer count."""
    return (bucket + 1) * _bucket_seconds(budget) + budget.seconds + GRACE


def _seconds_until_free(budget: Budget, spending: Spending, wanted: int, now: float) -> float:
    """Seconds until the wanted calls are free, or enough of them to be worth a slice."""
    limit = limit_of(budget, spending)
    enough = min(wanted, calls_worth_waiting_for(limit))
    missing = calls_in_window(budget, spending, now) - limit + enough
    for bucket, calls in spending.buckets:
        expiry = _expiry_of(budget, bucket)
        if expiry > now:
            missing -= calls
            if missing <= 0:
                return expiry - now
    return budget.seconds
