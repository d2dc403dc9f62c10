"""Series that change from one occurrence on (RANGE=THISANDFUTURE, RFC 5545, section 3.2.13).

The Calendar API has no such change: a series ends before that occurrence, and another one begins
with it (https://developers.google.com/workspace/calendar/api/guides/recurringevents). Each is an
event of its own, and its UID is the same each time that the file is read.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import islice, pairwise
from typing import Any

from openbulk.formats.ics.content_lines import format_local_time
from openbulk.formats.ics.events import ParsedEvent
from openbulk.formats.ics.recurrence import Recurrence
from openbulk.formats.ics.recurrence_rules import TIMES_OF_DAY, Rule
from openbulk.formats.ics.time_values import TimeValue

_SECOND = timedelta(seconds=1)
_STEPS = {True: timedelta(days=1), False: _SECOND}
"""How much earlier the last day, or the last moment, before another is; by `is_day`."""
_FIRST, _LAST = datetime.min, datetime.max  # noqa: DTZ901
"""The borders before the first segment, and after the last."""
_MAX_COUNTED = 100_000
MAX_CHANGES = 100
"""Of one series. Each becomes an event of its own."""
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_ADVICE = "write the occurrences from there on as a series with a UID of its own"


@dataclass(frozen=True, slots=True)
class Segment:
    """The occurrences of a series from one on, up to the next that changes it."""

    begin: datetime
    """The original start of its first occurrence, on the series' clocks; _FIRST for the first."""
    end: datetime
    """Where the next segment begins; _LAST for the last one."""
    event: ParsedEvent
    """What its occurrences are like."""
    uid: str
    recurrence: Recurrence = field(default_factory=Recurrence)

    @property
    def is_first(self) -> bool:
        """Whether the series itself begins it, and no change."""
        return self.begin == _FIRST

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the series is in it: it is cancelled, or changes with its start."""
        return self.event.is_cancelled or not self.recurrence.lines()

    @property
    def values(self) -> Mapping[str, Any]:
        """Its series in the fields of the Calendar API."""
        fields = {**self.event.values, "recurrence": self.recurrence.lines(), "iCalUID": self.uid}
        fields.pop("originalStartTime", None)
        return fields

    def move(self, original_start: TimeValue) -> TimeValue:
        """Where an occurrence of the whole series starts in this segment."""
        start = self.event.times.start
        if self.is_first or start is None:
            return original_start
        shift = start.local - _begin(self.event)
        if start.is_day:
            return TimeValue(original_start.day + shift)
        return TimeValue(original_start.local + shift, start.zone)

    def is_in(self, original_start: TimeValue) -> bool:
        """Whether an occurrence of the whole series is in this segment."""
        return self.begin <= original_start.local < self.end

    def start(self) -> TimeValue:
        """When its first occurrence starts."""
        start = self.event.times.start
        assert start is not None, "a series has a start, and so has a change"
        return start


def split_series(series: ParsedEvent, changes: Iterable[ParsedEvent]) -> Sequence[Segment]:
    """The segments of a series that changes. Raises ValueError if it cannot be split."""
    ordered = sorted(changes, key=_begin)
    if len(ordered) > MAX_CHANGES:
        raise ValueError(f"the series changes more than {MAX_CHANGES} times; {_ADVICE}")
    if any(change.times.start is None for change in ordered):
        # RFC 5546, section 3.2.5: a cancellation needs no DTSTART.
        raise ValueError("it has no DTSTART; end the series before it with UNTIL in the RRULE")
    begins = [*map(_begin, ordered)]
    _require_occurrences(series, begins)
    uids = [series.uid, *map(partial(_uid_from, series), begins)]
    borders = pairwise([_FIRST, *begins, _LAST])
    pieces = zip(borders, [series, *ordered], uids, strict=True)
    return [_with_recurrence(Segment(*border, event, uid), series) for border, event, uid in pieces]


def _require_occurrences(series: ParsedEvent, begins: Sequence[datetime]) -> None:
    """Raise ValueError if the series cannot change from one of these on. They are sorted.

    Each has to be its start, or an occurrence of each of its rules, whether they have ended by then
    or not. Of a rule with too many occurrences to look through, any time will do.
    """
    start, rules = series.times.start, series.recurrence.rules
    assert start is not None, "a series has a start"
    for rule in rules:
        is_short = begins and rule.is_expandable(start.local, begins[-1])
        if is_short and rule.times_of_day(start.local.time()):
            occurrences = {start.local, *rule.expand(start.local, begins[-1])}
            _require_members(begins, occurrences, start)
    if not rules:
        added = (one.local for one in series.recurrence.added)
        _require_members(begins, {start.local, *added}, start)


def _require_members(
    begins: Sequence[datetime], occurrences: Collection[datetime], start: TimeValue
) -> None:
    other = next((begin for begin in begins if begin not in occurrences), None)
    if other is not None:
        shown = other.date() if start.is_day else other
        raise ValueError(
            f"the series has no occurrence by its rule at {shown.isoformat()}, from which on it "
            "would change; name one that it has"
        )


def _begin(change: ParsedEvent) -> datetime:
    original_start = change.times.original_start
    assert original_start is not None, "a change says which occurrence it is"
    return original_start.local


def segment_of(segments: Sequence[Segment], original_start: TimeValue | None) -> Segment:
    """The segment that an occurrence is in; the first one for None."""
    if original_start is None:
        return segments[0]
    return next(filter(lambda one: one.is_in(original_start), segments))


def _with_recurrence(segment: Segment, series: ParsedEvent) -> Segment:
    """The segment with its part of the series' recurrence, or with the change's own rules."""
    start = series.times.start
    assert start is not None, "a series has a start"
    if segment.end <= start.local:
        return segment
    whole, own = series.recurrence, segment.event.recurrence
    if own.rules and not segment.is_first:
        rules = [_end_rule(rule, segment, start) for rule in own.rules]
        return replace(segment, recurrence=replace(own, rules=rules))
    rules = [_restrict(rule, segment, start) for rule in whole.rules]
    added = [*map(segment.move, filter(segment.is_in, whole.added))]
    left_out = [*map(segment.move, filter(segment.is_in, whole.left_out))]
    return replace(segment, recurrence=Recurrence(rules, added, left_out))


def _uid_from(series: ParsedEvent, begin: datetime) -> str:
    """The UID of the segment that begins there: the series' own, if nothing of it is before."""
    start = series.times.start
    assert start is not None, "a series has a start"
    return series.uid if begin <= start.local else uid_of_segment(series.uid, begin)


