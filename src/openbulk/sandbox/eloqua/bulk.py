"""The Bulk API 2.0: fields, import definitions, staging, syncs.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/BulkAPI/Tutorials/import.htm
https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/GettingStarted/APIRequests/eloqua-status-codes.htm
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.eloqua.fields import ENTITIES, Entity, Field
from openbulk.sandbox.eloqua.paging import number_in
from openbulk.sandbox.eloqua.store import Store, Table, now
from openbulk.sandbox.traffic import json_response

MAX_FIELDS = 100
MAX_STAGING_BYTES = 32 * 1024 * 1024
PAGE = 1000
RECORDS_AT_ONCE = 2_000
_EMAIL = re.compile(r"[^@\s,;()<>]+@[^@\s,;()<>]+\.[^@\s,;()<>.]+")
_UPDATE_RULES = ("always", "ifNewIsNotNull", "ifExistingIsNull", "useFieldRule")
_LOG_MESSAGES = {
    "ELQ-00001": "Total records processed.",
    "ELQ-00004": "Contacts created.",
    "ELQ-00005": "Accounts created.",
    "ELQ-00022": "Contacts updated.",
    "ELQ-00023": "Accounts updated.",
    "ELQ-00060": "Total rejected records.",
    "ELQ-00101": "Sync processed, resulting in status.",
}
_REJECT_MESSAGES = {
    "ELQ-00002": "Invalid email address.",
    "ELQ-00026": "Duplicate identifier.",
    "ELQ-00032": "Malformed record.",
    "ELQ-00059": "Empty record.",
    "ELQ-00061": "Missing identifier field.",
}


class Invalid(Exception):
    """A request that Eloqua would refuse with 400 and a list of failures."""

    def __init__(self, field: str, value: Any, constraint: str) -> None:
        super().__init__(constraint)
        self.failure = {"field": field, "value": value, "constraint": constraint}

    def answer(self) -> web.Response:
        """The answer that says so."""
        return json_response({"failures": [self.failure]}, 400)


@dataclass
class Definition:
    """An import definition, and what was staged for it."""

    uri: str
    entity: Entity
    body: dict[str, Any]
    fields: Mapping[str, Field]
    staged: list[dict[str, Any]] = field(default_factory=list)

    @property
    def identifier(self) -> str:
        """The name, among the definition's own, of the field that tells records apart."""
        return str(self.body["identifierFieldName"])


@dataclass
class Sync:
    """A sync of a definition."""

    number: int
    definition: Definition
    status: str = "pending"
    rejects: list[dict[str, Any]] = field(default_factory=list)
    counts: "Counter[str]" = field(default_factory=Counter)

    def resource(self) -> dict[str, Any]:
        """The sync as the API shows it."""
        return {
            "uri": f"/syncs/{self.number}",
            "syncedInstanceUri": self.definition.uri,
            "status": self.status,
            "createdAt": now(),
            "createdBy": "API.User",
        }

    def logs(self) -> list[dict[str, Any]]:
        """What happened, by status code."""
        severity = {"ELQ-00060": "warning"}
        return [
            {
                "syncUri": f"/syncs/{self.number}",
                "count": number,
                "severity": severity.get(code, "information"),
                "statusCode": code,
                "message": _LOG_MESSAGES[code],
                "createdAt": now(),
            }
            for code, number in self.counts.items()
        ]


