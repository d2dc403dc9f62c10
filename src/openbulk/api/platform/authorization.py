"""Signing in to a service: the URL for a person, and the exchange of its code for tokens."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query

from openbulk.api.http.bodies import BoundedRoute
from openbulk.api.http.callers import SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.catalogue import ElementName, find_provider
from openbulk.api.platform.instance_bodies import SignInBody
from openbulk.api.platform.sign_in_state import SignIn, make_state, read_verifier
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.instances import SignInAddress, present_sign_in_address
from openbulk.connectors.auth import API_KEY, challenge_of
from openbulk.connectors.base import AuthorizeRequest, ConnectionContext, OAuth, Provider
from openbulk.domain.errors import BadInput
from openbulk.domain.people import User
from openbulk.domain.spelling import refuse_misspelt
from openbulk.notify.egress import check_url

_PROVIDER_DATA = ("code", "state")
"""The keys of `providerData`; a redirect may bring more."""
router = APIRouter(tags=["Instances"], responses=may_answer(401, 405), route_class=BoundedRoute)


_ApiKey = Annotated[
    str,
    Query(
        alias="apiKey",
        description="Client id of your OAuth application.",
        examples=["client"],
    ),
]
_ApiSecret = Annotated[
    str,
    Query(
        alias="apiSecret",
        description="Client secret of your OAuth application.",
        examples=["secret"],
    ),
]
_CallbackUrl = Annotated[
    str,
    Query(
        alias="callbackUrl",
        description="URL that the service redirects to after the sign-in.",
        examples=["https://example.com/back"],
    ),
]
_Scope = Annotated[
    str,
    Query(
        description="OAuth scopes to request, instead of the default ones.",
        examples=["https://example.com/scope"],
    ),
]
_State = Annotated[
    str, Query(description="Value that the redirect returns with the code.", examples=["choir"])
]
_Pkce = Annotated[
    bool,
    Query(description="Whether to bind the code to this server (PKCE, RFC 7636).", examples=[True]),
]
_SiteAddress = Annotated[
    str,
    Query(
        alias="siteAddress",
        description="Base URL of the service, if you reach it through a proxy.",
        examples=["https://example.com"],
    ),
]
_BaseUrl = Annotated[
    str,
    Query(
        alias="base.url",
        description="Base URL of the service; takes precedence over `siteAddress`.",
        examples=["https://example.com"],
    ),
]


@router.get(
    "/elements/{key}/oauth/url",
    summary="Retrieve a sign-in URL",
    responses=answers(SignInAddress, 400, 404),
)
async def oauth_url(
    key: ElementName,
    services: ServicesOfApp,
    user: SignedInUser,
    *,
    api_key: _ApiKey = "",
    api_secret: _ApiSecret = "",
    callback_url: _CallbackUrl = "",
    scope: _Scope = "",
    state: _State = "",
    pkce: _Pkce = False,
    site_address: _SiteAddress = "",
    base_url: _BaseUrl = "",
) -> dict[str, Any]:
    """The URL at which a person allows openbulk to act for them.

    After the sign-in, the service redirects to `callbackUrl` with a code. With `pkce`, only this
    server can use the code: create the instance with the `state` of this answer, which the redirect
    also returns, as `providerData.state`.
    """
    provider = await find_provider(services, user, key)
    oauth = _require_oauth(provider)
    required = {"apiKey": api_key, "callbackUrl": callback_url}
    missing = [name for name, value in required.items() if not value]
    if missing:
        raise BadInput(f"{' and '.join(missing)} missing; a sign-in URL needs both")
    request = AuthorizeRequest(
        api_key=api_key,
        api_secret=api_secret,
        callback_url=callback_url,
        base_url=base_url or site_address or None,
        scope=scope or None,
        state=state or None,
    )
    if not pkce:
        return present_sign_in_address(provider.key, oauth.authorize_url(request))
    if not oauth.takes_challenge:
        raise BadInput(f"{provider.name} does not support PKCE; leave pkce out")
    sign_in = SignIn(user.organization_id, provider.key, api_key, callback_url)
    request = _with_challenge(request, sign_in, services)
    return present_sign_in_address(provider.key, oauth.authorize_url(request), request.state)


@router.post(
    "/elements/{key}/oauth/url",
    summary="Retrieve a sign-in URL with a body",
    responses=answers(SignInAddress, 400, 404, 413, 507),
)
async def oauth_url_of_body(
    key: ElementName, body: SignInBody, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """The URL at which a person allows openbulk to act for them.

    Unlike GET, it keeps the client secret out of the URL, which servers and proxies log.
    """
    return await oauth_url(
        key,
        services,
        user,
        api_key=body.apiKey,
        api_secret=body.apiSecret,
        callback_url=body.callbackUrl,
        scope=body.scope,
        state=body.state,
        pkce=body.pkce,
        site_address=body.siteAddress,
        base_url="",
    )


def _with_challenge(
    request: AuthorizeRequest, sign_in: SignIn, services: Services
) -> AuthorizeRequest:
    """Bind the code to a verifier that only this server can read from the state."""
    verifier = secrets.token_urlsafe(32)
    state = make_state(verifier, sign_in, request.state or "", services.sealer, time.time())
    return replace(request, state=state, challenge=challenge_of(verifier))


async def sign_in(
    provider: Provider,
    configuration: Mapping[str, str],
    provider_data: Mapping[str, str] | None,
    services: Services,
    user: User,
) -> dict[str, str]:
    """Exchange a code for tokens if there is one, and check the credentials with the service.

    Returns the configuration to store. Raises BadInput, ServiceError.
    """
    entries = dict(configuration)
    # The caller chooses this URL: it must not lead into this server's own network (SSRF).
    if base_url := entries.get("base.url"):
        check_url(
            base_url,
            "base.url",
            allowed=services.allowed_networks,
            example="https://www.example.com",
        )
    refuse_misspelt(provider_data or (), _PROVIDER_DATA, "providerData takes no key {}")
    if provider_data and provider_data.get("code"):
        entries |= await _exchange_code(provider, entries, provider_data, services, user)

    async def remember(changes: Mapping[str, str]) -> None:
        entries.update(changes)

    context = ConnectionContext(
        entries, services.http, remember, organization_id=user.organization_id
    )
    connector = provider.connect(context)
    try:
        await connector.check()
    finally:
        await connector.close()
    return entries


async def _exchange_code(
    provider: Provider,
    configuration: Mapping[str, str],
    provider_data: Mapping[str, str],
    services: Services,
    user: User,
) -> Mapping[str, str]:
    sign_in = SignIn(
        user.organization_id,
        provider.key,
        configuration.get(API_KEY, ""),
        configuration.get("oauth.callback.url", ""),
    )
    state = provider_data.get("state", "")
    verifier = read_verifier(state, sign_in, services.sealer, time.time())
    oauth = _require_oauth(provider)
    return await oauth.exchange(
        provider_data["code"], configuration, services.http, verifier=verifier
    )


def _require_oauth(provider: Provider) -> OAuth:
    if provider.oauth is None:
        names = ", ".join(entry.name for entry in provider.entries) or "none"
        raise BadInput(
            f"{provider.name} has no sign-in by OAuth; its configuration has the entries {names}"
        )
    return provider.oauth
