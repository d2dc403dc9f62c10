"""Signing in to openbulk itself with a password, and the secrets that the sign-in opens."""

from typing import Any

import structlog
from fastapi import APIRouter, Request
from pydantic import Field

from openbulk.api.http.bodies import ContractBody, OpenRoute
from openbulk.api.http.callers import address_of, bearer_token_of, open_token
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire import authentication as wire
from openbulk.domain.errors import NotSignedIn

log = structlog.get_logger()
router = APIRouter(tags=["Authentication"], responses=may_answer(401, 405), route_class=OpenRoute)
_MAX_TEXT = 500


class PasswordBody(ContractBody):
    """A person who signs in."""

    username: str = Field(
        max_length=_MAX_TEXT,
        description="Email address of the user: the value of OPENBULK_USER.",
        examples=["ann@example.com"],
    )
    password: str = Field(
        max_length=_MAX_TEXT,
        description="The value of OPENBULK_PASSWORD.",
        examples=["correct horse battery"],
    )


@router.post(
    "/authentication",
    summary="Sign in with a password",
    responses=answers(wire.SignedIn, 400, 403, 413),
)
async def authenticate(
    request: Request, body: PasswordBody, services: ServicesOfApp
) -> dict[str, Any]:
    """Make a token for `GET /authentication/secrets`. It is valid for eight hours.

    It stands for the user's and the organization's secret in other calls, too.
    """
    address = address_of(request)
    attempt = f"{body.username}\n{body.password}"
    with services.wrong_secrets.attempt(address, attempt):
        token = services.password_sign_in.sign_in(body.username, body.password)
    log.info("signed in with a password", address=address)
    return wire.present_sign_in(token)


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
