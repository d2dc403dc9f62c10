"""Recurrence rules, `RRULE` and `EXRULE`: parsed, and expanded (RFC 5545, section 3.3.10).

What the RFC leaves open is done as in the parser that Google published (google-rfc-2445:
RRuleSchema.java, RecurrenceIteratorFactory.java).
"""

import heapq
import math
import re
from calendar import isleap, monthrange
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from itertools import count, dropwhile, islice, product, starmap, takewhile
from typing import Any

from openbulk.sandbox.google.clocks import FIRST_DAY, LAST_DAY, Clock

# Google refuses rules that recur more often than daily: it answers HOURLY with an error
# (googleapis/google-api-ruby-client#572).
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
MAX_STEPS = 100_000
"""Maximum number of days that an expansion looks at: about 270 years."""
MAX_TIMES_OF_DAY = 1440
"""Maximum number of times of a day in a rule. It is the sandbox's own."""
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKDAY = re.compile(r"(?P<number>[+-]?\d\d?)?(?P<day>MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,10}", re.ASCII)
_MAX_INT = 2**31 - 1
_YEAR_DAYS = frozenset(range(-366, 367)) - {0}
_NUMBERS: Mapping[str, Collection[int]] = {
    "BYSECOND": range(60),
    "BYMINUTE": range(60),
    "BYHOUR": range(24),
    "BYMONTHDAY": frozenset(range(-31, 32)) - {0},
    "BYYEARDAY": _YEAR_DAYS,
    "BYWEEKNO": frozenset(range(-53, 54)) - {0},
    "BYMONTH": range(1, 13),
    "BYSETPOS": _YEAR_DAYS,
}
"""The parts that are lists of numbers, and the numbers that they may have."""
_ORDINALS = frozenset(range(-53, 54)) - {0}
_NOT_WITH: Mapping[str, frozenset[str]] = {
    "BYWEEKNO": frozenset({"DAILY", "WEEKLY", "MONTHLY"}),
    "BYYEARDAY": frozenset({"DAILY", "WEEKLY", "MONTHLY"}),
    "BYMONTHDAY": frozenset({"WEEKLY"}),
}
"""The frequencies with which a part must not be given."""
_DAY_PARTS = frozenset({"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY"})
_TIME_PARTS = ("BYHOUR", "BYMINUTE", "BYSECOND")
_LOOK_AHEAD_SECONDS = 2 * 24 * 3600
"""More than any clock change: so far apart, local times are in the order of their moments."""

