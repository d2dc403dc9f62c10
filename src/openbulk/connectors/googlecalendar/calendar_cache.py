"""The events of a calendar, fetched once for a whole job: 2,500 events a call.

They are kept in a temporary SQLite database, which spills to disk as it grows
(https://sqlite.org/inmemorydb.html): a calendar of 100,000 events costs the server no memory.
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import orjson

from openbulk.connectors.googlecalendar.events import Event, is_deleted, private_property
from openbulk.connectors.googlecalendar.identity import (
    ICAL_UID,
    ID,
    NATURAL,
    Identity,
    occurrence_of,
    summary_and_start,
)

_SCHEMA = """
CREATE TABLE events
  (id TEXT PRIMARY KEY, uid TEXT, occurrence TEXT, value TEXT, alike TEXT, event BLOB)
  WITHOUT ROWID;
CREATE INDEX by_uid ON events (uid, occurrence);
CREATE INDEX by_value ON events (value, occurrence);
CREATE INDEX by_alike ON events (alike) WHERE alike IS NOT NULL;
"""
_PUT = "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?)"
_BY_ID = "SELECT event FROM events WHERE id = :id LIMIT 1"
_BY_UID = "SELECT event FROM events WHERE uid = :value AND occurrence = :occurrence LIMIT 1"
_BY_VALUE = "SELECT event FROM events WHERE value = :value AND occurrence = :occurrence LIMIT 1"
_BY_SUMMARY_AND_START = "SELECT event FROM events WHERE alike = :alike ORDER BY id LIMIT 1"
_OCCURRENCES = "SELECT event FROM events WHERE uid = ? AND occurrence <> ''"
_COUNT = "SELECT count(*) FROM events WHERE value = ? AND occurrence = ''"
_SELECT_PARTS = "SELECT event FROM events WHERE uid >= ? AND uid < ? AND occurrence = ''"
_QUERIES = {ID: _BY_ID, ICAL_UID: _BY_UID}


MAX_ABSENT = 2_000
ABSENT_SECONDS = 300.0
"""A series that another process writes in this time is not seen; one of this process is."""


class CalendarCache:
    """The events of one calendar, as far as one job has fetched them."""

    def __init__(self, property_name: str | None) -> None:
        """`property_name` is the private property that identifies the job's events, if one does."""
        self._property = property_name
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._absent: dict[Identity, float] = {}
        self.filling = asyncio.Lock()
        self.page_token: str | None = None
        self.is_complete = False
        """Whether it holds every event of the calendar."""

    def put(self, *events: Event) -> None:
        """Keep the current state of events, and drop those that were deleted."""
        rows = [(event["id"], None if is_deleted(event) else self._row(event)) for event in events]
        # One transaction for a page of 2,500 events, instead of one for each of them.
        self._database.execute("BEGIN")
        for event_id, row in rows:
            if row is None:
                self.drop(event_id)
            else:
                self._database.execute(_PUT, row)
        self._database.execute("COMMIT")

    def _row(self, event: Event) -> tuple[Any, ...]:
        occurrence = occurrence_of(event) or ""
        value = private_property(event, self._property)
        alike = summary_and_start(event) if self._property == NATURAL else None
        return event["id"], event.get("iCalUID"), occurrence, value, alike, orjson.dumps(event)

    def drop(self, event_id: str) -> None:
        """Drop an event that was deleted."""
        self._database.execute("DELETE FROM events WHERE id = ?", (event_id,))

    def find(self, identity: Identity) -> Event | None:
        """The event, or the occurrence that differs from its series; None if it holds none."""
        values = {
            "id": identity.event_id,
            "value": identity.value,
            "occurrence": identity.occurrence or "",
            "alike": identity.alike,
        }
        query = _QUERIES.get(identity.field, _BY_VALUE)
        row = self._database.execute(query, values).fetchone()
        if row is None and identity.alike:
            row = self._database.execute(_BY_SUMMARY_AND_START, values).fetchone()
        return None if row is None else orjson.loads(row[0])

    def count(self, value: str) -> int:
        """How many events have this value of the property that identifies them."""
        count: int = self._database.execute(_COUNT, (value,)).fetchone()[0]
        return count

    def occurrences(self, uid: str) -> Sequence[Event]:
        """The occurrences of a series that differ from it, called off ones included."""
        return [orjson.loads(event) for (event,) in self._database.execute(_OCCURRENCES, (uid,))]

    def parts(self, uid: str) -> Sequence[Event]:
        """The later parts of a series, which are events of their own (identity.py), and a few more
        whose iCalUID begins like theirs."""
        begin = f"{uid.partition('@')[0]}_R"
        bounds = begin, f"{begin[:-1]}S"
        return [orjson.loads(event) for (event,) in self._database.execute(_SELECT_PARTS, bounds)]

    def note_absent(self, identity: Identity) -> None:
        """Remember for a while that the calendar does not have an event."""
        if len(self._absent) == MAX_ABSENT:
            self._absent.clear()
        self._absent[identity] = time.monotonic()

    def is_absent(self, identity: Identity) -> bool:
        """Whether the calendar did not have an event a moment ago."""
        return time.monotonic() - self._absent.get(identity, -math.inf) < ABSENT_SECONDS

    def close(self) -> None:
        """Release the database."""
        self._database.close()
