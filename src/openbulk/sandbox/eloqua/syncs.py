"""Syncs: they bring what was staged for a definition into the database, a record at a time.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-syncs-post.html
https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/GettingStarted/APIRequests/eloqua-status-codes.htm
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from openbulk.sandbox.eloqua.definitions import Definition, Export
from openbulk.sandbox.eloqua.fields import Field
from openbulk.sandbox.eloqua.store import Store, Table, now

RECORDS_AT_ONCE = 250
"""Records between two chances for other calls to be answered: some 3 ms of work."""
_EMAIL = re.compile(r"[^@\s,;()<>]+@[^@\s,;()<>]+\.[^@\s,;()<>.]+")
_STAMPS = {"DateCreated": "createdAt", "DateModified": "updatedAt"}
"""Fields that Eloqua fills: of contacts `C_DateCreated`, of accounts `M_DateCreated`."""
_UNREADABLE = "ELQ-00105"
_LOG_MESSAGES = {
    "ELQ-00001": "Total records processed.",
    "ELQ-00002": "Invalid email addresses.",
    "ELQ-00004": "Contacts created.",
    "ELQ-00005": "Accounts created.",
    "ELQ-00011": "Duplicate email addresses.",
    "ELQ-00022": "Contacts updated.",
    "ELQ-00023": "Accounts updated.",
    "ELQ-00026": "Duplicate identifier.",
    "ELQ-00032": "Malformed records.",
    "ELQ-00059": "Empty records.",
    "ELQ-00060": "Total rejected records.",
    "ELQ-00061": "Rejected records (missing fields).",
    _UNREADABLE: "Error processing import staging file.",
}
_REJECT_MESSAGES = {
    "ELQ-00002": "Invalid email address.",
    "ELQ-00011": "Duplicate email address.",
    "ELQ-00026": "Duplicate identifier.",
    "ELQ-00032": "Malformed record.",
    "ELQ-00059": "Empty record.",
    "ELQ-00061": "Missing identifier field.",
}


@dataclass
class Sync:
    """A sync of a definition."""

    number: int
    definition: Definition | Export
    callback_url: str | None = None
    created_at: str = field(default_factory=now)
    status: str = "pending"
    """pending, active, and then success, warning or error."""
    started_at: str | None = None
    ended_at: str | None = None
    rejects: list[dict[str, Any]] = field(default_factory=list)
    counts: "Counter[str]" = field(default_factory=Counter)
    """Records by status code."""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status in {"pending", "active"}

    def resource(self) -> dict[str, Any]:
        """The sync as the API shows it: without what is not yet known."""
        shown = {
            "uri": f"/syncs/{self.number}",
            "syncedInstanceUri": self.definition.uri,
            "callbackUrl": self.callback_url,
            "status": self.status,
            "createdAt": self.created_at,
            "createdBy": "API.User",
            "syncStartedAt": self.started_at,
            "syncEndedAt": self.ended_at,
        }
        return {name: value for name, value in shown.items() if value is not None}

    def logs(self) -> list[dict[str, Any]]:
        """What it did, by status code; nothing before it has ended."""
        if self.is_running:
            return []
        result = f"Sync processed for sync {self.number}, resulting in {self.status.capitalize()} status."
        entries = [(code, count, _LOG_MESSAGES[code]) for code, count in self.counts.items()]
        return [
            {
                "syncUri": f"/syncs/{self.number}",
                "count": count,
                "severity": _severity(code),
                "statusCode": code,
                "message": message,
                "createdAt": self.ended_at,
            }
            for code, count, message in [*entries, ("ELQ-00101", 0, result)]
        ]


def _severity(code: str) -> str:
    if code == _UNREADABLE:
        return "error"
    return "warning" if code in _REJECT_MESSAGES or code == "ELQ-00060" else "information"


async def run(sync: Sync, store: Store, seconds: float, first_record_index: int) -> None:
    """Bring it to its end, which takes so many seconds beside the work."""
    definition = sync.definition
    await asyncio.sleep(seconds / 2)
    sync.status, sync.started_at = "active", now()
    await asyncio.sleep(seconds / 2)
    if isinstance(definition, Export):
        _export(sync, definition, store.tables[definition.entity.plural])
        return
    staged, definition.staged = definition.staged, []
    is_unreadable, definition.is_unreadable = definition.is_unreadable, False
    if is_unreadable:
        sync.counts[_UNREADABLE] = 1
    else:
        sync.counts["ELQ-00001"] = len(staged)
        await _import_all(
            sync, definition, staged, store.tables[definition.entity.plural], first_record_index
        )
    sync.ended_at = now()
    sync.status = "error" if is_unreadable else "warning" if sync.rejects else "success"


def _export(sync: Sync, export: Export, table: Table) -> None:
    """What the records hold at this moment; an absent value is an empty text."""
    export.exported = [
        {name: _exported(record, of) for name, of in export.fields.items()}
        for record in table.records.values()
        if export.holds(partial(_exported, record))
    ]
    sync.counts["ELQ-00001"] = len(export.exported)
    sync.ended_at, sync.status = now(), "success"


def _exported(record: Mapping[str, Any], name: str) -> str:
    if stamp := _STAMPS.get(name.partition("_")[2]):
        return str(record[stamp])[:23].replace("T", " ")
    return str(record.get(name, ""))


async def _import_all(
    sync: Sync, definition: Definition, staged: list[Any], table: Table, first_record_index: int
) -> None:
    seen: set[str] = set()
    for index, record in enumerate(staged, first_record_index):
        _import(sync, definition, index, record, table, seen)
        if index % RECORDS_AT_ONCE == 0:
            await asyncio.sleep(0)
    if sync.rejects:
        sync.counts["ELQ-00060"] = len(sync.rejects)


def _import(
    sync: Sync, definition: Definition, index: int, record: Any, table: Table, seen: set[str]
) -> None:
    code, invalid = _fault(definition, record, table, seen)
    if code is not None:
        sync.counts[code] += 1
        sync.rejects.append(
            {
                "statusCode": code,
                "message": _REJECT_MESSAGES[code],
                "recordIndex": index,
                "invalidFields": invalid,
                "fieldValues": record if isinstance(record, dict) else {},
            }
        )
        return
    number = _match(definition, record, table)
    _put(table, number, definition, record)
    sync.counts[
        definition.entity.created_code if number is None else definition.entity.updated_code
    ] += 1


def _match(definition: Definition, record: Mapping[str, Any], table: Table) -> int | None:
    name = definition.identifier
    return table.find(definition.fields[name].internal_name, record[name])


def _put(
    table: Table, number: int | None, definition: Definition, record: Mapping[str, Any]
) -> None:
    values = {
        definition.fields[n].internal_name: v for n, v in record.items() if n in definition.fields
    }
    old = table.records[number] if number is not None else {}
    match definition.body["updateRule"]:
        case "ifNewIsNotNull":
            values = {name: value for name, value in values.items() if value not in (None, "")}
        case "ifExistingIsNull":
            values = {name: value for name, value in values.items() if not old.get(name)}
    table.put(number, values)


def _fault(
    definition: Definition, record: Any, table: Table, seen: set[str]
) -> tuple[str | None, list[str]]:
    """The status code of a record that is not taken, and its invalid fields.

    Of the records with the same identifier in one import the first is taken: Oracle does not say which.
    """
    if not isinstance(record, dict):
        return "ELQ-00032", []
    if not any(value not in (None, "") for value in record.values()):
        return "ELQ-00059", []
    identifier = definition.identifier
    if record.get(identifier) in (None, ""):
        return "ELQ-00061", [identifier]
    for name, field_ in definition.fields.items():
        if code := _unfit(field_, record.get(name)):
            return code, [name]
    folded = str(record[identifier]).lower()
    if folded in seen:
        return "ELQ-00026", [identifier]
    for name, field_ in definition.fields.items():
        if (
            field_.data_type == "emailAddress"
            and name != identifier
            and _is_taken(definition, name, record, table)
        ):
            return "ELQ-00011", [name]
    seen.add(folded)
    return None, []


def _unfit(field_: Field, value: Any) -> str | None:
    """The status code of a value that its field does not take."""
    if value in (None, ""):
        return None
    if isinstance(value, dict | list) or (field_.data_type == "number" and not _is_number(value)):
        return "ELQ-00032"
    if field_.data_type == "emailAddress" and not _EMAIL.fullmatch(str(value)):
        return "ELQ-00002"
    return None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _is_taken(definition: Definition, name: str, record: Mapping[str, Any], table: Table) -> bool:
    """Whether another record than the one that this one would change has its e-mail address."""
    owner = table.find(definition.fields[name].internal_name, record.get(name))
    return owner is not None and owner != _match(definition, record, table)
