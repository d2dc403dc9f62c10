"""Changes all dates of a series from one on (RANGE=THISANDFUTURE, RFC 5545, section 3.2.13).

Google has no such change: the series ends before that date, and another one begins with it
(https://developers.google.com/workspace/calendar/api/guides/recurringevents). A calendar file that
holds the series is split where it is read, in the same way; here the calendar alone holds it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.event_calls import EventCalls
from openbulk.connectors.googlecalendar.event_changes import EventChanges, kind_of_missing
from openbulk.connectors.googlecalendar.event_lookup import EventLookup
from openbulk.connectors.googlecalendar.event_rows import EventRow
from openbulk.connectors.googlecalendar.events import Event, is_cancelled
from openbulk.connectors.googlecalendar.identity import ICAL_UID, Identity
from openbulk.connectors.googlecalendar.recurrence import OriginalStart, read_lines, time_value
from openbulk.connectors.googlecalendar.series_parts import SeriesParts
from openbulk.connectors.googlecalendar.times import time_field
from openbulk.domain.records import Outcome, OutcomeKind
from openbulk.formats.ics.events import ParsedEvent
from openbulk.formats.ics.series_splits import Segment, split_series, uid_of_segment
from openbulk.formats.ics.time_values import Duration, TimeValue
from openbulk.formats.ics.times import EventTimes

_INHERITED_FIELDS = frozenset(
    {
        "summary",
        "description",
        "location",
        "attendees",
        "colorId",
        "reminders",
        "transparency",
        "visibility",
        "guestsCanInviteOthers",
        "guestsCanModify",
        "guestsCanSeeOtherGuests",
    }
)
"""Fields that the later part of a series has from the series, where its row does not say."""


class SeriesSplits:
    """Splits the series of one account."""

    def __init__(
        self, calls: EventCalls, lookup: EventLookup, changes: EventChanges, parts: SeriesParts
    ) -> None:
        self._calls = calls
        self._lookup = lookup
        self._changes = changes
        self._parts = parts

    async def write(self, row: EventRow, series: Event, original_start: OriginalStart) -> Outcome:
        """Change or cancel a series from an occurrence on. Raises FieldError.

        The row can be sent again, also after half of the calls.
        """
        uid = uid_of_segment(str(series["iCalUID"]), original_start.time.local)
        later_row = replace(row, identity=Identity(ICAL_UID, uid), original_start=None)
        later = await self._find_later(later_row)
        try:
            earlier_part, later_part = _split(row, series, original_start)
        except ValueError as error:
            return await self._change_later(later_row, later, str(error))
        if not earlier_part.recurrence.lines():
            return await self._change_whole(row, series, later_part)
        await self._parts.require_none_behind(row, series, original_start)
        outcome = Outcome(row.number, OutcomeKind.DELETED, str(series["id"]))
        if not row.is_removal:
            await self._require_no_later_exceptions(row, series, original_start)
            later_row = replace(later_row, fields=_fields_of(later_part))
            outcome = await self._write_later(later_row, later)
        # Last, as a split is recognized by it: a retry before would find the series as it was.
        shorter = {"recurrence": earlier_part.recurrence.lines()}
        shortened = await self._calls.patch(row, str(series["id"]), shorter)
        if shortened is not None:
            self._lookup.remember(row, shortened)
        return outcome

    async def _find_later(self, later_row: EventRow) -> Event | None:
        """The later part of the series, if it was split before."""
        later = await self._lookup.fetch(later_row, later_row.identity)
        if later is not None and is_cancelled(later):
            return None
        return later

    async def _change_later(
        self, later_row: EventRow, later: Event | None, problem: str
    ) -> Outcome:
        """Change the later part of a series that has been split before. Raises FieldError."""
        outcome = await self._changes.change(later_row, later)
        if outcome is not None:
            return outcome
        if later_row.is_removal:
            return Outcome(later_row.number, kind_of_missing(later_row))
        raise FieldError(
            "originalStartTime",
            f"this row stands for all later dates of its series, too, and {problem}",
        )

    async def _change_whole(self, row: EventRow, series: Event, part: Segment) -> Outcome:
        """Change a series from its first occurrence on."""
        whole_row = replace(
            row, identity=row.identity.series, original_start=None, fields=_fields_of(part)
        )
        outcome = await self._changes.change(whole_row, series, is_of_series=True)
        return outcome or Outcome(row.number, OutcomeKind.UNCHANGED)

    async def _require_no_later_exceptions(
        self, row: EventRow, series: Event, original_start: OriginalStart
    ) -> None:
        """Raise FieldError if later dates have changes of their own, which Google would drop."""
        name = original_start.name or ""
        later = [one for one in await self._lookup.exceptions_of(row, series) if one > name]
        if later:
            raise FieldError(
                "originalStartTime",
                "this row stands for all later dates of its series, too, and some of them have "
                f"changes of their own in the calendar, the first one on {min(later)[:8]}, which "
                "would be lost; send the whole series, or undo these changes first",
            )

    async def _write_later(self, later_row: EventRow, later: Event | None) -> Outcome:
        outcome = await self._changes.change(later_row, later)
        if outcome is not None:
            return outcome
        event = await self._calls.import_event(later_row, later_row.record_marker)
        if event is None:
            raise FieldError(
                "originalStartTime",
                f"the dates from there on were a series with {later_row.identity}, which was "
                "deleted; send them as a series with an iCalUID of its own",
            )
        self._lookup.remember(later_row, event)
        return Outcome(later_row.number, OutcomeKind.UPDATED, str(event["id"]))


def _split(row: EventRow, series: Event, original_start: OriginalStart) -> tuple[Segment, Segment]:
    """The part of a series before an occurrence, and the part from it on, as its row has it.

    Raises ValueError with half a sentence if the series cannot be split there.
    """
    start, end = time_value(series["start"]), time_value(series["end"])
    uid, lines = str(series["iCalUID"]), series.get("recurrence", ())
    recurrence = read_lines(lines, start, end, "UTC")
    whole = ParsedEvent(uid, 0, EventTimes(start, end), recurrence, {})
    later_start = _time_of(row, "start", start) or original_start.time
    later_end = _time_of(row, "end", start) or later_start.add(Duration(time=end.since(start)))
    own_lines = row.fields.get("recurrence", ())
    values = {
        **{name: series[name] for name in series.keys() & _INHERITED_FIELDS},
        **row.fields,
        "start": later_start.as_api(),
        "end": later_end.as_api(),
    }
    change = ParsedEvent(
        uid,
        0,
        EventTimes(later_start, later_end, original_start.time, is_this_and_future=True),
        read_lines(own_lines, later_start, later_end, "UTC"),
        values,
    )
    earlier_part, later_part = split_series(whole, [change])
    return earlier_part, later_part


def _time_of(row: EventRow, name: str, series_start: TimeValue) -> TimeValue | None:
    """The start or the end of a row, in the zone of the series if it has none."""
    time = row.fields.get(name, {})
    if time_field(time) is None:
        return None
    value = time_value(time)
    return value if time.get("timeZone") or value.is_day else value.in_zone(series_start.zone)


def _fields_of(part: Segment) -> Mapping[str, Any]:
    """The fields of a part, without the one that identifies it."""
    fields = dict(part.values)
    fields.pop("iCalUID", None)
    return fields
