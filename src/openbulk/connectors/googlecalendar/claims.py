"""Which row of a job was the first to mean an event, whichever process has sent it.

One event must never silently take the place of another. So a row that would change an event has to
know whether an earlier row of the file means the same one. This process knows the rows that it has
sent. Rows that another process sent, before it was killed or a worker took over, are read from the
job's file when the first row depends on them.

Claims are kept in a temporary SQLite database, which goes to disk as it grows
(https://sqlite.org/inmemorydb.html).
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openbulk.connectors.googlecalendar.event_rows import EventRow, calendar_of
from openbulk.connectors.googlecalendar.identity import Identity
from openbulk.connectors.googlecalendar.times import time_field
from openbulk.domain.records import JobRecords, Target

_SCHEMA = """
CREATE TABLE claims (
    calendar TEXT, value TEXT, row INTEGER, start INTEGER, summary INTEGER,
    PRIMARY KEY (calendar, value)
) WITHOUT ROWID;
"""
_CLAIM = """
INSERT INTO claims VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    row = min(row, excluded.row),
    start = min(ifnull(start, excluded.start), ifnull(excluded.start, start)),
    summary = min(ifnull(summary, excluded.summary), ifnull(excluded.summary, summary))
"""
_FIRST = """
SELECT min(row), min(start), min(summary) FROM claims WHERE calendar = ? AND value IN (?, ?)
"""
APPEARANCE = ("start", "summary")
"""The fields that people know an event by: two rows that set one of them differently mean two
events. Rows that set different ones may mean one event, each a part of it."""


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first rows of a job that mean an event."""

    row: int
    """The first one of all."""
    by_field: Mapping[str, int | None]
    """The first one that sets a field of APPEARANCE; None if none does."""


class Claims:
    """The events that the rows of one job mean."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._records: JobRecords | None = None
        """The records of the job, as its latest slice reads them."""
        self._known_until = 0
        """All rows up to here are known."""
        self._loading = asyncio.Lock()
        self._is_complete = True

    def begin_slice(self, target: Target) -> None:
        """Note that a slice of the job begins, if this one has not begun before."""
        records, earlier = target.job_records, self._records
        if records is None or records is earlier:
            return
        is_next = earlier is not None and records.fence == earlier.fence + 1
        if is_next and self._is_complete:
            self._known_until = records.cursor
        else:
            self._is_complete = records.last <= self._known_until
        self._records = records

    def claim(
        self, row: EventRow, event_id: str | None = None, fields: Mapping[str, Any] | None = None
    ) -> None:
        """Note that a row means its event, whose id is None as long as nobody knows it.

        `fields` are those that the row has written, or found as it has them.
        """
        self._claim(row.calendar, _name(row.identity), row.number, fields or {})
        if event_id is not None:
            self._claim(row.calendar, _name_by_id(event_id), row.number, fields or {})

    async def first_rows(self, row: EventRow, event_id: str) -> FirstRows:
        """The first rows of the job that mean an event: others before it, or this one.

        It reads the job's file if another process has sent rows of it.
        """
        await self._load(row.target)
        names = row.calendar, _name(row.identity), _name_by_id(event_id)
        first, *by_field = self._database.execute(_FIRST, names).fetchone()
        return FirstRows(first or row.number, dict(zip(APPEARANCE, by_field, strict=True)))

    async def has_row(self, row: EventRow, event_id: str) -> bool:
        """Whether a row of the job, sent by whichever process, means an event."""
        await self._load(row.target)
        names = row.calendar, _name(row.identity), _name_by_id(event_id)
        return self._database.execute(_FIRST, names).fetchone()[0] is not None

    def _claim(self, calendar: str, value: str, row: int, fields: Mapping[str, Any]) -> None:
        start, summary = (row if is_set(name, fields) else None for name in APPEARANCE)
        self._database.execute(_CLAIM, (calendar, value, row, start, summary))

    async def _load(self, target: Target) -> None:
        """Claim for the rows that another process has sent."""
        # Rows are sent concurrently: the first one loads, and the others wait for it.
        async with self._loading:
            records = self._records
            if self._is_complete or records is None:
                return
            default = calendar_of(target.options)
            self._database.execute("BEGIN")
            try:
                async for record, event_id in records.each(after=self._known_until):
                    if record.row > records.last:
                        break
                    if event_id is not None:
                        calendar = str(record.values.get("calendarId") or default)
                        name = _name_by_id(event_id)
                        self._claim(calendar, name, record.row, record.values)
            finally:
                self._database.execute("COMMIT")
            self._known_until = records.cursor
            self._is_complete = True

    def close(self) -> None:
        """Release the database."""
        self._database.close()


def is_set(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether a row says a field of APPEARANCE. A zone alone leaves an event when it is."""
    value = fields.get(name)
    if name == "start" and isinstance(value, Mapping):
        return time_field(value) is not None
    return value is not None


def _name(identity: Identity) -> str:
    return f"{identity.field} {identity.alike or identity.value} {identity.occurrence}"


def _name_by_id(event_id: str) -> str:
    return f"event {event_id}"
