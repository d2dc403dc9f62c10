"""OAuth 2 for connectors: authorize addresses, codes, and access tokens that renew themselves (RFC 6749)."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

from openbulk.connectors.base import Remember
from openbulk.connectors.http import Client, NoAuth
from openbulk.domain.errors import (
    AnswerLost,
    BadInput,
    Refused,
    RetryLater,
    ServiceError,
    SignInAgain,
)

RENEW_EARLY_SECONDS = 60.0
"""A token is renewed this long before it runs out, so that none runs out on its way."""
DEFAULT_LIFE_SECONDS = 3600.0
API_KEY = "oauth.api.key"
API_SECRET = "oauth.api.secret"  # noqa: S105 - the name of a setting
REFRESH_TOKEN = "oauth.user.refresh_token"  # noqa: S105 - the name of a setting


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Where a service gives out tokens, and how it knows the application that asks."""

    url: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    secret_in_header: bool = False
    """Basic authentication instead of two more form fields (RFC 6749, section 2.3.1)."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a service gave out."""

    access: str = field(repr=False)
    life: float
    """Seconds."""
    refresh: str | None = field(default=None, repr=False)
    scope: str | None = None
    """What it allows, in the service's words; None where the service did not say."""


FetchToken = Callable[[], Awaitable[Token]]


def authorize_url(address: str, parameters: Mapping[str, str | None]) -> str:
    """The address at which a person allows an application to act; parameters without a value are left out."""
    return f"{address}?{urlencode({name: value for name, value in parameters.items() if value})}"


def challenge_of(verifier: str) -> str:
    """What a code is bound to, so that only who knows the verifier can trade it (RFC 7636, method S256)."""
    return (
        base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    )


async def request_token(
    http: aiohttp.ClientSession, endpoint: TokenEndpoint, form: Mapping[str, str]
) -> Token:
    """Ask for a token. Raises SignInAgain where the service says no, RetryLater where it cannot say."""
    fields, headers = dict(form), {}
    if endpoint.secret_in_header:
        headers["Authorization"] = aiohttp.encode_basic_auth(
            endpoint.client_id, endpoint.client_secret
        )
    elif endpoint.client_id:
        fields |= {"client_id": endpoint.client_id, "client_secret": endpoint.client_secret}
    try:
        answer = await Client(http, NoAuth(), "the sign-in service").call(
            "POST", endpoint.url, data=fields, headers=headers
        )
    except AnswerLost as error:
        # Nothing was changed that matters: a token that got lost is asked for again.
        raise RetryLater(error.message, provider_message=error.provider_message) from error
    except SignInAgain as error:
        raise _refusal(error.provider_message or "", "invalid_client") from error
    if not answer.is_success:
        raise _refusal(answer.text(), str(answer.status))
    return _token_of(answer.json())


