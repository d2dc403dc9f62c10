"""The lines of `recurrence`: checked as Google checks them, and expanded.

https://developers.google.com/workspace/calendar/api/concepts/events-calendars#recurrence_rule

Google documents that it takes the lines of RFC 5545. Its answers to faulty ones are not documented:
most of what is refused here, Google was seen to refuse. Some it takes and then ignores, such as an
EXDATE of another type than the start (https://stackoverflow.com/q/25170070); the sandbox refuses
that, too, so that nothing is lost without a word.
"""

import heapq
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from openbulk.sandbox.google.clocks import FIRST_UNIX, LAST_UNIX, Clock
from openbulk.sandbox.google.errors import invalid
from openbulk.sandbox.google.recurrence_rules import Rule, parse_rule
from openbulk.sandbox.google.times import is_zone, unix_time

_LINE = re.compile(
    r"(?P<name>RRULE|EXRULE|RDATE|EXDATE)"
    r'(?P<parameters>(?:;[A-Z0-9-]+=(?:"[^"]*"|[^";:,]*))*):(?P<value>.+)',
    re.IGNORECASE | re.ASCII,
)
_PARAMETER = re.compile(r';([A-Z0-9-]+)=(?:"([^"]*)"|([^";:,]*))', re.IGNORECASE | re.ASCII)

_VALUE_TYPES = {True: "DATE", False: "DATE-TIME"}
"""The types of days, and of times."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When a series takes place. Times are Unix times, except for one."""

    clock: Clock
    first: int
    """The start of the series."""
    local_start: datetime
    """The start of the series by the clocks of its zone."""
    length: timedelta
    """Of days by the calendar, of times by the clock."""
    rules: Sequence[Rule]
    excluded_rules: Sequence[Rule]
    added: Sequence[int]
    """In order."""
    left_out: frozenset[int]

    @property
    def is_endless(self) -> bool:
        """Whether it goes on for ever."""
        return any(rule.is_endless for rule in self.rules)

    def starts(self, earliest: float, latest: float, horizon: float = math.inf) -> Iterator[int]:
        """The starts from `earliest` to `latest`, in order; by its rules, up to `horizon`."""
        # The start of the series is always its first occurrence (RFC 5545, section 3.8.5.3).
        earliest, latest = max(earliest, FIRST_UNIX), min(latest, LAST_UNIX)
        dates = (one for one in sorted({self.first, *self.added}) if earliest <= one <= latest)
        by_rules = self._expand(self.rules, earliest, min(latest, horizon))
        included = heapq.merge(dates, by_rules)
        starts = (one for one, _ in groupby(included) if one not in self.left_out)
        excluded = self._expand(self.excluded_rules, earliest, latest)
        yield from _without(starts, excluded)

    def _expand(self, rules: Sequence[Rule], earliest: float, latest: float) -> Iterator[int]:
        """The occurrences of all the rules, in order."""
        begin = max(earliest, self.first)
        return heapq.merge(
            *(rule.expand(self.local_start, self.clock, begin, latest) for rule in rules)
        )

    def end_of(self, start: int) -> int:
        """The end of the occurrence with this start."""
        if self.clock.is_day:
            return self.clock.to_unix(self.clock.to_local(start) + self.length)
        return start + int(self.length.total_seconds())


def _without(moments: Iterator[int], excluded: Iterator[int]) -> Iterator[int]:
    """The moments without those that are excluded, too. Both are in order."""
    next_excluded: float = next(excluded, math.inf)
    for one in moments:
        while next_excluded < one:
            next_excluded = next(excluded, math.inf)
        if one != next_excluded:
            yield one


def parse_recurrence(event: Mapping[str, Any], calendar_zone: str) -> Recurrence:
    """The recurrence of an event whose times `check_times` has accepted. Raises Rejected (400)."""
    clock = Clock.of(event["start"], calendar_zone)
    found: dict[str, list[Any]] = {"RRULE": [], "EXRULE": [], "RDATE": [], "EXDATE": []}
    try:
        for line in event["recurrence"]:
            name, values = _parse_line(line, clock)
            found[name] += values
    except ValueError as error:
        # Google's words: google/googleapis.dart#223, derekantrican/GAS-ICS-Sync#466.
        raise invalid("Invalid recurrence rule.") from error
    first, end = (math.floor(unix_time(event[name], calendar_zone)) for name in ("start", "end"))
    length = timedelta(seconds=end - first)
    if clock.is_day:
        length = clock.to_local(end) - clock.to_local(first)
    return Recurrence(
        clock,
        first,
        clock.read(event["start"]),
        length,
        found["RRULE"],
        found["EXRULE"],
        sorted(found["RDATE"]),
        frozenset(found["EXDATE"]),
    )


def _parse_line(line: Any, clock: Clock) -> tuple[str, Sequence[Any]]:
    """The name of a line, and its rule or its moments. Raises ValueError."""
    match = _LINE.fullmatch(str(line))
    if match is None:
        raise ValueError("no RRULE, EXRULE, RDATE or EXDATE")
    name, value = match["name"].upper(), match["value"]
    parameters = _parse_parameters(match["parameters"])
    if name.endswith("RULE"):
        if parameters:
            raise ValueError("a rule has no parameters")
        return name, [parse_rule(value, clock)]
    return name, _parse_dates(value, parameters, clock)


def _parse_parameters(text: str) -> dict[str, str]:
    found = [(name.upper(), quoted or bare) for name, quoted, bare in _PARAMETER.findall(text)]
    return {name: value for name, value in found if not name.startswith("X-")}


def _parse_dates(value: str, parameters: Mapping[str, str], clock: Clock) -> Sequence[int]:
    """The moments of RDATE or EXDATE. Raises ValueError.

    A PERIOD is refused: the parser that Google published takes none (google-rfc-2445,
    RRuleSchema.java).
    """
    # That parser reads a day without VALUE=DATE, too.
    own_type = _VALUE_TYPES[clock.is_day]
    rest = dict(parameters)
    if rest.pop("VALUE", own_type).upper() != own_type:
        raise ValueError(f"not of the type {own_type}")
    zone = rest.pop("TZID", clock.zone.key)
    if rest or not is_zone(zone):
        raise ValueError("an unknown parameter or time zone")
    if clock.is_day:
        zone = clock.zone.key
    return [clock.parse(text, ZoneInfo(zone)) for text in value.upper().split(",")]
