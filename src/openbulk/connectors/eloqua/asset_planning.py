"""Says what rows would do to campaigns and lists, and writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openbulk.connectors.drift import version_of
from openbulk.connectors.eloqua.rest import (
    ASSETS,
    NO_NAME,
    asset_without_id,
    missing_asset,
    read_asset,
)
from openbulk.connectors.eloqua.service import Service
from openbulk.connectors.job_states import JobStates, LastRecords
from openbulk.domain.errors import NotFound
from openbulk.domain.plan import Change, Planned, PlannedKind, plan_of_refusal
from openbulk.domain.records import Action, Outcome, Record, Target


@dataclass(frozen=True, slots=True)
class _Asset:
    """A campaign or list, as Eloqua has it or as earlier rows would leave it."""

    values: Mapping[str, Any] | None
    """None if there is none."""
    is_planned: bool = False
    """Whether an earlier row would change it."""

    def version(self, target: Target, record: Record) -> str | None:
        """Its state: of the fields that the row has, or whole to delete it.

        None if there is none, or an earlier row would change it.
        """
        if self.values is None or self.is_planned:
            return None
        if target.action is Action.DELETE:
            return version_of(self.values)
        return version_of({name: self.values.get(name) for name in record.values})


class AssetPlans:
    """Plans the campaigns and lists of an account's jobs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._planned: JobStates[LastRecords[str, _Asset]] = JobStates(LastRecords)
        """The campaigns or lists that rows of a job would change, by their ids."""

    async def plan(self, target: Target, record: Record) -> Planned:
        """What writing one record would do. Raises ServiceError."""
        if target.action is Action.CREATE:
            if _is_nameless(record):
                return _nameless(record)
            return Planned(record.row, PlannedKind.CREATED, calls=1)
        asset_id = record.values.get("id")
        if not asset_id:
            return plan_of_refusal(asset_without_id(record))
        asset = await self._asset(target, str(asset_id))
        if target.action is Action.DELETE:
            return self._plan_deletion(target, record, asset)
        return self._plan_update(target, record, asset)

    def _plan_update(self, target: Target, record: Record, asset: _Asset) -> Planned:
        if asset.values is None:
            return plan_of_refusal(missing_asset(record), _key_of(record))
        if _is_nameless(record):
            return _nameless(record)
        own = asset.values
        changes = {
            name: Change(own.get(name), value)
            for name, value in record.values.items()
            if name != "id" and own.get(name) != value
        }
        kind = PlannedKind.UPDATED if changes else PlannedKind.UNCHANGED
        return self._plan(target, record, kind, asset, {**own, **record.values}, changes)

    def _plan_deletion(self, target: Target, record: Record, asset: _Asset) -> Planned:
        is_there = asset.values is not None
        kind = PlannedKind.DELETED if is_there else PlannedKind.NOT_FOUND
        return self._plan(target, record, kind, asset, None, {})

    def _plan(
        self,
        target: Target,
        record: Record,
        kind: PlannedKind,
        asset: _Asset,
        after: Mapping[str, Any] | None,
        changes: Mapping[str, Change],
    ) -> Planned:
        asset_id = str(record.values["id"])
        self._planned.of(target.run)[asset_id] = _Asset(after, is_planned=True)
        return Planned(
            record.row,
            kind,
            asset_id if asset.values is not None else None,
            changes,
            version=asset.version(target, record),
            calls=1,
            key=_key_of(record),
        )

    async def _asset(self, target: Target, asset_id: str) -> _Asset:
        known = self._planned.of(target.run).get(asset_id)
        if known is not None:
            return known
        try:
            return _Asset(await read_asset(self._service, ASSETS[target.object], asset_id))
        except NotFound:
            return _Asset(None)


def _key_of(record: Record) -> str | None:
    asset_id = record.values.get("id")
    return f"id {asset_id}" if asset_id else None


def _is_nameless(record: Record) -> bool:
    return not str(record.values.get("name") or "").strip()


def _nameless(record: Record) -> Planned:
    return plan_of_refusal(Outcome.failure(record.row, NO_NAME), _key_of(record))
