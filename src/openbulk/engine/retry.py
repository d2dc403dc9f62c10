"""When a job goes on that has to wait."""

BACKOFF_FIRST = 1.0
BACKOFF_MOST = 30.0
SIGN_IN_BACKOFF_MOST = 300.0
"""The same for credentials that a person has to mend; changing the instance wakes the job at once."""
SPREAD_MOST = 0.25
MAX_SLICE_ATTEMPTS = 5
"""A slice that was begun this often without getting anywhere stops its job."""
MAX_RESENDS = 3
"""How often a batch whose answer was lost, or which the service put off, is sent again within a turn, before the
service counts as down."""


def wait_before_resend(resends: int, chance: float) -> float:
    """Seconds until a batch is sent again within its turn: 0.4, 1.6 and 6.4 s, less up to half by `chance`."""
    return float(0.1 * 4**resends) * (1 - 0.5 * chance)


def wait_before_retry(
    waits: int, asked: float | None, chance: float, most: float = BACKOFF_MOST
) -> float:
    """Seconds until a job goes on that has waited `waits` times in a row without getting anywhere.

    Where the service asked for a time, that time; else 1 s, doubled each time up to `most`. `chance` (0 to 1)
    spreads jobs out, so that they don't all come back in the same moment: it adds up to a tenth, and no more than a
    quarter of a second, to what the service asked for, and takes up to half from what it did not.
    """
    if asked is not None:
        return max(asked, 0.05) + min(0.1 * asked, SPREAD_MOST) * chance
    return float(min(most, BACKOFF_FIRST * 2 ** min(waits, 10))) * (1 - 0.5 * chance)
