"""The occurrences of a series: each has an id of its own, and becomes an event of its own when it is changed.

https://developers.google.com/workspace/calendar/api/guides/recurringevents
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rruleset, rrulestr

_ID = re.compile(r"(?P<series>.+)_(?P<day>\d{8})(?:T(?P<time>\d{6})Z)?")
MAX_OCCURRENCES = 1000
_OF_SERIES = ("recurrence", "etag")


def series_id(event_id: str) -> str | None:
    """The id of the series that an event would be an occurrence of, by its own id."""
    match = _ID.fullmatch(event_id)
    return match["series"] if match else None


def occurrence(series: Mapping[str, Any], event_id: str) -> dict[str, Any] | None:
    """The occurrence with this id, as its series has it; None where the series has none then."""
    match = _ID.fullmatch(event_id)
    if match is None or not series.get("recurrence"):
        return None
    text = f"{match['day']}T{match['time']}" if match["time"] else match["day"]
    begins = datetime.fromisoformat(text).replace(tzinfo=UTC if match["time"] else None)
    if bool(match["time"]) != ("dateTime" in series["start"]) or not _occurs(series, begins):
        return None
    return _body(series, begins)


def occurrences(
    series: Mapping[str, Any], time_min: float | None, time_max: float | None
) -> Iterator[dict[str, Any]]:
    """The occurrences that end after `time_min` and begin before `time_max` (Unix time), as the series has them.

    At most MAX_OCCURRENCES: where Google ends a series without an end is not documented.
    """
    length = _length(series)
    for number, begins in enumerate(_rules(series)):
        if number >= MAX_OCCURRENCES or (time_max is not None and _seconds(begins) >= time_max):
            return
        if time_min is None or _seconds(begins + length) > time_min:
            yield _body(series, begins)


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _body(series: Mapping[str, Any], begins: datetime) -> dict[str, Any]:
    original = _place(series["start"], begins)
    stamp = (
        begins.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        if begins.tzinfo
        else begins.strftime("%Y%m%d")
    )
    return {
        **{name: value for name, value in series.items() if name not in _OF_SERIES},
        "id": f"{series['id']}_{stamp}",
        "recurringEventId": series["id"],
        "originalStartTime": original,
        "start": original,
        "end": _place(series["end"], begins + _length(series)),
    }


def _occurs(series: Mapping[str, Any], begins: datetime) -> bool:
    rules: Any = _rules(series)
    return bool(rules.between(begins, begins, inc=True))


def _rules(series: Mapping[str, Any]) -> rruleset:
    rules: rruleset = rrulestr(
        "\n".join(series["recurrence"]), dtstart=_moment(series["start"]), forceset=True
    )
    return rules


def _moment(place: Mapping[str, Any]) -> datetime:
    """A start or end in its zone, so that occurrences keep their time of the day over clock changes."""
    if place.get("date"):
        return datetime.combine(date.fromisoformat(place["date"]), datetime.min.time())
    moment = datetime.fromisoformat(place["dateTime"])
    zone = ZoneInfo(place["timeZone"])
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _length(series: Mapping[str, Any]) -> timedelta:
    begins, ends = _moment(series["start"]), _moment(series["end"])
    return ends - begins if begins.tzinfo is None else ends.astimezone(UTC) - begins.astimezone(UTC)


def _place(like: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    if like.get("date"):
        return {"date": moment.date().isoformat()}
    zone = like["timeZone"]
    return {"dateTime": moment.astimezone(ZoneInfo(zone)).isoformat(), "timeZone": zone}
