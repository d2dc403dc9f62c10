"""When an event is: local times get their zone, and what a clock change makes doubtful is said, never moved.

A local time takes the zone of its row, else that of `metaData.timeZone`, else that of the calendar.
`metaData.daylightSaving` says what a time means that a clock change skips or repeats: `error` (the default),
`earlier`, `later`, or `compatible` (RFC 5545, section 3.3.5: the later of a gap, the earlier of a repeated hour).
`metaData.dateOrder` (`MDY`, `DMY`, `YMD`) lets dates be written as people write them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from openbulk.connectors.fields import FieldError
from openbulk.domain.dates import EXAMPLES, needs_date_order, parse_date, parse_time

PLACES = ("start", "end", "originalStartTime")
DAYLIGHT_SAVING = ("error", "earlier", "later", "compatible")
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
_LINE = re.compile(
    r"(?P<name>RRULE|EXRULE|RDATE|EXDATE)(?P<parameters>;[^:]*)?:(?P<value>.+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller's metaData says about times."""

    zone: str | None = None
    daylight_saving: str = "error"
    order: str | None = None


def choices_of(options: Mapping[str, Any]) -> Choices:
    """What metaData says about times. Raises FieldError."""
    zone = str(options["timeZone"]) if options.get("timeZone") else None
    if zone is not None:
        _check_zone(zone, "metaData.timeZone")
    return Choices(
        zone,
        _one_of(options, "daylightSaving", DAYLIGHT_SAVING) or "error",
        _one_of(options, "dateOrder", tuple(EXAMPLES)),
    )


