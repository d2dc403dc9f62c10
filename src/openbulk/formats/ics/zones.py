"""Time zones: the IANA zone that a file means by a name or describes, and the description of one (VTIMEZONE)."""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from operator import eq
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from icalendar import Timezone
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from openbulk.formats.ics.lines import content_line, escaped, stamp

_ZONE_USED = re.compile(r'(?:DTSTART|DTEND|RECURRENCE-ID|EXDATE|RDATE)(?:;[^:;]*)*?;TZID="?([^;:"]+)', re.I)
_FIRST_YEAR, _LAST_YEAR = 1970, 2037
"""Of a zone that is described. Zone files list changes no further than 32 bits of seconds reach (RFC 8536)."""
_YEARS_OF_A_RULE = 10
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_YEARLY = re.compile(
    r"RRULE:(?:;?(?:FREQ=YEARLY|INTERVAL=1|BYMONTH=\d+|BYDAY=[+-]?\d?\w\w|BYMONTHDAY=[\d,-]{1,30}|WKST=\w+|UNTIL=\w+))+",
    re.I,
)
"""Rules that change clocks about once a year: they cost little to follow from 1601, where Windows' zones begin."""
_PLAINNESS = {zone: (len(name), name) for name, zone in WINDOWS_TO_OLSON.items()}
"""Usual zones are Windows'; the plainer the name there, the more usual ("Eastern Standard Time" is New York's)."""
_MAX_CHANGES = 10
_WEEKS = 53
_SAMPLED = (
    *(datetime(2026, 1, 1, 12) + timedelta(weeks=week) for week in range(_WEEKS)),  # noqa: DTZ001
    *(datetime(year, month, 15, 12) for year in range(2008, 2026) for month in range(1, 13)),  # noqa: DTZ001
)
"""When zones are compared, on their own clocks: the weeks of a year, then the months since America's present rules."""


# --- a name or a description to a zone ---


@cache
def known_zones() -> frozenset[str]:
    """The names of the IANA zones."""
    return frozenset(available_timezones())


def zone_named(name: str, aliases: Mapping[str, str]) -> str | None:
    """The IANA name of a zone that a file calls by this one: as it is, Windows', or at the end of a path."""
    name = name.strip()
    parts = name.strip("/").split("/")
    tails = ["/".join(parts[begin:]) for begin in range(len(parts))]
    for candidate in (name, aliases.get(name, ""), WINDOWS_TO_OLSON.get(name, ""), *tails):
        if candidate in known_zones():
            return candidate
    return None


