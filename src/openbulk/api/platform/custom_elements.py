"""Custom connectors: services that an organization describes by the exports of another platform."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Request

from openbulk.api.http.bodies import parse_json, parse_large, read_body, require_distinct_keys
from openbulk.api.http.callers import SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.catalogue import find_element
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.elements import CustomElement, Export, present_whole_element
from openbulk.api.wire.schema import Nothing
from openbulk.connectors.custom import CustomProvider
from openbulk.connectors.custom.export import read_export, without_secrets
from openbulk.connectors.custom.replacement import problem_of_replacement
from openbulk.domain.errors import BadInput, Conflict, NotFound
from openbulk.domain.people import User
from openbulk.storage import custom_elements as stored_elements
from openbulk.threads import Threads

log = structlog.get_logger()
router = APIRouter(tags=["Elements"], responses=may_answer(401, 405))

MAX_CUSTOM_ELEMENTS = 200
"""Of an organization."""
_KEYS_OF_CALLS = ("keys", "metadata")
"""Last parts of calls: an element with such a key could not be shown by it."""
_EXAMPLE = {
    "key": "acmecrm",
    "name": "Acme CRM",
    "hub": "crm",
    "authentication": {"type": "custom"},
    "configuration": [
        {"key": "base.url", "defaultValue": "https://api.example.com/v1"},
        {"key": "api.key", "type": "PASSWORD", "required": True},
        {"key": "pagination.type", "defaultValue": "offset"},
    ],
    "parameters": [
        {
            "name": "api.key",
            "type": "configuration",
            "vendorName": "X-Api-Key",
            "vendorType": "header",
        }
    ],
    "objects": [{"name": "contacts", "bulkUploadEnabled": True, "bulkDownloadEnabled": True}],
    "resources": [
        {
            "method": "GET",
            "path": "/contacts",
            "vendorMethod": "GET",
            "vendorPath": "/people",
            "rootKey": "items",
            "parameters": [
                {"name": "page", "type": "query", "vendorName": "offset"},
                {"name": "pageSize", "type": "query", "vendorName": "limit"},
            ],
        },
        {"method": "POST", "path": "/contacts", "vendorMethod": "POST", "vendorPath": "/people"},
    ],
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "examples": [_EXAMPLE]}}},
    }
}
_SHORT_EXAMPLE = '{"key": "acmecrm", "configuration": [...], "resources": [...]}'
CustomKey = Annotated[
    str, Path(description="Key or number of a custom connector.", examples=["acmecrm"])
]
_EXPORTS = Threads("imports", 1)


@router.post(
    "/elements",
    summary="Import a custom connector",
    openapi_extra=_BODY,
    responses=answers(CustomElement, 400, 409, 413, 507),
)
async def create(request: Request, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Add a custom connector to your elements, from its export.

    `leftOut` lists the parts of the export that have no effect here: openbulk runs no scripts.
    """
    export = await _read(request)
    provider = await _provider_of(export)
    if provider.key in services.elements.built_in:
        raise Conflict(
            f"the key {provider.key!r} is that of a service of openbulk's own; choose another key"
        )
    if provider.key in _KEYS_OF_CALLS:
        raise Conflict(f"GET /elements/{provider.key} is a call of its own; choose another key")
    stored = await services.custom_elements.add(
        user.organization_id,
        provider.key,
        without_secrets(export),
        datetime.now(UTC),
        MAX_CUSTOM_ELEMENTS,
    )
    log.info("custom connector imported", element=stored.key)
    return await _present(services, user, stored.key)


@router.put(
    "/elements/{key}",
    summary="Replace a custom connector",
    openapi_extra=_BODY,
    responses=answers(CustomElement, 400, 404, 409, 413, 507),
)
async def replace(
    key: CustomKey, request: Request, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Replace the export of a custom connector. Instances use it from their next call on.

    The key stays. While there are instances, their secrets stay with their hosts.
    """
    given = await _read(request)
    stored = await _find(services, user, key)
    export = {**given, "key": stored.key}
    after = await _provider_of(export)
    before = await _provider_of({**stored.export, "key": stored.key})
    problem = problem_of_replacement(before.description, after.description)
    await services.custom_elements.replace(stored, without_secrets(export), problem=problem)
    log.info("custom connector replaced", element=stored.key)
    elements = await services.accounts.elements_of(user.organization_id)
    for id_, element in elements.items():
        if element == stored.key:
            await services.intake.instance_changed(id_)
    return await _present(services, user, stored.key)


@router.delete(
    "/elements/{key}",
    summary="Delete a custom connector",
    responses=answers(Nothing, 404, 409, 507),
)
async def delete(key: CustomKey, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Delete a custom connector that has no instances."""
    stored = await _find(services, user, key)
    await services.custom_elements.delete(stored)
    log.info("custom connector deleted", element=stored.key)
    return {}


@router.get(
    "/elements/{key}/export",
    summary="Export a custom connector",
    responses=answers(Export, 404, 409),
)
async def export(key: CustomKey, services: ServicesOfApp, user: SignedInUser) -> Mapping[str, Any]:
    """The export of a custom connector as it was imported, without default values of secrets."""
    return (await _find(services, user, key)).export


async def _read(request: Request) -> dict[str, Any]:
    """The export in a body. Raises BadInput, TooLarge."""
    body = await read_body(request)
    value = await parse_large(parse_json, body, _SHORT_EXAMPLE)
    if not isinstance(value, dict):
        raise BadInput(f"the body is not a JSON object; it looks like {_SHORT_EXAMPLE}")
    require_distinct_keys(body.decode("utf-8-sig"), "the body")
    return value


async def _provider_of(export: Mapping[str, Any]) -> CustomProvider:
    return CustomProvider(await _EXPORTS.run(read_export, export))


async def _find(services: Services, user: User, key: str) -> stored_elements.CustomElement:
    """A custom connector of the user's organization. Raises NotFound, and Conflict for another."""
    found = await find_element(services, user, key)
    if found.provider.key in services.elements.built_in:
        raise Conflict(
            f"{found.provider.key!r} is a service of openbulk's own, and has no export; "
            "custom connectors have one"
        )
    version = await services.custom_elements.version_of(user.organization_id, found.provider.key)
    stored = await services.custom_elements.each([] if version is None else [version[0]])
    if not stored:
        raise NotFound(f"there is no element {key[:80]!r} any more")
    return stored[0]


async def _present(services: Services, user: User, key: str) -> dict[str, Any]:
    found = await find_element(services, user, key)
    return present_whole_element(found.provider, found.number)
