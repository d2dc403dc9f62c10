"""From a record to what is asked of Google for it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

import orjson

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.fields import converted
from openbulk.connectors.googlecalendar.identity import ICAL_UID, ID, Identity, identity_of
from openbulk.connectors.googlecalendar.schema import event_schema
from openbulk.domain.records import Record, Target

_EVENT_ID = re.compile(r"[a-v0-9]{5,1024}")
"""An id that a new event may have; Google itself also makes others, of imported events and of occurrences."""
_CALENDAR_PATH = re.compile(r"/?calendars/(?P<calendar>[^/]+)(?:/events)?/?")
_SEND_UPDATES = ("none", "all", "externalOnly")
_IDENTITY_FIELDS = ("id", "iCalUID", "recurringEventId", "originalStartTime")
KEY_PROPERTY = "openbulkKey"
RUN_PROPERTY = "openbulkRun"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one row asks for."""

    row: int
    key: str
    calendar: str
    body: Mapping[str, Any]
    """The fields to write, in Google's types, less those that say which event it is."""
    identity: Identity | None
    series: str | None
    """Id of the series that an occurrence belongs to, where the row says it."""
    organizer: Mapping[str, Any] | None
    """The organizer that an imported event keeps."""
    parameters: Mapping[str, str]
    run: str

    @property
    def events_path(self) -> str:
        """Below `/calendar/v3`."""
        return f"/calendars/{quote(self.calendar, safe='@')}/events"

    def event_path(self, event_id: str) -> str:
        """One event's path below `/calendar/v3`."""
        return f"{self.events_path}/{quote(event_id, safe='')}"

    @property
    def is_cancelled(self) -> bool:
        """Whether the row says that the event is not to be there."""
        return self.body.get("status") == "cancelled"

    @property
    def mark(self) -> str:
        """What tells an event that this record made from another one with the same id."""
        return short(self.key)


@dataclass(frozen=True, slots=True)
class Draft:
    """A row in Google's types, its times still as the row has them."""

    record: Record
    calendar: str
    body: Mapping[str, Any]
    organizer: Mapping[str, Any] | None


def draft_of(record: Record, target: Target) -> Draft:
    """A record in Google's types. Raises FieldError."""
    values = dict(record.values)
    calendar = str(values.pop("calendarId", None) or calendar_of(target.options))
    schema = event_schema()
    column = target.identifier_field
    if column and column in values and column not in schema["properties"]:
        del values[column]  # it is kept in the event's private properties
    organizer = values.pop("organizer", None)
    return Draft(record, calendar, converted(values, schema), _organizer(organizer))


def plan_of(draft: Draft, body: Mapping[str, Any], target: Target) -> Plan:
    """What a record asks for; `body` is the draft's with its times settled. Raises FieldError."""
    record = draft.record
    identity = identity_of({**record.values, **body}, body, target)
    return Plan(
        row=record.row,
        key=record.key,
        calendar=draft.calendar,
        body=_with_property(body, identity),
        identity=identity,
        series=body.get("recurringEventId"),
        organizer=draft.organizer,
        parameters=_parameters(body, target.options),
        run=short(target.run) if target.run else "",
    )


def _with_property(body: Mapping[str, Any], identity: Identity | None) -> Mapping[str, Any]:
    """The body with its identity in the event's private properties, where it is kept there."""
    if identity is not None and identity.is_property and identity.occurrence is None:
        return marked(body, {identity.field: identity.value})
    return body


def marked(body: Mapping[str, Any], properties: Mapping[str, str]) -> dict[str, Any]:
    """The body with private properties added to it."""
    extended = body.get("extendedProperties", {})
    return {
        **body,
        "extendedProperties": {
            **extended,
            "private": {**extended.get("private", {}), **properties},
        },
    }


def fields_of(plan: Plan) -> dict[str, Any]:
    """The fields to write to an event that exists: less those that say which one it is."""
    return {name: value for name, value in plan.body.items() if name not in _IDENTITY_FIELDS}


def new_event(plan: Plan, event_id: str, properties: Mapping[str, str]) -> bytes:
    """The body of `events.insert`. An event is created with an id or with an iCalUID, never with both."""
    if not _EVENT_ID.fullmatch(event_id):
        raise FieldError(
            "id",
            f"id {event_id!r} is not a legal event id: 5 to 1024 of the characters a to v and 0 to 9",
        )
    check_times(plan.body)
    return encoded(marked({**fields_of(plan), "id": event_id}, properties))


def imported_event(plan: Plan, uid: str, properties: Mapping[str, str]) -> bytes:
    """The body of `events.import`: a private copy of an event that was made elsewhere. It sends no mail."""
    check_times(plan.body)
    organizer = {"organizer": plan.organizer} if plan.organizer else {}
    return encoded(marked({**fields_of(plan), **organizer, "iCalUID": uid}, properties))


def calendar_of(options: Mapping[str, Any]) -> str:
    """The calendar that metaData names, by `calendarId` or by `path` (`/calendars/{id}/events`); else the primary."""
    if options.get("calendarId"):
        return str(options["calendarId"])
    match = _CALENDAR_PATH.fullmatch(str(options.get("path") or ""))
    return unquote(match["calendar"]) if match else "primary"


def check_times(body: Mapping[str, Any]) -> None:
    """An event that is to be made needs start and end. Raises FieldError."""
    for name in ("start", "end"):
        place = body.get(name, {})
        if not place.get("date") and not place.get("dateTime"):
            raise FieldError(
                name,
                f"{name} is missing; give {name}.dateTime (2026-03-01T09:00:00+01:00) or {name}.date (2026-03-01)",
            )
        if place.get("date") and place.get("dateTime"):
            raise FieldError(
                name, f"{name}.date and {name}.dateTime are both given; keep the one that is meant"
            )


def whole(identity: Identity) -> Identity:
    """The series that an occurrence belongs to."""
    value = identity.value
    if identity.field == ID and identity.occurrence:
        value = value.removesuffix(f"_{identity.occurrence}")
    return replace(identity, value=value, occurrence=None)


def is_import(plan: Plan) -> bool:
    """Whether a new event is one that was made elsewhere: it is known by its iCalUID alone."""
    return plan.identity is not None and plan.identity.field == ICAL_UID


def _organizer(value: Any) -> Mapping[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    return {name: str(value[name]) for name in ("email", "displayName") if value.get(name)} or None


def _parameters(body: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """Query parameters. No mail goes out unless the caller asks for it."""
    send = str(options.get("sendUpdates") or "none")
    if send not in _SEND_UPDATES:
        raise FieldError(
            "sendUpdates",
            f"metaData.sendUpdates {send!r} is not known; it can be none, all, externalOnly",
        )
    parameters = {"sendUpdates": send}
    if "conferenceData" in body:
        parameters["conferenceDataVersion"] = "1"
    if "attachments" in body:
        parameters["supportsAttachments"] = "true"
    return parameters


def encoded(body: Mapping[str, Any]) -> bytes:
    """A body as JSON. Raises FieldError where it cannot be."""
    try:
        return orjson.dumps(body)
    except TypeError as error:  # half a character, a number of more than 64 bits, a thousand levels
        raise FieldError(None, f"the record cannot be written as JSON ({error})") from error


def short(text: str) -> str:
    """A text as 32 characters that stand for it."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