def _one_of(options: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str | None:
    told = options.get(name)
    if told in (None, ""):
        return None
    same = [one for one in known if one.lower() == str(told).lower()]
    if not same:
        raise FieldError(
            name, f"metaData.{name} {told!r} is not known; it can be {', '.join(known)}"
        )
    return same[0]


# --- dates as people write them ---


def with_iso_dates(values: Mapping[str, Any], order: str | None) -> Mapping[str, Any]:
    """A row whose dates and times are in ISO 8601, where metaData says in which order they are written."""
    if order is None:
        return values
    return {
        name: {part: _iso(value, order, f"{name}.{part}") for part, value in place.items()}
        if name in PLACES and isinstance(place, Mapping)
        else place
        for name, place in values.items()
    }


def _iso(value: Any, order: str, path: str) -> Any:
    day, _, time = str(value).strip().partition(" ")
    if not needs_date_order(day):
        return value
    try:
        date_part = parse_date(day, order).isoformat()
        return f"{date_part}T{parse_time(time).isoformat()}" if time else date_part
    except ValueError as error:
        raise FieldError(
            path,
            f"{path} {value!r} is not a date; by metaData.dateOrder {order} they look like {EXAMPLES[order]}",
        ) from error


# --- zones and clock changes ---


def needs_zone(body: Mapping[str, Any]) -> bool:
    """Whether a time is local and its row has no zone for it, or recurs without one."""
    start_zone = body.get("start", {}).get("timeZone")
    return any(
        place.get("dateTime")
        and not place.get("timeZone")
        and not start_zone
        and (body.get("recurrence") or datetime.fromisoformat(place["dateTime"]).tzinfo is None)
        for place in (body.get(name, {}) for name in PLACES)
    )


def settled(
    body: Mapping[str, Any], *, zone: str, choices: Choices, is_update: bool = False
) -> dict[str, Any]:
    """An event whose times say which moment they are. Raises FieldError.

    `body` is in Google's types, `zone` the one of local times whose row has none. An update says nothing of what it
    leaves out: an all-day event keeps its end.
    """
    result = dict(body)
    own_zone = body.get("start", {}).get("timeZone")
    for name in PLACES:
        if name in body:
            result[name] = _settled_place(
                name, body[name], own_zone or zone, choices, bool(body.get("recurrence"))
            )
    if not is_update or result.get("end"):
        _settle_end(result)
    for line in result.get("recurrence", ()):
        _check_recurrence(line, is_timed=_is_timed(result.get("start", {})))
    return result


def _settled_place(
    name: str, place: Mapping[str, Any], zone: str, choices: Choices, recurs: bool
) -> Mapping[str, Any]:
    if place.get("timeZone"):
        _check_zone(place["timeZone"], f"{name}.timeZone")
    if place.get("date") and place.get("dateTime"):
        raise FieldError(
            name, f"{name}.date and {name}.dateTime are both given; keep the one that is meant"
        )
    if not place.get("dateTime"):
        return place
    moment = _with_whole_minutes(datetime.fromisoformat(place["dateTime"]))
    named = place.get("timeZone") or zone
    if moment.tzinfo is None:
        moment = _with_whole_minutes(
            localized(moment, named, choices.daylight_saving, f"{name}.dateTime")
        )
    elif not place.get("timeZone") and not recurs:
        return {**place, "dateTime": moment.isoformat()}
    return {**place, "dateTime": moment.isoformat(), "timeZone": named}


def _with_whole_minutes(moment: datetime) -> datetime:
    """The moment in UTC where its offset has seconds, as before there were zones: RFC 3339 cannot write those."""
    offset = moment.utcoffset()
    return moment.astimezone(UTC) if offset is not None and offset.total_seconds() % 60 else moment


def localized(local: datetime, zone: str, choice: str, path: str) -> datetime:
    """The moment that a local time is. Raises FieldError where a clock change makes that doubtful."""
    info = ZoneInfo(zone)
    first, second = local.replace(tzinfo=info, fold=0), local.replace(tzinfo=info, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    is_gap = first.astimezone(UTC).astimezone(info).replace(tzinfo=None, fold=0) != local
    # In a gap, fold=0 has the offset of before it, which makes it the later moment (PEP 495).
    earlier, later = (second, first) if is_gap else (first, second)
    match choice:
        case "earlier":
            chosen = earlier
        case "later":
            chosen = later
        case "compatible":
            chosen = later if is_gap else earlier
        case _:
            what = "does not exist" if is_gap else "exists twice"
            readings = " or ".join(_shown(moment, info) for moment in (earlier, later))
            raise FieldError(
                path,
                f"{path} {local.isoformat()} {what} in {zone}, because clocks change then; write {readings}, or say "
                "with metaData.daylightSaving which is meant: earlier, later or compatible",
            )
    return chosen.astimezone(UTC).astimezone(info)


def _shown(moment: datetime, info: ZoneInfo) -> str:
    return moment.astimezone(UTC).astimezone(info).isoformat()


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _check_zone(zone: str, path: str) -> None:
    if zone in _zones():
        return
    near = WINDOWS_TO_OLSON.get(zone) or next(
        iter(get_close_matches(zone, _zones(), 1)), "Europe/Berlin"
    )
    raise FieldError(
        path, f"{path} {zone!r} is not the name of a time zone (IANA); did you mean {near!r}?"
    )


# --- start, end and recurrence ---


def _is_timed(start: Mapping[str, Any]) -> bool | None:
    """Whether an event has times rather than dates; None where the row does not say."""
    return bool(start.get("dateTime")) if start.get("date") or start.get("dateTime") else None


def _settle_end(event: dict[str, Any]) -> None:
    start, end = event.get("start", {}), event.get("end", {})
    if start.get("date") and not (end.get("date") or end.get("dateTime")):
        event["end"] = {"date": (date.fromisoformat(start["date"]) + timedelta(days=1)).isoformat()}
    elif start.get("date") and end.get("date"):
        if end["date"] <= start["date"]:
            after = (date.fromisoformat(start["date"]) + timedelta(days=1)).isoformat()
            raise FieldError(
                "end.date",
                f"end.date {end['date']} is not after start.date {start['date']}; the end of an all-day event is the "
                f"day after its last: {after} for one day",
            )
    elif (start.get("date") and end.get("dateTime")) or (start.get("dateTime") and end.get("date")):
        raise FieldError("end", "start and end have to be two dates, or two times")
    elif start.get("dateTime") and end.get("dateTime"):
        begins, ends = (
            datetime.fromisoformat(start["dateTime"]),
            datetime.fromisoformat(end["dateTime"]),
        )
        if ends < begins:
            raise FieldError(
                "end.dateTime",
                f"end.dateTime {end['dateTime']} is before start.dateTime {start['dateTime']}",
            )


def _check_recurrence(line: str, *, is_timed: bool | None) -> None:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise FieldError(
            "recurrence",
            f"recurrence {line!r} is not RRULE, EXRULE, RDATE or EXDATE; it looks like RRULE:FREQ=WEEKLY;COUNT=10, and "
            "the start is in start",
        )
    if not match["name"].upper().endswith("RULE"):
        return
    rule = dict(part.upper().split("=", 1) for part in match["value"].split(";") if "=" in part)
    if rule.get("FREQ") not in _FREQUENCIES:
        raise FieldError(
            "recurrence", f"recurrence {line!r} has no FREQ; it can be {', '.join(_FREQUENCIES)}"
        )
    if "UNTIL" in rule and "COUNT" in rule:
        raise FieldError(
            "recurrence",
            f"recurrence {line!r} has UNTIL and COUNT; keep one (RFC 5545, section 3.3.10)",
        )
    if "UNTIL" in rule and is_timed and not rule["UNTIL"].endswith("Z"):
        raise FieldError(
            "recurrence",
            f"recurrence {line!r}: UNTIL of an event with a time is in UTC, like UNTIL=20261218T225959Z",
        )
    if "UNTIL" in rule and is_timed is False and "T" in rule["UNTIL"]:
        raise FieldError(
            "recurrence",
            f"recurrence {line!r}: UNTIL of an all-day event is a date, like UNTIL=20261218",
        )
