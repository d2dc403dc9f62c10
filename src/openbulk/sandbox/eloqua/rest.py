"""The REST API: campaigns and lists to read and write, contacts, accounts and activities to read.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/rest-endpoints.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.eloqua.queries import NUMBER, matching, number_in
from openbulk.sandbox.eloqua.store import Store, now
from openbulk.sandbox.traffic import json_response

DEFAULT_COUNT = 1000
_MINIMAL = ("type", "id", "createdAt", "depth", "name", "updatedAt")
"""What a list shows of each element unless it is asked for more."""
_NEW: Mapping[str, Mapping[str, Any]] = {
    "Campaign": {"currentStatus": "Draft", "isReadOnly": "false"},
    "ContactList": {"scope": "global", "count": "0"},
}
"""What a new one has without saying so."""


class Rest:
    """Handles `/api/rest/{version}/...`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The paths below a prefix."""
        routes = [
            web.get(f"{prefix}/data/{{entity:contacts|accounts}}", self.list_records),
            web.get(f"{prefix}/data/{{entity:contact|account}}/{NUMBER}", self.get_record),
            web.get(f"{prefix}/data/activities/contact/{NUMBER}", self.list_activities),
        ]
        for path in ("campaign", "contact/list"):
            one = f"{prefix}/assets/{path}/{NUMBER}"
            routes += [
                web.get(f"{prefix}/assets/{path}s", self.list_assets),
                web.post(f"{prefix}/assets/{path}", self.create_asset),
                web.get(one, self.get_asset),
                web.put(one, self.update_asset),
                web.delete(one, self.delete_asset),
            ]
        return routes

    async def list_records(self, request: web.Request) -> web.Response:
        """Contacts or accounts."""
        records = self._store.tables[request.match_info["entity"]].records
        return _page(request, list(records.values()))

    async def get_record(self, request: web.Request) -> web.Response:
        """One contact or account."""
        return json_response(
            _one(self._store.tables[f"{request.match_info['entity']}s"].records, request)
        )

    async def list_activities(self, request: web.Request) -> web.Response:
        """What a contact did: here, each was sent an e-mail when it was created."""
        contact = _one(self._store.tables["contacts"].records, request)
        activity = _welcome(contact)
        wanted = request.query.get("type", activity["activityType"])
        return json_response([activity] if wanted == activity["activityType"] else [])

    async def list_assets(self, request: web.Request) -> web.Response:
        """Campaigns or lists."""
        assets = list(self._assets(request).values())
        if request.query.get("depth") in {"partial", "complete"}:
            return _page(request, assets)
        return _page(request, [{**_minimal(asset), "depth": "minimal"} for asset in assets])

    async def create_asset(self, request: web.Request) -> web.Response:
        """A new campaign or list."""
        kind = _kind(request)
        named = await _named(request, None)
        number = next(self._store.asset_numbers)
        made = {
            "type": kind,
            "id": str(number),
            "createdAt": _unix(now()),
            "createdBy": "1",
            "depth": "complete",
        }
        asset = {**_NEW[kind], **named, **made, "updatedAt": made["createdAt"], "updatedBy": "1"}
        self._assets(request)[number] = asset
        return json_response(asset, 201)

    async def get_asset(self, request: web.Request) -> web.Response:
        """One campaign or list."""
        return json_response(_one(self._assets(request), request))

    async def update_asset(self, request: web.Request) -> web.Response:
        """Change a campaign or list."""
        asset = _one(self._assets(request), request)
        kept = {name: asset[name] for name in ("type", "id", "createdAt", "createdBy", "depth")}
        asset |= {**await _named(request, asset["id"]), **kept, "updatedAt": _unix(now())}
        return json_response(asset)

    async def delete_asset(self, request: web.Request) -> web.Response:
        """Delete a campaign or list."""
        _one(self._assets(request), request)
        del self._assets(request)[int(request.match_info["number"])]
        return web.Response(status=200)

    def _assets(self, request: web.Request) -> dict[int, dict[str, Any]]:
        return self._store.assets["campaigns" if _kind(request) == "Campaign" else "lists"]


def _kind(request: web.Request) -> str:
    return "Campaign" if "/assets/campaign" in request.path else "ContactList"


def _one(records: Mapping[int, dict[str, Any]], request: web.Request) -> dict[str, Any]:
    number = int(request.match_info["number"])
    if number not in records:
        raise web.HTTPNotFound
    return records[number]


async def _named(request: web.Request, number: str | None) -> dict[str, Any]:
    """A body with a name. Answers 400 as Eloqua does where it has none.

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
        "container": {"type": "ObjectKey", "objectType": _kind(request), "objectId": number or ""},
        "property": "name",
        "requirement": {"type": "NonEmptyTextRequirement"},
        "value": "",
    }
    raise web.HTTPBadRequest(text=orjson.dumps([failure]).decode(), content_type="application/json")


def _welcome(contact: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/RESTAPI/Reference/activity-detail-values.htm"""
    return {
        "type": "Activity",
        "activityDate": _unix(contact["createdAt"]),
        "activityType": "emailSend",
        "asset": "1",
        "assetType": "email",
        "contact": contact["id"],
        "details": [
            {"Key": "EmailName", "Value": "Welcome"},
            {"Key": "SubjectLine", "Value": "Welcome"},
        ],
        "id": contact["id"],
    }


def _unix(time: str) -> str:
    """The REST API writes a time in seconds since 1970."""
    return str(int(datetime.fromisoformat(time).timestamp()))


def _minimal(asset: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asset[name] for name in _MINIMAL}


def _page(request: web.Request, elements: Sequence[Mapping[str, Any]]) -> web.Response:
    """A page by `count` (1 to 1000) and `page` (from 1) of the elements that meet `search`."""
    elements = matching(elements, request.query.get("search", ""))
    size = min(DEFAULT_COUNT, max(1, number_in(request.query, "count", DEFAULT_COUNT)))
    number = max(1, number_in(request.query, "page", 1))
    begin = (number - 1) * size
    return json_response(
        {
            "elements": elements[begin : begin + size],
            "page": number,
            "pageSize": size,
            "total": len(elements),
        }
    )
