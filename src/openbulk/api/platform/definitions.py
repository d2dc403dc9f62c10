"""Definitions: objects of the caller's own, of an organization or of one of its instances."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request

from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.own_object_routes import (
    AnInstance,
    ObjectName,
    body_like,
    of_instance,
)
from openbulk.api.platform.transformation_bodies import (
    DEFINITION_EXAMPLE,
    DEFINITIONS_EXAMPLE,
    parse_definition,
    parse_definitions,
    parse_object_name,
)
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import transformations as wire
from openbulk.api.wire.schema import Nothing
from openbulk.domain.errors import NotFound
from openbulk.domain.instance import CallingInstance
from openbulk.domain.transformation import DefinedField
from openbulk.storage.transformations import Owner

router = APIRouter(tags=["Transformations"], responses=may_answer(401, 405))
_of_instance = partial(of_instance, router)
_DEFINITION: dict[str, Any] = {"fields": [{"path": "title", "type": "string"}]}
_DEFINITION_BODY = body_like(_DEFINITION)
_DEFINITIONS_BODY = body_like({"rooms": _DEFINITION})


def _owner_of(instance: CallingInstance) -> Owner:
    return Owner(instance.organization_id, instance.id)


# --- definitions of an organization ---


@router.get(
    "/organizations/objects/definitions",
    summary="List definitions",
    responses=answers(wire.Definitions),
)
async def definitions(services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """The definitions of your organization, by the names of their objects."""
    found = await services.transformations.definitions_of(Owner(user.organization_id))
    return {
        name: wire.present_definition(fields, wire.ORGANIZATION) for name, fields in found.items()
    }


@router.post(
    "/organizations/objects/definitions",
    summary="Create definitions",
    openapi_extra={"requestBody": _DEFINITIONS_BODY},
    responses=answers(wire.Definitions, 400, 409, 413, 507),
)
async def add_definitions(
    request: Request, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Define objects for your organization, each by its name. All of them, or none."""
    body = parse_json_object(await read_body(request), DEFINITIONS_EXAMPLE)
    given = parse_definitions(body)
    await services.transformations.add_definitions(Owner(user.organization_id), given)
    return {
        name: wire.present_definition(fields, wire.ORGANIZATION) for name, fields in given.items()
    }


