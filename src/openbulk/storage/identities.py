"""Who the users of an organization are at its OpenID provider."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.access import Role
from openbulk.domain.errors import Conflict
from openbulk.domain.links import LinkPurpose
from openbulk.domain.people import User
from openbulk.storage.database import for_reading
from openbulk.storage.people import NewUser, insert_user
from openbulk.storage.tables import links, users
from openbulk.storage.user_rows import user_of_row


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """A person at a provider. The subject never changes, and nobody else there has it."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A person who signs in for the first time. The provider has verified the address."""

    email: str
    first_name: str = ""
    last_name: str = ""


class Identities:
    """Remembers which user a person at a provider is."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def find(self, organization_id: int, key: IdentityKey) -> User | None:
        """The user of an organization who is this person, active or not; None if nobody is."""
        chosen = select(users).where(
            users.c.organization_id == organization_id,
            users.c.identity_issuer == key.issuer,
            users.c.identity_subject == key.subject,
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        return None if row is None else user_of_row(row)

    async def connect(self, user_id: int, key: IdentityKey | None) -> None:
        """Have a user be this person from now on, or nobody there.

        Raises Conflict if another user of the organization is the person.
        """
        try:
            async with self._engine.begin() as connection:
                await _write(connection, user_id, key)
        except IntegrityError as error:
            raise Conflict(
                "another user of your organization signs in with this account of the provider; "
                "an administrator can disconnect that user first"
            ) from error

    async def join(
        self, organization_id: int, new: Newcomer, key: IdentityKey, role: Role | None
    ) -> User | None:
        """Add a person as a user, with this role or that of their invitation, which ends.

        Returns None, and adds nobody, if they have neither. Raises Conflict if the address is
        taken. An invitation to look after the installation does not count: the administrators of
        one organization, who choose the provider, could accept it.
        """
        invited = delete(links).where(
            links.c.organization_id == organization_id,
            links.c.purpose == LinkPurpose.INVITATION,
            func.lower(links.c.email) == new.email.lower(),
            links.c.expires_at > datetime.now(UTC),
            links.c.role != Role.INSTALLATION,
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(invited.returning(links.c.role))).first()
            given = role or (None if row is None else Role(row.role))
            if given is None:
                return None
            made = NewUser(new.email, given, new.first_name, new.last_name)
            user = await insert_user(connection, organization_id, made)
            await _write(connection, user.id, key)
            chosen = select(users).where(users.c.id == user.id)
            return user_of_row((await connection.execute(chosen)).one())


async def _write(connection: AsyncConnection, user_id: int, key: IdentityKey | None) -> None:
    await connection.execute(
        update(users)
        .where(users.c.id == user_id)
        .values(
            identity_issuer=None if key is None else key.issuer,
            identity_subject=None if key is None else key.subject,
        )
    )
