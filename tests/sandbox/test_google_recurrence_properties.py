"""The sandbox expands series as dateutil does, whatever their rules, zones and exceptions."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbulk.sandbox.google.occurrences import Series

# Each changes its clocks in a way of its own: by half an hour, at midnight, by a whole day.
ZONES = st.sampled_from(
    [
        *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
        *("America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca", "America/Havana"),
    ]
)
DAYS = st.dates(date(2011, 1, 1), date(2012, 12, 31)) | st.sampled_from(
    [date(2011, 12, 29), date(2012, 2, 29), date(2012, 3, 24), date(2012, 10, 27)]
)
TIMES = st.builds(time, st.sampled_from([0, 1, 2, 3, 10, 23]), st.sampled_from([0, 30]))
LAST = datetime(2013, 7, 1)  # noqa: DTZ001 - a local time
WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


@pytest.fixture(scope="module", autouse=True)
def _no_search_until_the_year_9999() -> Iterator[None]:
    """Else dateutil searches so far for a date of each February 30, and takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dateutil.rrule.datetime.MAXYEAR", LAST.year)
        yield


def lists(values: Sequence[Any]) -> st.SearchStrategy[str]:
    some = st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)
    return some.map(lambda found: ",".join(map(str, found)))


NUMBERED_DAYS = [f"{number}{day}" for number in (1, 2, 5, -1, -2) for day in WEEKDAYS]
PARTS = {
    "BYMONTH": lists([1, 2, 3, 6, 10, 12]),
    "BYMONTHDAY": lists([1, 2, 15, 29, 30, 31, -1, -2, -31]),
    "BYYEARDAY": lists([1, 59, 60, 100, 365, 366, -1, -366]),
    "BYWEEKNO": lists([1, 2, 20, 52, 53, -1, -53]),
    "BYDAY": lists(WEEKDAYS),
    "BYHOUR": lists([0, 2, 3, 10, 23]),
    "BYMINUTE": lists([0, 30]),
    "BYSETPOS": lists([1, 2, -1, -3]),
    "WKST": st.sampled_from(WEEKDAYS),
    "INTERVAL": st.integers(1, 4).map(str),
}
LEGAL = {
    "DAILY": PARTS.keys() - {"BYYEARDAY", "BYWEEKNO"},
    # dateutil takes the first week from the start on, and not from its beginning.
    "WEEKLY": PARTS.keys() - {"BYYEARDAY", "BYWEEKNO", "BYMONTHDAY", "BYSETPOS"},
    "MONTHLY": PARTS.keys() - {"BYYEARDAY", "BYWEEKNO"},
    "YEARLY": PARTS.keys(),
}
"""By frequency, the parts that a rule may have."""


@st.composite
def rules(draw: st.DrawFn, *, is_day: bool) -> dict[str, str]:
    """The parts of a rule without an end."""
    frequency = draw(st.sampled_from(sorted(LEGAL)))
    legal = sorted(LEGAL[frequency] - ({"BYHOUR", "BYMINUTE"} if is_day else set()))
    names = draw(st.lists(st.sampled_from(legal), max_size=4, unique=True))
    parts = {"FREQ": frequency, **{name: draw(PARTS[name]) for name in names}}
    takes_numbers = frequency in {"MONTHLY", "YEARLY"} and "BYWEEKNO" not in parts
    if "BYDAY" in parts and takes_numbers and draw(st.booleans()):
        parts["BYDAY"] = draw(lists(NUMBERED_DAYS))
    return parts


def join_parts(parts: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())


def to_unix(local: datetime, zone: str) -> int:
    return math.floor(local.replace(tzinfo=ZoneInfo(zone)).timestamp())


def expand(parts: dict[str, str], start: datetime, zone: str) -> list[int]:
    """The moments of a rule by dateutil, and some more."""
    rule = rrulestr(join_parts(parts), dtstart=start)
    found = [to_unix(one, zone) for one in rule.between(start, LAST + timedelta(2), inc=True)]
    return [one for one in found if one >= to_unix(start, zone)]


def ways_of_writing(unix: int, zone: str, *, is_day: bool) -> list[str]:
    """A moment with its parameters: by the clocks of the series, in UTC, in another zone."""
    moment = datetime.fromtimestamp(unix, UTC)
    local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if is_day:
        return [f";VALUE=DATE:{local:%Y%m%d}", f":{local:%Y%m%d}"]
    tokyo = moment.astimezone(ZoneInfo("Asia/Tokyo"))
    ways = [f":{moment:%Y%m%dT%H%M%SZ}", f';tzid="Asia/Tokyo":{tokyo:%Y%m%dT%H%M%S}']
    # Of a time that occurs twice, the clocks say the first only.
    if to_unix(local, zone) == unix:
        ways += [f":{local:%Y%m%dT%H%M%S}", f";TZID={zone}:{local:%Y%m%dT%H%M%S}"]
    return ways


@st.composite
def series(draw: st.DrawFn) -> tuple[dict[str, Any], str, list[int], int]:
    """An event that recurs, its calendar's zone, its moments, and the last one that counts."""
    zone, is_day = draw(ZONES), draw(st.booleans())
    times = st.just(time()) if is_day else TIMES
    start = datetime.combine(draw(DAYS), draw(times))
    parts = draw(rules(is_day=is_day))
    match draw(st.sampled_from(["COUNT", "UNTIL", ""])):
        case "COUNT":
            parts["COUNT"] = str(draw(st.integers(1, 30)))
            included = set(expand(parts, start, zone))
        case "UNTIL":
            until = to_unix(datetime.combine(draw(DAYS), draw(times)), zone)
            included = {one for one in expand(parts, start, zone) if one <= until}
            parts["UNTIL"] = ways_of_writing(until, zone, is_day=is_day)[0].rpartition(":")[2]
        case _:
            included = set(expand(parts, start, zone))
    lines = [f"RRULE:{join_parts(parts)}"]
    added = [to_unix(datetime.combine(draw(DAYS), draw(times)), zone) for _ in range(2)]
    included |= {to_unix(start, zone), *added}
    left_out = set(draw(st.lists(st.sampled_from(sorted(included)), max_size=3)))
    for name, moments in (("RDATE", added), ("EXDATE", left_out)):
        for one in moments:
            ways = ways_of_writing(one, zone, is_day=is_day)
            lines.append(f"{name}{draw(st.sampled_from(ways))}")
    if draw(st.booleans()):
        excluded = draw(rules(is_day=is_day))
        lines.append(f"EXRULE:{join_parts(excluded)}")
        left_out |= set(expand(excluded, start, zone))
    place = {"dateTime": start.isoformat(), "timeZone": zone}
    if is_day:
        place = {"date": f"{start:%Y-%m-%d}"}
    event = {
        "id": "abc01",
        "start": place,
        "end": place,
        "recurrence": draw(st.permutations(lines)),
    }
    last = to_unix(LAST, zone)
    moments = sorted(one for one in included - left_out if one <= last)
    return event, zone, moments, last


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(series(), st.integers(0, 20))
def test_a_series_recurs_as_by_dateutil(
    found: tuple[dict[str, Any], str, list[int], int], position: int
) -> None:
    """At the same moments, in order; also from any of them on; and each is found by its id."""
    event, zone, moments, last = found
    one = Series(event, zone)
    assert list(one.starts(-math.inf, last + 1)) == moments
    for begin in moments[position : position + 2]:
        assert list(one.starts(-math.inf, last + 1, begin)) == moments[moments.index(begin) :]
        assert one.find(one.occurrence_id(begin)) == begin
