"""The Bulk API 2.0: fields, import definitions, staging, syncs.

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

from openbulk.sandbox.eloqua.definitions import Definition, Export, Invalid, define, define_export
from openbulk.sandbox.eloqua.fields import ENTITIES
from openbulk.sandbox.eloqua.queries import NUMBER, matching, number_in
from openbulk.sandbox.eloqua.store import Store
from openbulk.sandbox.eloqua.syncs import RECORDS_AT_ONCE, Sync, run
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
        self._definitions: dict[str, Definition | Export] = {}
        self._syncs: dict[int, Sync] = {}
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.data_posts = 0
        self.largest_data_post = 0

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The paths below a prefix."""
        imports = f"{prefix}/{{entity:contacts|accounts}}/imports"
        one = f"{imports}/{NUMBER}"
        sync = f"{prefix}/syncs/{NUMBER}"
        return [
            web.get(f"{prefix}/{{entity:contacts|accounts}}/fields", self.list_fields),
            web.post(imports, self.define),
            web.get(one, self.get_definition),
            web.delete(one, self.delete_definition),
            web.post(f"{one}/data", self.stage),
            web.post(f"{prefix}/{{entity:contacts|accounts}}/exports", self.define_export),
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
        entity = ENTITIES[request.match_info["entity"]]
        return _page(
            request, [entity.resource(n, f) for n, f in enumerate(entity.fields.values(), 1)]
        )

    async def define(self, request: web.Request) -> web.Response:
        """Make an import definition."""
        entity = ENTITIES[request.match_info["entity"]]
        definition = define(
            f"/{entity.plural}/imports/{next(self._numbers)}", entity, await _json(request)
        )
        self._definitions[definition.uri] = definition
        return json_response(definition.body, 201)

    async def define_export(self, request: web.Request) -> web.Response:
        """Make an export definition."""
        entity = ENTITIES[request.match_info["entity"]]
        export = define_export(
            f"/{entity.plural}/exports/{next(self._numbers)}", entity, await _json(request)
        )
        self._definitions[export.uri] = export
        return json_response(export.body, 201)

    async def list_exported(self, request: web.Request) -> web.Response:
        """The records that an export's sync has brought out."""
        sync = self._sync(request)
        if not isinstance(sync.definition, Export) or sync.is_running:
            raise Invalid("id", sync.number, "Must be the sync of an export that has ended")
        return _page(request, sync.definition.exported, most=EXPORT_PAGE)

    async def get_definition(self, request: web.Request) -> web.Response:
        """A definition."""
        return json_response(self._definition(request).body)

    async def delete_definition(self, request: web.Request) -> web.Response:
        """Delete a definition and what was staged for it."""
        del self._definitions[self._definition(request).uri]
        return web.Response(status=204)

    async def stage(self, request: web.Request) -> web.Response:
        """Stage records: 204, or 201 with a sync where the definition triggers one."""
        definition = self._definition(request)
        data = await request.read()
        self.data_posts += 1
        self.largest_data_post = max(self.largest_data_post, len(data))
        if len(data) > MAX_STAGING_BYTES:
            raise web.HTTPNotFound  # not 413: Oracle's page of limits promises a 404 Not Found
        is_triggered = definition.body["isSyncTriggeredOnImport"]
        if is_triggered and self._is_active(definition):
            return _conflict()
        if request.content_type == "text/csv":
            names, records = await _csv_records(data)
            definition.is_unreadable |= definition.identifier not in names
        else:
            records = _json_records(data)
        definition.staged += records
        return (
            json_response(self._begin(definition).resource(), 201)
            if is_triggered
            else web.Response(status=204)
        )

    async def start_sync(self, request: web.Request) -> web.Response:
        """Bring what was staged for a definition into the database."""
        body = await _json(request)
        uri, callback_url = body.get("syncedInstanceUri"), body.get("callbackUrl")
        definition = self._definitions.get(str(uri))
        if definition is None:
            raise Invalid("syncedInstanceUri", uri, "Must be a reference to an existing object")
        if self._is_active(definition):
            return _conflict()
        return json_response(self._begin(definition, callback_url).resource(), 201)

    async def get_sync(self, request: web.Request) -> web.Response:
        """How a sync stands."""
        return json_response(self._sync(request).resource())

    async def list_logs(self, request: web.Request) -> web.Response:
        """What a sync did, by status code."""
        return _page(request, self._sync(request).logs())

    async def list_rejects(self, request: web.Request) -> web.Response:
        """The records that a sync did not take."""
        return _page(request, self._sync(request).rejects)

    def syncs(self) -> Sequence[Sync]:
        """All syncs."""
        return list(self._syncs.values())

    def _definition(self, request: web.Request) -> Definition:
        uri = f"/{request.match_info['entity']}/imports/{request.match_info['number']}"
        found = self._definitions.get(uri)
        if not isinstance(found, Definition):
            raise web.HTTPNotFound
        return found

    def _sync(self, request: web.Request) -> Sync:
        number = int(request.match_info["number"])
        if number not in self._syncs:
            raise web.HTTPNotFound
        return self._syncs[number]

    def _is_active(self, definition: Definition | Export) -> bool:
        return any(
            sync.is_running for sync in self._syncs.values() if sync.definition is definition
        )

    def _begin(self, definition: Definition | Export, callback_url: str | None = None) -> Sync:
        sync = Sync(next(self._numbers), definition, callback_url)
        self._syncs[sync.number] = sync
        task = asyncio.create_task(
            run(sync, self._store, self._sync_seconds, self._first_record_index)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return sync


def _conflict() -> web.Response:
    return json_response("There was a conflict.", 409)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Invalid("body", None, "Must be JSON") from error
    if not isinstance(body, dict):
        raise Invalid("body", None, "Must be an object")
    return body


def _json_records(data: bytes) -> list[Any]:
    try:
        records = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Invalid("data", None, "Must be a JSON array") from error
    if not isinstance(records, list):
        raise Invalid("data", None, "Must be a JSON array")
    return records


async def _csv_records(data: bytes) -> tuple[Sequence[str], list[Any]]:
    """The names in the first line, and records by them; None for a line with more values than names."""
    records: list[Any] = []
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        for row in reader:
            records.append(None if None in row else row)
            if len(records) % RECORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return reader.fieldnames or (), records
    except (UnicodeDecodeError, csv.Error) as error:
        raise Invalid("data", None, "Must be CSV in UTF-8") from error


def _page(
    request: web.Request, items: Sequence[Mapping[str, Any]], most: int = PAGE
) -> web.Response:
    """A page by `limit` (1000 unless it is said) and `offset` of the items that meet `q`."""
    items = matching(items, request.query.get("q", ""))
    limit = min(most, max(1, number_in(request.query, "limit", PAGE)))
    offset = number_in(request.query, "offset", 0)
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
