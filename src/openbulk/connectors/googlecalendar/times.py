"""Resolves the times of events: local times get a zone, doubtful times are refused, never moved.

- A local time has the zone of its row, else that of `metaData.timeZone`, else the calendar's.
- `metaData.daylightSaving` decides the meaning of a time that a clock change skips or repeats:
  `error` (the default), `earlier`, `later`, or `compatible`: the later of a gap, and the earlier of
  a repeated hour (RFC 5545, section 3.3.5).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.recurrence import check_lines, fit_lines

TIME_FIELDS = ("start", "end", "originalStartTime")
_START_AND_END = ("start", "end")
DAYLIGHT_SAVING = ("error", "earlier", "later", "compatible")

_MOMENT_IN_UTC = re.compile(r"\d{6}Z\b", re.IGNORECASE | re.ASCII)

EventTime = Mapping[str, Any]
"""A start or an end, as Google has it: a `date`, or a `dateTime` and a `timeZone`."""


@dataclass(frozen=True, slots=True)
class TimeOptions:
    """The options of metaData about times."""

    zone: str | None = None
    daylight_saving: str = "error"


def time_options(options: Mapping[str, Any]) -> TimeOptions:
    """The options of a job's metaData. Raises FieldError for a value that is not known."""
    zone = None
    if options.get("timeZone"):
        zone = str(options["timeZone"])
        _require_zone(zone, "metaData.timeZone")
    return TimeOptions(zone, _daylight_saving(options.get("daylightSaving")))


def _daylight_saving(value: Any) -> str:
    if value in (None, ""):
        return "error"
    choice = str(value).lower()
    if choice not in DAYLIGHT_SAVING:
        raise FieldError(
            "daylightSaving",
            f"metaData.daylightSaving {value!r} is not known; "
            f"it can be {', '.join(DAYLIGHT_SAVING)}",
        )
    return choice


# --- zones and clock changes ---


def needs_zone(body: Mapping[str, Any]) -> bool:
    """Whether a time depends on a zone that its row does not have.

    A local time does, and so does every time of a series: Google repeats it by the clock of a zone
    (https://developers.google.com/workspace/calendar/api/guides/recurringevents). In an all-day
    series, a moment in UTC does: it may be on another day there.
    """
    start, recurrence = body.get("start", {}), body.get("recurrence", ())
    if start.get("timeZone"):
        return False
    if start.get("date") and any(map(_MOMENT_IN_UTC.search, recurrence)):
        return True
    return any(_lacks_zone(body.get(name, {}), bool(recurrence)) for name in _START_AND_END)


def _lacks_zone(time: EventTime, recurs: bool) -> bool:
    if not time.get("dateTime") or time.get("timeZone"):
        return False
    return recurs or datetime.fromisoformat(time["dateTime"]).tzinfo is None


def resolve_times(
    body: Mapping[str, Any], options: TimeOptions, *, zone: str, is_update: bool = False
) -> dict[str, Any]:
    """An event with an unambiguous start and end, which its recurrence fits. Raises FieldError.

    `body` is in Google's types. `zone` applies to local times if their row has no zone. An update
    keeps what its row leaves out: an all-day event keeps its end.
    """
    event = dict(body)
    default_zone = body.get("start", {}).get("timeZone") or zone
    recurs = bool(body.get("recurrence"))
    for name in filter(body.get, _START_AND_END):
        _require_one_time(name, body[name])
        event[name] = _resolve_time(
            body[name], default_zone, options.daylight_saving, f"{name}.dateTime", recurs
        )
    if event.get("end") or not is_update:
        _resolve_end(event)
    if recurs:
        event["recurrence"] = _fit_recurrence(event, zone)
    return event


def _fit_recurrence(event: Mapping[str, Any], zone: str) -> Sequence[str]:
    """The recurrence as its start needs it. Without a start, it is checked and stays as it is."""
    lines, start = event["recurrence"], event.get("start", {})
    if time_field(start) is None:
        check_lines(lines)
        return list(lines)
    return fit_lines(lines, start, event.get("end", {}), zone)


def resolve_original_start(time: EventTime, options: TimeOptions) -> EventTime:
    """The original start of an occurrence; a local time without a zone is in that of its series.

    Raises FieldError.
    """
    _require_one_time("originalStartTime", time)
    if not time.get("timeZone"):
        return time
    path = "originalStartTime.dateTime"
    return _resolve_time(time, time["timeZone"], options.daylight_saving, path, recurs=True)


def _require_one_time(name: str, time: EventTime) -> None:
    if time.get("timeZone"):
        _require_zone(time["timeZone"], f"{name}.timeZone")
    if time.get("date") and time.get("dateTime"):
        raise FieldError(
            name, f"{name}.date and {name}.dateTime are both given; keep the one that is meant"
        )


