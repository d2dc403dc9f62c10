"""Compares what a job has written with what the service has now, by the plans of its connector.

A record is planned as if it were sent once more: one that would not change is confirmed. So a
verification compares as plans and uploads do, also what a service fills in or keeps in another
form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openbulk.connectors.base import Features, PlansWrites
from openbulk.domain.plan import Planned, PlannedKind
from openbulk.domain.records import Action, Record, Target, value_at

_IS_THERE = "the record is there, although the row deleted it"
_NOT_FINDABLE = (
    "the service gave no id for this record, and the row has no field that identifies it: it "
    "cannot be found again"
)
_IS_THERE_KINDS = frozenset({PlannedKind.UNCHANGED, PlannedKind.UPDATED, PlannedKind.AMBIGUOUS})
"""Plans of a record that the service has: they decide."""
_IS_GONE_KINDS = frozenset({PlannedKind.NOT_FOUND, PlannedKind.UNCHANGED})
"""Plans of a deletion that finds nothing to delete."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a row of a job has written."""

    record: Record
    id: str | None
    """The record's id at the service; None if the service did not return it."""
    is_gone: bool = False
    """The row, or a later one, has deleted the record, or has not found it."""
    overwritten: frozenset[str] = frozenset()
    """Fields that later rows of the job have written into the same record."""

    @property
    def row(self) -> int:
        """The number of the row."""
        return self.record.row


class Verifier:
    """Compares the records of one job.

    Each field of a record is compared in the last row that wrote it: earlier rows of the same
    record leave it out. So no two plans are about one field, and none has to be made behind
    another.
    """

    def __init__(
        self, connector: PlansWrites, features: Features, schema: Mapping[str, Any], target: Target
    ) -> None:
        """`target` is that of the job, with a run of its own (`Target.run`)."""
        self._connector = connector
        self._features = features
        self._fields = schema.get("properties", {})
        self._action = target.action
        again = Action.UPSERT if target.action is Action.CREATE else target.action
        self._by_key = replace(target, action=again, only_compares=True)
        # What a connector remembers of a plan by key must not decide about one by id.
        self._by_id = replace(
            target,
            action=Action.UPDATE,
            identifier_field=features.id,
            run=f"{target.run}/id",
            only_compares=True,
        )
        self._deletion_by_key = replace(self._by_key, action=Action.DELETE)
        self._deletion_by_id = replace(self._by_id, action=Action.DELETE)

    async def verify(self, batch: Sequence[Written]) -> list[Planned]:
        """How records compare with the service; one for each, in any order. Raises ServiceError.

        `unchanged` is confirmed, `updated` is different, `not found` is missing, and of an
        `ambiguous` one the service has several. Others are not compared, and a remark says why.
        """
        gone = [one for one in batch if one.is_gone]
        kept = [one for one in batch if not one.is_gone]
        return [*await self._verify_gone(gone), *await self._verify_kept(kept)]

    async def _verify_kept(self, batch: Sequence[Written]) -> list[Planned]:
        by_key = await self._plan_by_key(batch)
        rest = [one for one in batch if not _is_there(by_key.get(one.row))]
        by_id = await self._plan_by_id(rest)
        rest = [
            one for one in rest if not (_is_there(by_id.get(one.row)) or _is_new(by_key, one.row))
        ]
        deletions = await self._plan_deletion(rest)
        return [
            _comparison(one, by_key.get(one.row), by_id.get(one.row), deletions.get(one.row))
            for one in batch
        ]

    async def _verify_gone(self, batch: Sequence[Written]) -> list[Planned]:
        if self._action is Action.DELETE:
            plans = await self._plan_deletion(batch)
        else:  # the row calls its record off, or a later one does
            plans = await self._plan_by_key(batch)
            rest = [one for one in batch if one.row not in plans]
            plans |= await self._plan_deletion(rest)
        return [_comparison_of_gone(one, plans.get(one.row)) for one in batch]

    # --- plans, by row ---

    async def _plan_by_key(self, batch: Sequence[Written]) -> dict[int, Planned]:
        """As the rows themselves identify their records, where no later row has changed them."""
        own = [one.record for one in batch if not one.overwritten and self._has_key(one.record)]
        return await self._plan(self._by_key, own)

    async def _plan_by_id(self, batch: Sequence[Written]) -> dict[int, Planned]:
        return await self._plan(self._by_id, self._with_ids(batch))

    async def _plan_deletion(self, batch: Sequence[Written]) -> dict[int, Planned]:
        """What a deletion would find: whether there is a record."""
        by_id = self._with_ids(batch)
        known = {record.row for record in by_id}
        others = [one.record for one in batch if one.row not in known]
        by_key = [record for record in others if self._has_key(record)]
        return {
            **await self._plan(self._deletion_by_id, by_id),
            **await self._plan(self._deletion_by_key, by_key),
        }

    async def _plan(self, target: Target, records: Sequence[Record]) -> dict[int, Planned]:
        planned = await self._connector.plan(target, records) if records else ()
        return {one.row: one for one in planned}

    def _with_ids(self, batch: Sequence[Written]) -> list[Record]:
        """The records that the service gave an id, with it, and with what no later row wrote."""
        name = self._features.id
        if name is None:
            return []
        left_out = self._by_key.identifier_field
        if left_out is not None and left_out.partition(".")[0] in self._fields:
            left_out = None  # a field like others
        return [
            one.record._replace(
                values={
                    **{
                        field: value
                        for field, value in one.record.values.items()
                        if field != left_out and field not in one.overwritten
                    },
                    name: one.id,
                }
            )
            for one in batch
            if one.id is not None
        ]

    def _has_key(self, record: Record) -> bool:
        """Whether a record says itself which one it is."""
        if self._action is not Action.CREATE:
            return True
        features = self._features
        together = features.identity.get(Action.UPDATE, ())
        if together and all(_has(record, name) for name in together):
            return True
        return any(_has(record, name) for name in (*features.identifiers, *features.references))


