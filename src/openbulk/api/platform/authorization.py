"""Signing in to a service: where a person allows it, and whether what came of it works."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from openbulk.api.http.callers import SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.bodies import BoundedRoute, SignInBody
from openbulk.api.platform.catalogue import ElementName, provider_named
from openbulk.api.platform.sign_in_state import SignIn, state_with, verifier_in
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import shapes
from openbulk.api.wire.answers import SignInAddress
from openbulk.connectors.auth import API_KEY, challenge_of
from openbulk.connectors.base import AuthorizeRequest, ConnectionContext, OAuth, Provider
from openbulk.domain.errors import BadInput
from openbulk.notify.egress import check_url
from openbulk.storage.accounts import User

router = APIRouter(tags=["Instances"], responses=may_answer(401, 405), route_class=BoundedRoute)


@router.get(
    "/elements/{key}/oauth/url",
    summary="Where a person signs in",
    responses=answers(SignInAddress, 400, 404),
)
async def oauth_url(
    key: ElementName,
    services: ServicesOfApp,
    user: SignedInUser,
    *,
    api_key: Annotated[
        str, Query(alias="apiKey", description="the application's id", examples=["client"])
    ] = "",
    api_secret: Annotated[
        str, Query(alias="apiSecret", description="its secret", examples=["secret"])
    ] = "",
    callback_url: Annotated[
        str,
        Query(
            alias="callbackUrl",
            description="where it leads back to",
            examples=["https://example.com/back"],
        ),
    ] = "",
    scope: Annotated[
        str, Query(description="what may be done", examples=["https://example.com/scope"])
    ] = "",
    state: Annotated[str, Query(description="comes back with the code", examples=["choir"])] = "",
    pkce: Annotated[
        bool, Query(description="whether the code is for this server alone", examples=[True])
    ] = False,
    site_address: Annotated[
        str,
        Query(
            alias="siteAddress",
            description="the same as base.url",
            examples=["https://example.com"],
        ),
    ] = "",
    base_url: Annotated[
        str,
        Query(
            alias="base.url", description="a proxy of the service", examples=["https://example.com"]
        ),
    ] = "",
) -> dict[str, str]:
    """The address at which a person allows openbulk to act for them; it leads back to `callbackUrl` with a code.

    With `pkce` the code is good for nobody but this server: give the state that comes back with it, which is also in
    this answer, as `providerData.state`.
    """
    provider = provider_named(services, key)
    oauth = _oauth_of(provider)
    missing = [
        name for name, value in (("apiKey", api_key), ("callbackUrl", callback_url)) if not value
    ]
    if missing:
        raise BadInput(f"the query parameter {' and '.join(missing)} is missing")
    request = AuthorizeRequest(
        api_key=api_key,
        api_secret=api_secret,
        callback_url=callback_url,
        base_url=base_url or site_address or None,
        scope=scope or None,
        state=state or None,
    )
    if not pkce:
        return shapes.sign_in_address(provider.key, oauth.authorize_url(request))
    if not oauth.takes_challenge:
        raise BadInput(f"{provider.name} does not know PKCE; leave pkce out")
    sign_in = SignIn(user.organization_id, provider.key, api_key, callback_url)
    request = _challenged(request, sign_in, services)
    return shapes.sign_in_address(provider.key, oauth.authorize_url(request), request.state)


@router.post(
    "/elements/{key}/oauth/url",
    summary="Where a person signs in, asked for by a body",
    responses=answers(SignInAddress, 400, 404, 413),
)
async def oauth_url_of_body(
    key: ElementName, body: SignInBody, services: ServicesOfApp, user: SignedInUser
) -> dict[str, str]:
    """The same as by GET; the secret of the application stays out of addresses, and of what logs them."""
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


def _challenged(request: AuthorizeRequest, sign_in: SignIn, services: Services) -> AuthorizeRequest:
    """Bind the code to a verifier that only this server can read out of the state."""
    verifier = secrets.token_urlsafe(32)
    state = state_with(verifier, sign_in, request.state or "", services.sealer, time.time())
    return replace(request, state=state, challenge=challenge_of(verifier))


async def signed_in(
    provider: Provider,
    configuration: Mapping[str, str],
    provider_data: Mapping[str, str] | None,
    services: Services,
    user: User,
) -> dict[str, str]:
    """The configuration of an instance whose credentials have been seen to work. Raises ServiceError, BadInput."""
    signed_in = dict(configuration)
    if base_url := signed_in.get("base.url"):
        check_url(base_url, allow_private=services.allow_private_addresses)
    if code := (provider_data or {}).get("code"):
        state = (provider_data or {}).get("state", "")
        sign_in = SignIn(
            user.organization_id,
            provider.key,
            signed_in.get(API_KEY, ""),
            signed_in.get("oauth.callback.url", ""),
        )
        verifier = verifier_in(state, sign_in, services.sealer, time.time())
        signed_in |= await _oauth_of(provider).exchange(
            code, signed_in, services.http, verifier=verifier
        )

    async def remember(changes: Mapping[str, str]) -> None:
        signed_in.update(changes)

    connector = provider.connect(ConnectionContext(signed_in, services.http, remember))
    try:
        await connector.check()
    finally:
        await connector.close()
    return signed_in


def _oauth_of(provider: Provider) -> OAuth:
    if provider.oauth is None:
        raise BadInput(
            f"{provider.name} has no sign-in by OAuth; its settings are: {_settings(provider)}"
        )
    return provider.oauth


def _settings(provider: Provider) -> str:
    return ", ".join(setting.name for setting in provider.settings) or "none"
