"""Formats of dates and times, as people write them down: `DD.MM.YYYY HH:mm`.

YYYY YY      year            HH H hh h    hour; `hh` and `h` with `A`
MMMM MMM     name of month   mm m         minute
MM M         month           ss s         second
DD D         day             A a          AM or PM
dddd ddd     weekday         Z            offset: `+02:00`, or `Z`
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache

from openbulk.domain.dates import REMEMBERED, full_year, is_iso, problem_of_day
from openbulk.domain.month_names import MONTHS, WEEKDAYS, fold

MAX_FORMAT = 60
_TOKEN = re.compile(r"YYYY|YY|MMMM|MMM|MM|M|DD|D|dddd|ddd|HH|H|hh|h|mm|m|ss|s|A|a|Z|\[[^\]]*\]")
_WORD = r"[^\W\d_]+\.?"
_TWO_DIGITS = r"\d\d?"
_PATTERNS = {
    "YYYY": ("year", r"\d{4}"),
    "YY": ("year", r"\d{2}"),
    "MMMM": ("month_name", _WORD),
    "MMM": ("month_name", _WORD),
    "MM": ("month", _TWO_DIGITS),
    "M": ("month", _TWO_DIGITS),
    "DD": ("day", _TWO_DIGITS),
    "D": ("day", _TWO_DIGITS),
    "dddd": ("weekday", _WORD),
    "ddd": ("weekday", _WORD),
    "HH": ("hour", _TWO_DIGITS),
    "H": ("hour", _TWO_DIGITS),
    "hh": ("half_hour", _TWO_DIGITS),
    "h": ("half_hour", _TWO_DIGITS),
    "mm": ("minute", _TWO_DIGITS),
    "m": ("minute", _TWO_DIGITS),
    "ss": ("second", _TWO_DIGITS),
    "s": ("second", _TWO_DIGITS),
    "A": ("half", r"[AaPp]\.?\s?[Mm]\.?"),
    "a": ("half", r"[AaPp]\.?\s?[Mm]\.?"),
    "Z": ("offset", r"Z|[+-]\d{2}:?\d{2}"),
}
_EXAMPLE = "formats look like DD.MM.YYYY, MM/DD/YYYY hh:mm A or HH:mm"
_NOON = 12


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A format, ready to read texts."""

    text: str
    pattern: re.Pattern[str]

    @property
    def has_date(self) -> bool:
        """Whether it has a day; without one it is the format of a time of day."""
        return "day" in self.pattern.groupindex

    @property
    def has_time(self) -> bool:
        """Whether it has a time of day."""
        return bool({"hour", "half_hour"} & self.pattern.groupindex.keys())

    def read(self, text: str) -> str:
        """The date or time in ISO 8601. Raises ValueError; its message is half a sentence.

        A text in ISO 8601 is taken as it is: a workbook has its dates so, whatever they look like.
        """
        plain = " ".join(text.split())
        found = self.pattern.fullmatch(plain)
        if found is None:
            if is_iso(plain):
                return plain
            raise ValueError(f"is not like {self.text}")
        parts = {name: value for name, value in found.groupdict().items() if value is not None}
        pieces = [_day(parts)] if self.has_date else []
        if self.has_time:
            pieces.append(f"{_time(parts)}{parts.get('offset', '')}")
        return "T".join(pieces)


@lru_cache(maxsize=REMEMBERED)
def parse_date_format(text: str) -> DateFormat:
    """A format. Raises ValueError; its message is a sentence that says what would be right."""
    if len(text) > MAX_FORMAT:
        raise ValueError(f"has more than {MAX_FORMAT} characters; {_EXAMPLE}")
    pattern, end, seen = "", 0, set[str]()
    plain = " ".join(text.split())
    for token in _TOKEN.finditer(plain):
        between = plain[end : token.start()]
        _require_no_letters(between)
        pattern += re.escape(between)
        end = token.end()
        if token[0].startswith("["):
            pattern += re.escape(token[0][1:-1])
            continue
        name, digits = _PATTERNS[token[0]]
        if name in seen:
            raise ValueError(f"has its {name.replace('_', ' ')} twice; {_EXAMPLE}")
        seen.add(name)
        # Digits that follow each other directly can only be told apart by their number.
        touches = _touches(plain, token)
        pattern += f"(?P<{name}>{digits.replace('?', '') if touches else digits})"
    _require_no_letters(plain[end:])
    _require_whole(seen)
    return DateFormat(text, re.compile(pattern + re.escape(plain[end:])))


def _touches(text: str, token: re.Match[str]) -> bool:
    """Whether numbers of the format stand directly before or after a number."""
    is_number = len(token[0]) == 2 and token[0] not in {"YY"}
    around = text[token.start() - 1 : token.start()] + text[token.end() : token.end() + 1]
    return is_number and any(one.isalpha() for one in around)


def _require_no_letters(text: str) -> None:
    letters = "".join(filter(str.isalpha, text))
    if letters and letters != "T":
        raise ValueError(
            f"has {letters!r}, which stands for nothing; {_EXAMPLE}, with other words in [brackets]"
        )


def _require_whole(seen: set[str]) -> None:
    """Raise ValueError if a part is missing without which there is no day, or no time."""
    has_month = bool({"month", "month_name"} & seen)
    has_hour = bool({"hour", "half_hour"} & seen)
    is_day = {"year", "day"} <= seen and has_month
    if not is_day and ({"year", "day"} & seen or has_month):
        raise ValueError(f"needs a day, a month and a year, or none of them; {_EXAMPLE}")
    if not is_day and not has_hour:
        raise ValueError(f"has no part of a date or a time; {_EXAMPLE}")
    if ("half_hour" in seen) != ("half" in seen):
        raise ValueError(f"needs both hh and A, or HH alone; {_EXAMPLE}")
    if {"hour", "half_hour"} <= seen or {"month", "month_name"} <= seen:
        raise ValueError(f"has a part twice; {_EXAMPLE}")
    if not has_hour and {"minute", "second", "offset"} & seen:
        raise ValueError(f"has minutes or an offset without hours; {_EXAMPLE}")


def _day(parts: dict[str, str]) -> str:
    month = parts.get("month") or MONTHS.get(fold(parts["month_name"]))
    if month is None:
        raise ValueError(f"has no month {parts['month_name']!r}")
    year, number, day = full_year(parts["year"]), int(month), int(parts["day"])
    problem = problem_of_day(year, number, day) if year else "there is no year 0"
    if problem:
        raise ValueError(f"is not a date: {problem}")
    found = date(year, number, day)
    name = parts.get("weekday")
    if name is not None and WEEKDAYS.get(fold(name)) != found.isoweekday():
        raise ValueError(f"is not a date: {found} is a {found:%A}")
    return found.isoformat()


def _time(parts: dict[str, str]) -> str:
    hour = int(parts.get("hour") or parts["half_hour"])
    if "half" in parts:
        if not 1 <= hour <= _NOON:
            raise ValueError("is not a time: AM and PM have the hours 1 to 12")
        hour = hour % _NOON + _NOON * (parts["half"][0] in "Pp")
    try:
        found = time(hour, int(parts.get("minute", 0)), int(parts.get("second", 0)))
    except ValueError:
        raise ValueError("is a time that does not exist") from None
    return datetime.combine(date.min, found).time().isoformat()
