"""How long a job waits before it tries again."""

BACKOFF_FIRST = 1.0
BACKOFF_MOST = 30.0
SIGN_IN_BACKOFF_MOST = 300.0
"""For credentials that a person has to renew; a change of the instance wakes the job at once."""
SPREAD_MOST = 0.25
MAX_SLICE_ATTEMPTS = 5
"""A slice that was begun so often without progress aborts its job."""
MAX_RESENDS = 3
"""How often a slice sends a batch again whose answer was lost, or which the service put off.

After that the service counts as down, and the slice ends."""


def wait_before_resend(resends: int, chance: float) -> float:
    """Seconds until a slice sends a batch again: 0.4, 1.6 and 6.4, less up to half by `chance`."""
    return float(0.1 * 4**resends) * (1 - 0.5 * chance)


def wait_before_retry(
    waits: int, after: float | None, chance: float, most: float = BACKOFF_MOST
) -> float:
    """Seconds until a job continues that has waited `waits` times in a row without progress.

    That is `after`, where the service asked for a time; else it is 1 s, doubled with each wait up
    to `most`. `chance` (0 to 1) spreads jobs out, so that they do not all return in one moment: it
    adds up to a tenth, and at most a quarter of a second, to a time that the service asked for, and
    takes up to half from any other.
    """
    if after is not None:
        return max(after, 0.05) + min(0.1 * after, SPREAD_MOST) * chance
    return float(min(most, BACKOFF_FIRST * 2 ** min(waits, 10))) * (1 - 0.5 * chance)
