"""Who is calling, by the secrets in the `Authorization` header."""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from openbulk.api.services import ServicesOfApp
from openbulk.domain.errors import NotSignedIn
from openbulk.domain.instance import Instance
from openbulk.storage.accounts import User

_SECRET = re.compile(r"\s*(?P<kind>\w+)\s+(?P<secret>[^\s,]+)\s*")
_KINDS = {"user": "user", "organization": "organization", "element": "element", "token": "element"}
_HOW = "send the header 'Authorization: User <secret>, Organization <secret>'"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one request; each may be missing."""

    user: str | None = None
    organization: str | None = None
    element: str | None = None


def parse_authorization(header: str) -> Secrets:
    """Secrets from `User <secret>, Organization <secret>, Element <token>`, in any order.

    Secrets are base64 and hold `+`, `/` and `=`, but neither blanks nor commas. What is not understood, or is
    empty, counts as missing.
    """
    found: dict[str, str] = {}
    for part in header.split(","):
        match = _SECRET.fullmatch(part)
        if match and (kind := _KINDS.get(match["kind"].lower())):
            found[kind] = match["secret"]
    return Secrets(**found)


async def signed_in_user(request: Request, services: ServicesOfApp) -> User:
    """The calling user. The organization's secret is needed too, unless an instance's token stands in for it."""
    secrets = parse_authorization(request.headers.get("authorization", ""))
    if secrets.user is None:
        raise NotSignedIn(f"the user secret is missing; {_HOW}")
    if secrets.organization is None and secrets.element is None:
        raise NotSignedIn(f"the organization secret is missing; {_HOW}")
    user = await services.accounts.user(secrets.user)
    if user is None:
        raise NotSignedIn(
            "the user secret is not known; it was printed when the server was first started"
        )
    if secrets.organization is not None and not await services.accounts.is_organization_secret(
        user.organization_id, secrets.organization
    ):
        raise NotSignedIn("the organization secret is not that of this user's organization")
    if secrets.organization is None:
        await _instance(services, user, secrets)
    return user


SignedInUser = Annotated[User, Depends(signed_in_user)]


async def instance_of_request(
    request: Request, services: ServicesOfApp, user: SignedInUser
) -> Instance:
    """The instance that the calling user works with."""
    return await _instance(
        services, user, parse_authorization(request.headers.get("authorization", ""))
    )


async def _instance(services: ServicesOfApp, user: User, secrets: Secrets) -> Instance:
    if secrets.element is None:
        raise NotSignedIn(
            "the instance's token is missing; add ', Element <token>' to the Authorization header"
        )
    instance = await services.accounts.instance_with_token(secrets.element)
    if instance is None or instance.organization_id != user.organization_id:
        raise NotSignedIn(
            "the Element token is not known; it is in the answer that made the instance"
        )
    return instance


SignedInInstance = Annotated[Instance, Depends(instance_of_request)]
