"""Objects under names of the caller's own: their definitions, and what they are at each service."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Request

from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInUser, identify_caller, require_instance
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.platform.instances import find_instance
from openbulk.api.platform.transformation_bodies import (
    DEFINITION_EXAMPLE,
    DEFINITIONS_EXAMPLE,
    TRANSFORMATION_EXAMPLE,
    VendorObject,
    parse_definition,
    parse_definitions,
    parse_object_name,
    parse_transformation,
    parse_vendor_name,
)
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import transformations as wire
from openbulk.api.wire.schema import Nothing
from openbulk.connectors.fields import did_you_mean
from openbulk.connectors.targets import resolve_object
from openbulk.domain.errors import BadInput, NotFound
from openbulk.domain.instance import CallingInstance
from openbulk.domain.transformation import DefinedField, Transformation
from openbulk.storage.transformations import Owner

router = APIRouter(tags=["Transformations"], responses=may_answer(401, 405))

_INSTANCE_IN_PATH = {
    "name": "instance_id",
    "in": "path",
    "required": True,
    "description": "Number of the instance.",
    "schema": {"type": "string", "examples": ["1"]},
}
ObjectName = Annotated[
    str, Path(description="Your name of the object.", examples=["meetings"], max_length=1_000)
]
_DEFINITION: dict[str, Any] = {"fields": [{"path": "title", "type": "string"}]}
_TRANSFORMATION: dict[str, Any] = {
    "vendorName": "events",
    "fields": [{"path": "title", "vendorPath": "summary"}],
}


def _body(example: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "examples": [example]}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_DEFINITION_BODY = _body(_DEFINITION)
_DEFINITIONS_BODY = _body({"rooms": _DEFINITION})
_TRANSFORMATION_BODY = _body(_TRANSFORMATION)

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[dict[str, Any]]])


def _of_instance(
    path: str,
    method: str,
    summary: str,
    *,
    shape: Any,
    problems: tuple[int, ...] = (),
    body: Any = None,
) -> Callable[[Handler], Handler]:
    """Routes a handler below `/instances/{id}`, and below `/instances` for the calling instance."""
    extra = {} if body is None else {"requestBody": body}
    # The calling instance exists; what the path names below it may not.
    may_be_missing = "{object_name}" in path and method != "POST"

    def add(handler: Handler) -> Handler:
        for prefix, suffix, parameters in (
            ("/instances", " of the calling instance", []),
            ("/instances/{instance_id}", "", [_INSTANCE_IN_PATH]),
        ):
            router.add_api_route(
                f"{prefix}{path}",
                handler,
                methods=[method],
                summary=f"{summary}{suffix}",
                openapi_extra={**extra, "parameters": parameters},
                responses=answers(
                    shape, *((404,) if parameters or may_be_missing else ()), *problems
                ),
            )
        return handler

    return add


async def _find_instance(
    request: Request, services: ServicesOfApp, user: SignedInUser
) -> CallingInstance:
    """The instance in the path; without one, the one whose token the request has."""
    text = request.path_params.get("instance_id")
    if text is None:
        return await require_instance(await identify_caller(request, services))
    instance = await find_instance(services, user, text)
    return CallingInstance(instance.id, instance.organization_id, instance.element)


AnInstance = Annotated[CallingInstance, Depends(_find_instance)]


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
    fields = await _definition_for(services, instance, object_name)
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


# --- transformations ---


_CHANGES = (400, 413, *OF_THE_SERVICE)


@_of_instance(
    "/transformations/{object_name}",
    "POST",
    "Create a transformation",
    shape=wire.ShownTransformation,
    problems=(409, *_CHANGES),
    body=_TRANSFORMATION_BODY,
)
async def add_transformation(
    object_name: ObjectName, request: Request, services: ServicesOfApp, instance: AnInstance
) -> dict[str, Any]:
    """Map the fields of your object to fields of the service.

    From then on, the object can be read and written under your names.
    """
    given, now = await _read_transformation(object_name, request, services, instance), _now()
    await services.transformations.add_transformation(instance.id, given, now)
    return wire.present_transformation(given, now)


@_of_instance(
    "/transformations/{object_name}",
    "GET",
    "Retrieve a transformation",
    shape=wire.ShownTransformation,
)
async def transformation(
    object_name: ObjectName, services: ServicesOfApp, instance: AnInstance
) -> dict[str, Any]:
    """The fields of the service to which those of your object are mapped."""
    stored = await services.transformations.transformation(instance.id, object_name)
    if stored is None:
        raise _no_transformation(object_name)
    return wire.present_transformation(stored.transformation, stored.changed_at)


@_of_instance(
    "/transformations/{object_name}",
    "PUT",
    "Replace a transformation",
    shape=wire.ShownTransformation,
    problems=_CHANGES,
    body=_TRANSFORMATION_BODY,
)
async def replace_transformation(
    object_name: ObjectName, request: Request, services: ServicesOfApp, instance: AnInstance
) -> dict[str, Any]:
    """Replace a transformation. Jobs that have begun keep the one that they began with."""
    given, now = await _read_transformation(object_name, request, services, instance), _now()
    if not await services.transformations.replace_transformation(instance.id, given, now):
        raise _no_transformation(object_name)
    return wire.present_transformation(given, now)


@_of_instance(
    "/transformations/{object_name}",
    "DELETE",
    "Delete a transformation",
    shape=Nothing,
    problems=(507,),
)
async def delete_transformation(
    object_name: ObjectName, services: ServicesOfApp, instance: AnInstance
) -> dict[str, Any]:
    """Delete a transformation. Jobs that have begun keep it."""
    if not await services.transformations.delete_transformation(instance.id, object_name):
        raise _no_transformation(object_name)
    return {}


@_of_instance(
    "/transformations", "GET", "List the transformations", shape=wire.ShownTransformations
)
async def transformations(services: ServicesOfApp, instance: AnInstance) -> dict[str, Any]:
    """The instance's transformations, by your names of the objects."""
    stored = await services.transformations.transformations_of(instance.id)
    return {
        one.transformation.name: wire.present_transformation(one.transformation, one.changed_at)
        for one in stored
    }


