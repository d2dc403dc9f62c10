"""A row of a job, prepared for Google: which event it means, and what to write to it."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.events import CANCELLED, Event, private_property
from openbulk.connectors.googlecalendar.fields import convert, parse_integer, require_clearable
from openbulk.connectors.googlecalendar.identity import (
    ICAL_UID,
    ID,
    MAX_NAME,
    MAX_VALUE,
    Identity,
    event_id,
    identity_of,
    is_kept,
    part_name,
)
from openbulk.connectors.googlecalendar.recurrence import OriginalStart, time_value
from openbulk.connectors.googlecalendar.schema import event_schema
from openbulk.connectors.googlecalendar.times import (
    needs_zone,
    resolve_original_start,
    resolve_times,
    time_field,
    time_options,
)
from openbulk.domain.records import Action, Expectation, Outcome, OutcomeKind, Record, Target

PRIMARY = "primary"
"""Google's name for the main calendar of the signed-in account."""
_CALENDAR_PATH = re.compile(r"/?calendars/(?P<calendar>[^/]+)(?:/events)?/?")
EXAMPLE_PATH = "/calendars/primary/events"
SEND_UPDATES = ("none", "all", "externalOnly")
KEY_PROPERTY = "openbulkKey"
RUN_PROPERTY = "openbulkRun"
SERIES_PROPERTY = "openbulkSeries"
"""The private property of the later part of a series, which finds it by its series."""
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
    """For an occurrence, that of its series. If the row has none: an id derived from the record's
    key, which is equal each time the record is sent."""
    original_start: OriginalStart | None
    """None for a whole event."""
    is_removal: bool
    """The row deletes the event, or cancels the occurrence."""
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
    expected: Expectation | None = None
    """What a plan saw of the event; None for a row that no plan is about."""

    def require_times(self) -> None:
        """A new event needs start and end. Raises FieldError."""
        for name in ("start", "end"):
            if time_field(self.fields.get(name, {})) is None:
                raise FieldError(
                    name,
                    f"{name} is missing; give {name}.dateTime (2026-03-01T09:00:00+01:00) "
                    f"or {name}.date (2026-03-01)",
                )

    def outcome(self, kind: OutcomeKind, event_id: str, event: Event) -> Outcome:
        """The outcome of the row, once it is written; `event` is what Google answered."""
        mails_outside = self.sends_mail and _has_outside_guests(event)
        return Outcome(self.number, kind, event_id, mails_outside=mails_outside)

    @property
    def markers(self) -> Mapping[str, str]:
        """The private properties that say the version of the event, and whose part it is."""
        markers = {}
        if self.sequence is not None:
            markers[_VERSION_PROPERTIES[self.original_start is not None]] = str(self.sequence)
        if self.identity.field == ICAL_UID and self.original_start is None:
            part = part_name(self.identity.value)
            if part is not None:
                markers[SERIES_PROPERTY] = series_marker(part.series)
        return markers


def _has_outside_guests(event: Event) -> bool:
    """Whether attendees are of another domain than the account."""
    own = domain_of(event.get("creator", {}).get("email", ""))
    return any(domain_of(guest.get("email", "")) != own for guest in event.get("attendees", ()))


def domain_of(email: str) -> str:
    """The domain of an e-mail address, in lower case."""
    return email.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class EventDraft:
    """A record in Google's types, whose times may still lack their zone."""

    record: Record
    calendar: str
    organizer: Mapping[str, Any]
    body: Mapping[str, Any]
    original_start: OriginalStart | None
    sequence: int | None


