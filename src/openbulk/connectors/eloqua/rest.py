"""Eloqua's REST API: campaigns and lists one by one, and reading.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/rest-endpoints.html
"""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from openbulk.connectors.answers import Answer, PageCount
from openbulk.connectors.eloqua.service import Service, failure, read_object, read_records
from openbulk.connectors.repeated_rows import Meaning
from openbulk.domain.errors import NotFound, ServiceError
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record

MAX_COUNT = 1000


@dataclass(frozen=True, slots=True)
class Asset:
    """A kind of record that is written one by one."""

    object: str
    path: str
    list_path: str
    schema: Mapping[str, Any]


def _schema(**more: Mapping[str, Any]) -> Mapping[str, Any]:
    text = {"type": "string"}
    fields = {
        "id": {**text, "readOnly": True},
        "name": text,
        "description": text,
        "folderId": text,
        **more,
    }
    # Eloqua documents more fields than these, and other ones for each type of campaign.
    return {
        "type": "object",
        "properties": fields,
        "required": ["name"],
        "additionalProperties": {},
    }


ASSETS: Mapping[str, Asset] = {
    "campaign": Asset(
        "campaign",
        "/api/rest/2.0/assets/campaign",
        "/api/rest/2.0/assets/campaigns",
        _schema(
            startAt={"type": "string", "description": "Unix time in seconds"},
            endAt={"type": "string", "description": "Unix time in seconds"},
            budgetedCost={"type": "string"},
        ),
    ),
    "list": Asset(
        "list",
        "/api/rest/2.0/assets/contact/list",
        "/api/rest/2.0/assets/contact/lists",
        _schema(scope={"type": "string", "enum": ["global", "local"]}),
    ),
}
READABLE: Mapping[str, str] = {
    "contact": "/api/rest/1.0/data/contacts",
    "account": "/api/rest/1.0/data/accounts",
    **{name: asset.list_path for name, asset in ASSETS.items()},
}
NO_NAME = "name: NonEmptyTextRequirement is not met"
"""The refusal of a campaign or list without a name."""
ACTIVITY_TYPES: tuple[str, ...] = (
    "campaignMembership",
    "emailClickThrough",
    "emailOpen",
    "emailSend",
    "emailSubscribe",
    "emailUnsubscribe",
    "formSubmit",
    "webVisit",
)
ACTIVITY_PARAMETERS = frozenset({"type", "startDate", "endDate"})
ASSET_PARAMETERS = frozenset({"search", "orderBy", "lastUpdatedAt"})
ACTIVITY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        name: {"type": "string", "readOnly": True}
        for name in ("id", "type", "activityDate", "contact", "asset")
    },
}


async def write_asset(service: Service, asset: Asset, action: Action, record: Record) -> Outcome:
    """Create a campaign or list, or update or delete the one with the record's `id`."""
    values = dict(record.values)
    asset_id = values.get("id")
    if action is Action.CREATE:
        answer = await service.call("POST", asset.path, json=values)
        return _outcome(record, answer, OutcomeKind.CREATED)
    if not asset_id:
        return asset_without_id(record)
    path = f"{asset.path}/{asset_id}"
    if action is Action.UPDATE:
        answer = await service.call("PUT", path, json=values)
        return _outcome(record, answer, OutcomeKind.UPDATED)
    answer = await service.call("DELETE", path)
    if answer.status == 404:
        return Outcome(record.row, OutcomeKind.NOT_FOUND)
    return _outcome(record, answer, OutcomeKind.DELETED)


def asset_without_id(record: Record) -> Outcome:
    """The outcome of a record that does not say which campaign or list it means."""
    return Outcome.failure(record.row, "id is missing: it identifies the record", field="id")


def missing_asset(record: Record) -> Outcome:
    """The outcome of a record whose campaign or list Eloqua does not have."""
    asset_id = record.values.get("id")
    return Outcome.failure(record.row, f"Eloqua has no record with the id {asset_id!r}", field="id")


