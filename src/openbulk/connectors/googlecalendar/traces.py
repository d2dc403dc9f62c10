"""Notes what rows overwrite in calendars, and leave there, for an undo of their job.

Google commits each call by itself. So what a call is about to overwrite is kept before it is made:
if its answer is lost, or openbulk is stopped, the row finds the event as it wants it, and what it
was before is known all the same.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from openbulk.connectors.googlecalendar.api import CalendarApi
from openbulk.connectors.googlecalendar.event_calls import Deletion, EventCalls, Properties
from openbulk.connectors.googlecalendar.event_lookup import FEW_RECORDS, EventLookup
from openbulk.connectors.googlecalendar.event_rows import EventRow, with_private_properties
from openbulk.connectors.googlecalendar.event_uploads import EventUploads
from openbulk.connectors.googlecalendar.events import Event, is_cancelled
from openbulk.connectors.googlecalendar.identity import ID, Identity
from openbulk.domain.records import Before, Outcome, OutcomeKind, Record, Target

CALENDAR = "calendarId"
_SEVERAL = (
    "the row has changed several events, as a series and dates of it; put them back by hand, or "
    "upload the series as it was"
)


def version_of(calendar: str, event: Event) -> Mapping[str, Any]:
    """The version of an event, and where it is."""
    return {CALENDAR: calendar, "etag": event.get("etag")}


def whole_image(calendar: str, event: Event) -> Before:
    """All of an event that a call is about to delete."""
    return Before({**event, CALENDAR: calendar}, version_of(calendar, event))


def image_of_fields(calendar: str, event: Event, names: Mapping[str, Any]) -> Before:
    """The fields of an event that a call is about to change."""
    values = {name: event.get(name) for name in names}
    return Before(values, version_of(calendar, event))


class WriteNote(NamedTuple):
    """What one call of a row has done."""

    event_id: str
    before: Before | None
    after: Event | None
    """None if it has deleted the event."""
    has_guests: bool


class NotingCalls(EventCalls):
    """Makes the calls for rows, and notes what they overwrite."""

    def __init__(self, api: CalendarApi, lookup: EventLookup) -> None:
        super().__init__(api)
        self._lookup = lookup
        self._notes: dict[int, list[WriteNote]] = {}

    def take_notes(self, row: int) -> list[WriteNote]:
        """What the calls for a row have done."""
        return self._notes.pop(row, [])

    async def insert(self, row: EventRow, event_id: str, properties: Properties) -> Event | None:
        """Create an event; None if its id is taken."""
        event = await super().insert(row, event_id, properties)
        self._note(row, event_id, None, event)
        return event

    async def import_event(self, row: EventRow, properties: Properties) -> Event | None:
        """Make a private copy of an event from elsewhere; None if Google reports a duplicate."""
        event = await super().import_event(row, properties)
        self._note(row, str(event and event["id"]), None, event)
        return event

    async def patch(
        self, row: EventRow, event_id: str, fields: Mapping[str, Any], *, etag: str | None = None
    ) -> Event | None:
        """Change fields of an event; None if it no longer exists."""
        written = with_private_properties(fields, row.markers)
        before = await self._keep(row, event_id, written)
        event = await super().patch(row, event_id, fields, etag=etag)
        self._note(row, event_id, before, event)
        return event

    async def revive(self, row: EventRow, event_id: str) -> Event:
        """Undelete an event."""
        event = await super().revive(row, event_id)
        self._note(row, event_id, None, event)
        return event

    async def delete(self, row: EventRow, event_id: str, *, etag: str | None = None) -> Deletion:
        """Delete an event."""
        before = await self._keep(row, event_id, None)
        deletion = await super().delete(row, event_id, etag=etag)
        if deletion is Deletion.DONE and row.target.before_images is not None:
            has_guests = before is not None and _has_guests(before.values)
            note = WriteNote(event_id, before, None, has_guests)
            self._notes.setdefault(row.number, []).append(note)
        return deletion

    async def _keep(
        self, row: EventRow, event_id: str, fields: Mapping[str, Any] | None
    ) -> Before | None:
        """Keep what a call is about to overwrite: these fields, or the whole event."""
        images = row.target.before_images
        if images is None:
            return None
        event = await self.find_event(row, event_id)
        if event is None or is_cancelled(event):
            return None
        before = whole_image(row.calendar, event)
        if fields is not None:
            before = image_of_fields(row.calendar, event, fields)
        # A row that changes several events is not undone: the first image is enough.
        if row.number not in self._notes:
            await images.keep(row.number, before)
        return before

    async def find_event(self, row: EventRow, event_id: str) -> Event | None:
        """An event by its id, as it was seen last; None if the calendar has none."""
        identity = Identity(ID, event_id)
        held = self._lookup.cache_of(row).find(identity)
        if held is None and row.identity == identity and _is_large(row):
            held = await self._lookup.find(row)
        return held or await self._lookup.fetch(row, identity)

    def _note(
        self, row: EventRow, event_id: str, before: Before | None, event: Event | None
    ) -> None:
        if event is not None and row.target.before_images is not None:
            note = WriteNote(event_id, before, event, _has_guests(event))
            self._notes.setdefault(row.number, []).append(note)


class TracedUploads(EventUploads):
    """Writes events; the outcomes say what was overwritten, if the job can be undone."""

    def __init__(self, calls: NotingCalls, lookup: EventLookup) -> None:
        super().__init__(calls, lookup)
        self._noting = calls
        self._rows: dict[int, EventRow] = {}
        """The rows that are being written."""

    async def write(self, record: Record, target: Target) -> Outcome:
        """Do the target's action with one record. Raises ServiceError."""
        if target.before_images is None:
            return await super().write(record, target)
        self._noting.take_notes(record.row)
        outcome = await super().write(record, target)
        row, notes = self._rows.pop(record.row, None), self._noting.take_notes(record.row)
        if row is None or outcome.problem is not None:
            return outcome
        if not notes:
            return await self._without_notes(outcome, row)
        return _with_trace(outcome, row, notes)

    async def _prepare(self, record: Record, target: Target) -> EventRow:
        row = await super()._prepare(record, target)
        if target.before_images is not None:
            self._rows[record.row] = row
        return row

    async def _without_notes(self, outcome: Outcome, row: EventRow) -> Outcome:
        """The outcome of a row for which no call was made now; one before may have been."""
        assert row.target.before_images is not None
        image = row.target.before_images.image_of(row.number)
        if outcome.id is None or (image is None and outcome.kind is not OutcomeKind.CREATED):
            return outcome
        if image is not None and row.is_removal:
            return outcome._replace(kind=OutcomeKind.DELETED, before=image)
        event = await self._noting.find_event(row, outcome.id)
        if event is None:
            return outcome
        if image is not None and image.version == version_of(row.calendar, event):
            return outcome  # the call was never made
        kind = OutcomeKind.CREATED if image is None else OutcomeKind.UPDATED
        return outcome._replace(kind=kind, before=image, version=version_of(row.calendar, event))


def _with_trace(outcome: Outcome, row: EventRow, notes: list[WriteNote]) -> Outcome:
    if any(note.has_guests for note in notes) and row.sends_mail:
        return outcome._replace(
            irreversible="Google has mailed the guests of the event about it, which nobody can "
            "take back; change the event by hand, so that they hear of it"
        )
    first, last = notes[0], notes[-1]
    if {note.event_id for note in notes} != {outcome.id}:
        return outcome._replace(irreversible=_SEVERAL)
    version = None if last.after is None else version_of(row.calendar, last.after)
    if version is None and first.before is None:
        return outcome
    return outcome._replace(before=first.before, version=version)


def _has_guests(event: Mapping[str, Any]) -> bool:
    """Whether people are invited, beside the account itself."""
    return any(not guest.get("self") for guest in event.get("attendees", ()))


def _is_large(row: EventRow) -> bool:
    """Whether the calendar is listed for the row's job."""
    return row.target.records is None or row.target.records > FEW_RECORDS
