"""Organizations and their users."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Update, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.access import Role
from openbulk.domain.approvals import ApprovalRule
from openbulk.domain.errors import Conflict
from openbulk.domain.people import KnownSecret, NewSecret, Organization, User
from openbulk.storage.database import FIRST_START, for_reading, keep_others_out
from openbulk.storage.known_secrets import (
    Owner,
    end_secrets_of_user,
    identify_owner,
    insert_secret,
    replace_secrets_of_settings,
)
from openbulk.storage.sessions import end_sessions
from openbulk.storage.tables import identity_providers, links, organizations, users
from openbulk.storage.user_rows import user_of_row

SET_AT_START = "set at the start of the server"
"""Name of the secrets that the settings, or a first start, give."""
FIRST_ORGANIZATION = "Organization 1"
_ORGANIZATION = select(organizations, identity_providers.c.issuer).outerjoin(
    identity_providers, identity_providers.c.organization_id == organizations.c.id
)


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user who is about to be added."""

    email: str
    role: Role
    first_name: str = ""
    last_name: str = ""


@dataclass(frozen=True, slots=True)
class MadeOrganization:
    """An organization that was just made, with its first user and the secrets of both."""

    organization: Organization
    user: User
    organization_secret: KnownSecret
    user_secret: KnownSecret


class People:
    """Remembers organizations and users."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def is_empty(self) -> bool:
        """Whether there is no user yet, because this is the first start."""
        async with self._reading.connect() as connection:
            return (await connection.execute(select(users.c.id).limit(1))).first() is None

    # --- the first organization ---

    async def add_first_organization(self, secret: str, user_email: str, user_secret: str) -> bool:
        """Add the first organization and its first user; return whether they are the first.

        Also True if exactly these exist: the answer to an earlier call may have been lost.
        """
        async with self._engine.begin() as connection:
            await keep_others_out(connection, FIRST_START)
            if (await connection.execute(select(users.c.id).limit(1))).first() is None:
                await _insert_organization(
                    connection,
                    FIRST_ORGANIZATION,
                    NewUser(user_email, Role.INSTALLATION),
                    secret,
                    user_secret,
                    from_settings=True,
                )
                return True
            return await _is_pair(connection, user_secret, secret)

    async def set_secrets(self, organization: Sequence[str], user: Sequence[str]) -> Sequence[str]:
        """Set the secrets of the first organization and of the first user. None changes none.

        Those that people have made stay. Returns for which of "organization" and "user" an earlier
        secret has ended.
        """
        ended: list[str] = []
        async with self._engine.begin() as connection:
            await keep_others_out(connection, FIRST_START)
            query = select(users.c.id, users.c.organization_id).order_by(users.c.id).limit(1)
            first = (await connection.execute(query)).one()
            for name, secrets, owner in (
                ("organization", organization, Owner(first.organization_id)),
                ("user", user, Owner(first.organization_id, first.id)),
            ):
                if secrets and await replace_secrets_of_settings(
                    connection, owner, SET_AT_START, secrets
                ):
                    ended.append(name)
        return ended

    async def first_user(self) -> User:
        """The user of the first start."""
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(users).order_by(users.c.id).limit(1))).one()
        return user_of_row(row)

    async def set_email(self, email: str) -> None:
        """Set the address of the first user. Raises Conflict if another user has it."""
        first = select(func.min(users.c.id)).scalar_subquery()
        change = update(users).where(users.c.id == first)
        await self._change(change.values(email=email, login=email.casefold()), email)

    # --- organizations ---

    async def organizations(self) -> Sequence[Organization]:
        """All organizations, oldest first."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(_ORGANIZATION.order_by(organizations.c.id))
            return [_organization(row) for row in rows]

    async def organization(self, organization_id: int) -> Organization | None:
        """An organization by its number; None if there is none."""
        chosen = _ORGANIZATION.where(organizations.c.id == organization_id)
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        return None if row is None else _organization(row)

    async def add_organization(
        self, name: str, user: NewUser, secret: str, user_secret: str
    ) -> MadeOrganization:
        """Add an organization and its first user. Raises Conflict if the name or address is taken.

        `secret` and `user_secret` are the secrets that hold for them from now on.
        """
        async with self._engine.begin() as connection:
            return await _insert_organization(connection, name, user, secret, user_secret)

    async def change_organization(self, changed: Organization) -> None:
        """Give an organization this name and state. Raises Conflict if another one has the name."""
        change = update(organizations).where(organizations.c.id == changed.id)
        change = change.values(
            name=changed.name, active=changed.active, approvals=changed.approvals.value
        )
        try:
            async with self._engine.begin() as connection:
                await connection.execute(change)
        except IntegrityError as error:
            raise name_taken(changed.name) from error

    # --- users ---

    async def users(self, organization_id: int) -> Sequence[User]:
        """The users of an organization, oldest first."""
        chosen = select(users).where(users.c.organization_id == organization_id)
        async with self._reading.connect() as connection:
            return [
                user_of_row(row) for row in await connection.execute(chosen.order_by(users.c.id))
            ]

    async def user(self, organization_id: int, user_id: int) -> User | None:
        """A user of an organization by their number; None if there is none."""
        chosen = select(users).where(
            users.c.organization_id == organization_id, users.c.id == user_id
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        return None if row is None else user_of_row(row)

    async def first_organization(self) -> int:
        """The number of the first organization, that of the installation's administrator."""
        chosen = select(func.min(users.c.organization_id))
        async with self._reading.connect() as connection:
            found: int | None = await connection.scalar(
                chosen.where(users.c.role == Role.INSTALLATION)
            )
        return found or 1

    async def user_with_email(self, email: str) -> User | None:
        """A user of the installation by their address; None if there is none."""
        chosen = select(users).where(users.c.login == email.casefold())
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        return None if row is None else user_of_row(row)

    async def user_with_id(self, user_id: int) -> User | None:
        """A user of the installation by their number; None if there is none."""
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(users).where(users.c.id == user_id))).first()
        return None if row is None else user_of_row(row)

    async def add_user(self, organization_id: int, new: NewUser) -> User:
        """Add a user, who has no secret yet. Raises Conflict if the address is taken."""
        async with self._engine.begin() as connection:
            return await insert_user(connection, organization_id, new)

    async def change_user(self, changed: User) -> None:
        """Give a user these names, address, role and state.

        The sessions, secrets, keys and links of one who is deactivated end, but for secrets of the
        settings, which do not hold until the user is activated. Raises Conflict if another user has
        the address.
        """
        change = update(users).where(users.c.id == changed.id)
        values = {
            "email": changed.email,
            "login": changed.email.casefold(),
            "first_name": changed.first_name,
            "last_name": changed.last_name,
            "role": changed.role,
            "active": changed.active,
        }
        ends = None if changed.active else Owner(changed.organization_id, changed.id)
        await self._change(change.values(**values), changed.email, ends)

    async def _change(self, change: Update, email: str, ends: Owner | None = None) -> None:
        """Change a user, and end all that opens openbulk for one who is deactivated."""
        try:
            async with self._engine.begin() as connection:
                await connection.execute(change)
                if ends is not None:
                    await _end_access(connection, ends)
        except IntegrityError as error:
            raise address_taken(email) from error


