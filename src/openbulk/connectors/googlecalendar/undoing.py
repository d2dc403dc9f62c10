"""Puts events back as they were, each guarded by its etag.

Google compares it in the call itself (`If-Match`), and answers 412 if somebody has changed the
event (https://developers.google.com/workspace/calendar/api/guides/version-resources).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from openbulk.connectors.answers import Answer
from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.api import CalendarApi, event_path
from openbulk.connectors.googlecalendar.diff import DEFAULTS, changes
from openbulk.connectors.googlecalendar.errors import GONE, RecordRefused, require_accepted
from openbulk.connectors.googlecalendar.event_lookup import EventLookup
from openbulk.connectors.googlecalendar.event_rows import (
    EventRow,
    calendar_of,
    parameters_of,
    send_updates_of,
)
from openbulk.connectors.googlecalendar.events import Event, is_cancelled
from openbulk.connectors.googlecalendar.identity import ID, Identity
from openbulk.connectors.googlecalendar.schema import event_schema
from openbulk.connectors.googlecalendar.shapes import read_resource
from openbulk.connectors.googlecalendar.traces import (
    CALENDAR,
    image_of_fields,
    version_of,
    whole_image,
)
from openbulk.domain.records import Outcome, Target
from openbulk.domain.undo import Deed, Reversal

_CHANGED = 412
_MAX_LOOKS = 5
"""At one event that others change meanwhile."""
_NOT_PUT_BACK = frozenset(
    {"id", "iCalUID", "etag", "kind", "sequence", "organizer", "recurringEventId", CALENDAR}
)
"""Fields of an event that stay with it, or that Google sets."""


class EventUndo:
    """Undoes what jobs have done to the calendars of one account."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api
        self._lookup = EventLookup(api)

    async def undo(
        self, target: Target, batch: Sequence[Reversal], *, overwrites: bool, is_trial: bool
    ) -> Sequence[Outcome]:
        """Put events back. Raises ServiceError."""
        return [
            await self._undo(target, one, overwrites=overwrites, is_trial=is_trial) for one in batch
        ]

    async def _undo(
        self, target: Target, reversal: Reversal, *, overwrites: bool, is_trial: bool
    ) -> Outcome:
        try:
            row = _row_of(target, reversal)
            event = await self._find(row)
            for _ in range(_MAX_LOOKS):
                reason = _why_not(reversal, event, overwrites=overwrites)
                if reason is not None:
                    return reason
                if is_trial:
                    return reversal.as_reversed()
                outcome = await self._put_back(row, reversal, event)
                if outcome is not None:
                    return outcome
                # Somebody has changed the event since it was looked up.
                event = await self._lookup.fetch(row, row.identity)
            return reversal.as_kept()
        except FieldError as error:
            return error.outcome(reversal.row)
        except RecordRefused as error:
            return error.outcome(reversal.row)

    async def _find(self, row: EventRow) -> Event | None:
        """The event as it is now, or was when the calendar was listed; also a deleted one."""
        # A listing shows no deleted events, and no dates of series that are as their series.
        return await self._lookup.find(row) or await self._lookup.fetch(row, row.identity)

    async def _put_back(
        self, row: EventRow, reversal: Reversal, event: Event | None
    ) -> Outcome | None:
        """Write; None if somebody has changed the event since it was looked up."""
        if event is None or _is_gone(event):
            return await self._revive(row, reversal, event)
        if reversal.deed is Deed.CREATED:
            return await self._delete(row, reversal, event)
        return await self._patch(row, reversal, event)

    async def _delete(self, row: EventRow, reversal: Reversal, event: Event) -> Outcome | None:
        answer = await self._write("DELETE", row, event)
        if answer.status == _CHANGED:
            return None
        if answer.status in GONE:
            return reversal.as_gone()
        require_accepted(answer, calendar=row.calendar)
        self._lookup.forget(row, reversal.id)
        return reversal.as_reversed(before=whole_image(row.calendar, event))

    async def _patch(self, row: EventRow, reversal: Reversal, event: Event) -> Outcome | None:
        values = _fields_to_put_back(reversal)
        if is_cancelled(event):  # a date of a series that was called off
            values = {**values, "status": values.get("status") or "confirmed"}
        body = _body_that_restores(values, event)
        answer = await self._write("PATCH", row, event, body)
        if answer.status == _CHANGED:
            return None
        if answer.status in GONE:
            return reversal.as_gone()
        return self._outcome_of_write(
            row, reversal, answer, image_of_fields(row.calendar, event, values)
        )

    async def _revive(
        self, row: EventRow, reversal: Reversal, event: Event | None
    ) -> Outcome | None:
        """Make a deleted event again: its id stays taken, and Google undeletes it."""
        fields = {
            name: one for name, one in _fields_to_put_back(reversal).items() if one is not None
        }
        answer = await self._write("PUT", row, event, {"status": "confirmed", **fields})
        if answer.status == _CHANGED:
            return None
        if answer.status in GONE:
            return reversal.as_irreversible(
                f"Google no longer has the deleted event {reversal.id!r}, so it cannot be made "
                "again under its id; upload it as a new one"
            )
        return self._outcome_of_write(row, reversal, answer, None)

    def _outcome_of_write(
        self, row: EventRow, reversal: Reversal, answer: Answer, before: Any
    ) -> Outcome:
        require_accepted(answer, calendar=row.calendar)
        event = read_resource(answer, "Event")
        self._lookup.cache_of(row).put(event)
        return reversal.as_reversed(before=before, version=version_of(row.calendar, event))

    async def _write(
        self,
        method: str,
        row: EventRow,
        event: Event | None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        mail = {"sendUpdates": row.parameters["sendUpdates"]}
        parameters = mail if body is None else parameters_of(body, mail["sendUpdates"])
        return await self._api.write(
            method,
            event_path(row.calendar, row.identity.value),
            row.calendar,
            params=parameters,
            body=body,
            etag=None if event is None else event.get("etag"),
        )


def _row_of(target: Target, reversal: Reversal) -> EventRow:
    """A row that means the event to put back. Raises FieldError."""
    version = reversal.version if isinstance(reversal.version, Mapping) else {}
    calendar = version.get(CALENDAR) or reversal.values.get(CALENDAR) or calendar_of(target.options)
    mail = send_updates_of(target.options)
    return EventRow(
        target=target,
        number=reversal.row,
        calendar=str(calendar),
        fields={},
        identity=Identity(ID, reversal.id),
        original_start=None,
        is_removal=False,
        sequence=None,
        organizer={},
        parameters={"sendUpdates": mail},
        sends_mail=mail != "none",
        record_marker={},
        job_marker={},
    )


def _why_not(reversal: Reversal, event: Event | None, *, overwrites: bool) -> Outcome | None:
    """The outcome of an event that is not written; None if it is to be."""
    if event is None or is_cancelled(event):
        return None if reversal.deed is Deed.DELETED else reversal.as_gone()
    if reversal.deed is not Deed.CREATED and _is_as_before(_fields_to_put_back(reversal), event):
        return reversal.as_reversed()
    version = reversal.version if isinstance(reversal.version, Mapping) else {}
    is_ours = version.get("etag") == event.get("etag")
    return None if is_ours or overwrites else reversal.as_kept()


def _is_gone(event: Event) -> bool:
    return is_cancelled(event) and not event.get("recurringEventId")


def _fields_to_put_back(reversal: Reversal) -> Mapping[str, Any]:
    """The fields that Google takes, of those that were kept."""
    known = event_schema()["properties"]
    return {
        name: value
        for name, value in reversal.values.items()
        if name not in _NOT_PUT_BACK and not known.get(name, {}).get("readOnly")
    }


def _is_as_before(values: Mapping[str, Any], event: Event) -> bool:
    unset = [name for name, value in values.items() if value is None]
    given = {name: value for name, value in values.items() if value is not None}
    is_unset = all(event.get(name, DEFAULTS.get(name)) in _EMPTY for name in unset)
    return is_unset and not changes(given, event)


_EMPTY: Sequence[Any] = (None, "", [], {}, False)


def _body_that_restores(values: Mapping[str, Any], event: Event) -> dict[str, Any]:
    """The body of a patch after which the fields have these values.

    Google merges objects: what came into them since is taken out by null.
    """
    return {name: _restoring(value, event.get(name)) for name, value in values.items()}


def _restoring(value: Any, now: Any) -> Any:
    if not isinstance(value, Mapping) or not isinstance(now, Mapping):
        return value
    added = dict.fromkeys(now.keys() - value.keys())
    return {**added, **{name: _restoring(one, now.get(name)) for name, one in value.items()}}
