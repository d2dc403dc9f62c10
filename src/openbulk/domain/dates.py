"""Dates and times as people write them: `05/30/2026`, `30.5.26`, `10:00 AM`."""

import re
from calendar import month_name, monthrange
from collections.abc import Mapping
from datetime import date, time

EXAMPLES: Mapping[str, str] = {"MDY": "05/30/2026", "DMY": "30/05/2026", "YMD": "2026-05-30"}
"""The orders of month, day and year, each with an example."""
_DATE = re.compile(r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})", re.ASCII)
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)", re.ASCII)
_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?(?::(?P<second>\d{2}))?"
    r"\s*(?P<half_day>[AaPp]\.?[Mm]\.?)?",
    re.ASCII,
)
_MONTHS = 12
_HALF_DAY = 12
_SHORT_YEAR, _LONG_YEAR = 2, 4
_FIRST_SHORT_YEAR_OF_1900S = 70


def needs_date_order(text: str) -> bool:
    """Whether text is three numbers joined by `/`, `.` or `-`, but not an ISO 8601 date."""
    return _DATE.fullmatch(text) is not None and _ISO_DATE.match(text) is None


def parse_date(text: str, order: str) -> date:
    """Parse a date whose numbers are in `order` (a key of EXAMPLES).

    An ISO 8601 date is accepted with any order. Raises ValueError; its message is a sentence.
    """
    text = text.strip()
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a date")
    # A leading four-digit year means ISO 8601, whatever the order in the rest of the file.
    if _ISO_DATE.match(text):
        order = "YMD"
    numbers = dict(zip(order, match.groups(), strict=True))
    if len(numbers["Y"]) not in {_SHORT_YEAR, _LONG_YEAR}:
        raise ValueError(f"{text!r} is not a date: the year has neither two digits nor four")
    year, month, day = _full_year(numbers["Y"]), int(numbers["M"]), int(numbers["D"])
    if not 1 <= month <= _MONTHS:
        raise ValueError(f"{text!r} is not a date: there is no month {month}")
    days = monthrange(year, month)[1]
    if not 1 <= day <= days:
        raise ValueError(f"{text!r} is not a date: {month_name[month]} {year} has {days} days")
    return date(year, month, day)


def _full_year(digits: str) -> int:
    year = int(digits)
    if len(digits) == _LONG_YEAR:
        return year
    # 70 to 99 are 1970 to 1999, 00 to 69 are 2000 to 2069. POSIX strptime draws the line at 69.
    return year + (1900 if year >= _FIRST_SHORT_YEAR_OF_1900S else 2000)


def parse_time(text: str) -> time:
    """Parse a time of day: `10:00 AM`, `10 am`, `22:00`, `22:00:30`.

    Raises ValueError; its message is a sentence.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time")
    hour, minute, second = map(int, match.groups(default="0")[:3])
    if half_day := match["half_day"]:
        if not 1 <= hour <= _HALF_DAY:
            raise ValueError(f"{text!r} is not a time: hours before AM and PM are 1 to 12")
        # 12 AM is midnight and 12 PM is noon.
        hour = hour % _HALF_DAY + _HALF_DAY * (half_day[0] in "pP")
    return time(hour, minute, second)
