"""Calendars and events, in memory. The journal keeps each change."""

import base64
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from openbulk.sandbox.google.errors import Rejected, bad_request, invalid, missing_value, not_found
from openbulk.sandbox.google.fields import apply_patch, check_fields, encode_event, writable_fields
from openbulk.sandbox.google.occurrences import Series, series_id
from openbulk.sandbox.google.times import check_times, is_zone, now
from openbulk.sandbox.journal import Journal

# The reference of `events.insert`: base32hex in lower case (RFC 2938, 3.1.2), 5 to 1024 long.
_EVENT_ID = re.compile(r"[a-v0-9]{5,1024}")
_DEFAULTS: Mapping[str, Any] = {
    "status": "confirmed",
    "reminders": {"useDefault": True},
    "eventType": "default",
}
CHANGES_SECONDS = 28 * 24 * 3600.0
"""Seconds for which `updatedMin` can list changes. Google does not document its own limit."""
_KIND = "calendars"
"""The kind of this module's changes in the journal."""
_SERVER_FIELDS: tuple[str, ...] = (
    "kind",
    "id",
    "htmlLink",
    "created",
    "creator",
    "organizer",
    "iCalUID",
    "sequence",
)
"""Fields that Google sets in a new event. A caller cannot change them."""
_OCCURRENCE_FIELDS = ("recurringEventId", "originalStartTime")
"""The server's fields of an occurrence."""
_SCHEDULE_FIELDS = ("start", "end", "recurrence", "status")
"""A change of one of these raises `sequence`, which tells guests of it (RFC 5545, 3.8.7.4)."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event or a tombstone, as one change left it."""

    json: bytes
    """The event as the API shows it, encoded: a million dicts would take five times the memory."""
    id: str
    etag: str
    is_live: bool
    """False for a tombstone."""
    start: float
    """Unix time."""
    end: float
    """Unix time."""
    version: int
    """The number of the change: greater than that of any change before."""

    @property
    def body(self) -> dict[str, Any]:
        """The event as the API shows it, decoded."""
        body: dict[str, Any] = orjson.loads(self.json)
        return body

    @property
    def recurs(self) -> bool:
        """Whether it is a series that is not deleted."""
        # Few events recur: searching the bytes first saves decoding the others.
        may_recur = self.is_live and b'"recurrence"' in self.json
        return may_recur and bool(self.body.get("recurrence"))

    def series(self, calendar: "Calendar") -> Series:
        """The series that it is, if it recurs."""
        return Series(self.body, calendar.time_zone)

    def occurrence(self, series: Series, start: int) -> "Event":
        """The unchanged occurrence of this series that starts then (Unix time)."""
        body, end = series.occurrence(start)
        json = encode_event({**body, "etag": self.etag})
        return Event(json, body["id"], self.etag, True, start, end, self.version)


@dataclass
class Calendar:
    """A calendar with its events and tombstones: the id of a deleted event stays taken."""

    id: str
    summary: str
    owner: str
    time_zone: str = "UTC"
    events: dict[str, Event] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    changed: dict[str, list[str]] = field(default_factory=dict)
    """The ids of the changed occurrences of each series."""
    more: dict[str, Any] = field(default_factory=dict)
    """Description and location."""
    rules: dict[str, str] = field(default_factory=dict)
    """The role of each scope, such as `reader` of `user:ann@example.com`."""
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The settings of each user who has added it to their list."""

    def __post_init__(self) -> None:
        """Make the owner an owner in the rules."""
        self.rules.setdefault(f"user:{self.owner}", "owner")

    def put(self, event: Event) -> None:
        """Add an event, or replace it."""
        if event.id not in self.events:
            self.order.append(event.id)
            series = series_id(event.id)
            if series is not None:
                self.changed.setdefault(series, []).append(event.id)
        self.events[event.id] = event

    def changed_occurrences(self, series: Event) -> list[Event]:
        """The events that changed occurrences of a series became, deleted ones included."""
        return [self.events[event_id] for event_id in self.changed.get(series.id, ())]

    def is_open_to(self, user: str) -> bool:
        """Whether a user may see it."""
        roles = {self.rules.get(f"user:{user}"), self.rules.get("default")}
        return bool(roles - {"none", None})

    def is_listed_by(self, user: str) -> bool:
        """Whether it is in a user's list of calendars."""
        return self.owner == user or user in self.listed

    def settings(self) -> dict[str, Any]:
        """All its values but the events."""
        names = {f.name for f in fields(self)} - {"events", "order", "changed"}
        return {name: getattr(self, name) for name in names}

    def resource(self) -> dict[str, Any]:
        """The calendar as the API shows it."""
        return {"kind": "calendar#calendar", "etag": '"1"', **self.entry()}

    def entry(self) -> dict[str, Any]:
        """The fields that calendars and calendar list entries share."""
        return {"id": self.id, "summary": self.summary, "timeZone": self.time_zone, **self.more}


