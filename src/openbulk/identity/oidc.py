"""Signs people in at the OpenID Connect provider of their organization.

The authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636), from what
the provider says of itself (OpenID Connect Discovery 1.0). openbulk asks for the identity alone: it
keeps no token of the provider.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from authlib.oauth2.auth import encode_client_secret_basic
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from openbulk.domain.errors import NotSignedIn, ProviderFailed
from openbulk.domain.identity_provider import SCOPES
from openbulk.identity.oidc_answers import (
    BegunSignIn,
    Identity,
    address_of,
    code_of,
    identity_of,
    missing_abilities,
    parse,
    refusal,
    texts_of,
    usable_keys,
)

ALGORITHMS: Final = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
]
"""Signatures with a key that only the provider has."""
KEPT_SECONDS = 600.0
"""How long openbulk keeps what a provider says of itself."""
FRESH_SECONDS = 30.0
"""Keys that were read so short a time ago are not read again for a token with an unknown one."""
CLOCK_SECONDS = 60
"""How far the clocks of a provider and of this server may be apart."""
MAX_BYTES = 256 * 1024
_NO_CODE = "openbulk-tries-out-its-registration"
TIMEOUT = aiohttp.ClientTimeout(total=20)


@dataclass(frozen=True, slots=True)
class Registration:
    """What an organization's provider and openbulk know each other by."""

    issuer: str
    """Such as `https://login.example.com/realms/school`."""
    client_id: str
    client_secret: str = field(repr=False)
    """Empty for a client without one (RFC 6749, section 2.1)."""
    scopes: str = SCOPES


