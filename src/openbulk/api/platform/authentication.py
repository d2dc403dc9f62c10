"""Signing in to openbulk itself with a password, and the secrets that the sign-in opens."""

from typing import Any

import structlog
from fastapi import APIRouter, Request
from pydantic import Field

from openbulk.api.http.audit import note_person
from openbulk.api.http.bodies import ContractBody, OpenRoute
from openbulk.api.http.callers import address_of, bearer_token_of, open_token, origin_of
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire import authentication as wire
from openbulk.domain.errors import NotSignedIn
from openbulk.identity.sign_in import CodeNeeded

log = structlog.get_logger()
router = APIRouter(tags=["Authentication"], responses=may_answer(401, 405), route_class=OpenRoute)
_MAX_TEXT = 500


class PasswordBody(ContractBody):
    """A person who signs in."""

    username: str = Field(
        max_length=_MAX_TEXT,
        description="Email address of the user.",
        examples=["ann@example.com"],
    )
    password: str = Field(
        max_length=_MAX_TEXT,
        description="Password of the user.",
        examples=["correct horse battery"],
    )


class CodeBody(ContractBody):
    """The second step of a sign-in."""

    token: str = Field(
        max_length=2 * _MAX_TEXT, description="Token of the first step.", examples=["c2VhbGVk"]
    )
    code: str = Field(
        max_length=_MAX_TEXT,
        description="A code of the authenticator app, or a recovery code.",
        examples=["123456"],
    )


@router.post(
    "/authentication",
    summary="Sign in with a password",
    responses=answers(wire.SignedIn, 400, 403, 413),
)
async def authenticate(
    request: Request, body: PasswordBody, services: ServicesOfApp
) -> dict[str, Any]:
    """Begin a session with a user's own password: its token stands for the secrets in other calls.

    With `twoFactor`, send the token and a code to `POST /authentication/code` first. With the
    values of OPENBULK_USER and OPENBULK_PASSWORD, the token also opens
    `GET /authentication/secrets`, and is valid for eight hours.
    """
    address = address_of(request)
    with services.wrong_secrets.attempt_password(address, body.username, body.password):
        done = await services.sign_in.with_password(
            body.username, body.password, origin_of(request)
        )
        if done is None:
            token = services.password_sign_in.sign_in(body.username, body.password)
            note_person(request, await services.people.user_with_email(body.username))
            log.info("signed in with a password", address=address)
            return wire.present_sign_in(token)
    note_person(request, await services.people.user_with_email(body.username))
    if isinstance(done, CodeNeeded):
        return wire.present_sign_in(done.token, needs_code=True)
    log.info("signed in with a password", address=address)
    return wire.present_sign_in(done.token)


@router.post(
    "/authentication/code",
    summary="Sign in with a code",
    responses=answers(wire.SignedIn, 400, 413),
)
async def authenticate_with_code(
    request: Request, body: CodeBody, services: ServicesOfApp
) -> dict[str, Any]:
    """Begin a session with the token of `POST /authentication` and a code, within five minutes."""
    address, user_id = address_of(request), services.sign_in.user_of(body.token)
    with services.wrong_secrets.attempt_code(address, user_id):
        begun = await services.sign_in.with_code(body.token, body.code, origin_of(request))
    note_person(request, await services.people.user_with_id(begun.session.user_id))
    log.info("signed in with a code", address=address)
    return wire.present_sign_in(begun.token)


@router.get(
    "/authentication/secrets",
    summary="Retrieve the secrets of a sign-in",
    responses=answers(wire.CallersSecrets),
)
async def secrets(request: Request, services: ServicesOfApp) -> dict[str, Any]:
    """The user's and the organization's secret. The call needs `Authorization: Bearer <token>`."""
    token = bearer_token_of(request)
    if token is None:
        raise NotSignedIn(
            "the token is missing; send the header 'Authorization: Bearer <token>', with the token "
            "of POST /authentication"
        )
    return wire.present_secrets(open_token(token, request, services))
