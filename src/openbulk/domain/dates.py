"""Dates as people write them, with a time or without: `05/30/2026`, `30. Mai 26`, `30.5.26 8:15`.

The order of day, month and year is a fact of the file (`domain.date_order`), not of one date.
"""

import re
from calendar import day_name, month_name, monthrange
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from openbulk.domain.month_names import MONTHS, WEEKDAYS, fold
from openbulk.domain.times_of_day import parse_time, plain_text, shows_half_day

EXAMPLES: Mapping[str, str] = {"MDY": "05/30/2026", "DMY": "30/05/2026", "YMD": "2026-05-30"}
"""The orders of month, day and year, each with an example."""


@dataclass(frozen=True, slots=True)
class DateOrder:
    """The order of the numbers in a file's dates, as keys of EXAMPLES."""

    slashes: str | None = None
    """In dates with `/` or `-` and the year at the end; None if the file has no such date that can
    be read."""
    dots: str = "DMY"
    """In dates with dots: `07.09.2026` has the day first."""
    slashes_reason: str = field(default="", compare=False)
    """Why dates with `/` or `-` are read so: the row that shows it, or metaData."""
    dots_reason: str = field(default="", compare=False)

    @property
    def example(self) -> str:
        """A date in this order."""
        return EXAMPLES[self.slashes or "YMD"]


DAY_FIRST, MONTH_FIRST, YEAR_FIRST = "DMY", "MDY", "YMD"
ORDER_WORDS: Mapping[str, str] = {
    DAY_FIRST: "day first",
    MONTH_FIRST: "month first",
    YEAR_FIRST: "year first",
}
_MONTHS, _DAYS, _FEBRUARY = 12, 31, 2
_SHORT_YEAR, _LONG_YEAR = 2, 4
_FIRST_SHORT_YEAR_OF_1900S = 70
_WRONG_YEARS: Mapping[int, str] = {
    0: "there is no year {}",
    **dict.fromkeys(range(1300, 1480), "the year {} is one of the Persian or the Islamic calendar"),
    **dict.fromkeys(range(2443, 2643), "the year {} is one of the Buddhist calendar"),
}
"""Most are years that are today's in other calendars. A date in ISO 8601 may have those."""
_WORD = r"[^\W\d_]+\.?"
_YEAR = r"[0-9]{4}(?![0-9])|[0-9]{2}(?![0-9:.h])"
_ORDINAL = r"(?:st|nd|rd|th|er|o|\.)?"
_DATES = (
    # 30.05.2026, Sa, 30.05.2026, 05/30/2026, 30-5-26, 2026. 05. 30.; Bulgarian and Russian have
    # "year" after it
    re.compile(
        rf"(?:(?P<weekday>{_WORD}),? )?"
        r"(?P<first>[0-9]{1,4}) ?(?P<mark>[./-]) ?(?P<second>[0-9]{1,2}) ?(?P=mark)"
        r" ?(?P<third>[0-9]{1,4})(?P<end>\.?)(?: ?\u0433\.?)?"
    ),
    # 30 May 2026, 30. Mai 26, Sat, 30-May-26, 30 de mayo de 2026
    re.compile(
        rf"(?:(?P<weekday>{_WORD}),? )?(?P<day>[0-9]{{1,2}}){_ORDINAL}[ /-]*(?:(?:de|of) )?"
        rf"(?P<month>{_WORD})[ ,/-]*(?:(?:de|del|of) )?(?P<year>{_YEAR})"
        r"(?: \u0433\.)?"
    ),
    # May 30, 2026, Saturday, May 30th 2026
    re.compile(
        rf"(?:(?P<weekday>{_WORD}),? )?(?P<month>{_WORD}) ?(?P<day>[0-9]{{1,2}}){_ORDINAL},? ?"
        rf"(?<=[ ,])(?P<year>{_YEAR})"
    ),
    # 2026 May 30, 2026-May-30, 2026. május 30.
    re.compile(
        rf"(?P<year>[0-9]{{4}})[ ./-]+(?P<month>{_WORD})[ ./-]+(?P<day>[0-9]{{1,2}})\.?(?![0-9])"
    ),
)
_NAMED_ORDERS = (None, DAY_FIRST, MONTH_FIRST, YEAR_FIRST)
"""By the index in _DATES; None for dates in numbers."""
_TIME_AFTER_DATE = re.compile(
    r"(?: ?,? |T)(?P<time>\S.*?)(?: ?(?P<offset>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}))?"
)
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?"
    r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_PLAIN_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?")


REMEMBERED = 4_096
"""Dates that are not read again: those of ten years."""


