"""The sessions of people. It keeps fingerprints of their tokens."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.approvals import ApprovalRule
from openbulk.domain.errors import DiskFull, Unavailable
from openbulk.domain.people import Caller
from openbulk.domain.sessions import LIFETIME, Origin, Session
from openbulk.security import fingerprint
from openbulk.storage.database import for_reading
from openbulk.storage.known_secrets import USE_IS_NOTED_AFTER
from openbulk.storage.limits import LIMIT_COLUMNS, limits_of_row
from openbulk.storage.tables import instances, organizations, secrets, sessions, users
from openbulk.storage.user_rows import instance_of_row, user_of_row

MAX_SESSIONS = 50
"""Sessions that a user can have at a time: another one ends that which was used longest ago."""
_MAX_ADDRESS, _MAX_PROGRAM = 100, 300

_USER_SECRET = secrets.alias("user_secret")
_ORGANIZATION_SECRET = secrets.alias("organization_secret")
_CALLER = (
    select(
        users,
        organizations.c.active.label("organization_active"),
        organizations.c.approvals,
        *LIMIT_COLUMNS,
        sessions.c.id.label("session_id"),
        sessions.c.address,
        sessions.c.program,
        sessions.c.created_at.label("begun_at"),
        sessions.c.seen_at,
        sessions.c.confirmed_at,
        sessions.c.expires_at,
        _USER_SECRET.c.expires_at.label("user_secret_end"),
        _ORGANIZATION_SECRET.c.expires_at.label("organization_secret_end"),
        instances.c.id.label("instance_id"),
        instances.c.element,
        instances.c.version,
    )
    .select_from(sessions)
    .join(users, users.c.id == sessions.c.user_id)
    .join(organizations, organizations.c.id == users.c.organization_id)
    .outerjoin(_USER_SECRET, _USER_SECRET.c.id == sessions.c.user_secret_id)
    .outerjoin(_ORGANIZATION_SECRET, _ORGANIZATION_SECRET.c.id == sessions.c.organization_secret_id)
    .outerjoin(
        instances,
        and_(
            instances.c.organization_id == users.c.organization_id,
            instances.c.token_fingerprint == bindparam("instance"),
        ),
    )
    .where(sessions.c.fingerprint == bindparam("session"))
)


class Sessions:
    """Remembers who is signed in."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def begin(
        self,
        user_id: int,
        token: str,
        origin: Origin,
        *,
        user_secret_id: int | None = None,
        organization_secret_id: int | None = None,
    ) -> Session:
        """Begin a session. One that is begun with secrets ends with either of them."""
        now = datetime.now(UTC)
        shortened = Origin(origin.address[:_MAX_ADDRESS], origin.program[:_MAX_PROGRAM])
        async with self._engine.begin() as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
            await _make_room(connection, user_id)
            made = await connection.execute(
                insert(sessions).values(
                    fingerprint=fingerprint(token),
                    user_id=user_id,
                    user_secret_id=user_secret_id,
                    organization_secret_id=organization_secret_id,
                    address=shortened.address,
                    program=shortened.program,
                    created_at=now,
                    seen_at=now,
                    confirmed_at=now,
                    expires_at=now + LIFETIME,
                )
            )
        assert made.inserted_primary_key is not None
        number = int(made.inserted_primary_key.id)
        return Session(number, user_id, shortened, now, now, now + LIFETIME, now)

    async def identify(self, token: str, instance_token: str | None) -> Caller | None:
        """Whose session this is; None if it is nobody's, or has ended.

        Users and organizations that are deactivated have no session.
        """
        now = datetime.now(UTC)
        sent = {
            "session": fingerprint(token),
            "instance": instance_token and fingerprint(instance_token),
        }
        async with self._reading.connect() as connection:
            row = (await connection.execute(_CALLER, sent)).first()
        if row is None or not _holds(row, now):
            return None
        if now - row.seen_at >= USE_IS_NOTED_AFTER:
            await self._note_use(row.session_id, now)
        session = Session(
            row.session_id,
            row.id,
            Origin(row.address, row.program),
            row.begun_at,
            row.seen_at,
            row.expires_at,
            row.confirmed_at,
        )
        return Caller(
            user_of_row(row),
            True,
            instance_of_row(row),
            session=session,
            approvals=ApprovalRule(row.approvals),
            limits=limits_of_row(row),
        )

    async def _note_use(self, session_id: int, now: datetime) -> None:
        """Write when a session was used. A request does not fail because that cannot be written."""
        change = update(sessions).where(sessions.c.id == session_id).values(seen_at=now)
        try:
            async with self._engine.begin() as connection:
                await connection.execute(change)
        except (DiskFull, Unavailable):
            return

    async def confirm(self, session: Session) -> Session:
        """Write that the person has shown once more that it is they."""
        now = datetime.now(UTC)
        change = update(sessions).where(sessions.c.id == session.id).values(confirmed_at=now)
        async with self._engine.begin() as connection:
            await connection.execute(change)
        return replace(session, confirmed_at=now)

    async def all_of(self, user_id: int) -> Sequence[Session]:
        """The sessions of a user, that which was used last first."""
        now = datetime.now(UTC)
        chosen = (
            select(sessions)
            .outerjoin(_USER_SECRET, _USER_SECRET.c.id == sessions.c.user_secret_id)
            .outerjoin(
                _ORGANIZATION_SECRET,
                _ORGANIZATION_SECRET.c.id == sessions.c.organization_secret_id,
            )
            .where(
                sessions.c.user_id == user_id,
                sessions.c.expires_at > now,
                _has_not_expired(_USER_SECRET.c.expires_at, now),
                _has_not_expired(_ORGANIZATION_SECRET.c.expires_at, now),
            )
            .order_by(sessions.c.seen_at.desc(), sessions.c.id.desc())
        )
        async with self._reading.connect() as connection:
            return [_session(row) for row in await connection.execute(chosen)]

    async def end(self, user_id: int, session_id: int) -> bool:
        """End a session of a user; return whether there was one."""
        async with self._engine.begin() as connection:
            done = await connection.execute(
                delete(sessions).where(sessions.c.user_id == user_id, sessions.c.id == session_id)
            )
        return done.rowcount > 0

    async def end_all(self, user_id: int) -> None:
        """End all sessions of a user."""
        async with self._engine.begin() as connection:
            await end_sessions(connection, user_id)


