"""When an event is: DTSTART, DTEND, DURATION and RECURRENCE-ID, both ways.

A time is a mapping as in the Calendar API: `{"date": ...}` or `{"dateTime": ..., "timeZone": ...}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from openbulk.formats.ics.api_fields import field_of
from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.content_lines import content_line, format_local_time, format_offset
from openbulk.formats.ics.iana_zones import described_offset, known_zones, zone_name
from openbulk.formats.ics.properties import Property
from openbulk.formats.ics.time_values import (
    ZONE_OF_UTC_TIME,
    Duration,
    TimeValue,
    fit_to,
    parse_duration,
    parse_time,
    to_day,
)
from openbulk.formats.ics.vevent import Properties

_ONE_DAY = Duration(timedelta(days=1))
_THIS_AND_FUTURE = "THISANDFUTURE"
_KIND_NAMES = {True: "a day", False: "a time"}
"""What a time is called, by `is_day`."""


@dataclass(frozen=True, slots=True)
class EventTimes:
    """When an event is, and which occurrence of a series it is."""

    start: TimeValue | None = None
    end: TimeValue | None = None
    original_start: TimeValue | None = None
    """The start that the series gives to this occurrence; None if it is not one of a series."""
    is_this_and_future: bool = False
    """Whether it stands for all later occurrences, too (RFC 5545, section 3.2.13)."""

    @property
    def is_single_occurrence(self) -> bool:
        """Whether it is one occurrence of a series, and stands for no later ones."""
        return self.original_start is not None and not self.is_this_and_future

    def as_api(self) -> dict[str, dict[str, str]]:
        """`start`, `end` and `originalStartTime`, as far as the event has them.

        `originalStartTime.range` is `THISANDFUTURE` if it stands for all later occurrences, too.
        """
        times = {"start": self.start, "end": self.end, "originalStartTime": self.original_start}
        fields = {name: time.as_api() for name, time in times.items() if time is not None}
        if self.is_this_and_future:
            fields["originalStartTime"]["range"] = _THIS_AND_FUTURE
        return fields


@dataclass(frozen=True, slots=True)
class SeriesStart:
    """When a series starts, and whether a day says which of its occurrences is meant."""

    time: TimeValue
    is_once_a_day: bool = True


# --- from a file ---


def read_times(
    event: Properties,
    calendar: CalendarProperties,
    *,
    is_cancelled: bool,
    series: SeriesStart | None = None,
) -> EventTimes:
    """The times of an event. `series` is the start of its series, if the file has that.

    Raises ValueError if it has no start. A cancelled one needs none: UID and RECURRENCE-ID
    identify it (RFC 5546, section 3.2.5).
    """
    start, end = _read_start_and_end(event, calendar)
    if start is None and not is_cancelled:
        raise ValueError(
            f"the event that begins on line {event.line} has no DTSTART; it looks like "
            "DTSTART;TZID=Europe/Berlin:20260530T100000"
        )
    found = event.get("RECURRENCE-ID")
    if found is None:
        return EventTimes(start, end)
    original_start = _read_original_start(found, calendar, start, series)
    return EventTimes(start, end, original_start, _is_this_and_future(found))


def _read_start_and_end(
    event: Properties, calendar: CalendarProperties
) -> tuple[TimeValue | None, TimeValue | None]:
    found = event.get("DTSTART")
    if found is None:
        return None, None
    start = parse_time(found, calendar, calendar.zone)
    stated_end = event.get("DTEND")
    if stated_end is None:
        return start, _add_duration(event, start)
    end = _read_end(stated_end, start, calendar)
    _check_order(stated_end, start, end)
    _check_duration(event, stated_end, start, end)
    return start, end


def _read_end(found: Property, start: TimeValue, calendar: CalendarProperties) -> TimeValue:
    """DTEND, in the type of DTSTART, and in its zone if it names none."""
    end = parse_time(found, calendar, start.zone)
    if start.is_day and _is_midnight(end, calendar):
        end = to_day(end, found, calendar)
    if start.is_day != end.is_day:
        raise ValueError(
            f"{found.place} is {_KIND_NAMES[end.is_day]}, and DTSTART is "
            f"{_KIND_NAMES[start.is_day]}; write both as days or both as times"
        )
    # RFC 5545, section 3.6.1, excludes the day in DTEND; many programs write the last one there.
    if end == TimeValue(start.day):
        return end.add(_ONE_DAY)
    return end


def _is_midnight(end: TimeValue, calendar: CalendarProperties) -> bool:
    """Whether a day ends then, in its own zone or in the calendar's."""
    home = end.in_zone(calendar.home_zone)
    return datetime.min.time() in {end.local.time(), home.local.time()}


def _check_order(found: Property, start: TimeValue, end: TimeValue) -> None:
    """Raise ValueError if the event ends before it starts."""
    is_comparable = (start.zone is None) == (end.zone is None)
    if is_comparable and end.since(start) < timedelta():
        raise ValueError(
            f"{found.place} is {found.show()}, which is before DTSTART; "
            "an event ends after it starts"
        )


