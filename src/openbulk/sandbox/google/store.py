"""Calendars and events, in memory; what is changed goes to the journal, too."""

import base64
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from openbulk.sandbox.google.answers import Rejected, bad_request, invalid, not_found, required
from openbulk.sandbox.google.fields import check_lists, encoded, given, merged
from openbulk.sandbox.google.occurrences import occurrence, occurrences, series_id
from openbulk.sandbox.google.times import check_times, is_zone, stamp
from openbulk.sandbox.journal import Journal

_EVENT_ID = re.compile(r"[a-v0-9]{5,1024}")
_DEFAULTS: Mapping[str, Any] = {
    "status": "confirmed",
    "reminders": {"useDefault": True},
    "eventType": "default",
}
CHANGES_SECONDS = 28 * 24 * 3600.0
"""For how long changes are listed by their date; how long Google does is not documented."""
_KIND = "calendars"
"""Of the journal's changes."""
_SERVER_FIELDS = (
    "kind",
    "id",
    "htmlLink",
    "created",
    "creator",
    "organizer",
    "iCalUID",
    "sequence",
)
"""What Google fills when it makes an event, and keeps whatever a caller sends."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event, or the tombstone of one. A change makes a new one."""

    json: bytes
    """As the API shows it. Kept encoded: a million events as dicts would take five times the memory."""
    id: str
    etag: str
    is_live: bool
    """False for a tombstone."""
    start: float
    """Unix time."""
    end: float
    """Unix time."""
    version: int
    """The number of the change that made it: greater than that of any change before."""

    @property
    def body(self) -> dict[str, Any]:
        """The event as the API shows it, decoded."""
        body: dict[str, Any] = orjson.loads(self.json)
        return body


