"""The secrets of users and organizations, by which callers are known. It keeps fingerprints."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.approvals import ApprovalRule
from openbulk.domain.errors import Conflict, DiskFull, Unavailable
from openbulk.domain.people import Caller, KnownSecret, NewSecret
from openbulk.security import fingerprint
from openbulk.storage.database import for_reading
from openbulk.storage.limits import LIMIT_COLUMNS, limits_of_row
from openbulk.storage.tables import instances, organizations, secrets, users
from openbulk.storage.user_rows import instance_of_row, user_of_row

USE_IS_NOTED_AFTER = timedelta(minutes=1)
"""The last use of a secret is written at most once in this time."""
MAX_SECRETS = 100
"""Secrets that a user or an organization can have at a time."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose secret it is: an organization's, or a user's of the organization."""

    organization_id: int
    user_id: int | None = None

    @property
    def kind(self) -> str:
        """The word for the owner in the table."""
        return "organization" if self.user_id is None else "user"


_OF_USER = secrets.alias("of_user")
_OF_ORGANIZATION = secrets.alias("of_organization")
_CALLER = (
    select(
        users,
        organizations.c.active.label("organization_active"),
        organizations.c.approvals,
        *LIMIT_COLUMNS,
        _OF_USER.c.id.label("secret_id"),
        _OF_USER.c.name.label("secret_name"),
        _OF_USER.c.scopes,
        _OF_USER.c.is_agent,
        _OF_USER.c.expires_at,
        _OF_USER.c.last_used_at,
        _OF_ORGANIZATION.c.id.label("organization_secret_id"),
        _OF_ORGANIZATION.c.expires_at.label("organization_expires_at"),
        _OF_ORGANIZATION.c.last_used_at.label("organization_last_used_at"),
        instances.c.id.label("instance_id"),
        instances.c.element,
        instances.c.version,
    )
    .select_from(_OF_USER)
    .join(users, users.c.id == _OF_USER.c.user_id)
    .join(organizations, organizations.c.id == users.c.organization_id)
    .outerjoin(
        _OF_ORGANIZATION,
        and_(
            _OF_ORGANIZATION.c.kind == "organization",
            _OF_ORGANIZATION.c.organization_id == users.c.organization_id,
            _OF_ORGANIZATION.c.fingerprint == bindparam("organization"),
        ),
    )
    .outerjoin(
        instances,
        and_(
            instances.c.organization_id == users.c.organization_id,
            instances.c.token_fingerprint == bindparam("instance"),
        ),
    )
    .where(_OF_USER.c.kind == "user", _OF_USER.c.fingerprint == bindparam("user"))
)


