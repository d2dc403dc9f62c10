"""RRULE and EXRULE: parts that are checked one by one (RFC 5545, section 3.3.10)."""

import re
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import islice, product
from math import prod

from dateutil.rrule import rrulestr

from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.content_lines import format_local_time
from openbulk.formats.ics.properties import Property, quote_value
from openbulk.formats.ics.time_values import TimeValue, parse_time, to_day

_FREQUENCIES = ("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_WITHIN_DAY = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
TIMES_OF_DAY = ("BYHOUR", "BYMINUTE", "BYSECOND")
"""Parts that set the times of a day."""
_WEEKDAY = re.compile(r"(?:[+-]?\d{1,2})?(?:MO|TU|WE|TH|FR|SA|SU)", re.A)
_NUMBER = re.compile(r"[+-]?\d{1,9}", re.A)
_YEAR_DAYS = frozenset(range(-366, 367)) - {0}
_RANGES: Mapping[str, Container[int]] = {
    "INTERVAL": range(1, 10**9 + 1),
    "COUNT": range(1, 10**9 + 1),
    "BYSECOND": range(61),
    "BYMINUTE": range(60),
    "BYHOUR": range(24),
    "BYMONTHDAY": frozenset(range(-31, 32)) - {0},
    "BYYEARDAY": _YEAR_DAYS,
    "BYWEEKNO": frozenset(range(-53, 54)) - {0},
    "BYMONTH": range(1, 13),
    "BYSETPOS": _YEAR_DAYS,
}
"""Parts that are numbers, and the numbers they may have; negative ones count from the end."""
_NOT_WITH: Mapping[str, frozenset[str]] = {
    "BYWEEKNO": frozenset(_FREQUENCIES) - {"YEARLY"},
    "BYYEARDAY": frozenset({"DAILY", "WEEKLY", "MONTHLY"}),
    "BYMONTHDAY": frozenset({"WEEKLY"}),
}
"""The frequencies with which RFC 5545 forbids a part: each program makes something else of it."""
_WITH_NUMBERED_DAYS = frozenset({"MONTHLY", "YEARLY"})
_SINGLE = frozenset({"INTERVAL", "COUNT", "WKST"})
_WITHOUT_EFFECT = {"RSCALE": "GREGORIAN", "SKIP": "OMIT"}
"""Parts of RFC 7529 that mean what a rule means without them, with these values."""
_MAX_TIMES_OF_DAY = 100
_VCALENDAR_1 = re.compile(r"\s*(?:D|W|MP|MD|YM|YD)\d+\b", re.A | re.I)
"""How a rule of vCalendar 1.0 begins (its section "Recurrence Rule Grammar"): `W2 TU TH #10`."""
_EXAMPLE = "it looks like RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20261218T225959Z"
MAX_STEPS = 40_000
"""Days of the calendar that a rule is expanded over, for each position of BYSETPOS."""
_END_OF_DAY = time(23, 59, 59)
_WESTERNMOST, _EASTERNMOST = timedelta(hours=-12), timedelta(hours=14)
"""The offsets from UTC between which all zones are."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, with parts in capitals, in their order in the file, and without UNTIL."""

    name: str
    parts: Mapping[str, str]
    until: TimeValue | None = None
    """The last day, or the last moment: in UTC, or without a zone if the start has none."""

    def __str__(self) -> str:
        """As in a line of `recurrence`: `RRULE:FREQ=WEEKLY;BYDAY=MO`."""
        parts = dict(self.parts)
        if self.until is not None:
            parts["UNTIL"] = self.until.as_property()[1]
        return f"{self.name}:{_join_parts(parts)}"

    def endless_parts(self) -> dict[str, str]:
        """Its parts without the two that can end it: COUNT and UNTIL."""
        return _without({"COUNT", "UNTIL"}, self.parts)

    def times_of_day(self, start: time) -> frozenset[time]:
        """The times at which it recurs on a day, for a start at that time; empty for too many."""
        by_default = (start.hour, start.minute, start.second)
        texts = map(self.parts.get, TIMES_OF_DAY, map(str, by_default))
        numbers = [set(map(int, text.split(","))) for text in texts]
        if self.parts["FREQ"] in _WITHIN_DAY or prod(map(len, numbers)) > _MAX_TIMES_OF_DAY:
            return frozenset()
        # A leap second is read as the one before it (RFC 5545, section 3.3.12).
        return frozenset(
            time(hour, minute, min(second, 59)) for hour, minute, second in product(*numbers)
        )

    @property
    def max_days(self) -> int:
        """The days that it may be expanded over."""
        return MAX_STEPS // (self.parts.get("BYSETPOS", "").count(",") + 1)

    def is_expandable(self, start: datetime, last: datetime) -> bool:
        """Whether its occurrences up to the last one can be found in a moment."""
        return (last - start).days <= self.max_days

    def expand(self, start: datetime, last: datetime) -> Iterator[datetime]:
        """Its occurrences up to the last one, on the clocks of the start's zone.

        Does not heed COUNT and UNTIL.
        """
        parts = {**self.endless_parts(), "UNTIL": format_local_time(last)}
        yield from rrulestr(_join_parts(parts), dtstart=start)

    def occurrences(self, start: TimeValue, last: datetime) -> Iterator[TimeValue]:
        """Its occurrences up to the last one, in order."""
        count = int(self.parts["COUNT"]) if "COUNT" in self.parts else None
        for moment in islice(self.expand(start.local, last), count):
            one = TimeValue(moment.date() if start.is_day else moment, start.zone)
            if self.until is not None and one.in_utc().local > self.until.local:
                return
            yield one


def _without(keys: Collection[str], parts: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in parts.items() if key not in keys}


def _join_parts(parts: Mapping[str, str]) -> str:
    """The parts as in a file."""
    return ";".join(f"{key}={value}" for key, value in parts.items() if value)


def parse_rule(found: Property, start: TimeValue, calendar: CalendarProperties) -> Rule:
    """The rule of a property, with an UNTIL that fits the start.

    Raises ValueError with a sentence if a part of it cannot be read.
    """
    parts = _split_parts(found)
    until = parts.get("UNTIL", "")
    if until and parts.get("COUNT"):
        raise ValueError(f"{found.place} has UNTIL and COUNT; keep one (RFC 5545, section 3.3.10)")
    for key, value in _without({"FREQ", "UNTIL"}, parts).items():
        _check_part(found, key, value)
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError(
            f"{found.place} is {found.show()}, which has no FREQ of {', '.join(_FREQUENCIES)}; "
            f"{_EXAMPLE}"
        )
    _check_combination(found, parts)
    if start.is_day:
        parts = _without_times_of_day(found, parts)
    rule = Rule(found.name, parts)
    if not until:
        return rule
    return replace(rule, until=_read_until(found, rule, start, calendar))


def _split_parts(found: Property) -> dict[str, str]:
    if _VCALENDAR_1.match(found.value):
        raise ValueError(
            f"{found.place} is {found.show()}, a rule of vCalendar 1.0; {_EXAMPLE}, "
            "or export the calendar as iCalendar 2.0"
        )
    parts: dict[str, str] = {}
    for written in filter(str.strip, found.value.split(";")):
        key, separator, value = written.upper().replace(" ", "").partition("=")
        if not separator:
            part = quote_value(written.strip())
            raise ValueError(f"{found.place} has {part}, which is not a part of a rule; {_EXAMPLE}")
        is_superfluous = key.startswith("X-") or _WITHOUT_EFFECT.get(key) == value
        if is_superfluous or not value:
            continue
        if parts.get(key, value) != value:
            raise ValueError(f"{found.place} has {key} twice; keep one")
        parts[key] = value.strip(",")
    return parts


def _check_part(found: Property, key: str, value: str) -> None:
    if key not in _CHECKS:
        raise ValueError(f"{found.place} has the part {key}, which is not known; {_EXAMPLE}")
    # The other parts are lists (RFC 5545, section 3.3.10).
    values = [value] if key in _SINGLE else value.split(",")
    if not all(map(_CHECKS[key], values)):
        part = quote_value(_part_as_written(found, key))
        raise ValueError(f"{found.place} has {part}, which no rule can have; {_EXAMPLE}")


def _part_as_written(found: Property, key: str) -> str:
    parts = map(str.strip, found.value.split(";"))
    return next(part for part in parts if part.partition("=")[0].strip().upper() == key)


def _check_combination(found: Property, parts: Mapping[str, str]) -> None:
    """Raise ValueError for parts that RFC 5545 (section 3.3.10) forbids together."""
    frequency = parts["FREQ"]
    forbidden = [key for key, others in _NOT_WITH.items() if key in parts and frequency in others]
    if forbidden:
        legal = [one for one in reversed(_FREQUENCIES) if one not in _NOT_WITH[forbidden[0]]]
        raise ValueError(
            f"{found.place} has {forbidden[0]} with FREQ={frequency}, which RFC 5545 (section "
            f"3.3.10) forbids; it goes with FREQ={' or '.join(legal)}"
        )
    takes_numbers = frequency in _WITH_NUMBERED_DAYS and "BYWEEKNO" not in parts
    if not takes_numbers and any(map(str.isdigit, parts.get("BYDAY", ""))):
        raise ValueError(
            f"{found.place} has {quote_value('BYDAY=' + parts['BYDAY'])}, and numbers stand before "
            "weekdays with FREQ=MONTHLY or FREQ=YEARLY only, without BYWEEKNO (RFC 5545, section "
            "3.3.10); write the weekday alone, or another FREQ"
        )


def _is_number_of(numbers: Container[int], text: str) -> bool:
    return bool(_NUMBER.fullmatch(text)) and int(text) in numbers


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "BYDAY": _WEEKDAY.fullmatch,
    "WKST": _WEEKDAY.fullmatch,
    **{key: partial(_is_number_of, numbers) for key, numbers in _RANGES.items()},
}
"""For each part but FREQ and UNTIL, whether a value of it is one that it may have."""