@dataclass(frozen=True, slots=True)
class WrittenDate:
    """A date as it is written, before its order is known."""

    text: str
    """The cell as it is in the file."""
    numbers: tuple[str, str, str]
    """Day, month and year, in the order in which they are written."""
    mark: str
    """The character between the numbers; a blank if the month has a name."""
    orders: tuple[str, ...]
    """The orders in which they may be a date; none if there is no such month, or no such year."""
    time: timedelta | None = None
    offset: str = ""
    has_half_day: bool = False
    """Its time is written with AM or PM."""
    weekday: int | None = None
    """The weekday that is written beside it, from 1 for Monday."""

    @property
    def is_open(self) -> bool:
        """Whether it is one day in one order, and another day in another."""
        return len(self.orders) > 1 and int(self.numbers[0]) != int(self.numbers[1])

    def readings(self) -> Mapping[str, str]:
        """The days that an open date may be, by their orders: `2026-06-05 (day first)`."""
        days: dict[str, str] = {}
        for order in self.orders:
            with suppress(ValueError):  # April has no 31st in any order
                days[order] = f"{self.day(DateOrder(order, order))} ({ORDER_WORDS[order]})"
        return days

    def day(self, order: DateOrder) -> date:
        """The day that it means. Raises ValueError; its message is a sentence."""
        if self.is_open and self.mark != "." and order.slashes is None:
            days = " or ".join(self.readings().values())
            raise ValueError(f'"{self.text}" is {days}; set metaData.dateOrder')
        numbers = dict(zip(self._order_in(order), self.numbers, strict=True))
        if len(numbers["Y"]) not in {_SHORT_YEAR, _LONG_YEAR}:
            raise self._not_a_date("the year has neither two digits nor four")
        year, month, day = full_year(numbers["Y"]), int(numbers["M"]), int(numbers["D"])
        if not 1 <= month <= _MONTHS:
            raise self._no_month(month, order)
        if year in _WRONG_YEARS:
            raise self._not_a_date(_WRONG_YEARS[year].format(year))
        problem = problem_of_day(year, month, day)
        if problem:
            raise self._not_a_date(problem)
        found = date(year, month, day)
        if self.weekday not in {None, found.isoweekday()}:
            raise self._not_a_date(f"{found} is a {day_name[found.weekday()]}")
        return found

    def _no_month(self, month: int, order: DateOrder) -> ValueError:
        """The error for a month that does not exist, perhaps because of the file's order."""
        reason = order.dots_reason if self.mark == "." else order.slashes_reason
        if not self.orders or not reason:
            return self._not_a_date(f"there is no month {month}")
        used, possible = ORDER_WORDS[self._order_in(order)], self.orders[0]
        example = EXAMPLES[self._order_in(order)].replace("/", self.mark)
        return ValueError(
            f'"{self.text}" is not a date with the {used}, and the file is read {used}: {reason}; '
            f"write it like {example}, or set metaData.dateOrder to {possible} to read the file "
            f"{ORDER_WORDS[possible]}"
        )

    def _order_in(self, order: DateOrder) -> str:
        if self.mark == " " or len(self.numbers[0]) == _LONG_YEAR:
            return self.orders[0]
        if self.mark == ".":
            return order.dots
        return order.slashes or next(iter(self.orders), DAY_FIRST)

    def _not_a_date(self, reason: str) -> ValueError:
        return ValueError(f'"{self.text}" is not a date: {reason}')

    @property
    def has_time(self) -> bool:
        """Whether it has a time other than midnight, or an offset."""
        return bool(self.time or self.offset)


@lru_cache(maxsize=REMEMBERED)
def read_date(text: str) -> WrittenDate | None:
    """The parts of a date as it is written; None for a text that is none."""
    plain = plain_text(text)
    for pattern, named_order in zip(_DATES, _NAMED_ORDERS, strict=True):
        match = pattern.match(plain)
        found = match and _written_date(text, match, named_order)
        if match and found:
            return _with_time(found, plain[match.end() :])
    return None


def _written_date(text: str, match: re.Match[str], order: str | None) -> WrittenDate | None:
    name_of_day = match.groupdict().get("weekday")
    weekday = WEEKDAYS.get(fold(name_of_day)) if name_of_day else None
    if name_of_day and weekday is None:
        return None
    if order is None:
        numbers = (match["first"], match["second"], match["third"])
        found = WrittenDate(text, numbers, match["mark"], _possible_orders(match), weekday=weekday)
        # Of two readings, its weekday shows the right one.
        fitting = tuple(found.readings()) if weekday else ()
        return replace(found, orders=fitting) if fitting else found
    month = MONTHS.get(fold(match["month"]))
    if month is None:
        return None
    parts = {"D": match["day"], "M": str(month), "Y": match["year"]}
    first, second, third = (parts[part] for part in order)
    return WrittenDate(text, (first, second, third), " ", (order,), weekday=weekday)