class KnownSecrets:
    """Remembers the secrets of callers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def identify(
        self, user_secret: str, organization_secret: str | None, token: str | None
    ) -> Caller | None:
        """Whom the secrets of a request belong to; None if the user's is not known."""
        sent = {"user": user_secret, "organization": organization_secret, "instance": token}
        fingerprints = {owner: secret and fingerprint(secret) for owner, secret in sent.items()}
        async with self._reading.connect() as connection:
            row = (await connection.execute(_CALLER, fingerprints)).first()
        if row is None:
            return None
        now = datetime.now(UTC)
        caller = _caller(row, now)
        if not caller.problem:
            await self._note_use(_secrets_to_note(row, now), now)
        return caller

    async def _note_use(self, secret_ids: Sequence[int], now: datetime) -> None:
        """Write when secrets were used. A request does not fail because that cannot be written."""
        if not secret_ids:
            return
        change = update(secrets).where(secrets.c.id.in_(secret_ids)).values(last_used_at=now)
        try:
            async with self._engine.begin() as connection:
                await connection.execute(change)
        except (DiskFull, Unavailable):
            return

    async def all_of(self, owner: Owner) -> Sequence[KnownSecret]:
        """The secrets of an owner, oldest first; also those that have expired."""
        chosen = select(secrets).where(_is_of(owner)).order_by(secrets.c.id)
        async with self._reading.connect() as connection:
            return [_secret(row) for row in await connection.execute(chosen)]

    async def one_of(self, owner: Owner, secret_id: int) -> KnownSecret | None:
        """A secret of an owner by its number; None if there is none."""
        chosen = select(secrets).where(_is_of(owner), secrets.c.id == secret_id)
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        return None if row is None else _secret(row)

    async def add(self, owner: Owner, new: NewSecret, value: str) -> KnownSecret:
        """Let a new secret hold beside the others.

        Raises Conflict if the owner has `MAX_SECRETS`.
        """
        async with self._engine.begin() as connection:
            await _require_room(connection, owner)
            return await insert_secret(connection, owner, new, value, datetime.now(UTC))

    async def rotate(
        self, owner: Owner, earlier: KnownSecret, value: str, overlap: timedelta
    ) -> KnownSecret:
        """Make a secret in place of an earlier one, which holds for `overlap` more."""
        now = datetime.now(UTC)
        lifetime = None if earlier.expires_at is None else earlier.expires_at - earlier.created_at
        new = NewSecret(earlier.name, earlier.scopes, lifetime, earlier.is_agent)
        end = now + overlap
        if earlier.expires_at is not None:
            end = min(end, earlier.expires_at)
        async with self._engine.begin() as connection:
            await _require_room(connection, owner)
            change = update(secrets).where(_is_of(owner), secrets.c.id == earlier.id)
            await connection.execute(change.values(expires_at=end))
            return await insert_secret(connection, owner, new, value, now)

    async def replace_all(self, owner: Owner, name: str, value: str, overlap: timedelta) -> int:
        """Make a secret, and have the others that people have made hold for `overlap` more.

        API keys stay. Returns the number of secrets of the settings, which stay, too.
        """
        now = datetime.now(UTC)
        others = and_(_is_of(owner), secrets.c.scopes.is_(None))
        lasting = or_(secrets.c.expires_at.is_(None), secrets.c.expires_at > now + overlap)
        async with self._engine.begin() as connection:
            change = update(secrets).where(others, ~secrets.c.from_settings, lasting)
            await connection.execute(change.values(expires_at=now + overlap))
            await insert_secret(connection, owner, NewSecret(name), value, now)
            count = select(func.count()).where(others, secrets.c.from_settings)
            return int((await connection.execute(count)).scalar_one())

    async def end(self, owner: Owner, secret_id: int) -> bool:
        """End a secret at once, and forget it; return whether there was one."""
        async with self._engine.begin() as connection:
            done = await connection.execute(
                delete(secrets).where(_is_of(owner), secrets.c.id == secret_id)
            )
        return done.rowcount > 0

    async def end_all(self, owner: Owner) -> None:
        """End all secrets of an owner at once."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(secrets).where(_is_of(owner)))


async def end_secrets_of_user(connection: AsyncConnection, owner: Owner) -> None:
    """End the secrets and keys of a user, but for those that the settings give."""
    chosen = and_(_is_of(owner), ~secrets.c.from_settings)
    await connection.execute(delete(secrets).where(chosen))


async def insert_secret(
    connection: AsyncConnection,
    owner: Owner,
    new: NewSecret,
    value: str,
    now: datetime,
    *,
    from_settings: bool = False,
) -> KnownSecret:
    """Add a secret of an owner."""
    expires_at = None if new.lifetime is None else now + new.lifetime
    scopes = None if new.scopes is None else list(new.scopes)
    made = await connection.execute(
        insert(secrets).values(
            kind=owner.kind,
            fingerprint=fingerprint(value),
            organization_id=owner.organization_id,
            user_id=owner.user_id,
            name=new.name,
            scopes=scopes,
            from_settings=from_settings,
            is_agent=new.is_agent,
            created_at=now,
            expires_at=expires_at,
        )
    )
    assert made.inserted_primary_key is not None
    return KnownSecret(
        int(made.inserted_primary_key.id),
        owner.organization_id,
        owner.user_id,
        new.name,
        scopes,
        now,
        expires_at,
        None,
        from_settings,
        new.is_agent,
    )


async def replace_secrets_of_settings(
    connection: AsyncConnection, owner: Owner, name: str, values: Sequence[str]
) -> bool:
    """Let exactly these secrets hold beside those that people have made.

    Returns whether an earlier one has ended.
    """
    wanted = {fingerprint(value): value for value in values}
    is_set = and_(_is_of(owner), secrets.c.from_settings)
    rows = await connection.scalars(select(secrets.c.fingerprint).where(is_set))
    before = set(rows)
    gone = before - wanted.keys()
    await connection.execute(delete(secrets).where(is_set, secrets.c.fingerprint.in_(gone)))
    now = datetime.now(UTC)
    for one, value in wanted.items():
        if one not in before:
            # Somebody may have made the secret that is now set.
            chosen = and_(secrets.c.kind == owner.kind, secrets.c.fingerprint == one)
            await connection.execute(delete(secrets).where(chosen))
            await insert_secret(connection, owner, NewSecret(name), value, now, from_settings=True)
    return bool(gone)


async def identify_owner(connection: AsyncConnection, kind: str, value: str) -> Owner | None:
    """Whose secret this is; None if it is nobody's."""
    chosen = select(secrets.c.organization_id, secrets.c.user_id).where(
        secrets.c.kind == kind, secrets.c.fingerprint == fingerprint(value)
    )
    row = (await connection.execute(chosen)).first()
    return None if row is None else Owner(row.organization_id, row.user_id)