def _has(record: Record, name: str) -> bool:
    return value_at(record.values, name) not in (None, "")


def _is_there(planned: Planned | None) -> bool:
    return planned is not None and planned.kind in _IS_THERE_KINDS


def _is_new(plans: Mapping[int, Planned], row: int) -> bool:
    return row in plans and plans[row].kind is PlannedKind.CREATED


def _comparison(
    one: Written, by_key: Planned | None, by_id: Planned | None, deletion: Planned | None
) -> Planned:
    """How a record compares that the service should have, by the plans of it."""
    decisive = next(filter(_is_there, (by_key, by_id)), None)
    if decisive is not None:
        is_ambiguous = decisive.kind is PlannedKind.AMBIGUOUS
        problem = decisive.problem if is_ambiguous else None
        return replace(
            decisive, id=one.id or decisive.id, problem=problem, remark="", key=None, version=None
        )
    is_missing = deletion is not None and deletion.kind is PlannedKind.NOT_FOUND
    if is_missing or (by_key is not None and by_key.kind is PlannedKind.CREATED):
        return Planned(one.row, PlannedKind.NOT_FOUND, one.id)
    return _not_compared(one, by_key or by_id)


def _comparison_of_gone(one: Written, planned: Planned | None) -> Planned:
    """How a record compares that the service should have no more, by the plan of its deletion."""
    if planned is not None and planned.kind in _IS_GONE_KINDS:
        return Planned(one.row, PlannedKind.UNCHANGED, one.id)
    if planned is not None and not planned.is_refused:
        return Planned(
            one.row,
            PlannedKind.UPDATED,
            one.id or planned.id,
            changed_at=planned.changed_at,
            remark=_IS_THERE,
        )
    return _not_compared(one, planned)


def _not_compared(one: Written, planned: Planned | None) -> Planned:
    reason = _NOT_FINDABLE
    if planned is not None:
        reason = planned.problem.message if planned.problem else planned.remark
    return Planned(one.row, PlannedKind.NOT_COMPARED, one.id, remark=reason)
