"""The REST API: campaigns and lists to read and write, contacts, accounts and activities to read.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/rest-endpoints.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.eloqua.paging import number_in
from openbulk.sandbox.eloqua.store import Store
from openbulk.sandbox.traffic import json_response

DEFAULT_COUNT = 1000


class Rest:
    """Handles `/api/rest/{version}/...`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The paths below a prefix."""
        routes = [
            web.get(f"{prefix}/data/{{entity:contacts|accounts}}", self.list_records),
            web.get(f"{prefix}/data/{{entity:contact|account}}/{{number}}", self.get_record),
            web.get(f"{prefix}/data/activities/contact/{{number}}", self.list_activities),
        ]
        for path in ("campaign", "contact/list"):
            routes += [
                web.get(f"{prefix}/assets/{path}s", self.list_assets),
                web.post(f"{prefix}/assets/{path}", self.create_asset),
                web.get(f"{prefix}/assets/{path}/{{number}}", self.get_asset),
                web.put(f"{prefix}/assets/{path}/{{number}}", self.update_asset),
                web.delete(f"{prefix}/assets/{path}/{{number}}", self.delete_asset),
            ]
        return routes

    async def list_records(self, request: web.Request) -> web.Response:
        """Contacts or accounts."""
        records = self._store.tables[request.match_info["entity"]].records
        return _page(request, list(records.values()))

    async def get_record(self, request: web.Request) -> web.Response:
        """One contact or account."""
        return json_response(_one(self._store.tables[f"{request.match_info['entity']}s"].records, request))

    async def list_activities(self, request: web.Request) -> web.Response:
        """What a contact did."""
        number = request.match_info["number"]
        return json_response(self._store.activities.get(int(number), []) if number.isdecimal() else [])

    async def list_assets(self, request: web.Request) -> web.Response:
        """Campaigns or lists."""
        return _page(request, list(self._assets(request).values()))

    async def create_asset(self, request: web.Request) -> web.Response:
        """A new campaign or list."""
        named = await _named(request)
        number = next(self._store.asset_numbers)
        body = {**named, "id": str(number), "type": _type(request)}
        self._assets(request)[number] = body
        return json_response(body, 201)

    async def get_asset(self, request: web.Request) -> web.Response:
        """One campaign or list."""
        return json_response(_one(self._assets(request), request))

    async def update_asset(self, request: web.Request) -> web.Response:
        """Change a campaign or list."""
        asset = _one(self._assets(request), request)
        asset |= {**await _named(request), "id": asset["id"], "type": asset["type"]}
        return json_response(asset)

    async def delete_asset(self, request: web.Request) -> web.Response:
        """Delete a campaign or list."""
        _one(self._assets(request), request)
        del self._assets(request)[int(request.match_info["number"])]
        return web.Response(status=200)

    def _assets(self, request: web.Request) -> dict[int, dict[str, Any]]:
        return self._store.assets["campaigns" if _type(request) == "Campaign" else "lists"]


def _type(request: web.Request) -> str:
    return "Campaign" if "/assets/campaign" in request.path else "ContactList"


def _one(records: Mapping[int, dict[str, Any]], request: web.Request) -> dict[str, Any]:
    number = request.match_info["number"]
    if not number.isdecimal() or int(number) not in records:
        raise web.HTTPNotFound
    return records[int(number)]


async def _named(request: web.Request) -> dict[str, Any]:
    """A body with a name. Answers 400 as Eloqua does where it has none."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or not body.get("name"):
        failure = {
            "type": "ObjectValidationError",
            "property": "name",
            "requirement": {"type": "NonEmptyTextRequirement"},
            "value": "",
        }
        raise web.HTTPBadRequest(text=orjson.dumps([failure]).decode(), content_type="application/json")
    return body


def _page(request: web.Request, elements: Sequence[Any]) -> web.Response:
    """A page by `count` (1 to 1000) and `page` (from 1)."""
    size = min(DEFAULT_COUNT, max(1, number_in(request.query, "count", DEFAULT_COUNT)))
    number = max(1, number_in(request.query, "page", 1))
    begin = (number - 1) * size
    return json_response(
        {"elements": elements[begin : begin + size], "page": number, "pageSize": size, "total": len(elements)}
    )