async def end_sessions(
    connection: AsyncConnection, user_id: int, *, but: int | None = None
) -> None:
    """End the sessions of a user, all of them or all but one."""
    ended = delete(sessions).where(sessions.c.user_id == user_id)
    if but is not None:
        ended = ended.where(sessions.c.id != but)
    await connection.execute(ended)


async def _make_room(connection: AsyncConnection, user_id: int) -> None:
    """End the sessions that are too many, those that were used longest ago."""
    newest = (
        select(sessions.c.id)
        .where(sessions.c.user_id == user_id)
        .order_by(sessions.c.seen_at.desc(), sessions.c.id.desc())
        .limit(MAX_SESSIONS - 1)
    )
    await connection.execute(
        delete(sessions).where(sessions.c.user_id == user_id, sessions.c.id.not_in(newest))
    )


def _has_not_expired(end: ColumnElement[Any], now: datetime) -> ColumnElement[bool]:
    return or_(end.is_(None), end > now)


def _holds(row: Row[Any], now: datetime) -> bool:
    ends = (row.expires_at, row.user_secret_end, row.organization_secret_end)
    is_over = any(end is not None and end <= now for end in ends)
    return bool(row.active and row.organization_active) and not is_over


def _session(row: Row[Any]) -> Session:
    return Session(
        row.id,
        row.user_id,
        Origin(row.address, row.program),
        row.created_at,
        row.seen_at,
        row.expires_at,
        row.confirmed_at,
    )