async def _require_room(connection: AsyncConnection, owner: Owner) -> None:
    count = select(func.count()).where(_is_of(owner))
    if (await connection.execute(count)).scalar_one() >= MAX_SECRETS:
        raise Conflict(
            f"there are {MAX_SECRETS} secrets already, which is the limit; delete one that is not "
            "used any more"
        )


def _is_of(owner: Owner) -> ColumnElement[bool]:
    return and_(
        secrets.c.organization_id == owner.organization_id,
        secrets.c.user_id.is_not_distinct_from(owner.user_id),
    )


def _caller(row: Row[Any], now: datetime) -> Caller:
    holds = row.organization_secret_id is not None and not _is_over(
        row.organization_expires_at, now
    )
    return Caller(
        user_of_row(row),
        holds,
        instance_of_row(row),
        row.secret_id,
        row.organization_secret_id if holds else None,
        row.scopes,
        problem=_problem(row, now),
        is_agent=row.is_agent,
        approvals=ApprovalRule(row.approvals),
        limits=limits_of_row(row),
    )


def _problem(row: Row[Any], now: datetime) -> str:
    """Why a known secret does not hold; empty if it does."""
    if _is_over(row.expires_at, now):
        return f"the secret {row.secret_name!r} has expired; make another one"
    if not row.organization_active:
        return "your organization is deactivated; ask the administrator of the installation"
    if not row.active:
        return f"the user {row.email} is deactivated; ask an administrator of the organization"
    return ""


def _is_over(end: datetime | None, now: datetime) -> bool:
    return end is not None and end <= now


def _secrets_to_note(row: Row[Any], now: datetime) -> Sequence[int]:
    """The secrets of a request whose last use has to be written."""
    used = (
        (row.secret_id, row.last_used_at),
        (row.organization_secret_id, row.organization_last_used_at),
    )
    return [
        secret_id
        for secret_id, last in used
        if secret_id is not None and (last is None or now - last >= USE_IS_NOTED_AFTER)
    ]


def _secret(row: Row[Any]) -> KnownSecret:
    return KnownSecret(
        row.id,
        row.organization_id,
        row.user_id,
        row.name,
        row.scopes,
        row.created_at,
        row.expires_at,
        row.last_used_at,
        row.from_settings,
        row.is_agent,
    )
