"""The IANA time zone that a calendar file means: by a name of another kind, or by a description."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cache, lru_cache
from itertools import product
from operator import eq
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from openbulk.formats.ics.content_lines import format_offset, unescape_text
from openbulk.formats.ics.properties import parse_property

Offsets = Sequence[timedelta]
"""From UTC, at each moment of _SAMPLES."""

# Rules that change clocks about once a year cost little to expand. Others could keep the server
# busy for hours.
_YEARLY_RULE = re.compile(
    r"RRULE:(?:;?(?:FREQ=YEARLY|INTERVAL=1|BYMONTH=\d+|BYDAY=[+-]?\d?\w\w"
    r"|BYMONTHDAY=[\d,-]{1,30}|WKST=\w+|UNTIL=\w+))+",
    re.I,
)
_RULE = re.compile(r"RRULE", re.I)
_MAX_RULES = 10
_MAX_COMPONENTS = 300
"""Of a VTIMEZONE. America/New_York has 237 changes since 1883, and some programs list each."""
_MAX_DATES = 300
_MAX_YEARS = 400
"""That rules which have ended are expanded over, all in all."""
_BEGIN_OR_END = re.compile(r"(?:BEGIN|END):", re.I)
_ONSET = re.compile(r"(?P<name>DTSTART[^:]*:)(?P<year>\d{4})(?=\d{4}T\d{6})", re.A | re.I)
_UNTIL_YEAR = re.compile(r"\bUNTIL=(\d{4})", re.A | re.I)
_RECENT_YEAR = 1968
"""A leap year before all of _SAMPLES and _CHECKED_YEARS."""
_TZID = re.compile(r"\ATZID.*", re.I | re.S)
_WEEKS = 53
_SAMPLES = (
    *(datetime(2026, 1, 1, 12) + timedelta(weeks=week) for week in range(_WEEKS)),  # noqa: DTZ001
    *(datetime(*month, 15, 12) for month in product(range(2008, 2026), range(1, 13))),  # noqa: DTZ001
)
"""Moments on a zone's own clocks: the weeks of a year, then the months since America's rules."""


_CRLF = "\r\n"
_CHECKED_YEARS = range(1970, 2101)
"""Years in which a VTIMEZONE is compared with the zone of its name: later ones take too long."""
_MAX_NAME_CHARACTERS = 250
_ZONE_NAMES = frozenset({"TZID", "X-LIC-LOCATION"})
_NOT_PLACES = frozenset({"localtime", "Factory"})
"""Files in the folder of zones that stand for the machine's own zone, or for none."""
_ZONE_OF_CITY = re.compile(r"(?!Etc/).+/")
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*(?P<sign>[+-])(?P<hours>\d{1,2})(?::?00)?", re.A | re.I)
"""A zone that is only an offset of whole hours, such as GMT+02:00 or UTC-5."""
_WINDOWS_DISPLAY_NAME = re.compile(
    r"\((?:UTC|GMT)(?P<offset>[+-]\d\d[:.]\d\d)?\)\s*(?P<places>.+)", re.A | re.I
)
"""A zone as Windows shows it: `(UTC+01:00) Amsterdam, Berlin, Bern, Rome`."""
_WINDOWS_PLACES = {
    "ATLANTIC TIME (CANADA)": "America/Halifax",
    "EASTERN TIME (US & CANADA)": "America/New_York",
    "CENTRAL TIME (US & CANADA)": "America/Chicago",
    "MOUNTAIN TIME (US & CANADA)": "America/Denver",
    "PACIFIC TIME (US & CANADA)": "America/Los_Angeles",
    "COORDINATED UNIVERSAL TIME": "UTC",
}


@dataclass(frozen=True, slots=True)
class VTimezone:
    """A VTIMEZONE of a file, and the IANA zone that it describes."""

    name: str
    zone: str = ""
    """Empty if no IANA zone fits."""
    problem: str = ""
    """Why none fits, as the end of a sentence about the VTIMEZONE."""
    line: int = 0
    """The line of the file on which it begins."""
    rules: str = ""
    """Its lines, if its name says which zone it is: they may contradict that zone."""


@cache
def known_zones() -> frozenset[str]:
    """The names of all IANA zones."""
    return frozenset(available_timezones()) - _NOT_PLACES


def zone_name(text: str) -> str:
    """A zone's name without escapes and quotes: programs write it with and without them."""
    return unescape_text(text).strip().strip('"').strip()


def find_iana_zone(name: str, described: str = "") -> str | None:
    """The IANA zone of a name: the name itself, Windows' name, an offset, or the end of a path.

    `described` is the zone that a VTIMEZONE of that name describes. None if no zone fits.
    """
    name = zone_name(name)
    if len(name) > _MAX_NAME_CHARACTERS:
        return None
    by_name = _names_of_places(name)
    return _first_known([name, described, *by_name, _zone_of_offset(name), *_city_zones(name)])


