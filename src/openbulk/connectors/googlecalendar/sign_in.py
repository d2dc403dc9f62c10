"""Signing in at Google: by consent of a person, or as a service account.

https://developers.google.com/identity/protocols/oauth2/web-server
https://developers.google.com/identity/protocols/oauth2/service-account
"""

import json
import re
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
"""An instance needs one of these: without any it cannot see the person's events."""
AUTHORIZE_URL = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
REVOKE_URL = "https://oauth2.googleapis.com/revoke"
SERVICE_ACCOUNT = "google.service_account"
SUBJECT = "google.subject"
ACCOUNT_SCOPE = "google.scope"
_ASSERTION_SECONDS = 3600
"""Google refuses an assertion that is valid for longer than an hour."""
_PERSON = re.compile(r"[^@ ]+@[^ ]*\.[^ ]*")
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def _address(base_url: str | None, path: str, default: str) -> str:
    """An address of Google's sign-in, or the one below `base.url` that replaces it."""
    return f"{base_url.rstrip('/')}{path}" if base_url else default


def _token_url(configuration: Mapping[str, str]) -> str:
    return _address(configuration.get("base.url"), "/token", TOKEN_URL)


class GoogleOAuth:
    """Google's sign-in by consent."""

    takes_challenge = True

    def authorize_url(self, request: AuthorizeRequest) -> str:
        """The address of Google's consent page.

        Google gives a refresh token each time only for offline access with consent
        (https://developers.google.com/identity/protocols/oauth2/web-server#offline).
        """
        address = _address(request.base_url, "/o/oauth2/v2/auth", AUTHORIZE_URL)
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
        """Trade the code for a refresh token.

        Raises SignInAgain, also if the person did not allow openbulk to see events.
        """
        token = await token_for_code(http, _endpoint(configuration), code, configuration, verifier)
        _require_scope(token)
        return refresh_token_entry(token, element="googlecalendar")

    async def revoke(self, configuration: Mapping[str, str], http: aiohttp.ClientSession) -> None:
        """Remove openbulk from the applications that the person allows.

        Google revokes everything that the person allowed this client.
        """
        if refresh_token := configuration.get(REFRESH_TOKEN):
            address = _address(configuration.get("base.url"), "/revoke", REVOKE_URL)
            await revoke_token(http, address, refresh_token)


def _require_scope(token: Token) -> None:
    """Raise SignInAgain if the person did not tick the box for events.

    On Google's consent page a person ticks what they allow; the answer's `scope` lacks the rest
    (https://developers.google.com/identity/protocols/oauth2/resources/granular-permissions).
    """
    if token.scope is None or _READS_EVENTS & set(token.scope.split()):
        return
    granted = " ".join(token.scope.split()) or "nothing"
    raise SignInAgain(
        "the box for seeing and editing calendar events was left unticked on Google's consent "
        f"page, or the sign-in address lacked the scope {SCOPE}; sign in again and tick it "
        f"(granted: {granted})"
    )


def auth_of(context: ConnectionContext) -> BearerAuth:
    """The credentials of an instance. Raises BadInput if it has none, or unreadable ones."""
    configuration = context.configuration
    if key := configuration.get(SERVICE_ACCOUNT):
        return BearerAuth(_service_account_tokens(key, configuration, context.http))
    if refresh_token := configuration.get(REFRESH_TOKEN):
        endpoint = _endpoint(configuration)
        return BearerAuth(token_refresher(context.http, endpoint, refresh_token, context.remember))
    raise BadInput(
        "the instance has no credentials: give providerData.code with oauth.api.key, "
        f"oauth.api.secret and oauth.callback.url, or {REFRESH_TOKEN} with key and secret, "
        f"or {SERVICE_ACCOUNT}"
    )


def _endpoint(configuration: Mapping[str, str]) -> TokenEndpoint:
    return endpoint_of(configuration, _token_url(configuration))


# --- service accounts ---


