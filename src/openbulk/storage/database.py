"""Opens the databases, and migrates the ledger's tables."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from select import POLLIN, poll
from typing import Any

import psycopg
import structlog
from psycopg import errors
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    ExceptionContext,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from openbulk import sqlite_connections
from openbulk.bounded_json import load_json, store_json
from openbulk.domain.errors import CannotStart, DiskFull, Unavailable
from openbulk.storage.retry import outage

log = structlog.get_logger()

_BUSY_TIMEOUT_MS = 30_000
"""A writer of a SQLite file waits this long for another one."""
_POSTGRESQL = {"postgresql", "postgres"}
_MIGRATIONS = Path(__file__).parent / "migrations"
_POOL_SIZE = 10
_MAX_POOL_SIZE = 40
"""Connections to PostgreSQL that a process keeps for its ledger, and the maximum it opens."""
LANE_POOL_SIZE = 10
_PING_AFTER_SECONDS = 5.0
"""Firewalls and proxies between here and the database may forget a connection that is idle."""
_CONNECT_PAUSE_SECONDS = 0.5
_IDLE_IN_TRANSACTION_MS = 3_000
"""A process that is frozen inside a transaction holds its locks no longer than this."""
MIGRATIONS = 0x6F62756C6B01
FIRST_START = 0x6F62756C6B02
TAKEOVER = 0x6F62756C6B03
IDENTIFYING = 0x6F62756C6B04
SEALING = 0x6F62756C6B05
DELETING = 0x6F62756C6B06
"""PostgreSQL's advisory locks for work of one process at a time: "obulk" and a number."""
_JSON: Mapping[str, Any] = {"json_serializer": store_json, "json_deserializer": load_json}
"""A row that cannot be shown again is mended before it is committed, and when it is read."""
_UNAVAILABLE = frozenset(
    {
        errors.AdminShutdown.sqlstate,
        errors.CrashShutdown.sqlstate,
        errors.CannotConnectNow.sqlstate,
        errors.TooManyConnections.sqlstate,
        errors.IdleInTransactionSessionTimeout.sqlstate,
        errors.ReadOnlySqlTransaction.sqlstate,  # a standby that is about to take over
    }
)
_INCREMENTAL = 2
_PAGES_AT_ONCE = 1_000
"""SQLite's mode in which a file becomes smaller on demand, and the pages of one step."""
_SQLITE_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""The second is for a file beside the database (https://sqlite.org/rescode.html#ioerr_shmsize)."""
DATABASE_UNAVAILABLE = (
    "openbulk's database does not answer at the moment; nothing is lost: try again in a moment"
)


def is_shared(url: str) -> bool:
    """Whether processes on several machines may share the database at this address."""
    return make_url(url).get_backend_name() in _POSTGRESQL


def open_ledger_engine(url: str) -> AsyncEngine:
    """The engine of the ledger. Raises ValueError for any database but SQLite and PostgreSQL.

    On SQLite its transactions begin IMMEDIATE: one that reads first and writes later could
    otherwise be refused half-way (https://sqlite.org/lang_transaction.html). On PostgreSQL they are
    READ COMMITTED. An unavailable database raises Unavailable, a full disk raises DiskFull.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    if parsed.get_backend_name() in _POSTGRESQL:
        return _open_postgresql(parsed)
    raise ValueError("its address has to begin with sqlite:/// or postgresql://")


def _open_sqlite(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        connect_args={"async_creator_fn": sqlite_connections.connect},
        **_JSON,
    )
    _make_sqlite_durable(engine.sync_engine)
    event.listen(engine.sync_engine, "handle_error", _translate_full)
    event.listen(engine.sync_engine, "handle_error", _translate_busy)

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # The event also fires if there is no transaction to begin.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _open_postgresql(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=_POOL_SIZE,
        max_overflow=_MAX_POOL_SIZE - _POOL_SIZE,
        connect_args=_connect_arguments(url),
        **_JSON,
    )
    _replace_dead_connections(engine.sync_engine)
    event.listen(engine.sync_engine, "handle_error", _translate_unavailable)
    event.listen(engine.sync_engine, "handle_error", _translate_full)
    return engine


def _connect_arguments(url: URL) -> dict[str, Any]:
    """Connection parameters in addition to those in the URL.

    They detect that a database machine has vanished, and keep a frozen process from blocking
    others.
    """
    given = " ".join(url.normalized_query.get("options", ()))
    options = f"{given} -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}"
    return {
        "connect_timeout": 5,
        # libpq's own values notice a machine that has vanished after two hours
        # (https://www.postgresql.org/docs/current/libpq-connect.html).
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "application_name": "openbulk",
        "options": options.strip(),
    }


def connection_parameters(url: URL) -> dict[str, Any]:
    """The parameters of a connection to PostgreSQL beside the engine's own."""
    dialect = url.set(drivername="postgresql+psycopg").get_dialect()()
    _, parameters = dialect.create_connect_args(url)
    return {**parameters, **_connect_arguments(url)}


def _translate_unavailable(context: ExceptionContext) -> Exception | None:
    """Translate the errors of an unavailable PostgreSQL."""
    error = context.original_exception
    # A cancelled task loses its connection, too, but not with a psycopg.Error.
    if not isinstance(error, psycopg.Error):
        return None
    cannot_connect = context.connection is None and isinstance(error, psycopg.OperationalError)
    if context.is_disconnect or cannot_connect or error.sqlstate in _UNAVAILABLE:
        return Unavailable(DATABASE_UNAVAILABLE)
    return None


def _translate_full(context: ExceptionContext) -> Exception | None:
    """Translate the errors of a full disk. Nothing of the transaction remains."""
    error = context.original_exception
    is_sqlite_full = getattr(error, "sqlite_errorcode", None) in _SQLITE_FULL
    if is_sqlite_full or isinstance(error, errors.DiskFull):
        return DiskFull("the database")
    return None


def _translate_busy(context: ExceptionContext) -> Exception | None:
    """Translate the error of a SQLite file that another program has locked for too long."""
    if getattr(context.original_exception, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return Unavailable(DATABASE_UNAVAILABLE)
    return None


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """A view of an engine for single reads: they begin no transaction, and wait for no writer."""
    # On SQLite a transaction begins IMMEDIATE, and would keep writers waiting.
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def open_lane_engine(path: Path) -> Engine:
    """The synchronous engine of the lanes: DBOS keeps its own tables in a SQLite file."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"isolation_level": "IMMEDIATE"})
    _make_sqlite_durable(engine)
    event.listen(engine, "handle_error", _translate_full)
    return engine


def open_shared_lane_engine(url: str) -> Engine:
    """The synchronous engine of lanes that several machines share, on PostgreSQL."""
    # A full disk is not translated: DBOS tries again by itself (SQLSTATE class 53).
    parsed = make_url(url)
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=LANE_POOL_SIZE,
        max_overflow=LANE_POOL_SIZE,
        connect_args=_connect_arguments(parsed),
    )
    _replace_dead_connections(engine)
    return engine


def _replace_dead_connections(engine: Engine) -> None:
    """Replace connections that have died with the server since their last use.

    One that was used a moment ago, and from which there is nothing to read, is taken as alive: a
    ping before each use would be a transaction for each (SQLAlchemy's `pool_pre_ping`).
    """

    @event.listens_for(engine, "checkin")
    def note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def check(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        # One that is new has no entry.
        idle_since = record.info.get("idle_since", time.monotonic())
        if time.monotonic() - idle_since < _PING_AFTER_SECONDS and _is_silent(record):
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error


def _is_silent(record: ConnectionPoolEntry) -> bool:
    """Whether the server has sent nothing on an idle connection: neither words nor its end."""
    connection: Any = record.driver_connection
    if connection.closed:
        return False
    watch = poll()
    watch.register(connection.fileno(), POLLIN)
    return not watch.poll(0)


def wait_while_unavailable(engine: Engine, waits: Callable[[], bool]) -> None:
    """Let a lane engine wait for an unavailable database while `waits()`, then raise Unavailable.

    DBOS itself waits forever, with pauses of up to a minute: a process that stops cannot.
    """

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        return _connect(partial(dialect.connect, *arguments, **options), waits)

    @event.listens_for(engine, "handle_error")
    def translate(context: ExceptionContext) -> Exception | None:
        if waits():
            return None
        return _translate_unavailable(context) or _translate_full(context)


def _connect(connect: Callable[[], Any], waits: Callable[[], bool]) -> Any:
    has_waited = False
    while True:
        try:
            connection = connect()
        except psycopg.OperationalError as error:
            if not waits():
                raise
            outage.report_failure(error)
        else:
            if has_waited:
                outage.report_success()
            return connection
        has_waited = True
        time.sleep(_CONNECT_PAUSE_SECONDS)


async def migrate(engine: AsyncEngine) -> None:
    """Migrate the tables to this version, never back. Several processes take turns."""
    async with engine.begin() as connection:
        await allow_idle(connection)
        await keep_others_out(connection, MIGRATIONS)
        if await connection.run_sync(_version) != _newest_version():
            await connection.run_sync(_upgrade)
    if engine.dialect.name == "sqlite":
        await _make_shrinkable(for_reading(engine))


async def require_current(engine: AsyncEngine) -> None:
    """Raise CannotStart unless the ledger exists and its tables are those of this version."""
    place = engine.url.render_as_string(hide_password=True)
    version = None
    # To open a SQLite file that is missing would make it.
    if _exists(engine):
        async with for_reading(engine).connect() as connection:
            version = await connection.run_sync(_version)
    if version is None:
        raise CannotStart(
            f"there is no ledger at {place}; start 'openbulk serve' once, or name another one with "
            "--data-dir or --database-url"
        )
    if version != _newest_version():
        raise CannotStart(
            f"the tables of the ledger have version {version}, and this openbulk needs "
            f"{_newest_version()}; start 'openbulk serve' of this version once"
        )


def _exists(engine: AsyncEngine) -> bool:
    """Whether there is a database to connect to, as far as that is known before."""
    file = engine.url.database
    return engine.dialect.name != "sqlite" or (file is not None and Path(file).exists())


async def _make_shrinkable(engine: AsyncEngine) -> None:
    """Let a SQLite file of an earlier version give space back.

    That writes it once more (https://sqlite.org/pragma.html#pragma_auto_vacuum).
    """
    async with engine.connect() as connection:
        if (await connection.exec_driver_sql("PRAGMA auto_vacuum")).scalar_one() == _INCREMENTAL:
            return
        try:
            await connection.exec_driver_sql(f"PRAGMA auto_vacuum={_INCREMENTAL}")
            await connection.exec_driver_sql("VACUUM")
        except DiskFull:
            log.warning("the ledger cannot be made smaller: the disk has no room to write it anew")


async def give_space_back(engine: AsyncEngine) -> None:
    """Make a SQLite file smaller, if more than a quarter of it is free.

    PostgreSQL does that by itself.
    """
    if engine.dialect.name != "sqlite":
        return
    async with engine.connect() as connection:

        async def ask(question: str) -> int:
            answer = await connection.exec_driver_sql(f"PRAGMA {question}")
            return int(answer.scalar_one())

        if await ask("freelist_count") * 4 < await ask("page_count"):
            return
        while await ask("freelist_count"):
            step = f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})"
            (await connection.exec_driver_sql(step)).close()


async def allow_idle(connection: AsyncConnection) -> None:
    """Let this transaction idle longer than others between its statements."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


async def keep_others_out(connection: AsyncConnection, lock: int) -> None:
    """Hold a lock among all processes until this transaction ends."""
    # On SQLite every transaction keeps all others out.
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(lock)))


def _version(connection: Connection) -> str | None:
    """The version of the tables; None before the first start."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _newest_version() -> str:
    """The version of the newest migration: the beginning of its file's name."""
    return max(path.name for path in _MIGRATIONS.glob("versions/0*.py")).partition("_")[0]


def _upgrade(connection: Connection) -> None:
    """Raises CannotStart if the tables are those of a newer version."""
    # Alembic takes long to load, and nearly every start finds its tables up to date.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        # Alembic's error for a revision that it does not know.
        raise CannotStart(
            "the ledger was written by a newer version of openbulk; start that version "
            f"({str(error).rstrip('.')})"
        ) from error


def _make_sqlite_durable(engine: Engine) -> None:
    """Let every commit reach the disk (WAL, synchronous=FULL), and writers wait for each other."""

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA page_count")
        if cursor.fetchone() == (0,):
            # Later it has no effect, and would wait for a writer.
            cursor.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
        # Readers and the writer do not wait for each other (https://sqlite.org/wal.html).
        cursor.execute("PRAGMA journal_mode=WAL")
        # In WAL mode, NORMAL may lose the last commits at a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()
