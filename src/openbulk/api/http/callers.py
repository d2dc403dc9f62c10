"""The caller of a request, identified by the secrets in the `Authorization` header."""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from openbulk.api.services import Services, ServicesOfApp
from openbulk.domain.errors import NotSignedIn
from openbulk.domain.instance import Instance
from openbulk.storage.accounts import User

_SECRET = re.compile(r"\s*(?P<kind>\w+)\s+(?P<secret>[^\s,]+)\s*")
# The contract calls an instance's token `Element`; one of its pages says `Token`.
_KINDS = {"user": "user", "organization": "organization", "element": "element", "token": "element"}
_HEADER_HINT = "send the header 'Authorization: User <secret>, Organization <secret>'"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one request; each may be missing."""

    user: str | None = None
    organization: str | None = None
    element: str | None = None


def parse_authorization(header: str) -> Secrets:
    """Secrets from `User <secret>, Organization <secret>, Element <token>`, in any order.

    Secrets are base64 and hold `+`, `/` and `=`, but neither blanks nor commas. An unknown, empty
    or malformed part counts as missing.
    """
    secrets: dict[str, str] = {}
    for part in header.split(","):
        match = _SECRET.fullmatch(part)
        if match is None:
            continue
        kind = match["kind"].lower()
        if kind in _KINDS:
            secrets[_KINDS[kind]] = match["secret"]
    return Secrets(**secrets)


async def require_user(request: Request, services: ServicesOfApp) -> User:
    """The calling user. Raises NotSignedIn.

    The request needs the organization's secret too, unless it carries an instance's token.
    """
    secrets = parse_authorization(request.headers.get("authorization", ""))
    if secrets.user is None:
        raise NotSignedIn(f"the user secret is missing; {_HEADER_HINT}")
    if secrets.organization is None and secrets.element is None:
        raise NotSignedIn(f"the organization secret is missing; {_HEADER_HINT}")
    user = await services.accounts.user(secrets.user)
    if user is None:
        raise NotSignedIn(
            "the User secret is wrong; it is the value of OPENBULK_USER_SECRET, "
            "or what the server printed at its first start"
        )
    if secrets.organization is None:
        await _find_instance(services, user, secrets.element)
    elif not await services.accounts.is_organization_secret(
        user.organization_id, secrets.organization
    ):
        raise NotSignedIn(
            "the organization secret is not that of the user's organization; send two secrets that "
            "belong together"
        )
    return user


SignedInUser = Annotated[User, Depends(require_user)]


async def require_instance(
    request: Request, services: ServicesOfApp, user: SignedInUser
) -> Instance:
    """The instance whose token the request has. Raises NotSignedIn."""
    secrets = parse_authorization(request.headers.get("authorization", ""))
    return await _find_instance(services, user, secrets.element)


async def _find_instance(services: Services, user: User, token: str | None) -> Instance:
    if token is None:
        raise NotSignedIn(
            "the instance's token is missing; add ', Element <token>' to the Authorization header"
        )
    instance = await services.accounts.instance_with_token(token)
    if instance is None or instance.organization_id != user.organization_id:
        raise NotSignedIn(
            "the Element token is not known; it is in the answer that created the instance"
        )
    return instance


SignedInInstance = Annotated[Instance, Depends(require_instance)]