def _check_duration(
    event: Properties, stated_end: Property, start: TimeValue, end: TimeValue
) -> None:
    """Raise ValueError if DURATION gives another end than DTEND.

    RFC 5545, section 3.6.1, forbids both together; programs write them nonetheless.
    """
    found = event.get("DURATION")
    if found is None:
        return
    try:
        duration = parse_duration(found)
    except ValueError:
        return  # DTEND alone counts
    is_stated = duration.total != timedelta()
    if is_stated and end.since(start) not in {duration.total, start.add(duration).since(start)}:
        raise ValueError(
            f"{stated_end.place} is {stated_end.show()}, and {found.place} is {found.show()}, "
            "which is another end; keep one of them"
        )


def _add_duration(event: Properties, start: TimeValue) -> TimeValue:
    """The end by DURATION, else a day or no time at all (RFC 5545, section 3.6.1)."""
    duration = _read_duration(event)
    # DURATION of a day is in days or weeks (RFC 5545, section 3.8.2.5); programs also write hours.
    if start.is_day:
        whole_days = -(-duration.total // _ONE_DAY.days)
        return start.add(Duration(_ONE_DAY.days * max(1, whole_days)))
    return start.add(duration)


def _read_duration(event: Properties) -> Duration:
    """DURATION; none without it. Raises ValueError for a negative one."""
    found = event.get("DURATION")
    if found is None:
        return Duration()
    duration = parse_duration(found)
    if duration.total < timedelta():
        raise ValueError(
            f"{found.place} is {found.show()}, and an event ends after it starts; "
            "it looks like DURATION:PT1H30M"
        )
    return duration


def _read_original_start(
    found: Property,
    calendar: CalendarProperties,
    start: TimeValue | None,
    series: SeriesStart | None,
) -> TimeValue:
    """RECURRENCE-ID, in the type and the zone of its series if the file has that."""
    if series is not None:
        original_start = parse_time(found, calendar, series.time.zone)
        if original_start.is_day and not series.is_once_a_day:
            raise ValueError(
                f"{found.place} is a day, and the series recurs several times on it; write which "
                f"one is meant, like RECURRENCE-ID:{original_start.day:%Y%m%d}T100000Z"
            )
        return fit_to(series.time, original_start, found, calendar)
    # Without a zone in the calendar, it has none, either: the service has the series.
    zone = calendar.zone
    if zone is not None and start is not None and start.zone is not None:
        zone = start.zone
    return parse_time(found, calendar, zone)


def _is_this_and_future(found: Property) -> bool:
    stated = found.parameter_word("RANGE")
    if stated not in {"", _THIS_AND_FUTURE}:
        raise ValueError(
            f"{found.place} has RANGE={stated}, which RFC 5545 no longer has; "
            f"write RANGE={_THIS_AND_FUTURE}, or an event for each occurrence"
        )
    return bool(stated)


def contradictions(
    event: Properties, times: EventTimes, calendar: CalendarProperties
) -> Iterator[str]:
    """A remark if the VTIMEZONE of a time has another offset than the zone of its name.

    The name counts: programs write rules of other years, or the same ones for every zone.
    """
    stated = {"DTSTART": times.start, "DTEND": times.end, "RECURRENCE-ID": times.original_start}
    for name, time in stated.items():
        found = event.get(name)
        if found is None or time is None or time.zone is None:
            continue
        described = calendar.described_zones.get(zone_name(found.parameters.get("TZID", "")))
        if described is None:
            continue
        offset = described_offset(described, time.zone, time.local)
        if offset is not None:
            actual = time.local.replace(tzinfo=ZoneInfo(time.zone)).utcoffset() or timedelta()
            yield (
                f"{found.place} is read as {time.zone}, which is {format_offset(actual, ':')} from "
                f"UTC then, and the VTIMEZONE on line {described.line} says "
                f"{format_offset(offset, ':')}; if that is right, give it a name of its own"
            )
            return


# --- to a file ---


def time_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of its times.

    Raises ValueError, KeyError, TypeError or AttributeError if it has no start.
    """
    # Google lists a cancelled occurrence with its originalStartTime, and without start and end
    # (https://developers.google.com/calendar/api/v3/reference/events, `status`).
    is_cancelled = record.get("status") == "cancelled"
    if record.get("start") or not is_cancelled:
        yield _time_line("DTSTART", record["start"])
    if record.get("end"):
        yield _time_line("DTEND", record["end"])
    if record.get("originalStartTime"):
        yield _time_line("RECURRENCE-ID", record["originalStartTime"])


def _time_line(name: str, time: Mapping[str, Any]) -> str:
    parameters = {"RANGE": time.get("range")}
    if time.get("date"):
        # glibc's strftime does not pad years before 1000.
        day = date.fromisoformat(time["date"]).strftime("%Y%m%d").zfill(8)
        return content_line(name, day, {"VALUE": "DATE", **parameters})
    moment, zone = datetime.fromisoformat(time["dateTime"]), field_of(time, "timeZone", "")
    if zone == "UTC":
        moment, zone = moment.replace(tzinfo=moment.tzinfo or UTC), ""
    local = _on_clocks(moment, zone)
    # Of two times that clocks show alike, a local time is the first (RFC 5545, section 3.3.5).
    if local.tzinfo is None and local.fold == 0:
        return content_line(name, format_local_time(local), {"TZID": zone, **parameters})
    value = f"{format_local_time(moment.astimezone(UTC))}Z"
    return content_line(name, value, {ZONE_OF_UTC_TIME: zone, **parameters})


def _on_clocks(moment: datetime, zone: str) -> datetime:
    """The moment on the clocks of the zone; itself if it is there already, or no zone is known."""
    if moment.tzinfo is None or zone not in known_zones():
        return moment
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
