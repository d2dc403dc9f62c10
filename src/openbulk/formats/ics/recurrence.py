"""The series of an event: RRULE, EXRULE, RDATE and EXDATE, both ways.

The Calendar API takes these lines as they are in a file, without DTSTART and DTEND
(https://developers.google.com/calendar/api/v3/reference/events, `recurrence`). They are read as
values and written again, in the type and the zone of DTSTART.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import Any

from openbulk.formats.ics.api_fields import field_of
from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.content_lines import content_line
from openbulk.formats.ics.properties import Property
from openbulk.formats.ics.recurrence_rules import Rule, parse_rule
from openbulk.formats.ics.time_values import (
    Duration,
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
        return all(len(times) == 1 for times in self.times_of_day(_NOON))

    def times_of_day(self, start: time) -> Sequence[frozenset[time]]:
        """The times of a day that each RRULE sets, as in `Rule.times_of_day`."""
        return [rule.times_of_day(start) for rule in self.rules if rule.name == "RRULE"]

    def occurrences(self, start: TimeValue, last: datetime) -> Iterator[TimeValue]:
        """When an event with this start happens, up to `last`, in no order, and some of it twice.

        The start is always one of its occurrences (RFC 5545, section 3.8.5.3).
        """
        excluded = {one.in_utc() for one in self.left_out}
        by_rule = {"RRULE": list[Iterator[TimeValue]](), "EXRULE": list[Iterator[TimeValue]]()}
        for rule in self.rules:
            by_rule[rule.name].append(rule.occurrences(start, last))
        excluded.update(one.in_utc() for one in chain.from_iterable(by_rule["EXRULE"]))
        for one in chain([start], self.added, *by_rule["RRULE"]):
            if one.in_utc() not in excluded:
                yield one

    def as_api(self) -> dict[str, Sequence[str]]:
        """`recurrence`, if there is one."""
        fields = {"recurrence": self.lines()}
        return fields if fields["recurrence"] else {}

    def lines(self) -> Sequence[str]:
        """As in the Calendar API."""
        rules = [str(rule) for rule in self.rules]
        return [*rules, *_date_lines("RDATE", self.added), *_date_lines("EXDATE", self.left_out)]


def _date_lines(name: str, values: Iterable[TimeValue]) -> Iterator[str]:
    """A line for each type and zone."""
    by_parameters: dict[str, list[str]] = {}
    for one in values:
        parameters, text = one.as_property()
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
    stated = [*event.each("RRULE"), *event.each("EXRULE")]
    rules = [parse_rule(found, start, calendar) for found in stated]
    usual = end.since(start)
    additions = list(_read_additions(event.each("RDATE"), start, usual, calendar))
    whole = Recurrence(rules, added=[one for one, _ in additions])
    periods = [(one, one.add(length)) for one, length in additions if length.total != usual]
    left_out = list(_read_exceptions(event.each("EXDATE"), start, whole, calendar))
    kept = [period for period in periods if period[0] not in left_out]
    return replace(whole, left_out=left_out, periods=kept)


def _read_exceptions(
    stated: Sequence[Property], start: TimeValue, whole: Recurrence, calendar: CalendarProperties
) -> Iterator[TimeValue]:
    """The occurrences that EXDATE leaves out of a series; for a day, all that are on it."""
    for one in split_values(stated):
        value = parse_time(one, calendar, start.zone)
        # A day of a series with times may be several of its occurrences.
        if value.is_day and not start.is_day:
            yield from _occurrences_on(value.day, one, start, whole)
        else:
            yield fit_to(start, value, one, calendar)


def _occurrences_on(
    day: date, found: Property, start: TimeValue, whole: Recurrence
) -> Iterator[TimeValue]:
    """All occurrences of a series on a day. Raises ValueError if a rule has too many."""
    first = start.local.time()
    by_rule = whole.times_of_day(first)
    if not all(by_rule):
        raise ValueError(
            f"{found.place} has the day {day:%Y%m%d}, and the event recurs several times a "
            f"day; write each time, like EXDATE:{day:%Y%m%d}T100000Z"
        )
    added = {one.local.time() for one in whole.added if one.day == day}
    for moment in sorted(added.union({first}, *by_rule)):
        yield TimeValue(datetime.combine(day, moment), start.zone)


def _read_additions(
    stated: Sequence[Property], start: TimeValue, usual: timedelta, calendar: CalendarProperties
) -> Iterator[tuple[TimeValue, Duration]]:
    """Start and length of each occurrence that an RDATE adds; the length is `usual` by default."""
    for one in split_values(stated):
        if one.parameter_word("VALUE") == "PERIOD" or "/" in one.value:
            value, length = parse_period(one, calendar, start.zone)
        else:
            value, length = parse_time(one, calendar, start.zone), Duration(time=usual)
        yield fit_to(start, value, one, calendar), length


# --- to a file ---


def recurrence_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of its recurrence. Raises ValueError for another line."""
    for line in field_of(record, "recurrence", ()):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f"{line!r} is not a line of a recurrence; it looks like RRULE:FREQ=WEEKLY;BYDAY=MO"
            )
        yield content_line(f"{match['name'].upper()}{match['parameters']}", match["value"])
