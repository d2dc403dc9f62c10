"""Dates and times as people write them, in the three orders that there are."""

import re
from collections.abc import Mapping
from datetime import date, time

EXAMPLES: Mapping[str, str] = {"MDY": "05/30/2026", "DMY": "30/05/2026", "YMD": "2026-05-30"}
"""The orders of month, day and year, each with a date in it."""
_DATE = re.compile(r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})", re.ASCII)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)", re.ASCII)
_TIME = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*(?P<half>[AaPp]\.?[Mm]\.?)?", re.ASCII)
_HALF_DAY = 12
_SHORT_YEAR = 2
_CENTURY_TURNS = 70
"""Two digits of a year from here on are of the century before (POSIX strptime turns at 69)."""


def looks_written(text: str) -> bool:
    """Whether a text is three numbers with `/`, `.` or `-` between them, and not ISO 8601, which needs no order."""
    return _DATE.fullmatch(text) is not None and _ISO.match(text) is None


def written_date(text: str, order: str) -> date:
    """A date whose numbers are in this order; ISO 8601 is read in any. Raises ValueError."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a date")
    named = dict(zip("YMD" if _ISO.match(text.strip()) else order, match.groups(), strict=True))
    if len(named["Y"]) not in {_SHORT_YEAR, 4}:
        raise ValueError(f"the year {named['Y']!r} has neither two digits nor four")
    year = int(named["Y"])
    if len(named["Y"]) == _SHORT_YEAR:
        year += 1900 if year >= _CENTURY_TURNS else 2000
    return date(year, int(named["M"]), int(named["D"]))


def written_time(text: str) -> time:
    """A time of the day: `10:00 AM`, `10 am`, `22:00`, `22:00:30`. Raises ValueError."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time")
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    if half := match["half"]:
        if not 1 <= hour <= _HALF_DAY:
            raise ValueError(f"{text!r} has no hour of a half day")
        hour = hour % _HALF_DAY + (_HALF_DAY if half[0] in "pP" else 0)
    return time(hour, minute, second)
