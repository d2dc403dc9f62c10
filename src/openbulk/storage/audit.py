"""The audit log in the database: what is under way, and the chain of each organization.

A deed is written before it begins, and its outcome before its answer goes out. Both are rows of
`audit_attempts`, each with one statement. Soon afterwards the rows with an outcome move to the
chain, many at a time: so no caller waits for the lock of the chain.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
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
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.audit import (
    NO_HASH,
    PRUNED,
    AuditEntry,
    AuditOutcome,
    ChainCheck,
    ChainEnd,
    Deed,
    chain_deed,
    prune_detail,
    prune_target,
    shape_of,
)
from openbulk.domain.errors import DiskFull, KeyMissing, SealBroken, Unavailable
from openbulk.security import Sealer
from openbulk.storage.database import for_reading
from openbulk.storage.tables import audit_attempts, audit_chains, audit_entries

log = structlog.get_logger()

CHAINED_AT_ONCE = 500
READ_AT_ONCE = 1_000
MAX_LATE = 10_000
"""Outcomes that are held in memory while they cannot be written."""
ABANDONED_AFTER = timedelta(hours=1)
"""Without an outcome for so long, the process of a deed has died. One that lasts longer gets a
second entry, with its outcome."""
_PRUNE_PAUSE = timedelta(days=1)
_DIED = "the server ended before it answered"

_DEED = [column for column in audit_attempts.c if column.name != "id"]
_BEGIN = insert(audit_attempts)
_END = (
    update(audit_attempts)
    .where(
        audit_attempts.c.request_id == bindparam("of_request"),
        audit_attempts.c.outcome.is_(None),
    )
    .values(
        action=bindparam("as_action"),
        target=bindparam("on_target"),
        outcome=bindparam("as_outcome"),
        status=bindparam("with_status"),
        detail=bindparam("more"),
    )
)
_FORGET = delete(audit_attempts).where(
    audit_attempts.c.request_id == bindparam("of_request"), audit_attempts.c.outcome.is_(None)
)
"""Statements of each request are made once: making one takes longer than sending it."""


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are wanted; None for any."""

    user: str | None = None
    """The address of the user."""
    action: str | None = None
    """The action, or what stands before its dot: `job` for all that is done with jobs."""
    target: str | None = None
    """The target, or the words that it begins with."""
    outcome: str | None = None
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Late:
    """An outcome that could not be written yet."""

    deed: Deed
    is_begun: bool
    """Whether the deed was written before it began."""


