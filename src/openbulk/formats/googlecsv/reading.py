"""Rows of Google Calendar's CSV to events in the fields of the Calendar API."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from openbulk.domain.dates import DateOrder, WrittenDate, add_time, read_date
from openbulk.domain.records import Problem, Row
from openbulk.domain.times_of_day import parse_time
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
    name_column,
)

_API_FIELDS: Mapping[str, str] = {
    SUBJECT: "summary",
    DESCRIPTION: "description",
    LOCATION: "location",
    **{name.lower(): name for name in IDENTITY_COLUMNS},
}
_MIDNIGHT = timedelta()
_YES = frozenset({"true", "yes", "y", "1", "on", "wahr", "ja", "vrai", "oui"})
_NO = frozenset({"false", "no", "n", "0", "off", "falsch", "nein", "faux", "non", ""})
_DAYS_OF_TIMES = frozenset({date(1899, 12, 30), date(1899, 12, 31), date(1904, 1, 1)})
"""The day that a spreadsheet gives a time without a day."""


class _WrongCell(ValueError):
    """A cell does not hold what its column should."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(f"{column.title()} {message}")
        self.column = column.title()


def read_event(row: Row, order: DateOrder, unread: Sequence[str] = ()) -> Row:
    """A row with an event's fields; a broken one if a cell is wrong. A broken row stays broken.

    `order` is the order of the numbers in the file's dates. Columns that are `unread` become a
    remark if they are filled.
    """
    if row.values is None:
        return row
    try:
        event = _event(cells_of(row.values), order)
        values = event | _cleared_fields(row.values)
        return row._replace(values=values, remarks=_remarks(row.values, unread))
    except OverflowError:
        problem = Problem("the event ends after the year 9999; let it end earlier", "End Date")
    except _WrongCell as error:
        problem = Problem(str(error), error.column)
    return row._replace(values=None, problem=problem, cells=row.values)


def _remarks(values: Mapping[str, Any], unread: Sequence[str]) -> Sequence[str]:
    lost = [f"{name!r} ({str(values[name])!r})" for name in unread if values.get(name)]
    if not lost:
        return ()
    columns, are = ("column", "is") if len(lost) == 1 else ("columns", "are")
    names = " and ".join(filter(None, (", ".join(lost[:-1]), lost[-1])))
    return (f"the {columns} {names} {are} not part of Google Calendar's CSV and {are} left out",)


def _event(cells: Cells, order: DateOrder) -> dict[str, Any]:
    """An event with local times. Raises _WrongCell, or OverflowError after the year 9999."""
    event: dict[str, Any] = {
        field: cells[column] for column, field in _API_FIELDS.items() if cells.get(column)
    }
    if _is_true(cells, PRIVATE):
        event["visibility"] = "private"
    return event | _start_and_end(cells, order)


def _cleared_fields(values: Mapping[str, Any]) -> dict[str, None]:
    """The fields whose cells say that they are to be cleared (`metaData.nullValue`)."""
    cleared = {name_column(name) for name, value in values.items() if value is None}
    return {field: None for column, field in _API_FIELDS.items() if column in cleared}


def _is_true(cells: Cells, column: str) -> bool:
    text = cells.get(column, "").lower()
    if text not in _YES | _NO:
        raise _WrongCell(column, f'"{cells[column]}" is not known; it can be True or False')
    return text in _YES


@dataclass(frozen=True, slots=True)
class _Moment:
    """A day, and the time that its row has for it."""

    day: date
    time: timedelta | None

    def at(self, time: timedelta) -> datetime:
        """The moment of the day at its own time, else at this one."""
        return add_time(self.day, time if self.time is None else self.time)


