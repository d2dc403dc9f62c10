"""What is in a calendar, fetched once for a whole job: 2,500 events a call, and found here without one.

Kept in a temporary SQLite database, which goes to disk where it grows (https://sqlite.org/inmemorydb.html): a calendar
of 100,000 events costs the server no memory.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from typing import Any

import orjson

from openbulk.connectors.googlecalendar.identity import ICAL_UID, ID, Identity, occurrence_of

_SCHEMA = """
CREATE TABLE events (id TEXT PRIMARY KEY, uid TEXT, occurrence TEXT, value TEXT, event BLOB) WITHOUT ROWID;
CREATE INDEX by_uid ON events (uid, occurrence);
CREATE INDEX by_value ON events (value, occurrence);
"""


class Mirror:
    """One calendar, as far as one job has seen it."""

    def __init__(self, property_name: str | None) -> None:
        self._property = property_name
        self._events = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._events.executescript(_SCHEMA)
        self.filling = asyncio.Lock()
        self.page_token: str | None = None
        self.is_complete = False
        """Whether what is not in it is not in the calendar."""

    def put(self, *events: Mapping[str, Any]) -> None:
        """Remember events as they are now; those that were deleted are forgotten."""
        self._events.execute("BEGIN")
        for event in events:
            if event.get("status") == "cancelled" and not event.get("recurringEventId"):
                self._events.execute("DELETE FROM events WHERE id = ?", (event["id"],))
                continue
            value = event.get("extendedProperties", {}).get("private", {}).get(self._property)
            row = (
                event["id"],
                event.get("iCalUID"),
                occurrence_of(event) or "",
                value,
                orjson.dumps(event),
            )
            self._events.execute("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?)", row)
        self._events.execute("COMMIT")

    def forget(self, event_id: str) -> None:
        """The event is not there any more."""
        self._events.execute("DELETE FROM events WHERE id = ?", (event_id,))

    def find(self, identity: Identity) -> Mapping[str, Any] | None:
        """The event, or the occurrence that differs from its series; None where none was seen."""
        occurrence = identity.occurrence or ""
        values: tuple[str, ...]
        match identity.field:
            case field if (
                field == ID and occurrence and not identity.value.endswith(f"_{occurrence}")
            ):
                query, values = "id = ?", (f"{identity.value}_{occurrence}",)
            case field if field == ID:
                query, values = "id = ?", (identity.value,)
            case field if field == ICAL_UID:
                query, values = "uid = ? AND occurrence = ?", (identity.value, occurrence)
            case _:
                query, values = "value = ? AND occurrence = ?", (identity.value, occurrence)
        row = self._events.execute(
            f"SELECT event FROM events WHERE {query} LIMIT 1",  # noqa: S608 - the query is ours
            values,
        ).fetchone()
        return None if row is None else orjson.loads(row[0])

    def close(self) -> None:
        """Let go of its database."""
        self._events.close()