class AuditLog:
    """Remembers deeds, and chains them. Nothing changes an entry, and only its age deletes it."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._sealer = sealer
        self._late: list[_Late] = []
        self.has_news = asyncio.Event()
        """Set once there is something to chain."""

    # --- deeds ---

    async def begin(self, deed: Deed) -> None:
        """Write a deed before it is done. Raises Unavailable or DiskFull: then do not do it."""
        async with self._reading.connect() as connection:
            await connection.execute(_BEGIN, {**_row_of(deed), "outcome": None})

    async def end(self, deed: Deed, *, is_begun: bool) -> None:
        """Write the outcome of a deed before its answer goes out.

        If that is not possible, it is written as soon as it is: what was done is done.
        """
        try:
            await self._write_outcome(deed, is_begun=is_begun)
        except (Unavailable, DiskFull):
            log.warning("audit entry has to wait for the database", request=deed.request_id)
            if len(self._late) < MAX_LATE:
                self._late.append(_Late(deed, is_begun))
        self.has_news.set()

    def end_later(self, deed: Deed) -> None:
        """Have the outcome of a deed that was begun written soon."""
        if len(self._late) < MAX_LATE:
            self._late.append(_Late(deed, is_begun=True))
        self.has_news.set()

    async def forget(self, request_id: str) -> None:
        """Forget a deed that was refused, and of which there are too many to keep."""
        with suppress(Unavailable, DiskFull):
            async with self._reading.connect() as connection:
                await connection.execute(_FORGET, {"of_request": request_id})

    async def _write_outcome(self, deed: Deed, *, is_begun: bool) -> None:
        async with self._reading.connect() as connection:
            if is_begun:
                values = {
                    "of_request": deed.request_id,
                    "as_action": deed.action,
                    "on_target": deed.target,
                    "as_outcome": str(deed.outcome),
                    "with_status": deed.status,
                    "more": deed.detail,
                }
                if (await connection.execute(_END, values)).rowcount:
                    return
                # Considered abandoned meanwhile: the outcome is an entry of its own.
            await connection.execute(_BEGIN, _row_of(deed))

    async def write_late(self) -> None:
        """Write the outcomes that could not be written. Raises Unavailable or DiskFull."""
        while self._late:
            await self._write_outcome(self._late[0].deed, is_begun=self._late[0].is_begun)
            del self._late[0]
            self.has_news.set()

    async def close_abandoned(self, begun_before: datetime) -> int:
        """Give deeds whose process has died the outcome unknown; return their number."""
        attempts = audit_attempts
        is_abandoned = and_(attempts.c.outcome.is_(None), attempts.c.at < begun_before)
        close = update(attempts).where(is_abandoned)
        async with self._reading.connect() as connection:
            if (
                await connection.execute(select(attempts.c.id).where(is_abandoned))
            ).first() is None:
                return 0
            closed = await connection.execute(
                close.values(outcome=AuditOutcome.UNKNOWN.value, detail=_DIED)
            )
        return closed.rowcount

    # --- chains ---

    async def chain_all(self) -> None:
        """Move all deeds with an outcome to the chains of their organizations."""
        self.has_news.clear()
        waiting = select(audit_attempts.c.organization_id).distinct()
        async with self._reading.connect() as connection:
            found = await connection.scalars(waiting.where(audit_attempts.c.outcome.is_not(None)))
            organizations = found.all()
        for organization_id in organizations:
            await self.chain(organization_id)

    async def chain(self, organization_id: int) -> None:
        """Move the deeds of an organization that have an outcome to its chain."""
        while await self._chain_some(organization_id) == CHAINED_AT_ONCE:
            pass

    async def _chain_some(self, organization_id: int) -> int:
        chosen = (
            select(audit_attempts)
            .where(
                audit_attempts.c.organization_id == organization_id,
                audit_attempts.c.outcome.is_not(None),
            )
            .order_by(audit_attempts.c.id)
            .limit(CHAINED_AT_ONCE)
        )
        async with self._reading.connect() as connection:
            if (await connection.execute(chosen.limit(1))).first() is None:
                return 0
        async with self._engine.begin() as connection:
            end = await self._lock_chain(connection, organization_id)
            # Read under the lock: another process may have chained them meanwhile.
            rows = (await connection.execute(chosen)).all()
            await self._append(connection, end, [_make_deed(row) for row in rows])
            ids = [row.id for row in rows]
            await connection.execute(delete(audit_attempts).where(audit_attempts.c.id.in_(ids)))
        return len(rows)

    async def _lock_chain(self, connection: AsyncConnection, organization_id: int) -> ChainEnd:
        """The end of a chain, to which nobody else adds until the transaction ends."""
        first = {"id": organization_id, "number": 0, "hash": NO_HASH}
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        await connection.execute(
            dialect.insert(audit_chains).values(first).on_conflict_do_nothing()
        )
        chosen = select(audit_chains).where(audit_chains.c.id == organization_id)
        row = (await connection.execute(chosen.with_for_update())).one()
        return ChainEnd(row.number, row.hash)

    async def _append(
        self, connection: AsyncConnection, end: ChainEnd, deeds: Sequence[Deed]
    ) -> ChainEnd:
        """Add entries behind the end of a chain that is locked; return its new end."""
        if not deeds:
            return end
        entries: list[AuditEntry] = []
        for deed in deeds:
            entry = chain_deed(deed, end.number + 1, end.hash)
            entries.append(entry)
            end = ChainEnd(entry.number, entry.hash)
        await connection.execute(insert(audit_entries), [_values(entry) for entry in entries])
        organization_id = deeds[0].organization_id
        sealed = self._sealer.seal(_sealed_text(end), _context(organization_id))
        await connection.execute(
            update(audit_chains)
            .where(audit_chains.c.id == organization_id)
            .values(number=end.number, hash=end.hash, sealed=sealed)
        )
        return end

    async def prune(self, older_than: timedelta, now: datetime) -> int:
        """Delete the entries that are older, of all organizations; return their number.

        An entry remembers the last one that was deleted, so that the rest can be proven whole.
        To write few of these, it deletes at most once a day. Entries stay up to a day longer.
        """
        cutoff = now - older_than
        begins = cutoff - min(_PRUNE_PAUSE, older_than)
        oldest = (
            select(audit_entries.c.organization_id)
            .group_by(audit_entries.c.organization_id)
            .having(func.min(audit_entries.c.at) < begins)
        )
        async with self._reading.connect() as connection:
            organizations = (await connection.scalars(oldest)).all()
        deleted = 0
        for organization_id in organizations:
            deleted += await self._prune_chain(organization_id, cutoff, now)
        return deleted

    async def _prune_chain(self, organization_id: int, cutoff: datetime, now: datetime) -> int:
        entries, is_own = audit_entries, audit_entries.c.organization_id == organization_id
        async with self._engine.begin() as connection:
            end = await self._lock_chain(connection, organization_id)
            # The beginning of the chain alone: a hole in it could not be proven.
            kept = await connection.scalar(
                select(func.min(entries.c.number)).where(is_own, entries.c.at >= cutoff)
            )
            last = end if kept is None else await _entry_before(connection, organization_id, kept)
            if last is None:
                return 0
            gone = await connection.execute(
                delete(entries).where(is_own, entries.c.number <= last.number)
            )
            deed = Deed(
                organization_id,
                now,
                PRUNED,
                prune_target(last),
                uuid4().hex,
                detail=prune_detail(last),
            )
            await self._append(connection, end, [deed])
        return gone.rowcount

    # --- reading ---

    async def newest(
        self, organization_id: int, wanted: EntryFilter, *, before: int | None, limit: int
    ) -> Sequence[AuditEntry]:
        """Entries of an organization, newest first; only those with numbers below `before`."""
        chosen = _select_entries(organization_id, wanted).limit(limit)
        if before is not None:
            chosen = chosen.where(audit_entries.c.number < before)
        async with self._reading.connect() as connection:
            rows = await connection.execute(chosen.order_by(audit_entries.c.number.desc()))
            return [_entry(row) for row in rows]

    async def page_after(
        self, organization_id: int, wanted: EntryFilter, number: int
    ) -> Sequence[AuditEntry]:
        """The next entries behind a number, oldest first: at most READ_AT_ONCE."""
        chosen = _select_entries(organization_id, wanted).where(audit_entries.c.number > number)
        async with self._reading.connect() as connection:
            rows = await connection.execute(
                chosen.order_by(audit_entries.c.number).limit(READ_AT_ONCE)
            )
            return [_entry(row) for row in rows]

    async def organizations(self) -> Sequence[int]:
        """The organizations that have a chain."""
        chains = select(audit_chains.c.id)
        known = chains.union(select(audit_entries.c.organization_id).distinct())
        async with self._reading.connect() as connection:
            return sorted((await connection.scalars(known)).all())

    async def verify(self, organization_id: int, noted: ChainEnd | None = None) -> ChainCheck:
        """Check the chain of an organization, and that an entry that was noted is in it."""
        while True:
            check = ChainCheck(noted)
            # In this order: others may add entries meanwhile, and write the end with them.
            newest = await self._number(func.max, organization_id)
            end, seal_fault = await self._end_of(organization_id)
            async for entry in self._entries_to(organization_id, max(end.number, newest or 0)):
                check.add(shape_of(entry))
            check.finish(end)
            if seal_fault:
                check.faults.append(seal_fault)
            # Entries that were deleted by age meanwhile are no fault.
            if check.is_whole or check.first == await self._number(func.min, organization_id):
                return check

    async def _entries_to(self, organization_id: int, last: int) -> AsyncIterator[AuditEntry]:
        number = 0
        while page := await self.page_after(organization_id, EntryFilter(), number):
            for entry in page:
                # Those that were added since the end was read are left for the next time.
                if entry.number <= last:
                    yield entry
            number = page[-1].number

    async def _end_of(self, organization_id: int) -> tuple[ChainEnd, str]:
        """The end of a chain, and what is wrong with its seal; empty if nothing is."""
        chosen = select(audit_chains).where(audit_chains.c.id == organization_id)
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        if row is None:
            return ChainEnd(0, NO_HASH), ""
        end = ChainEnd(row.number, row.hash)
        try:
            plain = self._sealer.open(row.sealed or b"", _context(organization_id))
        except (SealBroken, KeyMissing, ValueError):
            plain = b""
        is_right = end.number == 0 or plain == _sealed_text(end)
        return end, "" if is_right else "the end of the chain was not sealed by openbulk"

    async def _number(self, choose: Any, organization_id: int) -> int | None:
        """The lowest or the highest number of an entry; None without entries."""
        number = select(choose(audit_entries.c.number))
        async with self._reading.connect() as connection:
            found: int | None = await connection.scalar(
                number.where(audit_entries.c.organization_id == organization_id)
            )
        return found


async def insert_deed(connection: AsyncConnection, deed: Deed) -> None:
    """Write a deed that is done in the transaction of the connection."""
    await connection.execute(_BEGIN, _row_of(deed))


async def reseal_chains(connection: AsyncConnection, sealer: Sealer) -> None:
    """Reseal, with the first master key, the ends of chains that another key has sealed.

    One that cannot be opened stays: that is a fault of its chain, and keeps no server from working.
    """
    rows = (await connection.execute(select(audit_chains).with_for_update())).all()
    for row in rows:
        if row.sealed is None or sealer.is_current(row.sealed):
            continue
        with suppress(SealBroken, KeyMissing):
            sealed = sealer.seal(sealer.open(row.sealed, _context(row.id)), _context(row.id))
            change = update(audit_chains).where(audit_chains.c.id == row.id)
            await connection.execute(change.values(sealed=sealed))


async def _entry_before(
    connection: AsyncConnection, organization_id: int, number: int
) -> ChainEnd | None:
    """The entry before a number; None if there is none."""
    entries = audit_entries
    chosen = (
        select(entries.c.number, entries.c.hash)
        .where(entries.c.organization_id == organization_id, entries.c.number < number)
        .order_by(entries.c.number.desc())
        .limit(1)
    )
    row = (await connection.execute(chosen)).first()
    return None if row is None else ChainEnd(row.number, row.hash)


def _select_entries(organization_id: int, wanted: EntryFilter) -> Any:
    entries = audit_entries.c
    conditions: list[ColumnElement[bool]] = [entries.organization_id == organization_id]
    if wanted.user is not None:
        conditions.append(func.lower(entries.user) == wanted.user.lower())
    if wanted.action is not None:
        conditions.append(_begins(entries.action, wanted.action, "."))
    if wanted.target is not None:
        conditions.append(_begins(entries.target, wanted.target, " "))
    if wanted.outcome is not None:
        conditions.append(entries.outcome == wanted.outcome)
    if wanted.since is not None:
        conditions.append(entries.at >= wanted.since)
    if wanted.before is not None:
        conditions.append(entries.at < wanted.before)
    return select(audit_entries).where(and_(*conditions))


def _begins(column: Any, text: str, separator: str) -> ColumnElement[bool]:
    """Whether a text is this one, or begins with it and a separator."""
    return or_(column == text, column.startswith(text + separator, autoescape=True))


def _sealed_text(end: ChainEnd) -> bytes:
    return f"{end.number} {end.hash}".encode()


def _context(organization_id: int) -> str:
    return f"end of the audit log of organization {organization_id}"


def _values(entry: AuditEntry) -> dict[str, Any]:
    return {
        **_row_of(entry.deed),
        "number": entry.number,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def _row_of(deed: Deed) -> dict[str, Any]:
    return {column.name: getattr(deed, column.name) for column in _DEED}


def _make_deed(row: Row[Any]) -> Deed:
    values = row._mapping
    return Deed(**{column.name: values[column.name] for column in _DEED})


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(row.number, _make_deed(row), row.previous_hash, row.hash)
