"""The series of an event: RRULE, EXRULE, RDATE and EXDATE, both ways.

The Calendar API takes these lines as they are in a file, without DTSTART and DTEND
(https://developers.google.com/calendar/api/v3/reference/events, `recurrence`). They are read as
values and written anew: in the type and the zone of DTSTART.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.content_lines import content_line
from openbulk.formats.ics.properties import Property
from openbulk.formats.ics.recurrence_rules import Rule, parse_rule
from openbulk.formats.ics.time_values import (
    TimeValue,
    fit_to,
    parse_period,
    parse_time,
    split_values,
)
from openbulk.formats.ics.vevent import Properties

_LINE = re.compile(
    r"(?P<name>RRULE|EXRULE|RDATE|EXDATE)(?P<parameters>(?:;[^:]*)?):(?P<value>.*)", re.I
)
_NOON = time(12)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When an event recurs."""

    rules: Sequence[Rule] = ()
    """RRULE and EXRULE."""
    added: Sequence[TimeValue] = ()
    """RDATE: further occurrences."""
    left_out: Sequence[TimeValue] = ()
    """EXDATE: occurrences that are none."""
    periods: Sequence[tuple[TimeValue, TimeValue]] = ()
    """The start and the end of those in `added` that are not as long as the event."""

    @property
    def is_once_a_day(self) -> bool:
        """Whether a day says which of its occurrences is meant."""
        by_rule = [rule.times_of_day(_NOON) for rule in self.rules if rule.name == "RRULE"]
        return all(len(times) == 1 for times in by_rule)

    def lines(self) -> Sequence[str]:
        """As in the Calendar API."""
        rules = [str(rule) for rule in self.rules]
        return [*rules, *_date_lines("RDATE", self.added), *_date_lines("EXDATE", self.left_out)]


def _date_lines(name: str, values: Iterable[TimeValue]) -> Iterator[str]:
    """A line for each type and zone."""
    by_parameters: dict[str, list[str]] = {}
    for parameters, text in (one.as_property() for one in values):
        by_parameters.setdefault(parameters, []).append(text)
    for parameters, texts in by_parameters.items():
        yield f"{name}{parameters}:{','.join(texts)}"


# --- from a file ---


def read_recurrence(
    event: Properties, start: TimeValue, end: TimeValue, calendar: CalendarProperties
) -> Recurrence:
    """When an event recurs that has this first start and end.

    Raises ValueError with a sentence for what cannot be brought to the type of the start.
    """
    rules = [
        parse_rule(found, start, calendar)
        for name in ("RRULE", "EXRULE")
        for found in event.each(name)
    ]
    usual = end.since(start)
    additions = [
        one
        for found in event.each("RDATE")
        for one in _read_additions(found, start, usual, calendar)
    ]
    added = [one for one, _ in additions]
    periods = [(one, one.add(length)) for one, length in additions if length != usual]
    _require_uid(event, periods)
    left_out: list[TimeValue] = []
    for found in event.each("EXDATE"):
        for value in _read_dates(found, start, calendar):
            left_out += _occurrences_on(found, value, start, rules, added)
    kept = [(one, last) for one, last in periods if one not in left_out]
    return Recurrence(rules, added, left_out, kept)


def _require_uid(event: Properties, periods: Sequence[object]) -> None:
    """Raises ValueError for an occurrence of another length whose series nothing identifies."""
    if periods and event.get("UID") is None:
        found = event.each("RDATE")[0]
        raise ValueError(
            f"{found.place} has a period that is not as long as the event, and the event has no "
            "UID; give it one, or write that occurrence as an event of its own"
        )


def _read_dates(
    found: Property, start: TimeValue, calendar: CalendarProperties
) -> Iterator[TimeValue]:
    for one in split_values(found):
        value = parse_time(one, calendar, start.zone)
        # A day of a series with times may be several of its occurrences.
        if value.is_day and not start.is_day:
            yield value
        else:
            yield fit_to(start, value, one, calendar)


def _occurrences_on(
    found: Property,
    value: TimeValue,
    start: TimeValue,
    rules: Sequence[Rule],
    added: Sequence[TimeValue],
) -> Iterator[TimeValue]:
    """What an EXDATE leaves out: itself, or all occurrences of the day that it is."""
    if not value.is_day or start.is_day:
        yield value
        return
    by_rule = [rule.times_of_day(start.local.time()) for rule in rules if rule.name == "RRULE"]
    if not all(by_rule):
        raise ValueError(
            f"{found.place} has the day {value.day:%Y%m%d}, and the event recurs several times a "
            f"day; write each time, like EXDATE:{value.day:%Y%m%d}T100000Z"
        )
    times = {start.local.time()}.union(*by_rule)
    times |= {one.local.time() for one in added if one.day == value.day}
    for moment in sorted(times):
        yield TimeValue(datetime.combine(value.day, moment), start.zone)


def _read_additions(
    found: Property, start: TimeValue, usual: timedelta, calendar: CalendarProperties
) -> Iterator[tuple[TimeValue, timedelta]]:
    """Start and length of each occurrence that an RDATE adds; the length is `usual` by default."""
    is_period = found.parameters.get("VALUE", "").strip().upper() == "PERIOD"
    for one in split_values(found):
        if is_period or "/" in one.value:
            value, length = parse_period(one, calendar, start.zone)
        else:
            value, length = parse_time(one, calendar, start.zone), usual
        yield fit_to(start, value, one, calendar), length


# --- to a file ---


def recurrence_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of its recurrence. Raises ValueError for another line."""
    for line in record.get("recurrence") or ():
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f"{line!r} is not a line of a recurrence; it looks like RRULE:FREQ=WEEKLY;BYDAY=MO"
            )
        yield content_line(f"{match['name'].upper()}{match['parameters']}", match["value"])
