"""How one signs in: the password, and the second factor."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field

from openbulk.api.http.bodies import BoundedRoute, StrictBody
from openbulk.api.http.callers import SignedInCaller, address_of
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.permissions import require_confirmation
from openbulk.api.platform.people import UserId, find_managed_user
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire import sessions as wire
from openbulk.api.wire.schema import Nothing
from openbulk.domain.errors import Conflict, NotAllowed, NotSignedIn
from openbulk.identity.passwords import MAX_CHARACTERS, MIN_CHARACTERS
from openbulk.identity.totp import app_address

router = APIRouter(tags=["Sessions"], responses=may_answer(401, 405), route_class=BoundedRoute)

_PLACE = "/organizations/users/me"


class PasswordsBody(StrictBody):
    """The password so far, and the one from now on."""

    currentPassword: str = Field(  # noqa: N815 - the wire's name
        "",
        max_length=500,
        description="The password so far. Only users who have none yet leave it out.",
        examples=["correct horse battery"],
    )
    newPassword: str = Field(  # noqa: N815 - the wire's name
        max_length=500,
        description=f"The new password, of {MIN_CHARACTERS} to {MAX_CHARACTERS} characters.",
        examples=["correct horse battery"],
    )


class FirstCodeBody(StrictBody):
    """The first code of an authenticator app."""

    code: str = Field(
        max_length=100, description="The six digits that the app shows.", examples=["123456"]
    )


@router.put(
    f"{_PLACE}/password",
    summary="Change your password",
    responses=answers(Nothing, 400, 403, 413, 507),
)
async def change_password(
    request: Request, body: PasswordsBody, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Set your password, or another one. All your other sessions end.

    A session in which you set the first one has to be confirmed.
    """
    user = caller.user
    if user.has_password:
        try:
            with services.wrong_secrets.attempt_password(
                address_of(request), user.email, body.currentPassword
            ):
                await services.sign_in.require_password(user.id, body.currentPassword)
        except NotSignedIn as error:
            raise NotAllowed("currentPassword is not your password") from error
    else:
        require_confirmation(caller)
    await services.sign_in.change_password(caller, body.newPassword)
    return {}


@router.post(
    f"{_PLACE}/totp",
    summary="Begin to add an authenticator app",
    responses=answers(wire.OfferedTotpKey, 409, 507),
)
async def offer_totp(services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """Make a key for an authenticator app (RFC 6238). Nothing changes before its first code."""
    key = await services.sign_in.offer_second_factor(caller.user.id)
    return {"key": key, "address": app_address(key, caller.user.email)}


@router.put(
    f"{_PLACE}/totp",
    summary="Add an authenticator app",
    responses=answers(wire.RecoveryCodes, 400, 409, 413, 507),
)
async def begin_totp(
    body: FirstCodeBody, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Send the first code of the app: from now on, each sign-in with your password needs one.

    The answer has recovery codes, which are shown this once.
    """
    codes = await services.sign_in.begin_second_factor(caller.user.id, body.code)
    return {"recoveryCodes": codes}


@router.delete(
    f"{_PLACE}/totp", summary="Remove your authenticator app", responses=answers(Nothing, 409, 507)
)
async def end_totp(services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """Sign in with your password alone again."""
    if not caller.user.has_second_factor:
        raise Conflict("you have no authenticator app")
    await services.credentials.end_second_factor(caller.user.id)
    return {}


@router.delete(
    "/organizations/users/{user_id}/totp",
    summary="Remove the authenticator app of a user",
    responses=answers(Nothing, 404, 507),
)
async def end_totp_of(
    user_id: UserId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Let a user who has lost the phone sign in with the password alone."""
    found = await find_managed_user(services, caller.user, user_id)
    await services.credentials.end_second_factor(found.id)
    return {}
