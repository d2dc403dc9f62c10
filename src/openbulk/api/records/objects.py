"""The objects of an instance, and their fields."""

from typing import Annotated, Any

from fastapi import APIRouter, Header

from openbulk.api.http.callers import SignedInInstance
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.parameters import ObjectInPath
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.objects import (
    ObjectFields,
    ObjectName,
    VendorObject,
    present_fields,
    present_object,
)
from openbulk.connectors.targets import resolve_object
from openbulk.domain.renamed_schemas import schema_from_service

router = APIRouter(tags=["Objects"], responses=may_answer(405, *OF_THE_SERVICE))


@router.get(
    "/objects",
    summary="List objects",
    responses=answers(list[ObjectName] | list[VendorObject]),
)
async def objects(
    services: ServicesOfApp,
    instance: SignedInInstance,
    version: Annotated[
        str,
        Header(
            alias="Elements-Version",
            description="`Hydrogen` lists names, `Helium` lists objects with a name and a type.",
            examples=["Hydrogen"],
        ),
    ] = "Hydrogen",
) -> list[Any]:
    """The objects that can be read or written: their names, or JSON objects with the header
    `Elements-Version: Helium`."""
    connector = (await services.connections.to(instance.id)).connector
    stored = await services.transformations.transformations_of(instance.id)
    own = {one.transformation.name: one.transformation.vendor_name for one in stored}
    names = dict.fromkeys([*own, *await connector.objects()])
    if version.lower() == "helium":
        return [present_object(name, own.get(name)) for name in names]
    return list(names)


@router.get(
    "/objects/{object:path}/metadata",
    summary="List the fields of an object",
    responses=answers(ObjectFields, 404),
)
async def metadata(
    object: ObjectInPath, services: ServicesOfApp, instance: SignedInInstance
) -> dict[str, Any]:
    """The fields of an object, each with its path and type, and whether it is required or
    read-only."""
    connector = (await services.connections.to(instance.id)).connector
    names = await services.transformations.names_of(instance.id, object)
    if names is None:
        return present_fields(await connector.metadata(object))
    resolved = resolve_object(names.vendor_name, await connector.objects())
    schema = schema_from_service(names, await connector.metadata(resolved.name))
    return present_fields(schema, names)
