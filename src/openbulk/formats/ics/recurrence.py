"""The series of an event: RRULE, EXRULE, RDATE and EXDATE, both ways.

The Calendar API takes these lines as they are in a file, without DTSTART and DTEND
(https://developers.google.com/calendar/api/v3/reference/events, `recurrence`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.content_lines import content_line
from openbulk.formats.ics.iana_zones import find_iana_zone

_LINE = re.compile(
    r"(?P<name>RRULE|EXRULE|RDATE|EXDATE)(?P<parameters>(?:;[^:]*)?):(?P<value>.*)", re.I
)
_TZID = re.compile(r'TZID="?([^;:"]+)"?', re.I)
_UNTIL = re.compile(r"(?<=UNTIL=)(?P<day>\d{8})(?:T(?P<time>\d{6})(?P<utc>Z?))?", re.I)
_END_OF_DAY = time(23, 59, 59)


# --- from a file ---


def read_recurrence(
    lines: Sequence[str], start: Mapping[str, str], calendar: CalendarProperties
) -> dict[str, list[str]]:
    """`recurrence`, where the event has it: in IANA zones, with an UNTIL that fits the start."""
    found = [
        f"{match['name'].upper()}{_with_iana_zone(match['parameters'], calendar)}"
        f":{_with_fitting_until(match['value'], start)}"
        for match in map(_LINE.fullmatch, _own_lines(lines))
        if match
    ]
    return {"recurrence": found} if found else {}


def _own_lines(lines: Sequence[str]) -> Iterator[str]:
    """The lines of an event without those of its alarms."""
    depth = 0
    for line in lines:
        name = line.upper()
        depth += name.startswith("BEGIN:") - name.startswith("END:")
        if depth == 1:
            yield line


def _with_iana_zone(parameters: str, calendar: CalendarProperties) -> str:
    def replace(match: re.Match[str]) -> str:
        return f"TZID={find_iana_zone(match[1], calendar.zone_aliases) or match[1]}"

    return _TZID.sub(replace, parameters)


def _with_fitting_until(rule: str, start: Mapping[str, str]) -> str:
    """UNTIL is a day where the start is one, else a time in UTC (RFC 5545, section 3.3.10).

    Many programs write it otherwise, and Google refuses such a rule.
    """
    return _UNTIL.sub(lambda match: _fit_until(match, start), rule)


def _fit_until(match: re.Match[str], start: Mapping[str, str]) -> str:
    if "date" in start:
        return match["day"]
    if match["utc"]:
        return match[0]
    last_time = time.fromisoformat(match["time"]) if match["time"] else _END_OF_DAY
    zone = ZoneInfo(start.get("timeZone", "UTC"))
    local = datetime.combine(date.fromisoformat(match["day"]), last_time, zone)
    return local.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


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