@_of_instance(
    "/transformations", "DELETE", "Delete all transformations", shape=Nothing, problems=(507,)
)
async def delete_transformations(services: ServicesOfApp, instance: AnInstance) -> dict[str, Any]:
    """Delete all transformations of an instance. Jobs that have begun keep theirs."""
    await services.transformations.delete_transformations_of(instance.id)
    return {}


# --- bodies ---


def _now() -> datetime:
    """The time, as exact as it is stored."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1_000 * 1_000)


async def _read_definition(request: Request) -> Any:
    return parse_definition(parse_json_object(await read_body(request), DEFINITION_EXAMPLE))


async def _read_transformation(
    name: str, request: Request, services: Services, instance: CallingInstance
) -> Transformation:
    """The transformation in a body, checked with the service. Raises BadInput, ServiceError."""
    body = parse_json_object(await read_body(request), TRANSFORMATION_EXAMPLE)
    parse_object_name(name)
    vendor = await _vendor_object(parse_vendor_name(body), services, instance)
    fields = await _definition_for(services, instance, name)
    defined = None if fields is None else [one for one, _ in fields.values()]
    return parse_transformation(name, body, defined, vendor)


async def _vendor_object(name: str, services: Services, instance: CallingInstance) -> VendorObject:
    connector = (await services.connections.to(instance.id)).connector
    objects = await connector.objects()
    resolved = resolve_object(name, objects)
    if resolved.name not in objects:
        hint = did_you_mean(name, objects, f"the objects are: {', '.join(objects)}")
        raise BadInput(f"vendorName {name!r} is not an object of this instance; {hint}")
    schema = await connector.metadata(resolved.name)
    if "properties" in schema:
        extra = {key: {"type": "string"} for key in objects[resolved.name].extra_columns}
        schema = {**schema, "properties": {**schema["properties"], **extra}}
    return VendorObject(name, schema)


async def _definition_for(
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


def _no_transformation(name: str) -> NotFound:
    return NotFound(
        f"there is no transformation {name[:80]!r} of this instance; "
        f"POST creates it with {TRANSFORMATION_EXAMPLE}"
    )
