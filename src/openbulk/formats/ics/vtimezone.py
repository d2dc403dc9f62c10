"""VTIMEZONE: an IANA time zone described for programs that do not know it (RFC 5545, 3.6.5)."""

import re
from calendar import monthcalendar
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from operator import itemgetter
from zoneinfo import ZoneInfo

from openbulk.formats.ics.content_lines import (
    content_line,
    escape_text,
    format_local_time,
    format_offset,
)

_ZONE_IN_LINE = re.compile(
    r'(?:DTSTART|DTEND|RECURRENCE-ID|EXDATE|RDATE)(?:;[^:;]*)*?;TZID="?([^;:"]+)', re.I
)
_FIRST_YEAR, _LAST_YEAR = 1970, 2037
"""Zone files list changes no further than 32 bits of seconds reach, and then a rule (RFC 8536)."""
_MIN_YEARS_OF_A_RULE = 10
_COMPONENTS = {True: "DAYLIGHT", False: "STANDARD"}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def zones_in(lines: Sequence[str]) -> set[str]:
    """The names of the zones in content lines."""
    return {match[1] for match in filter(None, map(_ZONE_IN_LINE.match, lines))}


@cache
def vtimezone_lines(zone: str) -> Sequence[str]:
    """The zone's changes since 1970, and the rules that they follow from some year on."""
    lines = ["BEGIN:VTIMEZONE", f"TZID:{zone}"]
    onsets_of: dict[_Change, list[datetime]] = {}
    for change, onset in _changes(ZoneInfo(zone)):
        onsets_of.setdefault(change, []).append(onset)
    for change, onsets in onsets_of.items():
        rule, first_ruled = _yearly_rule(onsets)
        single = onsets[:first_ruled]
        if single:
            lines += change.lines(single[0], _rdate(single[1:]))
        if rule:
            lines += change.lines(onsets[first_ruled], rule)
    return [*lines, "END:VTIMEZONE"]


@dataclass(frozen=True, slots=True)
class _Change:
    """From one offset to another."""

    before: timedelta
    after: timedelta
    name: str
    is_summer: bool

    def lines(self, onset: datetime, further_onsets: str) -> Sequence[str]:
        """A STANDARD or DAYLIGHT component: its onset, and a line for further ones ("" for none).

        Onsets are on the clocks as they were just before (RFC 5545, section 3.6.5).
        """
        kind = _COMPONENTS[self.is_summer]
        lines = (
            f"BEGIN:{kind}",
            f"DTSTART:{format_local_time(onset)}",
            further_onsets,
            f"TZOFFSETFROM:{format_offset(self.before)}",
            f"TZOFFSETTO:{format_offset(self.after)}",
            content_line("TZNAME", escape_text(self.name)),
            f"END:{kind}",
        )
        return list(filter(None, lines))


# --- the changes of a zone ---


def _changes(zone: ZoneInfo) -> Iterator[tuple[_Change, datetime]]:
    """The changes of a zone's offset, each with the time on the clocks just before."""
    last = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    offset = _offset_at(last, zone)
    yield _change_at(last, offset, zone), datetime(_FIRST_YEAR, 1, 1)  # noqa: DTZ001
    while last.year <= _LAST_YEAR:
        following = last + timedelta(weeks=1)
        if _offset_at(following, zone) != offset:
            moment = _moment_of_change(last, following, zone)
            yield _change_at(moment, offset, zone), (moment + offset).replace(tzinfo=None)
            following, offset = moment, _offset_at(moment, zone)
        last = following


def _change_at(moment: datetime, before: timedelta, zone: ZoneInfo) -> _Change:
    local = moment.astimezone(zone)
    return _Change(before, _offset_at(moment, zone), f"{local:%Z}", bool(local.dst()))


def _moment_of_change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second with another offset than `before` has, by bisection."""
    offset = _offset_at(before, zone)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before).total_seconds() // 2)
        if _offset_at(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset_at(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


# --- the rule that changes follow ---


def _yearly_rule(onsets: Sequence[datetime]) -> tuple[str, int]:
    """The rule that the changes follow to the end, and the index of the first that does.

    "" and the number of onsets if they end, or have followed no rule for ten years.
    """
    last = onsets[-1]
    if last.year < _LAST_YEAR:
        return "", len(onsets)
    weeks = (-1, (last.day - 1) // 7 + 1)
    years, week = max((_years_in_week(week, onsets), week) for week in weeks)
    if years < _MIN_YEARS_OF_A_RULE:
        return "", len(onsets)
    weekday = _WEEKDAYS[last.weekday()]
    rule = f"RRULE:FREQ=YEARLY;BYMONTH={last.month};BYDAY={week}{weekday}"
    return rule, len(onsets) - years


def _years_in_week(week: int, onsets: Sequence[datetime]) -> int:
    """For how many years up to the last the changes come in that week of the month."""
    last = onsets[-1]
    onsets_and_years = zip(reversed(onsets), range(last.year, 0, -1), strict=False)
    follows = (onset == _in_week(week, year, last) for onset, year in onsets_and_years)
    return sum(takewhile(bool, follows))


def _in_week(week: int, year: int, like: datetime) -> datetime | None:
    """`like` in another year: on its weekday's nth occurrence in the month, or the last one (-1).

    None if the month has no such day.
    """
    weeks = monthcalendar(year, like.month)
    days = list(filter(None, map(itemgetter(like.weekday()), weeks)))
    if week > len(days):
        return None
    # As in BYDAY, the first is 1 and the last is -1.
    return like.replace(year=year, day=[0, *days][week])


def _rdate(onsets: Sequence[datetime]) -> str:
    if not onsets:
        return ""
    return f"RDATE:{','.join(map(format_local_time, onsets))}"