class Bulk:
    """Handles `/api/bulk/2.0/...`."""

    def __init__(self, store: Store, *, sync_ms: int, first_record_index: int) -> None:
        self._store = store
        self._sync_seconds = sync_ms / 1000
        self._first_record_index = first_record_index
        self._definitions: dict[str, Definition] = {}
        self._syncs: dict[int, Sync] = {}
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.data_posts = 0
        self.largest_data_post = 0

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The paths below a prefix."""
        imports = f"{prefix}/{{entity:contacts|accounts}}/imports"
        return [
            web.get(f"{prefix}/{{entity:contacts|accounts}}/fields", self.list_fields),
            web.post(imports, self.define),
            web.get(f"{imports}/{{number}}", self.get_definition),
            web.delete(f"{imports}/{{number}}", self.delete_definition),
            web.post(f"{imports}/{{number}}/data", self.stage),
            web.post(f"{prefix}/syncs", self.start_sync),
            web.get(f"{prefix}/syncs/{{number}}", self.get_sync),
            web.get(f"{prefix}/syncs/{{number}}/logs", self.list_logs),
            web.get(f"{prefix}/syncs/{{number}}/rejects", self.list_rejects),
        ]

    async def list_fields(self, request: web.Request) -> web.Response:
        """The fields of an entity."""
        entity = ENTITIES[request.match_info["entity"]]
        return _page(request, [entity.resource(n, f) for n, f in enumerate(entity.fields.values(), 1)])

    async def define(self, request: web.Request) -> web.Response:
        """Make an import definition."""
        entity = ENTITIES[request.match_info["entity"]]
        body = await _json(request)
        fields = _checked_fields(entity, body)
        uri = f"/{entity.plural}/imports/{next(self._numbers)}"
        body = {"updateRule": "always", "isSyncTriggeredOnImport": True, **body, "uri": uri, "createdAt": now()}
        self._definitions[uri] = Definition(uri, entity, body, fields)
        return json_response(body, 201)

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
            return json_response("The request is larger than 32 MB.", 413)
        try:
            records = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise Invalid("data", None, "Must be a JSON array") from error
        if not isinstance(records, list):
            raise Invalid("data", None, "Must be a JSON array")
        definition.staged += records
        if definition.body["isSyncTriggeredOnImport"]:
            return json_response(self._begin(definition).resource(), 201)
        return web.Response(status=204)

    async def start_sync(self, request: web.Request) -> web.Response:
        """Bring what was staged for a definition into the database."""
        uri = (await _json(request)).get("syncedInstanceUri")
        definition = self._definitions.get(str(uri))
        if definition is None:
            raise Invalid("syncedInstanceUri", uri, "Must be a reference to an existing object")
        if any(s.definition is definition and s.status in {"pending", "active"} for s in self._syncs.values()):
            return json_response("There was a conflict: a sync of this definition is active.", 409)
        return json_response(self._begin(definition).resource(), 201)

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
        if uri not in self._definitions:
            raise web.HTTPNotFound
        return self._definitions[uri]

    def _sync(self, request: web.Request) -> Sync:
        number = request.match_info["number"]
        if not number.isdecimal() or int(number) not in self._syncs:
            raise web.HTTPNotFound
        return self._syncs[int(number)]

    def _begin(self, definition: Definition) -> Sync:
        sync = Sync(next(self._numbers), definition)
        self._syncs[sync.number] = sync
        task = asyncio.create_task(self._run(sync))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return sync

    async def _run(self, sync: Sync) -> None:
        await asyncio.sleep(self._sync_seconds / 2)
        sync.status = "active"
        await asyncio.sleep(self._sync_seconds / 2)
        staged, sync.definition.staged = sync.definition.staged, []
        seen: set[str] = set()
        for index, record in enumerate(staged, self._first_record_index):
            self._import(sync, index, record, seen)
            if index % RECORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
        sync.counts["ELQ-00001"] = len(staged)
        if sync.rejects:
            sync.counts["ELQ-00060"] = len(sync.rejects)
        sync.status = "warning" if sync.rejects else "success"

    def _import(self, sync: Sync, index: int, record: Any, seen: set[str]) -> None:
        definition = sync.definition
        code, invalid = _fault(definition, record, seen)
        if code is not None:
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
        table = self._store.tables[definition.entity.plural]
        name = definition.fields[definition.identifier].internal_name
        number = table.find(name, str(record[definition.identifier]))
        _put(table, number, definition, record)
        if number is None:
            self._store.note_created(table, max(table.records))
        sync.counts[definition.entity.created_code if number is None else definition.entity.updated_code] += 1


def _put(table: Table, number: int | None, definition: Definition, record: Mapping[str, Any]) -> None:
    values = {definition.fields[n].internal_name: v for n, v in record.items() if n in definition.fields}
    old = table.records.get(number, {}) if number is not None else {}
    match definition.body["updateRule"]:
        case "ifNewIsNotNull":
            values = {name: value for name, value in values.items() if value not in (None, "")}
        case "ifExistingIsNull":
            values = {name: value for name, value in values.items() if not old.get(name)}
    table.put(number, values)


def _fault(definition: Definition, record: Any, seen: set[str]) -> tuple[str | None, list[str]]:
    """The status code of a record that is not taken, and its invalid fields."""
    if not isinstance(record, dict):
        return "ELQ-00032", []
    if not any(value not in (None, "") for value in record.values()):
        return "ELQ-00059", []
    name = definition.identifier
    value = record.get(name)
    if value in (None, ""):
        return "ELQ-00061", [name]
    if definition.fields[name].internal_name == "C_EmailAddress" and not _EMAIL.fullmatch(str(value)):
        return "ELQ-00002", [name]
    for other, field_ in definition.fields.items():
        if field_.data_type == "number" and not _is_number(record.get(other)):
            return "ELQ-00032", [other]
    if str(value).lower() in seen:
        return "ELQ-00026", [name]
    seen.add(str(value).lower())
    return None, []


def _is_number(value: Any) -> bool:
    try:
        float(value or 0)
    except (TypeError, ValueError):
        return False
    return True


def _checked_fields(entity: Entity, body: Mapping[str, Any]) -> dict[str, Field]:
    """The definition's fields, by the definition's own names. Raises Invalid."""
    if not body.get("name"):
        raise Invalid("name", body.get("name"), "Must not be an empty string")
    asked = body.get("fields")
    if not isinstance(asked, dict) or not 1 <= len(asked) <= MAX_FIELDS:
        raise Invalid("fields", None, f"Must have between 1 and {MAX_FIELDS} fields")
    known = entity.by_statement()
    for name, statement in asked.items():
        if statement not in known:
            raise Invalid(f"fields.{name}", statement, "Must be a reference to an existing field")
        if known[statement].is_read_only:
            raise Invalid(f"fields.{name}", statement, "Must not be a read-only field")
    if body.get("identifierFieldName") not in asked:
        raise Invalid("identifierFieldName", body.get("identifierFieldName"), "Must be one of the import fields")
    if body.get("updateRule", "always") not in _UPDATE_RULES:
        raise Invalid("updateRule", body["updateRule"], f"Must be one of {', '.join(_UPDATE_RULES)}")
    return {name: known[statement] for name, statement in asked.items()}


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Invalid("body", None, "Must be JSON") from error
    if not isinstance(body, dict):
        raise Invalid("body", None, "Must be an object")
    return body


def _page(request: web.Request, items: Sequence[Any]) -> web.Response:
    """A page by `limit` (1 to 1000) and `offset`."""
    limit = min(PAGE, max(1, number_in(request.query, "limit", PAGE)))
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