def _without_times_of_day(found: Property, parts: Mapping[str, str]) -> dict[str, str]:
    """A rule for days: times of day must be ignored there (RFC 5545, section 3.3.10)."""
    if parts["FREQ"] in _WITHIN_DAY:
        raise ValueError(
            f"{found.place} has FREQ={parts['FREQ']}, and the event is all-day; write FREQ=DAILY, "
            "or a DTSTART with a time"
        )
    return _without(TIMES_OF_DAY, parts)


# --- UNTIL ---


def _read_until(
    found: Property, rule: Rule, start: TimeValue, calendar: CalendarProperties
) -> TimeValue:
    """UNTIL is a day if the start is one, else a time in UTC (RFC 5545, section 3.3.10).

    Many programs write it otherwise, and Google refuses such a rule. If the start has no zone,
    UNTIL has none, either: the calendar's zone at the service is not known here.
    """
    written = _part_as_written(found, "UNTIL").partition("=")[2]
    stated = Property("UNTIL", written.strip(), line=found.line)
    until = parse_time(stated, calendar, start.zone)
    if start.is_day:
        return _last_day(found, rule, start, until, calendar)
    if until.is_day:
        until = TimeValue(datetime.combine(until.day, _END_OF_DAY), start.zone)
    try:
        return until.in_utc()
    except OverflowError:  # the last day of the year 9999, in the west
        return TimeValue(datetime.combine(date.max, _END_OF_DAY), "UTC")


def _last_day(
    found: Property, rule: Rule, start: TimeValue, until: TimeValue, calendar: CalendarProperties
) -> TimeValue:
    """The day of an UNTIL. Without the calendar's zone, two days will do that mean the same."""
    try:
        return to_day(until, found, calendar)
    except ValueError:
        first, last = (until.local + _WESTERNMOST).date(), (until.local + _EASTERNMOST).date()
        if _recurs_in(rule, start, first, last):
            raise ValueError(
                f"{found.place} has UNTIL={rule.parts['UNTIL']}, which is {first} or {last} by the "
                "time zone, and the event is all-day; write the last day, like "
                f"UNTIL={last:%Y%m%d}, or name the calendar's zone in X-WR-TIMEZONE"
            ) from None
        return TimeValue(until.day)


def _recurs_in(rule: Rule, start: TimeValue, first: date, last: date) -> bool:
    """Whether the rule has an occurrence after the first day, up to the last one.

    True if that takes too long to find out: the day of UNTIL is in doubt.
    """
    end = datetime.combine(last, _END_OF_DAY)
    if not rule.is_expandable(start.local, end):
        return True
    occurrences = rule.expand(start.local, end)
    return any(one.date() > first for one in occurrences)
