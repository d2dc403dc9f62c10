"""Syncs move staged data into the database, or records out of it.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-syncs-post.html
https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/GettingStarted/APIRequests/eloqua-status-codes.htm
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from openbulk.sandbox.eloqua.definitions import Export, Import
from openbulk.sandbox.eloqua.fields import Field
from openbulk.sandbox.eloqua.store import Store, Table, now

RECORDS_AT_ONCE = 250
"""Records between two yields to other calls: about 3 ms of work."""
_EMAIL = re.compile(r"[^@\s,;()<>]+@[^@\s,;()<>]+\.[^@\s,;()<>.]+")
_TIMES = {"DateCreated": "createdAt", "DateModified": "updatedAt"}
"""Fields that Eloqua sets, such as `C_DateCreated` of contacts and `M_DateCreated` of accounts."""
_TOTAL = "ELQ-00001"
_TOTAL_REJECTED = "ELQ-00060"
_UNREADABLE = "ELQ-00105"
_ENDED = "ELQ-00101"
_LOG_MESSAGES = {
    _TOTAL: ("information", "Total records processed."),
    "ELQ-00002": ("warning", "Invalid email addresses."),
    "ELQ-00004": ("information", "Contacts created."),
    "ELQ-00005": ("information", "Accounts created."),
    "ELQ-00011": ("warning", "Duplicate email addresses."),
    "ELQ-00022": ("information", "Contacts updated."),
    "ELQ-00023": ("information", "Accounts updated."),
    "ELQ-00026": ("warning", "Duplicate identifier."),
    "ELQ-00032": ("warning", "Malformed records."),
    "ELQ-00059": ("warning", "Empty records."),
    _TOTAL_REJECTED: ("warning", "Total rejected records."),
    "ELQ-00061": ("warning", "Rejected records (missing fields)."),
    _UNREADABLE: ("error", "Error processing import staging file."),
}
"""Severity and message of each status code, in the log of a sync."""
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
    definition: Import | Export
    callback_url: str | None = None
    created_at: str = field(default_factory=now)
    status: str = "pending"
    """`pending`, `active`, and then `success`, `warning` or `error`."""
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
        """The sync as the API shows it: it leaves out values that are not known yet."""
        values = {
            "uri": f"/syncs/{self.number}",
            "syncedInstanceUri": self.definition.uri,
            "callbackUrl": self.callback_url,
            "status": self.status,
            "createdAt": self.created_at,
            "createdBy": "API.User",
            "syncStartedAt": self.started_at,
            "syncEndedAt": self.ended_at,
        }
        return {name: value for name, value in values.items() if value is not None}

    def logs(self) -> list[dict[str, Any]]:
        """The log entries, by status code; none before the sync has ended."""
        if self.is_running:
            return []
        status = self.status.capitalize()
        result = f"Sync processed for sync {self.number}, resulting in {status} status."
        entries = [
            self._log(code, count, *_LOG_MESSAGES[code]) for code, count in self.counts.items()
        ]
        return [*entries, self._log(_ENDED, 0, "information", result)]

    def _log(self, code: str, count: int, severity: str, message: str) -> dict[str, Any]:
        return {
            "syncUri": f"/syncs/{self.number}",
            "count": count,
            "severity": severity,
            "statusCode": code,
            "message": message,
            "createdAt": self.ended_at,
        }

    def reject(self, index: int, record: Any, code: str, invalid_fields: list[str]) -> None:
        """Count a record that the import does not take."""
        self.counts[code] += 1
        reject = {
            "statusCode": code,
            "message": _REJECT_MESSAGES[code],
            "recordIndex": index,
            "invalidFields": invalid_fields,
            "fieldValues": record if isinstance(record, dict) else {},
        }
        self.rejects.append(reject)


async def run_sync(sync: Sync, store: Store, seconds: float, first_record_index: int) -> None:
    """Run a sync to its end. It takes `seconds` in addition to its work."""
    definition = sync.definition
    table = store.tables[definition.entity.plural]
    await asyncio.sleep(seconds / 2)
    sync.status, sync.started_at = "active", now()
    await asyncio.sleep(seconds / 2)
    if isinstance(definition, Export):
        status = _export_records(sync, definition, table)
    else:
        status = await _import_staged(sync, definition, table, first_record_index)
    sync.status, sync.ended_at = status, now()


def _export_records(sync: Sync, export: Export, table: Table) -> str:
    """Copy the records that pass the filter into the export. Returns the status of the sync."""
    export.records = [
        {name: _export_value(record, internal) for name, internal in export.fields.items()}
        for record in table.records.values()
        if export.predicate(partial(_export_value, record))
    ]
    sync.counts[_TOTAL] = len(export.records)
    return "success"


def _export_value(record: Mapping[str, Any], name: str) -> str:
    """A value as an export shows it; an absent value is an empty text."""
    time = _TIMES.get(name.partition("_")[2])
    if time is not None:
        return str(record[time])[:23].replace("T", " ")
    return str(record.get(name, ""))


async def _import_staged(
    sync: Sync, definition: Import, table: Table, first_record_index: int
) -> str:
    """Import and clear the staged data. Returns the status of the sync."""
    # Data that a caller stages while this sync runs belongs to the next one.
    staged, definition.staged = definition.staged, []
    is_unreadable, definition.is_unreadable = definition.is_unreadable, False
    if is_unreadable:
        sync.counts[_UNREADABLE] = 1
        return "error"
    sync.counts[_TOTAL] = len(staged)
    importer = _Importer(sync, definition, table)
    for index, record in enumerate(staged, first_record_index):
        importer.import_record(index, record)
        if index % RECORDS_AT_ONCE == 0:
            await asyncio.sleep(0)
    if not sync.rejects:
        return "success"
    sync.counts[_TOTAL_REJECTED] = len(sync.rejects)
    return "warning"


Rejection = tuple[str, list[str]]
"""The status code of a record that the import does not take, and its invalid fields."""


class _Importer:
    """Imports the staged records of a sync, one at a time."""

    def __init__(self, sync: Sync, definition: Import, table: Table) -> None:
        self._sync = sync
        self._entity = definition.entity
        self._fields = definition.fields
        self._may_write = _MAY_UPDATE.get(definition.body["updateRule"], _always)
        self._identifier = definition.identifier
        emails = [name for name, one in self._fields.items() if one.data_type == "emailAddress"]
        self._other_emails = [name for name in emails if name != self._identifier]
        self._table = table
        self._seen: set[str] = set()
        """Identifiers of this import, in lower case."""

    def import_record(self, index: int, record: Any) -> None:
        """Create or update a record, or reject it under its index."""
        rejection = self._rejection(record)
        if rejection is not None:
            self._sync.reject(index, record, *rejection)
            return
        number = self._find(self._identifier, record)
        self._table.put(number, self._values_to_write(number, record))
        is_new = number is None
        self._sync.counts[self._entity.created_code if is_new else self._entity.updated_code] += 1

    def _rejection(self, record: Any) -> Rejection | None:
        if not isinstance(record, dict):
            return "ELQ-00032", []
        if all(map(_is_empty, record.values())):
            return "ELQ-00059", []
        if _is_empty(record.get(self._identifier)):
            return "ELQ-00061", [self._identifier]
        for name, field_ in self._fields.items():
            code = _value_rejection(field_, record.get(name))
            if code is not None:
                return code, [name]
        return self._duplicate_rejection(record)

    def _duplicate_rejection(self, record: Mapping[str, Any]) -> Rejection | None:
        # The first record with an identifier is taken. Oracle does not document which one is.
        identifier = str(record[self._identifier]).lower()
        if identifier in self._seen:
            return "ELQ-00026", [self._identifier]
        for name in self._other_emails:
            # An e-mail address belongs to one contact: it must be the one that this record changes.
            if self._find(name, record) not in {None, self._find(self._identifier, record)}:
                return "ELQ-00011", [name]
        self._seen.add(identifier)
        return None

    def _find(self, name: str, record: Mapping[str, Any]) -> int | None:
        """The number of the record in the table that has the value of a field."""
        return self._table.find(self._fields[name].internal_name, record.get(name))

    def _values_to_write(self, number: int | None, record: Mapping[str, Any]) -> dict[str, Any]:
        """The values that the update rule allows, by internal names."""
        old = self._table.records[number] if number is not None else {}
        # Two names may mean the same field: the later one in the record wins.
        values = {
            self._fields[name].internal_name: value
            for name, value in record.items()
            if name in self._fields
        }
        return {name: new for name, new in values.items() if self._may_write(old.get(name), new)}


def _is_empty(value: Any) -> bool:
    return value in (None, "")


def _always(_old: Any, _new: Any) -> bool:
    return True


_MAY_UPDATE: Mapping[str, Callable[[Any, Any], bool]] = {
    "ifNewIsNotNull": lambda _old, new: not _is_empty(new),
    "ifExistingIsNull": lambda old, _new: not old,
}
"""By update rule: whether a new value replaces an old one. The other rules always do."""


def _value_rejection(field_: Field, value: Any) -> str | None:
    """The status code of a value that its field does not take."""
    if _is_empty(value):
        return None
    if isinstance(value, dict | list):
        return "ELQ-00032"
    is_valid, code = _TYPE_CHECKS.get(field_.data_type, (_is_anything, ""))
    return None if is_valid(value) else code


def _is_anything(_value: Any) -> bool:
    return True


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _is_email(value: Any) -> bool:
    return _EMAIL.fullmatch(str(value)) is not None


_TYPE_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "number": (_is_number, "ELQ-00032"),
    "emailAddress": (_is_email, "ELQ-00002"),
}
"""By data type: whether a value fits it, and the status code of a value that does not."""
