"""From a record to the request that creates its event."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import orjson

from openbulk.connectors.googlecalendar.fields import FieldError, converted
from openbulk.connectors.googlecalendar.schema import event_schema
from openbulk.domain.records import Record, Target

_EVENT_ID = re.compile(r"[a-v0-9]{5,1024}")
_CALENDAR_PATH = re.compile(r"/?calendars/(?P<calendar>[^/]+)(?:/events)?/?")
_SEND_UPDATES = ("none", "all", "externalOnly")
_KEY_PROPERTY = "openbulkKey"


@dataclass(frozen=True, slots=True)
class Insert:
    """A call of `events.insert`."""

    calendar: str
    parameters: Mapping[str, str]
    body: bytes
    """JSON."""
    id: str
    mark: str | None
    """What tells our own event from another one with the same id, where the id is the caller's. An id that we made
    from the record's key needs none: it can only have been taken by us."""

    @property
    def path(self) -> str:
        """Below `/calendar/v3`."""
        return f"/calendars/{quote(self.calendar, safe='@')}/events"

    @property
    def event_path(self) -> str:
        """The event's own path."""
        return f"{self.path}/{self.id}"


def insert_of(record: Record, target: Target) -> Insert:
    """The call that creates a record's event; sent twice, it creates one. Raises FieldError."""
    values = dict(record.values)
    calendar = values.pop("calendarId", None) or calendar_of(target.options)
    body = converted(values, event_schema())
    _check_times(body)
    _settle_ical_uid(body)
    mark = None
    if "id" in body:
        _check_id(body["id"])
        mark = _short(record.key)
        body.setdefault("extendedProperties", {}).setdefault("private", {})[_KEY_PROPERTY] = mark
    else:
        body["id"] = event_id(record.key)
    return Insert(str(calendar), _parameters(body, target.options), _encoded(body), body["id"], mark)


def is_ours(event: Mapping[str, Any], insert: Insert) -> bool:
    """Whether an event that has the caller's id is the one that this call made earlier."""
    return bool(event.get("extendedProperties", {}).get("private", {}).get(_KEY_PROPERTY) == insert.mark)


def event_id(key: str) -> str:
    """A legal event id (base32hex in lower case, 5 to 1024 characters) that is the same for the same key.

    https://developers.google.com/workspace/calendar/api/v3/reference/events/insert, field `id`. It says, too, that
    a collision may go unnoticed: two sendings of one record must not be under way at the same time.
    """
    digest = hashlib.sha256(b"openbulk:" + key.encode()).digest()
    return base64.b32hexencode(digest).decode().lower().rstrip("=")


def calendar_of(options: Mapping[str, Any]) -> str:
    """The calendar that metaData names, by `calendarId` or by `path` (`/calendars/{id}/events`); else the primary."""
    if options.get("calendarId"):
        return str(options["calendarId"])
    match = _CALENDAR_PATH.fullmatch(str(options.get("path") or ""))
    return unquote(match["calendar"]) if match else "primary"


def _check_times(body: Mapping[str, Any]) -> None:
    for name in ("start", "end"):
        place = body.get(name, {})
        if not place.get("date") and not place.get("dateTime"):
            raise FieldError(
                name, f"{name} is missing; give {name}.dateTime (2026-03-01T09:00:00+01:00) or {name}.date (2026-03-01)"
            )
        if place.get("date") and place.get("dateTime"):
            raise FieldError(name, f"{name}.date and {name}.dateTime are both given; keep the one that is meant")


def _settle_ical_uid(body: dict[str, Any]) -> None:
    """An event is created with an id or with an iCalUID, never with both; ours always have an id."""
    uid = body.pop("iCalUID", None)
    if uid and "id" not in body and not uid.endswith("@google.com"):
        raise FieldError("iCalUID", "iCalUID belongs to imported events; leave the column out to create new ones")


def _check_id(own_id: str) -> None:
    if not _EVENT_ID.fullmatch(own_id):
        raise FieldError("id", f"id {own_id!r} is not a legal event id: 5 to 1024 of the characters a to v and 0 to 9")


def _parameters(body: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """Query parameters. No mail goes out unless the caller asks for it."""
    send = str(options.get("sendUpdates") or "none")
    if send not in _SEND_UPDATES:
        raise FieldError(
            "sendUpdates", f"metaData.sendUpdates {send!r} is not known; it can be none, all, externalOnly"
        )
    parameters = {"sendUpdates": send}
    if "conferenceData" in body:
        parameters["conferenceDataVersion"] = "1"
    if "attachments" in body:
        parameters["supportsAttachments"] = "true"
    return parameters


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:  # half a character, a number of more than 64 bits, a thousand levels
        raise FieldError(None, f"the record cannot be written as JSON ({error})") from error


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]