@dataclass(frozen=True, slots=True)
class _Provider:
    """What a provider says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    is_secret_in_body: bool
    problems: Sequence[str]
    """What it says that it cannot do, and openbulk needs."""
    read_at: float


class OpenIdConnect:
    """Sends people to providers, and finds out who comes back."""

    def __init__(self, http: aiohttp.ClientSession, clock: Callable[[], float] = time.time) -> None:
        """`http` connects to allowed addresses only."""
        self._http = http
        self._clock = clock
        self._providers: dict[str, _Provider] = {}
        self._keys: dict[str, tuple[float, KeySet]] = {}

    async def begin(
        self, registration: Registration, redirect_uri: str, *, asks_again: bool = False
    ) -> BegunSignIn:
        """Begin a sign-in. Raises ProviderFailed.

        With `asks_again`, the provider is to ask also a person who is signed in there.
        """
        provider = await self._provider(registration.issuer)
        state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(48)
        address = prepare_grant_uri(
            provider.authorization_endpoint,
            client_id=registration.client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            scope=registration.scopes,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            **({"prompt": "login"} if asks_again else {}),
        )
        return BegunSignIn(address, state, nonce, verifier)

    async def finish(
        self,
        registration: Registration,
        redirect_uri: str,
        begun: BegunSignIn,
        answer: Mapping[str, str],
    ) -> Identity:
        """Who a person is that comes back from the provider. `answer` is the query of the address.

        Raises NotSignedIn if the provider has not signed them in, or the answer is not to `begun`;
        ProviderFailed.
        """
        code = code_of(answer, begun, registration.issuer)
        provider = await self._provider(registration.issuer)
        tokens = await self._exchange(provider, registration, redirect_uri, begun.verifier, code)
        claims = await self._claims(provider, registration, begun.nonce, tokens)
        more = await self._more_claims(provider, claims, tokens)
        return identity_of({**more, **claims}, registration.issuer)

    async def problems_of(self, registration: Registration, redirect_uri: str) -> list[str]:
        """Why people could not sign in, as far as that shows without a person."""
        # What was read earlier may be what somebody has just corrected.
        self._providers.pop(registration.issuer, None)
        try:
            provider = await self._provider(registration.issuer)
            await self._key_set(provider, is_stale=True)
        except ProviderFailed as error:
            return [error.message]
        return [
            *provider.problems,
            *await self._refusal_of_client(provider, registration, redirect_uri),
        ]

    async def _refusal_of_client(
        self, provider: _Provider, registration: Registration, redirect_uri: str
    ) -> list[str]:
        """Why the provider does not know openbulk; empty if it does, and refuses the code alone."""
        form, headers = _token_request(
            provider, registration, redirect_uri, secrets.token_urlsafe(48), _NO_CODE
        )
        try:
            status, content = await self._send(provider.token_endpoint, form=form, headers=headers)
        except ProviderFailed as error:
            return [error.message]
        if content is not None and content.get("error") == "invalid_grant":
            return []
        why = refusal(provider.token_endpoint, status, content)
        return [f"the provider does not take this client: {why}; compare clientId and clientSecret"]

    # --- what a provider says of itself ---

    async def _provider(self, issuer: str) -> _Provider:
        known = self._providers.get(issuer)
        if known is not None and self._clock() - known.read_at < KEPT_SECONDS:
            return known
        content = await self._read(get_well_known_url(issuer, external=True))
        if content.get("issuer") != issuer:
            # Discovery 1.0, section 4.3.
            raise ProviderFailed(
                f"{issuer} calls itself {str(content.get('issuer'))[:200]!r}; enter that as the "
                "issuer, if it is the right provider"
            )
        methods = texts_of(content, "token_endpoint_auth_methods_supported") or [
            "client_secret_basic"
        ]
        is_secret_in_body = "client_secret_basic" not in methods
        provider = _Provider(
            authorization_endpoint=address_of(content, "authorization_endpoint", issuer),
            token_endpoint=address_of(content, "token_endpoint", issuer),
            jwks_uri=address_of(content, "jwks_uri", issuer),
            userinfo_endpoint=address_of(content, "userinfo_endpoint", issuer)
            if "userinfo_endpoint" in content
            else None,
            is_secret_in_body=is_secret_in_body,
            problems=missing_abilities(content, issuer),
            read_at=self._clock(),
        )
        self._providers[issuer] = provider
        return provider

    async def _key_set(self, provider: _Provider, *, is_stale: bool = False) -> KeySet:
        """The provider's keys. `is_stale`: a token has another one."""
        read_at, keys = self._keys.get(provider.jwks_uri, (0.0, None))
        age = self._clock() - read_at
        if keys is not None and age < (FRESH_SECONDS if is_stale else KEPT_SECONDS):
            return keys
        content = await self._read(provider.jwks_uri)
        try:
            keys = KeySet.import_key_set({"keys": usable_keys(content)})
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise ProviderFailed(f"the keys at {provider.jwks_uri} cannot be read") from error
        self._keys[provider.jwks_uri] = (self._clock(), keys)
        return keys

    # --- tokens ---

    async def _exchange(
        self,
        provider: _Provider,
        registration: Registration,
        redirect_uri: str,
        verifier: str,
        code: str,
    ) -> Mapping[str, Any]:
        """The tokens for a code (RFC 6749, section 4.1.3)."""
        form, headers = _token_request(provider, registration, redirect_uri, verifier, code)
        return await self._read(provider.token_endpoint, form=form, headers=headers)

    async def _claims(
        self,
        provider: _Provider,
        registration: Registration,
        nonce: str,
        tokens: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """What a token says, once it is checked (OpenID Connect Core 1.0, section 3.1.3.7)."""
        text = tokens.get("id_token")
        if not isinstance(text, str):
            raise ProviderFailed(
                f"{registration.issuer} answers without an id_token; it must speak OpenID Connect"
            )
        token = await self._decode(provider, text)
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": registration.issuer},
                "aud": {"essential": True, "value": registration.client_id},
            },
            {
                "client_id": registration.client_id,
                "nonce": nonce,
                "access_token": tokens.get("access_token"),
            },
        )
        try:
            claims.validate(now=int(self._clock()), leeway=CLOCK_SECONDS)
        except JoseError as error:
            raise NotSignedIn(
                f"the provider's answer does not hold ({error}); sign in again, and if that does "
                "not help, compare the clocks of the two servers"
            ) from error
        return dict(claims)

    async def _more_claims(
        self, provider: _Provider, claims: Mapping[str, Any], tokens: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """What the provider says beside the token, where many put the groups (section 5.3)."""
        token = tokens.get("access_token")
        if provider.userinfo_endpoint is None or not isinstance(token, str):
            return {}
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        more = await self._read(provider.userinfo_endpoint, headers=headers)
        if more.get("sub") != claims["sub"]:
            raise NotSignedIn("the provider's answers are about two people; sign in again")
        return more

    async def _decode(self, provider: _Provider, text: str) -> jwt.Token:
        keys = await self._key_set(provider)
        try:
            return jwt.decode(text, keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            keys = await self._key_set(provider, is_stale=True)
        try:
            return jwt.decode(text, keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise NotSignedIn(
                "the provider's answer has no signature of the provider; sign in again"
            ) from error

    # --- HTTP ---

    async def _read(
        self,
        address: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """The JSON object at an address, or the answer to a form. Raises ProviderFailed."""
        status, content = await self._send(address, form=form, headers=headers)
        if status != 200 or content is None:
            raise ProviderFailed(refusal(address, status, content))
        return content

    async def _send(
        self,
        address: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, Any] | None]:
        """The status and the JSON object of an answer. Raises ProviderFailed without an answer."""
        method = "GET" if form is None else "POST"
        try:
            async with self._http.request(
                method, address, data=form, headers=headers, allow_redirects=False, timeout=TIMEOUT
            ) as answer:
                body = b""
                async for chunk in answer.content.iter_chunked(MAX_BYTES):
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise ProviderFailed(f"{address} answers more than {MAX_BYTES:,} bytes")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderFailed(f"{address} does not answer: {error or 'no answer'}") from error
        return answer.status, parse(body)


class _Secret:
    """A registration, as authlib names its parts."""

    def __init__(self, registration: Registration) -> None:
        self.client_id = registration.client_id
        self.client_secret = registration.client_secret


def _token_request(
    provider: _Provider, registration: Registration, redirect_uri: str, verifier: str, code: str
) -> tuple[dict[str, str], Mapping[str, str]]:
    """The form and the headers that ask for tokens (RFC 6749, section 4.1.3)."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": registration.client_id,
        "code_verifier": verifier,
    }
    headers: Mapping[str, str] = {"Accept": "application/json"}
    if registration.client_secret and provider.is_secret_in_body:
        form["client_secret"] = registration.client_secret
    elif registration.client_secret:
        _, headers, _ = encode_client_secret_basic(
            _Secret(registration), "POST", provider.token_endpoint, dict(headers), ""
        )
    return form, headers
