"""The objects of an instance, and their fields."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query

from openbulk.api.http.callers import SignedInInstance
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.parameters import ObjectInPath, parse_flag
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.objects import (
    ObjectFields,
    ObjectName,
    Ping,
    VendorObject,
    present_fields,
    present_object,
    present_ping,
)
from openbulk.connectors.targets import resolve_object
from openbulk.domain.errors import InstanceDisabled
from openbulk.domain.instance import CallingInstance
from openbulk.domain.renamed_schemas import schema_from_service
from openbulk.domain.transformation import service_name_of
from openbulk.engine.single_records import Direct

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
    stored = await services.transformations.transformations_of(instance.id)
    own = {one.transformation.name: one.transformation.vendor_name for one in stored}
    names = dict.fromkeys([*own, *await _object_names(services, instance)])
    if version.lower() == "helium":
        return [present_object(name, own.get(name)) for name in names]
    return list(names)


async def _object_names(services: Services, instance: CallingInstance) -> list[str]:
    try:
        connector = (await services.connections.to(instance.id)).connector
        return list(await connector.objects())
    except InstanceDisabled:
        # The live service lists the objects of a disabled instance, as the vendor's tests show.
        if not services.live_compatible:
            raise
    async with services.connections.another(instance.id, even_disabled=True) as connector:
        return list(await connector.objects())


@router.get(
    "/objects/{object:path}/metadata",
    summary="List the fields of an object",
    responses=answers(ObjectFields, 400, 404),
)
async def metadata(
    object: ObjectInPath,
    services: ServicesOfApp,
    instance: SignedInInstance,
    custom_fields_only: Annotated[
        str,
        Query(
            alias="customFieldsOnly",
            description="`true` lists only those that somebody has added at the service.",
            examples=["false"],
        ),
    ] = "",
) -> dict[str, Any]:
    """The fields of an object, each with its path and type, and whether it is required or
    read-only."""
    connector = (await services.connections.to(instance.id)).connector
    only_custom = parse_flag(custom_fields_only, "customFieldsOnly")
    names = await services.transformations.names_of(instance.id, object)
    wanted = service_name_of(object, names)
    schema = await connector.metadata(resolve_object(wanted, await connector.objects()).name)
    if names is not None:
        schema = schema_from_service(names, schema)
    return present_fields(schema, names, only_custom=only_custom)


@router.get("/ping", summary="Check the sign-in of an instance", responses=answers(Ping))
async def ping(services: ServicesOfApp, instance: SignedInInstance) -> dict[str, Any]:
    """Call the service with the credentials of the instance. The answer is an error if it fails."""
    connector = (await services.connections.to(instance.id)).connector
    await Direct(connector, partial(services.transformations.names_of, instance.id)).check()
    return present_ping(instance.element, datetime.now(UTC))
