"""When a series recurs: the lines of `recurrence`, and which of its occurrences a row means.

The lines are those of a calendar file (RFC 5545, section 3.8.5), and are read as there: each value
is brought to the type and the zone of the start. Google takes a line of another type, and then
expands the series wrongly or not at all.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import MAXYEAR, UTC, date, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.content_lines import format_local_time
from openbulk.formats.ics.iana_zones import known_zones
from openbulk.formats.ics.properties import Property, parse_property
from openbulk.formats.ics.recurrence import Recurrence, read_recurrence
from openbulk.formats.ics.time_values import TimeValue, fit_to
from openbulk.formats.ics.vevent import Properties

_NAMES = frozenset({"RRULE", "EXRULE", "RDATE", "EXDATE"})
_VALUE_TYPE = re.compile(r";VALUE=DATE(-TIME)?")
_FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
"""Google refuses rules that recur more often (googleapis/google-api-ruby-client issue 572)."""
_DEFAULT_PARTS = frozenset({"", "INTERVAL=1", "WKST=MO"})
"""Parts of a rule that change nothing (RFC 5545, section 3.3.10)."""
_MAX_EXPANDED = 100_000
"""A series with more dates than these is taken to have all that it may have."""
_YEARS_BEHIND = 100
"""Years behind the last date that is left out in which another one is looked for."""
_ANY_START = TimeValue(datetime(2026, 1, 1, 12), "UTC")  # noqa: DTZ001

EventTime = Mapping[str, Any]


# --- times of the Calendar API ---


def time_value(time: EventTime) -> TimeValue:
    """A start or an end of an event, or the original start of an occurrence.

    A time with an offset and without a zone is in UTC.
    """
    if time.get("date"):
        return TimeValue(date.fromisoformat(time["date"]))
    moment, zone = datetime.fromisoformat(time["dateTime"]), time.get("timeZone")
    if zone not in known_zones():
        zone = None
    if moment.tzinfo is None:
        return TimeValue(moment, zone)
    return TimeValue(moment.astimezone(UTC).replace(tzinfo=None), "UTC").in_zone(zone)


def occurrence_name(original_start: TimeValue) -> str:
    """An occurrence as the end of its event id: `20260530T080000Z`, or `20260530` of a day.

    https://developers.google.com/workspace/calendar/api/guides/recurringevents
    """
    if original_start.is_day:
        return original_start.day.strftime("%Y%m%d").zfill(8)
    return original_start.in_utc().local.strftime("%Y%m%dT%H%M%SZ").zfill(16)


def begin_stamp(moment: datetime) -> str:
    """Where a part of a series begins, as `PartName.begin` has it."""
    return format_local_time(moment)


# --- occurrences ---


@dataclass(frozen=True, slots=True)
class OriginalStart:
    """Which occurrence of a series a row is: the start that the series gives to it."""

    time: TimeValue
    """Without a zone, it is in that of the series."""
    is_this_and_future: bool
    """Whether the row stands for all later occurrences, too (RFC 5545, section 3.2.13)."""

    def __str__(self) -> str:
        """For a person: `2026-06-11T10:00:00 (Europe/Berlin)`."""
        zone = f" ({self.time.zone})" if self.time.zone else ""
        return f"{self.time.moment.isoformat()}{zone}"

    @property
    def name(self) -> str | None:
        """As `Identity.occurrence` has it; None if that depends on the zone of the series."""
        if self.time.is_day or self.time.zone:
            return occurrence_name(self.time)
        return None

    def pack(self) -> tuple[str, bool, str | None]:
        """The time as three columns of a database; `unpack` reads them."""
        return self.time.local.isoformat(), self.time.is_day, self.time.zone

    @classmethod
    def unpack(cls, moment: str, is_day: bool, zone: str | None) -> "OriginalStart":
        """One occurrence, from the columns that `pack` made."""
        local = datetime.fromisoformat(moment)
        return cls(TimeValue(local.date() if is_day else local, zone), is_this_and_future=False)

    def fit_to(self, series: Mapping[str, Any], calendar_zone: str) -> "OriginalStart":
        """In the type and the zone of its series, which is as Google holds it.

        Raises FieldError if the series recurs several times on a day that does not say which is
        meant.
        """
        start = time_value(series["start"])
        if self.time.is_day and not start.is_day:
            self._require_one_on_day(series, start, calendar_zone)
        # With a zone of the calendar, a time always is on a day.
        calendar = CalendarProperties(zone=calendar_zone)
        fitted = fit_to(start, self.time, Property("originalStartTime", ""), calendar)
        return replace(self, time=fitted)

    def _require_one_on_day(
        self, series: Mapping[str, Any], start: TimeValue, calendar_zone: str
    ) -> None:
        lines = series.get("recurrence", ())
        if not read_lines(lines, start, start, calendar_zone).is_once_a_day:
            raise FieldError(
                "originalStartTime",
                f"originalStartTime is the day {self}, and the series recurs several times on it; "
                f"write which one is meant, like {self}T10:00:00+02:00",
            )


# --- the lines of a recurrence ---


def read_lines(
    lines: Iterable[str], start: TimeValue, end: TimeValue, calendar_zone: str
) -> Recurrence:
    """When an event recurs that has this first start and end.

    `calendar_zone` says on which day a moment in UTC is. Raises FieldError.
    """
    properties = sorted(map(_parse_line, lines), key=attrgetter("name"))
    by_name = {name: list(same) for name, same in groupby(properties, attrgetter("name"))}
    calendar = CalendarProperties(zone=calendar_zone)
    try:
        recurrence = read_recurrence(Properties(0, by_name, ""), start, end, calendar)
    except ValueError as error:
        raise FieldError("recurrence", f"recurrence: {error}") from error
    if recurrence.periods:
        raise FieldError(
            "recurrence",
            "recurrence: RDATE has a period that is not as long as the event; write that "
            "occurrence as a row of its own, with originalStartTime",
        )
    return recurrence


def fit_lines(
    lines: Sequence[str], start: EventTime, end: EventTime, calendar_zone: str
) -> list[str]:
    """The lines in the type and the zone of an event's start. Raises FieldError."""
    first = time_value(start)
    last = time_value(end) if end.get("date") or end.get("dateTime") else first
    recurrence = read_lines(lines, first, last, calendar_zone)
    _require_frequencies(recurrence)
    return list(recurrence.lines())


