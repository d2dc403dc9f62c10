"""Instances: create, list, change and delete the accounts that openbulk works with."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any

import orjson
import structlog
from fastapi import APIRouter, Depends, Path, Query, Response

from openbulk.api.http.bodies import BoundedRoute
from openbulk.api.http.callers import SignedInUser, instance_of
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.paging import (
    MAX_PAGE,
    NextPage,
    PageSize,
    parse_page_size,
    present_each,
    take_page,
)
from openbulk.api.http.parameters import parse_whole_number
from openbulk.api.platform.authorization import sign_in
from openbulk.api.platform.catalogue import find_provider
from openbulk.api.platform.instance_bodies import (
    MAX_TAG,
    MAX_TEXT,
    ChangedInstance,
    Configuration,
    InstanceBody,
)
from openbulk.api.platform.stored_secrets import require_secrets_again
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import instances as wire
from openbulk.api.wire.elements import (
    CONTRACT_ENTRIES,
    CONTRACT_SECRETS,
    NOTIFICATION_SECRETS,
    PLATFORM_ENTRIES,
)
from openbulk.api.wire.masking import MASK
from openbulk.api.wire.schema import Nothing
from openbulk.bounded_json import MAX_KEPT_BYTES
from openbulk.connectors.auth import API_KEY, REFRESH_TOKEN
from openbulk.connectors.base import KeepsRecords, Provider
from openbulk.domain.errors import BadInput, Conflict, NotFound, ServiceError, TooLarge
from openbulk.domain.instance import Instance
from openbulk.domain.options import option_text, with_known_spelling
from openbulk.domain.people import User
from openbulk.domain.spelling import known_spelling
from openbulk.engine.elements import Catalogue
from openbulk.security import new_secret

log = structlog.get_logger()
router = APIRouter(tags=["Instances"], responses=may_answer(401, 405), route_class=BoundedRoute)
InstanceId = Annotated[str, Path(description="Number of the instance.", examples=["1"])]
NewElement = Annotated[str, Path(description="Key or number of the service.", examples=["memory"])]
SIGNS_IN = (400, 413, *OF_THE_SERVICE)
"""Problems of an operation that checks credentials with the service."""
MAX_INSTANCES = 10_000
"""Of an organization."""
_READ_AT_ONCE = 500
REVOKE_SECONDS = 10.0
"""Seconds that a deletion waits for the service to revoke the access."""


@router.post(
    "/instances",
    summary="Create an instance",
    responses=answers(wire.Instance, 404, 409, *SIGNS_IN),
)
async def create(body: InstanceBody, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Sign in to a service. Only this answer shows the token of the instance.

    For Google Calendar, send `{"element": {"key": "googlecalendar"}, "configuration":
    {"oauth.api.key": "...", "oauth.api.secret": "...", "oauth.callback.url": "https://..."},
    "providerData": {"code": "..."}}`.
    """
    key = _element_in(body)
    if key is None:
        raise BadInput('the body names no element; add "element": {"key": "memory"}')
    return await _create(key, body, services, user)


