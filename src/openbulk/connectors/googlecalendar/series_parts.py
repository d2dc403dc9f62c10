"""What becomes of the later parts of a series when a row writes the series again.

A series that changes from one date on is two events at Google: the series ends before that date,
and the part from it on has an iCalUID of its own (identity.py). A later file may have the change
elsewhere, or none. Then the part that it left behind would happen beside the dates of the file.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from openbulk.connectors.fields import FieldError, RecordTooEarly
from openbulk.connectors.googlecalendar.event_calls import EventCalls
from openbulk.connectors.googlecalendar.event_lookup import EventLookup
from openbulk.connectors.googlecalendar.event_rows import EventRow
from openbulk.connectors.googlecalendar.events import Event, is_part
from openbulk.connectors.googlecalendar.file_dates import DatesOfJobs
from openbulk.connectors.googlecalendar.identity import (
    ICAL_UID,
    Identity,
    PartName,
)
from openbulk.connectors.googlecalendar.recurrence import (
    OriginalStart,
    begin_behind,
    begin_stamp,
)
from openbulk.domain.records import Action

_SHOWN_DATES = 5


class SeriesParts:
    """Looks after the later parts of the series of one account."""

    def __init__(self, calls: EventCalls, lookup: EventLookup, dates: DatesOfJobs) -> None:
        self._calls = calls
        self._lookup = lookup
        self._dates = dates

    async def settle(self, row: EventRow, before: Event, after: Event | None) -> Sequence[str]:
        """Remove later parts that a series has no more; return remarks.

        `before` is the series as the row found it, `after` as it is now; None if it is deleted.
        Parts with rows of their own in the file are left to these rows. Those that the series
        still ends for stay: the file may be an extract of what Google holds. A `create` removes
        nothing, and a `delete` nothing that its rows do not name.
        """
        parts = await self._find(row, before, after)
        if not parts:
            return []
        named = await self._parts_with_rows(row, before, parts)
        unnamed = {begin: part for begin, part in parts.items() if begin not in named}
        ends = {} if after is None else {"": after}
        ends |= {
            begin: {**parts.get(begin, {}), **fields}
            for begin, fields in named.items()
            if fields is not None
        }
        kept = unnamed.keys() & _continuing(unnamed, ends)
        if row.target.action is Action.DELETE:
            return _remarks((), unnamed, ())
        if row.target.action is Action.CREATE:
            return _remarks((), kept, unnamed.keys() - kept)
        removed = unnamed.keys() - kept
        for begin in sorted(removed):
            event_id = str(unnamed[begin]["id"])
            await self._calls.delete(row, event_id)
            self._lookup.forget(row, event_id)
        return _remarks(removed, kept, ())

    async def require_part_of_file(self, row: EventRow, part: PartName) -> None:
        """Raise RecordTooEarly if the calendar has the dates of a part in a series of another file.

        Only `create` needs it: its row of that series is refused, or yet to come.
        """
        series_row = replace(row, identity=Identity(ICAL_UID, part.series))
        series = await self._lookup.fetch(series_row, series_row.identity)
        if series is None or not is_part(series):
            return
        claims = self._lookup.claims_of(row.target)
        if await claims.has_row(series_row, str(series["id"])):
            return
        members = {"": series, **await self._lookup.parts_of(row, series)}
        if part.begin in _continuing({part.begin: {}}, members):
            return
        raise RecordTooEarly(
            ICAL_UID,
            f"this is a later part of the series with {series_row.identity}, which the calendar "
            "has, and which no row of the file before it has created: its dates would happen "
            "twice; use action upsert for the whole file",
        )

    async def require_none_behind(
        self, row: EventRow, series: Event, original_start: OriginalStart
    ) -> None:
        """Raise FieldError if later dates are a part of their own, without a row in the file."""
        parts = await self._find(row, series, None)
        if not parts:
            return
        named = await self._parts_with_rows(row, series, parts)
        border = begin_stamp(original_start.time.local)
        behind = {begin for begin in parts.keys() - named.keys() if begin > border}
        if behind:
            raise FieldError(
                "originalStartTime",
                "this row stands for all later dates of its series, too, and those from "
                f"{list_days(behind)} on are a series of their own in the calendar; send a row for "
                "them, too, or the whole series",
            )

    async def _find(self, row: EventRow, before: Event, after: Event | None) -> Mapping[str, Event]:
        """The later parts of a series, by `PartName.begin`."""
        parts = await self._lookup.parts_of(row, before)
        # A small job does not see what Google itself has split off, nor openbulk before it marked
        # parts. If the row moves the end of the series, it is looked for behind the end before.
        is_moved = after is None or begin_behind(before) != begin_behind(after)
        ends = [("", before)] if is_moved else []
        while ends:
            behind = _begin_behind(*ends.pop())
            if behind is None or (begin := begin_stamp(behind)) in parts:
                continue
            identity = Identity(ICAL_UID, _uid_of_part(str(before["iCalUID"]), begin))
            part = await self._lookup.fetch(row, identity)
            if part is not None and is_part(part):
                parts[begin] = part
                ends.append((begin, part))
        return parts

    async def _parts_with_rows(
        self, row: EventRow, series: Event, parts: Mapping[str, Event]
    ) -> Mapping[str, Event | None]:
        """The parts of a series with rows of their own in the job; None for those it deletes."""
        dates = await self._dates.load(row.target)
        zone = "UTC"
        # The day of a moment is that in the calendar's zone.
        if series["start"].get("date"):
            zone = await self._lookup.zone_of(row.calendar)
        by_id = {begin: part for begin, part in parts.items() if dates.has_row(part, row.calendar)}
        return {**by_id, **dates.parts_of_series(series, row.calendar, zone)}


def _continuing(parts: Mapping[str, Event], ends: Mapping[str, Event]) -> Collection[str]:
    """The parts for which a series, or a part before, ends: nothing of them happens twice.

    If a part with a row of its own begins on the day on which one before ends, it ends for that.
    """
    members, kept = dict(ends), set[str]()
    taken = {_day_of(begin) for begin in ends if begin}
    while members:
        days = {behind.date() for one in members.items() if (behind := _begin_behind(*one))}
        days -= taken
        found = {begin for begin in parts.keys() - kept if _day_of(begin) in days}
        kept |= found
        members = {begin: parts[begin] for begin in found}
    return kept


def _begin_behind(begin: str, event: Event) -> datetime | None:
    """Where the part behind a series, or behind one of its parts, begins; None if it has none."""
    if not event.get("start"):
        return None
    return begin_behind(event, PartName("", begin).moment if begin else None)


def _day_of(begin: str) -> date:
    return PartName("", begin).moment.date()


def _uid_of_part(uid: str, begin: str) -> str:
    name, at, host = uid.partition("@")
    return f"{name}_R{begin}{at}{host}"


def _remarks(
    removed: Collection[str], kept: Collection[str], beside: Collection[str]
) -> Sequence[str]:
    """What a person should know of the later parts of a series."""
    sentences = []
    if removed:
        sentences.append(
            "the series no longer changes from these dates on, and its later parts were removed "
            f"from the calendar: {list_days(removed)}"
        )
    if kept:
        sentences.append(
            "the calendar has later parts of the series, which the file does not have, and they "
            f"stay, from these dates on: {list_days(kept)}"
        )
    if beside:
        sentences.append(
            "the calendar has later parts of the series, which the file does not have, and which "
            f"take place beside it, from these dates on: {list_days(beside)}"
        )
    return sentences


def list_days(names: Iterable[str]) -> str:
    """`2026-06-08, 2026-06-15 and 3 more`, for dates whose names begin with the day."""
    return list_some(sorted(f"{name[:4]}-{name[4:6]}-{name[6:8]}" for name in names))


def list_some(dates: Sequence[str]) -> str:
    """The first dates, and how many more there are."""
    more = len(dates) - _SHOWN_DATES
    shown = ", ".join(dates[:_SHOWN_DATES])
    return f"{shown} and {more} more" if more > 0 else shown