def check_lines(lines: Sequence[str]) -> None:
    """Raise FieldError for lines that no event can have."""
    _require_frequencies(read_lines(lines, _ANY_START, _ANY_START, "UTC"))


def _require_frequencies(recurrence: Recurrence) -> None:
    for rule in recurrence.rules:
        if rule.parts["FREQ"] not in _FREQUENCIES:
            raise FieldError(
                "recurrence",
                f"recurrence has FREQ={rule.parts['FREQ']}, and Google takes no rule that recurs "
                "more often than daily; write an event for each time of the day, with FREQ=DAILY",
            )


def _parse_line(line: str) -> Property:
    found = parse_property(line.strip())
    if found is None or found.name not in _NAMES or not found.value.strip():
        raise FieldError(
            "recurrence",
            f"recurrence {line!r} is not RRULE, EXRULE, RDATE or EXDATE; it looks like "
            "RRULE:FREQ=WEEKLY;COUNT=10, and the start is in start",
        )
    return found


# --- expanding ---


def dates_that_are_none(series: Mapping[str, Any], names: Iterable[str | None]) -> frozenset[str]:
    """Those of some occurrences that a series, as Google holds it, does not have.

    They are named as `occurrence_name` does it. Empty if openbulk cannot expand the series.
    """
    start = time_value(series["start"])
    rest = set(filter(None, names))
    if not rest:
        return frozenset()
    last = max(map(_latest_local_time, rest))
    try:
        recurrence = read_lines(series.get("recurrence", ()), start, start, "UTC")
    except FieldError:
        return frozenset()
    if not recurrence.is_expandable(start, last):
        return frozenset()
    for count, one in enumerate(recurrence.occurrences(start, last)):
        rest.discard(occurrence_name(one))
        if not rest or count == _MAX_EXPANDED:
            return frozenset()
    return frozenset(rest)


