"""Says what rows would do to calendars: they are written, with calls that only pretend to write.

Rows are prepared, looked up and compared by the code that writes them. Only the calls that write
are replaced, and their answers are kept as if Google had given them, for the rows behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.api import (
    CalendarApi,
    CountingApi,
    events_path,
    of_plan_alone,
)
from openbulk.connectors.googlecalendar.errors import require_accepted
from openbulk.connectors.googlecalendar.event_calls import (
    Deletion,
    EventCalls,
    Properties,
    insert_body,
    patch_body,
)
from openbulk.connectors.googlecalendar.event_lookup import FEW_RECORDS, EventLookup
from openbulk.connectors.googlecalendar.event_rows import (
    EventRow,
    domain_of,
    with_private_properties,
)
from openbulk.connectors.googlecalendar.event_uploads import EventUploads
from openbulk.connectors.googlecalendar.events import Event, is_cancelled
from openbulk.connectors.googlecalendar.identity import ICAL_UID, ID, Identity
from openbulk.connectors.googlecalendar.recurrence import OriginalStart, dates_that_are_none
from openbulk.connectors.googlecalendar.shapes import read_resource
from openbulk.domain.plan import CalendarEntry, Change, Planned, PlannedKind, kind_of
from openbulk.domain.records import Action, Outcome, Problem, Record, Target

_WRITERS = frozenset({"writer", "writerWithoutPrivateAccess", "owner"})
"""The roles that may write events (discovery document, `Events.accessRole`)."""
_PLANNED = "openbulkPlanned"
"""A field of an event that a plan has made up."""


@dataclass(slots=True)
class RowNotes:
    """What the calls for one row would do."""

    events: dict[str, Event] = field(default_factory=dict)
    """The events that they would change, as they are."""
    calendar: str | None = None
    """The calendar of the event; None if no call would be made."""
    changes: dict[str, Mapping[str, Change]] = field(default_factory=dict)
    entry: CalendarEntry | None = None
    """What the calendar would show of the event."""
    calls: int = 0
    mails: int = 0
    mails_outside: int = 0


class PlannedLookup(EventLookup):
    """Finds events, and those that a plan has made up."""

    def __init__(self, api: CalendarApi) -> None:
        super().__init__(api)
        self._names: dict[str, str] = {}
        """By calendar that may be written, its name: that of a main calendar is an address."""
        self._gone: set[tuple[str, str, str]] = set()
        """Events that the plan of a small job deletes, by job, calendar and id."""
        self._counts: dict[int, int] = {}

    async def find(self, row: EventRow) -> Event | None:
        """The event that a row means. A comparison also counts the events that it may mean."""
        event = await super().find(row)
        if row.target.only_compares and event is not None:
            self._counts[row.number] = await self.count(row)
        return event

    def take_count(self, row: int) -> int:
        """How many events a row may mean that is only compared."""
        return self._counts.pop(row, 1)

    async def fetch(self, row: EventRow, identity: Identity, **parameters: str) -> Event | None:
        """The event with an identity, as the plan has left it."""
        held = self.cache_of(row).find(identity)
        event = held or await super().fetch(row, identity, **parameters)
        return None if event is not None and self._is_gone(row, event) else event

    def forget(self, row: EventRow, event_id: str) -> None:
        """Note that the plan deletes an event."""
        super().forget(row, event_id)
        if not self.cache_of(row).is_complete:
            self._gone.add((row.target.run, row.calendar, event_id))

    def _is_gone(self, row: EventRow, event: Event) -> bool:
        name = (row.target.run, row.calendar, str(event["id"]))
        return name in self._gone and not event.get(_PLANNED)

    async def fetch_taken(self, row: EventRow, event_id: str) -> Event:
        """The event that has an id."""
        return self.event_with_id(row, event_id) or await super().fetch_taken(row, event_id)

    def event_with_id(self, row: EventRow, event_id: str) -> Event | None:
        """The event with an id, if this job has fetched or made it up."""
        return self.cache_of(row).find(Identity(ID, event_id))

    async def name_of(self, calendar: str) -> str:
        """The name of a calendar that the account may change. Raises RecordRefused, FieldError."""
        if calendar not in self._names:
            parameters = {"maxResults": "1", "fields": "accessRole,summary"}
            answer = await self._api.read(events_path(calendar), parameters)
            require_accepted(answer, calendar=calendar)
            about = read_resource(answer, "Events")
            if about.get("accessRole") not in _WRITERS:
                raise FieldError(
                    "calendarId",
                    f"you may read the calendar {calendar!r}, and not change it; ask its owner for "
                    "the right to make changes to events",
                )
            self._names[calendar] = str(about.get("summary", ""))
        return self._names[calendar]


class PlannedCalls(EventCalls):
    """Answers the calls that write as Google would, and makes none of them."""

    def __init__(self, api: CountingApi, lookup: PlannedLookup) -> None:
        super().__init__(api)
        self.counting_api = api
        self._lookup = lookup
        self._notes: dict[int, RowNotes] = {}

    def take_notes(self, row: int) -> RowNotes:
        """What the calls for a row would have done."""
        return self._notes.pop(row, RowNotes())

    def _count_call(self, row: EventRow) -> RowNotes:
        notes = self._notes.setdefault(row.number, RowNotes())
        notes.calendar = row.calendar
        notes.calls += 1
        return notes

    @of_plan_alone
    async def insert(self, row: EventRow, event_id: str, properties: Properties) -> Event | None:
        """The new event; None if its id is taken. Raises FieldError."""
        body = insert_body(row, event_id, properties)
        if self._lookup.event_with_id(row, event_id) or await self._is_taken(row, event_id):
            return None
        return await self._make_up(row, {"iCalUID": f"{event_id}@google.com", **body}, mails=True)

    async def _is_taken(self, row: EventRow, event_id: str) -> bool:
        """Whether an event has the id that a row names, as far as the calendar shows it."""
        # An id that is made of the record's key is its own; others than `create` have looked it up.
        is_named = row.identity == Identity(ID, event_id) and bool(row.record_marker)
        if not is_named or row.target.action is not Action.CREATE:
            return False
        if _is_large(row):
            return await self._lookup.find(row) is not None
        return await self._lookup.fetch(row, row.identity) is not None

    @of_plan_alone
    async def import_event(self, row: EventRow, properties: Properties) -> Event | None:
        """The new private copy; None if its iCalUID is taken. Raises FieldError."""
        row.require_times()
        if self._lookup.cache_of(row).find(row.identity) or await self._is_uid_taken(row):
            return None
        body = {**row.fields, **row.organizer, "iCalUID": row.identity.value}
        body = with_private_properties(body, {**properties, **row.markers})
        return await self._make_up(row, {"id": f"planned{row.number}", **body}, mails=False)

    async def _is_uid_taken(self, row: EventRow) -> bool:
        if row.target.action is not Action.CREATE:
            return False
        if _is_large(row):
            return await self._lookup.find(row) is not None
        return await self._lookup.fetch(row, row.identity, showDeleted="true") is not None

    @of_plan_alone
    async def patch(
        self,
        row: EventRow,
        event_id: str,
        fields: Mapping[str, Any],
        *,
        etag: str | None = None,
    ) -> Event | None:
        """The event with other fields; None if there is none."""
        name = await self._lookup.name_of(row.calendar)
        event = await self._event(row, event_id)
        if event is None:
            return None
        body = patch_body(with_private_properties(fields, row.markers))
        after = {**_merge(event, body), _PLANNED: True}
        notes = self._count_call(row)
        notes.events.setdefault(event_id, event)
        changes = {key: Change(event.get(key), after.get(key)) for key in fields}
        notes.entry = _entry_of(after)
        notes.changes[event_id] = {**notes.changes.get(event_id, {}), **changes}
        self._note_mails(row, after, name)
        return after

    @of_plan_alone
    async def revive(self, row: EventRow, event_id: str) -> Event:
        """A deleted event with the fields of the row."""
        fields = with_private_properties(row.fields, row.markers)
        body = {"status": "confirmed", **fields, "id": event_id}
        if row.identity.field == ICAL_UID:
            body["iCalUID"] = row.identity.value
        return await self._make_up(row, body, mails=True)

    @of_plan_alone
    async def delete(self, row: EventRow, event_id: str, *, etag: str | None = None) -> Deletion:
        """What a deletion would find."""
        event = await self._event(row, event_id)
        notes = self._count_call(row)  # Google is asked in any case
        if event is None:
            return Deletion.NEVER_THERE
        if is_cancelled(event):
            return Deletion.DONE_BEFORE
        name = await self._lookup.name_of(row.calendar)
        notes.events.setdefault(event_id, event)
        notes.entry = _entry_of(event)
        self._note_mails(row, event, name)
        return Deletion.DONE

    async def _event(self, row: EventRow, event_id: str) -> Event | None:
        """The event with an id, or the date of a series."""
        held = self._lookup.event_with_id(row, event_id)
        if held is not None:
            return held
        if row.identity == Identity(ID, event_id):
            event = await self._lookup.find(row)
            return event if event or _is_large(row) else await self._fetch(row, event_id)
        series = self._lookup.cache_of(row).find(row.identity.series)
        if row.original_start is None or series is None or not series.get(_PLANNED):
            return await self._fetch(row, event_id)
        return self._date_of(row, row.original_start, series, event_id)

    async def _fetch(self, row: EventRow, event_id: str) -> Event | None:
        return await self._lookup.fetch(row, Identity(ID, event_id))

    def _date_of(
        self, row: EventRow, start: OriginalStart, series: Event, event_id: str
    ) -> Event | None:
        """A date of a series that the plan has made up or changed; None if it is none."""
        original = start.time.as_api()
        times = {"start": original, "originalStartTime": original}
        event = {**series, "id": event_id, "recurringEventId": series["id"], **times}
        name = row.identity.occurrence or ""
        return None if dates_that_are_none(series, {name: event}) else event

    async def _make_up(self, row: EventRow, body: Mapping[str, Any], *, mails: bool) -> Event:
        name = await self._lookup.name_of(row.calendar)
        creator = {"email": name} if "@" in name else {}
        event = {"status": "confirmed", "creator": creator, _PLANNED: True, **body}
        self._count_call(row).entry = _entry_of(event)
        if mails:
            self._note_mails(row, event, name)
        self._lookup.cache_of(row).put(event)
        return event

    def _note_mails(self, row: EventRow, event: Event, calendar: str) -> None:
        if not row.sends_mail:
            return
        own = str(event.get("creator", {}).get("email") or calendar).lower()
        guests = {str(guest.get("email", "")).lower() for guest in event.get("attendees", ())}
        guests -= {own, ""}
        notes = self._notes[row.number]
        notes.mails += len(guests)
        notes.mails_outside += sum(domain_of(guest) != domain_of(own) for guest in guests)


def _is_large(row: EventRow) -> bool:
    """Whether the calendar is listed for the row's job."""
    return row.target.records is None or row.target.records > FEW_RECORDS


