"""The calling instance, by its token: the calls of instances without a number in the path."""

from typing import Any

from fastapi import APIRouter

from openbulk.api.http.bodies import BoundedRoute
from openbulk.api.http.callers import SignedInInstance, SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.instance_bodies import ChangedInstance, Configuration, EntryBody
from openbulk.api.platform.instance_configuration import (
    EntryName,
    change_configuration,
    change_configuration_entry,
    configuration,
    configuration_entry,
)
from openbulk.api.platform.instances import SIGNS_IN, change, delete, disable, enable
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire import instances as wire
from openbulk.api.wire.schema import Nothing

router = APIRouter(tags=["Instances"], responses=may_answer(401, 405), route_class=BoundedRoute)


@router.put(
    "/instances/enabled",
    summary="Enable the calling instance",
    responses=answers(wire.Instance, 507),
)
async def enable_own(
    services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance
) -> dict[str, Any]:
    """Continue the jobs of the instance whose token is in the Authorization header."""
    return await enable(str(instance.id), services, user)


@router.delete(
    "/instances/enabled",
    summary="Disable the calling instance",
    responses=answers(wire.Instance, 507),
)
async def disable_own(
    services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance
) -> dict[str, Any]:
    """Pause the jobs of the instance whose token is in the Authorization header."""
    return await disable(str(instance.id), services, user)


@router.put(
    "/instances",
    summary="Update the calling instance",
    responses=answers(wire.Instance, *SIGNS_IN),
)
@router.patch(
    "/instances",
    summary="Update the calling instance",
    responses=answers(wire.Instance, *SIGNS_IN),
)
async def change_own(
    body: ChangedInstance, services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance
) -> dict[str, Any]:
    """Change the instance whose token is in the Authorization header."""
    return await change(str(instance.id), body, services, user)


@router.delete("/instances", summary="Delete the calling instance", responses=answers(Nothing, 507))
async def delete_own(
    services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance
) -> dict[str, Any]:
    """Delete the instance whose token is in the Authorization header."""
    return await delete(str(instance.id), services, user)


@router.get(
    "/instances/configuration",
    summary="List the configuration of the calling instance",
    responses=answers(list[wire.ConfigurationEntry]),
)
async def own_configuration(
    services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance
) -> list[dict[str, Any]]:
    """The entries that the instance has or can have, with secrets masked."""
    return await configuration(str(instance.id), services, user)


@router.get(
    "/instances/configuration/{name}",
    summary="Retrieve a configuration entry of the calling instance",
    responses=answers(wire.ConfigurationEntry, 404),
)
async def own_configuration_entry(
    name: EntryName, services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance
) -> dict[str, Any]:
    """One entry of the instance's configuration, masked if it is secret."""
    return await configuration_entry(str(instance.id), name, services, user)


@router.patch(
    "/instances/configuration",
    summary="Update the configuration of the calling instance",
    responses=answers(list[wire.ConfigurationEntry], *SIGNS_IN),
)
async def change_own_configuration(
    entries: Configuration,
    services: ServicesOfApp,
    user: SignedInUser,
    instance: SignedInInstance,
) -> list[dict[str, Any]]:
    """Change some entries. openbulk first checks that the service accepts them."""
    return await change_configuration(str(instance.id), entries, services, user)


@router.patch(
    "/instances/configuration/{name}",
    summary="Update a configuration entry of the calling instance",
    responses=answers(wire.ConfigurationEntry, 404, *SIGNS_IN),
)
async def change_own_configuration_entry(
    name: EntryName,
    body: EntryBody,
    services: ServicesOfApp,
    user: SignedInUser,
    instance: SignedInInstance,
) -> dict[str, Any]:
    """Change one entry. openbulk first checks that the service accepts it."""
    return await change_configuration_entry(str(instance.id), name, body, services, user)