async def _insert_organization(
    connection: AsyncConnection,
    name: str,
    user: NewUser,
    secret: str,
    user_secret: str,
    *,
    from_settings: bool = False,
) -> MadeOrganization:
    now = datetime.now(UTC)
    try:
        made = await connection.execute(
            insert(organizations).values(name=name, active=True, created_at=now)
        )
    except IntegrityError as error:
        raise name_taken(name) from error
    assert made.inserted_primary_key is not None
    organization = Organization(int(made.inserted_primary_key.id), name, True, now)
    first = await insert_user(connection, organization.id, user)
    new = NewSecret(SET_AT_START if from_settings else "first")
    secrets = [
        await insert_secret(connection, owner, new, value, now, from_settings=from_settings)
        for owner, value in (
            (Owner(organization.id), secret),
            (Owner(organization.id, first.id), user_secret),
        )
    ]
    return MadeOrganization(organization, first, *secrets)


async def insert_user(connection: AsyncConnection, organization_id: int, new: NewUser) -> User:
    """Add a user, who has no secret yet. Raises Conflict if the address is taken."""
    now = datetime.now(UTC)
    values = {
        "organization_id": organization_id,
        "login": new.email.casefold(),
        "email": new.email,
        "first_name": new.first_name,
        "last_name": new.last_name,
        "role": new.role,
        "active": True,
        "created_at": now,
    }
    try:
        made = await connection.execute(insert(users).values(**values))
    except IntegrityError as error:
        raise address_taken(new.email) from error
    assert made.inserted_primary_key is not None
    return User(
        int(made.inserted_primary_key.id),
        organization_id,
        new.email,
        new.role,
        new.first_name,
        new.last_name,
        created_at=now,
    )


async def _end_access(connection: AsyncConnection, owner: Owner) -> None:
    assert owner.user_id is not None
    await end_sessions(connection, owner.user_id)
    await end_secrets_of_user(connection, owner)
    await connection.execute(delete(links).where(links.c.user_id == owner.user_id))


async def _is_pair(connection: AsyncConnection, user_secret: str, secret: str) -> bool:
    """Whether two secrets are those of a user and of their organization."""
    user = await identify_owner(connection, "user", user_secret)
    organization = await identify_owner(connection, "organization", secret)
    return (
        user is not None
        and organization is not None
        and user.organization_id == organization.organization_id
    )


def name_taken(name: str) -> Conflict:
    """The refusal of a name that another organization has."""
    return Conflict(f"there is an organization {name!r} already; choose another name")


def address_taken(email: str) -> Conflict:
    """The refusal of an address that another user has."""
    return Conflict(
        f"there is a user {email!r} already, in this organization or another; "
        "choose another address"
    )


def _organization(row: Row[Any]) -> Organization:
    return Organization(
        row.id,
        row.name,
        row.active,
        row.created_at,
        ApprovalRule(row.approvals),
        row.issuer,
    )
