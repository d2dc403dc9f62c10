"""OAuth 2 for connectors: authorize addresses, codes, and access tokens that renew themselves (RFC 6749)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlencode

import aiohttp

from openbulk.connectors.base import Remember
from openbulk.connectors.http import Client, NoAuth
from openbulk.domain.errors import RetryLater, ServiceError, SignInAgain, Unsure

RENEW_EARLY_SECONDS = 60.0
"""A token is renewed this long before it runs out, so that none runs out on its way."""
DEFAULT_LIFE_SECONDS = 3600.0
REFRESH_TOKEN = "oauth.user.refresh_token"  # noqa: S105 - the name of a setting


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Where a service gives out tokens, and how it knows the application that asks."""

    url: str
    client_id: str = ""
    client_secret: str = ""
    secret_in_header: bool = False
    """Basic authentication instead of two more form fields (RFC 6749, section 2.3.1)."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a service gave out."""

    access: str
    life: float
    """Seconds."""
    refresh: str | None = None


FetchToken = Callable[[], Awaitable[Token]]


def authorize_url(address: str, parameters: Mapping[str, str | None]) -> str:
    """The address at which a person allows an application to act; parameters without a value are left out."""
    return f"{address}?{urlencode({name: value for name, value in parameters.items() if value})}"


async def request_token(http: aiohttp.ClientSession, endpoint: TokenEndpoint, form: Mapping[str, str]) -> Token:
    """Ask for a token. Raises SignInAgain where the service says no, RetryLater where it cannot say."""
    fields, headers = dict(form), {}
    if endpoint.secret_in_header:
        headers["Authorization"] = aiohttp.encode_basic_auth(endpoint.client_id, endpoint.client_secret)
    elif endpoint.client_id:
        fields |= {"client_id": endpoint.client_id, "client_secret": endpoint.client_secret}
    try:
        answer = await Client(http, NoAuth(), "the sign-in service").call(
            "POST", endpoint.url, data=fields, headers=headers
        )
    except Unsure as error:
        # Nothing was changed that matters: a token that got lost is asked for again.
        raise RetryLater(error.message, provider_message=error.provider_message) from error
    except SignInAgain as error:
        raise _refusal("invalid_client", None) from error
    if not answer.is_success:
        said = answer.json() if answer.body.startswith(b"{") else {}
        raise _refusal(str(said.get("error", answer.status)), said.get("error_description"))
    said = answer.json()
    return Token(
        access=str(said["access_token"]),
        life=float(said.get("expires_in", DEFAULT_LIFE_SECONDS)),
        refresh=said.get("refresh_token"),
    )


def _refusal(error: str, description: str | None) -> ServiceError:
    """The service's refusal in words for the person who has to mend it (RFC 6749, section 5.2)."""
    message = {
        "invalid_grant": "the sign-in has expired or was revoked, or its code was used before; sign in again",
        "invalid_client": "the service does not know this application; check oauth.api.key and oauth.api.secret",
        "redirect_uri_mismatch": "oauth.callback.url is not the address that was used to sign in",
    }.get(error, f"the service refused to sign in ({error})")
    return SignInAgain(message, provider_message=description)


def refreshing(
    http: aiohttp.ClientSession, endpoint: TokenEndpoint, refresh_token: str, remember: Remember
) -> FetchToken:
    """Fetches access tokens with a refresh token; where the service rotates it, the new one is remembered."""
    current = refresh_token

    async def fetch() -> Token:
        nonlocal current
        token = await request_token(http, endpoint, {"grant_type": "refresh_token", "refresh_token": current})
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
        self._lock = asyncio.Lock()
        self._header: Mapping[str, str] = {}
        self._good_until = 0.0

    async def headers(self) -> Mapping[str, str]:
        """The header with a token that is good for a while yet. Raises SignInAgain, RetryLater."""
        if self._clock() >= self._good_until:
            async with self._lock:
                if self._clock() >= self._good_until:
                    await self._take(await self._fetch())
        return self._header

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Fetch another token, unless another call has done so since; True: the call may be sent once more."""
        async with self._lock:
            if refused == self._header:
                await self._take(await self._fetch())
        return True

    async def _take(self, token: Token) -> None:
        self._header = {"Authorization": f"Bearer {token.access}"}
        self._good_until = self._clock() + max(1.0, token.life - RENEW_EARLY_SECONDS)
