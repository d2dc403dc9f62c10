"""OAuth 2 for connectors (RFC 6749): sign-in addresses, codes, and tokens that are renewed."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

from openbulk.connectors.answers import Answer
from openbulk.connectors.base import Remember
from openbulk.connectors.http import Request, Transport, secrets_in
from openbulk.domain.errors import (
    AnswerLost,
    BadInput,
    Refused,
    RetryLater,
    ServiceError,
    SignInAgain,
)

RENEW_EARLY_SECONDS = 60.0
"""Tokens are renewed this long before they expire, so that none expires in transit."""
DEFAULT_LIFE_SECONDS = 3600.0
"""For answers without `expires_in`, which is optional (RFC 6749, section 5.1)."""
MAX_LIFE_SECONDS = 24 * 3600.0
"""A token that claims to live longer is renewed after a day."""
_TOKEN = re.compile(r"[\x20-\x7e]{0,8192}")
"""A token or a scope (RFC 6749, appendix A): it becomes part of a header."""
API_KEY = "oauth.api.key"
API_SECRET = "oauth.api.secret"  # noqa: S105 - the name of a setting
REFRESH_TOKEN = "oauth.user.refresh_token"  # noqa: S105 - the name of a setting


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """The URL that issues a service's tokens, and the application that they are issued to."""

    url: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    secret_in_header: bool = False
    """Basic authentication instead of two more form fields (RFC 6749, section 2.3.1)."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and what the service issued with it (RFC 6749, section 5.1)."""

    access: str = field(repr=False)
    life: float
    """Seconds until it expires."""
    refresh: str | None = field(default=None, repr=False)
    scope: str | None = None
    """What it allows, as the service spells it; None if the answer has no scope."""


FetchToken = Callable[[], Awaitable[Token]]


def authorize_url(address: str, parameters: Mapping[str, str | None]) -> str:
    """The URL at which a person allows an application to act for them (RFC 6749, section 4.1.1).

    Parameters without a value are left out.
    """
    given = {name: value for name, value in parameters.items() if value}
    return f"{address}?{urlencode(given)}"


def challenge_of(verifier: str) -> str:
    """The challenge that binds a code to a verifier (RFC 7636, section 4.2, method S256).

    The service accepts the code only together with the verifier.
    """
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def request_token(
    http: aiohttp.ClientSession, endpoint: TokenEndpoint, form: Mapping[str, str]
) -> Token:
    """Request a token. Raises SignInAgain if the service refuses, RetryLater if it fails."""
    answer = await _post(http, endpoint, form)
    try:
        token = _read_token(answer)
    except AnswerLost as error:
        raise RetryLater(error.message) from error
    return token


def _read_token(answer: Answer) -> Token:
    """The token in an answer. Raises ServiceError, without the body, which may hold a secret."""
    body = answer.object()
    texts = {name: body.get(name) for name in ("access_token", "refresh_token", "scope")}
    for name, text in texts.items():
        if text is not None and not (isinstance(text, str) and _TOKEN.fullmatch(text)):
            raise RetryLater(f"{answer.call} answered a {name} that is not valid")
    life = _life_of(body.get("expires_in"))
    if not texts["access_token"] or life is None:
        raise RetryLater(
            f"{answer.call} answered without a token; a proxy may have answered in its place"
        )
    return Token(
        access=texts["access_token"],
        life=life,
        refresh=texts["refresh_token"] or None,
        scope=texts["scope"],
    )


def _life_of(expires_in: Any) -> float | None:
    """The seconds in `expires_in`, which some services send as a text; None if it is no number."""
    try:
        life = float(expires_in or DEFAULT_LIFE_SECONDS)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(life, MAX_LIFE_SECONDS) if life > 0 else DEFAULT_LIFE_SECONDS


_SHOWN = frozenset({"grant_type", "client_id", "redirect_uri", "scope"})
"""Fields of such forms that are no secrets."""


async def _post(
    http: aiohttp.ClientSession, endpoint: TokenEndpoint, form: Mapping[str, str]
) -> Answer:
    """Send a form with the application's credentials, and return the answer if it is a success."""
    fields, headers = dict(form), {}
    if endpoint.secret_in_header:
        headers["Authorization"] = aiohttp.encode_basic_auth(
            endpoint.client_id, endpoint.client_secret
        )
    elif endpoint.client_id:
        fields |= {"client_id": endpoint.client_id, "client_secret": endpoint.client_secret}
    service = _sign_in_service(http)
    secrets = [*secrets_in(headers), *(fields[name] for name in fields if name not in _SHOWN)]
    try:
        answer = await service.call(
            Request("POST", endpoint.url, None, fields, headers, secrets=secrets)
        )
    except AnswerLost as error:
        # A lost token does no harm: the caller requests another one.
        raise RetryLater(error.message, provider_message=error.provider_message) from error
    except SignInAgain as error:
        # 401 means invalid_client (RFC 6749, section 5.2), whether the body says so or not.
        raise _refusal(error.provider_message or "", "invalid_client") from error
    if not answer.is_success:
        raise _refusal(answer.text(), str(answer.status))
    return answer


