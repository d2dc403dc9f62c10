"""Opening the databases, and bringing the ledger's tables up to date."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import errors
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    ExceptionContext,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from openbulk.domain.errors import DiskFull, Unavailable
from openbulk.storage.outage import outage

_BUSY_TIMEOUT_MS = 30_000
_POSTGRESQL = {"postgresql", "postgres"}
_POOL_SIZE = 10
_POOL_MOST = 40
"""Connections to PostgreSQL that a process keeps, and the most that it opens for its ledger."""
LANE_POOL_SIZE = 10
_CONNECT_PAUSE_SECONDS = 0.5
_IDLE_IN_TRANSACTION_MS = 3_000
"""A process that is frozen in the middle of a transaction holds its locks no longer than this."""
MIGRATIONS = 0x6F62756C6B01
FIRST_START = 0x6F62756C6B02
TAKEOVER = 0x6F62756C6B03
MARKING = 0x6F62756C6B04
SEALING = 0x6F62756C6B05
"""What one process does at a time: the keys of PostgreSQL's advisory locks, "obulk" and a number."""
_AWAY = frozenset(
    {
        errors.AdminShutdown.sqlstate,
        errors.CrashShutdown.sqlstate,
        errors.CannotConnectNow.sqlstate,
        errors.TooManyConnections.sqlstate,
        errors.IdleInTransactionSessionTimeout.sqlstate,
        errors.ReadOnlySqlTransaction.sqlstate,  # a standby that is about to take over
    }
)
_SQLITE_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""The second where a file beside the database cannot grow (https://sqlite.org/rescode.html#ioerr_shmsize)."""
AWAY = "openbulk's database does not answer at the moment; nothing is lost, try again in a moment"


def is_shared(url: str) -> bool:
    """Whether processes on several machines may share the database at this address."""
    return make_url(url).get_backend_name() in _POSTGRESQL


def open_ledger_engine(url: str) -> AsyncEngine:
    """The engine that the ledger speaks through. Raises ValueError for any database but SQLite and PostgreSQL.

    On SQLite its transactions begin IMMEDIATE: one that reads first and writes later could otherwise be refused
    half-way (https://sqlite.org/lang_transaction.html). On PostgreSQL they are READ COMMITTED, and a database that is
    away raises Unavailable.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    if parsed.get_backend_name() in _POSTGRESQL:
        return _open_postgresql(parsed)
    raise ValueError("its address has to begin with sqlite:/// or postgresql://")


def _open_sqlite(url: URL) -> AsyncEngine:
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"))
    _make_sqlite_durable(engine.sync_engine)
    event.listen(engine.sync_engine, "handle_error", _full)
    event.listen(engine.sync_engine, "handle_error", _busy)

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # The event also comes where there is no transaction to begin.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _open_postgresql(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_MOST - _POOL_SIZE,
        pool_pre_ping=True,
        connect_args=_how_to_connect(url),
    )
    event.listen(engine.sync_engine, "handle_error", _away)
    event.listen(engine.sync_engine, "handle_error", _full)
    return engine


def _how_to_connect(url: URL) -> dict[str, Any]:
    """What is not said in the address: a machine that has vanished is noticed, and one that is frozen bars nobody."""
    given = " ".join(url.normalized_query.get("options", ()))
    return {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "application_name": "openbulk",
        "options": f"{given} -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}".strip(),
    }


def _away(context: ExceptionContext) -> Exception | None:
    """Call an error by what its catcher does next: a database that is away is waited for."""
    error = context.original_exception
    # A ping that fails has the pool open another connection; and a task that is cancelled loses its connection, too.
    if context.is_pre_ping or not isinstance(error, psycopg.Error):
        return None
    cannot_connect = context.connection is None and isinstance(error, psycopg.OperationalError)
    if context.is_disconnect or cannot_connect or error.sqlstate in _AWAY:
        return Unavailable(AWAY)
    return None


def _full(context: ExceptionContext) -> Exception | None:
    """The same where there is no room for a change; nothing of its transaction remains."""
    error = context.original_exception
    if (
        isinstance(error, errors.DiskFull)
        or getattr(error, "sqlite_errorcode", None) in _SQLITE_FULL
    ):
        return DiskFull("what it has to remember")
    return None


def _busy(context: ExceptionContext) -> Exception | None:
    """The same where another program has held a SQLite file for longer than we wait for it."""
    if getattr(context.original_exception, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return Unavailable(AWAY)
    return None


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for single reads: they begin no transaction, and wait for no writer."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def open_lane_engine(path: Path) -> Engine:
    """The engine that the lanes (DBOS) keep their own tables through: a synchronous one, which begins by itself."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"isolation_level": "IMMEDIATE"})
    _make_sqlite_durable(engine)
    event.listen(engine, "handle_error", _full)
    return engine


def open_shared_lane_engine(url: str) -> Engine:
    """The same on PostgreSQL, for the lanes that several machines share. Where its disk is full, DBOS tries again by
    itself (SQLSTATE class 53)."""
    parsed = make_url(url)
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=LANE_POOL_SIZE,
        max_overflow=LANE_POOL_SIZE,
        pool_pre_ping=True,
        connect_args=_how_to_connect(parsed),
    )


def wait_while_away(engine: Engine, waits: Callable[[], bool]) -> None:
    """Have a lane engine wait for a database that is away, as long as `waits` says so; else it raises Unavailable.

    DBOS by itself waits for ever, each time for longer and up to a minute, where a process that is told to stop cannot.
    """

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        has_waited = False
        while True:
            try:
                connection = dialect.connect(*arguments, **options)
            except psycopg.OperationalError as error:
                if not waits():
                    raise
                outage.away(error)
            else:
                if has_waited:
                    outage.back()
                return connection
            has_waited = True
            time.sleep(_CONNECT_PAUSE_SECONDS)

    @event.listens_for(engine, "handle_error")
    def away(context: ExceptionContext) -> Exception | None:
        return None if waits() else _away(context) or _full(context)


async def migrate(engine: AsyncEngine) -> None:
    """Bring the tables up to date. Only ever goes forward; of several processes, one does it and the others wait."""
    async with engine.begin() as connection:
        await idle_at_will(connection)
        await keep_others_out(connection, MIGRATIONS)
        await connection.run_sync(_upgrade)


async def idle_at_will(connection: AsyncConnection) -> None:
    """Let this transaction take longer than others between its statements."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


async def keep_others_out(connection: AsyncConnection, lock: int) -> None:
    """Let no other process hold the same lock until this transaction ends. On SQLite every transaction does that."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(lock)))


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
