"""The database and its tables."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import Unavailable
from openbulk.storage import database as database_module
from openbulk.storage.database import migrate, open_ledger_engine, open_shared_lane_engine
from openbulk.storage.known_secrets import KnownSecrets
from openbulk.storage.ledger import Ledger
from openbulk.storage.people import People
from openbulk.storage.tables import metadata
from support.people import add_organization


async def test_the_migrations_make_the_tables_that_the_code_sees(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    opened = open_ledger_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    await migrate(opened)
    yield opened
    await opened.dispose()


async def test_the_migrations_make_them_to_the_letter(sqlite: AsyncEngine, tmp_path: Path) -> None:
    """Also defaults, partial indexes and tables without row ids, which Alembic does not compare."""
    declared = open_ledger_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    async with declared.begin() as connection:
        await connection.run_sync(metadata.create_all)
    try:
        assert await statements(sqlite) == await statements(declared)
    finally:
        await declared.dispose()


async def statements(engine: AsyncEngine) -> dict[str, list[str]]:
    """The columns and constraints of each table and index, in order."""
    query = (
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
    )
    async with engine.connect() as connection:
        # SQLite writes quotes around the name of a table that a migration has renamed.
        found = await connection.execute(text(query))
        return {row.name: sorted(parts(row.sql.replace('"', ""))) for row in found}


def parts(statement: str) -> list[str]:
    """The parts of a statement between its commas, but for commas in a column's own parentheses."""
    found, depth = [""], 0
    for character in statement:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if (
            (character == "(" and depth == 1)
            or (character == "," and depth == 1)
            or (character == ")" and not depth)
        ):
            found.append("")
        else:
            found[-1] += character
    return [" ".join(part.split()) for part in found]


async def test_migrating_again_changes_nothing(sqlite: AsyncEngine) -> None:
    before = await statements(sqlite)
    await migrate(sqlite)
    assert await statements(sqlite) == before


async def test_processes_that_start_at_once_on_an_empty_database_all_come_up(database: str) -> None:
    """One makes the tables and the first user. A SQLite file has one process."""
    engines = [open_ledger_engine(database) for _ in range(4)]
    try:
        await asyncio.gather(*(migrate(engine) for engine in engines))
        people = [People(engine) for engine in engines]
        made = await asyncio.gather(
            *(
                one.add_first_organization(f"o{n}", "ann@example.com", f"u{n}")
                for n, one in enumerate(people)
            )
        )
        assert sum(made) == 1
        first = made.index(True)
        secrets = KnownSecrets(engines[0])
        assert await secrets.identify(f"u{first}", f"o{first}", None) is not None
    finally:
        for engine in engines:
            await engine.dispose()


async def test_every_commit_reaches_the_disk(sqlite: AsyncEngine) -> None:
    async with sqlite.connect() as connection:
        settings = {
            name: await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


async def test_a_file_that_another_program_locks_for_too_long_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like a database server that does not answer: slices wait for it, and none fails."""
    monkeypatch.setattr(database_module, "_BUSY_TIMEOUT_MS", 50)
    opened = open_ledger_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    await migrate(opened)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await Ledger(opened).wake(1, datetime.now(UTC))
    assert await Ledger(opened).wake(1, datetime.now(UTC)) is None
    await opened.dispose()


async def test_who_reads_waits_for_no_writer(engine: AsyncEngine) -> None:
    secrets = KnownSecrets(engine)
    await add_organization(engine)
    # Its last use is written now, and not while the other one writes.
    await secrets.identify("u", "o", None)
    async with engine.begin() as writing, asyncio.timeout(20):
        await writing.execute(text("UPDATE users SET email = 'bob@example.com'"))
        assert [job async for job in Ledger(engine).active_jobs()] == []
        caller = await secrets.identify("u", "o", None)
    assert caller is not None
    assert caller.user.email == "ann@example.com", "what is not committed is not seen"


async def test_writers_queue_instead_of_failing(engine: AsyncEngine) -> None:
    async def add(number: int) -> None:
        await add_organization(engine, f"o{number}", f"{number}@example.com", f"u{number}")

    await asyncio.gather(*(add(number) for number in range(12)))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM users")) == 12


async def number_of_pings(database: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a connection that was used a moment ago is pinged before its next use."""
    opened = open_ledger_engine(database)
    dialect = opened.sync_engine.dialect
    pings = []
    ping = dialect.do_ping

    def note_ping(connection: Any) -> bool:
        pings.append(connection)
        return ping(connection)

    monkeypatch.setattr(dialect, "do_ping", note_ping)
    for _ in range(3):
        async with opened.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
    await opened.dispose()
    return len(pings)


async def test_a_connection_in_use_is_not_pinged(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping is a transaction: it would double those of a small job."""
    monkeypatch.setattr(database_module, "_PING_AFTER_SECONDS", 3_600.0)
    assert await number_of_pings(database, monkeypatch) == 0


async def test_a_connection_that_has_been_idle_is_pinged(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_PING_AFTER_SECONDS", 0.0)
    assert await number_of_pings(database, monkeypatch) == 3


def end_connections(database: str) -> None:
    """End all other connections to a database, as its restart does, and wait until they are."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(database, autocommit=True) as administrator:
        administrator.execute(f"SELECT pg_terminate_backend(pid) {others}".encode())
        while administrator.execute(f"SELECT 1 {others}".encode()).fetchone():
            time.sleep(0.01)


async def test_nobody_notices_a_restart_between_two_uses_of_a_connection(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_PING_AFTER_SECONDS", 3_600.0)
    ledger, lanes = open_ledger_engine(database), open_shared_lane_engine(database)
    for _ in range(2):
        async with ledger.connect() as one, ledger.connect() as another:
            assert await one.scalar(text("SELECT 1")) == 1
            assert await another.scalar(text("SELECT 1")) == 1
        with lanes.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        await asyncio.to_thread(end_connections, database)
    await ledger.dispose()
    lanes.dispose()


def test_an_address_of_another_kind_of_database_is_refused() -> None:
    with pytest.raises(ValueError, match="has to begin with sqlite:/// or postgresql://"):
        open_ledger_engine("mysql://localhost/openbulk")


def test_a_process_ends_while_cancelled_queries_close_their_connections(tmp_path: Path) -> None:
    """Their tasks are cancelled, and then the event loop ends: closing is cancelled as well.

    Of six, some are cancelled in the order that would hang.
    """
    slow = text(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) "
        "SELECT count(*) FROM n"
    )

    async def query(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await connection.execute(slow)

    async def end_in_the_middle() -> None:
        opened = open_ledger_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
        engine = opened.execution_options(isolation_level="AUTOCOMMIT")
        queries = [asyncio.create_task(query(engine)) for _ in range(6)]
        await asyncio.sleep(0.1)
        for one in queries:
            one.cancel()
        await asyncio.sleep(0.02)

    process = Thread(target=asyncio.run, args=(end_in_the_middle(),), daemon=True)
    process.start()
    process.join(60)
    assert not process.is_alive()
