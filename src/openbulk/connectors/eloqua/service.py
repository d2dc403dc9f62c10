"""Where an Eloqua account lives, and signed-in calls to it.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/GettingStarted/DeterminingBaseURL.htm
"""

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from openbulk.connectors.auth import (
    REFRESH_TOKEN,
    BearerAuth,
    TokenEndpoint,
    authorize_url,
    endpoint_of,
    refresh_token_entry,
    token_for_code,
    token_refresher,
)
from openbulk.connectors.base import AuthorizeRequest, ConnectionContext
from openbulk.connectors.http import Answer, Auth, Client
from openbulk.domain.errors import BadInput, Refused, RetryLater, ServiceError, SignInAgain

LOGIN_URL = "https://login.eloqua.com"
PAGE = 1000


class BasicAuth:
    """User name and password on every call."""

    def __init__(self, user: str, password: str) -> None:
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._header = {"Authorization": f"Basic {secret}"}

    async def headers(self) -> Mapping[str, str]:
        """The header."""
        return self._header

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """A password that is refused is wrong."""
        return False


class EloquaOAuth:
    """Eloqua's sign-in by consent. Its refresh tokens change at each use; Oracle describes no PKCE and no revoking."""

    takes_challenge = False

    def authorize_url(self, request: AuthorizeRequest) -> str:
        """Asks for full access: Eloqua knows no narrower scope."""
        address = f"{(request.base_url or LOGIN_URL).rstrip('/')}/auth/oauth2/authorize"
        return authorize_url(
            address,
            {
                "response_type": "code",
                "client_id": request.api_key,
                "redirect_uri": request.callback_url,
                "scope": request.scope or "full",
                "state": request.state,
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
        """Trade the code for a refresh token."""
        return refresh_token_entry(
            await token_for_code(http, _endpoint(configuration), code, configuration),
            element="eloqua",
        )

    async def revoke(self, configuration: Mapping[str, str], http: aiohttp.ClientSession) -> None:
        """There is no way to: the administrator removes the app in Eloqua."""


def auth_of(context: ConnectionContext) -> Auth:
    """The credentials of an instance. Raises BadInput where it has none."""
    configuration = context.configuration
    user, password = configuration.get("username"), configuration.get("password")
    if user and password:
        if "\\" not in user:
            raise BadInput(f"username {user!r} lacks the company; it looks like Company\\user")
        return BasicAuth(user, password)
    if refresh_token := configuration.get(REFRESH_TOKEN):
        return BearerAuth(
            token_refresher(context.http, _endpoint(configuration), refresh_token, context.remember)
        )
    raise BadInput(
        "the instance has no credentials: give username (Company\\user) and password, or providerData.code with "
        "oauth.api.key, oauth.api.secret and oauth.callback.url"
    )


def _endpoint(configuration: Mapping[str, str]) -> TokenEndpoint:
    base = (configuration.get("base.url") or LOGIN_URL).rstrip("/")
    return endpoint_of(configuration, f"{base}/auth/oauth2/token", secret_in_header=True)


class Service:
    """Calls to the pod that holds the account. It is asked for once, and again after a call that failed:
    accounts do move."""

    def __init__(self, client: Client, login_url: str) -> None:
        self._client = client
        self._login_url = login_url.rstrip("/")
        self._base: str | None = None

    async def locate(self) -> str:
        """The address of the account's pod. Raises SignInAgain where the credentials are refused."""
        if self._base is None:
            answer = await self._client.call("GET", f"{self._login_url}/id")
            said = answer.json()
            if not answer.is_success or not isinstance(said, dict):
                # Eloqua answers 200 with the text "Not authenticated." to credentials that it does not know.
                raise SignInAgain(
                    "Eloqua does not accept this instance's credentials; sign in again"
                )
            self._base = str(said["urls"]["base"]).rstrip("/")
        return self._base

    async def call(self, method: str, path: str, **more: Any) -> Answer:
        """Make a call below the pod's address; an answer of 403 or 404 says something about the request."""
        try:
            return await self._client.call(method, await self.locate() + path, **more)
        except ServiceError:
            self._base = None
            raise

    async def bulk(self, method: str, path: str, **more: Any) -> Any:
        """A call of the Bulk API that has to succeed; its JSON, None where it has none. Raises ServiceError."""
        answer = await self.call(method, f"/api/bulk/2.0{path}", **more)
        if not answer.is_success:
            raise failure(answer)
        return answer.json() if answer.body else None

    async def pages(self, path: str) -> AsyncIterator[list[dict[str, Any]]]:
        """All items of a list of the Bulk API, a thousand at a time."""
        offset = 0
        while True:
            page = await self.bulk("GET", path, params={"limit": str(PAGE), "offset": str(offset)})
            yield page["items"]
            offset += len(page["items"])
            if not page.get("hasMore") or not page["items"]:
                return


def failure(answer: Answer) -> ServiceError:
    """What a refusal of the Bulk API means for the job."""
    said = answer.text()
    if answer.status in {409, 413}:
        return RetryLater(
            f"Eloqua's staging area is busy or full ({answer.status})",
            after=60,
            provider_message=said,
        )
    return Refused(f"Eloqua refused the import ({answer.status}): {said}", provider_message=said)
