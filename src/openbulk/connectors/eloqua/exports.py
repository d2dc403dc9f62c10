"""Eloqua's own bulk export: a definition, a sync, and its records.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-contacts-exports-post.html
https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-syncs-id-data-get.html

The cursor is the sync, and how many of its records were read: `/syncs/12` while it runs, `/syncs/12@2500` behind that.
Eloqua keeps what was exported for twelve hours.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from openbulk.connectors.eloqua.bulk import DEFINITION_LIFE, Entity
from openbulk.connectors.eloqua.fields import Fields
from openbulk.connectors.eloqua.service import Service
from openbulk.domain.errors import Refused
from openbulk.domain.query import Page, Query

MAX_FIELDS = 250
MAX_PAGE = 50_000
ID = "id"
_MARKUP = {"contact": "Contact", "account": "Account"}


async def read_export(service: Service, entity: Entity, fields: Fields, query: Query) -> AsyncIterator[Page]:
    """The records of an entity, under the internal names of their fields, and `id`. Pages are empty while Eloqua still
    works on them."""
    sync, _, offset = (query.after or "").partition("@")
    if not sync:
        sync = await _begin(service, entity, _statements(entity, fields, query.fields))
        yield Page([], sync)
    if not offset:
        while not await _has_ended(service, sync):
            yield Page([], sync)
    begin, size = int(offset or 0), min(query.page_size, MAX_PAGE)
    while True:
        parameters = {"limit": str(size), "offset": str(begin)}
        page = await service.bulk("GET", f"{sync}/data", params=parameters)
        begin += len(page.get("items", []))
        has_more = bool(page.get("hasMore")) and bool(page.get("items"))
        yield Page([_filled(item) for item in page.get("items", [])], f"{sync}@{begin}" if has_more else None)
        if not has_more:
            return


def _statements(entity: Entity, fields: Fields, wanted: Sequence[str]) -> Mapping[str, str]:
    """The fields to export, in Eloqua's markup. Raises Refused where they are too many."""
    known = {field.name: field.statement for field in fields.all}
    chosen = {name: known[name] for name in wanted if name in known} if wanted else known
    if len(chosen) >= MAX_FIELDS:
        raise Refused(
            f"{entity.object} has {len(chosen)} fields, and Eloqua exports less than {MAX_FIELDS} at a time; name the "
            "wanted ones"
        )
    return {ID: f"{{{{{_MARKUP[entity.object]}.Id}}}}", **chosen}


async def _begin(service: Service, entity: Entity, statements: Mapping[str, str]) -> str:
    definition = await service.bulk(
        "POST",
        f"/{entity.plural}/exports",
        json={
            "name": f"openbulk export {entity.object}",
            "fields": dict(statements),
            "areSystemTimestampsInUTC": True,
            "autoDeleteDuration": DEFINITION_LIFE,
        },
    )
    sync = await service.bulk("POST", "/syncs", json={"syncedInstanceUri": definition["uri"]})
    return str(sync["uri"])


async def _has_ended(service: Service, sync: str) -> bool:
    """Raises Refused where it has failed."""
    status = (await service.bulk("GET", sync))["status"]
    if status == "error":
        logs = [item async for page in service.pages(f"{sync}/logs") for item in page]
        said = "; ".join(str(log["message"]) for log in logs if log.get("severity") == "error")
        raise Refused(f"Eloqua could not export: {said or 'the sync ended in error'}", provider_message=said or None)
    return status not in {"pending", "active"}


def _filled(item: Mapping[str, Any]) -> dict[str, Any]:
    """An export has an empty text where there is no value."""
    return {name: value for name, value in item.items() if value not in (None, "")}
