"""The contacts or accounts that the rows of a job mean, as Eloqua holds them.

Those of few rows are found by filters of the bulk export. For many, all records are exported once.
They are kept in a temporary SQLite database, which goes to disk as it grows
(https://sqlite.org/inmemorydb.html).
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from openbulk.connectors.eloqua.bulk import Entity, same_name
from openbulk.connectors.eloqua.exports import (
    ID,
    MAX_PAGE,
    begin_export,
    filters_of,
    read_export,
)
from openbulk.connectors.eloqua.fields import Field, Fields
from openbulk.connectors.eloqua.rest import count_records
from openbulk.connectors.eloqua.service import Service
from openbulk.domain.errors import RetryLater, ServiceError
from openbulk.domain.query import PageRequest, Query

_SCHEMA = """
CREATE TABLE records (name TEXT, id TEXT, record BLOB, PRIMARY KEY (name, id)) WITHOUT ROWID;
CREATE TABLE planned (name TEXT PRIMARY KEY, changes BLOB) WITHOUT ROWID;
"""
_PUT = "INSERT OR REPLACE INTO records VALUES (?, ?, ?)"
_FIND = "SELECT record FROM records WHERE name = ? ORDER BY id"
_PUT_PLANNED = "INSERT OR REPLACE INTO planned VALUES (?, ?)"
_FIND_PLANNED = "SELECT changes FROM planned WHERE name = ?"
CALLS_OF_EXPORT = 4
"""A definition, a sync, its status, and a page."""
FEW_FILTERS = 10
"""So many exports are made without a look at how many records Eloqua has."""
MAX_FILTERS = 500
"""Eloqua takes 2,000 exports an hour (Reference/bulk-limits.htm)."""
WAIT_SECONDS = 10.0
"""An export that takes longer is read by a later slice."""
FIRST_PAUSE, MAX_PAUSE = 0.05, 2.0
LATER_SECONDS = 15.0
MAX_AGE_SECONDS = 900.0
"""An export that was begun before shows what Eloqua held then, and is not read any more."""

HeldRecord = Mapping[str, Any]
"""Internal names of fields to values, with `id`. Fields without a value are absent."""


class Exports:
    """The exports of one kind of record that Eloqua is preparing, for all jobs of an instance."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, ...], tuple[str, float]] = {}

    def find(self, key: tuple[str, ...]) -> str | None:
        """The sync of an export that was begun a moment ago; None if there is none."""
        sync, begun_at = self._begun.get(key, ("", 0.0))
        return sync if sync and time.monotonic() - begun_at < MAX_AGE_SECONDS else None

    def note_begun(self, key: tuple[str, ...], sync: str) -> None:
        """Note the sync of an export with this filter and these fields."""
        self._begun[key] = sync, time.monotonic()

    def drop(self, key: tuple[str, ...]) -> None:
        """Forget an export that was read, or that Eloqua does not prepare."""
        self._begun.pop(key, None)


class HeldRecords:
    """What Eloqua holds for the rows of one job, with what earlier rows of it would change."""

    def __init__(self, service: Service, entity: Entity, exports: Exports) -> None:
        self.lock = asyncio.Lock()
        """Held while rows are planned, one batch after another."""
        self._service = service
        self._entity = entity
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._exported: Collection[str] = ()
        """The fields of all records that are known; empty if only some records are."""
        self._exports = exports

    def of(self, name: str) -> Sequence[HeldRecord]:
        """The records with an identifier, as earlier rows would leave them."""
        changes = self._planned_changes(name)
        found = [orjson.loads(one) for (one,) in self._database.execute(_FIND, (name,))]
        if changes is None:
            return found
        return [{**one, **changes} for one in found] or [changes]

    def is_planned(self, name: str) -> bool:
        """Whether an earlier row would change or make the record."""
        return self._planned_changes(name) is not None

    def _planned_changes(self, name: str) -> dict[str, Any] | None:
        row = self._database.execute(_FIND_PLANNED, (name,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def note_planned(self, name: str, changes: Mapping[str, Any]) -> None:
        """Note what a row would change."""
        texts = {field: None if value is None else str(value) for field, value in changes.items()}
        merged = {**(self._planned_changes(name) or {}), **texts}
        self._database.execute(_PUT_PLANNED, (name, orjson.dumps(merged)))

    async def load(
        self,
        fields: Fields,
        identifier: Field,
        values: Sequence[str],
        wanted: Iterable[str],
        records_of_job: int,
    ) -> None:
        """Learn what Eloqua holds for rows with these identifiers: `wanted` fields of it.

        Raises RetryLater while Eloqua is preparing an export.
        """
        names = sorted({*wanted, identifier.name})
        if self._exported and set(names) <= set(self._exported):
            return
        filters = filters_of(identifier, dict.fromkeys(values))
        batches = max(1, math.ceil(records_of_job / len(values)))
        if filters is None or await self._is_whole_cheaper(len(filters) * batches):
            names = sorted({*names, *self._exported})
            await self._load(fields, identifier, names, "")
            self._exported = names
            return
        for filter_text in filters:
            await self._load(fields, identifier, names, filter_text)

    async def _is_whole_cheaper(self, filters: int) -> bool:
        """Whether one export of all records takes fewer calls than so many exports of some."""
        if filters <= FEW_FILTERS or filters > MAX_FILTERS:
            return filters > MAX_FILTERS
        records = await count_records(self._service, self._entity.object)
        return CALLS_OF_EXPORT + records // MAX_PAGE < filters * CALLS_OF_EXPORT

    async def _load(
        self, fields: Fields, identifier: Field, names: Sequence[str], filter_text: str
    ) -> None:
        key = (filter_text, *names)
        sync = self._exports.find(key)
        if sync is None:
            sync = await begin_export(self._service, self._entity, fields, names, filter_text)
            self._exports.note_begun(key, sync)
        try:
            await self._read(fields, identifier, sync)
        except RetryLater:  # the next slice reads it
            raise
        except ServiceError:
            self._exports.drop(key)
            raise
        self._exports.drop(key)

    async def _read(self, fields: Fields, identifier: Field, sync: str) -> None:
        """Keep the records of an export. Raises RetryLater if Eloqua has not prepared it."""
        query, request = Query(self._entity.object), PageRequest(after=sync, size=MAX_PAGE)
        pause, deadline = FIRST_PAUSE, time.monotonic() + WAIT_SECONDS
        async for page in read_export(self._service, self._entity, fields, query, request):
            self._keep(identifier, page.records)
            if page.next == sync:  # Eloqua is still preparing the export
                if time.monotonic() > deadline:
                    reason = "Eloqua is preparing the records that the plan is compared with"
                    raise RetryLater(reason, after=LATER_SECONDS)
                await asyncio.sleep(pause)
                pause = min(MAX_PAUSE, pause * 1.5)

    def _keep(self, identifier: Field, records: Sequence[HeldRecord]) -> None:
        rows = [
            (same_name(one.get(identifier.name, "")), str(one.get(ID, "")), orjson.dumps(one))
            for one in records
        ]
        self._database.execute("BEGIN")
        self._database.executemany(_PUT, rows)
        self._database.execute("COMMIT")
