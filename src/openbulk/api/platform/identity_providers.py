"""The OpenID provider at which the people of an organization sign in."""

import ipaddress
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from pydantic import AfterValidator, Field

from openbulk.api.http.bodies import BoundedRoute, StrictBody
from openbulk.api.http.callers import SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.people import OrganizationId, find_organization, require_may_give
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import identity_providers as wire
from openbulk.api.wire.schema import Nothing
from openbulk.domain.access import Role
from openbulk.domain.errors import BadInput, NotFound
from openbulk.domain.identity_provider import SCOPES, IdentityProvider
from openbulk.domain.people import Organization
from openbulk.domain.role_rule import RoleRule
from openbulk.identity.oidc_answers import GOOGLE

router = APIRouter(tags=["Organizations"], responses=may_answer(401, 405), route_class=BoundedRoute)

_PLACE = "/organizations/{organization_id}/sign-in"
MAX_ISSUER = 500
MAX_ROLES, MAX_DOMAINS = 100, 50
_LOCAL = "localhost"
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")


def _check_issuer(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_address = parts.scheme == "https" or (
            parts.scheme == "http" and _is_local(parts.hostname)
        )
        is_bare = not (parts.query or parts.fragment or "@" in parts.netloc)
        is_right = is_address and bool(parts.hostname) and is_bare and text.isprintable()
    except ValueError:
        is_right = False
    if not is_right or " " in text:
        raise ValueError(f"is not the address of a provider; write it like {wire.EXAMPLE_ISSUER}")
    return text


def _is_local(host: str | None) -> bool:
    """Whether a host is on this machine or its network, where there may be no certificate."""
    if host == _LOCAL:
        return True
    try:
        return ipaddress.ip_address(host or "").is_private
    except ValueError:
        return False


def _check_scopes(text: str) -> str:
    if "openid" not in text.split():
        raise ValueError(f"has no 'openid', without which nobody is signed in; write {SCOPES!r}")
    return " ".join(text.split())


def _check_domain(text: str) -> str:
    domain = text.strip().lower()
    if not _DOMAIN.fullmatch(domain):
        raise ValueError("is not a domain; write it like example.com")
    return domain


class IdentityProviderBody(StrictBody):
    """The provider of an organization, and whom it lets in."""

    issuer: Annotated[str, AfterValidator(_check_issuer)] = Field(
        max_length=MAX_ISSUER,
        description="Issuer of the provider. `/.well-known/openid-configuration` is behind it.",
        examples=[wire.EXAMPLE_ISSUER],
    )
    clientId: str = Field(  # noqa: N815 - the wire's name
        min_length=1,
        max_length=300,
        description="Name of openbulk at the provider.",
        examples=["openbulk"],
    )
    clientSecret: str | None = Field(  # noqa: N815 - the wire's name
        None,
        max_length=1000,
        description="Secret of the client; empty for one without. Left out, the kept one stays.",
        examples=["example-secret-of-a-client"],
    )
    scopes: Annotated[str, AfterValidator(_check_scopes)] = Field(
        SCOPES, max_length=500, description="Scopes to ask for.", examples=[SCOPES]
    )
    roleClaim: str = Field(  # noqa: N815 - the wire's name
        "",
        max_length=200,
        description="Claim that gives the role at each sign-in, or a path to it with dots. Empty: "
        "roles are given in openbulk.",
        examples=["groups"],
    )
    roles: dict[str, Annotated[Role, Field(strict=False)]] = Field(
        default_factory=dict,
        max_length=MAX_ROLES,
        description="Roles by the values of the claim. Of several, that which may most counts.",
        examples=[{"teachers": "operator"}],
    )
    defaultRole: Annotated[Role, Field(strict=False)] | None = Field(  # noqa: N815 - the wire's name
        None,
        description="Role of people whom the claim gives none, or who are new and not invited. "
        "null: they do not sign in.",
        examples=["viewer"],
    )
    emailDomains: list[Annotated[str, AfterValidator(_check_domain)]] = Field(  # noqa: N815
        default_factory=list,
        max_length=MAX_DOMAINS,
        description="Domains of the verified addresses that may sign in. None of them: any.",
        examples=[["example.com"]],
    )


@router.get(
    _PLACE,
    summary="Retrieve how an organization signs in",
    responses=answers(wire.ShownIdentityProvider, 404),
)
async def provider(
    request: Request, organization_id: OrganizationId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """The OpenID provider of your organization. The client's secret is never shown."""
    organization = await find_organization(services, user, organization_id)
    found = await _find(services, organization)
    return wire.present_provider(found, str(request.base_url))


@router.put(
    _PLACE,
    summary="Have an organization sign in with a provider",
    responses=answers(wire.ShownIdentityProvider, 400, 404, 413, 507),
)
async def set_provider(
    request: Request,
    organization_id: OrganizationId,
    body: IdentityProviderBody,
    services: ServicesOfApp,
    user: SignedInUser,
) -> dict[str, Any]:
    """Set the OpenID provider at which the people of your organization can sign in.

    Passwords go on to work. What is left out has its default, but for the client's secret.
    """
    organization = await find_organization(services, user, organization_id)
    rule = RoleRule(body.roleClaim.strip(), body.roles, body.defaultRole)
    _require_right_rule(user.role, rule, body)
    for role in {*rule.roles.values(), *({rule.default} if rule.default else ())}:
        require_may_give(user, role)
    earlier = await services.identity_providers.of_organization(organization.id)
    made = IdentityProvider(
        organization.id,
        body.issuer,
        body.clientId,
        _secret_of(body, earlier),
        body.scopes,
        rule,
        tuple(dict.fromkeys(body.emailDomains)),
    )
    await services.identity_providers.put(made)
    return wire.present_provider(made, str(request.base_url))


@router.delete(
    _PLACE,
    summary="End the sign-in with a provider",
    responses=answers(Nothing, 404, 507),
)
async def remove_provider(
    organization_id: OrganizationId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Forget the provider of your organization. Its users, and their sessions, stay.

    Whoever has no password needs a link for one.
    """
    organization = await find_organization(services, user, organization_id)
    if not await services.identity_providers.remove(organization.id):
        raise _none_set(organization)
    return {}


@router.post(
    f"{_PLACE}/check",
    summary="Try out the provider of an organization",
    responses=answers(wire.CheckedIdentityProvider, 404),
)
async def check_provider(
    request: Request, organization_id: OrganizationId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Read what the provider says of itself, and see whether it knows the client."""
    organization = await find_organization(services, user, organization_id)
    found = await _find(services, organization)
    back = wire.redirect_uri_of(str(request.base_url))
    problems = await services.oidc_sign_in.problems_of(found, back)
    return {"works": not problems, "problems": problems}


async def _find(services: Services, organization: Organization) -> IdentityProvider:
    found = await services.identity_providers.of_organization(organization.id)
    if found is None:
        raise _none_set(organization)
    return found


def _none_set(organization: Organization) -> NotFound:
    return NotFound(
        f"{organization.name} has no provider; "
        f"PUT /organizations/{organization.id}/sign-in sets one"
    )


def _secret_of(body: IdentityProviderBody, earlier: IdentityProvider | None) -> str:
    """The client's secret. The one that is kept goes to no other issuer. Raises BadInput."""
    if body.clientSecret is not None:
        return body.clientSecret
    if earlier is None or not earlier.client_secret:
        return ""
    if (earlier.issuer, earlier.client_id) != (body.issuer, body.clientId):
        raise BadInput(
            "clientSecret is missing: the kept one is for another issuer or client; send the new "
            "one, or an empty one for a client without"
        )
    return earlier.client_secret


def _require_right_rule(role: Role, rule: RoleRule, body: IdentityProviderBody) -> None:
    """Raise BadInput for a rule that can give no role, or gives one to everybody."""
    if Role.INSTALLATION in {*rule.roles.values(), rule.default}:
        raise BadInput(
            "a provider gives no role of the installation; the highest that it gives is "
            "'administrator'"
        )
    if rule.roles and not rule.claim:
        raise BadInput("roleClaim is missing: roles are by the values of a claim, like 'groups'")
    if rule.claim and not rule.roles and rule.default is None:
        raise BadInput(
            "roles is missing: without it and defaultRole, the claim lets nobody in; write it like "
            '{"teachers": "operator"}'
        )
    lets_in_strangers = rule.claim or rule.default
    if body.issuer == GOOGLE and lets_in_strangers and not body.emailDomains:
        raise BadInput(
            "emailDomains is missing: everybody can have an account at Google, and would become a "
            "user; name the domain of your Workspace"
        )