def _token_of(said: Any) -> Token:
    try:
        return Token(
            access=str(said["access_token"]),
            life=float(said.get("expires_in") or DEFAULT_LIFE_SECONDS),
            refresh=said.get("refresh_token"),
            scope=said.get("scope"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RetryLater(
            "the sign-in service gave an answer without a token: what answered was not it"
        ) from error


_TEMPORARY = frozenset({"internal_failure", "server_error", "temporarily_unavailable"})
"""Said with a status of 400, too (google-auth takes them for temporary in `google.oauth2._client`)."""
_REFUSALS = {
    "invalid_grant": "the sign-in has expired or was revoked, or its code was used before; sign in again",
    "invalid_client": "the service does not know this application; check oauth.api.key and oauth.api.secret",
    "unauthorized_client": "this application or service account is not allowed to act for that person; "
    "the administrator of their organization has to allow it",
    "redirect_uri_mismatch": "oauth.callback.url is not the address that was used to sign in",
}
_NOT_VERIFIED = (
    "the code and providerData.state are not of one sign-in: for a code of an address made with pkce=true, give the "
    "state that came back with it; for any other code, give none"
)


def _refusal(body: str, otherwise: str) -> ServiceError:
    """A refusal in words for the person who has to mend it (RFC 6749, section 5.2).

    `otherwise` is what it means where the body is not one of those that the RFC describes.
    """
    try:
        said = orjson.loads(body)
        error, description = str(said["error"]), str(said.get("error_description", "")) or None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        error, description = otherwise, body or None
    if error in _TEMPORARY:
        return RetryLater(
            f"the sign-in service is not well ({error})", provider_message=description
        )
    message = _REFUSALS.get(error, f"the service refused to sign in ({error})")
    if error == "invalid_grant" and "verifier" in (description or ""):
        # "Missing code verifier.", "Invalid code verifier.", "code_verifier or verifier is not needed.": so says Google
        # (https://github.com/onaio/onadata/issues/3068, https://github.com/panva/oauth4webapi/issues/119).
        message = _NOT_VERIFIED
    return SignInAgain(message, provider_message=description)


def endpoint_of(
    configuration: Mapping[str, str], url: str, *, secret_in_header: bool = False
) -> TokenEndpoint:
    """The token endpoint for the application that an instance is signed in through. Raises BadInput."""
    missing = [name for name in (API_KEY, API_SECRET) if not configuration.get(name)]
    if missing:
        raise BadInput(
            f"the configuration lacks {' and '.join(missing)}: id and secret of the application"
        )
    return TokenEndpoint(url, configuration[API_KEY], configuration[API_SECRET], secret_in_header)


async def token_for_code(
    http: aiohttp.ClientSession,
    endpoint: TokenEndpoint,
    code: str,
    configuration: Mapping[str, str],
    verifier: str | None = None,
) -> Token:
    """Trade a code for tokens. Raises SignInAgain, RetryLater."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": configuration.get("oauth.callback.url", ""),
    }
    return await request_token(
        http, endpoint, form | ({"code_verifier": verifier} if verifier else {})
    )


def to_keep(token: Token, *, element: str) -> Mapping[str, str]:
    """The configuration entry to keep of what a code gave. Raises SignInAgain where that is no refresh token.

    `element` is the service's key: the way to a code that gives one begins at its sign-in address.
    """
    if token.refresh is None:
        raise SignInAgain(
            f"the service gave no refresh token; sign in at the address that /elements/{element}/oauth/url gives"
        )
    return {REFRESH_TOKEN: token.refresh}


async def revoke_token(http: aiohttp.ClientSession, url: str, token: str) -> None:
    """Tell a service that a token is not used any more (RFC 7009). Raises ServiceError where it did not take it in.

    A token that the service does not know is revoked already: Google says `invalid_token` to it.
    """
    answer = await Client(http, NoAuth(), "the sign-in service").call(
        "POST", url, data={"token": token}
    )
    if not answer.is_success and "invalid_token" not in answer.text():
        raise Refused(
            f"the service did not revoke the access ({answer.status})",
            provider_message=answer.text(),
        )


def refreshing(
    http: aiohttp.ClientSession, endpoint: TokenEndpoint, refresh_token: str, remember: Remember
) -> FetchToken:
    """Fetches access tokens with a refresh token; where the service rotates it, the new one is remembered."""
    current = refresh_token

    async def fetch() -> Token:
        nonlocal current
        token = await request_token(
            http, endpoint, {"grant_type": "refresh_token", "refresh_token": current}
        )
        if token.refresh and token.refresh != current:
            current = token.refresh
            await remember({REFRESH_TOKEN: current})
        return token

    return fetch


class BearerAuth:
    """Puts an access token on calls. However many calls need a new one at once, one is fetched."""

    def __init__(self, fetch: FetchToken, clock: Callable[[], float] = monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._fetching: asyncio.Task[None] | None = None
        self._header: Mapping[str, str] = {}
        self._good_until = 0.0

    async def headers(self) -> Mapping[str, str]:
        """The header with a token that is good for a while yet. Raises SignInAgain, RetryLater."""
        if self._clock() >= self._good_until:
            await self._renewed()
        return self._header

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Fetch another token, unless another call has done so since; True: the call may be sent once more."""
        if refused == self._header:
            await self._renewed()
        return True

    async def _renewed(self) -> None:
        """Wait for the fetch that is under way, or for a new one. All who wait share how it ends.

        A caller who gives up does not end it: a refresh token can be good for one use only (Eloqua's is), and the
        one that replaces it must not be lost.
        """
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._take())
        await asyncio.shield(self._fetching)

    async def _take(self) -> None:
        token = await self._fetch()
        self._header = {"Authorization": f"Bearer {token.access}"}
        self._good_until = self._clock() + max(1.0, token.life - RENEW_EARLY_SECONDS)
