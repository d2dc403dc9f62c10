"""The secrets of users and organizations, and API keys: made, rotated and ended."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from openbulk.api.http.bodies import BoundedRoute
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.permissions import require_permission
from openbulk.api.platform.people import find_managed_user
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import people as wire
from openbulk.api.wire.ids import parse_id
from openbulk.api.wire.schema import Nothing
from openbulk.domain.access import AGENT_SCOPES, SCOPES, Permission
from openbulk.domain.errors import BadInput, Conflict, NotFound
from openbulk.domain.people import MAX_NAME, Caller, KnownSecret, NewSecret
from openbulk.security import new_key, new_secret
from openbulk.storage.known_secrets import Owner

router = APIRouter(tags=["Secrets"], responses=may_answer(401, 405), route_class=BoundedRoute)

MAX_DAYS = 3_660
MAX_OVERLAP_HOURS = 24 * 30
_OF_ORGANIZATION = "/organizations/secrets"
_PLACES = (
    (_OF_ORGANIZATION, "the organization", ()),
    ("/organizations/users/me/secrets", "yourself", ()),
    ("/organizations/users/{user_id}/secrets", "a user", (404,)),
)
"""Where secrets are, whose they are, and which answers only some of the places have."""
_USER_IN_PATH = {
    "name": "user_id",
    "in": "path",
    "required": True,
    "description": "Number of a user.",
    "schema": {"type": "string", "examples": ["2"]},
}
SecretId = Annotated[str, Path(description="Number of a secret.", examples=["3"])]


class SecretBody(BaseModel):
    """A secret that is about to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=MAX_NAME, description="What it is for.", examples=["nightly load"]
    )
    expiresInDays: int | None = Field(  # noqa: N815 - the wire's name
        None,
        ge=1,
        le=MAX_DAYS,
        description="Days for which it holds. Without it, it holds until it is deleted.",
        examples=[90],
    )

    @property
    def lifetime(self) -> timedelta | None:
        """The time for which it holds."""
        return None if self.expiresInDays is None else timedelta(days=self.expiresInDays)


class UserSecretBody(SecretBody):
    """A secret of a user, or an API key, that is about to be made."""

    scopes: list[str] | None = Field(
        None,
        min_length=1,
        description=f"Makes an API key, which is for these alone: {', '.join(SCOPES)}.",
        examples=[["read", "plan", "load"]],
    )
    agent: bool = Field(
        False,
        description="Whether the API key is for an agent, a program that decides by itself. A "
        f"person approves whatever it plans. It can be for {', '.join(AGENT_SCOPES)}.",
        examples=[False],
    )


class RotationBody(BaseModel):
    """How a secret is replaced."""

    model_config = ConfigDict(extra="forbid")

    overlapHours: int = Field(  # noqa: N815 - the wire's name
        24,
        ge=0,
        le=MAX_OVERLAP_HOURS,
        description="Hours for which the earlier secret goes on to hold; 0 ends it at once.",
        examples=[24],
    )


async def _find_owner(request: Request, services: ServicesOfApp, caller: SignedInCaller) -> Owner:
    """Whose secrets the path is about. Raises NotFound, NotAllowed."""
    organization_id = caller.user.organization_id
    if f"{_OF_ORGANIZATION}/" in f"{request.url.path}/":
        return Owner(organization_id)
    text = request.path_params.get("user_id")
    if text is None:
        return Owner(organization_id, caller.user.id)
    return Owner(organization_id, (await find_managed_user(services, caller.user, text)).id)


AnOwner = Annotated[Owner, Depends(_find_owner)]


async def secrets(services: ServicesOfApp, owner: AnOwner) -> list[dict[str, Any]]:
    """Names, scopes, ends and last uses, without the secrets themselves."""
    return [wire.present_secret(one) for one in await services.known_secrets.all_of(owner)]


async def add_secret(
    body: UserSecretBody, services: ServicesOfApp, owner: AnOwner, caller: SignedInCaller
) -> dict[str, Any]:
    """Make a secret beside the others, or with `scopes` an API key.

    The answer shows it this once.
    """
    scopes = None if body.scopes is None else _parse_scopes(body.scopes, is_agent=body.agent)
    if body.agent and scopes is None:
        raise BadInput(
            "body.scopes is missing: the key of an agent says what it is for, of "
            f"{', '.join(AGENT_SCOPES)}"
        )
    new = NewSecret(body.name, scopes, body.lifetime, body.agent)
    return await _add(new, services, owner, caller)


