"""Series of all sorts are read as they recur, whatever their lines are written in."""

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbulk.formats.ics import Ics
from support.occurrences import Moment, occurrences, starts_of

END = date(2027, 6, 1)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
RULES = [
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=WEEKLY;BYDAY=MO,TH",
    "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,SU",
    "FREQ=MONTHLY;BYDAY=-1FR",
    "FREQ=MONTHLY;BYMONTHDAY=1,15,-1",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU",
    "FREQ=DAILY;BYHOUR=8,20;BYMINUTE=15",
]
DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31))
# Clocks change by night: a time in a gap is another moment by each program.
TIMES = st.times(time(4), time(23, 59)).map(lambda one: one.replace(second=0, microsecond=0))


def read(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The events of a file with these lines in an event."""
    text = "\r\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR"])
    found = list(Ics().read(io.BytesIO(text.encode()), {"encoding": "utf-8"}))
    assert [row.problem for row in found] == [None] * len(found)
    return [dict(row.values or {}) for row in found]


def expand(rule: str, start: datetime) -> list[datetime]:
    """The occurrences of a rule on the clocks of its zone, by dateutil."""
    last = datetime.combine(END + timedelta(days=2), time())
    return list(rrulestr(rule, dtstart=start).between(start, last, inc=True))


def instant(local: datetime, zone: str) -> datetime:
    """The moment of a local time."""
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@st.composite
def ways_of_writing(draw: st.DrawFn, name: str, local: datetime, zone: str) -> str:
    """One time of a series in that zone, in one of the ways that programs write it."""
    other = draw(st.sampled_from(ZONES))
    there = instant(local, zone).astimezone(ZoneInfo(other))
    if there.fold:
        other, there = "UTC", there.astimezone(UTC)
    return draw(
        st.sampled_from(
            [
                f"{name};TZID={zone}:{local:%Y%m%dT%H%M%S}",
                f"{name}:{local:%Y%m%dT%H%M%S}",
                f"{name}:{instant(local, zone):%Y%m%dT%H%M%SZ}",
                f"{name};TZID=Mars:{instant(local, zone):%Y%m%dT%H%M%SZ}",
                f'{name.lower()};X-A="b:c";value=DATE-TIME;tzid="{other}": {there:%Y%m%dT%H%M%S},',
            ]
        )
    )


@st.composite
def timed_series(draw: st.DrawFn) -> tuple[list[str], list[Moment], str]:
    """The lines of a series with times, its occurrences, and its zone."""
    zone, rule = draw(st.sampled_from(ZONES)), draw(st.sampled_from(RULES))
    start = datetime.combine(draw(DAYS), draw(TIMES))
    found = expand(rule, start)
    match draw(st.sampled_from(["count", "until", "until local", "until day", "endless"])):
        case "count":
            count = draw(st.integers(1, 20))
            rule, found = f"{rule};COUNT={count}", found[:count]
        case "until":
            last = datetime.combine(draw(DAYS), draw(TIMES))
            rule = f"{rule};UNTIL={instant(last, zone):%Y%m%dT%H%M%SZ}"
            found = [one for one in found if instant(one, zone) <= instant(last, zone)]
        case "until local":
            last = datetime.combine(draw(DAYS), draw(TIMES))
            rule = f"{rule};UNTIL={last:%Y%m%dT%H%M%S}"
            found = [one for one in found if one <= last]
        case "until day":
            day = draw(DAYS)
            rule = f"{rule};UNTIL={day:%Y%m%d}"
            found = [one for one in found if one.date() <= day]
    lines = [f"DTSTART;TZID={zone}:{start:%Y%m%dT%H%M%S}", f"RRULE:{rule}"]
    moments = {start, *found}
    added = [datetime.combine(day, draw(TIMES)) for day in draw(st.lists(DAYS, max_size=3))]
    lines += [draw(ways_of_writing("RDATE", one, zone)) for one in added]
    moments |= set(added)
    for one in draw(st.lists(st.sampled_from(sorted(moments)), max_size=4)):
        lines.append(draw(ways_of_writing("EXDATE", one, zone)))
        moments.discard(one)
    if draw(st.booleans()) and moments:
        day = draw(st.sampled_from(sorted(moments))).date()
        lines.append(draw(st.sampled_from(["EXDATE;VALUE=DATE", "EXDATE"])) + f":{day:%Y%m%d}")
        moments = {one for one in moments if one.date() != day}
    last_moment = datetime.combine(END, time(), UTC)
    instants = (instant(one, zone) for one in moments)
    return lines, sorted(one for one in instants if one < last_moment), zone


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(timed_series())
def test_a_timed_series_recurs_as_its_file_says(
    series: tuple[list[str], list[Moment], str],
) -> None:
    """The same moments as by dateutil; and again after it is written."""
    lines, right, _ = series
    (event,) = read(lines)
    assert starts_of(event, END) == right
    content = b"".join(Ics().write([event]))
    (again,) = (row.values for row in Ics().read(io.BytesIO(content), {}))
    assert again is not None
    assert starts_of(again, END) == right
    assert again["recurrence"] == event["recurrence"]


@st.composite
def all_day_series(draw: st.DrawFn) -> tuple[list[str], list[Moment]]:
    """The lines of a series of days in a calendar with a zone, and its occurrences."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    start = draw(DAYS)
    rule = draw(st.sampled_from(RULES[:-1]))
    found = [one.date() for one in expand(rule, datetime.combine(start, time()))]

    def in_utc(day: date) -> str:
        """Midnight in the calendar's zone."""
        return f"{datetime.combine(day, time(), zone).astimezone(UTC):%Y%m%dT%H%M%SZ}"

    last = draw(DAYS)
    until = draw(
        st.sampled_from(
            [f"{last:%Y%m%d}", in_utc(last), f"{last:%Y%m%d}T235959", f"{last:%Y%m%d}T000000Z"]
        )
    )
    # Midnight in UTC may be a day's midnight there, and then it is that day.
    if until.endswith("T000000Z"):
        local = datetime.combine(last, time(), UTC).astimezone(zone)
        last = local.date() if local.time() == time() else last
    moments = {start, *(one for one in found if one <= last)}
    lines = ["UID:a", f"DTSTART;VALUE=DATE:{start:%Y%m%d}", f"RRULE:{rule};UNTIL={until}"]
    for day in draw(st.lists(st.sampled_from(sorted(moments)), max_size=4)):
        ways = [
            f"EXDATE;VALUE=DATE:{day:%Y%m%d}",
            f"EXDATE:{in_utc(day)}",
            f"EXDATE:{day:%Y%m%d}T000000",
            f"EXDATE;TZID=Asia/Tokyo:{day:%Y%m%d}T000000",
        ]
        lines.append(draw(st.sampled_from(ways)))
        moments.discard(day)
    head = [f"X-WR-TIMEZONE;VALUE=TEXT:{zone.key}"]
    return [*head, "BEGIN:VEVENT", *lines], sorted(one for one in moments if one < END)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(all_day_series())
def test_an_all_day_series_recurs_as_its_file_says(series: tuple[list[str], list[Moment]]) -> None:
    """On the same days as by dateutil; and again after it is written."""
    lines, right = series
    text = "\r\n".join(["BEGIN:VCALENDAR", *lines, "END:VEVENT", "END:VCALENDAR"])
    (row,) = Ics().read(io.BytesIO(text.encode()), {"encoding": "utf-8"})
    assert row.values is not None, row.problem
    assert starts_of(row.values, END) == right
    content = b"".join(Ics().write([row.values]))
    (again,) = (one.values for one in Ics().read(io.BytesIO(content), {}))
    assert again == row.values


@st.composite
def changing_series(draw: st.DrawFn) -> tuple[list[list[str]], list[tuple[Moment, str]]]:
    """The events of a series that changes from some occurrences on, in any order."""
    zone, rule = "Europe/Berlin", draw(st.sampled_from([*RULES[:5], RULES[7]]))
    start = expand(rule, datetime.combine(draw(DAYS), time(10)))[0]
    count = draw(st.integers(2, 12))
    planned = expand(rule, start)[:count]
    names = dict.fromkeys(planned, "s")
    moved = {one: one for one in planned}
    events = [
        [
            f"DTSTART;TZID={zone}:{start:%Y%m%dT%H%M%S}",
            f"RRULE:{rule};COUNT={len(planned)}",
            "SUMMARY:s",
        ]
    ]
    begins = draw(st.lists(st.sampled_from(planned), max_size=2, unique=True))
    for number, begin in enumerate(sorted(begins)):
        shift = timedelta(hours=draw(st.integers(-3, 8)))
        for one in (one for one in planned if one >= begin):
            moved[one], names[one] = one + shift, f"later {number}"
        events.append(
            [
                f"RECURRENCE-ID;RANGE=THISANDFUTURE;TZID={zone}:{begin:%Y%m%dT%H%M%S}",
                f"DTSTART;TZID={zone}:{begin + shift:%Y%m%dT%H%M%S}",
                f"SUMMARY:later {number}",
            ]
        )
    for one in draw(st.lists(st.sampled_from(planned), max_size=2, unique=True)):
        if one in begins:
            continue
        moved[one], names[one] = one + timedelta(days=1), "moved"
        events.append(
            [
                f"RECURRENCE-ID:{instant(one, zone):%Y%m%dT%H%M%SZ}",
                f"DTSTART;TZID={zone}:{moved[one]:%Y%m%dT%H%M%S}",
                "SUMMARY:moved",
            ]
        )
    right = [(instant(moved[one], zone), names[one]) for one in planned]
    return draw(st.permutations(events)), sorted(right, key=lambda one: (str(one[0]), one[1]))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(changing_series())
def test_a_series_that_changes_recurs_as_its_file_says(
    series: tuple[list[list[str]], list[tuple[Moment, str]]],
) -> None:
    """In whatever order its events stand; occurrences come behind their series."""
    events, right = series
    blocks = [["BEGIN:VEVENT", "UID:a@x", *lines, "END:VEVENT"] for lines in events]
    text = "\r\n".join(
        ["BEGIN:VCALENDAR", *(line for block in blocks for line in block), "END:VCALENDAR"]
    )
    found = list(Ics().read(io.BytesIO(text.encode()), {"encoding": "utf-8"}))
    assert [row.problem for row in found] == [None] * len(found)
    values = [row.values or {} for row in found]
    seen: set[str] = set()
    for one in values:
        assert "originalStartTime" not in one or one["iCalUID"] in seen
        seen.add(one["iCalUID"])
    assert occurrences(values, date(2029, 1, 1)) == right
