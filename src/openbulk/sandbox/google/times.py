"""Start and end of an event, checked as Google checks them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from openbulk.sandbox.google.errors import Rejected, bad_request, invalid, missing_value

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# RFC 3339: Google refuses a time without seconds or with a blank for the T (Sonarr/Sonarr#8685).
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def check_times(body: Mapping[str, Any], calendar_zone: str) -> tuple[float, float]:
    """The Unix times at which an event starts and ends. Raises Rejected (400)."""
    # The end first: for an event without both, Google's error names the end
    # (googleapis/google-api-nodejs-client#565).
    for name in ("end", "start"):
        if not _forms(body.get(name, {})):
            raise missing_value(f"Missing {name} time.")
    forms = _forms(body["start"]) | _forms(body["end"])
    if len(forms) > 1:
        raise invalid("Start and end times must either both be date or both be dateTime.")
    for name in ("start", "end"):
        _check_zone(name, body[name], is_recurring=bool(body.get("recurrence")))
    original = body.get("originalStartTime")
    if original:
        _check_original(original, calendar_zone)
    start, end = unix_time(body["start"], calendar_zone), unix_time(body["end"], calendar_zone)
    if end < start:
        raise time_range_empty()
    return start, end


def _forms(place: Mapping[str, Any]) -> set[str]:
    """The forms in which a start or an end is given."""
    return set(filter(place.get, ("date", "dateTime")))


def _check_zone(name: str, place: Mapping[str, Any], *, is_recurring: bool) -> None:
    zone = place.get("timeZone")
    if zone not in (None, "") and not is_zone(zone):
        raise invalid(f"Invalid time zone definition for {name} time.")
    if not place.get("dateTime"):
        return
    is_local = _parse(_DATE_TIME, place["dateTime"]).tzinfo is None
    # A local time needs a zone; a series needs one too, since its offset changes over the year.
    if not zone and (is_local or is_recurring):
        raise missing_value(f"Missing time zone definition for {name} time.")


def _check_original(place: Mapping[str, Any], calendar_zone: str) -> None:
    if not _forms(place):
        raise missing_value("Missing original start time.")
    _check_zone("original start", place, is_recurring=False)
    unix_time(place, calendar_zone)


def unix_time(place: Mapping[str, Any], calendar_zone: str) -> float:
    """Unix time of `{"date"}` or `{"dateTime", "timeZone"?}`.

    A date begins at midnight in the calendar's zone. Raises Rejected (400 `badRequest`) for a value
    that is not a date or time; like Google, it gives no reason.
    """
    parsed = _parse_place(place)
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=ZoneInfo(place.get("timeZone") or calendar_zone))
    return parsed.timestamp()


def _parse_place(place: Mapping[str, Any]) -> datetime:
    if place.get("date"):
        return _parse(_DATE, place["date"])
    return _parse(_DATE_TIME, place["dateTime"])


def _parse(form: re.Pattern[str], text: Any) -> datetime:
    if not isinstance(text, str) or not form.fullmatch(text):
        raise bad_request()
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise bad_request() from error


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_zone(name: Any) -> bool:
    """Whether this is the name of an IANA time zone."""
    return isinstance(name, str) and name in _zones()


def time_range_empty() -> Rejected:
    """400 `timeRangeEmpty`, as the guide to errors shows it."""
    message = "The specified time range is empty."
    location = ("parameter", "timeMax")
    return Rejected(400, "timeRangeEmpty", message, domain="calendar", location=location)


def parse_bound(text: str | None, default: float) -> float:
    """Unix time of a list parameter, an RFC 3339 time with an offset. Raises Rejected (400)."""
    if not text:
        return default
    bound = _parse(_DATE_TIME, text)
    if bound.tzinfo is None:
        raise bad_request()
    return bound.timestamp()


def now() -> str:
    """The current time as Google writes it: RFC 3339 in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
