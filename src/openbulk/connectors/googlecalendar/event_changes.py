"""Changes and deletes events that exist. An event that already matches its row is left alone."""

from collections.abc import Mapping
from typing import Any

from openbulk.connectors.drift import HAS_CHANGED
from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.claims import APPEARANCE, FirstRows, is_set
from openbulk.connectors.googlecalendar.diff import changes
from openbulk.connectors.googlecalendar.errors import EventDrifted
from openbulk.connectors.googlecalendar.event_calls import Deletion, EventCalls
from openbulk.connectors.googlecalendar.event_lookup import EventLookup
from openbulk.connectors.googlecalendar.event_rows import EventRow, version_in
from openbulk.connectors.googlecalendar.events import Event, has_marker, is_cancelled
from openbulk.connectors.googlecalendar.guarding import etag_to_match
from openbulk.connectors.googlecalendar.identity import ID, NATURAL, Identity
from openbulk.connectors.googlecalendar.recurrence import fit_lines
from openbulk.connectors.googlecalendar.times import time_field
from openbulk.domain.records import Action, Outcome, OutcomeKind


class EventChanges:
    """Changes the events of one account as rows say."""

    def __init__(self, calls: EventCalls, lookup: EventLookup) -> None:
        self._calls = calls
        self._lookup = lookup

    async def change(
        self, row: EventRow, event: Event | None, *, is_of_series: bool = False
    ) -> Outcome | None:
        """Write the fields in which an event differs from its row; None if there is no event.

        There is none if the look-up found none, or if somebody has deleted it since. Raises
        FieldError if the row is of an older version, or means another event. With `is_of_series` it
        changes the series of an earlier row on purpose.
        """
        if event is None:
            return None
        old_id = str(event["id"])
        if row.is_removal:
            if is_cancelled(event):
                return Outcome(row.number, kind_of_missing(row), old_id)
            _require_newest(row, event)
            await self._require_own_removal(row, event)
            return await self.remove(row, old_id, event)
        wanted = await self._fields_for(row, event)
        if is_cancelled(event):
            # A date that was called off takes place again.
            wanted = {"status": "confirmed", **wanted}
        different = changes(wanted, event)
        claims = self._lookup.claims_of(row.target)
        claims.claim(row, old_id)
        if not different:
            # Created if this job created the event and the answer was lost.
            is_created = (
                has_marker(event, row.job_marker)
                and (await claims.first_rows(row, old_id)).row == row.number
            )
            claims.claim(row, old_id, row.fields)
            kind = OutcomeKind.CREATED if is_created else OutcomeKind.UNCHANGED
            return Outcome(row.number, kind, old_id)
        _require_newest(row, event)
        if not is_of_series:
            _require_same_event(row, await claims.first_rows(row, old_id), different)
        etag = await etag_to_match(row, event, claims)
        return await self._patch(row, old_id, wanted, different, etag)

    async def _patch(
        self,
        row: EventRow,
        old_id: str,
        wanted: Mapping[str, Any],
        different: Mapping[str, Any],
        etag: str | None,
    ) -> Outcome | None:
        """Write the fields that differ; None if somebody has deleted the event."""
        try:
            changed = await self._calls.patch(row, old_id, different, etag=etag)
        except EventDrifted:
            await self._require_written(row, old_id, wanted)
            return Outcome(row.number, OutcomeKind.UNCHANGED, old_id)
        if changed is None:
            self._lookup.forget(row, old_id)
            return None
        self._lookup.remember(row, changed)
        return row.outcome(OutcomeKind.UPDATED, old_id, changed)

    async def _require_written(
        self, row: EventRow, event_id: str, wanted: Mapping[str, Any]
    ) -> None:
        """Raise EventDrifted unless an event is as its row says: a lost call of ours may have been
        the one that has changed it since it was looked up."""
        event = await self._lookup.fetch(row, Identity(ID, event_id))
        if event is None or changes(wanted, event):
            raise EventDrifted(HAS_CHANGED, event_id)
        self._lookup.remember(row, event)

    async def _require_own_removal(self, row: EventRow, event: Event) -> None:
        """Raise FieldError if a row calls off another event than an earlier row has written."""
        different = changes(row.fields, event)
        if row.original_start is not None or different.keys().isdisjoint(APPEARANCE):
            return
        claims = self._lookup.claims_of(row.target)
        claims.claim(row, str(event["id"]))
        first = await claims.first_rows(row, str(event["id"]))
        _require_same_event(row, first, different)

    async def remove(self, row: EventRow, old_id: str, event: Event | None = None) -> Outcome:
        """Delete an event, or cancel an occurrence. `event` is as the calendar has it, if known."""
        etag = None if row.expected is None else row.expected.version
        if event is not None:
            etag = await etag_to_match(row, event, self._lookup.claims_of(row.target))
        deletion = await self._calls.delete(row, old_id, etag=etag)
        self._lookup.forget(row, old_id)
        if deletion is Deletion.DONE:
            return Outcome(row.number, OutcomeKind.DELETED, old_id)
        if deletion is Deletion.DONE_BEFORE:
            return Outcome(row.number, kind_of_missing(row), old_id)
        # If the calendar is missing, fetching its zone fails, and so does the row.
        await self._lookup.zone_of(row.calendar)
        return Outcome(row.number, kind_of_missing(row))

    async def _fields_for(self, row: EventRow, event: Event) -> Mapping[str, Any]:
        """The fields of a row, with a recurrence that fits the start of the event."""
        start = row.fields.get("start", {})
        has_start, has_lines = time_field(start) is not None, "recurrence" in row.fields
        if has_lines and not has_start:
            start, lines = event["start"], row.fields["recurrence"]
        elif has_start and not has_lines and time_field(start) != time_field(event["start"]):
            lines = event.get("recurrence", ())
        else:
            lines = ()
        if not lines:
            return row.fields
        end = row.fields.get("end", event.get("end", {}))
        zone = await self._lookup.zone_of(row.calendar)
        return {**row.fields, "recurrence": fit_lines(lines, start, end, zone)}


