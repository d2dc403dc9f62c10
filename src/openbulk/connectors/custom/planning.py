"""Says what rows would do at a service that an export describes, as far as it shows its records.

Rows are prepared, and looked up, by the code that writes them. Only the calls that write are left
out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbulk.connectors.custom.connector import CustomConnector, Write, texts_of
from openbulk.connectors.custom.description import Description, ObjectDescription, Operation
from openbulk.connectors.custom.refusals import missing_record
from openbulk.connectors.custom.service import Service
from openbulk.connectors.custom.values import has_values
from openbulk.connectors.drift import version_of
from openbulk.connectors.fields import FieldError
from openbulk.connectors.job_states import JobStates, LastRecords
from openbulk.connectors.pace import Budget
from openbulk.domain.errors import NotFound
from openbulk.domain.plan import (
    Change,
    Completeness,
    Planned,
    PlannedKind,
    UsageLimit,
    plan_of_refusal,
)
from openbulk.domain.records import Action, Record, Target

_MADE_UP = "planned "
"""How the ids begin of records that rows would make."""
_NOT_SHOWN = "the service shows no single records, so nobody can say what would change"


@dataclass(slots=True)
class _Planned:
    """What the rows of a job would do, for the rows behind them."""

    records: LastRecords[str, Mapping[str, Any] | None] = field(default_factory=LastRecords)
    """Records by id, as rows would leave them; None for one that is deleted."""
    ids: LastRecords[tuple[str, str], str] = field(default_factory=LastRecords)
    """The ids of records that rows would make, by the field that identifies them and its value."""


class PlanningConnector(CustomConnector):
    """An instance of a custom connector, which can also say what writing would do."""

    remembers_plans = True

    def __init__(self, description: Description, service: Service) -> None:
        super().__init__(description, service)
        self._planned = _PlannedWrites(description, service)

    def budgets(self, place: str | None) -> Sequence[Budget]:
        """An export names no limits."""
        return ()

    def usage_limits(self, object: str) -> Sequence[UsageLimit]:
        """An export names none."""
        return ()

    async def plan(self, target: Target, batch: Sequence[Record]) -> Sequence[Planned]:
        """What `write` would do, by what the service shows of its records."""
        return [await self._planned.plan(target, record) for record in batch]


class _PlannedWrites(CustomConnector):
    """Prepares the calls that write, and says what they would do in place of making them."""

    def __init__(self, description: Description, service: Service) -> None:
        super().__init__(description, service)
        self._jobs = JobStates(_Planned)

    async def plan(self, target: Target, record: Record) -> Planned:
        """What writing a record would do. Raises ServiceError."""
        try:
            write = await self._prepare(target, record)
        except FieldError as error:
            return plan_of_refusal(error.outcome(record.row))
        if write is None:
            return Planned(record.row, PlannedKind.NOT_FOUND)
        described = self._object(target.object)
        if self._features[target.object].plan is Completeness.NONE:
            return Planned(record.row, PlannedKind.NOT_COMPARED)
        if write.record_id is None:
            return self._plan_creation(described, write)
        if Operation.GET not in described.calls:
            remark = "" if write.action is Action.DELETE else _NOT_SHOWN
            kind = PlannedKind.DELETED if write.action is Action.DELETE else PlannedKind.UPDATED
            return _plan_of(described, write, kind, remark=remark)
        return await self._compare(described, write)

    def _plan_creation(self, described: ObjectDescription, write: Write) -> Planned:
        name = write.target.identifier_field
        if name not in described.lookups:
            return Planned(write.record.row, PlannedKind.CREATED, calls=1)
        planned = self._jobs.of(write.target.run)
        made = f"{_MADE_UP}{write.record.row}"
        planned.records[made] = write.values
        planned.ids[name, str(write.record.values.get(name))] = made
        key = f"id {made}"
        return Planned(write.record.row, PlannedKind.CREATED, calls=1, lookups=1, key=key)

    async def _compare(self, described: ObjectDescription, write: Write) -> Planned:
        record_id = str(write.record_id)
        shown = await self._record_with(write.target, record_id)
        records = self._jobs.of(write.target.run).records
        is_planned = record_id in records
        if write.action is Action.DELETE:
            records[record_id] = None
            kind = PlannedKind.NOT_FOUND if shown is None else PlannedKind.DELETED
            version = None if shown is None or is_planned else version_of(shown)
            return _plan_of(described, write, kind, version=version)
        if shown is None:
            return plan_of_refusal(missing_record(write.record.row, record_id), f"id {record_id}")
        changes = {
            name: Change(shown.get(name), value)
            for name, value in write.values.items()
            if not has_values(shown, {name: value})
        }
        records[record_id] = {**shown, **write.values}
        kind = PlannedKind.UPDATED if changes else PlannedKind.UNCHANGED
        seen = {name: shown.get(name) for name in write.values}
        version = None if is_planned else version_of(seen)
        return _plan_of(described, write, kind, changes=changes, version=version)

    async def _record_with(self, target: Target, record_id: str) -> Mapping[str, Any] | None:
        """The record with an id, as earlier rows would leave it; None if there is none."""
        records = self._jobs.of(target.run).records
        if record_id in records:
            return records[record_id]
        try:
            return await self.get(target.object, record_id, texts_of(target.options))
        except NotFound:
            return None

    async def _look_up(
        self, described: ObjectDescription, target: Target, record: Record
    ) -> str | None:
        planned = self._jobs.of(target.run)
        name = str(target.identifier_field)
        made = planned.ids.get((name, str(record.values.get(name))))
        found = made or await super()._look_up(described, target, record)
        is_deleted = found is not None and planned.records.get(found, {}) is None
        return None if is_deleted else found


def _plan_of(described: ObjectDescription, write: Write, kind: PlannedKind, **more: Any) -> Planned:
    """The plan of a record that the service has, or that an earlier row would make."""
    is_known = not str(write.record_id).startswith(_MADE_UP) and kind is not PlannedKind.NOT_FOUND
    record_id = write.record_id if is_known else None
    lookups = int(write.target.identifier_field in described.lookups)
    key = f"id {write.record_id}"
    return Planned(write.record.row, kind, record_id, calls=1, lookups=lookups, key=key, **more)
