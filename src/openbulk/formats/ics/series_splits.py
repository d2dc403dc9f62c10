"""Series that change from one occurrence on (RANGE=THISANDFUTURE, RFC 5545, section 3.2.13).

The Calendar API has no such change: a series ends before that occurrence, and another one begins
with it (https://developers.google.com/workspace/calendar/api/guides/recurringevents). Each is an
event of its own, and its UID is the same each time that the file is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

from openbulk.formats.ics.content_lines import format_local_time
from openbulk.formats.ics.events import ParsedEvent
from openbulk.formats.ics.recurrence import Recurrence
from openbulk.formats.ics.recurrence_rules import Rule
from openbulk.formats.ics.time_values import TimeValue

_SECOND = timedelta(seconds=1)
_MAX_COUNTED = 100_000
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_ADVICE = "write the occurrences from there on as a series with a UID of its own"


@dataclass(frozen=True, slots=True)
class Segment:
    """The occurrences of a series from one on, up to the next that changes it."""

    begin: datetime | None
    """The original start of its first occurrence, on the series' clocks; None for the first."""
    event: ParsedEvent
    """What its occurrences are like."""
    recurrence: Recurrence
    uid: str

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the series is in it: it is called off, or changes with its start."""
        return self.event.is_cancelled or not self.recurrence.lines()

    @property
    def values(self) -> Mapping[str, Any]:
        """Its series in the fields of the Calendar API."""
        fields = {**self.event.values, "recurrence": self.recurrence.lines(), "iCalUID": self.uid}
        fields.pop("originalStartTime", None)
        return fields

    def move(self, original_start: TimeValue) -> TimeValue:
        """Where an occurrence of the whole series starts in this segment."""
        start, first = self.event.times.start, self.event.times.original_start
        if self.begin is None or start is None or first is None:
            return original_start
        shift = start.local - first.local
        if start.is_day:
            return TimeValue(original_start.day + shift)
        return TimeValue(original_start.local + shift, start.zone)


def split_series(series: ParsedEvent, changes: Iterable[ParsedEvent]) -> Sequence[Segment]:
    """The segments of a series that changes. Raises ValueError where it cannot be split."""
    ordered = sorted(changes, key=_begin)
    borders = [None, *map(_begin, ordered), None]
    events = [series, *ordered]
    return [
        _segment(series, event, begin, end)
        for event, (begin, end) in zip(events, pairwise(borders), strict=True)
    ]


def _begin(change: ParsedEvent) -> datetime:
    original_start = change.times.original_start
    assert original_start is not None, "a change says which occurrence it is"
    return original_start.local


def segment_of(segments: Sequence[Segment], original_start: TimeValue | None) -> Segment:
    """The segment that an occurrence is in; the first one for None."""
    if original_start is None:
        return segments[0]
    begun = (one for one in segments if one.begin is None or one.begin <= original_start.local)
    return list(begun)[-1]


def _segment(
    series: ParsedEvent, event: ParsedEvent, begin: datetime | None, end: datetime | None
) -> Segment:
    start = series.times.start
    assert start is not None, "a series has a start"
    uid = series.uid if begin is None else _uid_of_segment(series.uid, begin)
    whole = Segment(begin, event, Recurrence(), uid)
    if end is not None and end <= start.local:
        return whole
    if begin is not None and event.recurrence.rules:
        own = [_ending(rule, whole, end, start) for rule in event.recurrence.rules]
        return replace(whole, recurrence=replace(event.recurrence, rules=own))
    rules = [_restrict(rule, whole, start, end) for rule in series.recurrence.rules]

    def is_inside(value: TimeValue) -> bool:
        is_begun = begin is None or value.local >= begin
        return is_begun and (end is None or value.local < end)

    added = [whole.move(one) for one in series.recurrence.added if is_inside(one)]
    left_out = [whole.move(one) for one in series.recurrence.left_out if is_inside(one)]
    return replace(whole, recurrence=Recurrence(rules, added, left_out))


def _uid_of_segment(uid: str, begin: datetime) -> str:
    """As Google names the later part of a series: `maths_R20260611T100000@example.com`."""
    name, at, host = uid.partition("@")
    return f"{name}_R{format_local_time(begin)}{at}{host}"


def _restrict(rule: Rule, segment: Segment, start: TimeValue, end: datetime | None) -> Rule:
    """The rule of the whole series for the occurrences of one segment."""
    if rule.name != "RRULE":
        raise ValueError(f"the series has {rule.name}; {_ADVICE}")
    parts = dict(rule.parts)
    until = rule.until
    if segment.begin is not None:
        if "COUNT" in parts:
            parts["COUNT"] = str(int(parts["COUNT"]) - _count_before(rule, start, segment.begin))
        parts = _shift_parts(parts, segment)
        until = _shift_until(rule.until, segment, start)
        has_ended = until is not None and until.moment < _first_moment(segment)
        if has_ended or parts.get("COUNT", "1").startswith(("0", "-")):
            raise ValueError(f"the series has ended before this occurrence; {_ADVICE}")
    return _ending(replace(rule, parts=parts, until=until), segment, end, start)


def _count_before(rule: Rule, start: TimeValue, moment: datetime) -> int:
    if not rule.times_of_day(start.local.time()):
        raise ValueError(f"the series recurs many times a day; {_ADVICE}")
    occurrences = rule.expand(start.local, moment - _SECOND)
    count = sum(1 for _ in islice(occurrences, _MAX_COUNTED))
    if count == _MAX_COUNTED:
        raise ValueError(f"the series has too many occurrences to count; {_ADVICE}")
    return count


def _shift_parts(parts: Mapping[str, str], segment: Segment) -> dict[str, str]:
    """The parts of a rule whose occurrences are at another time, or on another weekday."""
    start, first = segment.event.times.start, segment.event.times.original_start
    assert start is not None and first is not None, "a change has both"
    if start.is_day != first.is_day:
        raise ValueError(f"it is all-day, or the series is; {_ADVICE}")
    days = (start.day - first.day).days
    set_by = {key for key in parts if key.startswith("BY")}
    is_time_moved = start.local.time() != first.local.time()
    if is_time_moved and set_by & {"BYHOUR", "BYMINUTE", "BYSECOND"}:
        raise ValueError(f"the rule of the series sets times of day; {_ADVICE}")
    if not days or not set_by:
        return dict(parts)
    weekdays = parts.get("BYDAY", "").split(",")
    if parts["FREQ"] != "WEEKLY" or set_by != {"BYDAY"} or len(weekdays) > 1:
        raise ValueError(f"it is on another day than the rule of the series says; {_ADVICE}")
    moved = _WEEKDAYS[(_WEEKDAYS.index(weekdays[0][-2:]) + days) % 7]
    return {**parts, "BYDAY": moved}


def _shift_until(until: TimeValue | None, segment: Segment, start: TimeValue) -> TimeValue | None:
    if until is None or segment.begin is None:
        return until
    if until.is_day:
        return segment.move(until)
    local = until.in_zone(start.zone) if start.zone else until
    return segment.move(local).in_utc()


def _first_moment(segment: Segment) -> date | datetime:
    first = segment.event.times.start
    assert first is not None, "a change has a start"
    return first.in_utc().moment


def _ending(rule: Rule, segment: Segment, end: datetime | None, start: TimeValue) -> Rule:
    """The rule of a segment, which ends before the next one begins."""
    if end is None:
        return rule
    first_of_next = end.date() if start.is_day else end
    border = segment.move(TimeValue(first_of_next, start.zone))
    until = _just_before(border)
    if rule.until is not None and rule.until.moment <= until.moment:
        return rule
    parts = {key: value for key, value in rule.parts.items() if key not in {"COUNT", "UNTIL"}}
    return replace(rule, parts=parts, until=until)


def _just_before(border: TimeValue) -> TimeValue:
    if border.is_day:
        return TimeValue(border.day - timedelta(days=1))
    until = border.in_utc()
    return TimeValue(until.local - _SECOND, until.zone)
