"""Values of the types DATE, DATE-TIME, DURATION and PERIOD (RFC 5545, section 3.3)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.content_lines import format_local_time
from openbulk.formats.ics.iana_zones import find_iana_zone, zone_name
from openbulk.formats.ics.properties import Property, quote_value

# Beside RFC 5545's 20260530T100000Z, some programs write 2026-05-30T10:00:00+02:00, as in ISO 8601.
_TIME = re.compile(
    r"(?P<day>\d{4}-?\d\d-?\d\d)"
    r"(?:[T ](?P<hour>\d\d):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:\.\d+)?)?"
    r"\s*(?P<offset>Z|[+-]\d\d:?\d\d)?)?",
    re.A | re.I,
)
_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.A | re.I,
)
_MAX_DURATION_CHARACTERS = 40
ZONE_OF_UTC_TIME = "X-OPENBULK-TZID"
"""A parameter: the zone of a time written in UTC, because the zone's clocks show it twice."""
_LAST_SECOND = 59
_MIDNIGHT = time(0)
_EDGES_OF_DAY = frozenset({_MIDNIGHT, time(23, 59), time(23, 59, 59)})


@dataclass(frozen=True, slots=True)
class TimeValue:
    """A day, or a time on the clocks of a zone."""

    moment: date | datetime
    """A date, or a datetime without tzinfo."""
    zone: str | None = None
    """The IANA zone; None for a day, and for a time without one."""

    @property
    def is_day(self) -> bool:
        """Whether it is a day and no time of it."""
        return not isinstance(self.moment, datetime)

    @property
    def day(self) -> date:
        """The day, also of a time."""
        return self.local.date()

    @property
    def local(self) -> datetime:
        """The time on the clocks; midnight for a day."""
        if isinstance(self.moment, datetime):
            return self.moment
        return datetime.combine(self.moment, _MIDNIGHT)

    @property
    def instant(self) -> datetime | None:
        """The moment in UTC; None if no zone says which it is."""
        if self.zone is None:
            return None
        return self.local.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def in_zone(self, zone: str | None) -> "TimeValue":
        """This moment on the clocks of another zone; itself if `zone` is None.

        A time without a zone gets this one.
        """
        if zone is None or zone == self.zone:
            return self
        instant = self.instant
        if instant is None:
            return TimeValue(self.moment, zone)
        return TimeValue(instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None), zone)

    def in_utc(self) -> "TimeValue":
        """This moment in UTC; itself if no zone says which moment it is."""
        if self.zone is None:
            return self
        return self.in_zone("UTC")

    def add(self, duration: "Duration") -> "TimeValue":
        """A later time. Days go by the calendar, hours by the clock (RFC 5545, section 3.3.6).

        Over a change to winter time, eight hours end at five, not at six, and 24 hours are not a
        day.
        """
        on_last_day = replace(self, moment=self.moment + duration.days).in_utc()
        last = replace(on_last_day, moment=on_last_day.moment + duration.time)
        return last.in_zone(self.zone)

    def since(self, start: "TimeValue") -> timedelta:
        """The time from the start to this: by the moments if both have a zone, else by clocks."""
        if None in {self.zone, start.zone}:
            return self.local - start.local
        return self.in_utc().local - start.in_utc().local

    @property
    def _needs_utc(self) -> bool:
        """Whether it is written in UTC. A local time means the first of two that clocks show alike.

        RFC 5545, section 3.3.5.
        """
        return self.zone == "UTC" or bool(self.local.fold)

    def as_api(self) -> dict[str, str]:
        """As in the Calendar API: `{"date": ...}` or `{"dateTime": ..., "timeZone": ...}`."""
        if self.is_day:
            return {"date": self.moment.isoformat()}
        if self.zone is None:
            return {"dateTime": self.moment.isoformat()}
        if self._needs_utc:
            return {"dateTime": f"{self.in_utc().local.isoformat()}Z", "timeZone": self.zone}
        return {"dateTime": self.moment.isoformat(), "timeZone": self.zone}

    def as_property(self) -> tuple[str, str]:
        """The parameters and the value that it has in a line of a recurrence."""
        if self.is_day:
            return ";VALUE=DATE", f"{self.moment:%Y%m%d}".zfill(8)
        if self._needs_utc:
            return "", f"{format_local_time(self.in_utc().local)}Z"
        if self.zone is None:
            return "", format_local_time(self.local)
        return f";TZID={self.zone}", format_local_time(self.local)


# --- DATE and DATE-TIME ---


def split_values(properties: Iterable[Property]) -> Iterator[Property]:
    """A property for each value of lists; some programs end a list with a comma."""
    for found in properties:
        for value in filter(None, map(str.strip, found.value.split(","))):
            yield replace(found, value=value)


def parse_time(
    found: Property, calendar: CalendarProperties, default_zone: str | None
) -> TimeValue:
    """The time that a property is.

    A time that is neither in UTC nor in a named zone is in `default_zone`, else without one. Raises
    ValueError with a sentence, and OverflowError for a time outside of the years 1 to 9999.
    """
    value = found.value.strip().strip('"')
    match = _TIME.fullmatch(value)
    if match is None:
        raise ValueError(
            f"{found.place} is {quote_value(value)}, which is neither a day nor a time; "
            f"it looks like {_looks_like(found)}"
        )
    moment = _read_moment(match, found, value)
    if not isinstance(moment, datetime):
        return TimeValue(moment)
    read = _with_zone(match["offset"], moment, found, calendar, default_zone)
    if _is_stated_day(found):
        return to_day(read, found, calendar)
    return read


