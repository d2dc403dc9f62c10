"""The processes that work on the ledger's jobs, and their heartbeats."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import ColumnElement, delete, func, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.storage.database import TAKEOVER
from openbulk.storage.tables import workers


class Workers:
    """Remembers the workers of a PostgreSQL ledger.

    All times are the database's: no machine's clock decides which worker is dead.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def register(self, id: str) -> float:
        """Register a worker; return the database's time."""
        async with self._engine.begin() as connection:
            now: float | None = await connection.scalar(
                insert(workers).values(id=id, heartbeat_at=_now()).returning(workers.c.heartbeat_at)
            )
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

    async def deregister(self, id: str) -> None:
        """Remove a worker that ends: its slices may be taken over at once."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(workers).where(workers.c.id == id))

    @asynccontextmanager
    async def reap_dead(self, after: float) -> AsyncIterator[frozenset[str] | None]:
        """Remove workers without a heartbeat for `after` seconds; the block gets the living.

        It gets None if another process is doing the same. A worker that wakes meanwhile waits for
        the end of the block before it learns that it was considered dead.
        """
        async with self._engine.begin() as connection:
            # One process at a time looks for the dead; the others try again a second later.
            if not await connection.scalar(select(func.pg_try_advisory_xact_lock(TAKEOVER))):
                yield None
                return
            await connection.execute(delete(workers).where(workers.c.heartbeat_at < _now() - after))
            yield frozenset((await connection.scalars(select(workers.c.id))).all())


def _now() -> ColumnElement[float]:
    # now() is the beginning of the transaction, which may have waited for a lock since.
    return literal_column("extract(epoch FROM clock_timestamp())::float8")