def meaning_of_asset(record: Record) -> Meaning | None:
    """The campaign or list that a row changes."""
    asset_id = record.values.get("id")
    if not asset_id:
        return None
    fields = {name: value for name, value in record.values.items() if name != "id"}
    return Meaning("id", f"id {asset_id}", str(asset_id), fields)


def _outcome(record: Record, answer: Answer, kind: OutcomeKind) -> Outcome:
    asset_id = record.values.get("id")
    if answer.is_success:
        # Eloqua answers a deletion without a body.
        new_id = answer.text_at("id") if kind is OutcomeKind.CREATED else str(asset_id)
        return Outcome(record.row, kind, new_id)
    if answer.status == 404:
        return missing_asset(record)
    return Outcome.failure(record.row, _problem_in(answer), provider_message=answer.text())


def _problem_in(answer: Answer) -> str:
    """Eloqua's list of validation failures as a sentence."""
    try:
        failures = answer.json()
        return "; ".join(
            f"{one['property']}: {one['requirement']['type']} is not met" for one in failures
        )
    except (ServiceError, TypeError, KeyError):
        return f"Eloqua refused the record ({answer.status})"


async def read_asset(service: Service, asset: Asset, asset_id: str) -> Mapping[str, Any]:
    """One campaign or list. Raises NotFound."""
    answer = await service.call("GET", f"{asset.path}/{quote(asset_id, safe='')}")
    if answer.status == 404:
        raise NotFound(f"Eloqua has no {asset.object} with the id {asset_id!r}")
    return _successful(answer).object()


async def count_records(service: Service, object: str) -> int:
    """How many records of an object Eloqua has."""
    parameters = {"count": "1", "page": "1", "depth": "minimal"}
    answer = await service.call("GET", READABLE[object], params=parameters)
    body = read_object(_successful(answer), {"total": {"type": "integer"}}, ["total"])
    total: int = body["total"]
    return total


async def read_pages(
    service: Service,
    query: Query,
    request: PageRequest,
    schema: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[Page]:
    """Records of an object, page by page. The page token is the number of the next page.

    Each record is as the JSON Schema says.
    """
    number = request.number_after(1)
    size = min(request.size, MAX_COUNT)
    count = PageCount(size)
    while True:
        parameters = {
            **query.parameters,
            "count": str(size),
            "page": str(number),
            "depth": "complete",
        }
        answer = await service.call("GET", READABLE[query.object], params=parameters, records=size)
        body = read_object(_successful(answer), {"total": {"type": "integer"}}, ["total"])
        records = read_records(body.get("elements"), answer, size, schema)
        # An empty page also ends the list: `total` may have shrunk.
        has_more = bool(records) and number * size < body["total"]
        number += 1
        yield Page(records, str(number) if has_more else None)
        if not has_more:
            return
        count.add(len(records), answer.call)


async def read_activities(
    service: Service, query: Query, request: PageRequest
) -> AsyncIterator[Page]:
    """The activities of contacts: one page for each page of contacts.

    Eloqua lists the activities of one contact and one type at a time. The parameters `type`,
    `startDate` and `endDate` (Unix time in seconds) select some of them.
    """
    period = {"startDate": "0", "endDate": str(int(time.time()))}
    parameters = {**period, **query.parameters}
    types = ACTIVITY_TYPES
    if "type" in query.parameters:
        types = (query.parameters["type"],)
    async for page in read_pages(service, Query("contact"), request, {"required": ["id"]}):
        records: list[Mapping[str, Any]] = []
        for contact, kind in product(page.records, types):
            path = f"/api/rest/1.0/data/activities/contact/{contact['id']}"
            answer = await service.call(
                "GET", path, params={**parameters, "type": kind}, records=MAX_COUNT
            )
            records += read_records(_successful(answer).json(), answer, MAX_COUNT)
        yield Page(records, page.next, listed=len(page.records))


def _successful(answer: Answer) -> Answer:
    """A successful answer. Raises ServiceError for any other."""
    if not answer.is_success:
        raise failure(answer)
    return answer
