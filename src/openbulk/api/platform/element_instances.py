"""The instances of one service: the calls of instances below `/elements/{key}`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from openbulk.api.http.bodies import BoundedRoute
from openbulk.api.http.callers import SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize
from openbulk.api.platform import instances
from openbulk.api.platform.catalogue import ElementName, find_provider
from openbulk.api.platform.instance_bodies import ChangedInstance
from openbulk.api.platform.instances import SIGNS_IN, FilterOfList, InstanceId, find_instance
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire import instances as wire
from openbulk.api.wire.schema import Nothing
from openbulk.domain.errors import NotFound

router = APIRouter(
    prefix="/elements/{key}/instances",
    tags=["Instances"],
    responses=may_answer(401, 404, 405),
    route_class=BoundedRoute,
)


async def _instance_of_element(
    key: ElementName, instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> str:
    """The number of an instance of the service. Raises NotFound."""
    provider = await find_provider(services, user, key)
    instance = await find_instance(services, user, instance_id)
    if instance.element != provider.key:
        raise NotFound(
            f"instance {instance.id} is one of {instance.element!r}, and not of {provider.key!r}"
        )
    return instance_id


InstanceOfElement = Annotated[str, Depends(_instance_of_element)]


@router.get(
    "",
    summary="List the instances of a service",
    responses=answers(list[wire.Instance], 400),
)
async def list_of(
    response: Response,
    key: ElementName,
    services: ServicesOfApp,
    user: SignedInUser,
    wanted: FilterOfList,
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The instances of the service in the path, oldest first, page by page.

    The answer is 404 if a filter matches no instance.
    """
    element = (await find_provider(services, user, key)).key
    return await instances.list_page(
        response, services, user, wanted, page_size, next_page, element
    )


@router.get(
    "/{instance_id}",
    summary="Retrieve an instance of a service",
    responses=answers(wire.Instance),
)
async def get_of(
    instance: InstanceOfElement, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """An instance of the service in the path, with its secrets masked."""
    return await instances.get(instance, services, user)


@router.put(
    "/{instance_id}",
    summary="Update an instance of a service",
    responses=answers(wire.Instance, *SIGNS_IN),
)
@router.patch(
    "/{instance_id}",
    summary="Update an instance of a service",
    responses=answers(wire.Instance, *SIGNS_IN),
)
async def change_of(
    instance: InstanceOfElement,
    body: ChangedInstance,
    services: ServicesOfApp,
    user: SignedInUser,
) -> dict[str, Any]:
    """Change an instance of the service in the path, as `PATCH /instances/{id}` does."""
    return await instances.change(instance, body, services, user)


@router.delete(
    "/{instance_id}",
    summary="Delete an instance of a service",
    responses=answers(Nothing, 507),
)
async def delete_of(
    instance: InstanceOfElement, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Delete an instance of the service in the path, as `DELETE /instances/{id}` does."""
    return await instances.delete(instance, services, user)