class Store:
    """All calendars of all users."""

    def __init__(self, journal: Journal, changes_seconds: float = CHANGES_SECONDS) -> None:
        self.changes_seconds = changes_seconds
        self._journal = journal
        past = journal.take_past(_KIND)
        for change in past:
            self._replay(change)
        if not past:
            self.reset()

    def reset(self) -> None:
        """Delete everything. Tokens of earlier lists become invalid."""
        epochs = _new_epoch(), _new_epoch()
        self._begin(*epochs)
        self._journal.write(_KIND, {"begin": epochs})

    def _begin(self, sync_epoch: str, page_epoch: str) -> None:
        self.calendars: dict[str, Calendar] = {}
        self.version = 0
        self.sync_epoch = sync_epoch
        """A sync token of another epoch is invalid."""
        self.page_epoch = page_epoch
        """A page token of another epoch is invalid."""
        self.inserted = 0
        self.open_lists: dict[Any, Iterator[Any]] = {}
        """The rest of lists, from the place on where their last page ended."""

    def forget_sync_tokens(self) -> None:
        """Refuse all sync tokens of earlier lists."""
        self._set_epochs(_new_epoch(), self.page_epoch)

    def forget_page_tokens(self) -> None:
        """Refuse all page tokens of earlier lists."""
        self._set_epochs(self.sync_epoch, _new_epoch())

    def _set_epochs(self, sync_epoch: str, page_epoch: str) -> None:
        self.sync_epoch, self.page_epoch = sync_epoch, page_epoch
        self._journal.write(_KIND, {"signs": [sync_epoch, page_epoch]})

    def calendar(self, user: str, calendar_id: str) -> Calendar:
        """A calendar that the user may see. Raises Rejected (404)."""
        wanted = {"primary": user}.get(calendar_id, calendar_id)
        # Every user has a primary calendar. The sandbox makes it at its first use.
        if wanted == user and wanted not in self.calendars:
            self.save_calendar(Calendar(user, user, user))
        calendar = self.calendars.get(wanted)
        if calendar is None or not calendar.is_open_to(user):
            raise not_found()
        return calendar

    def calendars_of(self, user: str) -> list[Calendar]:
        """The calendars in a user's list, the primary one first."""
        primary = self.calendar(user, "primary")
        listed = [one for one in self.calendars.values() if one.is_listed_by(user)]
        return sorted(listed, key=lambda calendar: calendar is not primary)

    def add_calendar(self, user: str, body: Mapping[str, Any]) -> Calendar:
        """Make a secondary calendar, from fields of the right types. Raises Rejected (400)."""
        summary, zone = body.get("summary"), body.get("timeZone") or "UTC"
        if not summary:
            raise missing_value("Missing title.")
        if not is_zone(zone):
            raise invalid("Invalid time zone.")
        name = f"c_{secrets.token_hex(32)}@group.calendar.google.com"
        return self.save_calendar(Calendar(name, summary, user, zone))

    def save_calendar(self, calendar: Calendar) -> Calendar:
        """Store a new calendar, or the changed settings of one."""
        self.calendars[calendar.id] = calendar
        self._journal.write(_KIND, {"calendar": calendar.settings()})
        return calendar

    def remove_calendar(self, calendar: Calendar) -> None:
        """Delete a calendar and its events."""
        del self.calendars[calendar.id]
        self._journal.write(_KIND, {"removed": calendar.id})

    def insert(self, calendar: Calendar, user: str, body: Mapping[str, Any]) -> Event:
        """A new event. Raises Rejected (400, 409)."""
        event_id, uid = body.get("id") or _new_id(), body.get("iCalUID")
        is_valid = isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id) is not None
        # "Only one of them should be supplied": both get the answer of a bad id, too
        # (melgarafael/DeskcommCRM#467).
        if not is_valid or (uid and body.get("id")):
            raise invalid("Invalid resource id value.")
        return self._add(calendar, user, body, event_id, uid or f"{event_id}@google.com")

    def import_event(self, calendar: Calendar, user: str, body: Mapping[str, Any]) -> Event:
        """A private copy of an event of another calendar. Raises Rejected (400, 409).

        Like Google, it makes the id from the iCalUID.
        """
        uid = body.get("iCalUID")
        if not uid or not isinstance(uid, str):
            raise missing_value("Required")
        event_id = "_" + base64.b32hexencode(uid.encode()).decode().rstrip("=").lower()
        # A second import of one iCalUID gets 409 here (insanum/gcalcli#712). Others report that it
        # changes the event (insanum/gcalcli#599). Google does not document it.
        return self._add(calendar, user, body, event_id, uid, organizer=body.get("organizer"))

    def _add(
        self,
        calendar: Calendar,
        user: str,
        body: Mapping[str, Any],
        event_id: str,
        uid: Any,
        organizer: Any = None,
    ) -> Event:
        if not isinstance(uid, str):
            raise bad_request()
        # A tombstone keeps its id: Google never accepts that id again.
        if event_id in calendar.events:
            raise Rejected(409, "duplicate", "The requested identifier already exists.")
        address = base64.urlsafe_b64encode(f"{event_id} {calendar.id}".encode())
        server_fields = {
            "kind": "calendar#event",
            "id": event_id,
            "htmlLink": f"https://www.google.com/calendar/event?eid={address.decode().rstrip('=')}",
            "created": now(),
            "creator": {"email": user, "self": True},
            "organizer": _organizer(organizer, calendar),
            "iCalUID": uid,
            "sequence": 0,
        }
        return self._save_event(calendar, {**server_fields, **_new_fields(body)}, is_new=True)

    def replace(
        self, calendar: Calendar, event: Event, body: Mapping[str, Any], *, merge: bool
    ) -> Event:
        """Change an event. Raises Rejected.

        With `merge`, fields that the body leaves out stay (PATCH); without it they go (PUT).
        A tombstone comes back to life if the new status is not `cancelled`. Changed occurrences
        stay, also those of dates that their series does not have any more: "changes are preserved
        even if the recurring event itself is updated"
        (https://gsuite-developers.googleblog.com/2011/12/calendar-v3-best-practices-recurring.html).
        Shortening a series does not remove them, either (BuilderIO/agent-native#3488).
        """
        old = event.body
        fields = apply_patch(old, writable_fields(body)) if merge else _new_fields(body)
        kept = _SERVER_FIELDS
        if "recurringEventId" in old:
            kept = (*_SERVER_FIELDS, *_OCCURRENCE_FIELDS)
        changed = {**fields, **{name: old[name] for name in kept}}
        is_moved = any(changed.get(name) != old.get(name) for name in _SCHEDULE_FIELDS)
        sequence = old["sequence"] + is_moved
        saved = self._save_event(calendar, {**changed, "sequence": sequence})
        if not saved.is_live:
            self._remove_changed_occurrences(calendar, event)
        return saved

    def remove(self, calendar: Calendar, event: Event) -> None:
        """Delete an event; its tombstone stays. Raises Rejected (410)."""
        if not event.is_live:
            raise Rejected(410, "deleted", "Resource has been deleted")
        # Google keeps a deleted event as a cancelled one, so that lists by sync token include it.
        self._save_event(calendar, {**event.body, "status": "cancelled"})
        self._remove_changed_occurrences(calendar, event)

    def _remove_changed_occurrences(self, calendar: Calendar, removed: Event) -> None:
        """Delete the events that changed occurrences became, if the removed event is a series."""
        if not removed.recurs:
            return
        for event in calendar.changed_occurrences(removed):
            if event.is_live:
                self._save_event(calendar, {**event.body, "status": "cancelled"})

    def event(self, calendar: Calendar, event_id: str) -> Event:
        """An event, its tombstone, or an occurrence of a series. Raises Rejected (404)."""
        event = calendar.events.get(event_id) or self._find_occurrence(calendar, event_id)
        if event is None:
            raise not_found()
        return event

    def _find_occurrence(self, calendar: Calendar, event_id: str) -> Event | None:
        """An unchanged occurrence. It is not stored: its series makes it."""
        event = calendar.events.get(series_id(event_id) or "")
        if event is None or not event.recurs:
            return None
        series = event.series(calendar)
        start = series.find(event_id)
        return None if start is None else event.occurrence(series, start)

    def live_events(self) -> Iterator[tuple[Calendar, Event]]:
        """Every event that is not deleted."""
        return (pair for pair in self.events() if pair[1].is_live)

    def events(self) -> Iterator[tuple[Calendar, Event]]:
        """Every event, and the tombstone of every deleted one."""
        for calendar in self.calendars.values():
            for event in calendar.events.values():
                yield calendar, event

    def _save_event(
        self, calendar: Calendar, body: Mapping[str, Any], *, is_new: bool = False
    ) -> Event:
        start, end = check_times(body, calendar.time_zone)
        check_fields(body)
        _check_recurrence(body, calendar)
        # One counter for etags and sync tokens: a list of changes compares versions alone.
        version = self.version + 1
        etag = f'"{version:016}"'
        json = encode_event({**body, "etag": etag, "updated": now()})
        is_live = body["status"] != "cancelled"
        event = Event(json, body["id"], etag, is_live, start, end, version)
        self._put(calendar, event, is_new=is_new)
        change = {
            "in": calendar.id,
            "event": orjson.Fragment(json),
            "start": start,
            "end": end,
            "new": is_new,
        }
        self._journal.write(_KIND, change)
        return event

    def _put(self, calendar: Calendar, event: Event, *, is_new: bool) -> None:
        self.version = event.version
        self.inserted += is_new
        calendar.put(event)

    def _replay(self, change: Mapping[str, Any]) -> None:
        """Apply a change of an earlier run."""
        match change:
            case {"begin": [sync_epoch, page_epoch]}:
                self._begin(sync_epoch, page_epoch)
            case {"signs": [sync_epoch, page_epoch]}:
                self.sync_epoch, self.page_epoch = sync_epoch, page_epoch
            case {"calendar": settings}:
                calendar = Calendar(**settings)
                known = self.calendars.get(calendar.id, calendar)
                calendar.events, calendar.order = known.events, known.order
                calendar.changed = known.changed
                self.calendars[calendar.id] = calendar
            case {"removed": calendar_id}:
                del self.calendars[calendar_id]
            case {"in": calendar_id, "event": body, "start": start, "end": end, "new": is_new}:
                calendar = self.calendars[calendar_id]
                etag, is_live = body["etag"], body["status"] != "cancelled"
                json = encode_event(_readable_body(body, calendar))
                version = int(etag.strip('"'))
                event = Event(json, body["id"], etag, is_live, start, end, version)
                self._put(calendar, event, is_new=is_new)


