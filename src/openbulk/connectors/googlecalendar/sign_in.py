"""Signing in at Google: by consent of a person, or as a service account.

https://developers.google.com/identity/protocols/oauth2/web-server
https://developers.google.com/identity/protocols/oauth2/service-account
"""

import json
import time
from collections.abc import Mapping
from typing import Any

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
    refresh_token_entry,
    request_token,
    revoke_token,
    token_for_code,
    token_refresher,
)
from openbulk.connectors.base import AuthorizeRequest, ConnectionContext
from openbulk.domain.errors import BadInput, SignInAgain

_SCOPES = "https://www.googleapis.com/auth/"
SCOPE = f"{_SCOPES}calendar.events"
"""The narrowest scope that reads and writes events of all the person's calendars."""
_READS_EVENTS = frozenset(
    f"{_SCOPES}{name}"
    for name in (
        "calendar",
        "calendar.readonly",
        "calendar.events",
        "calendar.events.readonly",
        "calendar.events.owned",
        "calendar.events.owned.readonly",
    )
)
"""Any of these lets an instance see the person's events; without one it is good for nothing."""
AUTHORIZE_URL = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
REVOKE_URL = "https://oauth2.googleapis.com/revoke"
SERVICE_ACCOUNT = "google.service_account"
SUBJECT = "google.subject"
ACCOUNT_SCOPE = "google.scope"
_ASSERTION_SECONDS = 3600
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def token_url(configuration: Mapping[str, str]) -> str:
    """Where tokens are given out."""
    return _at_google(configuration, "/token", TOKEN_URL)


def _at_google(configuration: Mapping[str, str], path: str, otherwise: str) -> str:
    base = configuration.get("base.url")
    return f"{base.rstrip('/')}{path}" if base else otherwise


class GoogleOAuth:
    """Google's sign-in by consent."""

    takes_challenge = True

    def authorize_url(self, request: AuthorizeRequest) -> str:
        """Asks for offline access with consent: only then Google gives a refresh token each time."""
        address = (
            f"{request.base_url.rstrip('/')}/o/oauth2/v2/auth"
            if request.base_url
            else AUTHORIZE_URL
        )
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
                "code_challenge": request.challenge,
                "code_challenge_method": "S256" if request.challenge else None,
            },
        )

    async def exchange(
        self,
        code: str,
        configuration: Mapping[str, str],
        http: aiohttp.ClientSession,
        *,
        verifier: str | None = None,
    ) -> Mapping[str, str]:
        """Trade the code for a refresh token. Raises SignInAgain where the person did not allow to see events, too."""
        token = await token_for_code(http, _endpoint(configuration), code, configuration, verifier)
        _check_granted(token)
        return refresh_token_entry(token, element="googlecalendar")

    async def revoke(self, configuration: Mapping[str, str], http: aiohttp.ClientSession) -> None:
        """Take openbulk off the applications that the person allows. Google ends all that they allowed this client."""
        if refresh_token := configuration.get(REFRESH_TOKEN):
            await revoke_token(
                http, _at_google(configuration, "/revoke", REVOKE_URL), refresh_token
            )


def _check_granted(token: Token) -> None:
    """On Google's consent page a person ticks what they allow; what they left out is absent from the answer's `scope`.

    https://developers.google.com/identity/protocols/oauth2/resources/granular-permissions
    """
    if token.scope is None or _READS_EVENTS & set(token.scope.split()):
        return
    granted = " ".join(token.scope.split()) or "nothing"
    raise SignInAgain(
        "the box for seeing and editing calendar events was left unticked on Google's consent page, or the sign-in was "
        f"asked for without the scope {SCOPE}; sign in again and tick it (allowed was: {granted})"
    )


def auth_of(context: ConnectionContext) -> BearerAuth:
    """The credentials of an instance. Raises BadInput where it has none."""
    configuration = context.configuration
    if key := configuration.get(SERVICE_ACCOUNT):
        return BearerAuth(_as_service_account(key, configuration, context.http))
    if refresh_token := configuration.get(REFRESH_TOKEN):
        return BearerAuth(
            token_refresher(context.http, _endpoint(configuration), refresh_token, context.remember)
        )
    raise BadInput(
        "the instance has no credentials: give providerData.code with oauth.api.key, oauth.api.secret and "
        f"oauth.callback.url, or {REFRESH_TOKEN} with key and secret, or {SERVICE_ACCOUNT}"
    )


def _endpoint(configuration: Mapping[str, str]) -> TokenEndpoint:
    return endpoint_of(configuration, token_url(configuration))


