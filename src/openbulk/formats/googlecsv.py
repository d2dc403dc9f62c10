"""The CSV that Google Calendar's own import takes, and Outlook's export, which begins with the same columns.

`Subject, Start Date, Start Time, End Date, End Time, All Day Event, Description, Location, Private`
(https://support.google.com/calendar/answer/37118), in any order and case. Rows come in the fields of the Calendar API;
of other columns, those with an event's id, calendar or time zone count (`KEPT`). The order of day and month is
`metaData.dateOrder` (`MDY`, `DMY`, `YMD`), else the one in which every date of the file is a date; where more than one
fits, Google's, month first.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from openbulk.domain.dates import EXAMPLES, written_date, written_time
from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row, flatten
from openbulk.formats.columns import checked
from openbulk.formats.csv import DELIMITERS, Csv, written_rows

SUBJECT, START_DATE, START_TIME = "subject", "start date", "start time"
END_DATE, END_TIME, ALL_DAY = "end date", "end time", "all day event"
PRIVATE = "private"
_TEXTS: Mapping[str, str] = {SUBJECT: "summary", "description": "description", "location": "location"}
_TIMES = frozenset({START_TIME, END_DATE, END_TIME, ALL_DAY})
_YES = frozenset({"true", "yes", "1", "wahr", "vrai", "on"})
_HALF_DAY = 12
_ORDERS = ("MDY", "DMY", "YMD")
"""As they are tried: Google's own first."""

COLUMNS = (
    *("Subject", "Start Date", "Start Time", "End Date", "End Time", "All Day Event"),
    *("Description", "Location", "Private"),
)
IDENTITY = ("id", "iCalUID", "calendarId")
KEPT = (*IDENTITY, "start.timeZone", "end.timeZone")
"""Columns in the API's words. Google's own import, which knows none of them, leaves them out."""

Cells = Mapping[str, str]
"""A row's cells by their column's name in lower case."""


class GoogleCsv:
    """Reads and writes Google Calendar's CSV."""

    name = "googlecsv"
    looks_like = "Google Calendar's CSV has the columns Subject and Start Date, and dates like 05/30/2026"
    is_binary = False

    def recognizes(self, head: bytes) -> bool:
        """Its first line names an event's subject and start, and one more of Google's columns."""
        line = next(iter(head.decode(errors="replace").lstrip("\ufeff").splitlines()), "")
        return is_googles(max((_names(line, delimiter) for delimiter in DELIMITERS), key=len))

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The events; a row whose date is none is broken. Raises BadInput where the header lacks a column."""
        order = order_of((row.values or {} for row in Csv().read(file, options)), options)
        file.seek(0)
        return (event_row(row, order) for row in Csv().read(file, options))

    def write(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> Iterator[bytes]:
        """Google's columns, and `id` and zones beside them, in local time.

        What Google's columns have no place for (guests, the rule of a series) is left out, and so are events that
        were called off.
        """
        shown = _Shown(records)
        checked(shown, row_of)
        return written_rows([*COLUMNS, *KEPT], map(row_of, shown))


class _Shown:
    """The events that are not called off, each time anew."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self._records = records

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return (record for record in self._records if record.get("status") != "cancelled")


def is_googles(header: Sequence[str]) -> bool:
    """Whether the names of a table's columns are those of Google Calendar's CSV."""
    names = frozenset(name.strip().lower() for name in header)
    return {SUBJECT, START_DATE} <= names and bool(names & _TIMES)


def _names(line: str, delimiter: str) -> Sequence[str]:
    return next(csv.reader(io.StringIO(line), delimiter=delimiter), [])


def order_of(rows: Iterable[Mapping[str, Any]], options: Mapping[str, Any]) -> str:
    """The order of day, month and year that metaData says, or that fits most of the file: where one fits all, that."""
    told = str(options.get("dateOrder") or "").upper()
    if told in EXAMPLES:
        return told
    if told:
        raise BadInput(f"metaData.dateOrder {told!r} is not known; it can be {', '.join(EXAMPLES)}")
    misfits = dict.fromkeys(_ORDERS, 0)
    for values in rows:
        for text in _dates(_cells(values)):
            for order in _ORDERS:
                misfits[order] += not _fits(text, order)
    return min(_ORDERS, key=misfits.__getitem__)


def _dates(cells: Cells) -> Sequence[str]:
    return [cells[name] for name in (START_DATE, END_DATE) if cells.get(name)]


def _fits(text: str, order: str) -> bool:
    try:
        written_date(text, order)
    except ValueError:
        return False
    return True


def _cells(values: Mapping[str, Any]) -> Cells:
    return {name.strip().lower(): str(value).strip() for name, value in flatten(values).items()}


