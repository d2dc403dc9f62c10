"""The catalogue of services that instances can be made of: hubs, and the elements in them."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from openbulk.api.http.callers import SignedInCaller, SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.parameters import parse_flag
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.elements import (
    HUBS,
    CustomElement,
    Element,
    ElementKeyName,
    ElementMetadata,
    ElementMetadataWithObjects,
    ElementWithEntries,
    Hub,
    HubName,
    HubWithCalls,
    present_element,
    present_hub,
    present_metadata,
    present_objects,
    present_whole_element,
)
from openbulk.connectors.base import Provider
from openbulk.connectors.fields import did_you_mean
from openbulk.domain.errors import NotFound, ServiceError
from openbulk.domain.people import User

router = APIRouter(tags=["Elements"], responses=may_answer(401, 405))
ElementName = Annotated[
    str, Path(description="Key or number of the service.", examples=["googlecalendar"])
]
HubKey = Annotated[str, Path(description="Key of the hub.", examples=["scheduling"])]


_IN_HUB = "/elements/api-v2/hubs/{hub}"


@router.get("/hubs", summary="List hubs", responses=answers(list[Hub] | list[HubWithCalls], 400))
async def hubs(
    request: Request,
    user: SignedInUser,
    hydrate: Annotated[
        str, Query(description="`true` lists the calls below each hub, too.", examples=["true"])
    ] = "",
) -> list[dict[str, Any]]:
    """The hubs of the bulk API, including those without an element on this server."""
    shapes = [present_hub(hub) for hub in sorted(HUBS)]
    if not parse_flag(hydrate, "hydrate"):
        return shapes
    return [{**shape, "resources": _calls_below(request, shape["key"])} for shape in shapes]


def _calls_below(request: Request, hub: str) -> list[dict[str, Any]]:
    return [
        {
            "method": method.upper(),
            "path": f"/hubs/{hub}{path.removeprefix(_IN_HUB)}",
            "description": operation["summary"],
        }
        for path, operations in request.app.openapi()["paths"].items()
        if path.startswith(f"{_IN_HUB}/")
        for method, operation in operations.items()
    ]


@router.get("/hubs/keys", summary="List the keys of hubs", responses=answers(list[HubName]))
async def hub_keys(user: SignedInUser) -> list[str]:
    """The keys of the hubs, as paths have them."""
    return sorted(HUBS)


@router.get("/hubs/{hub}", summary="Retrieve a hub", responses=answers(Hub, 404))
async def hub(hub: HubKey, user: SignedInUser) -> dict[str, Any]:
    """A hub."""
    check_hub(hub)
    return present_hub(hub)


@router.get(
    "/hubs/{hub}/elements",
    summary="List the elements of a hub",
    responses=answers(list[Element], 404),
)
async def elements_of(
    hub: HubKey, services: ServicesOfApp, user: SignedInUser
) -> list[dict[str, Any]]:
    """The services of a hub that instances can be made of."""
    check_hub(hub)
    return [one for one in await elements(services, user) if one["hub"] == hub]


@router.get("/elements", summary="List elements", responses=answers(list[Element]))
async def elements(services: ServicesOfApp, user: SignedInUser) -> list[dict[str, Any]]:
    """The services that instances can be made of, custom connectors included."""
    catalogue = await services.elements.on_offer_to(user.organization_id)
    return [
        present_element(provider, catalogue.numbers[key])
        for key, provider in catalogue.providers.items()
    ]


@router.get(
    "/elements/keys", summary="List the keys of elements", responses=answers(list[ElementKeyName])
)
async def element_keys(services: ServicesOfApp, user: SignedInUser) -> list[str]:
    """The keys of the services, as paths have them."""
    return list((await services.elements.on_offer_to(user.organization_id)).providers)


@router.get(
    "/elements/metadata",
    summary="List what elements can do",
    responses=answers(list[ElementMetadata]),
)
async def all_metadata(services: ServicesOfApp, user: SignedInUser) -> list[dict[str, Any]]:
    """The services, and their bulk operations."""
    catalogue = await services.elements.on_offer_to(user.organization_id)
    return [
        present_metadata(provider, catalogue.numbers[key])
        for key, provider in catalogue.providers.items()
    ]


@router.get(
    "/elements/{key}",
    summary="Retrieve an element",
    responses=answers(ElementWithEntries | CustomElement, 404),
)
async def element(key: ElementName, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """A service, with the configuration entries of its instances."""
    found = await find_element(services, user, key)
    return present_whole_element(found.provider, found.number)


@router.get(
    "/elements/{key}/metadata",
    summary="Retrieve what an element can do",
    responses=answers(ElementMetadataWithObjects, 404),
)
async def metadata(
    key: ElementName, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """A service, and its bulk operations.

    With the token of an instance, the answer also has the operations of each object.
    """
    found = await find_element(services, caller.user, key)
    provider = found.provider
    shape = present_metadata(provider, found.number)
    if caller.instance is None or caller.instance.element != provider.key:
        return shape
    try:
        objects = await (await services.connections.to(caller.instance.id)).connector.objects()
    except ServiceError:
        return shape
    return {**shape, "resources": present_objects(objects)}


def check_hub(hub: str) -> None:
    """Raise NotFound if there is no such hub."""
    if hub not in HUBS:
        hint = did_you_mean(hub, HUBS, f"the hubs are: {', '.join(sorted(HUBS))}")
        raise NotFound(f"there is no hub {hub!r}; {hint}")


@dataclass(frozen=True, slots=True)
class FoundElement:
    """A service, and its number on this server."""

    provider: Provider
    number: int


async def find_element(services: Services, user: User, key: str) -> FoundElement:
    """The service with this key or number. Raises NotFound."""
    catalogue = await services.elements.on_offer_to(user.organization_id)
    provider = catalogue.find(key)
    if provider is None:
        keys = ", ".join(catalogue.providers)
        hint = _MEMORY_IS_OFF if key == "memory" else ""
        raise NotFound(f"there is no element {key[:80]!r}; the elements are: {keys}{hint}")
    return FoundElement(provider, catalogue.numbers[provider.key])


async def find_provider(services: Services, user: User, key: str) -> Provider:
    """The service with this key or number. Raises NotFound."""
    return (await find_element(services, user, key)).provider


_MEMORY_IS_OFF = "; this server offers memory only with OPENBULK_MEMORY_CONNECTOR=true"