def begin_behind(series: Mapping[str, Any], begin: datetime | None = None) -> datetime | None:
    """Where the part behind a series begins, if the series ends for one: UNTIL is just before it.

    None if no UNTIL ends it. For a part of a series, `begin` is where it begins itself; then all is
    on the clocks of the whole series.
    """
    start = time_value(series["start"])
    try:
        recurrence = read_lines(series.get("recurrence", ()), start, start, "UTC")
    except (FieldError, OverflowError):
        return None
    ends = [rule.until for rule in recurrence.rules if rule.name == "RRULE"]
    last = [until.in_zone(start.zone).local for until in ends if until is not None]
    if not last or len(last) < len(ends):
        return None
    border = max(last) + (timedelta(days=1) if start.is_day else timedelta(seconds=1))
    return border - (start.local - begin) if begin else border


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What EXDATE does to a series."""

    never_happens: bool = False
    """It leaves out every date."""
    beside: Sequence[str] = ()
    """Those of its dates that the series does not have, on its clocks: `2026-06-08 10:00`."""


def exceptions_of(fields: Mapping[str, Any]) -> Exceptions:
    """What EXDATE does to a series, as far as openbulk can expand it. `fields` fit its start."""
    lines = fields.get("recurrence", ())
    if not any(line.startswith("EXDATE") for line in lines) or not fields.get("start"):
        return Exceptions()
    start = time_value(fields["start"])
    recurrence = read_lines(lines, start, start, "UTC")
    if not recurrence.left_out:
        return Exceptions()
    if _happens_never(recurrence, start):
        return Exceptions(never_happens=True)
    return Exceptions(beside=_exceptions_beside(recurrence, start))


def _happens_never(recurrence: Recurrence, start: TimeValue) -> bool:
    if any(rule.name == "EXRULE" for rule in recurrence.rules):
        return False
    last = max(one.local for one in (start, *recurrence.left_out))
    last = last.replace(year=min(last.year + _YEARS_BEHIND, MAXYEAR), day=1)
    if not recurrence.is_expandable(start, last):
        return False
    return next(recurrence.occurrences(start, last), None) is None


def _exceptions_beside(recurrence: Recurrence, start: TimeValue) -> Sequence[str]:
    """The dates of EXDATE that a series would not have without it either.

    If EXDATE has several times of a day, one of which is right, none of them is among these: a day
    stands for each time that the series has on any day.
    """
    rules = [rule for rule in recurrence.rules if rule.name == "RRULE"]
    whole = replace(recurrence, rules=rules, left_out=())
    by_moment = {one.in_utc(): one for one in recurrence.left_out}
    last = max(one.local for one in recurrence.left_out)
    if not whole.is_expandable(start, last):
        return ()
    rest = set(by_moment)
    for count, one in enumerate(whole.occurrences(start, last)):
        rest.discard(one.in_utc())
        if not rest or count == _MAX_EXPANDED:
            return ()
    right_days = {by_moment[moment].day for moment in by_moment.keys() - rest}
    missed = {by_moment[moment].day: by_moment[moment].moment for moment in rest}
    return [str(missed[day]).removesuffix(":00") for day in sorted(missed.keys() - right_days)]


def _latest_local_time(name: str) -> datetime:
    """A time that is no earlier than an occurrence on the clocks of any zone."""
    day = datetime.strptime(name[:8], "%Y%m%d")  # noqa: DTZ007
    return day + timedelta(days=3) if day.year < MAXYEAR else datetime.max  # noqa: DTZ901


# --- comparing ---


def same_recurrence(wanted: Sequence[str], event: Mapping[str, Any]) -> bool:
    """Whether an event recurs as these lines say, which fit the start that it shall have."""
    current = event.get("recurrence", ())
    normal = normalize_recurrence(wanted)
    if normal == normalize_recurrence(current):
        return True
    if not current or not wanted:
        return False
    try:
        fitted = fit_lines(current, event["start"], event["end"], "UTC")
    except (FieldError, OverflowError, KeyError):
        return False
    return normal == normalize_recurrence(fitted)


def normalize_recurrence(lines: Iterable[str]) -> set[str]:
    """The lines in one spelling, so that two recurrences with the same meaning are equal.

    Case, the order of parts, days and dates, and the number of dates in a line make no difference.
    """
    normal: set[str] = set()
    for line in lines:
        # Names and values are case-insensitive (RFC 5545, section 2).
        name, _, value = "".join(line.upper().split()).partition(":")
        if name.endswith("RULE"):
            normal.add(f"{name}:{_normalize_rule(value)}")
        else:
            kind = _VALUE_TYPE.sub("", name)
            normal.update(f"{kind}:{day}" for day in value.split(","))
    return normal


def _normalize_rule(rule: str) -> str:
    parts = set(rule.split(";")) - _DEFAULT_PARTS
    return ";".join(sorted(map(_normalize_part, parts)))


def _normalize_part(part: str) -> str:
    name, _, values = part.partition("=")
    return f"{name}={','.join(sorted(values.split(',')))}"
