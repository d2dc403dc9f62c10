"""Eloqua's own bulk import: a definition, staged data, a sync, and its rejects by row.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Tutorials/import.htm
https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Reference/troubleshooting.htm
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from openbulk.connectors.eloqua.fields import Field, Fields, read_fields
from openbulk.connectors.eloqua.service import Service
from openbulk.domain.errors import RetryLater
from openbulk.domain.records import Outcome, OutcomeKind, Record, Target

MAX_FIELDS = 100
MAX_STAGING_BYTES = 32 * 1000 * 1000
"""Eloqua takes 32 MB in a staging call; in which of the two senses of MB it does not say, so the smaller one."""
DEFINITION_LIFE = "P1D"
_CREATED = frozenset({"ELQ-00004", "ELQ-00005"})
_UPDATED = frozenset({"ELQ-00022", "ELQ-00023"})
_HINTS = {
    "ELQ-00002": "the e-mail address is not valid; addresses look like ann@example.com",
    "ELQ-00011": "the e-mail address is in the file twice; keep one of the rows",
    "ELQ-00026": "the identifier is in the file twice; keep one of the rows",
    "ELQ-00032": "a value does not fit its field's type",
    "ELQ-00059": "the row has no values",
    "ELQ-00061": "the identifier is missing",
}


@dataclass(frozen=True, slots=True)
class Entity:
    """What Eloqua imports in bulk."""

    object: str
    plural: str
    identifier: str
    """The field that tells records apart where the caller names none."""


ENTITIES: Mapping[str, Entity] = {
    "contact": Entity("contact", "contacts", "C_EmailAddress"),
    "account": Entity("account", "accounts", "M_CompanyName"),
}


@dataclass(frozen=True, slots=True)
class Staged:
    """A batch as it was, or will be, staged: made anew from the same records after a restart, it is the same."""

    records: Sequence[Record]
    """Those that can be staged, in the order of staging."""
    values: Sequence[Mapping[str, Any]]
    fields: Mapping[str, Field]
    """By the names that the import gives them."""
    identifier: str
    refused: Sequence[Outcome]
    """Those that cannot."""


class EloquaBulk:
    """Imports contacts and accounts. An import creates or updates, by the identifier; it never does it twice."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._fields: dict[str, Fields] = {}

    async def fields(self, object: str) -> Fields:
        """The fields of contacts or accounts, asked for once."""
        if object not in self._fields:
            self._fields[object] = await read_fields(self._service, object, ENTITIES[object].plural)
        return self._fields[object]

    async def submit(self, target: Target, batch: Sequence[Record]) -> str:
        """Define an import, stage the batch, and start the sync.

        Each submit has a definition of its own, and only whole ones are synced: what a submit that was cut off
        has staged is never imported, and Eloqua deletes it after a day.
        """
        staged = stage(batch, target, await self.fields(target.object))
        if not staged.records:
            return orjson.dumps({"sync": None}).decode()
        definition = await self._service.bulk(
            "POST", f"/{ENTITIES[target.object].plural}/imports", json=_definition(target, staged)
        )
        for body in staging_bodies(staged.values):
            headers = {"Content-Type": "application/json"}
            await self._service.bulk(
                "POST", f"{definition['uri']}/data", data=body, headers=headers
            )
        sync = await self._service.bulk(
            "POST", "/syncs", json={"syncedInstanceUri": definition["uri"]}
        )
        return orjson.dumps({"sync": sync["uri"]}).decode()

    async def collect(
        self, ticket: str, target: Target, batch: Sequence[Record]
    ) -> Sequence[Outcome] | None:
        """The outcomes once the sync has ended."""
        staged = stage(batch, target, await self.fields(target.object))
        uri = orjson.loads(ticket)["sync"]
        if uri is None:
            return staged.refused
        sync = await self._service.bulk("GET", uri)
        if sync["status"] in {"pending", "active"}:
            return None
        rejects = [item async for page in self._service.pages(f"{uri}/rejects") for item in page]
        logs = [item async for page in self._service.pages(f"{uri}/logs") for item in page]
        if sync["status"] == "error" and not rejects:
            return [*staged.refused, *_all_failed(staged, logs)]
        return [*staged.refused, *outcomes_of(staged, rejects, logs)]


def stage(batch: Sequence[Record], target: Target, fields: Fields) -> Staged:
    """What of a batch can be staged, and under which names."""
    entity = ENTITIES[target.object]
    identifier = fields.named(target.identifier_field or entity.identifier)
    if identifier is None:
        complaint = fields.complaint(str(target.identifier_field))
        return Staged([], [], {}, "", [Outcome.failed(record.row, complaint) for record in batch])
    columns = {column: fields.named(column) for record in batch for column in record.values}
    if len(columns) > MAX_FIELDS:
        complaint = f"the file has {len(columns)} columns; Eloqua imports at most {MAX_FIELDS}: leave some out"
        return Staged([], [], {}, "", [Outcome.failed(record.row, complaint) for record in batch])
    records, values, refused = [], [], []
    for record in batch:
        problem = _problem(record, columns, fields, identifier)
        if problem is None:
            records.append(record)
            values.append(
                {
                    field.name: record.values[c]
                    for c, field in columns.items()
                    if field and c in record.values
                }
            )
        else:
            refused.append(problem)
    used = {name for row in values for name in row}
    return Staged(
        records,
        values,
        {f.name: f for f in columns.values() if f and f.name in used},
        identifier.name,
        refused,
    )


