"""Dates and waits in the headers of HTTP."""

from datetime import UTC, datetime

import pytest

from openbulk.domain.http_dates import MAX_WAIT_SECONDS, parse_http_date, seconds_to_wait

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        (" 3 ", 3.0),
        ("0", 0.0),
        ("0000000003", 3.0),
        ("9" * 300, MAX_WAIT_SECONDS),
        ("9" * 5_000, MAX_WAIT_SECONDS),
        ("Mon, 30 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 30 Nov 2026 12:01:00", 60.0),
        ("Mon, 30 Nov 2026 12:01:00 -0000", 60.0),
        ("Mon, 30 Nov 2026 13:01:00 +0100", 60.0),
        ("Thu, 01 Jan 1970 00:00:00", 0.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_WAIT_SECONDS),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("1e300", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_wait_is_a_number_or_a_date_and_at_most_a_day(
    text: str | None, seconds: float | None
) -> None:
    assert seconds_to_wait(text, NOW) == seconds


def test_a_date_of_http_is_in_utc() -> None:
    assert parse_http_date("Mon, 30 Nov 2026 13:00:00 +0100") == NOW
    assert parse_http_date("Mon, 30 Nov 2026 12:00:00") == NOW
    assert parse_http_date("yesterday") is None