@dataclass
class Calendar:
    """A calendar and everything that was ever in it: the id of a deleted event stays taken."""

    id: str
    summary: str
    owner: str
    time_zone: str = "UTC"
    events: dict[str, Event] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    """Description and location."""
    rules: dict[str, str] = field(default_factory=dict)
    """Who may do what with it: `user:ann@example.com` to `reader`."""
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By person who has it in their list: what they chose for it there."""

    def __post_init__(self) -> None:
        """It belongs to somebody."""
        self.rules.setdefault(f"user:{self.owner}", "owner")

    def is_open_to(self, user: str) -> bool:
        """Whether a person may see it."""
        return any(self.rules.get(name, "none") != "none" for name in (f"user:{user}", "default"))

    def settings(self) -> dict[str, Any]:
        """All of it but what is in it."""
        return {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"events", "order"}
        }

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
        """For how long changes are listed by their date."""
        self._journal = journal
        past = journal.take_past(_KIND)
        for change in past:
            self._do_again(change)
        if not past:
            self.reset()

    def reset(self) -> None:
        """Forget everything. Tokens of before are no longer good."""
        signs = _new_sign(), _new_sign()
        self._begin(*signs)
        self._journal.write(_KIND, {"begin": signs})

    def _begin(self, changes_since: str, pages_since: str) -> None:
        self.calendars: dict[str, Calendar] = {}
        self.version = 0
        self.changes_since = changes_since
        """Sync tokens with another sign are forgotten."""
        self.pages_since = pages_since
        """The same of page tokens."""
        self.inserted = 0

    def forget_sync_tokens(self) -> None:
        """Those that were handed out until now are no longer good."""
        self._sign(_new_sign(), self.pages_since)

    def forget_page_tokens(self) -> None:
        """Those that were handed out until now are no longer good."""
        self._sign(self.changes_since, _new_sign())

    def _sign(self, changes_since: str, pages_since: str) -> None:
        self.changes_since, self.pages_since = changes_since, pages_since
        self._journal.write(_KIND, {"signs": [changes_since, pages_since]})

    def calendar(self, user: str, calendar_id: str) -> Calendar:
        """A calendar that the user may use. Raises Rejected (404)."""
        wanted = user if calendar_id == "primary" else calendar_id
        if wanted == user and wanted not in self.calendars:
            self.keep(Calendar(user, user, user))
        found = self.calendars.get(wanted)
        if found is None or not found.is_open_to(user):
            raise not_found()
        return found

    def calendars_of(self, user: str) -> list[Calendar]:
        """The user's calendars, the primary one first."""
        primary = self.calendar(user, "primary")
        return [
            primary,
            *(
                c
                for c in self.calendars.values()
                if c is not primary and (c.owner == user or user in c.listed)
            ),
        ]

    def add_calendar(self, user: str, body: Mapping[str, Any]) -> Calendar:
        """Make a secondary calendar. Raises Rejected (400)."""
        summary, zone = body.get("summary"), body.get("timeZone") or "UTC"
        if not isinstance(summary, str) or not summary:
            raise required("Missing title.")
        if not is_zone(zone):
            raise invalid("Invalid time zone.")
        name = f"c_{secrets.token_hex(32)}@group.calendar.google.com"
        return self.keep(Calendar(name, summary, user, zone))

    def keep(self, calendar: Calendar) -> Calendar:
        """Remember a new calendar, or what was changed of one."""
        self.calendars[calendar.id] = calendar
        self._journal.write(_KIND, {"calendar": calendar.settings()})
        return calendar

    def remove_calendar(self, calendar: Calendar) -> None:
        """Delete a calendar and everything in it."""
        del self.calendars[calendar.id]
        self._journal.write(_KIND, {"removed": calendar.id})

    def insert(self, calendar: Calendar, user: str, body: Mapping[str, Any]) -> Event:
        """A new event. Raises Rejected (400, 409)."""
        event_id, uid = body.get("id") or _new_id(), body.get("iCalUID")
        # Both at once get this answer too (melgarafael/DeskcommCRM#467): "only one of them should be supplied".
        if (
            not isinstance(event_id, str)
            or not _EVENT_ID.fullmatch(event_id)
            or (uid and body.get("id"))
        ):
            raise invalid("Invalid resource id value.")
        return self._add(calendar, user, body, event_id, uid or f"{event_id}@google.com")

    def import_event(self, calendar: Calendar, user: str, body: Mapping[str, Any]) -> Event:
        """A private copy of an event of another calendar. Raises Rejected (400, 409).

        Its id is made of its iCalUID, as Google makes it. A second import of the same iCalUID is answered 409 here
        (insanum/gcalcli#712); others saw it change the event (insanum/gcalcli#599): it is not documented.
        """
        uid = body.get("iCalUID")
        if not uid or not isinstance(uid, str):
            raise required("Required")
        event_id = "_" + base64.b32hexencode(uid.encode()).decode().rstrip("=").lower()
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
        if event_id in calendar.events:
            raise Rejected(409, "duplicate", "The requested identifier already exists.")
        address = (
            base64.urlsafe_b64encode(f"{event_id} {calendar.id}".encode()).decode().rstrip("=")
        )
        made = {
            "kind": "calendar#event",
            "id": event_id,
            "htmlLink": f"https://www.google.com/calendar/event?eid={address}",
            "created": stamp(),
            "creator": {"email": user, "self": True},
            "organizer": _organizer(organizer, calendar),
            "iCalUID": uid,
            "sequence": 0,
        }
        return self._kept(calendar, {**made, **_fresh(body)}, is_new=True)

    def replace(
        self, calendar: Calendar, event: Event, body: Mapping[str, Any], *, merge: bool
    ) -> Event:
        """Change an event: `merge` keeps what the body leaves out (PATCH), else it is gone (PUT). Raises Rejected.

        A tombstone comes back to life where the new status is not `cancelled`.
        """
        old = event.body
        fields = merged(old, given(body)) if merge else _fresh(body)
        kept = (
            (*_SERVER_FIELDS, "recurringEventId", "originalStartTime")
            if "recurringEventId" in old
            else _SERVER_FIELDS
        )
        changed = {**fields, **{name: old[name] for name in kept}}
        moved = any(
            changed.get(name) != old.get(name) for name in ("start", "end", "recurrence", "status")
        )
        return self._kept(calendar, {**changed, "sequence": old["sequence"] + moved})

    def remove(self, calendar: Calendar, event: Event) -> None:
        """Delete an event; its tombstone stays. Raises Rejected (410)."""
        if not event.is_live:
            raise Rejected(410, "deleted", "Resource has been deleted")
        self._kept(calendar, {**event.body, "status": "cancelled"})

    def event(self, calendar: Calendar, event_id: str) -> Event:
        """An event, its tombstone, or an occurrence of a series. Raises Rejected (404)."""
        found = calendar.events.get(event_id) or self._occurrence(calendar, event_id)
        if found is None:
            raise not_found()
        return found

    def _occurrence(self, calendar: Calendar, event_id: str) -> Event | None:
        """An occurrence that is as its series has it: it is kept when it is changed."""
        series = calendar.events.get(series_id(event_id) or "")
        if series is None or not series.is_live:
            return None
        body = occurrence(series.body, event_id)
        return _occurrence(calendar, series, body) if body else None

    def occurrences(
        self, calendar: Calendar, series: Event, time_min: float | None, time_max: float | None
    ) -> Iterator[Event]:
        """The occurrences of a series in a time that are as the series has them: changed ones are events themselves."""
        for body in occurrences(series.body, time_min, time_max):
            if body["id"] not in calendar.events:
                yield _occurrence(calendar, series, body)

    def live_events(self) -> Iterator[tuple[Calendar, Event]]:
        """Every event that was not deleted."""
        return (pair for pair in self.events() if pair[1].is_live)

    def events(self) -> Iterator[tuple[Calendar, Event]]:
        """Every event, and the tombstones of those that were deleted: what was ever made."""
        for calendar in self.calendars.values():
            for event in calendar.events.values():
                yield calendar, event

    def _kept(self, calendar: Calendar, body: Mapping[str, Any], *, is_new: bool = False) -> Event:
        start, end = check_times(body, calendar.time_zone)
        check_lists(body)
        version = self.version + 1
        etag = f'"{version:016}"'
        json = encoded({**body, "etag": etag, "updated": stamp()})
        event = Event(json, body["id"], etag, body["status"] != "cancelled", start, end, version)
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
        if event.id not in calendar.events:
            calendar.order.append(event.id)
        calendar.events[event.id] = event

    def _do_again(self, change: Mapping[str, Any]) -> None:
        """Do what was done before the sandbox was started."""
        match change:
            case {"begin": [changes_since, pages_since]}:
                self._begin(changes_since, pages_since)
            case {"signs": [changes_since, pages_since]}:
                self.changes_since, self.pages_since = changes_since, pages_since
            case {"calendar": settings}:
                known = self.calendars.get(settings["id"])
                inside: dict[str, Any] = (
                    {"events": known.events, "order": known.order} if known else {}
                )
                self.calendars[settings["id"]] = Calendar(**settings, **inside)
            case {"removed": calendar_id}:
                del self.calendars[calendar_id]
            case {"in": calendar_id, "event": body, "start": start, "end": end, "new": is_new}:
                etag, is_live = body["etag"], body["status"] != "cancelled"
                event = Event(
                    encoded(body), body["id"], etag, is_live, start, end, int(etag.strip('"'))
                )
                self._put(self.calendars[calendar_id], event, is_new=is_new)


def _occurrence(calendar: Calendar, series: Event, body: Mapping[str, Any]) -> Event:
    start, end = check_times(body, calendar.time_zone)
    return Event(
        encoded({**body, "etag": series.etag}),
        body["id"],
        series.etag,
        True,
        start,
        end,
        series.version,
    )


def _organizer(told: Any, calendar: Calendar) -> dict[str, Any]:
    """The calendar, unless an import says who else; "to change the organizer, use the move operation" later on."""
    if not isinstance(told, dict) or not told.get("email") or told["email"] == calendar.id:
        return {"email": calendar.id, "self": True}
    return {
        name: told[name] for name in ("email", "displayName") if isinstance(told.get(name), str)
    }


def _fresh(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**_DEFAULTS, **merged({}, given(body))}


def _new_sign() -> str:
    return secrets.token_hex(4)


def _new_id() -> str:
    return base64.b32hexencode(secrets.token_bytes(16)).decode().rstrip("=").lower()
