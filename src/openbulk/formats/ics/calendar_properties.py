"""What a VCALENDAR states for all of its events: its method and its time zones.

A file may hold several, one after another; what one of them states applies to its events only
(RFC 5545, section 3.4).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from openbulk.formats.ics.components import Component, border, calendar_lines
from openbulk.formats.ics.iana_zones import (
    VTimezone,
    find_iana_zone,
    identify_vtimezone,
    zone_name,
)
from openbulk.formats.ics.properties import Property, parse_property, quote_value

# A calendar has one for each zone that its events use, of about a kilobyte.
_MAX_VTIMEZONES = 50
_MAX_VTIMEZONE_BYTES = 16 * 1024
_BEGINS_EVENT = {b"BEGIN:VEVENT": True, b"END:VEVENT": False, b"BEGIN:VCALENDAR": False}
"""Lines that begin or end an event. One without an END ends with its calendar at the latest."""


@dataclass(frozen=True, slots=True)
class CalendarProperties:
    """The properties of a calendar (RFC 5545, section 3.7) that its events are read by."""

    zone: str | None = None
    """The IANA zone of times without one: `X-WR-TIMEZONE`, which is Apple's and Google's."""
    zone_problem: str = ""
    """What is wrong with `X-WR-TIMEZONE`, in a sentence; "" for nothing."""
    described_zones: Mapping[str, VTimezone] = field(default_factory=dict)
    """The VTIMEZONEs, by their names in the file."""
    method: str = ""
    """What is done with the events (RFC 5546), in capitals; "" if it is not stated."""

    @property
    def home_zone(self) -> str | None:
        """The zone in which people see this calendar; None if nothing shows it."""
        if self.zone is not None:
            return self.zone
        zones = {one.zone for one in self.described_zones.values()}
        if len(zones) != 1:
            return None
        return zones.pop() or None

    def require_zone(self, name: str, place: str) -> str:
        """The IANA zone of a name in this calendar.

        Raises ValueError with a sentence about the property at `place` if no zone fits.
        """
        described = self.described_zones.get(name, VTimezone(name))
        zone = find_iana_zone(name, described.zone)
        if zone is not None:
            return zone
        shown = quote_value(name)
        if not described.problem:
            raise ValueError(
                f"{place} is in the time zone {shown}, which is not known; use an IANA name like "
                "Europe/Berlin, or describe the zone in a VTIMEZONE of that name"
            )
        raise ValueError(
            f"{place} is in the time zone {shown}, whose VTIMEZONE on line {described.line} "
            f"{described.problem}; correct it, or use an IANA name like Europe/Berlin"
        )


def read_calendars(lines: Iterator[bytes]) -> Iterator[CalendarProperties]:
    """The properties of each VCALENDAR in a file, in their order; first those of none.

    A VCALENDAR is read to its end first: programs also write VTIMEZONEs after events.
    """
    draft = _Draft(is_closed=True)
    for number, raw, edge in _lines_outside_events(lines):
        if edge == b"BEGIN:VCALENDAR":
            yield draft.finish()
            draft = _Draft()
        else:
            draft.add(number, raw, edge)
    yield draft.finish()


def _lines_outside_events(lines: Iterator[bytes]) -> Iterator[tuple[int, bytes, bytes]]:
    """The lines outside events, and END:VEVENT: number, line, and what `border` makes of it."""
    is_in_event = False
    for number, raw in calendar_lines(lines):
        edge = border(raw)
        is_in_event = _BEGINS_EVENT.get(edge, is_in_event)
        if not is_in_event:
            yield number, raw, edge


class _Draft:
    """The properties of a VCALENDAR while its lines are read."""

    def __init__(self, *, is_closed: bool = False) -> None:
        self._header = Component(0)
        self._time_zones: list[Component] = []
        self._last_zone = Component(0, is_closed=True)
        self._is_closed = is_closed
        self._is_in_header = False

    def add(self, number: int, raw: bytes, edge: bytes) -> None:
        """Take a line in, with what `border` makes of it."""
        # Lines after the end belong to no calendar (RFC 5545, section 3.4).
        self._is_closed |= edge == b"END:VCALENDAR"
        if self._is_closed:
            return
        if edge == b"BEGIN:VTIMEZONE" and len(self._time_zones) < _MAX_VTIMEZONES:
            self._last_zone = Component(number)
            self._time_zones.append(self._last_zone)
        if self._last_zone.is_closed:
            self._add_to_header(number, raw, edge)
        elif self._last_zone.size < _MAX_VTIMEZONE_BYTES:
            self._last_zone.add(number, raw)
            self._last_zone.is_closed = edge == b"END:VTIMEZONE"

    def _add_to_header(self, number: int, raw: bytes, edge: bytes) -> None:
        if not raw.startswith((b" ", b"\t")):
            self._is_in_header = edge.startswith((b"X-WR-TIMEZONE", b"METHOD"))
        if self._is_in_header:
            self._header.add(number, raw)

    def finish(self) -> CalendarProperties:
        """What was read."""
        lines = self._header.raw_lines
        found = [parse_property(one.content.decode(errors="replace"), one.number) for one in lines]
        header = {one.name: one for one in filter(None, found) if one.value.strip()}
        stated = header.get("X-WR-TIMEZONE", Property("X-WR-TIMEZONE", ""))
        name = zone_name(stated.text)
        calendar_zone = find_iana_zone(name)
        # A description may fit several zones, and the calendar's may be one that is described.
        zones = map(partial(_identify, calendar_zone), self._time_zones)
        described = _by_name(zones)
        method = header.get("METHOD", Property("METHOD", ""))
        calendar = CalendarProperties(described_zones=described, method=method.word)
        if not stated.value:
            return calendar
        try:
            return replace(calendar, zone=calendar.require_zone(name, stated.place))
        except ValueError as error:
            return replace(calendar, zone_problem=str(error))


def _by_name(zones: Iterable[VTimezone]) -> Mapping[str, VTimezone]:
    """By their names; one that is described as two zones is neither."""
    by_name: dict[str, VTimezone] = {}
    for one in zones:
        other = by_name.setdefault(one.name, one)
        if other.zone != one.zone:
            problem = f"is another zone than that of the same name on line {other.line}"
            by_name[one.name] = replace(one, zone="", problem=problem)
    return by_name


def _identify(calendar_zone: str | None, component: Component) -> VTimezone:
    lines = tuple(component.readable_lines())
    return replace(identify_vtimezone(lines, calendar_zone), line=component.line)
