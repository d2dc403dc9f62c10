"""What an instance holds: its objects, and their fields."""

from typing import Annotated, Any

from fastapi import APIRouter, Header

from openbulk.api import shapes
from openbulk.api.callers import SignedInInstance
from openbulk.api.services import ServicesOfApp

router = APIRouter(tags=["Objects"])


@router.get("/objects", summary="The objects of an instance")
async def objects(
    services: ServicesOfApp,
    instance: SignedInInstance,
    version: Annotated[str, Header(alias="Elements-Version")] = "Hydrogen",
) -> list[str] | list[dict[str, Any]]:
    """The names of the objects that can be read or written; with `Elements-Version: Helium`, what each of them is."""
    connector = (await services.connections.to(instance.id)).connector
    names = list(await connector.objects())
    if version.lower() == "helium":
        return [{"name": name, "vendorName": name, "type": "vendor"} for name in names]
    return names


@router.get("/objects/{object:path}/metadata", summary="The fields of an object")
async def metadata(object: str, services: ServicesOfApp, instance: SignedInInstance) -> dict[str, Any]:
    """The fields of an object: path, type, whether required, whether read-only."""
    connector = (await services.connections.to(instance.id)).connector
    return shapes.fields(await connector.metadata(object))
