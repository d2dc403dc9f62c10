"""Opening the databases, and bringing the ledger's tables up to date."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_BUSY_TIMEOUT_MS = 30_000


def open_ledger_engine(url: str) -> AsyncEngine:
    """The engine that the ledger speaks through. Raises ValueError for any other database than SQLite.

    Its transactions begin IMMEDIATE: one that reads first and writes later could otherwise be refused half-way
    (https://sqlite.org/lang_transaction.html).
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        raise ValueError("its address has to begin with sqlite:///; other databases are not supported yet")
    engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"))
    _make_sqlite_durable(engine.sync_engine)

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # The event also comes where there is no transaction to begin.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for single reads: they begin no transaction, and wait for no writer."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def open_lane_engine(path: Path) -> Engine:
    """The engine that the lanes (DBOS) keep their own tables through: a synchronous one, which begins by itself."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"isolation_level": "IMMEDIATE"})
    _make_sqlite_durable(engine)
    return engine


async def migrate(engine: AsyncEngine) -> None:
    """Bring the tables up to date. Only ever goes forward."""
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _make_sqlite_durable(engine: Engine) -> None:
    """Every commit reaches the disk (WAL, synchronous=FULL), and writers queue instead of failing."""

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()
