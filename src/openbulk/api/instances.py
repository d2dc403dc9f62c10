"""Instances: signing in to a service, and changing or deleting what was signed in."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from openbulk.api import shapes
from openbulk.api.callers import SignedInInstance, SignedInUser
from openbulk.api.ids import id_in
from openbulk.api.jobs import MAX_PAGE, number, tell_of_page
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.sign_ins import SignIn, state_with, verifier_in
from openbulk.connectors.auth import API_KEY, REFRESH_TOKEN, challenge_of
from openbulk.connectors.base import AuthorizeRequest, OAuth, Provider
from openbulk.domain.errors import BadInput, NotFound, ServiceError
from openbulk.domain.instance import Instance
from openbulk.notify.egress import check_url
from openbulk.security import new_secret
from openbulk.storage.accounts import User

log = structlog.get_logger()
router = APIRouter(tags=["Instances"])
REVOKE_SECONDS = 10.0
"""How long a service is waited for that should hear that an instance is gone."""


class ElementKey(BaseModel):
    """Which service an instance is made of."""

    key: str = Field(examples=["googlecalendar"])


Configuration = dict[str, str | bool | int | float | None]


class EntryBody(BaseModel):
    """A new value of one entry of an instance's configuration."""

    propertyValue: str | bool | int | float | None  # noqa: N815 - the wire contract's name


class SignInBody(BaseModel):
    """What `GET /elements/{key}/oauth/url` has in its address."""

    model_config = ConfigDict(extra="ignore")

    apiKey: str = ""  # noqa: N815 - the wire contract's names, all of these
    apiSecret: str = ""  # noqa: N815
    callbackUrl: str = ""  # noqa: N815
    scope: str = ""
    state: str = ""
    pkce: bool = False
    siteAddress: str = ""  # noqa: N815


class InstanceBody(BaseModel):
    """What a caller says of an instance. On a change, what is left out stays as it is."""

    model_config = ConfigDict(extra="ignore")

    element: ElementKey | None = None
    name: str | None = Field(None, max_length=500)
    configuration: Configuration | None = None
    providerData: dict[str, str] | None = None  # noqa: N815 - the wire contract's name
    tags: list[str] | None = None
    disabled: bool | None = None


