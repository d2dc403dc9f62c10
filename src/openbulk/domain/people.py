"""Organizations, their users, and the secrets by which callers are known."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from openbulk.domain.access import Permission, Role, permissions_of
from openbulk.domain.approvals import ApprovalRule, Author, needs_approval
from openbulk.domain.instance import CallingInstance
from openbulk.domain.limits import NO_OWN_LIMITS, Limits
from openbulk.domain.sessions import Session

MAX_NAME = 100
"""Characters of a name of a person, an organization or a secret."""
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")


@dataclass(frozen=True, slots=True)
class Organization:
    """Whom instances, jobs and files belong to. Nobody sees those of another one."""

    id: int
    name: str
    active: bool
    created_at: datetime
    approvals: ApprovalRule = ApprovalRule.AGENTS
    """Whose plans are approved before they are carried out."""
    identity_issuer: str | None = None
    """The OpenID provider at which its people can sign in; None if there is none."""


@dataclass(frozen=True, slots=True)
class User:
    """A person or program that may call."""

    id: int
    organization_id: int
    email: str
    role: Role = Role.INSTALLATION
    first_name: str = ""
    last_name: str = ""
    active: bool = True
    created_at: datetime | None = field(default=None, compare=False)
    has_password: bool = False
    has_second_factor: bool = False
    """Whether a sign-in with the password needs a code of an authenticator app, too."""
    identity_issuer: str | None = None
    """The OpenID provider at which the user signs in; None for one who does not."""


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """A secret of a user or an organization, without the secret itself."""

    id: int
    organization_id: int
    user_id: int | None
    """The user that it belongs to; None for a secret of the organization."""
    name: str
    scopes: Sequence[str] | None
    """What an API key is for; None for a secret that may do all that its user may."""
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    from_settings: bool = False
    """Whether it is set when the server starts: it ends when the setting changes."""
    is_agent: bool = False
    """Whether it is the key of an agent, whose plans a person always has to approve."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """What a secret that is about to be made will be."""

    name: str
    scopes: Sequence[str] | None = None
    lifetime: timedelta | None = None
    """Time for which it holds; None for one that does not expire."""
    is_agent: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """The user, organization and instance that the secrets of a request belong to."""

    user: User
    knows_organization: bool
    """Whether the organization's secret is one of the user's organization, and holds."""
    instance: CallingInstance | None
    """The instance that the token belongs to, if it is one of the user's organization."""
    secret_id: int = 0
    """The user's secret that the request carries; 0 for a session."""
    organization_secret_id: int | None = None
    """The organization's secret that the request carries, if it holds."""
    scopes: Sequence[str] | None = None
    """The scopes of that secret, if it is an API key."""
    session: Session | None = None
    """The session that the request belongs to; None for one with secrets."""
    problem: str = ""
    """Why the secret does not hold, although it is known; empty if it holds."""
    is_agent: bool = False
    """Whether that key is one of an agent."""
    approvals: ApprovalRule = ApprovalRule.AGENTS
    """Whose plans the organization has approved."""
    limits: Limits = NO_OWN_LIMITS
    """The limits of the organization's own."""

    @property
    def author(self) -> Author:
        """The caller as the author of a job."""
        return Author(self.user.id, self.is_agent)

    @property
    def may_approve(self) -> bool:
        """Whether the caller approves plans at all. No key does."""
        return Permission.APPROVE in self.permissions

    @property
    def writes_by_plan_alone(self) -> bool:
        """Whether what the caller writes is planned first, and approved."""
        return needs_approval(self.author, self.approvals)

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the caller may do."""
        return permissions_of(self.user.role, self.scopes)
