"""Start and end of an event, checked as Google checks them."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from openbulk.sandbox.google.answers import Rejected, invalid, required


def check_times(body: Mapping[str, Any], calendar_zone: str) -> tuple[datetime, datetime]:
    """The moments at which an event starts and ends. Raises Rejected."""
    for name in ("start", "end"):
        if not isinstance(body.get(name), Mapping) or not (body[name].get("date") or body[name].get("dateTime")):
            raise required(f"Missing {name} time." if name == "start" else "Missing end time.")
    if ("date" in body["start"]) != ("date" in body["end"]):
        raise invalid("Start and end times must either both be date or both be dateTime.")
    if body.get("recurrence") and "dateTime" in body["start"] and not body["start"].get("timeZone"):
        raise required("Missing time zone definition for start time.")
    start, end = moment(body["start"], calendar_zone), moment(body["end"], calendar_zone)
    if end < start or (end == start and "date" in body["start"]):
        raise Rejected(400, "timeRangeEmpty", "The specified time range is empty.")
    return start, end


def moment(place: Mapping[str, Any], calendar_zone: str) -> datetime:
    """A point in time from `{"date"}` or `{"dateTime", "timeZone"?}`. Raises Rejected."""
    zone = _zone(place.get("timeZone") or calendar_zone)
    if place.get("date") and place.get("dateTime"):
        raise invalid("Invalid start time: date and dateTime are both given.")
    try:
        if place.get("date"):
            day = date.fromisoformat(place["date"])
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        parsed = datetime.fromisoformat(str(place["dateTime"]))
    except ValueError as error:
        raise invalid(f"Invalid value for: {place.get('date') or place.get('dateTime')}") from error
    if len(str(place["dateTime"])) < len("2026-01-01T10:00"):
        raise invalid(f"Invalid value for: {place['dateTime']}")
    if parsed.tzinfo is None and not place.get("timeZone"):
        raise required("Missing time zone definition for start time.")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid("Invalid time zone definition for start time.") from error


def parse_bound(text: str | None, name: str) -> datetime | None:
    """A list parameter that is an RFC 3339 time with an offset. Raises Rejected."""
    if not text:
        return None
    try:
        bound = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid("Bad Request", name) from error
    if bound.tzinfo is None:
        raise invalid("Bad Request", name)
    return bound


def stamp() -> str:
    """The time of a change, as Google writes it: RFC 3339 in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
