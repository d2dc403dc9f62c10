"""Says what an import would do to contacts and accounts, and writes nothing.

Rows are prepared by the code that imports them, and compared with what Eloqua holds.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from openbulk.connectors.drift import version_of
from openbulk.connectors.eloqua.bulk import (
    ENTITIES,
    HINTS,
    EloquaBulk,
    Staged,
    identifier_of,
    meaning_of_import,
    same_name,
    update_rule_of,
)
from openbulk.connectors.eloqua.exports import ID
from openbulk.connectors.eloqua.fields import JSON_TYPES, Field, Fields
from openbulk.connectors.eloqua.held_records import Exports, HeldRecord, HeldRecords
from openbulk.connectors.eloqua.service import Service
from openbulk.connectors.job_states import JobStates
from openbulk.domain.plan import Change, Planned, PlannedKind, plan_of_refusal
from openbulk.domain.records import Outcome, Record, Target

CALLS_OF_IMPORT = 3
"""A definition, its data, and a sync."""
LOOKUPS_OF_IMPORT = 3
"""The status of the sync, its rejects, and its log."""
ROWS_AT_ONCE = 250
"""Rows between two yields to other work: some 10 ms of it."""
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
"""What each address looks like that Eloqua takes; it has stricter rules of its own."""
_DIGIT = re.compile(r"[0-9]")
_FIELD_RULE = (
    "Eloqua's record has other values; which of them change is decided by the rule of each field "
    "there (metaData.updateRule is useFieldRule)"
)


class ImportPlans:
    """Plans the imports of an account's jobs."""

    def __init__(self, service: Service, bulk: EloquaBulk) -> None:
        self._bulk = bulk
        self._held = {
            name: JobStates(partial(HeldRecords, service, entity, Exports()))
            for name, entity in ENTITIES.items()
        }

    async def plan(self, target: Target, batch: Sequence[Record]) -> list[Planned]:
        """What an import of these records would do. Raises ServiceError."""
        fields = await self._bulk.fields(target.object)
        staged = await self._bulk.stage(batch, target)
        keys = _keys_of(target, batch, fields)
        refused = [plan_of_refusal(one, keys.get(one.row)) for one in staged.failed]
        if not staged.records:
            return refused
        identifier = staged.fields[staged.identifier]
        identifiers = [str(values[identifier.name]) for values in staged.values]
        held = self._held[target.object].of(target.run)
        async with held.lock:
            await held.load(fields, identifier, identifiers, staged.fields, target.records or 0)
            planned = await _Import(target, staged, held, keys).plan()
        return [*refused, *planned]