def _first_known(candidates: Iterable[str]) -> str | None:
    found = map(_zones_by_key().get, map(str.upper, candidates))
    return next(filter(None, found), None)


def _names_of_places(name: str) -> Iterator[str]:
    yield _windows_zones_by_key().get(name.upper(), "")
    # Programs put their own prefix before a zone: /freeassociation.sourceforge.net/Europe/Berlin
    # (Evolution), /mozilla.org/20050126_1/Europe/Berlin (Lightning).
    parts = name.strip("/").split("/")
    yield from ("/".join(parts[begin:]) for begin in range(len(parts)))


@cache
def _zones_by_key() -> Mapping[str, str]:
    return {zone.upper(): zone for zone in sorted(known_zones())}


@cache
def _windows_zones_by_key() -> Mapping[str, str]:
    windows = {name.upper(): zone for name, zone in windows_zones().items()}
    return {**windows, **_WINDOWS_PLACES}


def windows_zones() -> Mapping[str, str]:
    """The usual zone of each name that Windows has for one."""
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON  # noqa: PLC0415 - loads long

    return WINDOWS_TO_OLSON


@cache
def _ranks() -> Mapping[str, tuple[int, str]]:
    # The shortest name is that of the most usual zone: Eastern Standard Time is New York's.
    return {zone: (len(name), name) for name, zone in windows_zones().items()}


def _zone_of_offset(name: str) -> str:
    """`Etc/GMT-2` for GMT+02:00: these zones count westward
    (https://data.iana.org/time-zones/tzdb/etcetera)."""
    match = _OFFSET.fullmatch(name)
    if match is None:
        return ""
    hours_east = int(match["sign"] + match["hours"])
    return f"Etc/GMT{-hours_east:+}" if hours_east else "UTC"


def _city_zones(name: str) -> Iterator[str]:
    """The zones of the cities in it whose clocks have its offset in winter, the first one first."""
    match = _WINDOWS_DISPLAY_NAME.fullmatch(name)
    if match is None:
        return
    yield _WINDOWS_PLACES.get(match["places"].strip().upper(), "")
    offset = match.groupdict(default="+00:00")["offset"].replace(".", ":")
    for place in re.split(r"[,/]", match["places"]):
        yield from _zones_of_cities().get((place.strip().upper(), offset), ())


@cache
def _zones_of_cities() -> Mapping[tuple[str, str], Sequence[str]]:
    """Zones by their city and their offset without summer time."""
    zones: dict[tuple[str, str], list[str]] = {}
    for zone in sorted(filter(_ZONE_OF_CITY.match, known_zones())):
        offset = format_offset(min(_offsets_of_zone(zone)[:_WEEKS]), ":")
        zones.setdefault((_city_of(zone), offset), []).append(zone)
    return zones