def _with_time(found: WrittenDate, rest: str) -> WrittenDate | None:
    """The date with the time after it; None if the rest of the text is not a time."""
    if not rest:
        return found
    match = _TIME_AFTER_DATE.fullmatch(rest)
    if match is None:
        return None
    try:
        time_of_day = parse_time(match["time"])
    except ValueError:
        return None
    offset = {"UTC": "Z", "GMT": "Z", None: ""}.get(match["offset"], match["offset"])
    has_half_day = shows_half_day(match["time"])
    return replace(found, time=time_of_day, offset=offset, has_half_day=has_half_day)


def _possible_orders(match: re.Match[str]) -> tuple[str, ...]:
    first, second, third = match["first"], match["second"], match["third"]
    if len(first) == _LONG_YEAR:
        return (YEAR_FIRST,)
    year_first = len(first) == _SHORT_YEAR and _is_day_and_month(third, second)
    if len(third) not in {_SHORT_YEAR, _LONG_YEAR}:
        return (YEAR_FIRST,) if year_first else ()
    fits = {
        DAY_FIRST: _is_day_and_month(first, second),
        MONTH_FIRST: _is_day_and_month(second, first),
    }
    orders = tuple(order for order, is_possible in fits.items() if is_possible)
    if match["mark"] != ".":
        return orders or (YEAR_FIRST,) * year_first
    # Korean has the year first ("26. 5. 30."); other languages have the day first, without blanks.
    if year_first and match["end"] and ". " in match[0] and DAY_FIRST in orders:
        return (DAY_FIRST, YEAR_FIRST)
    return orders[:1]


def _is_day_and_month(day: str, month: str) -> bool:
    return 1 <= int(day) <= _DAYS and 1 <= int(month) <= _MONTHS


def problem_of_day(year: int, month: int, day: int) -> str:
    """Why a month has no such day; empty if it has."""
    if not 1 <= month <= _MONTHS:
        return f"there is no month {month}"
    last_day = monthrange(year, month)[1]
    if 1 <= day <= last_day:
        return ""
    # Only February's days depend on the year.
    name = f"{month_name[month]} {year}" if month == _FEBRUARY else month_name[month]
    return f"{name} has {last_day} days"


def full_year(digits: str) -> int:
    """The year that two or four digits mean."""
    year = int(digits)
    if len(digits) == _LONG_YEAR:
        return year
    # 70 to 99 are 1970 to 1999, 00 to 69 are 2000 to 2069. POSIX strptime draws the line at 69.
    return year + (1900 if year >= _FIRST_SHORT_YEAR_OF_1900S else 2000)


def is_day(text: str) -> bool | None:
    """Whether a text is a date without a time; None if it is no date."""
    if _ISO.fullmatch(text):
        return len(text) == len("2026-05-30")
    found = read_date(text)
    return None if found is None else found.time is None


# --- in ISO 8601 ---


def is_iso(text: str) -> bool:
    """Whether a text is a date or a moment in ISO 8601, or a time with minutes."""
    return bool(_ISO.fullmatch(text) or _PLAIN_TIME.fullmatch(text))


def is_iso_midnight(text: str) -> bool:
    """Whether a moment in ISO 8601 is at midnight: a spreadsheet may mean the day."""
    return text[11:16] == "00:00"


def iso_date(text: str, order: DateOrder) -> str | None:
    """A date in ISO 8601; None for a text that is none.

    A spreadsheet writes a date with the time 00:00. Raises ValueError for a day that does not
    exist, and for any other time; its message is a sentence.
    """
    found = read_date(text)
    if found is None:
        return None
    day = found.day(order)
    if found.has_time:
        raise ValueError(f'"{text}" has a time; a date is expected, like {day}')
    return day.isoformat()


def iso_moment(text: str, order: DateOrder) -> str | None:
    """A date with its time in ISO 8601, or the date alone; None for a text that is neither.

    Raises ValueError for a day that does not exist; its message is a sentence.
    """
    found = read_date(text)
    if found is None:
        return None
    day = found.day(order)
    if found.time is None:
        return day.isoformat()
    try:
        return f"{add_time(day, found.time).isoformat()}{found.offset}"
    except OverflowError:
        raise ValueError(f'"{text}" is after the year 9999') from None


def iso_time(text: str) -> str | None:
    """A time of day in ISO 8601; None for a text that is none."""
    try:
        time_of_day = parse_time(text)
    except ValueError:
        return None
    if time_of_day.days or text.strip().isdecimal():  # 24:00, or a bare number
        return None
    return add_time(date.min, time_of_day).time().isoformat()


def add_time(day: date, time_of_day: timedelta) -> datetime:
    """The moment of a day. Raises OverflowError after the year 9999."""
    return datetime.combine(day, time.min) + time_of_day