@router.post("/instances", summary="Sign in to a service")
async def create(body: InstanceBody, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Make an instance. Its token is in this answer and in no other."""
    if body.element is None:
        raise BadInput('the body names no service; add "element": {"key": "googlecalendar"}')
    return await _create(body.element.key, body, services, user)


@router.post("/elements/{key}/instances", summary="Sign in to this service")
async def create_of(key: str, body: InstanceBody, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Make an instance of the service in the path."""
    return await _create(key, body, services, user)


async def _create(key: str, body: InstanceBody, services: Services, user: User) -> dict[str, Any]:
    provider = provider_named(services, key)
    configuration = await _signed_in(provider, _texts(body.configuration), body.providerData, services, user)
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


@router.get("/instances", summary="All instances")
async def list_all(
    response: Response,
    services: ServicesOfApp,
    user: SignedInUser,
    search: Annotated[str, Query(alias="searchText")] = "",
    tags: Annotated[Sequence[str], Query(alias="tags[]")] = (),
    page_size: Annotated[str, Query(alias="pageSize")] = "",
    next_page: Annotated[str, Query(alias="nextPage")] = "",
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


@router.put("/instances/{instance_id}/enabled", summary="Enable an instance")
async def enable(instance_id: str, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Let its jobs go on."""
    return await change(instance_id, InstanceBody(disabled=False), services, user)


@router.delete("/instances/{instance_id}/enabled", summary="Disable an instance")
async def disable(instance_id: str, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Have its jobs wait until it is enabled again."""
    return await change(instance_id, InstanceBody(disabled=True), services, user)


@router.get("/instances/{instance_id}/configuration", summary="The configuration of an instance")
async def configuration(instance_id: str, services: ServicesOfApp, user: SignedInUser) -> list[dict[str, Any]]:
    """Each entry that it has or could have; what is secret is masked."""
    instance = await _instance(services, user, instance_id)
    return shapes.configuration(instance, services.providers[instance.element])


@router.get("/instances/{instance_id}/configuration/{name}", summary="One entry of it")
async def configuration_entry(
    instance_id: str, name: str, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """By its key, or by its number."""
    entries = await configuration(instance_id, services, user)
    for entry in entries:
        if name in (entry["key"], str(entry["id"])):
            return entry
    raise NotFound(f"there is no entry {name!r}; the entries are: {', '.join(one['key'] for one in entries)}")


@router.patch("/instances/{instance_id}/configuration", summary="Change entries of an instance's configuration")
async def change_configuration(
    instance_id: str, entries: Configuration, services: ServicesOfApp, user: SignedInUser
) -> list[dict[str, Any]]:
    """Those that are given; the credentials are seen to work first."""
    await change(instance_id, InstanceBody(configuration=entries), services, user)
    return await configuration(instance_id, services, user)


@router.patch("/instances/{instance_id}/configuration/{name}", summary="Change one entry of it")
async def change_configuration_entry(
    instance_id: str, name: str, body: EntryBody, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """By its key, or by its number."""
    key = name if id_in(name) is None else (await configuration_entry(instance_id, name, services, user))["key"]
    await change(instance_id, InstanceBody(configuration={key: body.propertyValue}), services, user)
    return await configuration_entry(instance_id, key, services, user)


@router.put("/instances", summary="Change the instance whose token is sent")
@router.patch("/instances", summary="Change the instance whose token is sent")
async def change_own(
    body: InstanceBody, services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance
) -> dict[str, Any]:
    """As by its number."""
    return await change(str(instance.id), body, services, user)


@router.delete("/instances", summary="Delete the instance whose token is sent")
async def delete_own(services: ServicesOfApp, user: SignedInUser, instance: SignedInInstance) -> dict[str, Any]:
    """As by its number."""
    return await delete(str(instance.id), services, user)


@router.get("/instances/{instance_id}", summary="One instance")
async def get(instance_id: str, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """An instance, without its secrets."""
    return _present(services, await _instance(services, user, instance_id), user)


@router.put("/instances/{instance_id}", summary="Change an instance")
@router.patch("/instances/{instance_id}", summary="Change an instance")
async def change(instance_id: str, body: InstanceBody, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Change name, tags or configuration, sign in again, disable or enable. Its waiting jobs try again at once."""
    instance = await _instance(services, user, instance_id)
    configuration = instance.configuration
    if body.configuration or body.providerData:
        # Who sends back what was shown to him means the secrets that were not.
        told = {name: value for name, value in _texts(body.configuration).items() if value != shapes.MASK}
        changed = {**instance.configuration, **told}
        provider = provider_named(services, instance.element)
        configuration = await _signed_in(provider, changed, body.providerData, services, user)
    instance = replace(
        instance,
        name=instance.name if body.name is None else body.name,
        tags=instance.tags if body.tags is None else tuple(body.tags),
        disabled=instance.disabled if body.disabled is None else body.disabled,
        configuration=configuration,
    )
    await services.accounts.change_instance(instance)
    await services.engine.instance_changed(instance.id)
    return _present(services, instance, user)


@router.delete("/instances/{instance_id}", summary="Delete an instance")
async def delete(instance_id: str, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Forget an instance, give its access back; its jobs that are not finished stop, and its schedules end."""
    instance = await _instance(services, user, instance_id)
    await services.schedules.delete_of(instance.id)
    await services.accounts.delete_instance(instance.id)
    await services.engine.instance_changed(instance.id)
    await _revoke(services, instance)
    return {}


async def _revoke(services: Services, instance: Instance) -> None:
    """Give back what an instance that is gone was allowed. It is gone all the same where the service is not there."""
    oauth = services.providers[instance.element].oauth
    if oauth is None or REFRESH_TOKEN not in instance.configuration or await _is_shared(services, instance):
        return
    try:
        async with asyncio.timeout(REVOKE_SECONDS):
            await oauth.revoke(instance.configuration, services.http)
    except (ServiceError, TimeoutError) as error:
        log.warning("access not revoked", instance=instance.id, reason=str(error) or "no answer in time")


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


@router.get("/elements/{key}/oauth/url", summary="Where a person signs in")
async def oauth_url(
    key: str,
    services: ServicesOfApp,
    user: SignedInUser,
    *,
    api_key: Annotated[str, Query(alias="apiKey")] = "",
    api_secret: Annotated[str, Query(alias="apiSecret")] = "",
    callback_url: Annotated[str, Query(alias="callbackUrl")] = "",
    scope: str = "",
    state: str = "",
    pkce: bool = False,
    site_address: Annotated[str, Query(alias="siteAddress")] = "",
    base_url: Annotated[str, Query(alias="base.url")] = "",
) -> dict[str, str]:
    """The address at which a person allows openbulk to act for them; it leads back to `callbackUrl` with a code.

    With `pkce` the code is good for nobody but this server: give the state that comes back with it, which is also in
    this answer, as `providerData.state`.
    """
    provider = provider_named(services, key)
    oauth = _oauth_of(provider)
    missing = [name for name, value in (("apiKey", api_key), ("callbackUrl", callback_url)) if not value]
    if missing:
        raise BadInput(f"the query parameter {' and '.join(missing)} is missing")
    request = AuthorizeRequest(
        api_key=api_key,
        api_secret=api_secret,
        callback_url=callback_url,
        base_url=base_url or site_address or None,
        scope=scope or None,
        state=state or None,
    )
    if not pkce:
        return shapes.sign_in_address(provider.key, oauth.authorize_url(request))
    if not oauth.takes_challenge:
        raise BadInput(f"{provider.name} does not know PKCE; leave pkce out")
    sign_in = SignIn(user.organization_id, provider.key, api_key, callback_url)
    request = _challenged(request, sign_in, services)
    return shapes.sign_in_address(provider.key, oauth.authorize_url(request), request.state)


@router.post("/elements/{key}/oauth/url", summary="Where a person signs in, asked for by a body")
async def oauth_url_of_body(key: str, body: SignInBody, services: ServicesOfApp, user: SignedInUser) -> dict[str, str]:
    """The same as by GET; the secret of the application stays out of addresses, and of what logs them."""
    return await oauth_url(
        key,
        services,
        user,
        api_key=body.apiKey,
        api_secret=body.apiSecret,
        callback_url=body.callbackUrl,
        scope=body.scope,
        state=body.state,
        pkce=body.pkce,
        site_address=body.siteAddress,
        base_url="",
    )


def _challenged(request: AuthorizeRequest, sign_in: SignIn, services: Services) -> AuthorizeRequest:
    """Bind the code to a verifier that only this server can read out of the state."""
    verifier = secrets.token_urlsafe(32)
    state = state_with(verifier, sign_in, request.state or "", services.sealer, time.time())
    return replace(request, state=state, challenge=challenge_of(verifier))


def provider_named(services: Services, key: str) -> Provider:
    """The service with a key, or with the number of one. Raises NotFound."""
    by_number = dict(enumerate(services.providers.values(), 1))
    provider = services.providers.get(key) or by_number.get(id_in(key) or 0)
    if provider is None:
        raise NotFound(f"there is no element {key!r}; the elements are: {', '.join(services.providers)}")
    return provider


def number_of(services: Services, key: str) -> int:
    """The number under which a service is known beside its key."""
    return list(services.providers).index(key) + 1


def _oauth_of(provider: Provider) -> OAuth:
    if provider.oauth is None:
        raise BadInput(f"{provider.name} has no sign-in by OAuth; its settings are: {_settings(provider)}")
    return provider.oauth


async def _signed_in(
    provider: Provider,
    configuration: Mapping[str, str],
    provider_data: Mapping[str, str] | None,
    services: Services,
    user: User,
) -> dict[str, str]:
    """The configuration of an instance whose credentials have been seen to work. Raises ServiceError, BadInput."""
    signed_in = dict(configuration)
    if base_url := signed_in.get("base.url"):
        check_url(base_url, allow_private=services.allow_private_addresses)
    if code := (provider_data or {}).get("code"):
        state = (provider_data or {}).get("state", "")
        sign_in = SignIn(
            user.organization_id, provider.key, signed_in.get(API_KEY, ""), signed_in.get("oauth.callback.url", "")
        )
        verifier = verifier_in(state, sign_in, services.sealer, time.time())
        signed_in |= await _oauth_of(provider).exchange(code, signed_in, services.http, verifier=verifier)

    async def remember(changes: Mapping[str, str]) -> None:
        signed_in.update(changes)

    connector = provider.connect(signed_in, services.http, remember)
    try:
        await connector.check()
    finally:
        await connector.close()
    return signed_in


def _settings(provider: Provider) -> str:
    return ", ".join(setting.name for setting in provider.settings) or "none"


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


def _present(services: Services, instance: Instance, user: User, token: str = shapes.MASK) -> dict[str, Any]:
    provider = services.providers[instance.element]
    return shapes.instance(instance, provider, number_of(services, provider.key), user, token)