@lru_cache(maxsize=256)
def identify_vtimezone(lines: Sequence[str], calendar_zone: str | None) -> VTimezone:
    """What a VTIMEZONE describes.

    The zone is identified by its name, by the place in X-LIC-LOCATION, or by its offsets from UTC.
    Where several zones have these offsets, `calendar_zone` comes before others.
    """
    names = _names_in(lines)
    name = names["TZID"][:_MAX_NAME_CHARACTERS]
    zone = _first_known([name, *_names_of_places(name), names["X-LIC-LOCATION"]])
    if zone is not None:
        return VTimezone(name, zone, rules=_CRLF.join(lines))
    described = _offsets_of_vtimezone(lines)
    if not described:
        return VTimezone(name, problem="has rules that cannot be evaluated")
    zone = _zone_by_offsets(name, described, calendar_zone)
    if zone is not None:
        return VTimezone(name, zone)
    winter = format_offset(described[0], ":")
    summer = format_offset(described[_WEEKS // 2], ":")
    problem = f"changes clocks as no IANA zone does (UTC{winter} in January, UTC{summer} in July)"
    return VTimezone(name, problem=problem)


def name_of_vtimezone(lines: Sequence[str]) -> str:
    """The name by which events refer to a VTIMEZONE."""
    return _names_in(lines)["TZID"][:_MAX_NAME_CHARACTERS]


def _names_in(lines: Sequence[str]) -> Mapping[str, str]:
    found = filter(None, map(parse_property, lines))
    names = {one.name: zone_name(one.text) for one in found if one.name in _ZONE_NAMES}
    return {**dict.fromkeys(_ZONE_NAMES, ""), **names}


def _zone_by_offsets(name: str, described: Offsets, calendar_zone: str | None) -> str | None:
    """A zone whose clocks show the same all year.

    Best is one whose city is in the name, then the calendar's own, then a usual one, preferably one
    that had the same rules in earlier years.
    """
    all_year = described[:_WEEKS]
    equal = {zone for zone in known_zones() if _offsets_of_zone(zone)[:_WEEKS] == all_year}
    named = sorted(zone for zone in equal if _city_of(zone) in name.upper())
    ranks = _ranks()
    usual = sorted(
        equal & ranks.keys(),
        key=lambda zone: (-sum(map(eq, _offsets_of_zone(zone), described)), ranks[zone]),
    )
    others = sorted(equal)
    return next(filter(equal.__contains__, (*named, calendar_zone, *usual, *others)), None)


def _city_of(zone: str) -> str:
    return zone.rpartition("/")[2].replace("_", " ").upper()


def _offsets_of_vtimezone(lines: Sequence[str]) -> Offsets:
    """Empty if they cannot be computed at a reasonable cost."""
    described = _zone_by_rules(lines)
    return () if described is None else _offsets_at(described, _SAMPLES)


def _zone_by_rules(lines: Sequence[str]) -> tzinfo | None:
    """The zone as its VTIMEZONE describes it; None if that takes too long to compute."""
    if not _is_reasonable(lines):
        return None
    recent, years = _begin_lately(lines)
    if years > _MAX_YEARS:
        return None
    # The library remembers a zone for each name that it sees, for as long as the process lives.
    renamed = [_TZID.sub("TZID:openbulk", line) for line in recent]
    from icalendar import Timezone  # noqa: PLC0415 - loads long

    try:
        component: Any = Timezone.from_ical(_CRLF.join(renamed) + _CRLF)
        zone: tzinfo = component.to_tz(lookup_tzid=False)
        return zone
    except Exception:
        # The library raises errors of all kinds. An event in this zone reports it as not known.
        return None


# --- a description that contradicts its name ---


def described_offset(described: VTimezone, zone: str, local: datetime) -> timedelta | None:
    """The offset of a time by the rules of a VTIMEZONE, if the zone of its name has another one.

    None if they agree, or the VTIMEZONE cannot be evaluated then.
    """
    is_checked = bool(described.rules) and local.year in _CHECKED_YEARS
    if not is_checked or not _differs_in(described.rules, zone, local.year):
        return None
    rules = _zone_of_rules(described.rules)
    assert rules is not None, "it differs"
    (stated,), (actual,) = _offsets_at(rules, [local]), _offsets_at(ZoneInfo(zone), [local])
    return None if stated == actual else stated


@lru_cache(maxsize=1_024)
def _differs_in(rules: str, zone: str, year: int) -> bool:
    """Whether a VTIMEZONE contradicts a zone in any week of a year."""
    described = _zone_of_rules(rules)
    if described is None:
        return False
    weeks = [datetime(year, 1, 1, 12) + timedelta(weeks=week) for week in range(_WEEKS)]  # noqa: DTZ001
    return _offsets_at(described, weeks) != _offsets_at(ZoneInfo(zone), weeks)


@lru_cache(maxsize=256)
def _zone_of_rules(rules: str) -> tzinfo | None:
    return _zone_by_rules(rules.split(_CRLF))


def _is_reasonable(lines: Sequence[str]) -> bool:
    """Whether rules change clocks about once a year, and dates and components are not too many."""
    rules = list(filter(_RULE.match, lines))
    dates = sum(line.count(",") for line in lines if line[:5].upper() == "RDATE")
    borders = sum(1 for line in lines if _BEGIN_OR_END.match(line))
    is_short = len(rules) <= _MAX_RULES and dates <= _MAX_DATES and borders <= 2 * _MAX_COMPONENTS
    return is_short and all(map(_YEARLY_RULE.fullmatch, rules))


def _begin_lately(lines: Sequence[str]) -> tuple[Sequence[str], int]:
    """The lines, with rules that hold for ever begun in _RECENT_YEAR.

    Windows' begin in 1601, those of some programs in the year 1. Also the years of all other rules.
    """
    begun: list[str] = []
    onset, years, rule = -1, 0, ""
    for line in lines:
        begun.append(line)
        if _ONSET.match(line):
            onset = len(begun) - 1
        elif _RULE.match(line):
            rule = line
        elif _BEGIN_OR_END.match(line):
            if rule and onset >= 0:
                years += _begin_onset(begun, onset, rule)
            onset, rule = -1, ""
    return begun, years


def _begin_onset(lines: list[str], place: int, rule: str) -> int:
    """Begin a rule that holds for ever in _RECENT_YEAR; the years of one that has ended."""
    onset, until = _ONSET.match(lines[place]), _UNTIL_YEAR.search(rule)
    assert onset is not None, "the line was found by the same expression"
    if until is not None:
        return max(0, int(until[1]) - int(onset["year"]))
    if int(onset["year"]) < _RECENT_YEAR:
        lines[place] = _ONSET.sub(rf"\g<name>{_RECENT_YEAR}", lines[place], count=1)
    return 0


@cache
def _offsets_of_zone(zone: str) -> Offsets:
    return _offsets_at(ZoneInfo(zone), _SAMPLES)


def _offsets_at(zone: tzinfo, moments: Iterable[datetime]) -> Offsets:
    return tuple(moment.replace(tzinfo=zone).utcoffset() or timedelta() for moment in moments)
