"""When an event is: DTSTART, DTEND, DURATION and RECURRENCE-ID, both ways.

A time is a mapping as in the Calendar API: `{"date": ...}` or `{"dateTime": ..., "timeZone": ...}`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.content_lines import content_line, format_local_time
from openbulk.formats.ics.iana_zones import find_iana_zone, known_zones

_ZONE_OF_UTC_TIME = "X-OPENBULK-TZID"
"""A parameter: the zone of a time written in UTC, because the zone's clocks show it twice."""


# --- from a file ---


def read_times(
    event: Any, calendar: CalendarProperties, *, is_cancelled: bool
) -> dict[str, dict[str, str]]:
    """`start`, `end` and `originalStartTime`, where the event has them.

    Raises ValueError where it has no start. A cancelled one needs none: UID and RECURRENCE-ID
    identify it (RFC 5546, section 3.2.5).
    """
    times: dict[str, dict[str, str]] = {}
    if "DTSTART" in event:
        times["start"] = _read_time(event, "DTSTART", calendar)
        times["end"] = _read_end(event, times["start"], calendar)
    elif not is_cancelled:
        raise ValueError(
            "the event has no DTSTART; it looks like DTSTART;TZID=Europe/Berlin:20260530T100000"
        )
    if "RECURRENCE-ID" in event:
        times["originalStartTime"] = _read_time(event, "RECURRENCE-ID", calendar)
    return times


def _read_time(event: Any, name: str, calendar: CalendarProperties) -> dict[str, str]:
    """A date, or a time with its zone; a time is local where neither it nor the file names one."""
    moment, parameters = event[name].dt, event[name].params
    if not isinstance(moment, date):  # a datetime is a date
        raise ValueError(
            f"{name} is neither a date nor a time; it looks like {name}:20260530T100000Z"
        )
    if not isinstance(moment, datetime):
        return {"date": moment.isoformat()}
    zone_name = parameters.get("TZID")
    if zone_name is not None:
        return _local_time(moment, _require_zone(name, str(zone_name), calendar))
    if moment.tzinfo is None:
        return _local_time(moment, calendar.zone)
    zone = str(parameters.get(_ZONE_OF_UTC_TIME, "UTC"))
    return {"dateTime": _with_z(moment.astimezone(UTC)), "timeZone": zone}


def _require_zone(name: str, zone_name: str, calendar: CalendarProperties) -> str:
    zone = find_iana_zone(zone_name, calendar.zone_aliases)
    if zone is None:
        raise ValueError(
            f"{name} is in the time zone {zone_name!r}, which is not known; use an IANA name like "
            "Europe/Berlin, or describe the zone in a VTIMEZONE of that name"
        )
    return zone


def _local_time(moment: datetime, zone: str | None) -> dict[str, str]:
    text = moment.replace(tzinfo=None).isoformat()
    if zone is None:
        return {"dateTime": text}
    return {"dateTime": text, "timeZone": zone}


def _with_z(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _read_end(event: Any, start: Mapping[str, str], calendar: CalendarProperties) -> dict[str, str]:
    """DTEND, else DURATION from the start, else a day or no time at all (RFC 5545, 3.6.1)."""
    if "DTEND" in event:
        return _read_time(event, "DTEND", calendar)
    duration = event["DURATION"].dt if "DURATION" in event else timedelta()
    if "date" in start:
        days = timedelta(days=max(1, duration.days))
        return {"date": (date.fromisoformat(start["date"]) + days).isoformat()}
    starts = datetime.fromisoformat(start["dateTime"])
    return {**start, "dateTime": _with_z(_add_duration(starts, duration, start.get("timeZone")))}


def _add_duration(starts: datetime, duration: timedelta, zone: str | None) -> datetime:
    """Days go by the calendar, hours by the clock (RFC 5545, section 3.3.6).

    Eight hours over a change to winter time end at five, not at six.
    """
    on_last_day = starts + timedelta(days=duration.days)
    rest = timedelta(seconds=duration.seconds)
    if zone is None or on_last_day.tzinfo is not None:
        return on_last_day + rest
    ends = on_last_day.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) + rest
    return ends.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


# --- to a file ---


def time_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of its times.

    Raises ValueError, KeyError, TypeError or AttributeError where it has no start.
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
    if time.get("date"):
        return _date_line(name, date.fromisoformat(time["date"]))
    moment = datetime.fromisoformat(time["dateTime"])
    zone = time.get("timeZone")
    if moment.tzinfo is None:
        if zone != "UTC":
            return content_line(name, format_local_time(moment), {"TZID": zone})
        moment = moment.replace(tzinfo=UTC)
    elif zone != "UTC" and zone in known_zones():
        local = moment.astimezone(ZoneInfo(zone))
        # Of two times that clocks show alike, a local time is the first (RFC 5545, 3.3.5).
        if local.fold == 0:
            return content_line(name, format_local_time(local), {"TZID": zone})
    return _utc_line(name, moment.astimezone(UTC), zone)


def _date_line(name: str, day: date) -> str:
    # glibc's strftime does not pad years before 1000.
    return content_line(name, day.strftime("%Y%m%d").zfill(8), {"VALUE": "DATE"})


def _utc_line(name: str, moment: datetime, zone: str | None) -> str:
    value = f"{format_local_time(moment)}Z"
    if zone == "UTC":
        return content_line(name, value)
    return content_line(name, value, {_ZONE_OF_UTC_TIME: zone})
