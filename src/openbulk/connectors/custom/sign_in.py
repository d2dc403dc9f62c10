"""How instances of a custom connector sign in: by Basic, by keys, or by OAuth 2."""

import base64
from collections.abc import Mapping
from urllib.parse import urlencode

import aiohttp

from openbulk.connectors.auth import (
    REFRESH_TOKEN,
    BearerAuth,
    FetchToken,
    Token,
    TokenEndpoint,
    endpoint_of,
    request_token,
    revoke_token,
    token_for_code,
    token_refresher,
)
from openbulk.connectors.base import AuthorizeRequest, ConnectionContext
from openbulk.connectors.custom.description import (
    ACCESS_TOKEN,
    BASE_URL,
    Description,
    Entry,
    SignIn,
    SignInKind,
    Value,
)
from openbulk.connectors.custom.templates import fill_base, problem_of_address
from openbulk.connectors.http import Auth, HeaderAuth
from openbulk.domain.errors import BadInput, SignInAgain

AUTHORIZATION_URL = "oauth.authorization.url"
TOKEN_URL = "oauth.token.url"  # noqa: S105 - the name of an entry
REFRESH_URL = "oauth.token.refresh_url"
REVOKE_URL = "oauth.token.revoke_url"
SCOPE = "oauth.scope"


def with_defaults(entries: Mapping[str, Entry], given: Mapping[str, str]) -> dict[str, str]:
    """A configuration, with the defaults of the entries that it has no value for."""
    defaults = {key: entry.default for key, entry in entries.items() if entry.default}
    return {**defaults, **{key: value for key, value in given.items() if value}}


def entry_of(configuration: Mapping[str, str], name: str) -> str:
    """The value of an entry. Raises BadInput if it has none."""
    value = configuration.get(name)
    if not value:
        raise BadInput(f"the configuration lacks {name}, which is part of an address")
    return value


def address_in(configuration: Mapping[str, str], name: str) -> str:
    """An address that is called, with its values. Raises BadInput."""
    template = configuration.get(name)
    if not template:
        raise BadInput(f"the configuration lacks {name}")
    problem = problem_of_address(template, has_query=name != BASE_URL)
    if problem is not None:
        raise BadInput(f"{name} {problem}; write it like https://api.example.com/v1")
    address, mark, query = template.partition("?")
    return fill_base(address, lambda entry: entry_of(configuration, entry)) + mark + query


def auth_of(
    description: Description, configuration: Mapping[str, str], context: ConnectionContext
) -> Auth:
    """The credentials of an instance. Raises BadInput if it has none."""
    sign_in = description.sign_in
    if sign_in.kind is SignInKind.BASIC:
        return _basic_auth(configuration)
    if sign_in.kind is SignInKind.NONE:
        return HeaderAuth({})
    return TokenHeader(_bearer_auth(description, configuration, context), sign_in)


def _basic_auth(configuration: Mapping[str, str]) -> HeaderAuth:
    """RFC 7617, in UTF-8."""
    missing = [name for name in ("username", "password") if not configuration.get(name)]
    if missing:
        raise BadInput(f"the configuration lacks {' and '.join(missing)}")
    pair = f"{configuration['username']}:{configuration['password']}"
    return HeaderAuth({"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"})


def _bearer_auth(
    description: Description, configuration: Mapping[str, str], context: ConnectionContext
) -> BearerAuth:
    if description.sign_in.kind is SignInKind.CLIENT_CREDENTIALS:
        return BearerAuth(_client_credentials(configuration, context.http))
    if refresh_token := configuration.get(REFRESH_TOKEN):
        endpoint = _endpoint(configuration, REFRESH_URL)
        return BearerAuth(token_refresher(context.http, endpoint, refresh_token, context.remember))
    if access_token := configuration.get(ACCESS_TOKEN):
        return BearerAuth(_constant_token(access_token))
    raise BadInput(
        "the instance has no credentials: give providerData.code with oauth.api.key, "
        "oauth.api.secret and oauth.callback.url; the sign-in address is that of "
        f"/elements/{description.key}/oauth/url"
    )


