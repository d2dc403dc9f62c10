"""A row of a job, prepared for Google: which event it means, and what to write to it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.events import CANCELLED, Event, private_property
from openbulk.connectors.googlecalendar.fields import convert, parse_integer, require_clearable
from openbulk.connectors.googlecalendar.identity import ID, Identity, event_id, identity_of
from openbulk.connectors.googlecalendar.recurrence import OriginalStart, time_value
from openbulk.connectors.googlecalendar.schema import event_schema
from openbulk.connectors.googlecalendar.times import (
    TimeOptions,
    resolve_original_start,
    time_field,
)
from openbulk.domain.records import Action, Record, Target

PRIMARY = "primary"
"""Google's name for the main calendar of the signed-in account."""
_CALENDAR_PATH = re.compile(r"/?calendars/(?P<calendar>[^/]+)(?:/events)?/?")
EXAMPLE_PATH = "/calendars/primary/events"
SEND_UPDATES = ("none", "all", "externalOnly")
KEY_PROPERTY = "openbulkKey"
RUN_PROPERTY = "openbulkRun"
_VERSION_PROPERTIES = {False: "openbulkSequence", True: "openbulkOccurrenceSequence"}
"""The private property that keeps the version of an event; by whether it is an occurrence, which
has the private properties of its series, too."""
_IDENTITY_FIELDS = frozenset({"id", "iCalUID", "recurringEventId", "originalStartTime"})


@dataclass(frozen=True, slots=True)
class EventRow:
    """What one row writes, and to which event."""

    target: Target
    number: int
    calendar: str
    fields: Mapping[str, Any]
    """The fields to write, in Google's types, without those that identify the event."""
    identity: Identity
    """If the row has none: an id derived from the record's key, which is equal each time the record
    is sent."""
    original_start: OriginalStart | None
    """None for a whole event."""
    is_removal: bool
    """The row deletes the event, or cancels the occurrence."""
    series_id: str | None
    """The id of the series that an occurrence belongs to; None if the row lacks it."""
    sequence: int | None
    """The version of the event (RFC 5545, section 3.8.7.4); None if the row does not say."""
    organizer: Mapping[str, Any]
    """The organizer that an imported event keeps: a field of the import's body, or none."""
    parameters: Mapping[str, str]
    """The query parameters of a call that writes."""
    sends_mail: bool
    """Google mails the attendees."""
    record_marker: Mapping[str, str]
    """The private property that marks an event as created by this record, as another one may have
    its id; empty if the id is derived from the record's key."""
    job_marker: Mapping[str, str]
    """The private property that marks an event as created by this job; empty if the job has no
    name (`Target.run`)."""

    @property
    def version_marker(self) -> Mapping[str, str]:
        """The private property that says which version of the event this row is."""
        if self.sequence is None:
            return {}
        return {_VERSION_PROPERTIES[self.original_start is not None]: str(self.sequence)}

    @property
    def series(self) -> Identity:
        """What identifies the series that an occurrence belongs to."""
        return Identity(ID, self.series_id) if self.series_id else self.identity.series


@dataclass(frozen=True, slots=True)
class EventDraft:
    """A row in Google's types, whose times may still lack their zone."""

    record: Record
    target: Target
    calendar: str
    organizer: Mapping[str, Any]
    body: Mapping[str, Any]
    original_start: OriginalStart | None
    sequence: int | None


def draft_of(record: Record, target: Target, options: TimeOptions) -> EventDraft:
    """A record in Google's types. Raises FieldError."""
    values = dict(record.values)
    if target.options.get("nullValue"):
        require_clearable(values)
    calendar = str(values.pop("calendarId", None) or calendar_of(target.options))
    organizer = _organizer(values.pop("organizer", None))
    schema = event_schema()
    column = target.identifier_field
    if column and column not in schema["properties"]:
        values.pop(column, None)  # the event keeps it in its private properties
    sequence = _sequence(values.get("sequence"))
    original_start = _original_start(values.pop("originalStartTime", None), options)
    body = convert(values, schema)
    return EventDraft(record, target, calendar, organizer, body, original_start, sequence)


def _original_start(value: Any, options: TimeOptions) -> OriginalStart | None:
    """Which occurrence of a series a row is; None for a whole event. Raises FieldError."""
    time = convert({"originalStartTime": value}, event_schema()).get("originalStartTime", {})
    is_this_and_future = time.pop("range", None) is not None
    if time_field(time) is None:
        return None
    return OriginalStart(time_value(resolve_original_start(time, options)), is_this_and_future)


