"""Instances: signing in to a service, and changing or deleting what was signed in."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, Response

from openbulk.api.bulk.job_requests import MAX_PAGE, NextPage, PageSize, number, tell_of_page
from openbulk.api.http.callers import SignedInInstance, SignedInUser
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.platform.authorization import signed_in
from openbulk.api.platform.bodies import (
    BoundedRoute,
    ChangedInstance,
    Configuration,
    EntryBody,
    InstanceBody,
)
from openbulk.api.platform.catalogue import number_of, provider_named
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import shapes
from openbulk.api.wire.answers import ConfigurationEntry, Nothing
from openbulk.api.wire.answers import Instance as InstanceAnswer
from openbulk.api.wire.ids import id_in
from openbulk.connectors.auth import API_KEY, REFRESH_TOKEN
from openbulk.domain.errors import BadInput, NotFound, ServiceError
from openbulk.domain.instance import Instance
from openbulk.security import new_secret
from openbulk.storage.accounts import User

log = structlog.get_logger()
router = APIRouter(tags=["Instances"], responses=may_answer(401, 405), route_class=BoundedRoute)
InstanceId = Annotated[str, Path(description="the instance's number", examples=["1"])]
EntryName = Annotated[
    str, Path(description="the key of an entry, or its number", examples=["quota.user.minute"])
]
NewElement = Annotated[str, Path(description="a service's key, or its number", examples=["memory"])]
_SIGNS_IN = (400, 413, *OF_THE_SERVICE)
"""What an operation may answer that sees whether credentials work."""
REVOKE_SECONDS = 10.0
"""How long a service is waited for that should hear that an instance is gone."""


@router.post(
    "/instances", summary="Sign in to a service", responses=answers(InstanceAnswer, 404, *_SIGNS_IN)
)
async def create(body: InstanceBody, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Make an instance. Its token is in this answer and in no other.

    A calendar of Google's: `{"element": {"key": "googlecalendar"}, "configuration": {"oauth.api.key": "...",
    "oauth.api.secret": "...", "oauth.callback.url": "https://..."}, "providerData": {"code": "..."}}`.
    """
    if body.element is None:
        raise BadInput('the body names no service; add "element": {"key": "googlecalendar"}')
    return await _create(body.element.key, body, services, user)