def _client_credentials(
    configuration: Mapping[str, str], http: aiohttp.ClientSession
) -> FetchToken:
    """Tokens for the application itself (RFC 6749, section 4.4)."""
    endpoint = _endpoint(configuration, TOKEN_URL)
    form = {"grant_type": "client_credentials"}
    if scope := configuration.get(SCOPE):
        form["scope"] = scope

    async def fetch() -> Token:
        return await request_token(http, endpoint, form)

    return fetch


def _constant_token(access_token: str) -> FetchToken:
    """A token that does not expire. The service refuses it at the second call if it has."""
    is_shown = False

    async def fetch() -> Token:
        nonlocal is_shown
        if is_shown:
            raise SignInAgain("the service no longer accepts the access token; sign in again")
        is_shown = True
        return Token(access_token, float("inf"))

    return fetch


def _endpoint(configuration: Mapping[str, str], name: str) -> TokenEndpoint:
    """The URL that issues tokens, under this name or as `oauth.token.url`."""
    used = name if configuration.get(name) else TOKEN_URL
    in_header = configuration.get("oauth.basic.header", "").lower() == "true"
    return endpoint_of(configuration, address_in(configuration, used), secret_in_header=in_header)


class TokenHeader:
    """Puts an access token into the header that the service reads it from."""

    def __init__(self, bearer: BearerAuth, sign_in: SignIn) -> None:
        self._bearer = bearer
        self._name = sign_in.token_header
        self._value = Value(sign_in.token_value)
        self._plain: Mapping[str, str] = {}
        self._shown: Mapping[str, str] = {}

    async def headers(self) -> Mapping[str, str]:
        """The header, with a token that does not expire soon. Raises ServiceError."""
        plain = await self._bearer.headers()
        if plain is not self._plain:
            token = plain["Authorization"].removeprefix("Bearer ")
            text = self._value.text({ACCESS_TOKEN: token}) or ""
            self._plain, self._shown = plain, {self._name: text}
        return self._shown

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """Fetch another token, unless another call has done so. True: send the call again."""
        if refused != self._shown:
            return True
        return await self._bearer.renew(self._plain)


class CustomOAuth:
    """Sign-in by authorization code, at the addresses of an export."""

    takes_challenge = False

    def __init__(self, description: Description) -> None:
        self._description = description

    def authorize_url(self, request: AuthorizeRequest) -> str:
        """The address of the export. Raises BadInput if it has none, or needs other values."""
        configuration = with_defaults(self._description.entries, {})
        address = address_in(configuration, AUTHORIZATION_URL)
        given = {
            "response_type": "code",
            "client_id": request.api_key,
            "redirect_uri": request.callback_url,
            "scope": request.scope or configuration.get(SCOPE),
            "state": request.state,
        }
        query = urlencode({name: value for name, value in given.items() if value})
        return f"{address}{'&' if '?' in address else '?'}{query}"

    async def exchange(
        self,
        code: str,
        configuration: Mapping[str, str],
        http: aiohttp.ClientSession,
        *,
        verifier: str | None = None,
    ) -> Mapping[str, str]:
        """Trade the code for a refresh token, or for an access token if there is no other."""
        entries = with_defaults(self._description.entries, configuration)
        token = await token_for_code(http, _endpoint(entries, TOKEN_URL), code, entries, verifier)
        if token.refresh is None:
            return {ACCESS_TOKEN: token.access}
        return {REFRESH_TOKEN: token.refresh}

    async def revoke(self, configuration: Mapping[str, str], http: aiohttp.ClientSession) -> None:
        """Revoke the refresh token, if the export says where."""
        entries = with_defaults(self._description.entries, configuration)
        if entries.get(REVOKE_URL) and entries.get(REFRESH_TOKEN):
            await revoke_token(http, address_in(entries, REVOKE_URL), entries[REFRESH_TOKEN])
