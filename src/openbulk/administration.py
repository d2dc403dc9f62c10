"""What `openbulk admin` does in the ledger itself, whether a server runs or not."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from openbulk.app import current_ledger
from openbulk.domain.access import Role
from openbulk.domain.errors import BadInput, Conflict, NotFound
from openbulk.domain.limits import LimitsInUse
from openbulk.domain.links import LinkPurpose
from openbulk.domain.people import Organization, User
from openbulk.engine.limits import LimitCheck
from openbulk.security import new_code, new_secret
from openbulk.settings import EMAIL, Settings
from openbulk.storage.known_secrets import KnownSecrets, Owner
from openbulk.storage.limits import OrganizationLimits
from openbulk.storage.links import Links
from openbulk.storage.people import MadeOrganization, NewUser, People

LINK_LIFETIME = timedelta(days=7)
"""Time for which the links of these commands hold."""
SECRET_NAME = "made with openbulk admin"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class UserWithLink:
    """A user, and the code of a link with which they choose a password."""

    user: User
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OrganizationWithSecrets:
    """An organization that was just made, and what opens it."""

    made: MadeOrganization
    secret: str = field(repr=False)
    user_secret: str = field(repr=False)
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReplacedSecret:
    """A secret that was just made in place of others."""

    secret: str = field(repr=False)
    of_settings: int
    """Number of secrets that the settings give: they go on to hold."""


class Administration:
    """Organizations, users, passwords and secrets of a ledger."""

    def __init__(
        self, people: People, links: Links, secrets: KnownSecrets, limits: LimitCheck
    ) -> None:
        self._people = people
        self._links = links
        self._secrets = secrets
        self._limits = limits

    async def organizations(self) -> Sequence[tuple[Organization, Sequence[User]]]:
        """All organizations with their users."""
        return [
            (one, await self._people.users(one.id)) for one in await self._people.organizations()
        ]

    async def create_organization(self, name: str, email: str) -> OrganizationWithSecrets:
        """Make an organization, and its first administrator. Raises BadInput, Conflict."""
        if not name.strip():
            raise BadInput("the name is empty; write it like 'Music school'")
        first = NewUser(_require_email(email), Role.ADMINISTRATOR)
        secret, user_secret = new_secret(), new_secret()
        made = await self._people.add_organization(name, first, secret, user_secret)
        code = await self._add_link(made.user)
        return OrganizationWithSecrets(made, secret, user_secret, code)

    async def create_user(
        self, email: str, role: Role, organization_id: int | None
    ) -> UserWithLink:
        """Make a user. Raises BadInput, NotFound, Conflict."""
        organization = await self._find_organization(organization_id)
        user = await self._people.add_user(organization.id, NewUser(_require_email(email), role))
        return UserWithLink(user, await self._add_link(user))

    async def reset_password(self, email: str) -> UserWithLink:
        """Make a link with which a user chooses another password. Raises NotFound, Conflict."""
        user = await self._find_user(email)
        if not user.active:
            raise Conflict(f"{user.email} is deactivated; an administrator can activate the user")
        return UserWithLink(user, await self._add_link(user))

    async def limits(self, organization_id: int | None) -> LimitsInUse:
        """The limits of an organization, and what it uses of them. Raises NotFound."""
        return await self._limits.in_use((await self._find_organization(organization_id)).id)

    async def set_limits(
        self, organization_id: int | None, changes: Mapping[str, int | None]
    ) -> LimitsInUse:
        """Change limits of an organization by their names in `Limits`; None is that of the
        installation. Raises NotFound.
        """
        organization = await self._find_organization(organization_id)
        return await self._limits.change(organization.id, changes)

    async def rotate_secret(
        self, email: str | None, organization_id: int | None, overlap: timedelta
    ) -> ReplacedSecret:
        """Make a secret of a user or an organization in place of the others, which end later.

        Raises BadInput, NotFound.
        """
        if (email is None) == (organization_id is None):
            raise BadInput("name either --user EMAIL or --organization NUMBER")
        if email is not None:
            user = await self._find_user(email)
            owner = Owner(user.organization_id, user.id)
        else:
            owner = Owner((await self._find_organization(organization_id)).id)
        secret = new_secret()
        kept = await self._secrets.replace_all(owner, SECRET_NAME, secret, overlap)
        return ReplacedSecret(secret, kept)

    async def _add_link(self, user: User) -> str:
        code = new_code()
        await self._links.add_for_user(LinkPurpose.PASSWORD, user, code, LINK_LIFETIME)
        return code

    async def _find_user(self, email: str) -> User:
        user = await self._people.user_with_email(email.strip())
        if user is None:
            raise NotFound(f"there is no user {email!r}; 'openbulk admin list' shows all users")
        return user

    async def _find_organization(self, organization_id: int | None) -> Organization:
        known = await self._people.organizations()
        if organization_id is None and len(known) == 1:
            return known[0]
        for one in known:
            if one.id == organization_id:
                return one
        names = ", ".join(f"{one.id} ({one.name})" for one in known[:20])
        what = (
            "say which"
            if organization_id is None
            else f"there is no organization {organization_id}"
        )
        raise NotFound(f"{what}: --organization can be {names}")


@asynccontextmanager
async def open_administration(settings: Settings) -> AsyncIterator[Administration]:
    """The ledger of these settings. Raises CannotStart if it is missing, or of another version."""
    async with current_ledger(settings) as engine:
        limits = LimitCheck(OrganizationLimits(engine), settings.limits, time.time)
        yield Administration(People(engine), Links(engine), KnownSecrets(engine), limits)


def _require_email(email: str) -> str:
    if not EMAIL.fullmatch(email):
        raise BadInput(f"{email!r} is not an email address; write it like ann@example.com")
    return email