Weekdays = frozenset[tuple[int, int]]
"""Numbers and weekdays, from Monday; the number 0 stands for each such day."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule."""

    frequency: str
    numbers: Mapping[str, frozenset[int]]
    """The parts that are lists of numbers."""
    weekdays: Weekdays = frozenset()
    interval: int = 1
    count: int | None = None
    until: float = math.inf
    """Unix time of the last possible occurrence."""
    week_start: int = 0
    """The weekday on which weeks begin, from Monday."""

    @property
    def is_endless(self) -> bool:
        """Whether it goes on for ever."""
        return self.count is None and self.until == math.inf

    def expand(
        self, start: datetime, clock: Clock, earliest: float, latest: float
    ) -> Iterator[int]:
        """Its occurrences from `earliest` to `latest` (Unix time), in order.

        `start` is the local start of its series. Looks at MAX_STEPS days and occurrences at most.
        """
        if not FIRST_DAY <= start.date() <= LAST_DAY:
            return
        latest = min(latest, self.until)
        days = clock.to_local(earliest).date(), clock.to_local(latest).date()
        found = map(clock.to_unix, self._local_times(start, clock, *days))
        up_to_latest = takewhile(lambda one: one <= latest, _in_order(found))
        yield from dropwhile(lambda one: one < earliest, up_to_latest)

    def _local_times(
        self, start: datetime, clock: Clock, first: date, last: date
    ) -> Iterator[datetime]:
        """Its local times, from about the first day to about the last one."""
        return islice(self._all_local_times(start, clock, first, last), self.count)

    def _all_local_times(
        self, start: datetime, clock: Clock, first: date, last: date
    ) -> Iterator[datetime]:
        """Its local times as if it had no COUNT; looks at MAX_STEPS days and times at most."""
        rule = self._with_defaults(start)
        times = [start.time()] if clock.is_day else _times_of_day(rule, start.time())
        tests = _day_tests(rule)
        steps = 0
        for period in rule._periods(start.date(), first):
            steps += len(period)
            if period[0] > last.toordinal() + 1 or steps > MAX_STEPS:
                return
            days = [day for day in map(date.fromordinal, period) if all(t(day) for t in tests)]
            moments = _select_positions(days, times, rule.numbers.get("BYSETPOS"))
            for moment in dropwhile(lambda moment: moment < start, moments):
                steps += 1
                if steps > MAX_STEPS:
                    return
                yield moment

    def _with_defaults(self, start: datetime) -> "Rule":
        """The rule with the parts that come from its start."""
        if self.weekdays or not _DAY_PARTS.isdisjoint(self.numbers):
            return self
        return _WITH_DEFAULTS[self.frequency](self, start)

    def _periods(self, start: date, first: date) -> Iterator[Sequence[int]]:
        """The days of each period in which it recurs, as ordinals; from about the first day."""
        skipped = 0
        # A rule with COUNT is counted from its start.
        if self.count is None:
            skipped = max(0, _PERIODS_BETWEEN[self.frequency](start, first) - 1)
        days_of = _PERIODS[self.frequency]
        numbers = count(skipped // self.interval * self.interval, self.interval)
        return takewhile(bool, (days_of(start, number, self) for number in numbers))


def _on_weekday(rule: Rule, start: datetime) -> Rule:
    return replace(rule, weekdays=frozenset({(0, start.weekday())}))


def _on_month_day(rule: Rule, start: datetime) -> Rule:
    return replace(rule, numbers={"BYMONTHDAY": frozenset({start.day}), **rule.numbers})


def _on_year_day(rule: Rule, start: datetime) -> Rule:
    in_month = replace(rule, numbers={"BYMONTH": frozenset({start.month}), **rule.numbers})
    return _on_month_day(in_month, start)


_WITH_DEFAULTS: Mapping[str, Callable[[Rule, datetime], Rule]] = {
    "DAILY": lambda rule, _start: rule,
    "WEEKLY": _on_weekday,
    "MONTHLY": _on_month_day,
    "YEARLY": _on_year_day,
}
"""By frequency: a rule without any parts about days, with those of its start."""


def _in_order(moments: Iterable[int]) -> Iterator[int]:
    """Moments in order, which are nearly so: clock changes mix up local times around them."""
    waiting: list[int] = []
    for one in moments:
        heapq.heappush(waiting, one)
        while one - waiting[0] > _LOOK_AHEAD_SECONDS:
            yield heapq.heappop(waiting)
    while waiting:
        yield heapq.heappop(waiting)


# --- periods: the days of a day, a week, a month or a year, as ordinals; none is the end ---


def _days_from(first: int, size: int) -> Sequence[int]:
    return range(first, first + size) if first <= LAST_DAY.toordinal() else ()


def _month_days(year: int, month: int) -> Sequence[int]:
    if year > LAST_DAY.year:
        return ()
    return _days_from(date(year, month, 1).toordinal(), monthrange(year, month)[1])


def _day(start: date, number: int, _rule: Rule) -> Sequence[int]:
    return _days_from(start.toordinal() + number, 1)


def _week(start: date, number: int, rule: Rule) -> Sequence[int]:
    days_into_week = (start.weekday() - rule.week_start) % 7
    return _days_from(start.toordinal() - days_into_week + 7 * number, 7)


def _month(start: date, number: int, _rule: Rule) -> Sequence[int]:
    years, month = divmod(start.month - 1 + number, 12)
    return _month_days(start.year + years, month + 1)


def _year(start: date, number: int, rule: Rule) -> Sequence[int]:
    months = sorted(rule.numbers.get("BYMONTH", range(1, 13)))
    return [day for month in months for day in _month_days(start.year + number, month)]


_PERIODS: Mapping[str, Callable[[date, int, Rule], Sequence[int]]] = {
    "DAILY": _day,
    "WEEKLY": _week,
    "MONTHLY": _month,
    "YEARLY": _year,
}
_PERIODS_BETWEEN: Mapping[str, Callable[[date, date], int]] = {
    "DAILY": lambda start, day: (day - start).days,
    "WEEKLY": lambda start, day: (day - start).days // 7,
    "MONTHLY": lambda start, day: (day.year - start.year) * 12 + day.month - start.month,
    "YEARLY": lambda start, day: day.year - start.year,
}


# --- days and times of a period ---


def _positions(index: int, length: int) -> set[int]:
    """A position from 1, counted from the beginning, and from -1, counted from the end."""
    return {index, index - length - 1}


def _sevenths(index: int, length: int) -> set[int]:
    """The position of the seven days that a day is in, counted from both ends."""
    return {(index - 1) // 7 + 1, -((length - index) // 7) - 1}


def _in_month(day: date) -> tuple[int, int]:
    return day.day, monthrange(day.year, day.month)[1]


def _in_year(day: date) -> tuple[int, int]:
    return day.timetuple().tm_yday, 365 + isleap(day.year)


def _weeks_of(day: date, week_start: int) -> set[int]:
    """The number of a day's week: its fourth day decides to which year it belongs."""
    days_into_week = (day.weekday() - week_start) % 7
    return _sevenths(*_in_year(date.fromordinal(day.toordinal() - days_into_week + 3)))


def _day_tests(rule: Rule) -> Sequence[Callable[[date], bool]]:
    """The tests that each day of a rule passes."""
    positions: Mapping[str, Callable[[date], set[int]]] = {
        "BYMONTH": lambda day: {day.month},
        "BYMONTHDAY": lambda day: _positions(*_in_month(day)),
        "BYYEARDAY": lambda day: _positions(*_in_year(day)),
        "BYWEEKNO": lambda day: _weeks_of(day, rule.week_start),
    }
    names = positions.keys() & rule.numbers.keys()
    tests = [_number_test(rule.numbers[name], positions[name]) for name in names]
    if rule.weekdays:
        tests.append(_weekday_test(rule))
    return tests


def _number_test(
    numbers: frozenset[int], positions_of: Callable[[date], set[int]]
) -> Callable[[date], bool]:
    return lambda day: not numbers.isdisjoint(positions_of(day))


def _weekday_test(rule: Rule) -> Callable[[date], bool]:
    """Numbered weekdays count in the year, if the rule has no months, else in the month."""
    is_yearly = rule.frequency == "YEARLY" and "BYMONTH" not in rule.numbers
    place_of = _in_year if is_yearly else _in_month

    def test(day: date) -> bool:
        numbers = {0, *_sevenths(*place_of(day))}
        return any((number, day.weekday()) in rule.weekdays for number in numbers)

    return test


def _times_of_day(rule: Rule, start: time) -> Sequence[time]:
    by_default = {"BYHOUR": start.hour, "BYMINUTE": start.minute, "BYSECOND": start.second}
    numbers = (sorted(rule.numbers.get(name, {by_default[name]})) for name in _TIME_PARTS)
    return list(starmap(time, product(*numbers)))


def _select_positions(
    days: Sequence[date], times: Sequence[time], positions: frozenset[int] | None
) -> Iterator[datetime]:
    """All times of all days; with BYSETPOS, those at some positions."""
    if positions is None:
        yield from starmap(datetime.combine, product(days, times))
        return
    total = len(days) * len(times)
    # Computed, not listed: a year of seconds is 31 million of them.
    # A position counts from 1, or from -1 at the end.
    indexes = {(one - (one > 0)) % total for one in positions if abs(one) <= total}
    for index in sorted(indexes):
        yield datetime.combine(days[index // len(times)], times[index % len(times)])


# --- parsing ---


def parse_rule(text: str, clock: Clock) -> Rule:
    """The rule in a value of `RRULE`. Raises ValueError for one that Google refuses."""
    parts = _split_rule(text.upper())
    if {"UNTIL", "COUNT"} <= parts.keys():
        raise ValueError("UNTIL and COUNT exclude each other")
    frequency = parts.pop("FREQ", "")
    if frequency not in FREQUENCIES:
        raise ValueError(f"FREQ is {frequency!r}")
    settings = {
        field: parse(parts.pop(name), clock)
        for name, (field, parse) in _SETTINGS.items()
        if name in parts
    }
    numbers = {name: _parse_numbers(name, value) for name, value in parts.items()}
    rule = Rule(frequency, numbers, **settings)
    _check_combination(frequency, numbers, rule.weekdays)
    return rule


def _split_rule(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or name in parts:
            raise ValueError(f"{part!r} is no part, or is there twice")
        parts[name] = value
    return {name: value for name, value in parts.items() if not name.startswith("X-")}


def _parse_week_start(text: str, _clock: Clock) -> int:
    return _WEEKDAYS.index(text)


def _parse_positive(text: str, _clock: Clock) -> int:
    return _parse_number(text, range(1, _MAX_INT + 1))


def _parse_until(text: str, clock: Clock) -> int:
    # Google refuses a local time (google/googleapis.dart#223). It has been seen to take another
    # type than that of the start, and then reads it in ways of its own: the sandbox refuses that.
    if not clock.is_day and not text.endswith("Z"):
        raise ValueError(f"UNTIL is {text!r}, which is not a time in UTC")
    return clock.parse(text)


def _parse_numbers(name: str, text: str) -> frozenset[int]:
    if name not in _NUMBERS:
        raise ValueError(f"{name} is no part of a rule")
    return frozenset(_parse_number(one, _NUMBERS[name]) for one in text.split(","))


def _parse_number(text: str, numbers: Collection[int]) -> int:
    if not _INTEGER.fullmatch(text) or int(text) not in numbers:
        raise ValueError(f"{text!r} is not a number that this part may have")
    return int(text)


def _parse_weekdays(text: str, _clock: Clock) -> Weekdays:
    return frozenset(map(_parse_weekday, text.split(",")))


def _parse_weekday(text: str) -> tuple[int, int]:
    match = _WEEKDAY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a weekday")
    weekday = _WEEKDAYS.index(match["day"])
    if match["number"] is None:
        return 0, weekday
    return _parse_number(match["number"], _ORDINALS), weekday


_SETTINGS: Mapping[str, tuple[str, Callable[[str, Clock], Any]]] = {
    "WKST": ("week_start", _parse_week_start),
    "INTERVAL": ("interval", _parse_positive),
    "COUNT": ("count", _parse_positive),
    "UNTIL": ("until", _parse_until),
    "BYDAY": ("weekdays", _parse_weekdays),
}
"""The parts that are no lists of numbers: their fields of Rule, and their parsers."""


def _check_combination(
    frequency: str, numbers: Mapping[str, frozenset[int]], weekdays: Weekdays
) -> None:
    """Raise ValueError for parts that must not be given together."""
    for name in numbers:
        if frequency in _NOT_WITH.get(name, ()):
            raise ValueError(f"{name} must not be given with {frequency}")
    if math.prod(len(numbers.get(name, {0})) for name in _TIME_PARTS) > MAX_TIMES_OF_DAY:
        raise ValueError("too many times of a day")
    takes_ordinals = frequency in {"MONTHLY", "YEARLY"} and "BYWEEKNO" not in numbers
    if not takes_ordinals and any(number for number, _ in weekdays):
        raise ValueError(f"BYDAY has no numbers with {frequency}")
