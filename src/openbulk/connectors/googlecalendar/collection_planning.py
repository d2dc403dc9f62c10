"""Says what rows would do to calendars, the person's list of them, and rules of access.

They are written by the code of uploads, with calls that only pretend to write.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbulk.connectors.drift import version_of
from openbulk.connectors.googlecalendar.api import (
    CalendarApi,
    CountingApi,
    events_path,
    of_plan_alone,
)
from openbulk.connectors.googlecalendar.collection_calls import (
    CollectionCalls,
    CollectionRow,
    Removal,
)
from openbulk.connectors.googlecalendar.collection_uploads import CollectionUploads, meaning_of
from openbulk.connectors.googlecalendar.collections import (
    CalendarCollections,
    Fields,
    without_marker,
)
from openbulk.connectors.googlecalendar.errors import require_accepted
from openbulk.connectors.job_states import JobStates, LastRecords
from openbulk.domain.plan import Change, Planned, PlannedKind, kind_of
from openbulk.domain.records import Action, Record, Target

_MAILED = frozenset({"user", "group"})
"""The scopes of rules whose people Google mails."""
_PLANNED = "openbulkPlanned"
"""A field of a record that a plan has changed or made up."""
_IS_THERE = "it is there already, and is written once more"


@dataclass(slots=True)
class _RowNotes:
    """What the calls for one row would do."""

    before: Fields | None = None
    """The record that they would change, as Google has it."""
    changes: Mapping[str, Change] = field(default_factory=dict)
    calendar: str | None = None
    """The calendar whose limit the calls count on; None if they count on none."""
    calls: int = 0
    mails: int = 0
    mails_outside: int = 0


class _PlannedCalls(CollectionCalls):
    """Answers the calls that write as Google would, and makes none of them."""

    def __init__(self, api: CountingApi) -> None:
        super().__init__(api, CalendarCollections(api))
        self.counting_api = api
        self._planned: JobStates[LastRecords[str, Fields | None]] = JobStates(LastRecords)
        """By path, the records as rows of a job would leave them; None for one that is deleted."""
        self._notes: dict[int, _RowNotes] = {}

    def take_notes(self, row: int) -> _RowNotes:
        """What the calls for a row would have done."""
        return self._notes.pop(row, _RowNotes())

    async def find_calendars(self, row: CollectionRow, summary: str) -> Collection[str]:
        planned = self._planned.of(row.target.run)
        found = await super().find_calendars(row, summary)
        same = [
            str(record["id"])
            for record in planned.values()
            if record is not None and record.get("summary") == summary
        ]
        return [*(one for one in found if row.path(one) not in planned), *same]

    async def read(self, row: CollectionRow, id: str) -> Fields | None:
        planned = self._planned.of(row.target.run)
        if row.path(id) in planned:
            return planned[row.path(id)]
        return await super().read(row, id)

    @of_plan_alone
    async def create(self, row: CollectionRow, body: Fields) -> str | None:
        before: Fields | None = None
        record_id = f"planned{row.record.row}"
        if not row.collection.has_given_ids:
            record_id = str(body["id"])
            before = await self._read_with_calendar(row, record_id)
        self._count_call(row, before)
        self._keep(row, record_id, {**(before or {}), **body, "id": record_id})
        return record_id

    async def _read_with_calendar(self, row: CollectionRow, id: str) -> Fields | None:
        """The record with an id. Raises RecordRefused if its calendar is not there, either."""
        record = await self.read(row, id)
        if record is None:
            calendar = row.calendar if row.collection.is_of_calendar else id
            parameters = {"maxResults": "1", "fields": "kind"}
            require_accepted(await self._api.read(events_path(calendar), parameters))
        return record

    @of_plan_alone
    async def patch(self, row: CollectionRow, id: str, fields: Fields) -> None:
        before = await self.read(row, id) or {}
        shown = without_marker(before)
        notes = self._count_call(row, before)
        notes.changes = {name: Change(shown.get(name), new) for name, new in fields.items()}
        self._keep(row, id, {**before, **fields})

    @of_plan_alone
    async def delete(self, row: CollectionRow, id: str) -> Removal:
        before = await self.read(row, id)
        self._count_call(row, before, is_deletion=True)  # Google is asked in any case
        if before is None:
            return Removal.NEVER_THERE
        self._keep(row, id, None)
        return Removal.DONE

    def _keep(self, row: CollectionRow, id: str, record: Fields | None) -> None:
        kept = record and {**record, _PLANNED: True}
        self._planned.of(row.target.run)[row.path(id)] = kept

    def _count_call(
        self, row: CollectionRow, before: Fields | None, *, is_deletion: bool = False
    ) -> _RowNotes:
        notes = self._notes.setdefault(row.record.row, _RowNotes())
        notes.before = before
        notes.calendar = row.calendar if row.collection.is_of_calendar else None
        notes.calls += 1
        scope = row.body.get("scope") or (before or {}).get("scope") or {}
        is_mailed = row.parameters.get("sendNotifications") == "true" and not is_deletion
        if is_mailed and scope.get("type") in _MAILED:
            notes.mails += 1
            notes.mails_outside += _domain(str(scope.get("value"))) != _domain(row.calendar)
        return notes


def _version_of(target: Target, record: Record, before: Fields | None) -> str | None:
    """The state of a record: of the fields that the row has, or whole to delete it.

    None if an earlier row would change it. Not all of these records have an etag of their own.
    """
    if before is None or before.get(_PLANNED):
        return None
    if target.action is Action.DELETE:
        return version_of(before)
    return version_of({name: before.get(name) for name in record.values})


def _domain(address: str) -> str:
    return address.lower().rpartition("@")[2]


class CollectionPlans:
    """Says what the records of an account's jobs would do to the three collections."""

    def __init__(self, api: CalendarApi) -> None:
        self._api = api.counting()
        self._calls = _PlannedCalls(self._api)
        self._uploads = CollectionUploads(self._calls)

    async def plan(self, target: Target, batch: Sequence[Record]) -> Sequence[Planned]:
        """What these records would do, one after another. Raises ServiceError."""
        return [await self._plan(target, record) for record in batch]

    async def _plan(self, target: Target, record: Record) -> Planned:
        self._calls.take_notes(record.row)
        outcome = await self._uploads.write(record, target)
        notes = self._calls.take_notes(record.row)
        kind, before = kind_of(outcome), notes.before
        meaning = meaning_of(record, target)
        more: dict[str, Any] = {}
        if outcome.problem is None:
            is_known = kind is not PlannedKind.CREATED
            more = {
                "id": outcome.id if is_known else None,
                "changes": notes.changes,
                "version": _version_of(target, record, before) if is_known else None,
                "calls": notes.calls,
                "place": notes.calendar,
                "mails": notes.mails,
                "mails_outside": notes.mails_outside,
                "remark": "" if is_known or before is None else _IS_THERE,
            }
        return Planned(
            record.row,
            kind,
            lookups=self._api.take_reads(),
            problem=outcome.problem,
            key=None if meaning is None else meaning.name,
            **more,
        )
