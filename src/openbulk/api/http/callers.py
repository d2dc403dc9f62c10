"""The caller of a request, identified by the secrets in the `Authorization` header."""

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request

from openbulk.api.http.audit import note_refusal
from openbulk.api.http.under_way import RequestsUnderWay
from openbulk.api.password_sign_in import CallersSecrets
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.ids import parse_id
from openbulk.byte_budget import PlaceOwner
from openbulk.domain.errors import NotFound, NotSignedIn
from openbulk.domain.instance import CallingInstance, Instance
from openbulk.domain.people import Caller, User
from openbulk.domain.sessions import Origin
from openbulk.identity.sign_in import SESSION_BEGINNING
from openbulk.security import KEY_BEGINNING
from openbulk.storage.accounts import Accounts

_SECRET = re.compile(r"\s*(?P<kind>\w+)\s+(?P<secret>\S(?:.*\S)?)\s*")
# The contract calls an instance's token `Element`; one of its pages says `Token`.
_KINDS = {
    "user": "user",
    "organization": "organization",
    "element": "element",
    "token": "element",
    "bearer": "bearer",
    "instance": "instance",
}
_HEADER_HINT = "send the header 'Authorization: User <secret>, Organization <secret>'"
_NO_ORGANIZATION = f"the organization secret is missing; {_HEADER_HINT}"
_NO_INSTANCE = "the Element token is not known; it is in the answer that created the instance"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one request; each may be missing."""

    user: str | None = None
    organization: str | None = None
    element: str | None = None
    bearer: str | None = None
    """An API key, or the token of a session or of a sign-in with a password. It stands for the
    secrets of the user and of the organization."""
    instance: str | None = None
    """The number of an instance of the caller's organization, in place of its token. It is no
    secret: who is signed in may name it."""


def parse_authorization(header: str) -> Secrets:
    """Secrets from `User <secret>, Organization <secret>, Element <token>`, in any order.

    Secrets are base64 and hold `+`, `/` and `=`, but no commas. A part that is empty, or of another
    kind, counts as missing.
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


async def identify_caller(request: Request, services: ServicesOfApp) -> Caller:
    """The caller of a request. Raises NotSignedIn if a secret is missing, or if any that is sent is
    wrong.

    Raises TooManyGuesses if too many wrong ones came from the caller's address, ServerBusy if too
    many requests of the caller are under way, and LimitReached if the organization has made as many
    calls in this minute as it may make.

    The request needs the organization's secret too, unless it carries an instance's token or an
    API key. It is looked up once.
    """
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        found = await _with_named_instance(await _look_up(request, services), request, services)
        known = request.state.caller = found
        under_way: RequestsUnderWay = request.app.state.under_way
        request.state.held.enter_context(under_way.of(owner_of(request)))
        # A page of the console is made of many calls, which no program makes.
        if not getattr(request.state, "is_of_console", False):
            await services.limits.take_call(known.user.organization_id, known.limits)
    return known


def owner_of(request: Request) -> Hashable:
    """Who shares places with others: the calling instance, or the organization without one."""
    caller: Caller = request.state.caller
    instance = None if caller.instance is None else caller.instance.id
    return PlaceOwner(caller.user.organization_id, instance)


def address_of(request: Request) -> str:
    """The address that a request came from, as the proxy saw it if there is one."""
    return request.client.host if request.client else ""


def origin_of(request: Request) -> Origin:
    """Where a sign-in comes from."""
    return Origin(address_of(request), request.headers.get("user-agent", ""))


async def _look_up(request: Request, services: Services) -> Caller:
    secrets = _secrets_of(request)
    if secrets.bearer is not None and secrets.bearer.startswith(SESSION_BEGINNING):
        return await _identify_session(secrets.bearer, secrets.element, request, services)
    if secrets.user is None and secrets.bearer is not None:
        secrets = _in_place_of_bearer(secrets, secrets.bearer, request, services)
    if secrets.user is None:
        raise NotSignedIn(f"the user secret is missing; {_HEADER_HINT}")
    is_alone = secrets.organization is None and secrets.element is None
    if is_alone and not secrets.user.startswith(KEY_BEGINNING):
        raise NotSignedIn(_NO_ORGANIZATION)
    caller = await _identify(secrets, secrets.user, request, services)
    if is_alone and caller.scopes is None:
        raise NotSignedIn(_NO_ORGANIZATION)
    return caller


