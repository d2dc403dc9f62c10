"""The IANA time zone that a calendar file means: by a name of another kind, or by a description."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import cache
from operator import eq
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from icalendar import Timezone
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

Offsets = Sequence[timedelta | None]
"""From UTC, at each moment of _SAMPLES."""

# Rules that change clocks about once a year cost little to expand from 1601, where Windows' zones
# begin. Others could keep the server busy for hours.
_YEARLY_RULE = re.compile(
    r"RRULE:(?:;?(?:FREQ=YEARLY|INTERVAL=1|BYMONTH=\d+|BYDAY=[+-]?\d?\w\w"
    r"|BYMONTHDAY=[\d,-]{1,30}|WKST=\w+|UNTIL=\w+))+",
    re.I,
)
_MAX_RULES = 10
# Windows has a name for each usual zone, and the shortest for the most usual: Eastern Standard Time
# is New York's.
_RANKS = {zone: (len(name), name) for name, zone in WINDOWS_TO_OLSON.items()}
_WEEKS = 53
_SAMPLES = (
    *(datetime(2026, 1, 1, 12) + timedelta(weeks=week) for week in range(_WEEKS)),  # noqa: DTZ001
    *(datetime(year, month, 15, 12) for year in range(2008, 2026) for month in range(1, 13)),  # noqa: DTZ001
)
"""Moments on a zone's own clocks: the weeks of a year, then the months since America's rules."""


@cache
def known_zones() -> frozenset[str]:
    """The names of all IANA zones."""
    return frozenset(available_timezones())


def find_iana_zone(name: str, aliases: Mapping[str, str]) -> str | None:
    """The IANA zone of a name: the name itself, an alias, Windows' name, or the end of a path.

    `aliases` are the file's own names. None where no zone fits.
    """
    name = name.strip()
    parts = name.strip("/").split("/")
    path_ends = ["/".join(parts[begin:]) for begin in range(len(parts))]
    # Programs put their own prefix before a zone: /freeassociation.sourceforge.net/Europe/Berlin
    # (Evolution), /mozilla.org/20050126_1/Europe/Berlin (Lightning).
    candidates = (name, aliases.get(name, ""), WINDOWS_TO_OLSON.get(name, ""), *path_ends)
    return next(filter(known_zones().__contains__, candidates), None)


def identify_vtimezone(lines: Sequence[str], calendar_zone: str | None) -> tuple[str, str]:
    """The name that a VTIMEZONE has in its file, and the IANA zone it describes ("" for none).

    The zone is identified by its name, by the place in X-LIC-LOCATION, or by its offsets from UTC.
    Where several zones have these offsets, `calendar_zone` comes before others.
    """
    properties = {key.upper(): value.strip() for key, _, value in map(_partition, lines)}
    name = properties.get("TZID", "")
    aliases = {name: properties.get("X-LIC-LOCATION", "")}
    zone = find_iana_zone(name, aliases) or _zone_by_offsets(name, lines, calendar_zone)
    return name, zone or ""


def _partition(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _zone_by_offsets(name: str, lines: Sequence[str], calendar_zone: str | None) -> str | None:
    """A zone whose clocks show the same all year.

    Best is one whose city is in the name, then the calendar's own, then a usual one, preferably one
    that had the same rules in earlier years.
    """
    described = _offsets_of_vtimezone(lines)
    if not described:
        return None
    all_year = described[:_WEEKS]
    equal = {zone for zone in known_zones() if _offsets_of_zone(zone)[:_WEEKS] == all_year}
    named = sorted(zone for zone in equal if _city_of(zone) in name.upper())
    usual = sorted(
        equal & _RANKS.keys(),
        key=lambda zone: (-sum(map(eq, _offsets_of_zone(zone), described)), _RANKS[zone]),
    )
    return next(filter(equal.__contains__, (*named, calendar_zone, *usual)), None)


def _city_of(zone: str) -> str:
    return zone.rpartition("/")[2].replace("_", " ").upper()


def _offsets_of_vtimezone(lines: Sequence[str]) -> Offsets:
    """Empty where they cannot be computed, or not at a reasonable cost."""
    rules = [line for line in lines if line.upper().startswith("RRULE")]
    if len(rules) > _MAX_RULES or not all(map(_YEARLY_RULE.fullmatch, rules)):
        return ()
    try:
        component: Any = Timezone.from_ical("\r\n".join(lines) + "\r\n")
        return _offsets(component.to_tz(lookup_tzid=False))
    except Exception:
        # The library raises errors of all kinds. An event in this zone reports it as not known.
        return ()


@cache
def _offsets_of_zone(zone: str) -> Offsets:
    return _offsets(ZoneInfo(zone))


def _offsets(zone: tzinfo) -> Offsets:
    return tuple(moment.replace(tzinfo=zone).utcoffset() for moment in _SAMPLES)
