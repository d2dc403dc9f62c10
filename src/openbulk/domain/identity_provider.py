"""The OpenID provider at which the people of an organization sign in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from openbulk.domain.role_rule import RoleRule

SCOPES = "openid email profile"


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An organization's provider, how openbulk is known there, and whom it lets in."""

    organization_id: int
    issuer: str
    """Such as `https://login.example.com/realms/school`."""
    client_id: str
    client_secret: str = field(repr=False)
    """Empty for a client without one (RFC 6749, section 2.1)."""
    scopes: str = SCOPES
    """What openbulk asks for, with spaces between."""
    role_rule: RoleRule = field(default_factory=RoleRule)
    email_domains: Sequence[str] = ()
    """Domains of the addresses of people who may sign in, in lower case. None of them: any."""
