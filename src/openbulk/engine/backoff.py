"""How long a job waits before it tries again."""

FIRST_BACKOFF = 1.0
MAX_BACKOFF = 30.0
MAX_SIGN_IN_BACKOFF = 300.0
"""For credentials that a person has to renew; a change of the instance wakes the job at once."""
MAX_SPREAD = 0.25
MAX_SLICE_ATTEMPTS = 5
"""A job aborts once a slice has begun more often than this without progress."""
MAX_RESENDS = 3
"""How often a slice resends a batch that the service deferred, or whose answer was lost.

After that the service counts as down, and the slice ends."""


def wait_before_resend(resends: int, chance: float) -> float:
    """Seconds until a slice resends a batch: 0.4, 1.6 and 6.4, minus up to half by `chance`."""
    return float(0.1 * 4**resends) * (1 - 0.5 * chance)


def wait_before_retry(
    waits: int, after: float | None, chance: float, max_wait: float = MAX_BACKOFF
) -> float:
    """Seconds until a job continues after `waits` consecutive waits without progress.

    If the service named a time, that is `after`; else it is 1 s, doubled with each wait up to
    `max_wait`. `chance` (0 to 1) spreads jobs out, so that they do not all return at once: it adds
    up to a tenth, and at most a quarter of a second, to a time that the service asked for, and
    subtracts up to half from any other.
    """
    if after is not None:
        return max(after, 0.05) + min(0.1 * after, MAX_SPREAD) * chance
    return float(min(max_wait, FIRST_BACKOFF * 2 ** min(waits, 10))) * (1 - 0.5 * chance)