@router.post(
    "/organizations/objects/{object_name}/definitions",
    summary="Create a definition",
    openapi_extra={"requestBody": _DEFINITION_BODY},
    responses=answers(wire.Definition, 400, 409, 413, 507),
)
async def add_definition(
    object_name: ObjectName, request: Request, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Define an object for your organization. Every instance inherits it."""
    fields = await _read_definition(request)
    await services.transformations.add_definitions(
        Owner(user.organization_id), {parse_object_name(object_name): fields}
    )
    return wire.present_definition(fields, wire.ORGANIZATION)


@router.get(
    "/organizations/objects/{object_name}/definitions",
    summary="Retrieve a definition",
    responses=answers(wire.Definition, 404),
)
async def definition(
    object_name: ObjectName, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """A definition of your organization: the fields of an object."""
    fields = await services.transformations.definition(Owner(user.organization_id), object_name)
    if fields is None:
        raise _no_definition(object_name)
    return wire.present_definition(fields, wire.ORGANIZATION)


@router.put(
    "/organizations/objects/{object_name}/definitions",
    summary="Replace a definition",
    openapi_extra={"requestBody": _DEFINITION_BODY},
    responses=answers(wire.Definition, 400, 404, 413, 507),
)
async def replace_definition(
    object_name: ObjectName, request: Request, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Replace the fields of an object. Transformations stay as they are."""
    fields = await _read_definition(request)
    owner = Owner(user.organization_id)
    if not await services.transformations.replace_definition(owner, object_name, fields):
        raise _no_definition(object_name)
    return wire.present_definition(fields, wire.ORGANIZATION)


@router.delete(
    "/organizations/objects/{object_name}/definitions",
    summary="Delete a definition",
    responses=answers(Nothing, 404, 507),
)
async def delete_definition(
    object_name: ObjectName, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Delete a definition of your organization. Transformations stay as they are."""
    owner = Owner(user.organization_id)
    if not await services.transformations.delete_definition(owner, object_name):
        raise _no_definition(object_name)
    return {}


# --- definitions of an instance ---


@_of_instance("/objects/definitions", "GET", "List the definitions", shape=wire.Definitions)
async def instance_definitions(services: ServicesOfApp, instance: AnInstance) -> dict[str, Any]:
    """The definitions of the instance: its own, and those of the organization."""
    stored = services.transformations
    of_organization = await stored.definitions_of(Owner(instance.organization_id))
    of_instance = await stored.definitions_of(_owner_of(instance))
    return {
        name: wire.present_merged_definition(
            _merge(of_organization.get(name), of_instance.get(name))
        )
        for name in sorted({**of_organization, **of_instance})
    }


@_of_instance(
    "/objects/{object_name}/definitions",
    "POST",
    "Create a definition",
    shape=wire.Definition,
    problems=(400, 409, 413, 507),
    body=_DEFINITION_BODY,
)
async def add_instance_definition(
    object_name: ObjectName, request: Request, services: ServicesOfApp, instance: AnInstance
) -> dict[str, Any]:
    """Define an object for one instance, or fields beside those of the organization."""
    fields = await _read_definition(request)
    await services.transformations.add_definitions(
        _owner_of(instance), {parse_object_name(object_name): fields}
    )
    return await instance_definition(object_name, services, instance)


@_of_instance(
    "/objects/{object_name}/definitions", "GET", "Retrieve a definition", shape=wire.Definition
)
async def instance_definition(
    object_name: ObjectName, services: ServicesOfApp, instance: AnInstance
) -> dict[str, Any]:
    """A definition of the instance: its own fields, and those of the organization."""
    fields = await definition_for(services, instance, object_name)
    if fields is None:
        raise _no_definition(object_name)
    return wire.present_merged_definition(fields)


@_of_instance(
    "/objects/{object_name}/definitions",
    "PUT",
    "Replace a definition",
    shape=wire.Definition,
    problems=(400, 413, 507),
    body=_DEFINITION_BODY,
)
async def replace_instance_definition(
    object_name: ObjectName, request: Request, services: ServicesOfApp, instance: AnInstance
) -> dict[str, Any]:
    """Replace the instance's own fields of an object. Transformations stay as they are."""
    fields = await _read_definition(request)
    owner = _owner_of(instance)
    if not await services.transformations.replace_definition(owner, object_name, fields):
        raise _no_definition(object_name, " of this instance's own")
    return await instance_definition(object_name, services, instance)


@_of_instance(
    "/objects/{object_name}/definitions",
    "DELETE",
    "Delete a definition",
    shape=Nothing,
    problems=(507,),
)
async def delete_instance_definition(
    object_name: ObjectName, services: ServicesOfApp, instance: AnInstance
) -> dict[str, Any]:
    """Delete the instance's own fields of an object; those of the organization stay."""
    if not await services.transformations.delete_definition(_owner_of(instance), object_name):
        raise _no_definition(object_name, " of this instance's own")
    return {}


# --- fields ---


async def _read_definition(request: Request) -> Any:
    return parse_definition(parse_json_object(await read_body(request), DEFINITION_EXAMPLE))


async def definition_for(
    services: Services, instance: CallingInstance, name: str
) -> dict[str, tuple[DefinedField, str]] | None:
    """The fields that an instance's object has, each with its level; None if it has none."""
    stored = services.transformations
    of_organization = await stored.definition(Owner(instance.organization_id), name)
    of_instance = await stored.definition(_owner_of(instance), name)
    if of_organization is None and of_instance is None:
        return None
    return _merge(of_organization, of_instance)


def _merge(
    of_organization: Sequence[DefinedField] | None, of_instance: Sequence[DefinedField] | None
) -> dict[str, tuple[DefinedField, str]]:
    """The fields of both levels by their paths; the instance's come last, and count."""
    merged = {one.path: (one, wire.ORGANIZATION) for one in of_organization or ()}
    return merged | {one.path: (one, wire.INSTANCE) for one in of_instance or ()}


def _no_definition(name: str, of: str = "") -> NotFound:
    return NotFound(
        f"there is no definition {name[:80]!r}{of}; POST creates it with {DEFINITION_EXAMPLE}"
    )
