"""Dates and waits in the headers of HTTP, which anybody may have written."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_WAIT_SECONDS = 24 * 3600.0
"""A service that wants a longer wait is called again after a day."""


def parse_http_date(text: str) -> datetime | None:
    """A date of HTTP in UTC (RFC 9110, section 5.6.7); None for any other text.

    A date without a zone is in UTC, which is the only zone that HTTP has.
    """
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def seconds_to_wait(retry_after: str | None, now: datetime) -> float | None:
    """The seconds in a `Retry-After` header: a number or a date (RFC 9110, section 10.2.3).

    At most a day. None if the header is missing, or its value is neither.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        # `float` takes digits without end, where `int` takes 4,300: then they are infinity.
        return min(float(text), MAX_WAIT_SECONDS)
    date = parse_http_date(text)
    return None if date is None else min(max(0.0, (date - now).total_seconds()), MAX_WAIT_SECONDS)