def _start_and_end(cells: Cells, order: DateOrder) -> dict[str, Any]:
    """An event without a start time is all-day; one without an end date ends on its first day."""
    if not cells.get(START_DATE):
        raise _WrongCell(START_DATE, f"is empty; an event needs one, like {order.example}")
    start = _moment(cells, START_DATE, START_TIME, order)
    last_day = END_DATE if cells.get(END_DATE) else START_DATE
    end = _moment(cells, last_day, END_TIME, order)
    if _is_true(cells, ALL_DAY):
        return _all_day(start, end, ends_at_midnight=bool(cells.get(END_TIME)) and not end.time)
    if start.time is None and not end.time:
        return _all_day(start, end, ends_at_midnight=False)
    if start.time is None and not _has_midnight(cells, START_DATE, order):
        raise _WrongCell(
            START_TIME, f'is empty, but End Time is "{cells.get(END_TIME)}"; fill both or neither'
        )
    begins = start.at(_MIDNIGHT)
    return {
        "start": _api_time(begins, cells.get("start.timezone")),
        "end": _api_time(_end(cells, begins, end, order), cells.get("end.timezone")),
    }


def _end(cells: Cells, begins: datetime, end: _Moment, order: DateOrder) -> datetime:
    if end.time is not None or _has_midnight(cells, END_DATE, order):
        return end.at(_MIDNIGHT)
    if end.day != begins.date():
        raise _WrongCell(
            END_TIME,
            f'is empty, but End Date is "{cells[END_DATE]}"; an event with a start time '
            "needs its end time there",
        )
    return begins + timedelta(hours=1)  # as in Google's own import


def _all_day(start: _Moment, end: _Moment, *, ends_at_midnight: bool) -> dict[str, Any]:
    """An event of whole days.

    The file has the last day of an all-day event, the API the day after it
    (https://developers.google.com/calendar/api/v3/reference/events, `end`: "exclusive"). Outlook
    writes the midnight at which the event ends: that is the day after it, too.
    """
    is_exclusive = ends_at_midnight and end.day > start.day
    day_after = end.day if is_exclusive else end.day + timedelta(days=1)
    return {"start": {"date": start.day.isoformat()}, "end": {"date": day_after.isoformat()}}


def _api_time(moment: datetime, zone: str | None) -> dict[str, str]:
    if not zone:
        return {"dateTime": moment.isoformat()}
    return {"dateTime": moment.isoformat(), "timeZone": zone}


def _moment(cells: Cells, date_column: str, time_column: str, order: DateOrder) -> _Moment:
    """The day in one cell, and the time in another, or in the cell of the day.

    A spreadsheet writes a day with the time 00:00: that time does not count.
    """
    found, day = _date(cells, date_column, order)
    is_end_of_start_day = date_column == START_DATE and time_column == END_TIME
    time = None if is_end_of_start_day else found.time or None
    if not cells.get(time_column):
        return _Moment(day, time)
    stated = _time(cells, time_column, day, order)
    if time not in {None, stated}:
        raise _WrongCell(
            time_column,
            f'"{cells[time_column]}" is another time than in {date_column.title()} '
            f'"{cells[date_column]}"; keep one of them',
        )
    return _Moment(day, stated)


def _has_midnight(cells: Cells, column: str, order: DateOrder) -> bool:
    """Whether the cell of a date has the time 00:00."""
    return bool(cells.get(column)) and _date(cells, column, order)[0].time == _MIDNIGHT


def _date(cells: Cells, column: str, order: DateOrder) -> tuple[WrittenDate, date]:
    found = read_date(cells[column])
    try:
        if found is None:
            raise ValueError(f'"{cells[column]}" is not a date')
        if found.offset:
            raise ValueError(f'"{cells[column]}" has an offset; the times of this CSV are local')
        return found, found.day(order)
    except ValueError as error:
        raise _WrongCell(column, _with_example(str(error), order)) from error


def _with_example(problem: str, order: DateOrder) -> str:
    """The problem of a date, and what would be right if it does not say that itself."""
    if "metaData.dateOrder" in problem:
        return problem
    return (
        f"{problem}; dates in this file look like {order.example}; "
        "metaData.dateOrder sets another order"
    )


def _time(cells: Cells, column: str, day: date, order: DateOrder) -> timedelta:
    text = cells[column]
    try:
        return parse_time(text)
    except ValueError as error:
        found = read_date(text)
        if found is not None and found.time is not None and not found.offset:
            with suppress(ValueError):
                if found.day(order) in {day, *_DAYS_OF_TIMES}:
                    return found.time
        raise _WrongCell(column, f"{error}; times look like 10:00 AM or 22:00") from error