def _service_account_tokens(
    key: str, configuration: Mapping[str, str], http: aiohttp.ClientSession
) -> FetchToken:
    """Fetches tokens with an assertion that the account's key signs.

    With `google.subject`, the tokens are for that person's data.
    """
    account = _parse_key(key)
    signer = _signer_of(account)
    audience = _token_url(configuration)
    claims = {
        "iss": account["client_email"],
        "scope": configuration.get(ACCOUNT_SCOPE) or SCOPE,
        "aud": audience,
        **_subject_claim(configuration),
    }

    async def fetch() -> Token:
        # There is no refresh token: a new assertion fetches each access token.
        now = int(time.time())
        dated_claims = {**claims, "iat": now, "exp": now + _ASSERTION_SECONDS}
        assertion = jwt.encode(signer, dated_claims).decode()  # type: ignore[no-untyped-call]
        form = {"grant_type": _JWT_BEARER, "assertion": assertion}
        try:
            return await request_token(http, TokenEndpoint(audience), form)
        except SignInAgain as error:
            message = _refusal_message(error.provider_message or "", account, claims["scope"])
            raise SignInAgain(message, provider_message=error.provider_message) from error

    return fetch


_WHOLE_FILE = (
    "give the whole text of the file that the Google Cloud console hands out under "
    "Service accounts, Keys, Add key"
)


def _parse_key(key: str) -> dict[str, Any]:
    """The fields of a key file. Raises BadInput if it is not one of a service account."""
    try:
        account = json.loads(key)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{SERVICE_ACCOUNT} is not JSON; {_WHOLE_FILE}") from error
    if not isinstance(account, dict):
        raise BadInput(f"{SERVICE_ACCOUNT} is not a JSON object; {_WHOLE_FILE}")
    if account.keys() & {"web", "installed"}:
        raise BadInput(
            f"{SERVICE_ACCOUNT} is the file of an OAuth client: its client_id and client_secret "
            "belong in oauth.api.key and oauth.api.secret. "
            f"For a service account, {_WHOLE_FILE}"
        )
    required = ("client_email", "private_key")
    missing = [name for name in required if not isinstance(account.get(name), str)]
    if missing:
        raise BadInput(
            f"{SERVICE_ACCOUNT} is not the JSON key of a service account, as Google offers it: "
            f"it lacks {' and '.join(missing)}; {_WHOLE_FILE}"
        )
    return account


def _signer_of(account: Mapping[str, Any]) -> crypt.RSASigner:
    try:
        signer: crypt.RSASigner = crypt.RSASigner.from_service_account_info(  # type: ignore[no-untyped-call]
            account
        )
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"the private_key in {SERVICE_ACCOUNT} cannot be read; {_WHOLE_FILE}"
        ) from error
    return signer


def _subject_claim(configuration: Mapping[str, str]) -> dict[str, str]:
    """The claim that names the person to act for; without one the account acts for itself."""
    subject = configuration.get(SUBJECT, "").strip()
    if not subject:
        return {}
    if not _PERSON.fullmatch(subject):
        raise BadInput(
            f"{SUBJECT} {subject!r} is not the address of a person; it looks like ann@example.com"
        )
    return {"sub": subject}


_REFUSALS = {
    "Invalid email or User ID": f"{SUBJECT} is not the address of a person of the domain; "
    "give the primary address of one who has a Google Workspace account",
    "account not found": "Google does not know this service account: it was deleted or disabled",
    "Invalid JWT Signature": "Google does not know this key of the service account: it was deleted "
    f"or replaced; make a new one in the Google Cloud console and give it as {SERVICE_ACCOUNT}",
    "short-lived token": "Google does not accept the time that this server has; set its clock",
    "nauthorized": "the service account may not act for {subject}: in the Google Workspace admin "
    "console, under Security, API controls, Domain-wide delegation, allow the client id {client} "
    "the scope {scope}; that can take a day to have an effect",
}
"""Parts of Google's refusals of an assertion, and what to do about each."""
_ANY_REFUSAL = (
    "Google does not accept the service account: check that its key was not deleted, that "
    f"{SUBJECT} is an address of the domain, and that domain-wide delegation allows "
    "the client id {client} the scope {scope}"
)


def _refusal_message(provider_message: str, account: Mapping[str, Any], scope: str) -> str:
    """The message of a refusal, for the person who must correct it."""
    advice = (text for words, text in _REFUSALS.items() if words in provider_message)
    return next(advice, _ANY_REFUSAL).format(
        subject=SUBJECT, client=account.get("client_id", "of the account"), scope=scope
    )