@router.post(
    "/elements/{key}/instances",
    summary="Sign in to this service",
    responses=answers(InstanceAnswer, 404, *_SIGNS_IN),
)
async def create_of(
    key: NewElement, body: InstanceBody, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Make an instance of the service in the path."""
    return await _create(key, body, services, user)


async def _create(key: str, body: InstanceBody, services: Services, user: User) -> dict[str, Any]:
    provider = provider_named(services, key)
    configuration = await signed_in(
        provider, _texts(body.configuration), body.providerData, services, user
    )
    token = new_secret()
    instance = await services.accounts.add_instance(
        organization_id=user.organization_id,
        element=provider.key,
        name=body.name or provider.name,
        token=token,
        configuration=configuration,
        tags=body.tags or (),
        now=datetime.now(UTC),
    )
    return _present(services, instance, user, token)


@router.get(
    "/instances", summary="All instances", responses=answers(list[InstanceAnswer], 400, 404)
)
async def list_all(
    response: Response,
    services: ServicesOfApp,
    user: SignedInUser,
    search: Annotated[
        str, Query(alias="searchText", description="a text in the name", examples=["choir"])
    ] = "",
    tags: Annotated[
        Sequence[str], Query(alias="tags[]", description="tags that it has", examples=[["choir"]])
    ] = (),
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The instances of the caller's organization, oldest first, page by page: those with all of the tags, and with the
    text in their name. 404 where a filter finds none."""
    limit = number(page_size or str(MAX_PAGE), "pageSize", least=1, most=MAX_PAGE)
    after = number(next_page or "0", "nextPage", least=0)
    wanted = frozenset(filter(None, tags))
    found = [
        instance
        for instance in await services.accounts.instances_of(user.organization_id)
        if wanted <= set(instance.tags) and search.lower() in instance.name.lower()
    ]
    if not found and (wanted or search):
        raise NotFound("there is no instance with these tags and this text in its name")
    rest = [instance for instance in found if instance.id > after]
    page = rest[:limit]
    tell_of_page(response, len(page), page[-1].id if len(rest) > limit else None)
    return [_present(services, instance, user) for instance in page]


@router.put(
    "/instances/{instance_id}/enabled",
    summary="Enable an instance",
    responses=answers(InstanceAnswer, 404, 507),
)
async def enable(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Let its jobs go on."""
    return await change(instance_id, ChangedInstance(disabled=False), services, user)


@router.delete(
    "/instances/{instance_id}/enabled",
    summary="Disable an instance",
    responses=answers(InstanceAnswer, 404, 507),
)
async def disable(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Have its jobs wait until it is enabled again."""
    return await change(instance_id, ChangedInstance(disabled=True), services, user)


@router.get(
    "/instances/{instance_id}/configuration",
    summary="The configuration of an instance",
    responses=answers(list[ConfigurationEntry], 404),
)
async def configuration(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> list[dict[str, Any]]:
    """Each entry that it has or could have; what is secret is masked."""
    instance = await _instance(services, user, instance_id)
    return shapes.configuration(instance, services.providers[instance.element])


@router.get(
    "/instances/{instance_id}/configuration/{name}",
    summary="One entry of it",
    responses=answers(ConfigurationEntry, 404),
)
async def configuration_entry(
    instance_id: InstanceId, name: EntryName, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """By its key, or by its number."""
    entries = await configuration(instance_id, services, user)
    for entry in entries:
        if name in (entry["key"], str(entry["id"])):
            return entry
    raise NotFound(
        f"there is no entry {name!r}; the entries are: {', '.join(one['key'] for one in entries)}"
    )


@router.patch(
    "/instances/{instance_id}/configuration",
    summary="Change entries of an instance's configuration",
    responses=answers(list[ConfigurationEntry], 404, *_SIGNS_IN),
)
async def change_configuration(
    instance_id: InstanceId, entries: Configuration, services: ServicesOfApp, user: SignedInUser
) -> list[dict[str, Any]]:
    """Those that are given; the credentials are seen to work first."""
    await change(instance_id, ChangedInstance(configuration=entries), services, user)
    return await configuration(instance_id, services, user)


@router.patch(
    "/instances/{instance_id}/configuration/{name}",
    summary="Change one entry of it",
    responses=answers(ConfigurationEntry, 404, *_SIGNS_IN),
)
async def change_configuration_entry(
    instance_id: InstanceId,
    name: EntryName,
    body: EntryBody,
    services: ServicesOfApp,
    user: SignedInUser,
) -> dict[str, Any]:
    """By its key, or by its number."""
    key = (
        name
        if id_in(name) is None
        else (await configuration_entry(instance_id, name, services, user))["key"]
    )
    await change(
        instance_id, ChangedInstance(configuration={key: body.propertyValue}), services, user
    )
    return await configuration_entry(instance_id, key, services, user)


@router.put(
    "/instances",
    summary="Change the instance whose token is sent",
    responses=answers(InstanceAnswer, *_SIGNS_IN),
)
@router.patch(
    "/instances",
    summary="Change the instance whose token is sent",
    responses=answers(InstanceAnswer, *_SIGNS_IN),
)
async def change_own(
    body: ChangedInstance, services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance
) -> dict[str, Any]:
    """As by its number."""
    return await change(str(instance.id), body, services, user)


@router.delete(
    "/instances", summary="Delete the instance whose token is sent", responses=answers(Nothing, 507)
)
async def delete_own(
    services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance
) -> dict[str, Any]:
    """As by its number."""
    return await delete(str(instance.id), services, user)


@router.get(
    "/instances/{instance_id}", summary="One instance", responses=answers(InstanceAnswer, 404)
)
async def get(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """An instance, without its secrets."""
    return _present(services, await _instance(services, user, instance_id), user)


@router.put(
    "/instances/{instance_id}",
    summary="Change an instance",
    responses=answers(InstanceAnswer, 404, *_SIGNS_IN),
)
@router.patch(
    "/instances/{instance_id}",
    summary="Change an instance",
    responses=answers(InstanceAnswer, 404, *_SIGNS_IN),
)
async def change(
    instance_id: InstanceId, body: ChangedInstance, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Change name, tags or configuration, sign in again, disable or enable. Its waiting jobs try again at once."""
    instance = await _instance(services, user, instance_id)
    configuration = instance.configuration
    if body.configuration or body.providerData:
        # Who sends back what was shown to him means the secrets that were not.
        told = {
            name: value
            for name, value in _texts(body.configuration).items()
            if value != shapes.MASK
        }
        changed = {**instance.configuration, **told}
        provider = provider_named(services, instance.element)
        configuration = await signed_in(provider, changed, body.providerData, services, user)
    wanted = replace(
        instance,
        name=instance.name if body.name is None else body.name,
        tags=instance.tags if body.tags is None else tuple(body.tags),
        disabled=instance.disabled if body.disabled is None else body.disabled,
        configuration=configuration,
    )
    changed_instance = await services.accounts.change_instance(instance, wanted)
    if changed_instance is None:
        raise NotFound(f"instance {instance.id} was deleted in the same moment")
    await services.intake.instance_changed(instance.id)
    return _present(services, changed_instance, user)


@router.delete(
    "/instances/{instance_id}", summary="Delete an instance", responses=answers(Nothing, 404, 507)
)
async def delete(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Forget an instance, give its access back; its jobs that are not finished stop, and its schedules end."""
    instance = await _instance(services, user, instance_id)
    await services.schedules.delete_of(instance.id)
    await services.accounts.delete_instance(instance.id)
    await services.intake.instance_changed(instance.id)
    await _revoke(services, instance)
    return {}


async def _revoke(services: Services, instance: Instance) -> None:
    """Give back what an instance that is gone was allowed. It is gone all the same where the service is not there."""
    oauth = services.providers[instance.element].oauth
    if (
        oauth is None
        or REFRESH_TOKEN not in instance.configuration
        or await _is_shared(services, instance)
    ):
        return
    try:
        async with asyncio.timeout(REVOKE_SECONDS):
            await oauth.revoke(instance.configuration, services.http)
    except (ServiceError, TimeoutError) as error:
        log.warning(
            "access not revoked", instance=instance.id, reason=str(error) or "no answer in time"
        )


async def _is_shared(services: Services, deleted: Instance) -> bool:
    """Whether another instance is signed in through the same application.

    It may be the same person's, and Google ends all access of a person and an application together: it would be
    signed out, too (https://github.com/Significant-Gravitas/AutoGPT/pull/10493).
    """
    return any(
        other.element == deleted.element
        and REFRESH_TOKEN in other.configuration
        and other.configuration.get(API_KEY) == deleted.configuration.get(API_KEY)
        for other in await services.accounts.instances_of(deleted.organization_id)
    )


def _texts(configuration: Configuration | None) -> dict[str, str]:
    """Configuration entries as text; an entry set to null is left out."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in (configuration or {}).items()
        if value is not None
    }


async def _instance(services: Services, user: User, instance_id: str) -> Instance:
    number = id_in(instance_id)
    found = None if number is None else await services.accounts.instance(number)
    if found is None or found.organization_id != user.organization_id:
        raise NotFound(f"there is no instance {instance_id!r}")
    return found


def _present(
    services: Services, instance: Instance, user: User, token: str = shapes.MASK
) -> dict[str, Any]:
    provider = services.providers[instance.element]
    return shapes.instance(instance, provider, number_of(services, provider.key), user, token)
