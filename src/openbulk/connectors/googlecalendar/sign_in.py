"""Signing in at Google: by consent of a person, or as a service account.

https://developers.google.com/identity/protocols/oauth2/web-server
https://developers.google.com/identity/protocols/oauth2/service-account
"""

import json
import time
from collections.abc import Mapping

import aiohttp
from google.auth import crypt, jwt

from openbulk.connectors.auth import (
    REFRESH_TOKEN,
    BearerAuth,
    FetchToken,
    Token,
    TokenEndpoint,
    authorize_url,
    endpoint_of,
    exchange_code,
    refreshing,
    request_token,
)
from openbulk.connectors.base import AuthorizeRequest, Remember
from openbulk.domain.errors import BadInput, SignInAgain

SCOPE = "https://www.googleapis.com/auth/calendar.events"
"""The narrowest scope that reads and writes events of all the person's calendars."""
AUTHORIZE_URL = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
SERVICE_ACCOUNT = "google.service_account"
_ASSERTION_SECONDS = 3600
_ACCOUNT_REFUSED = (
    "Google does not accept the service account: check that its key was not deleted, that google.subject is an "
    f"address of the domain, and that domain-wide delegation allows the scope {SCOPE}"
)
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def token_url(configuration: Mapping[str, str]) -> str:
    """Where tokens are given out."""
    base = configuration.get("base.url")
    return f"{base.rstrip('/')}/token" if base else TOKEN_URL


class GoogleOAuth:
    """Google's sign-in by consent."""

    def authorize_url(self, request: AuthorizeRequest) -> str:
        """Asks for offline access with consent: only then Google gives a refresh token each time."""
        address = f"{request.base_url.rstrip('/')}/o/oauth2/v2/auth" if request.base_url else AUTHORIZE_URL
        return authorize_url(
            address,
            {
                "client_id": request.api_key,
                "redirect_uri": request.callback_url,
                "response_type": "code",
                "scope": request.scope or SCOPE,
                "access_type": "offline",
                "prompt": "consent",
                "state": request.state,
            },
        )

    async def exchange(
        self, code: str, configuration: Mapping[str, str], http: aiohttp.ClientSession
    ) -> Mapping[str, str]:
        """Trade the code for a refresh token."""
        return await exchange_code(http, _endpoint(configuration), code, configuration, element="googlecalendar")


def auth_of(configuration: Mapping[str, str], http: aiohttp.ClientSession, remember: Remember) -> BearerAuth:
    """The credentials of an instance. Raises BadInput where it has none."""
    if account := configuration.get(SERVICE_ACCOUNT):
        return BearerAuth(_as_service_account(account, configuration, http))
    if refresh_token := configuration.get(REFRESH_TOKEN):
        return BearerAuth(refreshing(http, _endpoint(configuration), refresh_token, remember))
    raise BadInput(
        "the instance has no credentials: give providerData.code with oauth.api.key, oauth.api.secret and "
        f"oauth.callback.url, or {REFRESH_TOKEN} with key and secret, or {SERVICE_ACCOUNT}"
    )


def _endpoint(configuration: Mapping[str, str]) -> TokenEndpoint:
    return endpoint_of(configuration, token_url(configuration))


def _as_service_account(key: str, configuration: Mapping[str, str], http: aiohttp.ClientSession) -> FetchToken:
    """Fetches tokens with an assertion signed by the account's key, in the name of `google.subject` where given."""
    try:
        account = json.loads(key)
        signer = crypt.RSASigner.from_service_account_info(account)  # type: ignore[no-untyped-call]
        issuer = account["client_email"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{SERVICE_ACCOUNT} is not the JSON key of a service account, as Google offers it") from error
    audience = token_url(configuration)

    async def fetch() -> Token:
        now = int(time.time())
        claims = {"iss": issuer, "scope": SCOPE, "aud": audience, "iat": now, "exp": now + _ASSERTION_SECONDS}
        if subject := configuration.get("google.subject"):
            claims["sub"] = subject
        assertion = jwt.encode(signer, claims).decode()  # type: ignore[no-untyped-call]
        form = {"grant_type": _JWT_BEARER, "assertion": assertion}
        try:
            return await request_token(http, TokenEndpoint(audience), form)
        except SignInAgain as error:
            raise SignInAgain(_ACCOUNT_REFUSED, provider_message=error.provider_message) from error

    return fetch
