"""Eloqua's own bulk import: a definition, staged data, a sync, and its rejects by row.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Tutorials/import.htm
https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Reference/troubleshooting.htm
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Any

import orjson

from openbulk.connectors.answers import Answer
from openbulk.connectors.eloqua.fields import Field, Fields, read_fields
from openbulk.connectors.eloqua.service import Service
from openbulk.connectors.fields import FieldError, short_repr
from openbulk.connectors.repeated_rows import Meaning, RepeatedRows
from openbulk.domain.errors import RetryLater
from openbulk.domain.records import Outcome, OutcomeKind, Record, Target
from openbulk.exact_json import encode_json

MAX_IMPORT_FIELDS = 100
"""The limit of one definition (Reference/import-characteristics.htm)."""
MAX_STAGING_BYTES = 32 * 1000 * 1000
"""The limit of one staging call. The documentation says 32 MB; this is the smaller reading."""
FIELDS_SECONDS = 60.0
"""A person may add a field at any time, and upload to it a minute later."""
DEFINITION_LIFE = "P1D"
"""Eloqua deletes a definition and its data after a day (ISO 8601)."""
UPDATE_RULES = ("always", "ifNewIsNotNull", "ifExistingIsNull", "useFieldRule")
"""What an import does with a value that Eloqua has (Reference/import-characteristics.htm)."""
_RUNNING = frozenset({"pending", "active"})
_ENDED = frozenset({"success", "warning", "error"})
"""The statuses of a sync (Reference/syncs.htm)."""
# Codes in the logs of a sync, for contacts and for accounts (Reference/troubleshooting.htm).
_CREATED = frozenset({"ELQ-00004", "ELQ-00005"})
_UPDATED = frozenset({"ELQ-00022", "ELQ-00023"})
_REJECT = {
    "type": "object",
    "properties": {
        "recordIndex": {"type": "integer"},
        "fieldValues": {"type": "object"},
        "invalidFields": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["recordIndex"],
}
LOG = {
    "type": "object",
    "properties": {"statusCode": {"type": "string"}, "severity": {"type": "string"}},
}
"""A reject and a log as Eloqua answers them."""
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
HINTS = {
    "ELQ-00002": "the email address is not valid; addresses look like ann@example.com",
    "ELQ-00011": "the email address is in the file twice; keep one of the rows",
    "ELQ-00026": "the identifier is in the file twice; keep one of the rows",
    "ELQ-00032": "a value does not fit its field's type",
    "ELQ-00059": "the row has no values",
    "ELQ-00061": "the identifier is missing",
}
"""What Eloqua's codes of rejected records mean, and what would be right."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A kind of record that Eloqua imports and exports in bulk."""

    object: str
    plural: str
    identifier: str
    """The field that identifies records if the caller names none."""


ENTITIES: Mapping[str, Entity] = {
    "contact": Entity("contact", "contacts", "C_EmailAddress"),
    "account": Entity("account", "accounts", "M_CompanyName"),
}


@dataclass(frozen=True, slots=True)
class Staged:
    """A batch, prepared for staging.

    It depends on the records alone: after a restart, `collect` computes what `submit` staged.
    """

    records: Sequence[Record]
    """The records to stage, in order."""
    values: Sequence[Mapping[str, Any]]
    """The values to stage of each record, by the internal names of the fields."""
    fields: Mapping[str, Field]
    """The fields that any of them has a value for, by internal name."""
    identifier: str
    failed: Sequence[Outcome]
    """The outcomes of the records that cannot be staged."""

    @classmethod
    def nothing(cls, batch: Sequence[Record], problem: str) -> "Staged":
        """A batch of which no record can be staged, for one reason."""
        return cls([], [], {}, "", [Outcome.failure(record.row, problem) for record in batch])


