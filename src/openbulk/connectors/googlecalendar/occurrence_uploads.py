"""Writes rows that are one date of a series, or all dates from one on.

The service only has the series: it makes the dates, and keeps those that differ.
"""

from dataclasses import replace

from openbulk.connectors.fields import FieldError, RecordTooEarly
from openbulk.connectors.googlecalendar.event_calls import EventCalls
from openbulk.connectors.googlecalendar.event_changes import (
    EventChanges,
    kind_of_missing,
)
from openbulk.connectors.googlecalendar.event_lookup import EventLookup
from openbulk.connectors.googlecalendar.event_rows import EventRow
from openbulk.connectors.googlecalendar.events import Event, is_cancelled
from openbulk.connectors.googlecalendar.guarding import etag_to_match
from openbulk.connectors.googlecalendar.identity import ID, Identity
from openbulk.connectors.googlecalendar.recurrence import OriginalStart, dates_that_are_none
from openbulk.connectors.googlecalendar.series_parts import SeriesParts
from openbulk.connectors.googlecalendar.splits import SeriesSplits
from openbulk.domain.records import Action, Outcome, OutcomeKind

_COMPARING = frozenset({Action.UPDATE, Action.UPSERT})
"""The actions that leave an occurrence alone if it matches its row."""


class OccurrenceUploads:
    """Writes occurrences of the series of one account."""

    def __init__(
        self, calls: EventCalls, lookup: EventLookup, changes: EventChanges, parts: SeriesParts
    ) -> None:
        self._calls = calls
        self._lookup = lookup
        self._changes = changes
        self._splits = SeriesSplits(calls, lookup, changes, parts)

    async def write(self, row: EventRow, original_start: OriginalStart) -> Outcome:
        """Do the target's action with an occurrence. Raises FieldError."""
        series = await self._lookup.find_series(row)
        if series is None:
            return await self._write_without_series(row, original_start)
        original_start = await self._fit(row, original_start, series)
        if original_start.is_this_and_future:
            # Several events make up what such a row says: a plan has no single version of them.
            unguarded = replace(row, expected=None)
            return await self._splits.write(unguarded, series, original_start)
        row = _place(row, original_start.name)
        if row.target.action in _COMPARING:
            event = await self._lookup.find(row)
            _require_no_revival(row, original_start, series, event)
            outcome = await self._changes.change(row, event)
            if outcome is not None:
                return outcome
        return await self._change_first_time(row, original_start, series)

    async def _fit(
        self, row: EventRow, original_start: OriginalStart, series: Event
    ) -> OriginalStart:
        """The original start in the type and the zone of the series. Raises FieldError."""
        zone = "UTC"
        # The day of a moment is that in the calendar's zone.
        if series["start"].get("date") and not original_start.time.is_day:
            zone = await self._lookup.zone_of(row.calendar)
        return original_start.fit_to(series, zone)

    async def _change_first_time(
        self, row: EventRow, original_start: OriginalStart, series: Event
    ) -> Outcome:
        """Write the first exception for an occurrence."""
        # The id of an occurrence is its series' id and its original start
        # (https://developers.google.com/workspace/calendar/api/guides/recurringevents).
        occurrence_id = f"{series['id']}_{row.identity.occurrence}"
        event = None
        if row.expected is not None:
            event = await self._lookup.fetch(row, Identity(ID, occurrence_id))
        if row.is_removal:
            return await self._changes.remove(row, occurrence_id, event)
        etag = None
        if event is not None:
            etag = await etag_to_match(row, event, self._lookup.claims_of(row.target))
        changed = await self._calls.patch(row, occurrence_id, row.fields, etag=etag)
        if changed is None:
            raise _no_occurrence(row, original_start)
        self._lookup.remember(row, changed)
        return row.outcome(OutcomeKind.UPDATED, occurrence_id, changed)

    async def _write_without_series(self, row: EventRow, original_start: OriginalStart) -> Outcome:
        """A guest may have been invited to one date alone, which is in the calendar then."""
        if original_start.name is not None:
            row = _place(row, original_start.name)
            outcome = await self._changes.change(row, await self._lookup.find_alone(row))
            if outcome is not None:
                return outcome
        if row.is_removal:
            return Outcome(row.number, kind_of_missing(row))
        series = row.identity.series
        refused_row = self._lookup.refused_row(row, series)
        if refused_row is not None:
            raise FieldError(
                "originalStartTime",
                f"this is one date ({original_start}) of the series with {series}, whose own "
                f"row was refused (row {refused_row}); correct that one, and send both",
            )
        raise RecordTooEarly(
            "originalStartTime",
            f"this is one date ({original_start}) of a series with {series}, and neither the "
            f"rows of the file before it nor calendar {row.calendar!r} hold that series; send the "
            "whole series, with its dates behind it, or remove originalStartTime (RECURRENCE-ID) "
            "to make this a single event",
        )


def _require_no_revival(
    row: EventRow, original_start: OriginalStart, series: Event, event: Event | None
) -> None:
    """Raise RecordTooEarly if a date was removed because the series does not have it any more.

    Google would have it happen beside the series.
    """
    if event is None or not is_cancelled(event) or row.is_removal:
        return
    if dates_that_are_none(series, [original_start.name]):
        raise _no_occurrence(row, original_start)


def _no_occurrence(row: EventRow, original_start: OriginalStart) -> RecordTooEarly:
    return RecordTooEarly(
        "originalStartTime",
        f"the series {row.identity} has no occurrence at {original_start}; write when the series "
        "has it there, or remove originalStartTime (RECURRENCE-ID) to make it a single event",
    )


def _place(row: EventRow, name: str | None) -> EventRow:
    """The row with the occurrence that it means."""
    return replace(row, identity=replace(row.identity.series, occurrence=name))
