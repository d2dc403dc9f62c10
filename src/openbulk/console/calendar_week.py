"""A week of a calendar: what a plan would put there, change or take away, and what stays."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

_DATE = len("2026-05-30")
_DAY = datetime.timedelta(days=1)
DAYS = 7
STAYS = "stays"
"""The kind of an event that the plan does not touch."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An event on one day."""

    title: str
    time: str
    """`18:00`, or "" if it takes the whole day, or began before it."""
    until: str
    kind: str
    """That of its row in the plan, or `STAYS`."""
    row: int | None = None
    repeats: bool = False
    before: str = ""
    """When it is now, if the plan moves it."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the week."""

    date: datetime.date
    events: Sequence[Shown]


def monday_of(text: str) -> datetime.date | None:
    """The first day of the week that a date is in; None if the text begins with no date."""
    try:
        day = datetime.date.fromisoformat(text[:_DATE])
    except ValueError:
        return None
    # The weeks before and behind it have to be dates, too.
    if not datetime.MINYEAR < day.year < datetime.MAXYEAR:
        return None
    return day - day.weekday() * _DAY


def week_of(
    monday: datetime.date,
    planned: Iterable[Mapping[str, Any]],
    there: Iterable[Mapping[str, Any]],
) -> Sequence[Day]:
    """The seven days from a Monday on.

    `planned` are rows of a plan with an `entry`, `there` the service's own events.
    """
    by_day: dict[datetime.date, list[Shown]] = {
        monday + number * _DAY: [] for number in range(DAYS)
    }
    touched: set[str] = set()
    for row in planned:
        touched |= {row["id"]} if "id" in row else set()
        entry = row["entry"]
        shown = _event_of(entry, row["kind"], row["rowNum"], _before(row))
        _place(by_day, entry["start"], entry["end"], shown)
    for event in there:
        start, end = _moment(event.get("start")), _moment(event.get("end"))
        is_touched = {event.get("id"), event.get("recurringEventId")} & touched
        if start and not is_touched and event.get("status") != "cancelled":
            entry = {"title": event.get("summary") or "", "start": start, "end": end or start}
            _place(by_day, start, end or start, _event_of(entry, STAYS))
    return [
        Day(day, sorted(events, key=lambda one: (one.time, one.title)))
        for day, events in by_day.items()
    ]


def _event_of(
    entry: Mapping[str, Any], kind: str, row: int | None = None, before: str = ""
) -> Shown:
    return Shown(
        entry["title"],
        _time(entry["start"]),
        _time(entry["end"]),
        kind,
        row,
        bool(entry.get("repeats")),
        before,
    )


def _place(by_day: dict[datetime.date, list[Shown]], start: str, end: str, shown: Shown) -> None:
    """Put an event on each of its days that are in the week."""
    for day, events in by_day.items():
        name = day.isoformat()
        # The end of whole days is the day behind them.
        is_before_end = name < end if len(end) == _DATE else name <= end[:_DATE]
        if name == start[:_DATE]:
            ends_here = end[:_DATE] == name
            events.append(shown if ends_here else replace(shown, until=""))
        elif start[:_DATE] < name and is_before_end:
            ends_here = end[:_DATE] == name
            events.append(replace(shown, time="", until=shown.until if ends_here else ""))


def _before(row: Mapping[str, Any]) -> str:
    """When an event is now that the plan moves."""
    change = row.get("changes", {}).get("start")
    return _moment(change["before"]).replace("T", " ")[: len("2026-05-30 18:00")] if change else ""


def _moment(time: Any) -> str:
    return str(time.get("dateTime") or time.get("date") or "") if isinstance(time, Mapping) else ""


def _time(moment: str) -> str:
    return moment[_DATE + 1 : _DATE + 6]
