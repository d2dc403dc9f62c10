"""The processes that work on the ledger's jobs, and their heartbeats."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import ColumnElement, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.storage.database import TAKEOVER
from openbulk.storage.notices import LOOKED, REGISTERED, WORK, notify
from openbulk.storage.tables import workers

Living = Callable[[], Awaitable[frozenset[str]]]
"""Reads which workers are registered at the time of the call."""


class Workers:
    """Remembers the workers of a PostgreSQL ledger.

    All times are the database's: no machine's clock decides which worker is dead.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def register(self, id: str) -> float:
        """Register a worker before it takes work; return the database's time."""
        added = insert(workers).values(id=id, heartbeat_at=_now())
        # An answer may have been lost: then it is registered already.
        added = added.on_conflict_do_update(
            index_elements=[workers.c.id], set_={"heartbeat_at": _now()}
        )
        async with self._engine.begin() as connection:
            now: float | None = await connection.scalar(added.returning(workers.c.heartbeat_at))
            await connection.execute(notify(REGISTERED, id))
        assert now is not None
        return now

    async def beat(self, id: str) -> float | None:
        """Write a heartbeat; return the database's time, None for a worker considered dead."""
        async with self._engine.begin() as connection:
            now: float | None = await connection.scalar(
                update(workers)
                .where(workers.c.id == id)
                .values(heartbeat_at=_now())
                .returning(workers.c.heartbeat_at)
            )
        return now

    async def rest(self, id: str) -> None:
        """Remove a worker that has no work: nothing of it has to be taken over."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(workers).where(workers.c.id == id))

    async def deregister(self, id: str) -> None:
        """Remove a worker that ends: its slices may be taken over, and its lanes are free."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(workers).where(workers.c.id == id))
            await connection.execute(notify(WORK, id))

    @asynccontextmanager
    async def reap_dead(self, id: str, after: float) -> AsyncIterator[Living | None]:
        """Remove workers without a heartbeat for `after` seconds; the block reads the living.

        It gets None if another process is doing the same. A worker that wakes meanwhile waits for
        the end of the block before it learns that it was considered dead. If there are living
        ones, the other processes hear that `id` has looked.
        """
        async with self._engine.begin() as connection:
            if not await connection.scalar(select(func.pg_try_advisory_xact_lock(TAKEOVER))):
                yield None
                return
            await connection.execute(delete(workers).where(workers.c.heartbeat_at < _now() - after))

            async def living() -> frozenset[str]:
                return frozenset((await connection.scalars(select(workers.c.id))).all())

            yield living
            if await living():
                await connection.execute(notify(LOOKED, id))


def _now() -> ColumnElement[float]:
    # now() is the beginning of the transaction, which may have waited for a lock since.
    return literal_column("extract(epoch FROM clock_timestamp())::float8")