async def add_organization_secret(
    body: SecretBody, services: ServicesOfApp, owner: AnOwner, caller: SignedInCaller
) -> dict[str, Any]:
    """Make a secret beside the others. The answer shows it this once."""
    return await _add(NewSecret(body.name, None, body.lifetime), services, owner, caller)


async def _add(new: NewSecret, services: Services, owner: Owner, caller: Caller) -> dict[str, Any]:
    _require_may_make(new.scopes, caller)
    value = new_secret() if new.scopes is None else new_key()
    made = await services.known_secrets.add(owner, new, value)
    return wire.present_new_secret(made, value)


def _parse_scopes(scopes: Sequence[str], *, is_agent: bool) -> Sequence[str]:
    """The scopes of an API key, in their order. Raises BadInput."""
    known, whose = (AGENT_SCOPES, "the key of an agent") if is_agent else (SCOPES, "a key")
    for scope in scopes:
        if scope not in known:
            raise BadInput(f"body.scopes has {scope[:40]!r}; {whose} can be for {', '.join(known)}")
    return [scope for scope in SCOPES if scope in scopes]


def _require_may_make(scopes: Sequence[str] | None, caller: Caller) -> None:
    """Raise NotAllowed for a secret that could do more than the one that makes it."""
    needed = [Permission.OWN] if scopes is None else map(Permission, scopes)
    for permission in needed:
        require_permission(caller, permission)


async def end_secret(
    secret_id: SecretId, services: ServicesOfApp, owner: AnOwner
) -> dict[str, Any]:
    """End a secret at once, and forget it."""
    found = await _find_secret(services, owner, secret_id)
    await services.known_secrets.end(owner, found.id)
    return {}


async def rotate_secret(
    secret_id: SecretId,
    body: RotationBody,
    services: ServicesOfApp,
    owner: AnOwner,
    caller: SignedInCaller,
) -> dict[str, Any]:
    """Make a secret in place of an earlier one, with its name, its scopes and its lifetime.

    Both hold for a while, in which you give the new one to its callers. The answer shows it this
    once.
    """
    earlier = await _find_secret(services, owner, secret_id)
    _require_may_make(earlier.scopes, caller)
    value = new_secret() if earlier.scopes is None else new_key()
    overlap = timedelta(hours=body.overlapHours)
    made = await services.known_secrets.rotate(owner, earlier, value, overlap)
    return wire.present_new_secret(made, value)


async def _find_secret(services: Services, owner: Owner, text: str) -> KnownSecret:
    """A secret that people may change. Raises NotFound, Conflict."""
    number = parse_id(text)
    found = None if number is None else await services.known_secrets.one_of(owner, number)
    if found is None:
        raise NotFound(f"there is no secret {text[:40]!r} there; the list of secrets has them")
    if found.from_settings:
        raise Conflict(
            "this secret is set at the start of the server; change OPENBULK_USER_SECRET or "
            "OPENBULK_ORGANIZATION_SECRET, and start it again"
        )
    return found


def _add_routes() -> None:
    for path, whose, problems in _PLACES:
        extra = {"parameters": [_USER_IN_PATH]} if "{user_id}" in path else None
        router.add_api_route(
            path,
            secrets,
            methods=["GET"],
            summary=f"List the secrets of {whose}",
            openapi_extra=extra,
            responses=answers(list[wire.ListedSecret], *problems),
        )
        router.add_api_route(
            path,
            add_organization_secret if path == _OF_ORGANIZATION else add_secret,
            methods=["POST"],
            summary=f"Make a secret of {whose}",
            openapi_extra=extra,
            responses=answers(wire.MadeSecret, 400, 409, 413, 507, *problems),
        )
        router.add_api_route(
            f"{path}/{{secret_id}}",
            end_secret,
            methods=["DELETE"],
            summary=f"End a secret of {whose}",
            openapi_extra=extra,
            responses=answers(Nothing, 404, 409, 507),
        )
        router.add_api_route(
            f"{path}/{{secret_id}}/rotate",
            rotate_secret,
            methods=["POST"],
            summary=f"Rotate a secret of {whose}",
            openapi_extra=extra,
            responses=answers(wire.MadeSecret, 400, 404, 409, 413, 507),
        )


_add_routes()
