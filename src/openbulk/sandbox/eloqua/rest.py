"""The REST API: campaigns and lists to read and write; contacts, accounts and activities to read.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/rest-endpoints.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.eloqua.queries import NUMBER, search, whole_number
from openbulk.sandbox.eloqua.store import Store, now
from openbulk.sandbox.traffic import json_response

DEFAULT_COUNT = 1000
_MINIMAL = ("type", "id", "createdAt", "depth", "name", "updatedAt")
"""The properties of an element in a list, unless a caller sets `depth`."""
_ACTIVITY_TYPE = "emailSend"
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Campaign": {"currentStatus": "Draft", "isReadOnly": "false"},
    "ContactList": {"scope": "global", "count": "0"},
}
"""The properties that Eloqua sets in a new asset, by its type. Its booleans are texts."""
_COLLECTIONS: Mapping[str, str] = {"Campaign": "campaigns", "ContactList": "lists"}


class Rest:
    """Handles `/api/rest/{version}/...`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes below a prefix."""
        return [
            web.get(f"{prefix}/data/{{entity:contacts|accounts}}", self.list_records),
            web.get(f"{prefix}/data/{{entity:contact|account}}/{NUMBER}", self.get_record),
            web.get(f"{prefix}/data/activities/contact/{NUMBER}", self.list_activities),
            *self._asset_routes(f"{prefix}/assets/campaign"),
            *self._asset_routes(f"{prefix}/assets/contact/list"),
        ]

    def _asset_routes(self, path: str) -> list[web.RouteDef]:
        return [
            web.get(f"{path}s", self.list_assets),
            web.post(path, self.create_asset),
            web.get(f"{path}/{NUMBER}", self.get_asset),
            web.put(f"{path}/{NUMBER}", self.update_asset),
            web.delete(f"{path}/{NUMBER}", self.delete_asset),
        ]

    async def list_records(self, request: web.Request) -> web.Response:
        """Contacts or accounts."""
        records = self._store.tables[request.match_info["entity"]].records
        return _page_by_number(request, list(records.values()))

    async def get_record(self, request: web.Request) -> web.Response:
        """One contact or account."""
        table = self._store.tables[f"{request.match_info['entity']}s"]
        return json_response(_requested_one(table.records, request))

    async def list_activities(self, request: web.Request) -> web.Response:
        """The activities of a contact: here, one e-mail when it was created."""
        contact = _requested_one(self._store.tables["contacts"].records, request)
        if request.query.get("type", _ACTIVITY_TYPE) != _ACTIVITY_TYPE:
            return json_response([])
        return json_response([_welcome_activity(contact)])

    async def list_assets(self, request: web.Request) -> web.Response:
        """Campaigns or lists."""
        assets = list(self._assets(request).values())
        if request.query.get("depth") in {"partial", "complete"}:
            return _page_by_number(request, assets)
        return _page_by_number(request, [_minimal_asset(asset) for asset in assets])

    async def create_asset(self, request: web.Request) -> web.Response:
        """A new campaign or list."""
        kind = _asset_type(request)
        body = await _read_body(request, "")
        number = next(self._store.asset_numbers)
        created_at = _unix_seconds(now())
        asset = {
            **_DEFAULTS[kind],
            **body,
            "type": kind,
            "id": str(number),
            "createdAt": created_at,
            "createdBy": "1",
            "depth": "complete",
            "updatedAt": created_at,
            "updatedBy": "1",
        }
        self._assets(request)[number] = asset
        return json_response(asset, 201)

    async def get_asset(self, request: web.Request) -> web.Response:
        """One campaign or list."""
        return json_response(_requested_one(self._assets(request), request))

    async def update_asset(self, request: web.Request) -> web.Response:
        """Change a campaign or list."""
        asset = _requested_one(self._assets(request), request)
        fixed = {name: asset[name] for name in ("type", "id", "createdAt", "createdBy", "depth")}
        body = await _read_body(request, asset["id"])
        asset |= {**body, **fixed, "updatedAt": _unix_seconds(now())}
        return json_response(asset)

    async def delete_asset(self, request: web.Request) -> web.Response:
        """Delete a campaign or list."""
        asset = _requested_one(self._assets(request), request)
        del self._assets(request)[int(asset["id"])]
        return web.Response(status=200)

    def _assets(self, request: web.Request) -> dict[int, dict[str, Any]]:
        return self._store.assets[_COLLECTIONS[_asset_type(request)]]


def _asset_type(request: web.Request) -> str:
    return "Campaign" if "/assets/campaign" in request.path else "ContactList"


def _requested_one(records: Mapping[int, dict[str, Any]], request: web.Request) -> dict[str, Any]:
    number = int(request.match_info["number"])
    if number not in records:
        raise web.HTTPNotFound
    return records[number]


async def _read_body(request: web.Request, asset_id: str) -> dict[str, Any]:
    """A body with a name. Raises HTTPBadRequest with Eloqua's answer if it has none.

    https://docs.oracle.com/cloud/latest/marketingcs_gs/OMCAC/APIRequests_HTTPValidationErrors.html
    """
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("name"), str) and body["name"].strip():
        return body
    failure = {
        "type": "ObjectValidationError",
        "container": {
            "type": "ObjectKey",
            "objectType": _asset_type(request),
            "objectId": asset_id,
        },
        "property": "name",
        "requirement": {"type": "NonEmptyTextRequirement"},
        "value": "",
    }
    text = orjson.dumps([failure]).decode()
    raise web.HTTPBadRequest(text=text, content_type="application/json")


def _welcome_activity(contact: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/RESTAPI/Reference/activity-detail-values.htm"""
    return {
        "type": "Activity",
        "activityDate": _unix_seconds(contact["createdAt"]),
        "activityType": _ACTIVITY_TYPE,
        "asset": "1",
        "assetType": "email",
        "contact": contact["id"],
        "details": [
            {"Key": "EmailName", "Value": "Welcome"},
            {"Key": "SubjectLine", "Value": "Welcome"},
        ],
        "id": contact["id"],
    }


def _unix_seconds(time: str) -> str:
    """The REST API writes a time in seconds since 1970."""
    return str(int(datetime.fromisoformat(time).timestamp()))


def _minimal_asset(asset: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: asset[name] for name in _MINIMAL}, "depth": "minimal"}


def _page_by_number(request: web.Request, elements: Sequence[Mapping[str, Any]]) -> web.Response:
    """A page of the elements that meet `search`, by `count` (1 to 1000) and `page` (from 1)."""
    elements = search(elements, request.query.get("search", ""))
    size = min(DEFAULT_COUNT, max(1, whole_number(request.query, "count", DEFAULT_COUNT)))
    number = max(1, whole_number(request.query, "page", 1))
    begin = (number - 1) * size
    page = {
        "elements": elements[begin : begin + size],
        "page": number,
        "pageSize": size,
        "total": len(elements),
    }
    return json_response(page)
