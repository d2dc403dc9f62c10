"""Events of the Calendar API to rows of Google Calendar's CSV."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from openbulk.formats.googlecsv.columns import IDENTITY_COLUMNS

_NOON = 12
_HALF_DAYS = ("AM", "PM")
# Both are the same to Google, which keeps `confidential` for compatibility
# (https://developers.google.com/calendar/api/v3/reference/events, `visibility`).
_PRIVATE = frozenset({"private", "confidential"})


class ShownEvents:
    """The events among records that are not cancelled. Can be iterated more than once."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self._records = records

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return (record for record in self._records if record.get("status") != "cancelled")


def event_cells(event: Mapping[str, Any]) -> Sequence[str]:
    """An event's cells in GOOGLE_COLUMNS and API_COLUMNS.

    Raises ValueError if it has no start, and KeyError, TypeError or AttributeError if its start or
    end has another shape.
    """
    start = event.get("start") or {}
    end = event.get("end") or start
    if start.get("date"):
        times = _all_day_cells(start, end)
    elif start.get("dateTime"):
        times = _timed_cells(start, end)
    else:
        raise ValueError("it has no start")
    return [
        _text(event, "summary"),
        *times,
        _text(event, "description"),
        _text(event, "location"),
        str(event.get("visibility") in _PRIVATE),
        *(_text(event, name) for name in IDENTITY_COLUMNS),
        _zone_cell(start),
        _zone_cell(end),
    ]


def _text(event: Mapping[str, Any], field: str) -> str:
    return str(event.get(field) or "")


def _all_day_cells(start: Mapping[str, str], end: Mapping[str, str]) -> Sequence[str]:
    """The file has the last day of an all-day event, the API the day after it."""
    first_day = date.fromisoformat(start["date"])
    last_day = max(first_day, date.fromisoformat(end["date"]) - timedelta(days=1))
    return [_date_cell(first_day), "", _date_cell(last_day), "", "True"]


def _timed_cells(start: Mapping[str, str], end: Mapping[str, str]) -> Sequence[str]:
    starts, ends = _local_time(start)[0], _local_time(end)[0]
    return [_date_cell(starts), _time_cell(starts), _date_cell(ends), _time_cell(ends), "False"]


def _zone_cell(time: Mapping[str, str]) -> str:
    return _local_time(time)[1] if time.get("dateTime") else ""


def _local_time(time: Mapping[str, str]) -> tuple[datetime, str]:
    """The local time, and its zone ("" for none).

    UTC if the event has no zone, or if clocks in its zone show that time twice.
    """
    moment = datetime.fromisoformat(time["dateTime"])
    zone = time.get("timeZone") or ""
    if moment.tzinfo is None:
        return moment, zone
    if zone:
        local = moment.astimezone(_require_zone(zone))
        if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
            return local, zone
    return moment.astimezone(UTC), "UTC"


def _require_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        raise ValueError(f"the time zone {name!r} is not known") from None


def _date_cell(moment: date) -> str:
    return f"{moment.month:02}/{moment.day:02}/{moment.year:04}"


def _time_cell(moment: datetime) -> str:
    half_day = _HALF_DAYS[moment.hour // _NOON]
    seconds = f":{moment.second:02}" * bool(moment.second)
    return f"{moment.hour % 12 or 12}:{moment.minute:02}{seconds} {half_day}"