def _sign_in_service(http: aiohttp.ClientSession) -> Transport:
    # Its calls count against no budget of the service.
    return Transport(http, "the sign-in service")


_TEMPORARY = frozenset({"internal_failure", "server_error", "temporarily_unavailable"})
"""Transient errors, whatever the status; google-auth retries them (`google.oauth2._client`)."""
_REFUSALS = {
    "invalid_grant": "the sign-in has expired or was revoked, or its code was used before; sign in "
    "again",
    "invalid_client": "the service does not know this application; "
    "check oauth.api.key and oauth.api.secret",
    "unauthorized_client": "this application or service account is not allowed to act for that "
    "person; the administrator of their organization has to allow it",
    "redirect_uri_mismatch": "oauth.callback.url is not the address that was used to sign in",
}
_NOT_VERIFIED = (
    "the code and providerData.state are not of one sign-in: if the sign-in address was made with "
    "pkce=true, give the state that came back with the code; otherwise give no state"
)


def _refusal(body: str, default: str) -> ServiceError:
    """The error for a refusal, with a message for the person who must act.

    `default` is the error code to assume if the body is not an error response of RFC 6749,
    section 5.2.
    """
    try:
        fields = orjson.loads(body)
        error, description = str(fields["error"]), str(fields.get("error_description", "")) or None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        error, description = default, body or None
    if error in _TEMPORARY:
        return RetryLater(
            f"the sign-in service has a temporary fault ({error})", provider_message=description
        )
    message = _REFUSALS.get(error, f"the service refused to sign in ({error})")
    if error == "invalid_grant" and "verifier" in (description or ""):
        # Google's descriptions: "Missing code verifier.", "Invalid code verifier.", "code_verifier
        # or verifier is not needed." (https://github.com/onaio/onadata/issues/3068,
        # https://github.com/panva/oauth4webapi/issues/119).
        message = _NOT_VERIFIED
    return SignInAgain(message, provider_message=description)


def endpoint_of(
    configuration: Mapping[str, str], url: str, *, secret_in_header: bool = False
) -> TokenEndpoint:
    """The token endpoint for the application in a configuration. Raises BadInput."""
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
    if verifier:
        # Services refuse a verifier for a code without a challenge.
        form["code_verifier"] = verifier
    return await request_token(http, endpoint, form)


def refresh_token_entry(token: Token, *, element: str) -> Mapping[str, str]:
    """The configuration entry that keeps a token's refresh token. Raises SignInAgain without one.

    `element` is the service's key. The error message names the sign-in address that yields a code
    with a refresh token.
    """
    if token.refresh is None:
        raise SignInAgain(
            "the service gave no refresh token; sign in at the address that "
            f"/elements/{element}/oauth/url returns"
        )
    return {REFRESH_TOKEN: token.refresh}


async def revoke_token(http: aiohttp.ClientSession, url: str, token: str) -> None:
    """Revoke a token (RFC 7009). Raises ServiceError if the service does not.

    An unknown token counts as revoked: Google answers `invalid_token` for one.
    """
    answer = await _sign_in_service(http).call(
        Request("POST", url, None, {"token": token}, {}, secrets=[token])
    )
    if not answer.is_success and "invalid_token" not in answer.text():
        raise Refused(
            f"the service did not revoke the access ({answer.status})",
            provider_message=answer.text(),
        )


def token_refresher(
    http: aiohttp.ClientSession, endpoint: TokenEndpoint, refresh_token: str, remember: Remember
) -> FetchToken:
    """A function that fetches access tokens with a refresh token.

    If the service issues a new refresh token, the function remembers it (RFC 6749, section 6).
    """
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
    """Adds an access token to calls (RFC 6750). Concurrent calls share one renewal."""

    def __init__(self, fetch: FetchToken, clock: Callable[[], float] = monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._fetching: asyncio.Task[None] | None = None
        self._header: Mapping[str, str] = {}
        self._valid_until = 0.0

    async def headers(self) -> Mapping[str, str]:
        """The header, with a token that does not expire soon. Raises SignInAgain, RetryLater."""
        if self._clock() >= self._valid_until:
            await self._join_fetch()
        return self._header

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Fetch another token, unless another call has done so. True: send the call again."""
        if refused == self._header:
            await self._join_fetch()
        return True

    async def _join_fetch(self) -> None:
        """Wait for the running fetch, or start one. Callers share its result or error."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch_token())
        # Cancelling a caller does not cancel the fetch: a refresh token can be valid for one use
        # only (Eloqua's is), and the one that replaces it must not be lost.
        await asyncio.shield(self._fetching)

    async def _fetch_token(self) -> None:
        token = await self._fetch()
        self._header = {"Authorization": f"Bearer {token.access}"}
        self._valid_until = self._clock() + max(1.0, token.life - RENEW_EARLY_SECONDS)