def _sequence(value: Any) -> int | None:
    """The version of an event. Raises FieldError."""
    if value in (None, ""):
        return None
    return parse_integer(value, "sequence")


def event_row(draft: EventDraft, body: Mapping[str, Any]) -> EventRow:
    """The row, ready to be written. Raises FieldError.

    `body` is the draft's, with its times resolved.
    """
    record, target = draft.record, draft.target
    parameters = _parameters(body, target.options)
    record_marker = {KEY_PROPERTY: _digest(record.key)}
    job_marker = {RUN_PROPERTY: _digest(target.run)} if target.run else {}
    is_occurrence = draft.original_start is not None
    identity = identity_of({**record.values, **body}, body, target, is_occurrence=is_occurrence)
    if identity is None:
        identity, record_marker = Identity(ID, event_id(record.key)), {}
    fields = {name: value for name, value in body.items() if name not in _IDENTITY_FIELDS}
    if identity.is_property and not is_occurrence:
        fields = with_private_properties(fields, {identity.field: identity.value})
    is_cancelled = fields.get("status") == CANCELLED
    return EventRow(
        target=target,
        number=record.row,
        calendar=draft.calendar,
        fields=fields,
        identity=identity,
        original_start=draft.original_start,
        is_removal=is_cancelled or target.action is Action.DELETE,
        series_id=body.get("recurringEventId"),
        sequence=draft.sequence,
        organizer=draft.organizer,
        parameters=parameters,
        sends_mail=parameters["sendUpdates"] != "none",
        record_marker=record_marker,
        job_marker=job_marker,
    )


def version_in(event: Event, *, is_occurrence: bool) -> int | None:
    """The version of the event that the calendar holds; None if nothing says it."""
    version = private_property(event, _VERSION_PROPERTIES[is_occurrence])
    if version is not None and version.isdecimal():
        return int(version)
    # Google counts the changes that openbulk makes; a row's version counts those of its author.
    # An occurrence may have the count of its series.
    is_own = any(private_property(event, name) for name in (KEY_PROPERTY, RUN_PROPERTY))
    return None if is_own or is_occurrence else event.get("sequence")


def with_private_properties(
    body: Mapping[str, Any], properties: Mapping[str, str]
) -> dict[str, Any]:
    """The body of an event with private properties added to its own."""
    if not properties:
        return dict(body)
    extended = body.get("extendedProperties", {})
    private = {**extended.get("private", {}), **properties}
    return {**body, "extendedProperties": {**extended, "private": private}}


def calendar_of(options: Mapping[str, Any]) -> str:
    """The calendar that metaData names; the primary one if it names none.

    It is named by `calendarId`, or by `path` (`/calendars/{id}/events`). Raises FieldError for
    another path, and if both name a calendar, and not the same.
    """
    calendar = str(options.get("calendarId") or "")
    path = str(options.get("path") or "")
    if not path:
        return calendar or PRIMARY
    in_path = _calendar_in(path)
    if calendar not in ("", in_path):
        raise FieldError(
            "path",
            f"metaData.path {path!r} and metaData.calendarId {calendar!r} name two calendars; "
            "leave one of them out",
        )
    return in_path


def _calendar_in(path: str) -> str:
    match = _CALENDAR_PATH.fullmatch(path)
    if match is None:
        raise FieldError(
            "path", f"metaData.path {path!r} names no calendar; it looks like {EXAMPLE_PATH}"
        )
    return unquote(match["calendar"])


def _organizer(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    organizer = {name: str(value[name]) for name in ("email", "displayName") if value.get(name)}
    return {"organizer": organizer} if organizer else {}


def _parameters(body: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """The query parameters. Google sends no mail unless the caller wants it to."""
    send_updates = str(options.get("sendUpdates") or "none")
    if send_updates not in SEND_UPDATES:
        raise FieldError(
            "sendUpdates",
            f"metaData.sendUpdates {send_updates!r} is not known; "
            f"it can be {', '.join(SEND_UPDATES)}",
        )
    parameters = {"sendUpdates": send_updates}
    # Without its parameter, Google ignores such a field of the body
    # (https://developers.google.com/workspace/calendar/api/v3/reference/events/insert).
    if "conferenceData" in body:
        parameters["conferenceDataVersion"] = "1"
    if "attachments" in body:
        parameters["supportsAttachments"] = "true"
    return parameters


def _digest(text: str) -> str:
    """A text as 32 characters that do not reveal it."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