def _problem(
    record: Record, columns: Mapping[str, Field | None], fields: Fields, identifier: Field
) -> Outcome | None:
    """Why a record cannot be staged."""
    for column in record.values:
        field = columns[column]
        if column == "id":
            return Outcome.failed(
                record.row, "'id' is filled by Eloqua; leave the column out", field=column
            )
        if field is None:
            return Outcome.failed(record.row, fields.complaint(column), field=column)
        if field.is_read_only:
            return Outcome.failed(
                record.row, f"{column!r} is filled by Eloqua; leave the column out", field=column
            )
    if not any(
        columns[column] == identifier and value not in (None, "")
        for column, value in record.values.items()
    ):
        return Outcome.failed(
            record.row,
            f"{identifier.name} is required: it tells records apart",
            field=identifier.name,
        )
    return None


def _definition(target: Target, staged: Staged) -> dict[str, Any]:
    """An absent value leaves what Eloqua has (`ifNewIsNotNull`): rows need not fill every column."""
    return {
        "name": f"openbulk {target.action} {target.object}"[:100],
        "fields": {name: field.statement for name, field in staged.fields.items()},
        "identifierFieldName": staged.identifier,
        "updateRule": str(target.options.get("updateRule") or "ifNewIsNotNull"),
        "isSyncTriggeredOnImport": False,
        "autoDeleteDuration": DEFINITION_LIFE,
    }


def staging_bodies(
    values: Sequence[Mapping[str, Any]], most: int = MAX_STAGING_BYTES
) -> Iterator[bytes]:
    """JSON arrays of records, each of at most so many bytes."""
    items: list[bytes] = []
    size = 2
    for row in values:
        item = orjson.dumps(row)
        if items and size + len(item) + 1 > most:
            yield b"[" + b",".join(items) + b"]"
            items, size = [], 2
        items.append(item)
        size += len(item) + 1
    if items:
        yield b"[" + b",".join(items) + b"]"


def outcomes_of(
    staged: Staged, rejects: Sequence[Mapping[str, Any]], logs: Sequence[Mapping[str, Any]]
) -> Iterator[Outcome]:
    """One outcome for each staged record, rejects by `recordIndex`."""
    first = _first_index(staged, rejects)
    rejected = {int(reject["recordIndex"]) - first: reject for reject in rejects}
    kind = _fate(logs)
    for index, record in enumerate(staged.records):
        if index in rejected:
            yield _rejected(record, rejected[index])
        else:
            yield Outcome(record.row, kind, str(staged.values[index][staged.identifier]))


def _first_index(staged: Staged, rejects: Sequence[Mapping[str, Any]]) -> int:
    """Whether Eloqua counts staged records from 1 or from 0.

    Its reference does not say, so the rejects are asked: each repeats the values that it is about. Raises
    RetryLater where they fit neither, rather than blame the wrong rows.
    """
    for first in (1, 0):
        if all(_is_about(staged, int(reject["recordIndex"]) - first, reject) for reject in rejects):
            return first
    raise RetryLater("Eloqua's rejected records do not match the rows that were sent")


def _is_about(staged: Staged, index: int, reject: Mapping[str, Any]) -> bool:
    if not 0 <= index < len(staged.values):
        return False
    said = reject.get("fieldValues") or {}
    return all(
        str(staged.values[index].get(name, "")) == str(value or "") for name, value in said.items()
    )


def _fate(logs: Sequence[Mapping[str, Any]]) -> OutcomeKind:
    """What the sync's totals say of each record: created, updated, or one of the two."""
    codes = {log["statusCode"] for log in logs if log.get("count")}
    if codes & _CREATED and codes & _UPDATED:
        return OutcomeKind.UPSERTED
    return OutcomeKind.UPDATED if codes & _UPDATED else OutcomeKind.CREATED


def _rejected(record: Record, reject: Mapping[str, Any]) -> Outcome:
    code, said = str(reject.get("statusCode")), str(reject.get("message"))
    invalid = reject.get("invalidFields") or [None]
    hint = _HINTS.get(code, said)
    return Outcome.failed(record.row, hint, field=invalid[0], provider_message=f"{code}: {said}")


def _all_failed(staged: Staged, logs: Sequence[Mapping[str, Any]]) -> Iterator[Outcome]:
    said = (
        "; ".join(str(log["message"]) for log in logs if log.get("severity") == "error")
        or "the sync ended in error"
    )
    for record in staged.records:
        yield Outcome.failed(
            record.row, f"Eloqua could not import the batch: {said}", provider_message=said
        )
