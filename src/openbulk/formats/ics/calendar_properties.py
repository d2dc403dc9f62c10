"""What a calendar file states for all of its events: its method and its time zones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from openbulk.formats.ics.components import Component
from openbulk.formats.ics.iana_zones import find_iana_zone, identify_vtimezone

# A file has one for each zone that its events use, of about a kilobyte.
_MAX_VTIMEZONES = 50
_MAX_VTIMEZONE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class CalendarProperties:
    """The properties of a calendar (RFC 5545, section 3.7) that its events are read by."""

    zone: str | None = None
    """The IANA zone of times without one: `X-WR-TIMEZONE`, which is Apple's and Google's."""
    zone_aliases: Mapping[str, str] = field(default_factory=dict)
    """The IANA zones that VTIMEZONEs describe, by their names in the file; "" for none."""
    is_cancellation: bool = False
    """Whether the file cancels all of its events (`METHOD:CANCEL`, RFC 5546, section 3.2.5)."""


def read_calendar_properties(lines: Iterator[bytes]) -> CalendarProperties:
    """Reads the whole file: programs write VTIMEZONEs behind events, too."""
    zone_name = method = ""
    time_zones: list[Component] = []
    for raw, text in _lines_outside_events(lines):
        keyword, _, value = text.partition(":")
        match keyword.upper():
            case "X-WR-TIMEZONE":
                zone_name = value
            case "METHOD":
                method = value.upper()
            case "BEGIN" if value.upper() == "VTIMEZONE" and len(time_zones) < _MAX_VTIMEZONES:
                time_zones.append(Component(0))
        if time_zones:
            _extend_time_zone(time_zones[-1], raw, text)
    calendar_zone = find_iana_zone(zone_name, {})
    # A description may fit several zones, and the calendar's own zone may be one that is described.
    aliases = dict(identify_vtimezone(one.readable_lines(), calendar_zone) for one in time_zones)
    zone = find_iana_zone(zone_name, aliases)
    return CalendarProperties(zone, aliases, is_cancellation=method == "CANCEL")


def _lines_outside_events(lines: Iterator[bytes]) -> Iterator[tuple[bytes, str]]:
    """Each line with its text. Of an event, only its END is one of them."""
    is_in_event = False
    for raw in lines:
        text = raw.decode(errors="replace").rstrip()
        match text.upper():
            case "BEGIN:VEVENT":
                is_in_event = True
            case "END:VEVENT":
                is_in_event = False
        if not is_in_event:
            yield raw, text


def _extend_time_zone(time_zone: Component, raw: bytes, text: str) -> None:
    if time_zone.is_closed or time_zone.size >= _MAX_VTIMEZONE_BYTES:
        return
    time_zone.add(raw)
    time_zone.is_closed = text.upper() == "END:VTIMEZONE"
