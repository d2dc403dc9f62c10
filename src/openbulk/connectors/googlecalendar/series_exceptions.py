"""What becomes of the changed dates of a series when a row writes the series again.

Google keeps them: "changes are preserved even if the recurring event itself is updated"
(https://gsuite-developers.googleblog.com/2011/12/calendar-v3-best-practices-recurring.html), also
those of dates that the series does not have any more (BuilderIO/agent-native pull request 3488).
Such a date would happen twice: where the series now has it, and where it was before.
"""

from collections.abc import Iterable, Mapping, Sequence

from openbulk.connectors.googlecalendar.event_calls import EventCalls
from openbulk.connectors.googlecalendar.event_lookup import EventLookup
from openbulk.connectors.googlecalendar.event_rows import EventRow
from openbulk.connectors.googlecalendar.events import Event, is_cancelled
from openbulk.connectors.googlecalendar.file_dates import DatesOfJobs
from openbulk.connectors.googlecalendar.recurrence import dates_that_are_none
from openbulk.connectors.googlecalendar.series_parts import SeriesParts, list_days
from openbulk.domain.records import Action, Outcome, OutcomeKind

_SCHEDULE = frozenset({"start", "recurrence"})
_STAYS_A_SERIES = (
    "the calendar has a series here, and the row has no recurrence: the series and all its dates "
    "stay; to make it a single event, delete the series first, or send recurrence [] in JSON"
)


class SeriesExceptions:
    """Looks after the changed dates of the series of one account."""

    def __init__(
        self, calls: EventCalls, lookup: EventLookup, dates: DatesOfJobs, parts: SeriesParts
    ) -> None:
        self._calls = calls
        self._lookup = lookup
        self._dates = dates
        self._parts = parts

    async def settle(self, row: EventRow, before: Event, outcome: Outcome) -> Outcome:
        """Remove changed dates that a series has no more; return the outcome with a remark.

        Changes of dates that it still has stay: nobody can say whether a person has made them. The
        remark names both. Dates with rows of their own in the file are left to these rows.
        """
        if not before.get("recurrence") or not _SCHEDULE & row.fields.keys():
            return outcome
        remarks = [_STAYS_A_SERIES] if _is_single(row) else []
        series = await self._lookup.find(row) or before
        remarks += await self._settle_dates(row, series)
        remarks += await self._parts.settle(row, before, series)
        return outcome._replace(remark="; ".join(remarks))

    async def settle_created(self, row: EventRow, outcome: Outcome) -> Outcome:
        """Remove later parts of a series that was created again; return the outcome with a remark.

        The calendar may have them from an earlier file.
        """
        if not row.fields.get("recurrence") or outcome.problem is not None:
            return outcome
        series = await self._lookup.find(row)
        if series is None:
            return outcome
        remarks = await self._parts.settle(row, series, series)
        return outcome._replace(remark="; ".join(remarks))

    async def settle_removed(self, row: EventRow, before: Event, outcome: Outcome) -> Outcome:
        """Remove later parts of a series that was called off; return the outcome with a remark."""
        if not before.get("recurrence") or outcome.kind is not OutcomeKind.DELETED:
            return outcome
        remarks = await self._parts.settle(row, before, None)
        return outcome._replace(remark="; ".join(remarks))

    async def _settle_dates(self, row: EventRow, series: Event) -> Sequence[str]:
        """Remove changed dates that a series has no more; return remarks."""
        exceptions = await self._lookup.exceptions_of(row, series)
        if not exceptions:
            return []
        named = await self._dates_with_rows(row, series)
        unnamed = {name: one for name, one in exceptions.items() if name not in named}
        happening = {name: one for name, one in exceptions.items() if not is_cancelled(one)}
        gone = dates_that_are_none(series, exceptions)
        removed = {name: unnamed[name] for name in gone & unnamed.keys() & happening.keys()}
        for event in removed.values():
            await self._calls.delete(row, str(event["id"]))
            self._lookup.forget(row, str(event["id"]))
        # A single call has no file that could name them.
        is_whole_file = row.target.job_records is not None
        kept = unnamed.keys() - gone if is_whole_file else ()
        own = {name for name, happens in named.items() if happens}
        return _remarks(removed, kept, gone & own & happening.keys())

    async def _dates_with_rows(self, row: EventRow, series: Event) -> Mapping[str, bool]:
        """The dates of a series with rows of their own in the job; False if called off there."""
        dates = await self._dates.load(row.target)
        zone = "UTC"
        # The day of a moment is that in the calendar's zone.
        if series["start"].get("date"):
            zone = await self._lookup.zone_of(row.calendar)
        return dates.of_series(series, row.calendar, zone)


def _is_single(row: EventRow) -> bool:
    """Whether a row says all of an event, which is not a series.

    An update says only what is to change.
    """
    is_whole = row.target.action is Action.UPSERT and "start" in row.fields
    return is_whole and "recurrence" not in row.fields


def _remarks(removed: Iterable[str], kept: Iterable[str], beside: Iterable[str]) -> Sequence[str]:
    """What a person should know of the dates of a series."""
    sentences = []
    if removed:
        sentences.append(
            "the series no longer has these dates, and their changes were removed from the "
            f"calendar: {list_days(removed)}"
        )
    if kept:
        sentences.append(
            "the calendar has changes of its own on these dates of the series, which the file does "
            f"not have, and they stay: {list_days(kept)}"
        )
    if beside:
        sentences.append(
            "the series does not have these dates, and the file and the calendar have changes of "
            f"them, which take place beside it: {list_days(beside)}"
        )
    return sentences