def uid_of_segment(uid: str, begin: datetime) -> str:
    """As Google names the later part of a series: `maths_R20260611T100000@example.com`."""
    name, at, host = uid.partition("@")
    return f"{name}_R{format_local_time(begin)}{at}{host}"


def _restrict(rule: Rule, segment: Segment, start: TimeValue) -> Rule:
    """The rule of the whole series for the occurrences of one segment."""
    if rule.name != "RRULE":
        raise ValueError(f"the series has {rule.name}; {_ADVICE}")
    if not segment.is_first:
        rule = _shift(rule, segment, start)
    return _end_rule(rule, segment, start)


def _shift(rule: Rule, segment: Segment, start: TimeValue) -> Rule:
    """The rule for the occurrences from a change on, at the times that the change gives them."""
    parts = dict(rule.parts)
    count = 1
    if "COUNT" in parts:
        count = int(parts["COUNT"]) - _count_before(rule, start, segment.begin)
        parts["COUNT"] = str(count)
    parts = _shift_parts(parts, segment)
    until = _shift_until(rule.until, segment, start)
    is_after_end = until is not None and until.moment < segment.start().in_utc().moment
    if is_after_end or count < 1:
        raise ValueError(f"the series has ended before this occurrence; {_ADVICE}")
    return replace(rule, parts=parts, until=until)


def _count_before(rule: Rule, start: TimeValue, moment: datetime) -> int:
    if not rule.times_of_day(start.local.time()):
        raise ValueError(f"the series recurs many times a day; {_ADVICE}")
    occurrences: Sequence[datetime] = ()
    is_expandable = rule.is_expandable(start.local, moment)
    if is_expandable:
        occurrences = _first_occurrences(str(rule), start.local)
    count = bisect_left(occurrences, moment)
    if count == _MAX_COUNTED or not is_expandable:
        raise ValueError(f"the series has too many occurrences to count; {_ADVICE}")
    return count


@lru_cache(maxsize=1)
def _first_occurrences(rule: str, start: datetime) -> Sequence[datetime]:
    """As many as may be counted, for each change of a series."""
    name, _, parts = rule.partition(":")
    parsed = Rule(name, dict(part.split("=", 1) for part in parts.split(";")))
    longest = timedelta(days=parsed.max_days)
    last = start + longest if start < _LAST - longest else _LAST
    return list(islice(parsed.expand(start, last), _MAX_COUNTED))


def _shift_parts(parts: Mapping[str, str], segment: Segment) -> dict[str, str]:
    """The parts of a rule whose occurrences are at another time, or on another weekday."""
    # BYHOUR and BYDAY say when occurrences are (RFC 5545, section 3.3.10): they move with them.
    start, first = segment.start(), segment.event.times.original_start
    assert first is not None, "a change says which occurrence it is"
    if start.is_day != first.is_day:
        raise ValueError(f"it is all-day, or the series is; {_ADVICE}")
    days = (start.day - first.day).days
    set_by = {key for key in parts if key.startswith("BY")}
    is_time_moved = start.local.time() != first.local.time()
    if is_time_moved and not set_by.isdisjoint(TIMES_OF_DAY):
        raise ValueError(f"the rule of the series sets times of day; {_ADVICE}")
    if not days or not set_by:
        return dict(parts)
    weekday = parts.get("BYDAY", "")
    if (parts["FREQ"], set_by) != ("WEEKLY", {"BYDAY"}) or "," in weekday:
        raise ValueError(f"it is on another day than the rule of the series says; {_ADVICE}")
    moved = _WEEKDAYS[(_WEEKDAYS.index(weekday[-2:]) + days) % 7]
    return {**parts, "BYDAY": moved}


def _shift_until(until: TimeValue | None, segment: Segment, start: TimeValue) -> TimeValue | None:
    if until is None:
        return None
    return segment.move(until.in_zone(start.zone)).in_utc()


def _end_rule(rule: Rule, segment: Segment, start: TimeValue) -> Rule:
    """The rule of a segment, which ends before the next one begins."""
    if segment.end == _LAST:
        return rule
    # UNTIL is inclusive (RFC 5545, section 3.3.10), so it is just before the next segment.
    first_of_next = segment.end.date() if start.is_day else segment.end
    until = _just_before(segment.move(TimeValue(first_of_next, start.zone)))
    if rule.until is not None and rule.until.moment <= until.moment:
        return rule
    return replace(rule, parts=rule.endless_parts(), until=until)


def _just_before(border: TimeValue) -> TimeValue:
    """The last day or second before, as UNTIL has it: in UTC (RFC 5545, section 3.3.10)."""
    border = border.in_utc()
    return replace(border, moment=border.moment - _STEPS[border.is_day])
