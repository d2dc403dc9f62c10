"""Transformations: what an object of the caller's own is at the service of an instance."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request

from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.openapi import OF_THE_SERVICE, may_answer
from openbulk.api.platform.definitions import definition_for
from openbulk.api.platform.own_object_routes import (
    AnInstance,
    ObjectName,
    body_like,
    of_instance,
)
from openbulk.api.platform.transformation_bodies import (
    TRANSFORMATION_EXAMPLE,
    VendorObject,
    parse_object_name,
    parse_transformation,
    parse_vendor_name,
)
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import transformations as wire
from openbulk.api.wire.schema import Nothing
from openbulk.connectors.fields import did_you_mean
from openbulk.connectors.targets import resolve_object
from openbulk.domain.epoch import cut_to_millisecond
from openbulk.domain.errors import BadInput, NotFound
from openbulk.domain.instance import CallingInstance
from openbulk.domain.transformation import Transformation

router = APIRouter(tags=["Transformations"], responses=may_answer(401, 405))
_of_instance = partial(of_instance, router)
_TRANSFORMATION_BODY = body_like(
    {"vendorName": "events", "fields": [{"path": "title", "vendorPath": "summary"}]}
)
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
    return cut_to_millisecond(datetime.now(UTC))


async def _read_transformation(
    name: str, request: Request, services: Services, instance: CallingInstance
) -> Transformation:
    """The transformation in a body, checked with the service. Raises BadInput, ServiceError."""
    body = parse_json_object(await read_body(request), TRANSFORMATION_EXAMPLE)
    parse_object_name(name)
    vendor = await _vendor_object(parse_vendor_name(body), services, instance)
    fields = await definition_for(services, instance, name)
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


def _no_transformation(name: str) -> NotFound:
    return NotFound(
        f"there is no transformation {name[:80]!r} of this instance; "
        f"POST creates it with {TRANSFORMATION_EXAMPLE}"
    )
