"""The sessions of people: begun, listed, confirmed and ended."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field

from openbulk.api.http.bodies import BoundedRoute, StrictBody
from openbulk.api.http.callers import SignedInCaller, address_of, origin_of
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.people import UserId, find_managed_user, find_user
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import sessions as wire
from openbulk.api.wire.ids import parse_id
from openbulk.api.wire.schema import Nothing
from openbulk.domain.errors import Conflict, NotFound, NotSignedIn
from openbulk.domain.people import Caller

router = APIRouter(tags=["Sessions"], responses=may_answer(401, 405), route_class=BoundedRoute)

MAX_TEXT = 500
SessionId = Annotated[str, Path(description="Number of a session.", examples=["5"])]


class ConfirmationBody(StrictBody):
    """What shows once more who has the session."""

    password: str = Field(
        "",
        max_length=MAX_TEXT,
        description="The user's password.",
        examples=["correct horse battery"],
    )
    code: str = Field(
        "",
        max_length=MAX_TEXT,
        description="A code of the authenticator app, or a recovery code, for users who have one.",
        examples=["123456"],
    )
    secret: str = Field(
        "",
        max_length=MAX_TEXT,
        description="A secret of the user, for users who have no password.",
        examples=["example-secret-of-a-user"],
    )


# --- the session that makes the call ---


@router.post(
    "/authentication/confirm",
    summary="Confirm a session",
    responses=answers(wire.ShownSession, 400, 409, 413, 507),
)
async def confirm(
    request: Request, body: ConfirmationBody, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Show once more that it is you: for ten minutes, the session may do what is dangerous.

    That is to change who may sign in: users, secrets, keys, passwords, second factors.
    """
    if caller.session is None:
        raise Conflict("this call has no session: a call with secrets needs no confirmation")
    await _require_same_person(request, body, services, caller)
    return wire.present_session(await services.sessions.confirm(caller.session), caller.session)


async def _require_same_person(
    request: Request, body: ConfirmationBody, services: Services, caller: Caller
) -> None:
    """Raise NotSignedIn if the body is not of the caller."""
    user, address, limit = caller.user, address_of(request), services.wrong_secrets
    if user.has_password:
        with limit.attempt_password(address, user.email, body.password):
            await services.sign_in.require_password(user.id, body.password)
        if user.has_second_factor:
            with limit.attempt_code(address, user.id):
                await services.sign_in.require_code(user.id, body.code)
    elif body.secret:
        with limit.attempt(address, body.secret):
            owner = await services.known_secrets.identify(body.secret, None, None)
            if owner is None or owner.problem or owner.scopes or owner.user.id != user.id:
                raise NotSignedIn("the secret is not one of this user, or is an API key")
    else:
        with limit.attempt_password(address, user.email, body.password):
            services.password_sign_in.sign_in(user.email, body.password)


@router.delete("/authentication", summary="Sign out", responses=answers(Nothing, 409, 507))
async def sign_out(services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """End the session that makes this call."""
    if caller.session is None:
        raise Conflict("this call has no session to end; secrets end where they are listed")
    await services.sessions.end(caller.user.id, caller.session.id)
    return {}


# --- one's own ---


@router.post(
    "/organizations/users/me/sessions",
    summary="Begin a session with secrets",
    responses=answers(wire.BegunSession, 409, 507),
)
async def begin(
    request: Request, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Begin a session of yourself, which ends after twelve hours, or with the secrets of this call.

    Its token comes in place of both secrets.
    """
    if caller.session is not None:
        raise Conflict("this call has a session already; sign in again for another one")
    begun = await services.sign_in.begin(
        caller.user.id,
        origin_of(request),
        user_secret_id=caller.secret_id,
        organization_secret_id=caller.organization_secret_id,
    )
    return wire.present_begun_session(begun.session, begun.token)


@router.get(
    "/organizations/users/me/sessions",
    summary="List your sessions",
    responses=answers(list[wire.ShownSession]),
)
async def own_sessions(services: ServicesOfApp, caller: SignedInCaller) -> list[dict[str, Any]]:
    """Where you are signed in, the last used first."""
    return await _list(services, caller, caller.user.id)


@router.delete(
    "/organizations/users/me/sessions",
    summary="Sign out everywhere",
    responses=answers(Nothing, 507),
)
async def end_own_sessions(services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """End all sessions of yourself, also the one that makes this call."""
    await services.sessions.end_all(caller.user.id)
    return {}


@router.delete(
    "/organizations/users/me/sessions/{session_id}",
    summary="End a session of yourself",
    responses=answers(Nothing, 404, 507),
)
async def end_own_session(
    session_id: SessionId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Sign yourself out somewhere else."""
    number = parse_id(session_id)
    if number is None or not await services.sessions.end(caller.user.id, number):
        raise NotFound(
            f"there is no session {session_id[:40]!r} of yours; "
            "GET /organizations/users/me/sessions lists them"
        )
    return {}


# --- those of others ---


@router.get(
    "/organizations/users/{user_id}/sessions",
    summary="List the sessions of a user",
    responses=answers(list[wire.ShownSession], 404),
)
async def sessions(
    user_id: UserId, services: ServicesOfApp, caller: SignedInCaller
) -> list[dict[str, Any]]:
    """Where a user of your organization is signed in, the last used first."""
    return await _list(services, caller, (await find_user(services, caller.user, user_id)).id)


@router.delete(
    "/organizations/users/{user_id}/sessions",
    summary="Sign a user out everywhere",
    responses=answers(Nothing, 404, 507),
)
async def end_sessions(
    user_id: UserId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """End all sessions of a user. Their secrets and keys go on to hold."""
    found = await find_managed_user(services, caller.user, user_id)
    await services.sessions.end_all(found.id)
    return {}


async def _list(services: Services, caller: Caller, user_id: int) -> list[dict[str, Any]]:
    found = await services.sessions.all_of(user_id)
    return [wire.present_session(one, caller.session) for one in found]
