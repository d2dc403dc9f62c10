"""The embedded stores: a folder and a SQLite file."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from obstore.store import LocalStore, MemoryStore, ObjectStore
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.security import Sealer
from openbulk.storage.accounts import Accounts
from openbulk.storage.database import migrate, open_ledger_engine
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.files import BLOCK_BYTES, FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.tables import metadata
from openbulk.testing.stores import FileStoreTests, LedgerTests


class TestFilesOnDisk(FileStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path)

    async def test_what_a_killed_write_left_beside_the_blocks_goes_with_the_file(
        self, files: FileStore, tmp_path: Path
    ) -> None:
        await self.written(files, os.urandom(BLOCK_BYTES))
        (tmp_path / "f00d" / "blocks" / "00000001#1").write_bytes(b"half")
        await files.delete("f00d")
        assert list(tmp_path.iterdir()) == []


class TestFilesInAnObjectStore(FileStoreTests):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    opened = open_ledger_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    await migrate(opened)
    yield opened
    await opened.dispose()


class TestLedgerOnSqlite(LedgerTests):
    @pytest.fixture
    async def ledger(self, engine: AsyncEngine) -> AsyncIterator[Ledger]:
        await Accounts(engine, Sealer([bytes(32)])).add_organization("o", "ann@example.com", "u")
        yield Ledger(engine)

    @pytest.fixture
    async def deliveries(self, engine: AsyncEngine) -> Deliveries:
        return Deliveries(engine)


async def test_the_migrations_make_the_tables_that_the_code_sees(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_again_changes_nothing(engine: AsyncEngine) -> None:
    await migrate(engine)


async def test_every_commit_reaches_the_disk(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        settings = {
            name: await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_an_address_of_another_kind_of_database_is_refused() -> None:
    with pytest.raises(ValueError, match="has to begin with sqlite:///"):
        open_ledger_engine("postgresql://localhost/openbulk")