def zone_described(lines: Sequence[str], calendars: str | None) -> tuple[str, str]:
    """The name of a zone that a VTIMEZONE describes, and the IANA zone that it is: by name, by place, or by its
    offsets, where the calendar's own zone goes before others that show the same; "" where it is none."""
    texts = {key.upper(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name, place = texts.get("TZID", ""), texts.get("X-LIC-LOCATION", "")
    return name, zone_named(name, {name: place}) or _zone_like(name, lines, calendars) or ""


def _zone_like(name: str, lines: Sequence[str], calendars: str | None) -> str | None:
    """An IANA zone whose clocks show the same all year: one whose city is in the name, the calendar's own, or else
    a usual one, best one that had the same rules before."""
    told = _offsets_told(lines)
    same = {zone for zone in known_zones() if told and _offsets_of(zone)[:_WEEKS] == told[:_WEEKS]}
    cities = (zone for zone in sorted(same) if zone.rpartition("/")[2].replace("_", " ").upper() in name.upper())
    usual = sorted(
        same & _PLAINNESS.keys(), key=lambda zone: (-sum(map(eq, _offsets_of(zone), told)), _PLAINNESS[zone])
    )
    return next((zone for zone in (*cities, calendars, *usual) if zone in same), None)


def _offsets_told(lines: Sequence[str]) -> Sequence[timedelta | None]:
    """The offsets that a VTIMEZONE has at the sampled moments; none where that cannot be told."""
    rules = [line for line in lines if line.upper().startswith("RRULE")]
    if len(rules) > _MAX_CHANGES or not all(map(_YEARLY.fullmatch, rules)):
        return ()
    try:
        component: Any = Timezone.from_ical("\r\n".join(lines) + "\r\n")
        return _offsets(component.to_tz(lookup_tzid=False))
    except Exception:  # the library raises what it happens to meet; a zone that is used is told of there
        return ()


def _offsets(zone: tzinfo) -> Sequence[timedelta | None]:
    return tuple(moment.replace(tzinfo=zone).utcoffset() for moment in _SAMPLED)


@cache
def _offsets_of(zone: str) -> Sequence[timedelta | None]:
    return _offsets(ZoneInfo(zone))


# --- zones to lines ---


def zones_used(lines: Sequence[str]) -> set[str]:
    """The names of the zones that lines of content name."""
    return {match[1] for match in map(_ZONE_USED.match, lines) if match}


@cache
def description(zone: str) -> Sequence[str]:
    """A VTIMEZONE: the zone's changes since 1970, and the rules that they follow for as long as anybody knows."""
    lines = ["BEGIN:VTIMEZONE", f"TZID:{zone}"]
    changes: dict[_Change, list[datetime]] = {}
    for change, onset in _changes(ZoneInfo(zone)):
        changes.setdefault(change, []).append(onset)
    for change, onsets in changes.items():
        rule, since = _rule(onsets)
        if onsets[:since]:
            lines += change.lines(onsets[0], _dates(onsets[1:since]))
        if rule:
            lines += change.lines(onsets[since], rule)
    return [*lines, "END:VTIMEZONE"]


@dataclass(frozen=True, slots=True)
class _Change:
    """From one offset to another."""

    before: timedelta
    after: timedelta
    name: str
    is_summer: bool

    def lines(self, onset: datetime, others: str | None) -> Sequence[str]:
        """With its first onset on the clocks as they were before (section 3.6.5), and a line for the others."""
        kind = "DAYLIGHT" if self.is_summer else "STANDARD"
        return [
            f"BEGIN:{kind}",
            f"DTSTART:{stamp(onset)}",
            *([others] if others else []),
            f"TZOFFSETFROM:{_offset(self.before)}",
            f"TZOFFSETTO:{_offset(self.after)}",
            content_line("TZNAME", escaped(self.name)),
            f"END:{kind}",
        ]


def _changes(zone: ZoneInfo) -> Iterator[tuple[_Change, datetime]]:
    """The changes of a zone's offset, each with the time on the clocks just before."""
    last = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    offset = _utcoffset(last, zone)
    yield _change(last, offset, zone), datetime(_FIRST_YEAR, 1, 1)  # noqa: DTZ001
    while last.year <= _LAST_YEAR:
        following = last + timedelta(weeks=1)
        if _utcoffset(following, zone) != offset:
            moment = _moment_of_change(last, following, zone)
            yield _change(moment, offset, zone), (moment + offset).replace(tzinfo=None)
            following, offset = moment, _utcoffset(moment, zone)
        last = following


def _change(moment: datetime, before: timedelta, zone: ZoneInfo) -> _Change:
    local = moment.astimezone(zone)
    return _Change(before, _utcoffset(moment, zone), local.tzname() or "", bool(local.dst()))


def _moment_of_change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second with another offset than `before` has."""
    offset = _utcoffset(before, zone)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before).total_seconds() // 2)
        before, after = (middle, after) if _utcoffset(middle, zone) == offset else (before, middle)
    return after


def _utcoffset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _rule(onsets: Sequence[datetime]) -> tuple[str | None, int]:
    """The rule that the changes follow to the end, and the place of the first that does; none where there is none."""
    last = onsets[-1]
    if last.year < _LAST_YEAR:
        return None, len(onsets)
    found: list[tuple[int, int]] = []
    for week in (-1, (last.day - 1) // 7 + 1):
        years = 0
        for onset, year in zip(reversed(onsets), range(last.year, 0, -1), strict=False):
            if onset != _in_week(week, year, last):
                break
            years += 1
        found.append((years, week))
    years, week = max(found)
    if years < _YEARS_OF_A_RULE:
        return None, len(onsets)
    return f"RRULE:FREQ=YEARLY;BYMONTH={last.month};BYDAY={week}{_DAYS[last.weekday()]}", len(onsets) - years


def _in_week(week: int, year: int, like: datetime) -> datetime | None:
    """The same time on the same day of a month's nth week, or of its last one (-1), where there is such a day."""
    length = monthrange(year, like.month)[1]
    first = length - 6 if week < 0 else 7 * week - 6
    if first > length:
        return None
    day = first + (like.weekday() - like.replace(year=year, day=first).weekday()) % 7
    return like.replace(year=year, day=day) if day <= length else None


def _dates(onsets: Sequence[datetime]) -> str | None:
    return f"RDATE:{','.join(map(stamp, onsets))}" if onsets else None


def _offset(offset: timedelta) -> str:
    seconds = int(abs(offset).total_seconds())
    sign = "-" if offset < timedelta() else "+"
    text = f"{sign}{seconds // 3600:02}{seconds % 3600 // 60:02}"
    return f"{text}{seconds % 60:02}" if seconds % 60 else text
