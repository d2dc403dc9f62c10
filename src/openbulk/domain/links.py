"""One-time links: whoever opens one may choose a password, once."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from openbulk.domain.access import Role


class LinkPurpose(StrEnum):
    """What a link is for."""

    WELCOME = "welcome"
    """To be the first user of the installation."""
    INVITATION = "invitation"
    """To become a user of an organization."""
    PASSWORD = "password"  # noqa: S105 - a purpose
    """To choose another password."""


PAGES = {
    LinkPurpose.WELCOME: "/welcome",
    LinkPurpose.INVITATION: "/invitation",
    LinkPurpose.PASSWORD: "/new-password",
}
"""The page of the console that a link opens."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was not used yet, without its code."""

    id: int
    purpose: LinkPurpose
    organization_id: int
    organization: str
    """Name of the organization."""
    email: str
    """Whom it is for."""
    role: Role
    user_id: int | None
    """The user whose password it changes; None if it makes one."""
    created_at: datetime
    expires_at: datetime


def link_address(base: str, purpose: LinkPurpose, code: str) -> str:
    """The address that a person opens, at a server's address."""
    return f"{base.rstrip('/')}{PAGES[purpose]}?code={code}"
