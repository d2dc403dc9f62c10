"""What an instance holds: its objects, and their fields."""

from typing import Any

from fastapi import APIRouter

from openbulk.api import shapes
from openbulk.api.callers import SignedInInstance
from openbulk.api.services import ServicesOfApp

router = APIRouter(tags=["Objects"])


@router.get("/objects", summary="The objects of an instance")
async def objects(services: ServicesOfApp, instance: SignedInInstance) -> list[str]:
    """The names of the objects that can be read or written."""
    connector = (await services.connections.to(instance.id)).connector
    return list(await connector.objects())


@router.get("/objects/{object:path}/metadata", summary="The fields of an object")
async def metadata(object: str, services: ServicesOfApp, instance: SignedInInstance) -> dict[str, Any]:
    """The fields of an object: path, type, whether required, whether read-only."""
    connector = (await services.connections.to(instance.id)).connector
    return shapes.fields(await connector.metadata(object))
