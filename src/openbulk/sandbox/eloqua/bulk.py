"""The Bulk API 2.0: fields, import and export definitions, staging, syncs.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Tutorials/import.htm
https://docs.oracle.com/cloud/latest/marketingcs_gs/OMCAB/Developers/BulkAPI/Reference/bulk-limits.htm
"""

import asyncio
import csv
import io
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.eloqua.definitions import (
    Export,
    Import,
    Invalid,
    define_export,
    define_import,
)
from openbulk.sandbox.eloqua.fields import ENTITIES, Entity
from openbulk.sandbox.eloqua.queries import NUMBER, search, whole_number
from openbulk.sandbox.eloqua.store import Store
from openbulk.sandbox.eloqua.syncs import RECORDS_AT_ONCE, Sync, run_sync
from openbulk.sandbox.traffic import json_response

MAX_STAGING_BYTES = 32 * 1024 * 1024
PAGE = 1000
EXPORT_PAGE = 50_000


class Bulk:
    """Handles `/api/bulk/2.0/...`."""

    def __init__(self, store: Store, *, sync_ms: int, first_record_index: int) -> None:
        self._store = store
        self._sync_seconds = sync_ms / 1000
        self._first_record_index = first_record_index
        self._definitions: dict[str, Import | Export] = {}
        self._syncs: dict[int, Sync] = {}
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.data_posts = 0
        self.largest_data_post = 0

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes below a prefix."""
        entity = f"{prefix}/{{entity:contacts|accounts}}"
        definition = f"{entity}/imports/{NUMBER}"
        sync = f"{prefix}/syncs/{NUMBER}"
        return [
            web.get(f"{entity}/fields", self.list_fields),
            web.post(f"{entity}/imports", self.create_import),
            web.get(definition, self.get_import),
            web.delete(definition, self.delete_import),
            web.post(f"{definition}/data", self.stage),
            web.post(f"{entity}/exports", self.create_export),
            web.get(f"{sync}/data", self.list_exported),
            web.post(f"{prefix}/syncs", self.start_sync),
            web.get(sync, self.get_sync),
            web.get(f"{sync}/logs", self.list_logs),
            web.get(f"{sync}/rejects", self.list_rejects),
        ]

    async def reset(self) -> None:
        """Stop all syncs, and forget definitions, staged data and counts."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._definitions.clear()
        self._syncs.clear()
        self.data_posts = self.largest_data_post = 0

    async def list_fields(self, request: web.Request) -> web.Response:
        """The fields of an entity."""
        entity = _entity(request)
        fields = [entity.resource(n, field) for n, field in enumerate(entity.fields.values(), 1)]
        return _page_by_limit(request, fields)

    async def create_import(self, request: web.Request) -> web.Response:
        """Make an import definition."""
        entity = _entity(request)
        uri = f"/{entity.plural}/imports/{next(self._numbers)}"
        self._definitions[uri] = definition = define_import(uri, entity, await _read_json(request))
        return json_response(definition.body, 201)

    async def create_export(self, request: web.Request) -> web.Response:
        """Make an export definition."""
        entity = _entity(request)
        uri = f"/{entity.plural}/exports/{next(self._numbers)}"
        self._definitions[uri] = export = define_export(uri, entity, await _read_json(request))
        return json_response(export.body, 201)

    async def list_exported(self, request: web.Request) -> web.Response:
        """The records of an export's sync."""
        sync = self._sync(request)
        if not isinstance(sync.definition, Export) or sync.is_running:
            raise Invalid("id", sync.number, "Must be the sync of an export that has ended")
        return _page_by_limit(request, sync.definition.records, max_items=EXPORT_PAGE)

    async def get_import(self, request: web.Request) -> web.Response:
        """An import definition."""
        return json_response(self._import(request).body)

    async def delete_import(self, request: web.Request) -> web.Response:
        """Delete an import definition and its staged data."""
        del self._definitions[self._import(request).uri]
        return web.Response(status=204)

    async def stage(self, request: web.Request) -> web.Response:
        """Stage records: 204, or 201 with a sync if the definition triggers one."""
        definition = self._import(request)
        data = await request.read()
        self.data_posts += 1
        self.largest_data_post = max(self.largest_data_post, len(data))
        if len(data) > MAX_STAGING_BYTES:
            # Not 413: Oracle's page of limits documents 404 Not Found.
            raise web.HTTPNotFound
        is_triggered = definition.body["isSyncTriggeredOnImport"]
        if is_triggered and self._is_active(definition):
            return _conflict()
        if request.content_type == "text/csv":
            names, records = await _read_csv_records(data)
            definition.is_unreadable |= definition.identifier not in names
        else:
            records = _read_json_records(data)
        definition.staged += records
        if is_triggered:
            return json_response(self._begin(definition).resource(), 201)
        return web.Response(status=204)

    async def start_sync(self, request: web.Request) -> web.Response:
        """Start the sync of a definition."""
        body = await _read_json(request)
        uri, callback_url = body.get("syncedInstanceUri"), body.get("callbackUrl")
        definition = self._definitions.get(str(uri))
        if definition is None:
            raise Invalid("syncedInstanceUri", uri, "Must be a reference to an existing object")
        if self._is_active(definition):
            return _conflict()
        return json_response(self._begin(definition, callback_url).resource(), 201)

    async def get_sync(self, request: web.Request) -> web.Response:
        """The state of a sync."""
        return json_response(self._sync(request).resource())

    async def list_logs(self, request: web.Request) -> web.Response:
        """The log of a sync, by status code."""
        return _page_by_limit(request, self._sync(request).logs())

    async def list_rejects(self, request: web.Request) -> web.Response:
        """The records that a sync rejected."""
        return _page_by_limit(request, self._sync(request).rejects)

    def syncs(self) -> Sequence[Sync]:
        """All syncs."""
        return list(self._syncs.values())

    def _import(self, request: web.Request) -> Import:
        uri = f"/{request.match_info['entity']}/imports/{request.match_info['number']}"
        definition = self._definitions.get(uri)
        if not isinstance(definition, Import):
            raise web.HTTPNotFound
        return definition

    def _sync(self, request: web.Request) -> Sync:
        number = int(request.match_info["number"])
        if number not in self._syncs:
            raise web.HTTPNotFound
        return self._syncs[number]

    def _is_active(self, definition: Import | Export) -> bool:
        of_definition = [sync for sync in self._syncs.values() if sync.definition is definition]
        return any(sync.is_running for sync in of_definition)

    def _begin(self, definition: Import | Export, callback_url: str | None = None) -> Sync:
        sync = Sync(next(self._numbers), definition, callback_url)
        self._syncs[sync.number] = sync
        work = run_sync(sync, self._store, self._sync_seconds, self._first_record_index)
        task = asyncio.create_task(work)
        # The event loop holds only weak references to tasks: without the set, a running sync could
        # be garbage-collected.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return sync


