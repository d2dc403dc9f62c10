"""Eloqua's own bulk export: a definition, a sync, and its records.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-contacts-exports-post.html
https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-syncs-id-data-get.html

The cursor is the sync, and how many of its records were read: `/syncs/12` while it runs, `/syncs/12@2500` behind that.
Eloqua keeps what was exported for twelve hours.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any

from openbulk.connectors.eloqua.bulk import DEFINITION_LIFE, Entity
from openbulk.connectors.eloqua.fields import Fields
from openbulk.connectors.eloqua.service import Service
from openbulk.domain.comparison import is_text
from openbulk.domain.conditions import Comparison, Condition, conjuncts
from openbulk.domain.errors import Refused
from openbulk.domain.query import Page, PageRequest, Query

MAX_FIELDS = 250
MAX_PAGE = 50_000
ID = "id"
MAX_FILTER = 1000
CHANGED = {"contact": "C_DateModified", "account": "M_DateModified"}
_MARKUP = {"contact": "Contact", "account": "Account"}
_QUOTED = re.compile(r"['\\{}]")


async def read_export(
    service: Service, entity: Entity, fields: Fields, query: Query, request: PageRequest
) -> AsyncIterator[Page]:
    """The records of an entity, under the internal names of their fields, and `id`. Pages are empty while Eloqua still
    works on them."""
    sync, _, offset = (request.after or "").partition("@")
    if not sync:
        sync = await _begin(
            service,
            entity,
            _statements(entity, fields, query.fields),
            _filter(entity, fields, query),
        )
        yield Page([], sync)
    if not offset:
        while not await _has_ended(service, sync):
            yield Page([], sync)
    begin, size = int(offset or 0), min(request.size, MAX_PAGE)
    while True:
        parameters = {"limit": str(size), "offset": str(begin)}
        page = await service.bulk("GET", f"{sync}/data", params=parameters)
        begin += len(page.get("items", []))
        has_more = bool(page.get("hasMore")) and bool(page.get("items"))
        yield Page(
            [_filled(item) for item in page.get("items", [])],
            f"{sync}@{begin}" if has_more else None,
        )
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
    return {ID: _id_statement(entity), **chosen}


def _filter(entity: Entity, fields: Fields, query: Query) -> str:
    """What is wanted, as far as Eloqua can tell; what it lets through too much is left out later.

    Eloqua compares texts as its SQL server does, in any case and without blanks at the end: what is equal here is equal
    there, but what is not equal here may be. In whose time a date is meant is not documented, so a day is added.
    """
    known = {ID: _id_statement(entity), **{field.name: field.statement for field in fields.all}}
    parts = [part for one in conjuncts(query.where) if (part := _equal(one, known))]
    changed = known.get(CHANGED[entity.object])
    if query.changed_since is not None and changed is not None:
        since = query.changed_since.astimezone(UTC) - timedelta(days=1)
        parts.append(f"'{changed}' >= '{since:%Y-%m-%d %H:%M:%S}'")
    chosen = ""
    for part in parts:
        longer = f"{chosen} AND {part}" if chosen else part
        chosen = longer if len(longer) <= MAX_FILTER else chosen
    return chosen


def _equal(condition: Condition, known: Mapping[str, str]) -> str | None:
    """A comparison that Eloqua cannot understand more narrowly than it is meant; None for any other."""
    match condition:
        case Comparison(field=name, operator="=" | "in", values=values) if name in known:
            if all(_is_plain(value, is_id=name == ID) for value in values):
                equal = " OR ".join(f"'{known[name]}' = '{value}'" for value in values)
                return f"({equal})" if len(values) > 1 else equal
    return None


def _is_plain(value: Any, *, is_id: bool) -> bool:
    """Whether a text means the same on both sides: numbers and dates are spelled in many ways here, but for ids."""
    text = str(value)
    return (
        bool(text)
        and not _QUOTED.search(text)
        and (is_id or (isinstance(value, str) and is_text(value)))
    )


def _id_statement(entity: Entity) -> str:
    return f"{{{{{_MARKUP[entity.object]}.Id}}}}"


async def _begin(
    service: Service, entity: Entity, statements: Mapping[str, str], chosen: str
) -> str:
    definition = await service.bulk(
        "POST",
        f"/{entity.plural}/exports",
        json={
            "name": f"openbulk export {entity.object}",
            "fields": dict(statements),
            **({"filter": chosen} if chosen else {}),
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
        raise Refused(
            f"Eloqua could not export: {said or 'the sync ended in error'}",
            provider_message=said or None,
        )
    return status not in {"pending", "active"}


def _filled(item: Mapping[str, Any]) -> dict[str, Any]:
    """An export has an empty text where there is no value."""
    return {name: value for name, value in item.items() if value not in (None, "")}