def _merge(event: Event, body: Mapping[str, Any]) -> Event:
    """An event after a patch: its objects are merged, and null takes a field away."""
    merged = dict(event)
    for name, value in body.items():
        old = merged.get(name)
        is_object = isinstance(value, Mapping) and isinstance(old, Mapping)
        merged[name] = _merge(old or {}, value) if is_object else value
    return {name: value for name, value in merged.items() if value is not None}


def _entry_of(event: Event) -> CalendarEntry | None:
    """What a calendar shows of an event; None if it is not known when it is."""
    start, end = (_moment_of(event.get(name)) for name in ("start", "end"))
    if not start:
        return None
    return CalendarEntry(
        str(event.get("summary") or ""), start, end or start, bool(event.get("recurrence"))
    )


def _moment_of(time: Any) -> str:
    return str(time.get("dateTime") or time.get("date") or "") if isinstance(time, Mapping) else ""


def _version_of(event: Event) -> str | None:
    """The version of an event; None if an earlier row of the plan changes it."""
    return None if event.get(_PLANNED) else event.get("etag")


class _NamedUploads(EventUploads):
    """Writes events, and notes which event each row means."""

    def __init__(self, calls: EventCalls, lookup: EventLookup) -> None:
        super().__init__(calls, lookup)
        self._names: dict[int, str] = {}

    def take_name(self, row: int) -> str | None:
        """What identifies the event of a row; None if the row cannot be read."""
        return self._names.pop(row, None)

    async def _prepare(self, record: Record, target: Target) -> EventRow:
        row = await super()._prepare(record, target)
        identity = f"{row.identity.field} {row.identity.alike or row.identity.value}"
        self._names[record.row] = f"{row.calendar} {identity} {row.original_start or ''}"
        return row