# --- service accounts ---


def _as_service_account(
    key: str, configuration: Mapping[str, str], http: aiohttp.ClientSession
) -> FetchToken:
    """Fetches tokens with an assertion signed by the account's key, in the name of `google.subject` where given."""
    account = _account_of(key)
    signer = _signer_of(account)
    audience = token_url(configuration)
    claims = {
        "iss": account["client_email"],
        "scope": configuration.get(ACCOUNT_SCOPE) or SCOPE,
        "aud": audience,
        **_subject_of(configuration),
    }

    async def fetch() -> Token:
        now = int(time.time())
        timely = {**claims, "iat": now, "exp": now + _ASSERTION_SECONDS}
        assertion = jwt.encode(signer, timely).decode()  # type: ignore[no-untyped-call]
        form = {"grant_type": _JWT_BEARER, "assertion": assertion}
        try:
            return await request_token(http, TokenEndpoint(audience), form)
        except SignInAgain as error:
            message = _account_refused(error.provider_message or "", account, claims["scope"])
            raise SignInAgain(message, provider_message=error.provider_message) from error

    return fetch


def _account_of(key: str) -> dict[str, Any]:
    """What a key file says. Raises BadInput where it is not one of a service account."""
    try:
        account = json.loads(key)
    except ValueError as error:
        raise BadInput(f"{SERVICE_ACCOUNT} is not JSON; {_WHOLE_FILE}") from error
    if not isinstance(account, dict):
        raise BadInput(f"{SERVICE_ACCOUNT} is not a JSON object; {_WHOLE_FILE}")
    if account.keys() & {"web", "installed"}:
        raise BadInput(
            f"{SERVICE_ACCOUNT} is the file of an OAuth client: its client_id and client_secret belong into "
            f"oauth.api.key and oauth.api.secret. For a service account, {_WHOLE_FILE}"
        )
    missing = [
        name for name in ("client_email", "private_key") if not isinstance(account.get(name), str)
    ]
    if missing:
        raise BadInput(
            f"{SERVICE_ACCOUNT} is not the JSON key of a service account, as Google offers it: it lacks "
            f"{' and '.join(missing)}; {_WHOLE_FILE}"
        )
    return account


_WHOLE_FILE = "give the whole text of the file that the Google Cloud console hands out under Service accounts, Keys, Add key"


def _signer_of(account: Mapping[str, Any]) -> crypt.RSASigner:
    try:
        signer: crypt.RSASigner = crypt.RSASigner.from_service_account_info(account)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"the private_key in {SERVICE_ACCOUNT} cannot be read; {_WHOLE_FILE}"
        ) from error
    return signer


def _subject_of(configuration: Mapping[str, str]) -> dict[str, str]:
    """The claim that names the person to stand in for; without one the account acts for itself."""
    subject = configuration.get(SUBJECT, "").strip()
    if not subject:
        return {}
    name, at, domain = subject.partition("@")
    if not (name and at and "." in domain) or " " in subject:
        raise BadInput(
            f"{SUBJECT} {subject!r} is not the address of a person; it looks like ann@example.com"
        )
    return {"sub": subject}


_ACCOUNT_REFUSALS = {
    "Invalid email or User ID": f"{SUBJECT} is not the address of a person of the domain; give the primary address of "
    "one who has a Google Workspace account",
    "account not found": "Google does not know this service account: it was deleted or disabled",
    "Invalid JWT Signature": "Google does not know this key of the service account: it was deleted or replaced; make a "
    "new one in the Google Cloud console and give it as google.service_account",
    "short-lived token": "Google does not accept the time that this server has; set its clock",
    "nauthorized": "the service account may not act for {subject}: in the Google Workspace admin console, under "
    "Security, API controls, Domain-wide delegation, allow the client id {client} the scope {scope}; that can take a "
    "day to have an effect",
}
"""Part of what Google says of an assertion, and what to do about it."""
_ACCOUNT_REFUSED = (
    f"Google does not accept the service account: check that its key was not deleted, that {SUBJECT} is an address of "
    "the domain, and that domain-wide delegation allows the client id {client} the scope {scope}"
)


def _account_refused(said: str, account: Mapping[str, Any], scope: str) -> str:
    sentences = (sentence for words, sentence in _ACCOUNT_REFUSALS.items() if words in said)
    sentence = next(sentences, _ACCOUNT_REFUSED)
    return sentence.format(
        subject=SUBJECT, client=account.get("client_id", "of the account"), scope=scope
    )
