"""The dates of series that have rows of their own in the file of a job.

They are read from the whole file once, when the first row needs them, and kept in a temporary
SQLite database (https://sqlite.org/inmemorydb.html): a date may come long before or after its
series.
"""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.event_rows import RowReader
from openbulk.connectors.googlecalendar.events import Event, is_cancelled, private_property
from openbulk.connectors.googlecalendar.identity import identity_of
from openbulk.connectors.googlecalendar.recurrence import OriginalStart
from openbulk.domain.records import Record, Target

_SCHEMA = """
CREATE TABLE dates (
    calendar TEXT, field TEXT, value TEXT, happens INTEGER, moment TEXT, is_day INTEGER, zone TEXT
);
CREATE INDEX by_series ON dates (calendar, field, value);
"""
_ADD = "INSERT INTO dates VALUES (?, ?, ?, ?, ?, ?, ?)"
_OF_SERIES = """
SELECT happens, moment, is_day, zone FROM dates WHERE calendar = ? AND field = ? AND value = ?
"""


class FileDates:
    """The dates with rows of their own in the file of one job."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._loading = asyncio.Lock()
        self._fields: Sequence[str] | None = None
        """The fields that name the series of these dates; None until the file is read."""

    async def load(self, target: Target) -> None:
        """Read the file of the job, unless that was done before."""
        # Rows are sent concurrently: the first one reads, and the others wait for it.
        async with self._loading:
            if self._fields is not None:
                return
            self._database.execute("DELETE FROM dates")
            if target.job_records is not None:
                reader = RowReader(target)
                async for record, _ in target.job_records.each():
                    if record.values.get("originalStartTime"):
                        self._add(record, reader)
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
            self._database.execute(_ADD, (*place, happens, *draft.original_start.pack()))

    def of_series(self, series: Event, calendar: str, calendar_zone: str) -> Mapping[str, bool]:
        """The dates of a series, as `occurrence_name` names them; False for those called off."""
        dates: dict[str, bool] = {}
        for field in self._fields or ():
            value = series.get(field) or private_property(series, field)
            found = self._database.execute(_OF_SERIES, (calendar, field, value))
            for happens, *original_start in found:
                with suppress(FieldError, ValueError):
                    date = OriginalStart.unpack(*original_start).fit_to(series, calendar_zone)
                    dates[date.name or ""] = bool(happens)
        return dates