def _entity(request: web.Request) -> Entity:
    return ENTITIES[request.match_info["entity"]]


def _conflict() -> web.Response:
    return json_response("There was a conflict.", 409)


async def _read_json(request: web.Request) -> dict[str, Any]:
    body = _decode_json(await request.read(), "body", "Must be JSON")
    if not isinstance(body, dict):
        raise Invalid("body", None, "Must be an object")
    return body


def _read_json_records(data: bytes) -> list[Any]:
    records = _decode_json(data, "data", "Must be a JSON array")
    if not isinstance(records, list):
        raise Invalid("data", None, "Must be a JSON array")
    return records


def _decode_json(data: bytes, field: str, constraint: str) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Invalid(field, None, constraint) from error


async def _read_csv_records(data: bytes) -> tuple[Sequence[str], list[Any]]:
    """The names in the first line, and the records by name.

    A line with more values than names becomes None, which the sync rejects as malformed.
    """
    records: list[Any] = []
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        for row in reader:
            # DictReader puts the values without a name under the key None.
            records.append(None if None in row else row)
            if len(records) % RECORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
    except (UnicodeDecodeError, csv.Error) as error:
        raise Invalid("data", None, "Must be CSV in UTF-8") from error
    return reader.fieldnames or (), records


def _page_by_limit(
    request: web.Request, items: Sequence[Mapping[str, Any]], max_items: int = PAGE
) -> web.Response:
    """A page of the items that meet `q`, by `limit` (default 1000) and `offset`."""
    items = search(items, request.query.get("q", ""))
    limit = min(max_items, max(1, whole_number(request.query, "limit", PAGE)))
    offset = whole_number(request.query, "offset", 0)
    page = items[offset : offset + limit]
    return json_response(
        {
            "items": page,
            "totalResults": len(items),
            "limit": limit,
            "offset": offset,
            "count": len(page),
            "hasMore": offset + len(page) < len(items),
        }
    )
