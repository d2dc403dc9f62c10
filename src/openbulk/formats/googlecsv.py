"""The CSV that Google Calendar's own import takes, and Outlook's export, which begins with the same columns.

`Subject, Start Date, Start Time, End Date, End Time, All Day Event, Description, Location, Private`
(https://support.google.com/calendar/answer/37118), in any order and case; other columns are left out. Rows come in the
fields of the Calendar API. The order of day and month is `metaData.dateOrder` (`MDY`, `DMY`, `YMD`), else the one in
which every date of the file is a date; where more than one fits, Google's, month first.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, BinaryIO

from openbulk.domain.dates import EXAMPLES, written_date, written_time
from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row
from openbulk.formats.csv import DELIMITERS, Csv

SUBJECT, START_DATE, START_TIME = "subject", "start date", "start time"
END_DATE, END_TIME, ALL_DAY = "end date", "end time", "all day event"
PRIVATE = "private"
_TEXTS: Mapping[str, str] = {SUBJECT: "summary", "description": "description", "location": "location"}
_TIMES = frozenset({START_TIME, END_DATE, END_TIME, ALL_DAY})
_YES = frozenset({"true", "yes", "1", "wahr", "vrai", "on"})
_ORDERS = ("MDY", "DMY", "YMD")
"""As they are tried: Google's own first."""

Cells = Mapping[str, str]
"""A row's cells by their column's name in lower case."""


class GoogleCsv:
    """Reads Google Calendar's CSV."""

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
    return {name.strip().lower(): str(value).strip() for name, value in values.items()}


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
    return {**event, "start": {"dateTime": begins.isoformat()}, "end": {"dateTime": ends.isoformat()}}


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