class RowReader:
    """Prepares the records of one job for Google."""

    def __init__(self, target: Target) -> None:
        """Raises FieldError for an option of metaData that is not known."""
        self.target = target
        self._options = time_options(target.options)
        self.calendar = calendar_of(target.options)
        """The calendar of rows that name none."""
        self._send_updates = _send_updates(target.options)
        self._may_clear = target.options.get("nullValue") not in (None, "")
        self._job_marker = {RUN_PROPERTY: _digest(target.run)} if target.run else {}
        self._schema = event_schema()
        column = target.identifier_field
        self._own_column = None if column in self._schema["properties"] else column
        """A column that is no field of Google: the event keeps it in its private properties."""

    def draft(self, record: Record) -> EventDraft:
        """A record in Google's types. Raises FieldError."""
        values = dict(record.values)
        if self._may_clear:
            require_clearable(values)
        calendar = str(values.pop("calendarId", None) or self.calendar)
        organizer = _organizer(values.pop("organizer", None))
        if self._own_column:
            values.pop(self._own_column, None)
        body = convert(values, self._schema)
        _require_kept_properties(body.get("extendedProperties", {}))
        original_start = self._original_start(body.pop("originalStartTime", {}))
        sequence = _sequence(values.get("sequence"))
        return EventDraft(record, calendar, organizer, body, original_start, sequence)

    def _original_start(self, time: dict[str, Any]) -> OriginalStart | None:
        """Which occurrence of a series a row is; None for a whole event. Raises FieldError."""
        if not time:
            return None
        is_this_and_future = time.pop("range", None) is not None
        resolved = resolve_original_start(time, self._options)
        if time_field(resolved) is None:
            return None
        return OriginalStart(time_value(resolved), is_this_and_future)

    async def row(self, draft: EventDraft, zone_of: Callable[[str], Awaitable[str]]) -> EventRow:
        """The row, ready to be written. Raises FieldError.

        `zone_of` fetches the zone of a calendar, if a time of the draft depends on it.
        """
        record, target, body = draft.record, self.target, draft.body
        parameters = _parameters(body, self._send_updates)
        # A deletion needs no times.
        if target.action is not Action.DELETE:
            body = resolve_times(
                body,
                self._options,
                zone=await self._zone(draft, zone_of),
                is_update=target.action is Action.UPDATE,
            )
        is_occurrence = draft.original_start is not None
        record_marker = {KEY_PROPERTY: _digest(record.key)}
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
            sequence=draft.sequence,
            organizer=draft.organizer,
            parameters=parameters,
            sends_mail=self._send_updates != "none",
            record_marker=record_marker,
            job_marker=self._job_marker,
            expected=record.expected,
        )

    async def _zone(self, draft: EventDraft, zone_of: Callable[[str], Awaitable[str]]) -> str:
        """The zone of the times that have none; any zone if there are no such times."""
        if self._options.zone:
            return self._options.zone
        if needs_zone(draft.body):
            return await zone_of(draft.calendar)
        return "UTC"


def _require_kept_properties(extended: Mapping[str, Mapping[str, str]]) -> None:
    """Raise FieldError for a property that Google would drop or cut."""
    for kind, properties in extended.items():
        for name, value in properties.items():
            if not is_kept(name, value):
                field = f"extendedProperties.{kind}.{name}"
                raise FieldError(
                    field,
                    f"{field} cannot be kept with an event: its name has {len(name)} characters "
                    f"and its value {len(value)}, and Google keeps {MAX_NAME} and {MAX_VALUE}",
                )


def _sequence(value: Any) -> int | None:
    """The version of an event. Raises FieldError."""
    if value in (None, ""):
        return None
    return parse_integer(value, "sequence")


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
    names = filter(value.get, ("email", "displayName"))
    organizer = {name: str(value[name]) for name in names}
    return {"organizer": organizer} if organizer else {}


def _send_updates(options: Mapping[str, Any]) -> str:
    """Whom Google mails: nobody, unless the caller wants it to. Raises FieldError."""
    send_updates = str(options.get("sendUpdates") or "none")
    if send_updates not in SEND_UPDATES:
        raise FieldError(
            "sendUpdates",
            f"metaData.sendUpdates {send_updates!r} is not known; "
            f"it can be {', '.join(SEND_UPDATES)}",
        )
    return send_updates


def _parameters(body: Mapping[str, Any], send_updates: str) -> dict[str, str]:
    """The query parameters."""
    parameters = {"sendUpdates": send_updates}
    # Without its parameter, Google ignores such a field of the body
    # (https://developers.google.com/workspace/calendar/api/v3/reference/events/insert).
    if "conferenceData" in body:
        parameters["conferenceDataVersion"] = "1"
    if "attachments" in body:
        parameters["supportsAttachments"] = "true"
    return parameters


def series_marker(uid: str) -> str:
    """The value of SERIES_PROPERTY, for the iCalUID of a series."""
    return _digest(uid)


def _digest(text: str) -> str:
    """A text as 32 characters that do not reveal it."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
