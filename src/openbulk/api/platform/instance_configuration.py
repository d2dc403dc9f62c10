"""The configuration of an instance, entry by entry."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from openbulk.api.http.bodies import BoundedRoute
from openbulk.api.http.callers import SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.instance_bodies import ChangedInstance, Configuration, EntryBody
from openbulk.api.platform.instances import SIGNS_IN, InstanceId, change, find_instance
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire import instances as wire
from openbulk.api.wire.ids import parse_id
from openbulk.domain.errors import NotFound

router = APIRouter(tags=["Instances"], responses=may_answer(401, 405), route_class=BoundedRoute)
EntryName = Annotated[
    str, Path(description="Name or number of the entry.", examples=["quota.user.minute"])
]


@router.get(
    "/instances/{instance_id}/configuration",
    summary="List the configuration of an instance",
    responses=answers(list[wire.ConfigurationEntry], 404),
)
async def configuration(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> list[dict[str, Any]]:
    """The entries that the instance has or can have, with secrets masked."""
    instance = await find_instance(services, user, instance_id)
    provider = await services.elements.provider(instance.organization_id, instance.element)
    return wire.present_configuration(instance, provider)


@router.get(
    "/instances/{instance_id}/configuration/{name}",
    summary="Retrieve a configuration entry",
    responses=answers(wire.ConfigurationEntry, 404),
)
async def configuration_entry(
    instance_id: InstanceId, name: EntryName, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """One entry of an instance's configuration, masked if it is secret."""
    entries = await configuration(instance_id, services, user)
    for entry in entries:
        if name in (entry["key"], str(entry["id"])):
            return entry
    names = ", ".join(entry["key"] for entry in entries)
    raise NotFound(f"there is no entry {name!r}; the entries are: {names}")


@router.patch(
    "/instances/{instance_id}/configuration",
    summary="Update the configuration of an instance",
    responses=answers(list[wire.ConfigurationEntry], 404, *SIGNS_IN),
)
async def change_configuration(
    instance_id: InstanceId, entries: Configuration, services: ServicesOfApp, user: SignedInUser
) -> list[dict[str, Any]]:
    """Change some entries. openbulk first checks that the service accepts them."""
    await change(instance_id, ChangedInstance(configuration=entries), services, user)
    return await configuration(instance_id, services, user)


@router.patch(
    "/instances/{instance_id}/configuration/{name}",
    summary="Update a configuration entry",
    responses=answers(wire.ConfigurationEntry, 404, *SIGNS_IN),
)
async def change_configuration_entry(
    instance_id: InstanceId,
    name: EntryName,
    body: EntryBody,
    services: ServicesOfApp,
    user: SignedInUser,
) -> dict[str, Any]:
    """Change one entry. openbulk first checks that the service accepts it."""
    key = name
    if parse_id(name) is not None:
        key = (await configuration_entry(instance_id, name, services, user))["key"]
    changes = ChangedInstance(configuration={key: body.propertyValue})
    await change(instance_id, changes, services, user)
    return await configuration_entry(instance_id, key, services, user)
