"""The passwords and second factors of users."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.links import LinkPurpose
from openbulk.domain.people import User
from openbulk.security import Sealer, fingerprint
from openbulk.storage.database import for_reading
from openbulk.storage.resealing import reseal_rows
from openbulk.storage.sessions import end_sessions
from openbulk.storage.tables import links, organizations, recovery_codes, users
from openbulk.storage.user_rows import user_of_row


@dataclass(frozen=True, slots=True)
class Credential:
    """What a user signs in with. Never log it."""

    user: User
    password_hash: str | None = field(repr=False)
    totp_key: str | None = field(repr=False)
    """The key of the authenticator app; None for users who have none.

    It counts once `User.has_second_factor` is true.
    """


class Credentials:
    """Remembers passwords as hashes, and the keys of authenticator apps sealed."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._sealer = sealer

    async def of_email(self, email: str) -> Credential | None:
        """What the user of an address signs in with; None if nobody active has it."""
        return await self._find(users.c.login == email.strip().casefold())

    async def of_user(self, user_id: int) -> Credential | None:
        """What a user signs in with; None if they are not active."""
        return await self._find(users.c.id == user_id)

    async def _find(self, which: ColumnElement[bool]) -> Credential | None:
        chosen = (
            select(users)
            .join(organizations, organizations.c.id == users.c.organization_id)
            .where(which, users.c.active, organizations.c.active)
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        if row is None:
            return None
        key = None
        if row.sealed_totp_key is not None:
            key = self._sealer.open(row.sealed_totp_key, _place(row.id)).decode()
        return Credential(user_of_row(row), row.password_hash, key)

    async def set_password(
        self, user_id: int, password_hash: str, *, keeps_session: int | None = None
    ) -> None:
        """Give a user a password, and end all sessions but one, and links for another password."""
        async with self._engine.begin() as connection:
            await write_password(connection, user_id, password_hash, keeps_session=keeps_session)

    async def renew_hash(self, user_id: int, earlier: str, password_hash: str) -> None:
        """Replace the hash of a password by another one of the same password."""
        change = update(users).where(users.c.id == user_id, users.c.password_hash == earlier)
        await self._write(change.values(password_hash=password_hash))

    # --- second factors ---

    async def offer_totp_key(self, user_id: int, key: str) -> None:
        """Keep the key of an authenticator app that has shown no code yet."""
        sealed = self._sealer.seal(key.encode(), _place(user_id))
        change = update(users).where(users.c.id == user_id, users.c.totp_step.is_(None))
        await self._write(change.values(sealed_totp_key=sealed))

    async def begin_second_factor(self, user_id: int, step: int, codes: Sequence[str]) -> None:
        """Ask for a code at each sign-in with the password from now on.

        `step` is that of the first code, which does not count again.
        """
        change = update(users).where(users.c.id == user_id).values(totp_step=step)
        rows = [{"user_id": user_id, "fingerprint": fingerprint(code)} for code in codes]
        async with self._engine.begin() as connection:
            await connection.execute(change)
            await _forget_recovery_codes(connection, user_id)
            await connection.execute(insert(recovery_codes), rows)

    async def end_second_factor(self, user_id: int) -> None:
        """Ask for no code any more."""
        change = update(users).where(users.c.id == user_id)
        async with self._engine.begin() as connection:
            await connection.execute(change.values(totp_step=None, sealed_totp_key=None))
            await _forget_recovery_codes(connection, user_id)

    async def use_step(self, user_id: int, step: int) -> bool:
        """Use the code of a step; return whether neither it nor a later one was used before."""
        change = update(users).where(users.c.id == user_id, users.c.totp_step < step)
        return await self._write(change.values(totp_step=step))

    async def use_recovery_code(self, user_id: int, code: str) -> bool:
        """Use a recovery code; return whether it is one that was not used."""
        return await self._write(
            delete(recovery_codes).where(
                recovery_codes.c.user_id == user_id,
                recovery_codes.c.fingerprint == fingerprint(code),
            )
        )

    async def _write(self, statement: Any) -> bool:
        async with self._engine.begin() as connection:
            done = await connection.execute(statement)
        return bool(done.rowcount)


async def write_password(
    connection: AsyncConnection,
    user_id: int,
    password_hash: str,
    *,
    keeps_session: int | None = None,
) -> None:
    """Give a user a password, and end what an earlier one has opened."""
    change = update(users).where(users.c.id == user_id).values(password_hash=password_hash)
    await connection.execute(change)
    await end_sessions(connection, user_id, but=keeps_session)
    others = links.c.purpose == LinkPurpose.PASSWORD
    await connection.execute(delete(links).where(links.c.user_id == user_id, others))


async def reseal_totp_keys(connection: AsyncConnection, sealer: Sealer) -> int:
    """Seal the keys of authenticator apps with the first master key; return their number."""
    return await reseal_rows(connection, sealer, {users.c.sealed_totp_key: _place})


async def _forget_recovery_codes(connection: AsyncConnection, user_id: int) -> None:
    await connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))


def _place(user_id: int) -> str:
    return f"the key of the authenticator app of user {user_id}"