def event_row(row: Row, order: str) -> Row:
    """A row of Google's columns in the fields of the Calendar API; a broken one where it is no event."""
    if row.values is None:
        return row
    cells = _cells(row.values)
    try:
        return replace(row, values=event_of(cells, order))
    except OverflowError:
        return replace(row, values=None, problem=Problem("the event ends beyond the year 9999", field="End Date"))
    except ValueError as error:
        return replace(row, values=None, problem=Problem(str(error), field=_at_fault(error)))


class _WrongCell(ValueError):
    """A cell that does not say what it should."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


def _at_fault(error: ValueError) -> str | None:
    return error.column if isinstance(error, _WrongCell) else None


def event_of(cells: Cells, order: str) -> dict[str, Any]:
    """An event in the fields of the Calendar API, its times local. Raises ValueError with a sentence."""
    event: dict[str, Any] = {field: cells[name] for name, field in _TEXTS.items() if cells.get(name)}
    event |= {name: cells[name.lower()] for name in IDENTITY if cells.get(name.lower())}
    if cells.get(PRIVATE, "").lower() in _YES:
        event["visibility"] = "private"
    if not cells.get(START_DATE):
        raise _WrongCell("Start Date", "Start Date is empty; an event needs one, like 05/30/2026")
    first = _date(cells, START_DATE, order)
    last = _date(cells, END_DATE, order) if cells.get(END_DATE) else first
    if cells.get(ALL_DAY, "").lower() in _YES or not cells.get(START_TIME):
        # The last day of an all-day event is written in the file, and the day after it is what the API wants.
        return {**event, "start": {"date": first.isoformat()}, "end": {"date": (last + timedelta(days=1)).isoformat()}}
    begins = datetime.combine(first, _time(cells, START_TIME))
    ends = datetime.combine(last, _time(cells, END_TIME)) if cells.get(END_TIME) else begins + timedelta(hours=1)
    return {**event, "start": _place(begins, cells, "start"), "end": _place(ends, cells, "end")}


def _place(moment: datetime, cells: Cells, name: str) -> dict[str, str]:
    zone = cells.get(f"{name}.timezone")
    return {"dateTime": moment.isoformat(), **({"timeZone": zone} if zone else {})}


def _date(cells: Cells, name: str, order: str) -> date:
    try:
        return written_date(cells[name], order)
    except ValueError as error:
        raise _WrongCell(
            name.title(),
            f"{name.title()} {cells[name]!r} is not a date; the dates of this file look like {EXAMPLES[order]}, "
            "and metaData.dateOrder says otherwise",
        ) from error


def _time(cells: Cells, name: str) -> Any:
    try:
        return written_time(cells[name])
    except ValueError as error:
        raise _WrongCell(
            name.title(), f"{name.title()} {cells[name]!r} is not a time; times look like 10:00 AM or 22:00"
        ) from error


# --- an event to a row ---


def row_of(event: Mapping[str, Any]) -> Sequence[str]:
    """An event of the Calendar API in COLUMNS and KEPT. Raises ValueError or KeyError where it is none."""
    start, end = event.get("start") or {}, event.get("end") or event.get("start") or {}
    if not (start.get("date") or start.get("dateTime")):
        raise ValueError('an event has a start: {"date": "2026-05-30"} or {"dateTime": "2026-05-30T10:00:00+02:00"}')
    is_private = event.get("visibility") in {"private", "confidential"}  # the same to Google, the one for the other
    return [
        str(event.get("summary") or ""),
        *(_days(start, end) if start.get("date") else _times_of(start, end)),
        str(event.get("description") or ""),
        str(event.get("location") or ""),
        str(is_private),
        *(str(event.get(name) or "") for name in IDENTITY),
        *(_local(place)[1] if place.get("dateTime") else "" for place in (start, end)),
    ]


def _days(start: Mapping[str, str], end: Mapping[str, str]) -> Sequence[str]:
    first = date.fromisoformat(start["date"])
    last = max(first, date.fromisoformat(end["date"]) - timedelta(days=1))
    return [_day(first), "", _day(last), "", "True"]


def _times_of(start: Mapping[str, str], end: Mapping[str, str]) -> Sequence[str]:
    begins, ends = _local(start)[0], _local(end)[0]
    return [_day(begins), _clock(begins), _day(ends), _clock(ends), "False"]


def _local(place: Mapping[str, str]) -> tuple[datetime, str]:
    """What the clocks show, and where; in UTC where the event has no zone, or clocks there show the time twice."""
    moment, zone = datetime.fromisoformat(place["dateTime"]), place.get("timeZone") or ""
    if moment.tzinfo is None:
        return moment, zone
    if zone:
        local = moment.astimezone(ZoneInfo(zone))
        if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
            return local, zone
    return moment.astimezone(UTC), "UTC"


def _day(moment: date) -> str:
    return f"{moment.month:02}/{moment.day:02}/{moment.year:04}"


def _clock(moment: datetime) -> str:
    seconds = f":{moment.second:02}" if moment.second else ""
    return f"{moment.hour % 12 or 12}:{moment.minute:02}{seconds} {'PM' if moment.hour >= _HALF_DAY else 'AM'}"
