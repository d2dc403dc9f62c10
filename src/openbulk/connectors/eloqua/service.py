"""Finds the address of an Eloqua account, and makes signed-in calls to it.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/GettingStarted/DeterminingBaseURL.htm
"""

import base64
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import aiohttp

from openbulk.connectors.answers import Answer, PageCount, kind_of, misfit
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
from openbulk.connectors.http import Auth, Client, HeaderAuth
from openbulk.domain.errors import BadInput, Refused, RetryLater, ServiceError, SignInAgain

LOGIN_URL = "https://login.eloqua.com"
PAGE = 1000
"""Maximum items in a page of rejects, logs or fields."""
MAX_ITEMS = 50_000
"""Of a whole list. An import has 20,000 records, each with one reject at most."""


_PAGE = {"totalResults": {"type": "integer"}, "hasMore": {"type": "boolean"}}
"""What every page of a list of the Bulk API says of the list."""


class EloquaOAuth:
    """Eloqua's sign-in by authorization code.

    A refresh token is valid for one use and comes with the next one. Oracle documents
    neither PKCE nor a way to revoke a token.
    """

    takes_challenge = False

    def authorize_url(self, request: AuthorizeRequest) -> str:
        """The address requests full access: Eloqua has no narrower scope."""
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
        """Eloqua cannot revoke a token. Its administrator removes the app instead."""


def auth_of(context: ConnectionContext) -> Auth:
    """The credentials of an instance. Raises BadInput if it has none."""
    configuration = context.configuration
    user, password = configuration.get("username"), configuration.get("password")
    if user and password:
        if "\\" not in user:
            raise BadInput(f"username {user!r} lacks the company; it looks like Company\\user")
        return _basic_auth(user, password)
    if refresh_token := configuration.get(REFRESH_TOKEN):
        return BearerAuth(
            token_refresher(context.http, _endpoint(configuration), refresh_token, context.remember)
        )
    raise BadInput(
        "the instance has no credentials: give username (Company\\user) and password, or "
        "providerData.code with oauth.api.key, oauth.api.secret and oauth.callback.url"
    )


def _basic_auth(user: str, password: str) -> HeaderAuth:
    """RFC 7617, in UTF-8."""
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return HeaderAuth({"Authorization": f"Basic {credentials}"})


def _endpoint(configuration: Mapping[str, str]) -> TokenEndpoint:
    base = (configuration.get("base.url") or LOGIN_URL).rstrip("/")
    return endpoint_of(configuration, f"{base}/auth/oauth2/token", secret_in_header=True)


class Service:
    """Signed-in calls to the pod that holds the account.

    The pod's address is requested once, and again after a failed call: accounts move between pods.
    """

    def __init__(self, client: Client, login_url: str) -> None:
        self._client = client
        self._login_url = login_url.rstrip("/")
        self._base: str | None = None

    async def locate(self, *, again: bool = False) -> str:
        """The address of the account's pod, requested anew with `again`.

        Raises SignInAgain for refused credentials.
        """
        if self._base is None or again:
            answer = await self._client.call("GET", f"{self._login_url}/id")
            body = answer.json()
            if not answer.is_success or not isinstance(body, dict):
                # Eloqua answers 200 with the text "Not authenticated." to unknown credentials.
                raise SignInAgain(
                    "Eloqua does not accept this instance's credentials; sign in again"
                )
            self._base = answer.text_at("urls", "base").rstrip("/")
        return self._base

    async def call(self, method: str, path: str, **more: Any) -> Answer:
        """Make a call below the pod's address. Returns any answer that is about the request."""
        try:
            return await self._client.call(method, await self.locate() + path, **more)
        except ServiceError:
            # The account may have moved to another pod.
            self._base = None
            raise

    async def bulk(self, method: str, path: str, **more: Any) -> Answer:
        """The answer of the Bulk API to a call that succeeded. Raises ServiceError."""
        answer = await self.call(method, f"/api/bulk/2.0{path}", **more)
        if not answer.is_success:
            raise failure(answer)
        return answer

    async def page(
        self, path: str, size: int, offset: int, item: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], bool]:
        """A page of a list of the Bulk API, and whether there are more.

        `item` is the JSON Schema of its items. Raises ServiceError.
        """
        parameters = {"limit": str(size), "offset": str(offset)}
        answer = await self.bulk("GET", path, params=parameters, records=size)
        page = read_object(answer, {**_PAGE, "items": {"type": "array", "items": item}}, _PAGE)
        # Eloqua answers an empty list without items.
        if "items" not in page and page["totalResults"]:
            raise answer.mismatch("nothing as items", "a list there")
        items: list[dict[str, Any]] = page.get("items", [])
        if len(items) > size:
            raise answer.mismatch(f"{len(items):,} items", f"at most {size:,}")
        # A page without items ends the list, whatever `hasMore` says.
        return items, bool(page["hasMore"] and items)

    async def items(self, path: str, item: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All items of a list of the Bulk API, read in pages. Raises ServiceError."""
        items: list[dict[str, Any]] = []
        has_more, count = True, PageCount(PAGE)
        while has_more:
            page, has_more = await self.page(path, PAGE, len(items), item)
            count.add(len(page), f"Eloqua's list {path}")
            items += page
            if len(items) > MAX_ITEMS:
                raise Refused(f"Eloqua's list {path} has more than {MAX_ITEMS:,} items")
        return items


def read_object(
    answer: Answer, properties: Mapping[str, Any], required: Iterable[str] = ()
) -> dict[str, Any]:
    """The object in an answer, whose fields are as JSON Schema says. Raises ServiceError."""
    value = answer.object()
    found = misfit(value, {"properties": properties, "required": list(required)})
    if found is not None:
        raise answer.mismatch(*found)
    return value


def read_records(
    value: Any, answer: Answer, size: int, schema: Mapping[str, Any] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """A list of at most so many objects in an answer, each as JSON Schema says.

    Raises ServiceError.
    """
    if not isinstance(value, list):
        raise answer.mismatch(kind_of(value), "a list of records")
    found = misfit(value, {"items": {"type": "object", **schema}}, "records")
    if found is not None:
        raise answer.mismatch(*found)
    if len(value) > size:
        raise answer.mismatch(f"{len(value):,} records", f"at most {size:,}")
    return value


def failure(answer: Answer) -> ServiceError:
    """The error for an answer of the Bulk API that is not a success."""
    text = answer.text()
    if answer.status in {409, 413}:
        # Other imports of the account empty the staging area as they end.
        return RetryLater(
            f"Eloqua's staging area is busy or full ({answer.status})",
            after=60,
            provider_message=text,
        )
    return Refused(f"Eloqua refused the import ({answer.status}): {text}", provider_message=text)
