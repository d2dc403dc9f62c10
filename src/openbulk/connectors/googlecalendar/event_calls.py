"""The calls that write one event: Google's `insert`, `import`, `patch`, `update` and `delete`.

They are described at https://developers.google.com/workspace/calendar/api/v3/reference/events.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from openbulk.connectors.answers import Answer
from openbulk.connectors.drift import HAS_CHANGED
from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.api import CalendarApi, event_path, events_path
from openbulk.connectors.googlecalendar.errors import (
    DUPLICATE,
    EventDrifted,
    RecordRefused,
    read_existing,
    read_refusal,
    require_accepted,
)
from openbulk.connectors.googlecalendar.event_rows import EventRow, with_private_properties
from openbulk.connectors.googlecalendar.events import Event
from openbulk.connectors.googlecalendar.identity import is_legal_id
from openbulk.connectors.googlecalendar.shapes import read_resource
from openbulk.connectors.googlecalendar.times import time_field

_MAIL = "sendUpdates"
_PRECONDITION_FAILED = 412
_CLEARED_FIELDS: Mapping[str | None, Mapping[str, None]] = {
    "date": {"dateTime": None, "timeZone": None},
    "dateTime": {"date": None},
    None: {},
}
"""What a new start or end clears, by the field that has its value; a zone alone clears nothing."""


class Deletion(Enum):
    """What became of an event that was to be deleted."""

    DONE = auto()
    DONE_BEFORE = auto()
    """Google has it, as a deleted one."""
    NEVER_THERE = auto()
    """The calendar never had it, or is missing itself."""


_NOTHING_TO_DELETE = {404: Deletion.NEVER_THERE, 410: Deletion.DONE_BEFORE}
Properties = Mapping[str, str]
"""Private properties to add to those of the row."""


class EventCalls:
    """Makes the calls for the rows of one account. Each raises RecordRefused and ServiceError."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api

    async def insert(self, row: EventRow, event_id: str, properties: Properties) -> Event | None:
        """Create an event; None if its id is taken. Raises FieldError.

        Google accepts an id or an iCalUID for a new event, not both.
        """
        body = insert_body(row, event_id, properties)
        path = events_path(row.calendar)
        answer = await self._api.write("POST", path, row.calendar, params=row.parameters, body=body)
        if not answer.is_success:
            _require_duplicate(answer, row)
            return None
        return read_resource(answer, "Event")

    async def import_event(self, row: EventRow, properties: Properties) -> Event | None:
        """Make a private copy of an event from elsewhere, which keeps its iCalUID.

        None if Google reports a duplicate. Raises FieldError.
        """
        row.require_times()
        body = {**row.fields, **row.organizer, "iCalUID": row.identity.value}
        body = with_private_properties(body, {**properties, **row.markers})
        parameters = dict(row.parameters)
        del parameters[_MAIL]  # import sends no mail, and does not know the parameter
        path = f"{events_path(row.calendar)}/import"
        answer = await self._api.write("POST", path, row.calendar, params=parameters, body=body)
        if not answer.is_success:
            _require_duplicate(answer, row)
            return None
        return read_resource(answer, "Event")

    async def patch(
        self,
        row: EventRow,
        event_id: str,
        fields: Mapping[str, Any],
        *,
        etag: str | None = None,
    ) -> Event | None:
        """Change fields of an event; None if it no longer exists.

        Raises EventDrifted if the event has another etag than this one.
        """
        path = event_path(row.calendar, event_id)
        body = patch_body(with_private_properties(fields, row.markers))
        answer = await self._api.write(
            "PATCH", path, row.calendar, params=row.parameters, body=body, etag=etag
        )
        _require_etag(answer, event_id)
        return read_existing(answer, calendar=row.calendar)

    async def revive(self, row: EventRow, event_id: str) -> Event:
        """Undelete an event, with the fields of the row. Google does not allow it to everybody."""
        path = event_path(row.calendar, event_id)
        # `events.update` replaces the whole event: nothing is left of the deleted one.
        body = {"status": "confirmed", **with_private_properties(row.fields, row.markers)}
        answer = await self._api.write("PUT", path, row.calendar, params=row.parameters, body=body)
        hint = (
            f"the event {event_id!r} was deleted, and its id stays taken; give the row another id: "
        )
        require_accepted(answer, hint=hint)
        return read_resource(answer, "Event")

    async def delete(self, row: EventRow, event_id: str, *, etag: str | None = None) -> Deletion:
        """Delete an event. Raises EventDrifted if it has another etag than this one.

        If an earlier call of ours deleted it and its answer was lost, it was deleted before: Google
        does not say who did it.
        """
        path = event_path(row.calendar, event_id)
        parameters = {_MAIL: row.parameters[_MAIL]}
        answer = await self._api.write("DELETE", path, row.calendar, params=parameters, etag=etag)
        _require_etag(answer, event_id)
        # 404 may be about the event or about its calendar.
        if answer.status in _NOTHING_TO_DELETE:
            return _NOTHING_TO_DELETE[answer.status]
        require_accepted(answer, calendar=row.calendar)
        return Deletion.DONE


def insert_body(row: EventRow, event_id: str, properties: Properties) -> dict[str, Any]:
    """The body of `events.insert`. Raises FieldError."""
    if not is_legal_id(event_id):
        raise FieldError(
            "id",
            f"id {event_id!r} is not a legal event id: "
            "5 to 1024 of the characters a to v and 0 to 9",
        )
    row.require_times()
    properties = {**properties, **row.markers}
    return with_private_properties({**row.fields, "id": event_id}, properties)


def patch_body(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `events.patch`: the fields, and what they clear.

    Google merges the objects of a patch into the event's. So a new time must clear the date, and
    the calendar's reminders must clear the event's own
    (https://developers.google.com/workspace/calendar/api/guides/performance#patch).
    """
    body = dict(fields)
    for name in body.keys() & {"start", "end"}:
        body[name] = {**_CLEARED_FIELDS[time_field(body[name])], **body[name]}
    if body.get("reminders", {}).get("useDefault"):
        body["reminders"] = {"overrides": [], **body["reminders"]}
    return body


def _require_etag(answer: Answer, event_id: str) -> None:
    """Raise EventDrifted if Google refused a call as the event has another etag."""
    if answer.status == _PRECONDITION_FAILED:
        raise EventDrifted(HAS_CHANGED, event_id)


def _require_duplicate(answer: Answer, row: EventRow) -> None:
    """Raise RecordRefused for any refusal but `duplicate`, which means that the id is taken.

    An event has the id, or had it before it was deleted.
    """
    if read_refusal(answer).reason != DUPLICATE:
        raise RecordRefused(answer, calendar=row.calendar)
