"""The dates of series that have rows of their own in the file of a job.

They are read from the whole file once, when the first row needs them, and kept in a temporary
SQLite database (https://sqlite.org/inmemorydb.html): a date may come long before or after its
series.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import orjson

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.event_rows import RowReader
from openbulk.connectors.googlecalendar.events import Event, is_cancelled, private_property
from openbulk.connectors.googlecalendar.identity import (
    ICAL_UID,
    ID,
    PartName,
    identity_of,
    part_name,
)
from openbulk.connectors.googlecalendar.recurrence import OriginalStart, begin_stamp
from openbulk.domain.records import Action, Record, Target, value_at

_SCHEMA = """
CREATE TABLE dates (
    calendar TEXT, field TEXT, value TEXT, happens INTEGER, moment TEXT, is_day INTEGER, zone TEXT,
    has_later INTEGER
);
CREATE INDEX by_series ON dates (calendar, field, value);
CREATE TABLE parts (calendar TEXT, series TEXT, begin TEXT, happens INTEGER, event BLOB);
CREATE INDEX by_whole ON parts (calendar, series);
CREATE TABLE events (
    calendar TEXT, field TEXT, value TEXT, PRIMARY KEY (calendar, field, value)
) WITHOUT ROWID;
"""
_ADD = "INSERT INTO dates VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_ADD_PART = "INSERT INTO parts VALUES (?, ?, ?, ?, ?)"
_SELECT_PARTS = "SELECT begin, happens, event FROM parts WHERE calendar = ? AND series = ?"
_OF_SERIES = """
SELECT happens, has_later, moment, is_day, zone FROM dates
WHERE calendar = ? AND field = ? AND value = ?
"""
_ADD_EVENT = "INSERT OR IGNORE INTO events VALUES (?, ?, ?)"
_HAS_EVENT = "SELECT 1 FROM events WHERE calendar = ? AND field = ? AND value = ?"
MAX_JOBS = 8
"""Jobs whose dates are kept; those of another one are read again."""
_SCHEDULE = ("start", "recurrence")


class FileDates:
    """The dates with rows of their own in the file of one job."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._loading = asyncio.Lock()
        self._fields: Sequence[str] | None = None
        """The fields that name the series of these dates; None until the file is read."""
        self._column = ID
        """The column that identifies events, if the caller names one."""

    async def load(self, target: Target) -> None:
        """Read the file of the job, unless that was done before."""
        # Rows are sent concurrently: the first one reads, and the others wait for it.
        async with self._loading:
            if self._fields is not None:
                return
            self._database.executescript("DELETE FROM dates; DELETE FROM parts; DELETE FROM events")
            if target.job_records is not None:
                reader = RowReader(target)
                async for record, _ in target.job_records.each():
                    if record.values.get("originalStartTime"):
                        self._add(record, reader)
                    else:
                        self._add_event(record, reader)
            fields = self._database.execute("SELECT DISTINCT field FROM dates")
            self._fields = [field for (field,) in fields]

    def _add(self, record: Record, reader: RowReader) -> None:
        try:
            draft = reader.draft(record)
            if draft.original_start is None:
                return
            values = {**record.values, **draft.body}
            series = identity_of(values, draft.body, reader.target, is_occurrence=True)
        except (FieldError, OverflowError):
            return  # this row is refused, and is no date
        if series is not None:
            place = draft.calendar, series.field, series.value
            happens = not is_cancelled(draft.body)
            start = draft.original_start
            self._database.execute(_ADD, (*place, happens, *start.pack(), start.is_this_and_future))

    def _add_event(self, record: Record, reader: RowReader) -> None:
        part = part_name(record.values.get(ICAL_UID))
        if part is not None:
            self._add_part(record, reader, part)
        self._column = reader.target.identifier_field or ID
        for name in {ID, self._column}:
            value = value_at(record.values, name)
            if value not in (None, ""):
                calendar = str(record.values.get("calendarId") or reader.calendar)
                self._database.execute(_ADD_EVENT, (calendar, name, str(value)))

    def has_row(self, event: Event, calendar: str) -> bool:
        """Whether a row has the id of an event, or the value of the caller's column."""
        key = self._column.removeprefix("extendedProperties.private.")
        names = {self._column: private_property(event, key), ID: event["id"]}
        return any(
            self._database.execute(_HAS_EVENT, (calendar, name, value)).fetchone()
            for name, value in names.items()
        )

    def _add_part(self, record: Record, reader: RowReader, part: PartName) -> None:
        try:
            draft = reader.draft(record)
        except (FieldError, OverflowError):
            return
        happens = not is_cancelled(draft.body) and reader.target.action is not Action.DELETE
        fields = {name: draft.body[name] for name in _SCHEDULE if name in draft.body}
        row = draft.calendar, part.series, part.begin, happens, orjson.dumps(fields)
        self._database.execute(_ADD_PART, row)

    def of_series(self, series: Event, calendar: str, calendar_zone: str) -> Mapping[str, bool]:
        """The dates of a series, as `occurrence_name` names them; False for those called off."""
        rows = self._rows_of(series, calendar, calendar_zone)
        return {date.name or "": happens for date, happens in rows}

    def parts_of_series(
        self, series: Event, calendar: str, calendar_zone: str
    ) -> Mapping[str, Event | None]:
        """The later parts of a series with rows of their own, by `PartName.begin`.

        Each with the start and the recurrence that its row has; None for a row that deletes it.
        """
        parts: dict[str, Event | None] = {}
        for date, _ in self._rows_of(series, calendar, calendar_zone):
            if date.is_this_and_future:
                parts[begin_stamp(date.time.local)] = {}
        uid = series.get(ICAL_UID)
        for begin, happens, fields in self._database.execute(_SELECT_PARTS, (calendar, uid)):
            parts[begin] = orjson.loads(fields) if happens else None
        return parts

    def _rows_of(
        self, series: Event, calendar: str, calendar_zone: str
    ) -> Iterator[tuple[OriginalStart, bool]]:
        """The rows that are dates of a series; False beside those called off."""
        for field in self._fields or ():
            value = series.get(field) or private_property(series, field)
            found = self._database.execute(_OF_SERIES, (calendar, field, value))
            for happens, has_later, *original_start in found:
                with suppress(FieldError, ValueError):
                    date = OriginalStart.unpack(*original_start).fit_to(series, calendar_zone)
                    yield replace(date, is_this_and_future=bool(has_later)), bool(happens)


class DatesOfJobs:
    """The dates with rows of their own in the files of several jobs."""

    def __init__(self) -> None:
        self._dates: dict[str, FileDates] = {}

    async def load(self, target: Target) -> FileDates:
        """The dates of a job. Its file is read the first time."""
        if target.run not in self._dates:
            if len(self._dates) == MAX_JOBS:
                self._dates.pop(next(iter(self._dates)))
            self._dates[target.run] = FileDates()
        dates = self._dates[target.run]
        await dates.load(target)
        return dates
