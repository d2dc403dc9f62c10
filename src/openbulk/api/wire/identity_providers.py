"""OpenID providers of organizations, and sign-ins there, on the wire."""

from typing import Annotated, Any

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc
from openbulk.domain.identity_provider import SCOPES, IdentityProvider
from openbulk.identity.oidc_sign_in import SentPerson

CALLBACK = "sign-in/oidc/callback"
"""Where the console takes people back, behind the address of the server."""
EXAMPLE_ISSUER = "https://login.example.com/realms/school"
EXAMPLE_REDIRECT = f"https://openbulk.example/{CALLBACK}"
EXAMPLE_ANSWER = {"code": "SplxlOBeZQQYbYS6WxSbIA", "state": "af0ifjsldkj"}
EXAMPLE_TOKEN = "c2VhbGVkIG5vdGUgb2YgYSBzaWduLWlu"  # noqa: S105 - an example


# --- shapes ---


@with_config(EXACT)
class ShownIdentityProvider(TypedDict):
    """The provider at which people of an organization sign in, without the client's secret."""

    issuer: Annotated[str, doc("Issuer, as the provider calls itself.", EXAMPLE_ISSUER)]
    clientId: Annotated[str, doc("Name of openbulk at the provider.", "openbulk")]
    hasClientSecret: Annotated[bool, doc("Whether a secret of the client is kept.", True)]
    scopes: Annotated[str, doc("Scopes that openbulk asks for.", SCOPES)]
    roleClaim: Annotated[
        str, doc("Claim that gives the role; empty if roles are given in openbulk.", "groups")
    ]
    roles: Annotated[
        dict[str, str], doc("Roles by the values of the claim.", {"teachers": "operator"})
    ]
    defaultRole: Annotated[
        str | None,
        doc("Role of people without one; null if nobody signs in who is not invited.", "viewer"),
    ]
    emailDomains: Annotated[
        list[str], doc("Domains of addresses that may sign in; none for any.", ["example.com"])
    ]
    redirectUri: Annotated[
        str, doc("Address to register at the provider for the console.", EXAMPLE_REDIRECT)
    ]


@with_config(EXACT)
class CheckedIdentityProvider(TypedDict):
    """Whether a provider can be used, as far as that shows without a person."""

    works: Annotated[bool, doc("Whether nothing was found that prevents sign-ins.", True)]
    problems: Annotated[
        list[str],
        doc("What prevents them.", ["https://login.example.com/... answers 404"]),
    ]


@with_config(EXACT)
class BegunOidcSignIn(TypedDict):
    """A sign-in at the provider that was just begun."""

    address: Annotated[
        str, doc("Where the person's browser goes.", f"{EXAMPLE_ISSUER}/auth?client_id=openbulk")
    ]
    token: Annotated[
        str, doc("Token for the second step. It holds for ten minutes.", EXAMPLE_TOKEN)
    ]


@with_config(EXACT)
class ConnectedIdentity(TypedDict):
    """The provider at which the user signs in from now on."""

    identityProvider: Annotated[str, doc("Issuer of the provider.", EXAMPLE_ISSUER)]


# --- providers as shapes ---


def redirect_uri_of(base_url: str) -> str:
    """The console's address to come back to, of a server at this address."""
    return f"{base_url.rstrip('/')}/{CALLBACK}"


def present_provider(provider: IdentityProvider, base_url: str) -> dict[str, Any]:
    """A provider, without the client's secret."""
    rule = provider.role_rule
    return {
        "issuer": provider.issuer,
        "clientId": provider.client_id,
        "hasClientSecret": bool(provider.client_secret),
        "scopes": provider.scopes,
        "roleClaim": rule.claim,
        "roles": {value: role.value for value, role in rule.roles.items()},
        "defaultRole": None if rule.default is None else rule.default.value,
        "emailDomains": list(provider.email_domains),
        "redirectUri": redirect_uri_of(base_url),
    }


def present_begun(sent: SentPerson) -> dict[str, Any]:
    """A sign-in that was just begun."""
    return {"address": sent.address, "token": sent.token}