def kind_of_missing(row: EventRow) -> OutcomeKind:
    """What becomes of a row that removes an event which the calendar does not have."""
    # Another action removes what its row calls cancelled: then nothing has changed.
    kinds = {Action.DELETE: OutcomeKind.NOT_FOUND}
    return kinds.get(row.target.action, OutcomeKind.UNCHANGED)


def _require_same_event(row: EventRow, first: FirstRows, different: Mapping[str, Any]) -> None:
    """Raise FieldError if a row means another event than an earlier row that identifies it alike.

    One event must never silently take the place of another. Rows that set different fields may be
    parts of one event.
    """
    if row.identity.field == NATURAL and first.row != row.number:
        raise FieldError(
            None,
            f"row {first.row} has the same summary and start, and differs; nothing else in these "
            "rows identifies their event: give each an id or an iCalUID, or name the column "
            "that identifies events with metaData.identifierFieldName",
        )
    names = [name for name in APPEARANCE if name in different and is_set(name, row.fields)]
    others = {name: first.by_field[name] for name in names}
    set_before = {name: other for name, other in others.items() if other not in (None, row.number)}
    if not set_before:
        return
    by, number = " and ".join(set_before), min(filter(None, set_before.values()))
    if row.original_start is not None:
        raise FieldError(
            "originalStartTime",
            f"row {number} is the same date of the series with {row.identity}, too, and differs "
            f"in its {by}; keep one of them",
        )
    article = "a" if row.identity.is_property else "an"
    raise FieldError(
        row.identity.field,
        f"row {number} has the {row.identity}, too, and is another event by its {by}; give each "
        f"event {article} {row.identity.field} of its own",
    )


def _require_newest(row: EventRow, event: Event) -> None:
    """Raise FieldError if the calendar holds a newer version (RFC 5545, section 3.8.7.4)."""
    held = version_in(event, is_occurrence=row.original_start is not None)
    if row.sequence is None or held is None or row.sequence >= held:
        return
    raise FieldError(
        "sequence",
        f"the calendar holds a newer version of this event (SEQUENCE {held}; this row has "
        f"{row.sequence}); send the newer one, or set sequence to {held} to overwrite it",
    )