class EventPlans:
    """Says what the records of an account's jobs would do to its calendars."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api.counting()
        self._lookup = PlannedLookup(self._api)
        self._calls = PlannedCalls(self._api, self._lookup)
        self._uploads = _NamedUploads(self._calls, self._lookup)

    async def plan(self, target: Target, batch: Sequence[Record]) -> Sequence[Planned]:
        """What these records would do, one after another. Raises ServiceError."""
        return [await self._plan(target, record) for record in batch]

    async def _plan(self, target: Target, record: Record) -> Planned:
        self._calls.take_notes(record.row)
        outcome = await self._uploads.write(record, target)
        notes = self._calls.take_notes(record.row)
        count = self._lookup.take_count(record.row)
        if count > 1 and target.action is not Action.DELETE:
            return _ambiguous(target, outcome, count)
        event = notes.events.get(outcome.id or "")
        is_refused = outcome.problem is not None
        return Planned(
            record.row,
            kind_of(outcome),
            None if is_refused or event is None else outcome.id,
            {} if is_refused else notes.changes.get(outcome.id or "", {}),
            problem=outcome.problem,
            version=_version_of(event) if event and not is_refused else None,
            changed_at=None if is_refused or event is None else event.get("updated"),
            calls=0 if is_refused else notes.calls,
            lookups=self._api.take_reads(),
            place=notes.calendar,
            mails=0 if is_refused else notes.mails,
            mails_outside=0 if is_refused else notes.mails_outside,
            remark=outcome.remark,
            entry=None if is_refused else notes.entry,
            key=self._uploads.take_name(record.row),
            is_early=outcome.is_early,
        )


def _ambiguous(target: Target, outcome: Outcome, count: int) -> Planned:
    name = target.identifier_field
    problem = Problem(
        f"{count} events have the {name} of this row; it must be unique, so delete the others", name
    )
    return Planned(outcome.row, PlannedKind.AMBIGUOUS, problem=problem, matches=count)