class EloquaBulk:
    """Imports contacts and accounts.

    An import creates or updates a record by its identifier, so importing twice has the effect of
    importing once.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._repeated = RepeatedRows()
        self._fields: dict[str, tuple[float, Fields]] = {}
        """The fields of each entity, and when they were read."""

    async def fields(self, object: str) -> Fields:
        """The fields of contacts or accounts. They are read again after FIELDS_SECONDS."""
        read_at, fields = self._fields.get(object, (0.0, None))
        if fields is None or time.monotonic() - read_at > FIELDS_SECONDS:
            fields = await read_fields(self._service, object, ENTITIES[object].plural)
            self._fields[object] = (time.monotonic(), fields)
        return fields

    async def submit(self, target: Target, batch: Sequence[Record]) -> str:
        """Define an import, stage the batch, and start the sync.

        Each submit creates its own definition, and syncs it once the whole batch is staged. An
        interrupted submit leaves staged data that is never imported.
        """
        staged = await self.stage(batch, target)
        if not staged.records:
            return orjson.dumps({"sync": None}).decode()
        definition = await self._service.bulk(
            "POST", f"/{ENTITIES[target.object].plural}/imports", json=_definition(target, staged)
        )
        uri = definition.text_at("uri")
        for body in staging_bodies(staged.values):
            headers = {"Content-Type": "application/json"}
            await self._service.bulk("POST", f"{uri}/data", data=body, headers=headers)
        sync = await self._service.bulk("POST", "/syncs", json={"syncedInstanceUri": uri})
        return orjson.dumps({"sync": sync.text_at("uri")}).decode()

    async def collect(
        self, ticket: str, target: Target, batch: Sequence[Record]
    ) -> Sequence[Outcome] | None:
        """The outcomes; None until the sync has ended."""
        staged = await self.stage(batch, target)
        uri = orjson.loads(ticket)["sync"]
        if uri is None:
            return staged.failed
        sync = await self._service.bulk("GET", uri)
        if is_running(sync):
            return None
        # `warning` also ends a sync: some records were rejected, and the others imported.
        rejects = await self._service.items(f"{uri}/rejects", _REJECT)
        logs = await self._service.items(f"{uri}/logs", LOG)
        if sync.text_at("status") == "error" and not rejects:
            return [*staged.failed, *_all_failed(staged, logs)]
        return [*staged.failed, *outcomes_of(staged, rejects, logs)]

    async def stage(self, batch: Sequence[Record], target: Target) -> Staged:
        """Prepare a batch; a row that says otherwise than an earlier one of its file is refused."""
        fields = await self.fields(target.object)
        identifier = fields.find(identifier_of(target))
        differing: Mapping[int, FieldError] = {}
        if identifier is not None:
            meaning_of = partial(meaning_of_import, fields=fields, identifier=identifier)
            differing = await self._repeated.problems(target, batch, meaning_of)
        good = [record for record in batch if record.row not in differing]
        staged = stage(good, target, fields)
        failed = [problem.outcome(row) for row, problem in differing.items()]
        return replace(staged, failed=[*staged.failed, *failed])


def is_running(sync: Answer) -> bool:
    """Whether Eloqua has not ended a sync yet."""
    status = sync.text_at("status")
    if status not in _RUNNING | _ENDED:
        raise sync.mismatch(f"{short_repr(status)} as status", ", ".join(sorted(_RUNNING | _ENDED)))
    return status in _RUNNING


def errors_in(logs: Sequence[Mapping[str, Any]]) -> str:
    """The messages of a sync's errors; empty if its logs have none."""
    return "; ".join(str(log.get("message")) for log in logs if log.get("severity") == "error")


# --- staging ---