@router.post(
    "/elements/{key}/instances",
    summary="Create an instance of a service",
    responses=answers(wire.Instance, 404, 409, *SIGNS_IN),
)
async def create_of(
    key: NewElement, body: InstanceBody, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Sign in to the service in the path. Only this answer shows the token of the instance."""
    named = _element_in(body)
    if named is not None:
        in_body = await find_provider(services, user, named)
        if in_body.key != (await find_provider(services, user, key)).key:
            raise BadInput(f"the path names the element {key!r}, and the body {named!r}; name one")
    return await _create(key, body, services, user)


def _element_in(body: InstanceBody) -> str | None:
    """The key or number of the service that a body names; None if it names none."""
    if body.element is None:
        return None
    return body.element.key or (None if body.element.id is None else str(body.element.id))


async def _create(key: str, body: InstanceBody, services: Services, user: User) -> dict[str, Any]:
    provider = await find_provider(services, user, key)
    entries = _entry_texts(body.configuration, provider)
    _require_small(entries)
    configuration = await sign_in(provider, entries, body.providerData, services, user)
    name = body.name or provider.name
    token = new_secret()
    instance = await services.accounts.add_instance(
        organization_id=user.organization_id,
        element=provider.key,
        name=name,
        token=token,
        configuration=configuration,
        tags=_as_tag(name) if body.tags is None else body.tags,
        now=datetime.now(UTC),
        limit=MAX_INSTANCES,
        keeps_token=services.live_compatible,
        is_custom=provider.key not in services.elements.built_in,
    )
    if instance is None:
        raise Conflict(
            f"the organization has {MAX_INSTANCES:,} instances, which is the limit; "
            "delete one with DELETE /instances/{id}"
        )
    return await _present_instance(services, instance, user, token)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which instances a list shows."""

    search: str
    tags: frozenset[str]

    def matches(self, instance: Instance) -> bool:
        """Whether an instance is wanted. Its name counts as a tag, too."""
        names = {*instance.tags, instance.name}
        return self.tags <= names and self.search.lower() in instance.name.lower()


async def _filter_of_list(
    search: Annotated[
        str,
        Query(
            alias="searchText",
            description="Text in the name of the instance; case is ignored.",
            examples=["choir"],
        ),
    ] = "",
    tags: Annotated[
        Sequence[str],
        Query(
            alias="tags[]",
            description="Tags that the instance must have, all of them. Its name is one, too.",
            examples=[["choir"]],
        ),
    ] = (),
) -> Filter:
    return Filter(search, frozenset(filter(None, tags)))


FilterOfList = Annotated[Filter, Depends(_filter_of_list)]


@router.get(
    "/instances",
    summary="List instances",
    responses=answers(list[wire.Instance], 400, 404),
)
async def list_all(
    response: Response,
    services: ServicesOfApp,
    user: SignedInUser,
    wanted: FilterOfList,
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The instances of your organization, oldest first, page by page.

    The answer is 404 if a filter matches no instance.
    """
    return await list_page(response, services, user, wanted, page_size, next_page)


async def list_page(
    response: Response,
    services: Services,
    user: User,
    wanted: Filter,
    page_size: str,
    next_page: str,
    element: str | None = None,
) -> list[dict[str, Any]]:
    """A page of the wanted instances, of one service if `element` is its key.

    Raises NotFound if a filter matches none.
    """
    limit = parse_page_size(page_size, default=MAX_PAGE)
    after = parse_whole_number(next_page or "0", "nextPage", minimum=0)
    found: list[Instance] = []
    # One instance too many shows that there is a next page.
    while len(found) <= limit:
        candidates = await services.accounts.instances_of(
            user.organization_id, after=after, limit=_READ_AT_ONCE
        )
        found += [
            one for one in candidates if element in (None, one.element) and wanted.matches(one)
        ]
        if len(candidates) < _READ_AT_ONCE:
            break
        after = candidates[-1].id
    if not (found or next_page) and (wanted.tags or wanted.search):
        raise NotFound("there is no instance with these tags and this text in its name")
    page = take_page(response, found, limit, lambda instance: instance.id)
    catalogue = await services.elements.of(user.organization_id)
    return present_each(page, lambda one: _present_in(catalogue, services, one, user), "instance")


@router.get("/instances/count", summary="Count instances", responses=answers(wire.InstanceCounts))
async def count(services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """How many instances your organization has: in all, and of each service."""
    elements = await services.accounts.elements_of(user.organization_id)
    return wire.present_counts(list(elements.values()))


@router.put(
    "/instances/{instance_id}/enabled",
    summary="Enable an instance",
    responses=answers(wire.Instance, 404, 507),
)
async def enable(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Continue the jobs of an instance."""
    return await change(instance_id, ChangedInstance(disabled=False), services, user)


@router.delete(
    "/instances/{instance_id}/enabled",
    summary="Disable an instance",
    responses=answers(wire.Instance, 404, 507),
)
async def disable(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Pause the jobs of an instance until it is enabled."""
    return await change(instance_id, ChangedInstance(disabled=True), services, user)


@router.get(
    "/instances/{instance_id}",
    summary="Retrieve an instance",
    responses=answers(wire.Instance, 404),
)
async def get(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """An instance, with its secrets masked."""
    instance = await find_instance(services, user, instance_id)
    return await _present_instance(services, instance, user)


@router.put(
    "/instances/{instance_id}",
    summary="Update an instance",
    responses=answers(wire.Instance, 404, *SIGNS_IN),
)
@router.patch(
    "/instances/{instance_id}",
    summary="Update an instance",
    responses=answers(wire.Instance, 404, *SIGNS_IN),
)
async def change(
    instance_id: InstanceId, body: ChangedInstance, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Change name, tags or configuration, sign in again, enable or disable.

    Waiting jobs of the instance retry at once.
    """
    before = await find_instance(services, user, instance_id)
    after = await _with_changes(before, body, services, user)
    instance = await services.accounts.change_instance(before, after)
    if instance is None:
        # Another request has deleted it meanwhile.
        raise NotFound(f"instance {before.id} was deleted at the same time")
    await services.intake.instance_changed(instance.id)
    await _forget_unused_records(services, instance)
    return await _present_instance(services, instance, user)


async def _with_changes(
    instance: Instance, body: ChangedInstance, services: Services, user: User
) -> Instance:
    """The instance after a change. Checks a new configuration with the service."""
    await _require_same_element(instance, _element_in(body), services, user)
    if body.configuration or body.providerData:
        provider = await find_provider(services, user, instance.element)
        given = _entry_texts(body.configuration, provider, instance.configuration)
        # A masked value sent back leaves the secret unchanged.
        entries = {name: value for name, value in given.items() if value != MASK}
        has_code = bool(body.providerData and body.providerData.get("code"))
        renewed = {REFRESH_TOKEN} if has_code else ()
        for declared in (provider.entries, NOTIFICATION_SECRETS):
            require_secrets_again(declared, instance.configuration, entries, renewed)
        wanted = {**instance.configuration, **entries}
        _require_small(wanted)
        configuration = await sign_in(provider, wanted, body.providerData, services, user)
        instance = replace(instance, configuration=configuration)
    if body.name is not None:
        # The name is a tag, and a new one takes its place.
        tags = ((_as_tag(body.name) if tag == instance.name else (tag,)) for tag in instance.tags)
        instance = replace(instance, name=body.name, tags=tuple(chain.from_iterable(tags)))
    if body.tags is not None:
        instance = replace(instance, tags=tuple(body.tags))
    if body.disabled is not None:
        instance = replace(instance, disabled=body.disabled)
    return instance


def _as_tag(name: str) -> tuple[str, ...]:
    """The tag that the name of an instance is; none for a name that is too long for one."""
    return (name,) if 0 < len(name) <= MAX_TAG else ()


async def _require_same_element(
    instance: Instance, wanted: str | None, services: Services, user: User
) -> None:
    """Raise BadInput if an instance is to become one of another service."""
    own = instance.element
    if wanted in (None, own):
        return
    # The service may have instances, and not be on offer for new ones.
    numbers = (await services.elements.of(user.organization_id)).numbers
    if wanted == str(numbers.get(own)):
        return
    other = (await find_provider(services, user, wanted)).key
    if other != own:
        raise BadInput(
            f"instance {instance.id} is one of {own!r}, and cannot become one of {other!r}; "
            "create another instance"
        )


@router.post(
    "/instances/{instance_id}/token",
    summary="Replace the token of an instance",
    responses=answers(wire.Instance, 404, 507),
)
async def replace_token(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Make a new token, which only this answer shows. The earlier one ends at once.

    Jobs and schedules of the instance continue.
    """
    instance = await find_instance(services, user, instance_id)
    token = new_secret()
    await services.accounts.replace_token(instance.id, token, keeps_token=services.live_compatible)
    log.info("token replaced", instance=instance.id)
    return await _present_instance(services, instance, user, token)


@router.delete(
    "/instances/{instance_id}", summary="Delete an instance", responses=answers(Nothing, 404, 507)
)
async def delete(
    instance_id: InstanceId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Delete an instance and its schedules, and revoke its access to the service.

    Its unfinished jobs stop.
    """
    instance = await find_instance(services, user, instance_id)
    # Schedules first: a schedule that is due in between would start a run of a deleted instance.
    await services.schedules.delete_of(instance.id)
    await services.accounts.delete_instance(instance.id)
    await services.intake.instance_changed(instance.id)
    await _forget_unused_records(services, instance)
    await _revoke(services, instance)
    return {}


async def _forget_unused_records(services: Services, changed: Instance) -> None:
    """Let a provider that keeps records itself delete those that no instance has any more."""
    provider = services.elements.built_in.get(changed.element)
    if isinstance(provider, KeepsRecords):
        instances = await services.accounts.instances_of(changed.organization_id)
        kept = [one.configuration for one in instances if one.element == changed.element]
        provider.keep_only(changed.organization_id, kept)


async def _revoke(services: Services, instance: Instance) -> None:
    """Revoke the access of a deleted instance. If the service does not answer, log a warning."""
    provider = await services.elements.provider(instance.organization_id, instance.element)
    oauth = provider.oauth
    if oauth is None or REFRESH_TOKEN not in instance.configuration:
        return
    if await _is_shared(services, instance):
        return
    try:
        async with asyncio.timeout(REVOKE_SECONDS):
            await oauth.revoke(instance.configuration, services.http)
    except (ServiceError, TimeoutError) as error:
        reason = str(error) or "no answer in time"
        log.warning("access not revoked", instance=instance.id, reason=reason)


async def _is_shared(services: Services, deleted: Instance) -> bool:
    """Whether another instance is signed in through the same application."""
    # That instance may be the same person's. Google revokes all access of a person and an
    # application together, so it would be signed out too
    # (https://github.com/Significant-Gravitas/AutoGPT/pull/10493).
    return any(
        other.element == deleted.element
        and REFRESH_TOKEN in other.configuration
        and other.configuration.get(API_KEY) == deleted.configuration.get(API_KEY)
        for other in await services.accounts.instances_of(deleted.organization_id)
    )


def _entry_texts(
    configuration: Configuration | None, provider: Provider, existing: Iterable[str] = ()
) -> dict[str, str]:
    """Configuration entries as text, without nulls: null leaves an entry unchanged.

    Raises BadInput for an entry that neither the service nor the wire contract knows, and that is
    not among the `existing` ones, and for a value that its entry does not take.
    """
    choices = {one.name: one.choices for one in (*provider.entries, *PLATFORM_ENTRIES)}
    known = dict.fromkeys([*choices, *existing, *CONTRACT_ENTRIES])
    entries = with_known_spelling(configuration or {}, known, "the configuration", "entry")
    texts = {
        name: _entry_text(name, value)
        for name, value in entries.items()
        if value is not None and name not in CONTRACT_SECRETS - choices.keys()
    }
    for name, text in texts.items():
        possible = choices.get(name)
        if text and possible and known_spelling(text, possible) is None:
            raise BadInput(f"{name} is {text[:40]!r}; it can be {', '.join(possible)}")
    return texts


def _entry_text(name: str, value: Any) -> str:
    """A value as text; a JSON object or array as JSON. Raises BadInput if that is too long."""
    if not isinstance(value, Mapping | list):
        return option_text(value)
    text = orjson.dumps(value).decode()
    if len(text) > MAX_TEXT:
        raise BadInput(f"{name} has {len(text)} characters; it can have at most {MAX_TEXT}")
    return text


def _require_small(configuration: Mapping[str, str]) -> None:
    """Raise TooLarge for a configuration that is larger than what is kept of any request."""
    size = sum(len(name) + len(value) for name, value in configuration.items())
    if size > MAX_KEPT_BYTES:
        raise TooLarge(
            f"the configuration has {size:,} characters in all; at most {MAX_KEPT_BYTES:,} are kept"
        )


async def find_instance(services: Services, user: User, instance_id: str) -> Instance:
    """An instance of the user's organization. Raises NotFound."""
    instance = await instance_of(user, instance_id, services.accounts)
    if instance is None:
        raise NotFound(f"there is no instance {instance_id!r}")
    return instance


async def _present_instance(
    services: Services, instance: Instance, user: User, token: str | None = None
) -> dict[str, Any]:
    catalogue = await services.elements.of(instance.organization_id)
    return _present_in(catalogue, services, instance, user, token)


def _present_in(
    catalogue: Catalogue,
    services: Services,
    instance: Instance,
    user: User,
    token: str | None = None,
) -> dict[str, Any]:
    if token is None and services.live_compatible:
        token = instance.token
    provider = catalogue.providers[instance.element]
    number = catalogue.numbers[instance.element]
    return wire.present_instance(instance, provider, number, user, token or MASK)
