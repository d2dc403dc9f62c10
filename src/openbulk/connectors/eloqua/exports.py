"""Eloqua's own bulk export: a definition, a sync, and its records.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-contacts-exports-post.html
https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-syncs-id-data-get.html

The page token is the sync, and after an `@` the number of records read so far: `/syncs/12` while
the sync runs, `/syncs/12@2500` after that. Eloqua keeps exported records for twelve hours.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any

from openbulk.connectors.answers import PageCount
from openbulk.connectors.eloqua.bulk import DEFINITION_LIFE, LOG, Entity, errors_in, is_running
from openbulk.connectors.eloqua.fields import Field, Fields
from openbulk.connectors.eloqua.service import Service
from openbulk.domain.comparison import is_text
from openbulk.domain.conditions import Comparison, Condition, conjuncts
from openbulk.domain.errors import Refused
from openbulk.domain.query import Page, PageRequest, Query, page_number

MAX_EXPORT_FIELDS = 250
MAX_PAGE = 2_000
"""Eloqua allows 50,000; 32 MB of an answer (answers.py) hold this many of 16 kB."""
MAX_FILTER = 1000
"""Maximum characters in the filter of an export."""
ID = "id"
CHANGED = {"contact": "C_DateModified", "account": "M_DateModified"}
"""The field with the date of a record's last change."""
_MARKUP = {"contact": "Contact", "account": "Account"}
_SPECIAL = re.compile(r"['\\{}]")
"""Special characters of a filter. How to escape them is not documented."""


async def read_export(
    service: Service, entity: Entity, fields: Fields, query: Query, request: PageRequest
) -> AsyncIterator[Page]:
    """The records of an entity: internal names of fields, and `id`, to values.

    Pages are empty while Eloqua is still preparing the export.
    """
    sync, _, offset = (request.after or "").partition("@")
    if not sync:
        sync = await _begin(service, entity, fields, query)
        yield Page([], sync)
    if not offset:
        while await _is_running(service, sync):
            yield Page([], sync)
        offset = "0"
    async for page in _read_data(service, sync, page_number(offset), min(request.size, MAX_PAGE)):
        yield page


async def _read_data(service: Service, sync: str, begin: int, size: int) -> AsyncIterator[Page]:
    """The exported records of a sync that has ended, from the one at `begin` on."""
    count = PageCount(size)
    while True:
        # Read the sync's data: the definition's data changes with its next sync.
        items, has_more = await service.page(f"{sync}/data", size, begin, {"type": "object"})
        begin += len(items)
        records = [_without_empty(item) for item in items]
        yield Page(records, f"{sync}@{begin}" if has_more else None)
        if not has_more:
            return
        count.add(len(items), f"Eloqua's list {sync}/data")


async def _begin(service: Service, entity: Entity, fields: Fields, query: Query) -> str:
    """Begin an export; return the sync's URI. Raises Refused for too many fields."""
    statements = {field.name: field.statement for field in fields.all}
    filter_text = _filter(entity, {ID: _id_statement(entity), **statements}, query)
    return await begin_export(service, entity, fields, query.fields, filter_text)


async def begin_export(
    service: Service, entity: Entity, fields: Fields, wanted: Sequence[str], filter_text: str
) -> str:
    """Define an export of these fields, or of all, and start its sync; return the sync's URI.

    `read_export` reads it, with the URI as page token. Raises Refused for too many fields.
    """
    statements = {field.name: field.statement for field in fields.all}
    definition: dict[str, Any] = {
        "name": f"openbulk export {entity.object}",
        "fields": {ID: _id_statement(entity), **_choose(statements, wanted, entity)},
        "areSystemTimestampsInUTC": True,
        "autoDeleteDuration": DEFINITION_LIFE,
    }
    if filter_text:
        definition["filter"] = filter_text
    # Each export has its own definition: one with an active sync must not be synced again.
    export = await service.bulk("POST", f"/{entity.plural}/exports", json=definition)
    sync = await service.bulk("POST", "/syncs", json={"syncedInstanceUri": export.text_at("uri")})
    return sync.text_at("uri")