def _resolve_time(
    time: EventTime, default_zone: str, daylight_saving: str, path: str, recurs: bool
) -> EventTime:
    if not time.get("dateTime"):
        return time
    zone = time.get("timeZone") or default_zone
    moment = datetime.fromisoformat(time["dateTime"])
    is_local = moment.tzinfo is None
    if is_local:
        moment = localize(moment, zone, daylight_saving, path)
    resolved = {**time, "dateTime": _rfc3339(moment)}
    # Google repeats a series by the clock of its zone; a single time with an offset needs none.
    if is_local or recurs:
        resolved["timeZone"] = zone
    return resolved


def _rfc3339(moment: datetime) -> str:
    """A moment as Google reads it.

    RFC 3339 cannot write an offset with seconds, as places had before time zones: such a moment is
    written in UTC.
    """
    offset = moment.utcoffset()
    if offset is not None and offset.total_seconds() % 60:
        moment = moment.astimezone(UTC)
    return moment.isoformat()


def localize(local: datetime, zone: str, daylight_saving: str, path: str) -> datetime:
    """The moment at which the clocks of a zone show a local time.

    Raises FieldError if a clock change skips or repeats that time and `daylight_saving` is
    `error`.
    """
    info = ZoneInfo(zone)
    # The same local time before and after a clock change (PEP 495).
    first, second = local.replace(tzinfo=info, fold=0), local.replace(tzinfo=info, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    is_gap = _normalize(first, info).replace(tzinfo=None, fold=0) != local
    # In a gap, fold=0 has the offset of before it, which makes it the later moment (PEP 495).
    earlier, later = (second, first) if is_gap else (first, second)
    readings = {"earlier": earlier, "later": later, "compatible": first}
    if daylight_saving in readings:
        return _normalize(readings[daylight_saving], info)
    fault = "does not exist" if is_gap else "exists twice"
    texts = [_normalize(moment, info).isoformat() for moment in (earlier, later)]
    raise FieldError(
        path,
        f"{path} {local.isoformat()} {fault} in {zone}, because clocks change then; "
        f"write {' or '.join(texts)}, or choose with metaData.daylightSaving: earlier, later or "
        "compatible",
    )


def _normalize(moment: datetime, info: ZoneInfo) -> datetime:
    """A moment as the clocks of its zone show it: they never show a time in a gap."""
    return moment.astimezone(UTC).astimezone(info)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_zone(name: object) -> bool:
    """Whether a name is that of a time zone (IANA)."""
    return name in _zones()


def _require_zone(zone: str, path: str) -> None:
    if zone in _zones():
        return
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON  # noqa: PLC0415 - loads long

    similar = [WINDOWS_TO_OLSON.get(zone), *get_close_matches(zone, _zones(), 1), "Europe/Berlin"]
    suggestion = next(filter(None, similar))
    raise FieldError(
        path, f"{path} {zone!r} is not the name of a time zone (IANA); did you mean {suggestion!r}?"
    )


# --- start and end ---


def time_field(time: EventTime) -> str | None:
    """The field of a start or an end that has its value; None if there is none."""
    return next(filter(time.get, ("date", "dateTime")), None)


def _resolve_end(event: dict[str, Any]) -> None:
    """Give an all-day event its end, and check that the end fits the start. Raises FieldError."""
    start, end = event.get("start", {}), event.get("end", {})
    resolve = _ENDS.get((time_field(start), time_field(end)))
    if resolve is not None:
        event["end"] = resolve(start, end)


def _day_after(start: EventTime, end: EventTime) -> EventTime:
    """The end of an all-day event of one day."""
    # Google's end is exclusive: the day after the last
    # (https://developers.google.com/workspace/calendar/api/v3/reference/events, field `end`).
    return {"date": (date.fromisoformat(start["date"]) + timedelta(days=1)).isoformat()}


def _require_later_day(start: EventTime, end: EventTime) -> EventTime:
    if end["date"] <= start["date"]:
        raise FieldError(
            "end.date",
            f"end.date {end['date']} is not after start.date {start['date']}; the end of an "
            "all-day event is the day after its last: "
            f"{_day_after(start, end)['date']} for one day",
        )
    return end


def _require_later_moment(start: EventTime, end: EventTime) -> EventTime:
    if datetime.fromisoformat(end["dateTime"]) < datetime.fromisoformat(start["dateTime"]):
        raise FieldError(
            "end.dateTime",
            f"end.dateTime {end['dateTime']} is before start.dateTime {start['dateTime']}",
        )
    return end


def _refuse_mixture(start: EventTime, end: EventTime) -> EventTime:
    begins, ends = (time.get("date") or time["dateTime"] for time in (start, end))
    raise FieldError(
        "end", f"start is {begins} and end is {ends}; give both a time, or neither of them"
    )


_ENDS: Mapping[tuple[str | None, str | None], Callable[[EventTime, EventTime], EventTime]] = {
    ("date", None): _day_after,
    ("date", "date"): _require_later_day,
    ("dateTime", "dateTime"): _require_later_moment,
    ("date", "dateTime"): _refuse_mixture,
    ("dateTime", "date"): _refuse_mixture,
}
"""By the fields of start and end; a start or an end alone is not checked."""
