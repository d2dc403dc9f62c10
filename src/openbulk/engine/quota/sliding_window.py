"""What is left of a budget: calls counted in buckets of a window that slides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from openbulk.connectors.pace import Budget, Permit, Throttle
from openbulk.storage.budgets import Spending

BUCKETS = 240
"""A window is counted in as many buckets: 0.25 s each for a minute, 6 min for a day."""
NEARLY_FULL = 0.95
"""A refusal is blamed on the widest budget of which so much is used."""
PROBES_IN_A_ROW = 2
NEARLY_FULL_IN_A_ROW = 3
IN_A_ROW = 8
"""So many refusals with no answer between them are no hiccup of the service: of a call that goes beyond a limit, where
a budget is nearly used up, and where none is; then the narrowest has a limit that nobody has documented."""
GRACE = 0.5
"""A call may reach the service this much later (in seconds) than it was granted, and count from then on."""
WORTH_WAKING = 0.05
"""A job that has to wait goes on when this share of a budget is free: fewer calls are not worth a turn."""
PROBE_AGAIN_SECONDS = 60.0
PROBE_SECONDS = 5.0
"""A call that finds out whether there is more is waited for at most this long."""
PROBE_LOOK_SECONDS = 0.1
PROBING = "one call finds out whether there is more"
FIRST_GROWTH = 20.0
LATER_GROWTH = 1.1


@dataclass(frozen=True, slots=True)
class Grant:
    """What budgets give together."""

    calls: int
    after: float = 0.0
    """Seconds until there is more, where there are no calls."""
    reason: str = ""
    """Why there are none, in a sentence."""
    probes: tuple[str, ...] = ()
    """The scopes whose limits the one call granted goes beyond."""


def limit_of(budget: Budget, spending: Spending) -> int:
    """The limit as documented, or as the service has taught since."""
    return budget.calls if spending.learned is None else spending.learned


def used(budget: Budget, spending: Spending, now: float) -> int:
    """Calls that count on the window that ends now."""
    return sum(calls for bucket, calls in spending.buckets if _freed_at(budget, bucket) > now)


def grant(
    budgets: Sequence[Budget],
    spent: Sequence[Spending],
    wanted: int,
    now: float,
    *,
    may_probe: bool = True,
) -> Grant:
    """As many of the wanted calls as every budget has left; or when there are some again."""
    for spending in spent:
        if spending.closed_until > now:
            after = (
                PROBE_LOOK_SECONDS
                if spending.closed_for == PROBING
                else spending.closed_until - now
            )
            return Grant(0, after, spending.closed_for)
    left = [limit_of(b, s) - used(b, s, now) for b, s in zip(budgets, spent, strict=True)]
    calls = min([wanted, *left])
    if calls > 0:
        return Grant(calls)
    empty = [(b, s) for b, s, free in zip(budgets, spent, left, strict=True) if free <= 0]
    if may_probe and all(_may_probe(budget, spending, now) for budget, spending in empty):
        return Grant(1, probes=tuple(budget.scope for budget, _ in empty))
    after, budget = max(
        ((_free_in(budget, spending, now), budget) for budget, spending in empty),
        key=lambda pair: pair[0],
    )
    return Grant(0, after, f"{budget.says}, and all are used")


def spend(budget: Budget, spending: Spending, calls: int, now: float) -> Spending:
    """The budget after so many calls were granted; what has left the window is forgotten."""
    buckets = {
        bucket: count for bucket, count in spending.buckets if _freed_at(budget, bucket) > now
    }
    current = int(now // _bucket_seconds(budget))
    buckets[current] = buckets.get(current, 0) + calls
    return replace(spending, buckets=tuple(sorted(buckets.items())))


def give_back(budget: Budget, spending: Spending, calls: int, granted_at: float) -> Spending:
    """The budget without calls that were granted at a moment and not made."""
    current = int(granted_at // _bucket_seconds(budget))
    return replace(
        spending,
        buckets=tuple(
            (bucket, max(0, count - calls) if bucket == current else count)
            for bucket, count in spending.buckets
        ),
    )


def blamed(
    permit: Permit, throttle: Throttle, spent: Sequence[Spending], in_a_row: int, now: float
) -> Budget | None:
    """The budget that a refusal is about: the one that was gone beyond, or is nearly used up; None where it may be
    a hiccup of the service."""
    pairs = [
        (budget, spending)
        for budget, spending in zip(permit.budgets, spent, strict=True)
        if (not permit.probes or budget.scope in permit.probes)
        and throttle.label in (None, budget.label)
    ] or list(zip(permit.budgets, spent, strict=True))
    full = [b for b, s in pairs if used(b, s, now) >= limit_of(b, s) * NEARLY_FULL]
    enough = PROBES_IN_A_ROW if permit.probes else NEARLY_FULL_IN_A_ROW if full else IN_A_ROW
    if throttle.after is None and in_a_row < enough:
        return None
    return full[0] if full else pairs[-1][0]


def closed_for_probe(spending: Spending, now: float) -> Spending:
    """One call goes beyond the limit: nobody else's does, on whatever machine, until it is answered."""
    return replace(spending, closed_until=now + PROBE_SECONDS, closed_for=PROBING)


def probed(spending: Spending) -> Spending:
    """That call was answered, or refused."""
    return (
        replace(spending, closed_until=0.0, closed_for="")
        if spending.closed_for == PROBING
        else spending
    )


def learn_less(budget: Budget, spending: Spending, unanswered: int, now: float) -> Spending:
    """The service refused a call: its limit is what it had answered until then."""
    answered = used(budget, spending, now) - unanswered
    return replace(
        spending, learned=max(1, min(limit_of(budget, spending), answered)), refused_at=now
    )


def learn_more(budget: Budget, spending: Spending) -> Spending:
    """The service answered a call beyond the limit that we knew."""
    growth = LATER_GROWTH if spending.refused_at else FIRST_GROWTH
    return replace(probed(spending), learned=math.ceil(limit_of(budget, spending) * growth))


def _may_probe(budget: Budget, spending: Spending, now: float) -> bool:
    return budget.may_be_more and (
        not spending.refused_at or now - spending.refused_at > PROBE_AGAIN_SECONDS
    )


def _bucket_seconds(budget: Budget) -> float:
    return budget.seconds / BUCKETS


def _freed_at(budget: Budget, bucket: int) -> float:
    """When the calls of a bucket no longer count."""
    return (bucket + 1) * _bucket_seconds(budget) + budget.seconds + GRACE


def _free_in(budget: Budget, spending: Spending, now: float) -> float:
    """Seconds until there are enough calls to be worth a turn."""
    limit = limit_of(budget, spending)
    missing = used(budget, spending, now) - limit + math.ceil(limit * WORTH_WAKING)
    for bucket, calls in spending.buckets:
        if _freed_at(budget, bucket) > now:
            missing -= calls
            if missing <= 0:
                return _freed_at(budget, bucket) - now
    return budget.seconds
