"""One-time links. It keeps fingerprints of their codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.access import Role
from openbulk.domain.errors import Conflict, NotFound
from openbulk.domain.links import Link, LinkPurpose
from openbulk.domain.people import User
from openbulk.security import fingerprint
from openbulk.storage.credentials import write_password
from openbulk.storage.database import for_reading
from openbulk.storage.people import NewUser, address_taken, insert_user, name_taken
from openbulk.storage.tables import links, organizations, users
from openbulk.storage.user_rows import user_of_row

MAX_INVITATIONS = 1_000
"""Invitations of an organization that are not accepted yet."""
NO_LINK = (
    "this link does not hold: it was used, or has expired, or was withdrawn; "
    "ask who sent it to you for another one"
)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a person chooses who opens a link."""

    password_hash: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    organization: str = ""
    """Only the first user chooses an address, and a name of the organization."""


class Links:
    """Remembers the links that were not used yet."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def invite(
        self, organization_id: int, email: str, role: Role, code: str, lifetime: timedelta
    ) -> Link:
        """Add an invitation; an earlier one for the address ends.

        Raises Conflict if a user has the address, or for too many invitations.
        """
        async with self._engine.begin() as connection:
            await _require_free_address(connection, email)
            await connection.execute(
                delete(links).where(
                    links.c.organization_id == organization_id,
                    links.c.purpose == LinkPurpose.INVITATION,
                    func.lower(links.c.email) == email.lower(),
                )
            )
            await _require_room(connection, organization_id)
            return await _insert(
                connection,
                LinkPurpose.INVITATION,
                {"organization_id": organization_id, "email": email, "role": role},
                code,
                lifetime,
            )

    async def add_for_user(
        self, purpose: LinkPurpose, user: User, code: str, lifetime: timedelta
    ) -> Link:
        """Add a link with which a user chooses another password. An earlier one goes on to hold."""
        values = {
            "organization_id": user.organization_id,
            "user_id": user.id,
            "email": user.email,
            "role": user.role,
        }
        async with self._engine.begin() as connection:
            return await _insert(connection, purpose, values, code, lifetime)

    async def is_welcome_open(self) -> bool:
        """Whether a link for the first user was made, and nobody has used one."""
        chosen = select(links.c.id).where(links.c.purpose == LinkPurpose.WELCOME).limit(1)
        async with self._reading.connect() as connection:
            return (await connection.execute(chosen)).first() is not None

    async def with_code(self, code: str) -> Link:
        """The link of a code. Raises NotFound if there is none that holds."""
        chosen = _LINK.where(
            links.c.fingerprint == fingerprint(code),
            links.c.expires_at > datetime.now(UTC),
            organizations.c.active,
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        if row is None:
            raise NotFound(NO_LINK)
        return _link(row)

    async def invitations(self, organization_id: int) -> Sequence[Link]:
        """The invitations of an organization that were not accepted, oldest first."""
        chosen = _LINK.where(
            links.c.organization_id == organization_id,
            links.c.purpose == LinkPurpose.INVITATION,
            links.c.expires_at > datetime.now(UTC),
        )
        async with self._reading.connect() as connection:
            rows = await connection.execute(chosen.order_by(links.c.id))
            return [_link(row) for row in rows]

    async def withdraw(self, organization_id: int, link_id: int) -> bool:
        """End an invitation of an organization; return whether there was one."""
        ended = delete(links).where(
            links.c.organization_id == organization_id,
            links.c.purpose == LinkPurpose.INVITATION,
            links.c.id == link_id,
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(ended)).rowcount > 0

    async def use(self, code: str, accepted: Acceptance) -> User:
        """Do what a link is for, and end it. Returns the user who has the password now.

        Raises NotFound if there is no link that holds, and Conflict for an address or a name that
        is taken; the link holds then.
        """
        async with self._engine.begin() as connection:
            ended = delete(links).where(
                links.c.fingerprint == fingerprint(code), links.c.expires_at > datetime.now(UTC)
            )
            row = (await connection.execute(ended.returning(links))).first()
            if row is None or not await _is_active(connection, row.organization_id):
                raise NotFound(NO_LINK)
            if row.purpose == LinkPurpose.INVITATION:
                return await _make_user(connection, row, accepted)
            if row.purpose == LinkPurpose.WELCOME:
                await _name_first_user(connection, row, accepted)
            await write_password(connection, row.user_id, accepted.password_hash)
            return await _active_user(connection, row.user_id)


_LINK = select(links, organizations.c.name.label("organization")).join(
    organizations, organizations.c.id == links.c.organization_id
)


async def _insert(
    connection: AsyncConnection,
    purpose: LinkPurpose,
    values: dict[str, Any],
    code: str,
    lifetime: timedelta,
) -> Link:
    now = datetime.now(UTC)
    await connection.execute(delete(links).where(links.c.expires_at <= now - timedelta(days=30)))
    made = await connection.execute(
        insert(links).values(
            **values,
            purpose=purpose,
            fingerprint=fingerprint(code),
            created_at=now,
            expires_at=now + lifetime,
        )
    )
    assert made.inserted_primary_key is not None
    chosen = _LINK.where(links.c.id == made.inserted_primary_key.id)
    return _link((await connection.execute(chosen)).one())


async def _require_free_address(connection: AsyncConnection, email: str) -> None:
    taken = select(users.c.id).where(users.c.login == email.casefold())
    if (await connection.execute(taken)).first() is not None:
        raise address_taken(email)


async def _require_room(connection: AsyncConnection, organization_id: int) -> None:
    count = select(func.count()).where(
        links.c.organization_id == organization_id, links.c.purpose == LinkPurpose.INVITATION
    )
    if (await connection.execute(count)).scalar_one() >= MAX_INVITATIONS:
        raise Conflict(
            f"there are {MAX_INVITATIONS:,} open invitations already, which is the limit; "
            "withdraw some"
        )


async def _is_active(connection: AsyncConnection, organization_id: int) -> bool:
    chosen = select(organizations.c.active).where(organizations.c.id == organization_id)
    return bool(await connection.scalar(chosen))


async def _make_user(connection: AsyncConnection, row: Row[Any], accepted: Acceptance) -> User:
    new = NewUser(row.email, Role(row.role), accepted.first_name, accepted.last_name)
    user = await insert_user(connection, row.organization_id, new)
    await write_password(connection, user.id, accepted.password_hash)
    return await _active_user(connection, user.id)


async def _name_first_user(
    connection: AsyncConnection, row: Row[Any], accepted: Acceptance
) -> None:
    """Give the first user and the first organization the names that the person has chosen."""
    email = accepted.email or row.email
    names = {"first_name": accepted.first_name, "last_name": accepted.last_name}
    change = update(users).where(users.c.id == row.user_id)
    try:
        await connection.execute(change.values(email=email, login=email.casefold(), **names))
    except IntegrityError as error:
        raise address_taken(email) from error
    if accepted.organization:
        change = update(organizations).where(organizations.c.id == row.organization_id)
        try:
            await connection.execute(change.values(name=accepted.organization))
        except IntegrityError as error:
            raise name_taken(accepted.organization) from error
    await connection.execute(delete(links).where(links.c.purpose == LinkPurpose.WELCOME))


async def _active_user(connection: AsyncConnection, user_id: int) -> User:
    """A user by their number. Raises NotFound if they were deactivated since."""
    chosen = select(users).where(users.c.id == user_id, users.c.active)
    row = (await connection.execute(chosen)).first()
    if row is None:
        raise NotFound(NO_LINK)
    return user_of_row(row)


def _link(row: Row[Any]) -> Link:
    return Link(
        row.id,
        LinkPurpose(row.purpose),
        row.organization_id,
        row.organization,
        row.email,
        Role(row.role),
        row.user_id,
        row.created_at,
        row.expires_at,
    )
