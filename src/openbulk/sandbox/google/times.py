"""Start and end of an event, checked as Google checks them."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from openbulk.sandbox.google.answers import Rejected, bad_request, invalid, required

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# RFC 3339: Google refuses a time without seconds or with a blank for the T (Sonarr/Sonarr#8685).
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def check_times(body: Mapping[str, Any], calendar_zone: str) -> tuple[float, float]:
    """The moments (Unix time) at which an event starts and ends. Raises Rejected."""
    # The end first: an event without both is refused for its end (googleapis/google-api-nodejs-client#565).
    for name in ("end", "start"):
        if not body.get(name, {}).get("date") and not body.get(name, {}).get("dateTime"):
            raise required(f"Missing {name} time.")
    start, end = body["start"], body["end"]
    if _kind(start) != _kind(end) or _kind(start) == "both":
        raise invalid("Start and end times must either both be date or both be dateTime.")
    _check_zones(body)
    begins, ends = moment(start, calendar_zone), moment(end, calendar_zone)
    if ends < begins:
        raise time_range_empty()
    return begins, ends


def _kind(place: Mapping[str, Any]) -> str:
    if place.get("date") and place.get("dateTime"):
        return "both"
    return "date" if place.get("date") else "dateTime"


def _check_zones(body: Mapping[str, Any]) -> None:
    """Time zones exist, and are there where they are needed: for local times and for anything that recurs."""
    for name in ("start", "end"):
        place = body[name]
        zone = place.get("timeZone")
        if zone and not is_zone(zone):
            raise invalid(f"Invalid time zone definition for {name} time.")
        local = place.get("dateTime") and _parsed_time(place["dateTime"]).tzinfo is None
        if not zone and (local or (body.get("recurrence") and place.get("dateTime"))):
            raise required(f"Missing time zone definition for {name} time.")


def moment(place: Mapping[str, Any], calendar_zone: str) -> float:
    """Unix time of `{"date"}` or `{"dateTime", "timeZone"?}`; a date begins at midnight of the calendar.

    Raises Rejected: 400 `badRequest`, without a word on what is wrong, as Google does where a value is not a date.
    """
    parsed = _parsed_date(place["date"]) if place.get("date") else _parsed_time(place["dateTime"])
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=ZoneInfo(place.get("timeZone") or calendar_zone))
    return parsed.timestamp()


def _parsed_date(text: Any) -> datetime:
    try:
        if not isinstance(text, str) or not _DATE.fullmatch(text):
            raise bad_request()
        return datetime.combine(date.fromisoformat(text), datetime.min.time())
    except ValueError as error:
        raise bad_request() from error


def _parsed_time(text: Any) -> datetime:
    try:
        if not isinstance(text, str) or not _DATE_TIME.fullmatch(text):
            raise bad_request()
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise bad_request() from error


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_zone(name: Any) -> bool:
    """True for the name of an IANA time zone."""
    return isinstance(name, str) and name in _zones()


def time_range_empty() -> Rejected:
    """400 `timeRangeEmpty`, as the guide to errors shows it."""
    message = "The specified time range is empty."
    return Rejected(
        400, "timeRangeEmpty", message, domain="calendar", location=("parameter", "timeMax")
    )


def parse_bound(text: str | None) -> float | None:
    """A list parameter that is an RFC 3339 time with an offset, as Unix time. Raises Rejected."""
    if not text:
        return None
    bound = _parsed_time(text)
    if bound.tzinfo is None:
        raise bad_request()
    return bound.timestamp()


def stamp() -> str:
    """The time of a change, as Google writes it: RFC 3339 in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
