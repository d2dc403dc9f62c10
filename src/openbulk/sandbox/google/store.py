"""Calendars and events, in memory."""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from openbulk.sandbox.google.answers import Rejected, invalid, not_found
from openbulk.sandbox.google.times import check_times, stamp

_EVENT_ID = re.compile(r"[a-v0-9]{5,1024}")
_BASE32HEX = "0123456789abcdefghijklmnopqrstuv"
_SERVER_FIELDS = frozenset(
    {"kind", "etag", "htmlLink", "created", "updated", "creator", "organizer", "sequence", "iCalUID"}
)
"""Fields that Google fills; what a caller sends in them is ignored."""


@dataclass
class Event:
    """An event, or the tombstone of one."""

    body: dict[str, Any]
    start: datetime
    end: datetime
    version: int

    @property
    def is_live(self) -> bool:
        """False for a tombstone."""
        return bool(self.body["status"] != "cancelled")


@dataclass
class Calendar:
    """A calendar and everything that was ever in it: the id of a deleted event stays taken."""

    id: str
    summary: str
    owner: str
    time_zone: str = "UTC"
    events: dict[str, Event] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def resource(self) -> dict[str, Any]:
        """The calendar as the API shows it."""
        return {"kind": "calendar#calendar", "etag": '"1"', **self.entry()}

    def entry(self) -> dict[str, Any]:
        """The fields that calendars and calendar list entries share."""
        return {"id": self.id, "summary": self.summary, "timeZone": self.time_zone}


class Store:
    """All calendars of all users."""

    def __init__(self) -> None:
        self.calendars: dict[str, Calendar] = {}
        self.version = 0
        self.generation = secrets.token_hex(4)
        """Sync tokens of another generation are gone."""
        self.inserted = 0

    def calendar(self, user: str, calendar_id: str) -> Calendar:
        """A calendar that the user may use. Raises Rejected (404)."""
        wanted = user if calendar_id == "primary" else calendar_id
        if wanted == user and wanted not in self.calendars:
            self.calendars[user] = Calendar(user, user, user)
        found = self.calendars.get(wanted)
        if found is None or found.owner != user:
            raise not_found()
        return found

    def calendars_of(self, user: str) -> list[Calendar]:
        """The user's calendars, the primary one first."""
        primary = self.calendar(user, "primary")
        return [primary, *(c for c in self.calendars.values() if c.owner == user and c is not primary)]

    def add_calendar(self, user: str, body: Mapping[str, Any]) -> Calendar:
        """Make a secondary calendar. Raises Rejected (400)."""
        if not body.get("summary"):
            raise Rejected(400, "required", "Missing title.")
        name = f"{secrets.token_hex(16)}@group.calendar.google.com"
        made = Calendar(name, str(body["summary"]), user, str(body.get("timeZone") or "UTC"))
        self.calendars[name] = made
        return made

    def insert(self, calendar: Calendar, user: str, body: Mapping[str, Any]) -> Event:
        """A new event. Raises Rejected (400, 409)."""
        event_id = body.get("id") or _new_id()
        if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
            raise invalid("Invalid resource id value.")
        if event_id in calendar.events:
            raise Rejected(409, "duplicate", "The requested identifier already exists.")
        person = {"email": user, "self": True}
        made = {
            "kind": "calendar#event",
            "id": event_id,
            "status": "confirmed",
            "htmlLink": f"https://www.google.com/calendar/event?eid={event_id}",
            "created": stamp(),
            "creator": person,
            "organizer": {"email": calendar.id, "self": True},
            "iCalUID": body.get("iCalUID") or f"{event_id}@google.com",
            "sequence": 0,
            "reminders": {"useDefault": True},
            "eventType": "default",
        }
        event = self._kept(calendar, {**made, **_given(body), "id": event_id})
        calendar.order.append(event_id)
        self.inserted += 1
        return event

    def replace(self, calendar: Calendar, event: Event, body: Mapping[str, Any], *, merge: bool) -> Event:
        """Change an event: `merge` keeps what the body leaves out (PATCH), else it is gone (PUT)."""
        server = {name: event.body[name] for name in (*_SERVER_FIELDS, "id") if name in event.body}
        base = (
            event.body if merge else {"status": "confirmed", "reminders": {"useDefault": True}, "eventType": "default"}
        )
        given = {name: value for name, value in _given(body).items() if name != "id"}
        merged = {name: value for name, value in {**base, **given, **server}.items() if value is not None}
        return self._kept(calendar, {**merged, "sequence": event.body["sequence"] + 1})

    def remove(self, calendar: Calendar, event: Event) -> None:
        """Delete an event; its tombstone stays. Raises Rejected (410)."""
        if not event.is_live:
            raise Rejected(410, "deleted", "Resource has been deleted")
        self._kept(calendar, {**event.body, "status": "cancelled"})

    def event(self, calendar: Calendar, event_id: str) -> Event:
        """An event or its tombstone. Raises Rejected (404)."""
        found = calendar.events.get(event_id)
        if found is None:
            raise not_found()
        return found

    def live_events(self) -> Iterator[tuple[Calendar, Event]]:
        """Every event that was not deleted."""
        for calendar in self.calendars.values():
            for event in calendar.events.values():
                if event.is_live:
                    yield calendar, event

    def _kept(self, calendar: Calendar, body: dict[str, Any]) -> Event:
        start, end = check_times(body, calendar.time_zone)
        self.version += 1
        body |= {"etag": f'"{self.version}"', "updated": stamp()}
        event = Event(body, start, end, self.version)
        calendar.events[body["id"]] = event
        return event


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in _SERVER_FIELDS}


def _new_id() -> str:
    return "".join(secrets.choice(_BASE32HEX) for _ in range(26))
