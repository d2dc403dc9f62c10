"""Signing in at the OpenID provider of an organization, and connecting one's user with it."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Request
from pydantic import AfterValidator, Field

from openbulk.api.http.audit import note_detail, note_organization, note_person
from openbulk.api.http.bodies import BoundedRoute, OpenRoute, StrictBody
from openbulk.api.http.callers import SignedInCaller, address_of, origin_of
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.people import UserId, find_managed_user
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire import authentication as sign_in_wire
from openbulk.api.wire import identity_providers as wire
from openbulk.api.wire.schema import Nothing
from openbulk.domain.errors import (
    BadInput,
    CallerError,
    Conflict,
    NotFound,
    NotSignedIn,
    ProviderFailed,
)
from openbulk.domain.people import MAX_NAME

log = structlog.get_logger()
router = APIRouter(tags=["Sessions"], responses=may_answer(401, 405), route_class=BoundedRoute)
open_router = APIRouter(
    tags=["Authentication"], responses=may_answer(401, 405), route_class=OpenRoute
)

_IDENTITY = "/organizations/users/me/identity"
_MAX_URI = 1000


def _check_redirect(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError(
            f"is not an address to come back to; write it like {wire.EXAMPLE_REDIRECT}"
        )
    return text


class OidcBody(StrictBody):
    """Whose provider to sign in at."""

    organization: str = Field(
        min_length=1,
        max_length=MAX_NAME,
        description="Name of the organization, in any case.",
        examples=["Music school"],
    )
    redirectUri: Annotated[str, AfterValidator(_check_redirect)] = Field(  # noqa: N815
        max_length=_MAX_URI,
        description="Where the provider sends the person back to. It is registered there.",
        examples=[wire.EXAMPLE_REDIRECT],
    )
    asksAgain: bool = Field(  # noqa: N815 - the wire's name
        False,
        description="Whether the provider is to ask also a person who is signed in there.",
        examples=[False],
    )


class OidcCodeBody(StrictBody):
    """What a person comes back from the provider with."""

    token: str = Field(
        max_length=2000, description="Token of the first step.", examples=[wire.EXAMPLE_TOKEN]
    )
    answer: dict[str, str] = Field(
        max_length=20,
        description="The query of the address that the provider sent the person back to.",
        examples=[wire.EXAMPLE_ANSWER],
    )


@open_router.post(
    "/authentication/oidc",
    summary="Begin a sign-in at a provider",
    responses=answers(wire.BegunOidcSignIn, 400, 404, 413, 502),
)
async def begin(request: Request, body: OidcBody, services: ServicesOfApp) -> dict[str, Any]:
    """Begin a sign-in at the OpenID provider of an organization: open `address` in a browser.

    Send the query that the person comes back with to `POST /authentication/oidc/code`, from the
    same browser alone.
    """
    address, limit = address_of(request), services.wrong_secrets
    limit.check(address, body.organization)
    try:
        sent = await services.oidc_sign_in.begin(
            body.organization, body.redirectUri, asks_again=body.asksAgain
        )
    except NotFound:
        limit.note_wrong(address)  # names of organizations are not to be tried out
        raise
    note_organization(request, services.oidc_sign_in.organization_of(sent.token))
    return wire.present_begun(sent)


@open_router.post(
    "/authentication/oidc/code",
    summary="Sign in with the answer of a provider",
    responses=answers(sign_in_wire.SignedIn, 400, 403, 409, 413, 502, 507),
)
async def finish(request: Request, body: OidcCodeBody, services: ServicesOfApp) -> dict[str, Any]:
    """Begin a session with what the provider says of the person.

    A person who is invited, or whom the provider gives a role, becomes a user.
    """
    address, limit = address_of(request), services.wrong_secrets
    limit.check(address, body.token)
    try:
        note_organization(request, services.oidc_sign_in.organization_of(body.token))
        begun = await services.oidc_sign_in.finish(body.token, body.answer, origin_of(request))
    except (CallerError, ProviderFailed) as error:
        note_detail(request, error.message)
        if isinstance(error, NotSignedIn | ProviderFailed):
            limit.note_wrong(address)
        raise
    note_person(request, await services.people.user_with_id(begun.session.user_id))
    log.info("signed in at a provider", address=address)
    return sign_in_wire.present_sign_in(begun.token)


# --- one's own ---


@router.put(
    _IDENTITY,
    summary="Connect yourself with an account of the provider",
    responses=answers(wire.ConnectedIdentity, 400, 409, 413, 502, 507),
)
async def connect(
    body: OidcCodeBody, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Sign in at the provider of your organization, too, from now on.

    Begin with `POST /authentication/oidc`. Your password goes on to work.
    """
    try:
        issuer = await services.oidc_sign_in.connect(caller.user, body.token, body.answer)
    except NotSignedIn as error:
        raise BadInput(error.message) from error  # the caller is signed in, but not there
    return {"identityProvider": issuer}


@router.delete(
    _IDENTITY,
    summary="Disconnect yourself from the provider",
    responses=answers(Nothing, 409, 507),
)
async def disconnect(services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """Sign in with your password alone again."""
    if caller.user.identity_issuer is None:
        raise Conflict("you sign in at no provider")
    if not caller.user.has_password:
        raise Conflict("you have no password, and could not sign in any more; set one first")
    await services.identities.connect(caller.user.id, None)
    return {}


@router.delete(
    "/organizations/users/{user_id}/identity",
    summary="Disconnect a user from the provider",
    responses=answers(Nothing, 404, 507),
)
async def disconnect_user(
    user_id: UserId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Forget which account of the provider a user has, and end all their sessions.

    The next sign-in there with their verified address connects it, if they have no password.
    """
    found = await find_managed_user(services, caller.user, user_id)
    await services.identities.connect(found.id, None)
    await services.sessions.end_all(found.id)
    return {}
