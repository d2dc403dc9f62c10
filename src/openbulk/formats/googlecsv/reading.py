"""Rows of Google Calendar's CSV to events in the fields of the Calendar API."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from openbulk.domain.dates import EXAMPLES, parse_date, parse_time
from openbulk.domain.records import Problem, Row
from openbulk.formats.googlecsv.columns import (
    ALL_DAY,
    DESCRIPTION,
    END_DATE,
    END_TIME,
    IDENTITY_COLUMNS,
    LOCATION,
    PRIVATE,
    START_DATE,
    START_TIME,
    SUBJECT,
    Cells,
    cells_of,
)

_API_FIELDS: Mapping[str, str] = {
    SUBJECT: "summary",
    DESCRIPTION: "description",
    LOCATION: "location",
    **{name.lower(): name for name in IDENTITY_COLUMNS},
}
_YES = frozenset({"true", "yes", "1", "wahr", "vrai", "on"})


class _WrongCell(ValueError):
    """A cell does not hold what its column should."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(f"{column.title()} {message}")
        self.column = column.title()


def read_event(row: Row, order: str) -> Row:
    """A row with an event's fields; a broken one if a cell is wrong. A broken row stays broken.

    `order` is the order of the numbers in dates (`domain.dates.EXAMPLES`).
    """
    if row.values is None:
        return row
    try:
        return replace(row, values=_event(cells_of(row.values), order))
    except OverflowError:
        problem = Problem("the event ends after the year 9999; let it end earlier", "End Date")
    except _WrongCell as error:
        problem = Problem(str(error), error.column)
    return replace(row, values=None, problem=problem)


def _event(cells: Cells, order: str) -> dict[str, Any]:
    """An event with local times. Raises _WrongCell, or OverflowError after the year 9999."""
    event: dict[str, Any] = {
        field: cells[column] for column, field in _API_FIELDS.items() if cells.get(column)
    }
    if cells.get(PRIVATE, "").lower() in _YES:
        event["visibility"] = "private"
    return event | _start_and_end(cells, order)


def _start_and_end(cells: Cells, order: str) -> dict[str, Any]:
    """An event without a start time is all-day; one without an end date ends on its first day."""
    if not cells.get(START_DATE):
        raise _WrongCell(START_DATE, f"is empty; an event needs one, like {EXAMPLES[order]}")
    first_day = last_day = _date(cells, START_DATE, order)
    if cells.get(END_DATE):
        last_day = _date(cells, END_DATE, order)
    is_all_day = cells.get(ALL_DAY, "").lower() in _YES
    if is_all_day or not cells.get(START_TIME):
        # The file has the last day of an all-day event; the API wants the day after it
        # (https://developers.google.com/calendar/api/v3/reference/events, `end`: "exclusive").
        day_after = last_day + timedelta(days=1)
        return {"start": {"date": first_day.isoformat()}, "end": {"date": day_after.isoformat()}}
    start = datetime.combine(first_day, _time(cells, START_TIME))
    return {
        "start": _local_time(start, cells.get("start.timezone")),
        "end": _local_time(_end(cells, start, last_day), cells.get("end.timezone")),
    }


def _end(cells: Cells, start: datetime, last_day: date) -> datetime:
    if cells.get(END_TIME):
        return datetime.combine(last_day, _time(cells, END_TIME))
    return start + timedelta(hours=1)  # as in Google's own import


def _local_time(moment: datetime, zone: str | None) -> dict[str, str]:
    if not zone:
        return {"dateTime": moment.isoformat()}
    return {"dateTime": moment.isoformat(), "timeZone": zone}


def _date(cells: Cells, column: str, order: str) -> date:
    try:
        return parse_date(cells[column], order)
    except ValueError as error:
        raise _WrongCell(
            column,
            f"{error}; dates in this file look like {EXAMPLES[order]}; "
            "metaData.dateOrder sets another order",
        ) from error


def _time(cells: Cells, column: str) -> time:
    try:
        return parse_time(cells[column])
    except ValueError as error:
        raise _WrongCell(
            column, f"{cells[column]!r} is not a time; times look like 10:00 AM or 22:00"
        ) from error
