"""Promises about what a process learns of what lies ahead, on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.storage import outlook as outlook_module
from openbulk.storage.database import migrate, open_ledger_engine
from openbulk.storage.notices import LOOKED, WORK, notify
from openbulk.storage.outlook import Outlook, SharedOutlooks
from openbulk.storage.workers import Workers

OF_QUEUES = (
    "SELECT 'queue', 'lanes', CAST(NULL AS bigint) "
    "UNION ALL SELECT 'delayed', CAST(NULL AS text), 1500"
)
ANSWER_SECONDS = 60.0


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    opened = open_ledger_engine(database)
    await migrate(opened)
    yield opened
    await opened.dispose()


@asynccontextmanager
async def following(
    engine: AsyncEngine,
) -> AsyncIterator[tuple["asyncio.Queue[Outlook]", "asyncio.Queue[str]"]]:
    """What a process sees and hears."""
    seen: asyncio.Queue[Outlook] = asyncio.Queue()
    heard: asyncio.Queue[str] = asyncio.Queue()
    source = SharedOutlooks(engine, "this one", OF_QUEUES)

    def hear(kind: str) -> bool:
        heard.put_nowait(kind)
        return kind == WORK

    task = asyncio.create_task(source.follow(seen.put_nowait, hear))
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield seen, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def no_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself."""
    monkeypatch.setattr(outlook_module, "LOOK_SECONDS", 3_600.0)


async def say(engine: AsyncEngine, kind: str, sender: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(notify(kind, sender))


async def test_work_that_another_process_adds_is_seen_at_once(
    engine: AsyncEngine, no_net: None
) -> None:
    async with following(engine) as (seen, heard):
        first = await seen.get()
        assert (first.queues, first.delayed_until) == (frozenset({"lanes"}), 1.5)
        assert (first.schedule_due, first.has_workers) == (None, False)
        await Workers(engine).register("another one")
        assert await heard.get() == "registered"
        await say(engine, WORK, "another one")
        assert await heard.get() == WORK
        assert (await seen.get()).has_workers


async def test_a_process_does_not_hear_itself(engine: AsyncEngine, no_net: None) -> None:
    async with following(engine) as (seen, heard):
        await seen.get()
        await say(engine, WORK, "this one")
        await say(engine, LOOKED, "another one")
        assert await heard.get() == LOOKED
        assert seen.empty()


async def test_a_connection_that_is_lost_is_made_again_and_nothing_is_missed(
    engine: AsyncEngine, database: str, no_net: None
) -> None:
    async with following(engine) as (seen, heard):
        await seen.get()
        with psycopg.connect(database, autocommit=True) as administrator:
            administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'openbulk this one'"
            )
        await seen.get()
        await say(engine, LOOKED, "another one")
        assert await heard.get() == LOOKED


async def test_without_any_notice_a_process_looks_by_itself(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notice may be lost; a pooler in transaction mode passes on none."""
    monkeypatch.setattr(outlook_module, "LOOK_SECONDS", 0.01)
    async with following(engine) as (seen, _):
        for _ in range(3):
            await seen.get()
