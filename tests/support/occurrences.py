"""The occurrences of events in the fields of the Calendar API, as Google expands them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import takewhile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr

Moment = date | datetime
"""A day of an all-day event, else a moment in UTC."""


def occurrences(
    records: Sequence[Mapping[str, Any]], end: date = date(2027, 1, 1), zone: str = "UTC"
) -> list[tuple[Moment, str]]:
    """Start and summary of each occurrence before `end`, in their order.

    `zone` is the calendar's: times without a zone are in it.
    """
    found: dict[tuple[str, Moment], tuple[Moment, str]] = {}
    for number, record in enumerate(records):
        if "originalStartTime" in record:
            continue
        uid = record.get("iCalUID") or f"event {number}"
        if record.get("status") != "cancelled":
            for start in starts_of(record, end, zone):
                found[uid, start] = (start, record.get("summary", ""))
    for record in records:
        if "originalStartTime" not in record:
            continue
        key = (record["iCalUID"], read_moment(record["originalStartTime"], zone))
        assert key in found, f"the series has no occurrence {key}"
        assert "range" not in record["originalStartTime"]
        if record.get("status") == "cancelled":
            del found[key]
        else:
            found[key] = (read_moment(record["start"], zone), record.get("summary", ""))
    return sorted(found.values(), key=lambda one: (str(one[0]), one[1]))


def occurrences_by_library(content: bytes, year: int = 2026) -> list[tuple[Moment, str]]:
    """Start and summary of each occurrence in a calendar file, by other people's libraries.

    Skips the test if they are not there, or cannot read the file.
    """
    library = pytest.importorskip("recurring_ical_events")
    icalendar = pytest.importorskip("icalendar")
    icalendar.use_zoneinfo()  # it forgets the zones of other files
    found: list[tuple[Moment, str]] = []
    try:
        for calendar in icalendar.Calendar.from_ical(content, multiple=True):
            for event in library.of(calendar).between(date(year, 1, 1), date(year + 1, 1, 1)):
                start = event["DTSTART"].dt
                if isinstance(start, datetime):
                    start = start.astimezone(UTC)
                found.append((start, str(event["SUMMARY"])))
    except ValueError as error:
        pytest.skip(f"the other library cannot read it: {error}")
    return sorted(found, key=lambda one: (str(one[0]), one[1]))


def read_moment(place: Mapping[str, str], zone: str) -> Moment:
    """A start or end of the Calendar API."""
    if "date" in place:
        return date.fromisoformat(place["date"])
    moment = datetime.fromisoformat(place["dateTime"])
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(place.get("timeZone", zone)))
    return moment.astimezone(UTC)


def starts_of(record: Mapping[str, Any], end: date, zone: str = "UTC") -> list[Moment]:
    """The starts of a series before `end`; of another event, its start."""
    first = read_moment(record["start"], zone)
    lines = [line.partition(":") for line in record.get("recurrence", ())]
    if not lines:
        return [first]
    zone = record["start"].get("timeZone", zone)
    starts: set[Moment] = set()
    left_out: set[Moment] = set()
    for head, _, value in lines:
        name = head.partition(";")[0]
        if name == "RRULE":
            starts |= set(_expand(value, first, zone, end))
        else:
            values = {_read_value(head, text, first, zone) for text in value.split(",")}
            (starts if name == "RDATE" else left_out).update(values)
    last = datetime.combine(end, time(), UTC) if isinstance(first, datetime) else end
    kept = (starts | {first}) - left_out
    return sorted((start for start in kept if start < last), key=str)


def _expand(rule: str, first: Moment, zone: str, end: date) -> Iterator[Moment]:
    parts = dict(part.split("=") for part in rule.split(";"))
    is_timed = isinstance(first, datetime)
    local = (
        first.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if isinstance(first, datetime)
        else datetime.combine(first, time())
    )
    if "UNTIL" in parts:
        assert parts["UNTIL"].endswith("Z") == is_timed, "Google refuses another UNTIL"
        assert ("T" in parts["UNTIL"]) == is_timed, "Google refuses another UNTIL"
    if is_timed and "UNTIL" in parts:
        moment = datetime.strptime(parts["UNTIL"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        parts["UNTIL"] = f"{moment.astimezone(ZoneInfo(zone)):%Y%m%dT%H%M%S}"
    text = ";".join(f"{key}={value}" for key, value in parts.items())
    expanded = rrulestr(text, dtstart=local, cache=False)
    for start in takewhile(lambda one: one.date() <= end, expanded):
        yield (start.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) if is_timed else start.date())


def _read_value(head: str, text: str, first: Moment, zone: str) -> Moment:
    is_day = "VALUE=DATE" in head
    assert is_day == (not isinstance(first, datetime)), f"{head} is not of the type of the start"
    if is_day:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007
    if text.endswith("Z"):
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    named = head.partition("TZID=")[2] or zone
    local = datetime.strptime(text, "%Y%m%dT%H%M%S")  # noqa: DTZ007
    return local.replace(tzinfo=ZoneInfo(named)).astimezone(UTC)


OTHERWISE = {
    "override-alone": "it is refused, or stands alone",
    "zone-upside-down": "it is refused",
    "same-uid": "the second event is refused",
    "gb18030": "it is refused",
    "ansi": "the library reads UTF-8 alone",
    "merged-cancel": "the library does not heed METHOD",
    "tzid-and-z": "the library applies a zone to times in UTC",
    "until-utc-allday": "the library takes the day in UTC, and loses the last one",
}
"""Calendar files of which the library says something else than we do, and why."""


def readable_cases(folder: Path) -> list[str]:
    """The calendar files of which `occurrences_by_library` says what is right."""
    return sorted(path.stem for path in folder.glob("*.ics") if path.stem not in OTHERWISE)