def _is_stated_day(found: Property) -> bool:
    return found.parameter_word("VALUE") == "DATE"


def _looks_like(found: Property) -> str:
    if found.name == "UNTIL":
        return "UNTIL=20261218T225959Z"
    if _is_stated_day(found):
        return f"{found.name};VALUE=DATE:20260530"
    return f"{found.name};TZID=Europe/Berlin:20260530T100000"


def _read_moment(match: re.Match[str], found: Property, value: str) -> date | datetime:
    """The day or the local time. 24:00 is the end of its day (ISO 8601)."""
    try:
        day = date.fromisoformat(match["day"].replace("-", ""))
        if match["hour"] is None:
            return day
        # A leap second is read as the one before it (RFC 5545, section 3.3.12).
        second = match.groupdict(default="0")["second"]
        seconds = min(int(second), _LAST_SECOND)
        hour, minute = int(match["hour"]), int(match["minute"])
        if (hour, minute, seconds) == (24, 0, 0):
            return datetime.combine(day + timedelta(days=1), _MIDNIGHT)
        return datetime.combine(day, time(hour, minute, seconds))
    except ValueError:
        raise ValueError(
            f"{found.place} is {quote_value(value)}, which no calendar and no clock has; "
            f"it looks like {_looks_like(found)}"
        ) from None


def _with_zone(
    offset: str | None,
    moment: datetime,
    found: Property,
    calendar: CalendarProperties,
    default_zone: str | None,
) -> TimeValue:
    """A zone is not applied to times in UTC (RFC 5545, section 3.2.19)."""
    if offset is not None:
        in_utc = TimeValue(moment - _parse_offset(offset), "UTC")
        return in_utc.in_zone(find_iana_zone(found.parameters.get(ZONE_OF_UTC_TIME, "")))
    zone = found.parameters.get("TZID", "").strip()
    if zone:
        return TimeValue(moment, calendar.require_zone(zone_name(zone), found.place))
    if default_zone is None and calendar.zone_problem:
        raise ValueError(f"{found.place} has no time zone, and {calendar.zone_problem}")
    return TimeValue(moment, default_zone)


def _parse_offset(text: str) -> timedelta:
    """`Z`, `+02:00` or `+0200` as a duration."""
    digits = text.upper().replace("Z", "+0000").replace(":", "")
    sign = int(f"{digits[0]}1")
    return sign * timedelta(hours=int(digits[1:3]), minutes=int(digits[3:]))


# --- to the type and the zone of another time ---


def to_day(value: TimeValue, found: Property, calendar: CalendarProperties) -> TimeValue:
    """The day that a time is on. Raises ValueError if that is in doubt.

    Midnight in the calendar's zone begins a day there, and so does midnight in UTC, which programs
    write that only have days. Another time in UTC is on the day that it is in the calendar's zone.
    """
    if value.zone != "UTC":
        return TimeValue(value.day)
    home = value.in_zone(calendar.home_zone)
    for one in (home, value):
        if one.local.time() in _EDGES_OF_DAY:
            return TimeValue(one.day)
    if calendar.home_zone is not None:
        return TimeValue(home.day)
    raise ValueError(
        f"{found.place} is a time in UTC and the event is all-day; write the day, like "
        f"{found.name};VALUE=DATE:{value.day:%Y%m%d}, or name the calendar's zone in X-WR-TIMEZONE"
    )


def fit_to(
    start: TimeValue, value: TimeValue, found: Property, calendar: CalendarProperties
) -> TimeValue:
    """A time of a series in the type and the zone of its start.

    A day of a series with times is the occurrence on it. Raises ValueError as `to_day` does.
    """
    if start.is_day:
        return to_day(value, found, calendar)
    if value.is_day:
        return TimeValue(datetime.combine(value.day, start.local.time()), start.zone)
    if start.zone is None:
        # Its zone is the calendar's at the service, which is not known here: a moment is in UTC.
        return value.in_utc()
    return value.in_zone(start.zone)


# --- DURATION and PERIOD ---


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time; both parts may be negative."""

    days: timedelta = timedelta()
    """Days of the calendar."""
    time: timedelta = timedelta()
    """Hours, minutes and seconds, which may be more than a day."""

    @property
    def total(self) -> timedelta:
        """Its length if no clocks are changed."""
        return self.days + self.time


def parse_duration(found: Property) -> Duration:
    """A duration, which may be negative. Raises ValueError with a sentence."""
    value = "".join(found.value.split())
    match = _DURATION.fullmatch(value)
    if match is None or len(value) > _MAX_DURATION_CHARACTERS:
        raise ValueError(
            f"{found.place} is {quote_value(value)}, which is not a duration; "
            f"it looks like {found.name}:PT1H30M"
        )
    sign, weeks, *days_and_time = match.groups(default="0")
    days, hours, minutes, seconds = map(int, days_and_time)
    direction = int(f"{sign}1")
    return Duration(
        timedelta(days, weeks=int(weeks)) * direction,
        timedelta(hours=hours, minutes=minutes, seconds=seconds) * direction,
    )


def parse_period(
    found: Property, calendar: CalendarProperties, default_zone: str | None
) -> tuple[TimeValue, Duration]:
    """The start and the length of a period (RFC 5545, section 3.3.9). Raises ValueError."""
    begin, _, end = found.value.partition("/")
    start = parse_time(replace(found, value=begin), calendar, default_zone)
    end_of_it = replace(found, value=end)
    if end.strip().upper().startswith(("P", "+P")):
        return start, parse_duration(end_of_it)
    last = parse_time(end_of_it, calendar, default_zone)
    return start, Duration(time=last.since(start))
