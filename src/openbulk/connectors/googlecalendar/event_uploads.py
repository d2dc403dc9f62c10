"""Writes events into calendars: creates, updates, upserts or deletes each exactly once.

An event that already matches its row is left alone.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from openbulk.connectors.drift import EXISTS, NOTHING_TO_DO, outcome_of_drift
from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.errors import EventDrifted, RecordRefused
from openbulk.connectors.googlecalendar.event_calls import EventCalls
from openbulk.connectors.googlecalendar.event_changes import EventChanges
from openbulk.connectors.googlecalendar.event_lookup import FEW_RECORDS, EventLookup
from openbulk.connectors.googlecalendar.event_rows import EventRow, RowReader
from openbulk.connectors.googlecalendar.events import has_marker, is_cancelled
from openbulk.connectors.googlecalendar.file_dates import DatesOfJobs
from openbulk.connectors.googlecalendar.guarding import require_none_expected
from openbulk.connectors.googlecalendar.identity import (
    ICAL_UID,
    ID,
    Identity,
    event_id,
    part_name,
)
from openbulk.connectors.googlecalendar.occurrence_uploads import OccurrenceUploads
from openbulk.connectors.googlecalendar.recurrence import exceptions_of
from openbulk.connectors.googlecalendar.series_exceptions import SeriesExceptions
from openbulk.connectors.googlecalendar.series_parts import SeriesParts, list_some
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target

MAX_GENERATIONS = 20
MAX_MISSING_CALENDARS = 8


class EventUploads:
    """Writes records into the calendars of one account."""

    def __init__(self, calls: EventCalls, lookup: EventLookup) -> None:
        self._calls = calls
        self._lookup = lookup
        self._changes = EventChanges(self._calls, self._lookup)
        dates = DatesOfJobs()
        self._parts = SeriesParts(self._calls, self._lookup, dates)
        self._exceptions = SeriesExceptions(self._calls, self._lookup, dates, self._parts)
        self._occurrences = OccurrenceUploads(self._calls, self._lookup, self._changes, self._parts)
        self._reader: RowReader | None = None
        """The reader of the latest job."""
        self._missing: dict[tuple[str, str], RecordRefused] = {}
        """The refusals of calendars that do not exist, by job and calendar."""
        self._actions: Mapping[Action, Callable[[EventRow], Awaitable[Outcome]]] = {
            Action.CREATE: self._create,
            Action.UPDATE: self._update,
            Action.UPSERT: self._upsert,
            Action.DELETE: self._delete,
        }

    async def write(self, record: Record, target: Target) -> Outcome:
        """Do the target's action with one record. Raises ServiceError."""
        outcome = await self._write(record, target)
        if outcome.problem is not None:
            self._lookup.note_refused(target, record)
        return outcome

    async def _write(self, record: Record, target: Target) -> Outcome:
        try:
            row = await self._prepare(record, target)
            if _costs_no_call(row):
                assert row.expected is not None
                return Outcome(row.number, row.expected.kind, row.expected.id)
            if row.original_start is not None:
                return await self._occurrences.write(row, row.original_start)
            return _with_remark(row, await self._actions[target.action](row))
        except FieldError as error:
            return error.outcome(record.row)
        except OverflowError:
            return Outcome.failure(
                record.row, "a date is too early or too late; calendars go from year 1 to 9999"
            )
        except EventDrifted as error:
            return outcome_of_drift(record.row, error.message, error.event_id)
        except RecordRefused as error:
            self._remember_missing(error, target)
            return error.outcome(record.row)

    async def _prepare(self, record: Record, target: Target) -> EventRow:
        if self._reader is None or self._reader.target is not target:
            self._reader = RowReader(target)
        reader = self._reader
        draft = reader.draft(record)
        missing = self._missing.get((target.run, draft.calendar))
        if missing is not None:
            raise missing
        return await reader.row(draft, self._lookup.zone_of)

    def _remember_missing(self, error: RecordRefused, target: Target) -> None:
        """Remember a missing calendar: it costs a job one call, not one for each of its rows."""
        if target.run and error.missing_calendar is not None:
            if len(self._missing) == MAX_MISSING_CALENDARS:
                self._missing.clear()
            self._missing[target.run, error.missing_calendar] = error

    # --- the four actions ---

    async def _create(self, row: EventRow) -> Outcome:
        if row.is_removal:
            return await self._create_nothing(row)
        if row.identity.field != ICAL_UID:
            return await self._insert_once(row)
        part = part_name(row.identity.value)
        if part is not None:
            await self._parts.require_part_of_file(row, part)
        return await self._import(row)

    async def _update(self, row: EventRow) -> Outcome:
        outcome = await self._change(row)
        if outcome is not None:
            return outcome
        if await self._is_new_part(row):
            # A change of the series, as with THISANDFUTURE, though Google has another event for it.
            return (await self._import(row))._replace(kind=OutcomeKind.UPDATED)
        require_none_expected(row)
        raise FieldError(
            row.identity.field,
            f"calendar {row.calendar!r} has no event with {row.identity}; "
            "use action upsert to create it",
        )

    async def _upsert(self, row: EventRow) -> Outcome:
        self._lookup.claims_of(row.target).claim(row)
        outcome = await self._change(row)
        if outcome is not None:
            return outcome
        if row.is_removal:
            return Outcome(row.number, OutcomeKind.UNCHANGED)
        require_none_expected(row)
        return await self._exceptions.settle_created(row, await self._create_missing(row))

    async def _is_new_part(self, row: EventRow) -> bool:
        """Whether a row is a later part of a series that the calendar has."""
        part = part_name(row.identity.value)
        if row.identity.field != ICAL_UID or part is None or row.is_removal:
            return False
        series = Identity(ICAL_UID, part.series)
        return await self._lookup.find(replace(row, identity=series)) is not None

    async def _change(self, row: EventRow) -> Outcome | None:
        """Change the event that a row means; None if there is none."""
        event = await self._lookup.find(row)
        outcome = await self._changes.change(row, event)
        if event is None or outcome is None:
            return outcome
        if row.is_removal:
            return await self._exceptions.settle_removed(row, event, outcome)
        return await self._exceptions.settle(row, event, outcome)

    async def _delete(self, row: EventRow) -> Outcome:
        if row.identity.field == ID:
            return await self._changes.remove(row, row.identity.value)
        event = await self._lookup.find(row)
        if event is None:
            return Outcome(row.number, OutcomeKind.NOT_FOUND)
        outcome = await self._changes.remove(row, str(event["id"]), event)
        return await self._exceptions.settle_removed(row, event, outcome)

    # --- new events ---

    async def _create_nothing(self, row: EventRow) -> Outcome:
        """The outcome of a cancelled event: there is nothing to create. Raises FieldError."""
        event = await self._lookup.fetch(row, row.identity)
        if event is None or is_cancelled(event):
            return Outcome(row.number, OutcomeKind.UNCHANGED)
        raise FieldError(
            "status",
            f"the event is cancelled, and calendar {row.calendar!r} holds it; action create "
            "deletes nothing: use action upsert",
        )

    async def _insert_once(self, row: EventRow) -> Outcome:
        """Create an event, unless an earlier attempt with this record has created it."""
        new_id = row.identity.value
        event = await self._calls.insert(row, new_id, row.record_marker)
        # An id derived from the record's key can only be this record's. A caller's id may be
        # another event's, which then lacks this record's marker.
        if event is None and row.record_marker:
            held = await self._lookup.fetch_taken(row, new_id)
            if not has_marker(held, row.record_marker):
                raise await self._id_conflict(row, new_id)
        if row.record_marker:
            self._lookup.claims_of(row.target).claim(row, new_id)
        return row.outcome(OutcomeKind.CREATED, new_id, event or {})

    async def _create_missing(self, row: EventRow) -> Outcome:
        """Create an event that the calendar does not show.

        The id of a deleted event stays taken. If openbulk generated the id, create the event with
        the next generation's id; if the caller set it, undelete the event.
        """
        identity = row.identity
        if identity.field == ICAL_UID:
            return await self._import(row)
        if identity.field == ID:
            outcome = await self._insert_or_change(row, identity.value)
            return outcome or await self._revive(row, identity.value)
        # Google never frees the id of a deleted event (events.insert, field `id`).
        for generation in range(MAX_GENERATIONS):
            new_id = event_id(f"{identity.field}={identity.value}", generation)
            outcome = await self._insert_or_change(row, new_id)
            if outcome is not None:
                return outcome
        raise FieldError(
            identity.field,
            f"the event with {identity} was created and deleted {MAX_GENERATIONS} times; "
            f"give it another {identity.field}",
        )

    async def _insert_or_change(self, row: EventRow, new_id: str) -> Outcome | None:
        """Create an event, or change the one that has the id; None if that one was deleted."""
        event = await self._calls.insert(row, new_id, row.job_marker)
        if event is not None:
            self._lookup.remember(row, event)
            return row.outcome(OutcomeKind.CREATED, new_id, event)
        event = await self._lookup.fetch_taken(row, new_id)
        if is_cancelled(event):
            return None
        self._lookup.remember(row, event)
        return await self._changes.change(row, event)

    async def _import(self, row: EventRow) -> Outcome:
        """Import an event that was made elsewhere.

        Google does not document the import of an iCalUID that the calendar already has, and was
        seen to handle it in different ways. So an upsert imports only if the calendar shows no
        event with it, and fetches the event if Google reports a duplicate.
        """
        event = await self._calls.import_event(row, row.record_marker)
        if event is None:
            return await self._resolve_duplicate(row)
        self._lookup.remember(row, event)
        return Outcome(row.number, OutcomeKind.CREATED, str(event["id"]))

    async def _resolve_duplicate(self, row: EventRow) -> Outcome:
        """The outcome of an import if its iCalUID is taken."""
        event = await self._lookup.fetch(row, row.identity, showDeleted="true")
        if event is None:
            raise await self._id_conflict(row)
        if is_cancelled(event):
            return await self._revive(row, str(event["id"]))
        if has_marker(event, row.record_marker):  # an earlier attempt created it
            return Outcome(row.number, OutcomeKind.CREATED, str(event["id"]))
        if row.target.action is not Action.CREATE:
            outcome = await self._changes.change(row, event)
            if outcome is not None:
                return outcome
        raise await self._id_conflict(row, str(event["id"]))

    async def _revive(self, row: EventRow, old_id: str) -> Outcome:
        event = await self._calls.revive(row, old_id)
        self._lookup.remember(row, event)
        outcome = row.outcome(OutcomeKind.CREATED, old_id, event)
        if row.target.action is Action.CREATE:
            return await self._exceptions.settle_created(row, outcome)
        return outcome

    async def _id_conflict(self, row: EventRow, event_id: str = "") -> FieldError | EventDrifted:
        """The error for a row whose identifier is taken, maybe by an earlier row of its file."""
        first = await self._lookup.claims_of(row.target).first_rows(row, event_id)
        if first.row < row.number:
            return FieldError(
                row.identity.field,
                f"row {first.row} has the {row.identity}, too; give each event an "
                f"{row.identity.field} of its own, or use action upsert to change it",
            )
        if row.expected is not None:
            return EventDrifted(EXISTS)
        return FieldError(
            row.identity.field,
            f"an event with the {row.identity} exists, or did before it was deleted; use another "
            "or none, or use action upsert to change it",
        )


def _costs_no_call(row: EventRow) -> bool:
    """Whether a plan said that there is nothing to do, and no event is looked up for the row.

    Those of a large job are found in the list of the calendar, and compared.
    """
    if row.expected is None or row.expected.kind not in NOTHING_TO_DO:
        return False
    records = row.target.records
    is_small = records is not None and records <= FEW_RECORDS
    return is_small or row.target.action is Action.DELETE


def _with_remark(row: EventRow, outcome: Outcome) -> Outcome:
    """The outcome, with a remark if EXDATE has dates that are none, or all dates of a series."""
    if row.is_removal or not row.fields.get("recurrence"):
        return outcome
    exceptions = exceptions_of(row.fields)
    remarks = [outcome.remark]
    if exceptions.never_happens:
        remarks.insert(0, "EXDATE leaves out every date of this series: it never happens")
    elif exceptions.beside:
        shown = list_some(exceptions.beside)
        remarks.append(f"EXDATE has dates that the series does not have: {shown}")
    return outcome._replace(remark="; ".join(filter(None, remarks)))