def _readable_body(body: Mapping[str, Any], calendar: Calendar) -> Mapping[str, Any]:
    """An event of an earlier run, as a single one if its recurrence cannot be read.

    Earlier versions of the sandbox did not read it.
    """
    try:
        _check_recurrence(body, calendar)
    except Rejected:
        single = dict(body)
        del single["recurrence"]
        return single
    return body


def _check_recurrence(body: Mapping[str, Any], calendar: Calendar) -> None:
    if not body.get("recurrence"):
        return
    # "This field is omitted for single events or instances of recurring events" (reference).
    if "recurringEventId" in body:
        raise invalid("Invalid recurrence rule.")
    Series(body, calendar.time_zone)


def _organizer(requested: Any, calendar: Calendar) -> dict[str, Any]:
    """The calendar, unless an import names another organizer."""
    organizer = requested if isinstance(requested, dict) else {}
    email = organizer.get("email")
    if not email or email == calendar.id:
        return {"email": calendar.id, "self": True}
    names = [name for name in ("email", "displayName") if isinstance(organizer.get(name), str)]
    return {name: organizer[name] for name in names}


def _new_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**_DEFAULTS, **apply_patch({}, writable_fields(body))}


def _new_epoch() -> str:
    return secrets.token_hex(4)


def _new_id() -> str:
    return base64.b32hexencode(secrets.token_bytes(16)).decode().rstrip("=").lower()