def _choose(
    statements: Mapping[str, str], wanted: Sequence[str], entity: Entity
) -> Mapping[str, str]:
    """The statements of the wanted fields; of all fields if none is named. Raises Refused."""
    chosen = statements
    if wanted:
        chosen = {name: statements[name] for name in wanted if name in statements}
    if len(chosen) >= MAX_EXPORT_FIELDS:
        raise Refused(
            f"{entity.object} has {len(chosen)} fields, and Eloqua exports less than "
            f"{MAX_EXPORT_FIELDS} at a time; name the wanted ones"
        )
    return chosen


def _filter(entity: Entity, statements: Mapping[str, str], query: Query) -> str:
    """The parts of the query that Eloqua can apply. The engine leaves out surplus records.

    Eloqua compares text as its SQL server does, ignoring case and trailing blanks: texts that are
    equal here are equal there, and so are some others.
    """
    terms = [_equality(condition, statements) for condition in conjuncts(query.where)]
    changed = statements.get(CHANGED[entity.object])
    if query.changed_since is not None and changed is not None:
        # The time zone of a date in a filter is not documented, so a day is added.
        since = query.changed_since.astimezone(UTC) - timedelta(days=1)
        terms.append(f"'{changed}' >= '{since:%Y-%m-%d %H:%M:%S}'")
    chosen: list[str] = []
    for term in filter(None, terms):
        if len(" AND ".join([*chosen, term])) <= MAX_FILTER:
            chosen.append(term)
    return " AND ".join(chosen)


def filters_of(field: Field, values: Iterable[str]) -> list[str] | None:
    """Filters that together find the records with these values of a field.

    None if Eloqua's language cannot write one of the values.
    """
    filters: list[str] = []
    for value in values:
        term = f"'{field.statement}' = '{value}'"
        if not _is_plain_id(value) or len(term) > MAX_FILTER:
            return None
        longer = f"{filters[-1]} OR {term}" if filters else term
        if filters and len(longer) <= MAX_FILTER:
            filters[-1] = longer
        else:
            filters.append(term)
    return filters


def _equality(condition: Condition, statements: Mapping[str, str]) -> str:
    """A comparison in Eloqua's filter language; empty if Eloqua might leave out too much."""
    match condition:
        case Comparison(field=name, operator="=" | "in", values=values) if name in statements:
            is_same = _is_plain_id if name == ID else _is_plain_text
            if all(map(is_same, values)):
                terms = " OR ".join(f"'{statements[name]}' = '{value}'" for value in values)
                return f"({terms})" if len(values) > 1 else terms
    return ""


def _is_plain_id(value: Any) -> bool:
    text = str(value)
    return bool(text) and not _SPECIAL.search(text)


def _is_plain_text(value: Any) -> bool:
    """Whether Eloqua compares a value as openbulk does. Numbers and dates have many spellings."""
    return isinstance(value, str) and is_text(value) and _is_plain_id(value)


def _id_statement(entity: Entity) -> str:
    return f"{{{{{_MARKUP[entity.object]}.Id}}}}"


async def _is_running(service: Service, uri: str) -> bool:
    """Whether Eloqua has not ended the sync yet. Raises Refused for a sync that failed."""
    sync = await service.bulk("GET", uri)
    if sync.text_at("status") == "error":
        reason = errors_in(await service.items(f"{uri}/logs", LOG))
        raise Refused(
            f"Eloqua could not export: {reason or 'the sync ended in error'}",
            provider_message=reason or None,
        )
    return is_running(sync)


def _without_empty(item: Mapping[str, Any]) -> dict[str, Any]:
    """A record without its empty fields: an export writes a missing value as empty text."""
    return {name: value for name, value in item.items() if value not in (None, "")}