class _Import:
    """One import of a job's rows."""

    def __init__(
        self, target: Target, staged: Staged, held: HeldRecords, keys: Mapping[int, str]
    ) -> None:
        self._keys = keys
        self._target = target
        self._staged = staged
        self._held = held
        self._rule = update_rule_of(target)
        self._seen: set[str] = set()
        """The identifiers of its rows."""

    async def plan(self) -> list[Planned]:
        """What it would do with each of its records."""
        planned: list[Planned] = []
        for record, values in zip(self._staged.records, self._staged.values, strict=True):
            if len(planned) % ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
            planned.append(self._plan(record, values))
        return planned

    def _plan(self, record: Record, values: Mapping[str, Any]) -> Planned:
        value = values[self._staged.identifier]
        name = same_name(value)
        key = self._keys.get(record.row)
        rejection = self._rejection(record, values, name)
        if rejection is not None:
            return plan_of_refusal(rejection, key)
        self._seen.add(name)
        is_planned = self._held.is_planned(name)
        matches = self._held.of(name)
        if not matches:
            self._held.note_planned(name, _without_empty(values))
            return Planned(record.row, PlannedKind.CREATED, key=key, **self._calls)
        if len(matches) > 1:
            return self._plan_without_decision(record, key, self._several(len(matches), value))
        changes = self._changes(matches[0], values)
        if changes and self._rule == "useFieldRule":
            return self._plan_without_decision(record, key, _FIELD_RULE)
        self._held.note_planned(name, {one: change.after for one, change in changes.items()})
        return Planned(
            record.row,
            PlannedKind.UPDATED if changes else PlannedKind.UNCHANGED,
            matches[0].get(ID),
            changes,
            version=None if is_planned else _version_of(matches[0], values),
            key=key,
            **self._calls,
        )

    @property
    def _calls(self) -> dict[str, Any]:
        """The calls of the import, which count for its first row."""
        if len(self._seen) > 1:
            return {}
        return {"calls": CALLS_OF_IMPORT, "lookups": LOOKUPS_OF_IMPORT}

    def _plan_without_decision(self, record: Record, key: str | None, remark: str) -> Planned:
        return Planned(record.row, PlannedKind.NOT_COMPARED, key=key, remark=remark, **self._calls)

    def _several(self, count: int, value: Any) -> str:
        plural = ENTITIES[self._target.object].plural
        return (
            f"Eloqua has {count} {plural} whose {self._staged.identifier} is {value}, and does not "
            "say which of them it changes"
        )

    def _rejection(self, record: Record, values: Mapping[str, Any], name: str) -> Outcome | None:
        """How Eloqua would reject a row, as far as that is certain."""
        for field in self._staged.fields.values():
            code = _code_of_wrong(field, values.get(field.name))
            if code is not None:
                return Outcome.failure(record.row, HINTS[code], field=field.name)
        if name in self._seen:
            return Outcome.failure(record.row, HINTS["ELQ-00026"], field=self._staged.identifier)
        return None

    def _changes(self, own: HeldRecord, values: Mapping[str, Any]) -> dict[str, Change]:
        """The fields that the import would change, by its rule for updates."""
        new = values if self._rule == "always" else _without_empty(values)
        # That rule also clears the fields that other rows fill.
        names = self._staged.fields if self._rule == "always" else new
        changes = {
            name: Change(own.get(name), new.get(name))
            for name in names
            if not _is_same(self._staged.fields[name], own.get(name), new.get(name))
        }
        if self._rule == "ifExistingIsNull":
            return {name: one for name, one in changes.items() if one.before in (None, "")}
        return changes


def _keys_of(target: Target, batch: Sequence[Record], fields: Fields) -> Mapping[int, str]:
    """By row, what identifies the record that it means; rows that mean none are left out."""
    identifier = fields.find(identifier_of(target))
    if identifier is None:
        return {}
    meanings = {one.row: meaning_of_import(one, fields, identifier) for one in batch}
    return {row: f"{one.field} {one.name}" for row, one in meanings.items() if one is not None}


def _version_of(own: HeldRecord, values: Mapping[str, Any]) -> str:
    """The state of a record: of the fields that the row has, as others change with each mail."""
    return version_of({name: own.get(name) for name in values})


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _code_of_wrong(field: Field, value: Any) -> str | None:
    """Eloqua's code for a value that its field certainly does not take; None for any other."""
    if value in (None, ""):
        return None
    if isinstance(value, dict | list):
        return "ELQ-00032"
    text = str(value).strip()
    if field.data_type == "emailAddress" and not _ADDRESS.fullmatch(text):
        return "ELQ-00002"
    if field.data_type in JSON_TYPES and not _DIGIT.search(text):
        return "ELQ-00032"
    return None


def _is_same(field: Field, own: Any, new: Any) -> bool:
    """Whether Eloqua already has a value. An export has each as a text."""
    own_text, new_text = ("" if value is None else str(value) for value in (own, new))
    if own_text == new_text:
        return True
    if field.data_type in JSON_TYPES:
        return _number(own_text) is not None and _number(own_text) == _number(new_text)
    if field.data_type == "date":
        return _moment(own_text) is not None and _moment(own_text) == _moment(new_text)
    return False


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        return None


def _moment(text: str) -> datetime | None:
    """A date of Eloqua or of a file; one without a zone is in UTC, as in Eloqua's exports."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