async def _with_named_instance(caller: Caller, request: Request, services: Services) -> Caller:
    """The caller with the instance that `Instance <number>` names, unless a token did.

    Raises NotFound if the organization has no such instance.
    """
    number = _secrets_of(request).instance
    if number is None or caller.instance is not None:
        return caller
    found = await instance_of(caller.user, number, services.accounts)
    if found is None:
        raise NotFound(f"there is no instance {number[:20]!r}; GET /instances lists yours")
    return replace(caller, instance=found.calling)


async def instance_of(user: User, text: str, accounts: Accounts) -> Instance | None:
    """The instance of the user's organization with this number; None if there is none."""
    number = parse_id(text)
    found = None if number is None else await accounts.instance(number)
    if found is None or found.organization_id != user.organization_id:
        return None
    return found


async def _identify_session(
    token: str, element: str | None, request: Request, services: Services
) -> Caller:
    """The caller of a session. Raises NotSignedIn."""
    with services.wrong_secrets.attempt(address_of(request), token):
        caller = await services.sessions.identify(token, element)
        if caller is None:
            raise NotSignedIn("the session has ended; sign in again with POST /authentication")
        if element is not None and caller.instance is None:
            raise NotSignedIn(_NO_INSTANCE)
        return caller


def _in_place_of_bearer(
    secrets: Secrets, bearer: str, request: Request, services: Services
) -> Secrets:
    """The secrets that a Bearer token stands for. Raises NotSignedIn."""
    if bearer.startswith(KEY_BEGINNING):
        return replace(secrets, user=bearer)
    opened = open_token(bearer, request, services)
    return replace(secrets, user=opened.user, organization=opened.organization)


def _secrets_of(request: Request) -> Secrets:
    return parse_authorization(request.headers.get("authorization", ""))


def bearer_token_of(request: Request) -> str | None:
    """The token of a sign-in with a password; None if the request has none."""
    return _secrets_of(request).bearer


def open_token(token: str, request: Request, services: Services) -> CallersSecrets:
    """The secrets that the token of a sign-in opens. Raises NotSignedIn.

    A wrong token counts as a wrong secret. Raises TooManyGuesses after too many.
    """
    if token.startswith(SESSION_BEGINNING):
        raise NotSignedIn(
            "this is the token of a session, which opens no secrets: they are shown when they are "
            "made. Send the token in their place: 'Authorization: Bearer <token>'"
        )
    with services.wrong_secrets.attempt(address_of(request), token):
        try:
            return services.password_sign_in.secrets_for(token)
        except NotSignedIn:
            note_refusal(request, None)
            raise


async def _identify(
    secrets: Secrets, user_secret: str, request: Request, services: Services
) -> Caller:
    known = services.known_secrets
    with services.wrong_secrets.attempt(address_of(request), user_secret):
        caller = await known.identify(user_secret, secrets.organization, secrets.element)
        if not _is_right(caller, secrets):
            note_refusal(request, caller)
        if caller is None:
            raise NotSignedIn(
                "the User secret is wrong; it is the value of OPENBULK_USER_SECRET, "
                "or in the file first-secrets of the server's data directory"
            )
        if caller.problem:
            raise NotSignedIn(caller.problem)
        if secrets.organization is not None and not caller.knows_organization:
            raise NotSignedIn(
                "the organization secret is not that of the user's organization; send two secrets "
                "that belong together"
            )
        if secrets.element is not None and caller.instance is None:
            raise NotSignedIn(_NO_INSTANCE)
        return caller


def _is_right(caller: Caller | None, secrets: Secrets) -> bool:
    """Whether all secrets that were sent are known, hold, and belong together."""
    if caller is None or caller.problem:
        return False
    fits_organization = secrets.organization is None or caller.knows_organization
    return fits_organization and (secrets.element is None or caller.instance is not None)


# A request that depends on several of these is looked up once: FastAPI calls a dependency once for
# each request.
SignedInCaller = Annotated[Caller, Depends(identify_caller)]


async def require_user(caller: SignedInCaller) -> User:
    """The calling user. Raises NotSignedIn."""
    return caller.user


async def require_instance(caller: SignedInCaller) -> CallingInstance:
    """The instance whose token the request has. Raises NotSignedIn."""
    if caller.instance is None:
        raise NotSignedIn(
            "the instance's token is missing; add ', Element <token>' to the Authorization header"
        )
    return caller.instance


SignedInUser = Annotated[User, Depends(require_user)]
SignedInInstance = Annotated[CallingInstance, Depends(require_instance)]