def stage(batch: Sequence[Record], target: Target, fields: Fields) -> Staged:
    """Prepare a batch for staging: which of its records can be staged, and how."""
    identifier = fields.find(identifier_of(target))
    if identifier is None:
        return Staged.nothing(batch, fields.unknown_field(str(target.identifier_field)).message)
    columns = dict.fromkeys(chain.from_iterable(record.values for record in batch))
    if len(columns) > MAX_IMPORT_FIELDS:
        return Staged.nothing(
            batch,
            f"the file has {len(columns)} columns; Eloqua imports at most {MAX_IMPORT_FIELDS}: "
            "leave some out",
        )
    by_column = {column: fields.find(column) for column in columns}
    records, values, failed = [], [], []
    for record in batch:
        try:
            _require_clearable(record, target)
            values.append(_values_of(record, by_column, fields, identifier))
            records.append(record)
        except FieldError as error:
            failed.append(error.outcome(record.row))
    used = set(chain.from_iterable(values))
    staged_fields = {
        field.name: field for field in by_column.values() if field and field.name in used
    }
    return Staged(records, values, staged_fields, identifier.name, failed)


def identifier_of(target: Target) -> str:
    """The name of the field that identifies a record."""
    return target.identifier_field or ENTITIES[target.object].identifier


def meaning_of_import(record: Record, fields: Fields, identifier: Field) -> Meaning | None:
    """The contact or account that a row means; None for a row that is refused."""
    by_column = {column: fields.find(column) for column in record.values}
    try:
        values = _values_of(record, by_column, fields, identifier)
    except FieldError:
        return None
    value = str(values.pop(identifier.name))
    return Meaning(identifier.name, f"{identifier.name} {value}", same_name(value), values)


def same_name(value: Any) -> str:
    """Equal for identifiers that are equal to Eloqua: it ignores the case of an email address and
    of a name."""
    return str(value).strip().casefold()


def _values_of(
    record: Record, by_column: Mapping[str, Field | None], fields: Fields, identifier: Field
) -> dict[str, Any]:
    """The values to stage of a record, by internal field names. Raises FieldError."""
    writable = {
        column: _require_writable(column, by_column[column], fields) for column in record.values
    }
    # Two columns may mean one field, by its name and by its title. Either can identify the record.
    identities = [record.values[c] for c, field in writable.items() if field == identifier]
    if all(value in (None, "") for value in identities):
        raise FieldError(identifier.name, f"{identifier.name} is missing: it identifies the record")
    return {
        field.name: record.values[column]
        for column, field in by_column.items()
        # An empty text means no value to Eloqua, as an absent one does.
        if field and record.values.get(column, "") != ""
    }


def _require_clearable(record: Record, target: Target) -> None:
    """Raise FieldError if a cell is to clear a field, and Eloqua would keep its value."""
    if not target.options.get("nullValue") or target.options.get("updateRule") == "always":
        return
    column = next((name for name, value in record.values.items() if value is None), None)
    if column is not None:
        raise FieldError(
            column,
            f"{column} is to be cleared, but Eloqua keeps a value unless metaData.updateRule is "
            "always; that rule also clears the fields that other rows leave empty",
        )


def _require_writable(column: str, field: Field | None, fields: Fields) -> Field:
    if column == "id" or (field and field.is_read_only):
        raise FieldError(column, f"{column!r} is filled by Eloqua; leave the column out")
    if field is None:
        raise fields.unknown_field(column)
    return field


def update_rule_of(target: Target) -> str:
    """What an import of this job does with a value that Eloqua has."""
    return str(target.options.get("updateRule") or "ifNewIsNotNull")


def _definition(target: Target, staged: Staged) -> dict[str, Any]:
    # https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Reference/import-characteristics.htm
    return {
        "name": f"openbulk {target.action} {target.object}"[:100],
        "fields": {name: field.statement for name, field in staged.fields.items()},
        "identifierFieldName": staged.identifier,
        # A missing value keeps the one that Eloqua has: rows need not fill every column.
        "updateRule": update_rule_of(target),
        # True, the default, would import what an interrupted submit has staged.
        "isSyncTriggeredOnImport": False,
        "autoDeleteDuration": DEFINITION_LIFE,
    }


