"""What instances can be made of: hubs, and the elements in them."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from openbulk.api.http.callers import SignedInUser, instance_of_request
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import shapes
from openbulk.api.wire.answers import Element, ElementMetadata, ElementWithSettings, Hub, HubName
from openbulk.api.wire.ids import id_in
from openbulk.connectors.base import Provider
from openbulk.domain.errors import NotFound, NotSignedIn, ServiceError

router = APIRouter(tags=["Elements"], responses=may_answer(401, 405))
ElementName = Annotated[
    str, Path(description="a service's key, or its number", examples=["googlecalendar"])
]
HubKey = Annotated[str, Path(description="the key of a hub", examples=["scheduling"])]

HUBS = frozenset(
    [
        "messaging",
        "documents",
        "esignature",
        "idmanagement",
        "marketing",
        "pointofsale",
        "general",
        "finance",
        "questback",
        "ocr",
        "monitoring",
        "db",
        "sageaccounting",
        "sagepayroll",
        "native",
        "fsa",
        "helpdesk",
        "ecommerce",
        "collaboration",
        "conferencing",
        "payment",
        "billing",
        "expense",
        "employee",
        "scheduling",
        "crm",
        "analytics",
        "erp",
        "humancapital",
        "social",
        "rewards",
        "screening",
    ]
)
"""The hubs of the service that we replace. A hub in a path is a prefix and nothing more."""


@router.get("/hubs", summary="All hubs", responses=answers(list[Hub]))
async def hubs(user: SignedInUser) -> list[dict[str, Any]]:
    """The hubs of the service that we replace, also those that have no element here."""
    return [{"key": key, "name": key} for key in sorted(HUBS)]


@router.get("/hubs/keys", summary="The keys of all hubs", responses=answers(list[HubName]))
async def hub_keys(user: SignedInUser) -> list[str]:
    """As they stand in paths."""
    return sorted(HUBS)


@router.get("/hubs/{hub}", summary="One hub", responses=answers(Hub, 404))
async def hub(hub: HubKey, user: SignedInUser) -> dict[str, Any]:
    """A hub by its key."""
    check_hub(hub)
    return {"key": hub, "name": hub}


@router.get(
    "/hubs/{hub}/elements", summary="The elements of a hub", responses=answers(list[Element], 404)
)
async def elements_of(
    hub: HubKey, services: ServicesOfApp, user: SignedInUser
) -> list[dict[str, Any]]:
    """The services in a hub that instances can be made of."""
    check_hub(hub)
    return [
        _shown(services, provider)
        for provider in services.providers.values()
        if provider.hub == hub
    ]


@router.get("/elements", summary="All elements", responses=answers(list[Element]))
async def elements(services: ServicesOfApp, user: SignedInUser) -> list[dict[str, Any]]:
    """The services that instances can be made of."""
    return [_shown(services, provider) for provider in services.providers.values()]


@router.get("/elements/{key}", summary="One element", responses=answers(ElementWithSettings, 404))
async def element(key: ElementName, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """A service by its key or its number, with the configuration that its instances take."""
    provider = provider_named(services, key)
    return {**_shown(services, provider), "configuration": shapes.settings(provider)}


@router.get(
    "/elements/{key}/metadata",
    summary="What an element can do",
    responses=answers(ElementMetadata, 404),
)
async def metadata(
    request: Request, key: ElementName, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """A service, and whether it can be loaded in bulk; with an instance's token, each of its objects, too."""
    provider = provider_named(services, key)
    shown = {**_shown(services, provider), "bulk": {"upload": True, "download": True}}
    try:
        instance = await instance_of_request(request, services, user)
        if instance.element != provider.key:
            return shown
        objects = await (await services.connections.to(instance.id)).connector.objects()
    except (NotSignedIn, ServiceError):
        return shown  # what is known without it
    return {**shown, "resources": shapes.object_support(objects)}


def check_hub(hub: str) -> None:
    """Raises NotFound for what is no hub."""
    if hub not in HUBS:
        raise NotFound(f"there is no hub {hub!r}; the hubs are: {', '.join(sorted(HUBS))}")


def _shown(services: Services, provider: Provider) -> dict[str, Any]:
    return shapes.element(provider, number_of(services, provider.key))


def provider_named(services: Services, key: str) -> Provider:
    """The service with a key, or with the number of one. Raises NotFound."""
    by_number = dict(enumerate(services.providers.values(), 1))
    provider = services.providers.get(key) or by_number.get(id_in(key) or 0)
    if provider is None:
        raise NotFound(
            f"there is no element {key!r}; the elements are: {', '.join(services.providers)}"
        )
    return provider


def number_of(services: Services, key: str) -> int:
    """The number under which a service is known beside its key."""
    return list(services.providers).index(key) + 1
