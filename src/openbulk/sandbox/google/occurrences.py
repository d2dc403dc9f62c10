"""The occurrences of a series: each has an id of its own, and becomes an event of its own when it is changed.

https://developers.google.com/workspace/calendar/api/guides/recurringevents
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

_ID = re.compile(r"(?P<series>.+)_(?P<day>\d{8})(?:T(?P<time>\d{6})Z)?")
_OF_SERIES = ("recurrence", "etag", "updated")


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
    original = _place(series["start"], begins)
    return {
        **{name: value for name, value in series.items() if name not in _OF_SERIES},
        "id": event_id,
        "recurringEventId": series["id"],
        "originalStartTime": original,
        "start": original,
        "end": _place(series["end"], begins + _length(series)),
    }


def _occurs(series: Mapping[str, Any], begins: datetime) -> bool:
    first = _moment(series["start"])
    rules = rrulestr("\n".join(series["recurrence"]), dtstart=first, forceset=True)
    return bool(rules.between(begins, begins, inc=True))


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