def staging_bodies(
    values: Sequence[Mapping[str, Any]], max_bytes: int = MAX_STAGING_BYTES
) -> Iterator[bytes]:
    """JSON arrays of records, each of at most `max_bytes` bytes."""
    items: list[bytes] = []
    size = 2
    for item in map(encode_json, values):
        # One byte for the comma.
        if items and size + len(item) + 1 > max_bytes:
            yield _array(items)
            items, size = [], 2
        items.append(item)
        size += len(item) + 1
    if items:
        yield _array(items)


def _array(items: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


# --- outcomes ---


def outcomes_of(
    staged: Staged, rejects: Sequence[Mapping[str, Any]], logs: Sequence[Mapping[str, Any]]
) -> Iterator[Outcome]:
    """One outcome for each staged record. A reject names its record by `recordIndex`."""
    first = _first_index(staged, rejects)
    by_index = {int(reject["recordIndex"]) - first: reject for reject in rejects}
    kind = _outcome_kind(logs)
    for index, record in enumerate(staged.records):
        if index in by_index:
            yield _reject_outcome(record, by_index[index])
        else:
            yield Outcome(record.row, kind, str(staged.values[index][staged.identifier]))


def _first_index(staged: Staged, rejects: Sequence[Mapping[str, Any]]) -> int:
    """The index of the first staged record, as rejects count: 1 or 0.

    Eloqua's reference does not say, but each reject repeats the values of its record. Raises
    RetryLater if the values fit neither, rather than blame the wrong rows.
    """
    # Eloqua may repeat a date in another way, so the identifier alone counts if all fields do not.
    for names in (staged.fields, (staged.identifier,)):
        for first in (1, 0):
            if all(_is_about(staged, first, reject, names) for reject in rejects):
                return first
    raise RetryLater("Eloqua's rejected records do not match the rows that were sent")


def _is_about(staged: Staged, first: int, reject: Mapping[str, Any], names: Iterable[str]) -> bool:
    index = int(reject["recordIndex"]) - first
    if index not in range(len(staged.values)):
        return False
    values, repeated = staged.values[index], reject.get("fieldValues") or {}
    compared = [name for name in names if name in repeated]
    return all(_as_repeated(values.get(name)) == _as_repeated(repeated[name]) for name in compared)


def _as_repeated(value: Any) -> str:
    """A value as a reject repeats it: as a text, "" for none."""
    match value:
        case None:
            return ""
        case int() | float() | Decimal() if not isinstance(value, bool):
            return str(Decimal(str(value)).normalize())
        case str() if _NUMBER.fullmatch(value.strip()):
            return str(Decimal(value.strip()).normalize())
        case _:
            return str(value).strip().casefold()


def _outcome_kind(logs: Sequence[Mapping[str, Any]]) -> OutcomeKind:
    """Created or updated, for all records: the sync has totals only.

    Upserted, which means either, if the sync created some records and updated others.
    """
    codes = {log.get("statusCode") for log in logs if log.get("count")}
    has_created, has_updated = not codes.isdisjoint(_CREATED), not codes.isdisjoint(_UPDATED)
    if has_created and has_updated:
        return OutcomeKind.UPSERTED
    return OutcomeKind.UPDATED if has_updated else OutcomeKind.CREATED


def _reject_outcome(record: Record, reject: Mapping[str, Any]) -> Outcome:
    code, message = str(reject.get("statusCode")), str(reject.get("message"))
    fields = reject.get("invalidFields") or [None]
    return Outcome.failure(
        record.row,
        HINTS.get(code, message),
        field=fields[0],
        provider_message=f"{code}: {message}",
    )


def _all_failed(staged: Staged, logs: Sequence[Mapping[str, Any]]) -> Iterator[Outcome]:
    reason = errors_in(logs) or "the sync ended in error"
    for record in staged.records:
        yield Outcome.failure(
            record.row, f"Eloqua could not import the batch: {reason}", provider_message=reason
        )
