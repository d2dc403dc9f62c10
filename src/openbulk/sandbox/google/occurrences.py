"""The occurrences of a series. Each has its own id; a changed one becomes an event of its own.

https://developers.google.com/workspace/calendar/api/guides/recurringevents
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rruleset, rrulestr

_ID = re.compile(r"(?P<series>.+)_(?P<start>\d{8}(?:T\d{6}Z)?)")
MAX_OCCURRENCES = 1000
"""Maximum for one series in a list. Google does not document its own limit for endless series."""
_SERIES_FIELDS = frozenset({"recurrence", "etag"})
"""Fields of a series that its occurrences do not have."""


def series_id(event_id: str) -> str | None:
    """The id of the series if an event's id is that of an occurrence; else None."""
    match = _ID.fullmatch(event_id)
    return match["series"] if match else None


def find_occurrence(series: Mapping[str, Any], event_id: str) -> dict[str, Any] | None:
    """The unchanged occurrence with this id; None if the series has none at that time."""
    match = _ID.fullmatch(event_id)
    if match is None or not series.get("recurrence"):
        return None
    start = datetime.fromisoformat(match["start"])
    is_timed = start.tzinfo is not None
    if is_timed != ("dateTime" in series["start"]) or not _occurs(series, start):
        return None
    return _occurrence_body(series, start)


def occurrences(
    series: Mapping[str, Any], time_min: float, time_max: float
) -> Iterator[dict[str, Any]]:
    """The unchanged occurrences that end after `time_min` and start before `time_max` (Unix time).

    At most MAX_OCCURRENCES; none for an event that is not a series.
    """
    if not series.get("recurrence"):
        return
    duration = _duration(series)
    for number, start in enumerate(_rules(series)):
        if number >= MAX_OCCURRENCES or _unix_seconds(start) >= time_max:
            return
        if _unix_seconds(start + duration) > time_min:
            yield _occurrence_body(series, start)


def _unix_seconds(moment: datetime) -> float:
    """Unix time; a day of an all-day series begins at midnight UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _occurrence_body(series: Mapping[str, Any], start: datetime) -> dict[str, Any]:
    original = _place(series["start"], start)
    return {
        **{name: value for name, value in series.items() if name not in _SERIES_FIELDS},
        "id": f"{series['id']}_{_id_suffix(start)}",
        "recurringEventId": series["id"],
        "originalStartTime": original,
        "start": original,
        "end": _place(series["end"], start + _duration(series)),
    }


def _id_suffix(start: datetime) -> str:
    if start.tzinfo is None:
        return start.strftime("%Y%m%d")
    return start.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _occurs(series: Mapping[str, Any], start: datetime) -> bool:
    rules: Any = _rules(series)
    return bool(rules.between(start, start, inc=True))


def _rules(series: Mapping[str, Any]) -> rruleset:
    text, start = "\n".join(series["recurrence"]), _parse_place(series["start"])
    rules: rruleset = rrulestr(text, dtstart=start, forceset=True)
    return rules


def _parse_place(place: Mapping[str, Any]) -> datetime:
    """A start or an end in its zone, so that occurrences keep their time over clock changes."""
    if place.get("date"):
        return datetime.combine(date.fromisoformat(place["date"]), datetime.min.time())
    moment = datetime.fromisoformat(place["dateTime"])
    zone = ZoneInfo(place["timeZone"])
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _duration(series: Mapping[str, Any]) -> timedelta:
    start, end = _parse_place(series["start"]), _parse_place(series["end"])
    if start.tzinfo is None:
        return end - start
    # In UTC: the difference of two times in one zone ignores a clock change between them.
    return end.astimezone(UTC) - start.astimezone(UTC)


def _place(like: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """A time in the form of a series' start or end."""
    if like.get("date"):
        return {"date": moment.date().isoformat()}
    zone = like["timeZone"]
    return {"dateTime": moment.astimezone(ZoneInfo(zone)).isoformat(), "timeZone": zone}
