"""Opens the database that an instance's configuration names."""

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from openbulk import sqlite_connections
from openbulk.connectors.sql.postgresql_types import use_exact_types
from openbulk.connectors.sql.tls import Tls
from openbulk.domain.errors import BadInput

CONNECTIONS = 5
"""Per instance: its concurrent writes, and one for reading."""
RECONNECT_SECONDS = 600
"""A connection older than this is replaced: the host may have another address by now."""
CONNECT_SECONDS = 10
BUSY_SECONDS = 30
"""SQLite has one writer at a time. A write waits this long for its turn."""
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_:-]{1,63}(?:\.[A-Za-z0-9_:-]{1,63})*\.?")
"""No path: libpq would read it as the folder of a Unix socket, which has no address to check.

Labels have from 1 to 63 characters, and a dot may end the name (RFC 1035, section 2.3.4)."""
_PORT = re.compile(r"\d{1,5}", re.ASCII)
AUTH_METHODS = ("scram-sha-256", "md5", "password", "none")
# A lock of another session, or a trigger that hangs, must not hold a lane forever.
_SESSION = (
    "-c timezone=UTC -c lock_timeout=10s -c statement_timeout=60s -c datestyle=ISO "
    # Whatever the database's default is: before a batch is logged, one look has to see what another
    # process has committed since the transaction began.
    "-c default_transaction_isolation=read\\ committed"
)

Resolve = Callable[[str, int], Awaitable[str]]
"""Returns an allowed address of a host. Raises AddressNotAllowed, or another OSError."""


def server_of(configuration: Mapping[str, str], own_port: str, product: str) -> tuple[str, int]:
    """Host and port of the server that a configuration names. Raises BadInput."""
    missing = [name for name in ("db.host", "db.name", "username") if not configuration.get(name)]
    if missing:
        raise BadInput(f"the configuration lacks {', '.join(missing)}")
    host, port = configuration["db.host"], configuration.get("db.port") or own_port
    if not _HOST.fullmatch(host):
        raise BadInput(f"db.host {host[:60]!r} is not the name of a host; one is db.example.com")
    if not _PORT.fullmatch(port) or int(port) not in range(1, 65536):
        raise BadInput(f"db.port {port[:20]!r} is not a port; {product}'s own is {own_port}")
    return host, int(port)


def open_postgresql(configuration: Mapping[str, str], resolve: Resolve) -> AsyncEngine:
    """An engine that connects when it is used, to an address that `resolve` allows.

    Raises BadInput for a configuration that names no server.
    """
    host, port = server_of(configuration, "5432", "PostgreSQL")
    tls = Tls.of(configuration)
    password = configuration.get("password") or None
    # Libpq would send the password to a host that asks for it in clear, or as an MD5 hash, which is
    # as good as the password. With SCRAM the host learns nothing, and proves that it knows it, too.
    auth = configuration.get("db.auth.method", "").lower() or (password and "scram-sha-256")
    if auth == "password" and tls.may_be_open:
        raise BadInput(
            "db.auth.method is password, which sends the password to the server: set db.ssl.mode "
            "to verify-full, verify-ca or require"
        )

    # `hostaddr` connects to the address that was checked, whatever DNS answers a moment later;
    # `host` is still the name that the server's certificate is for (libpq, section 34.1.2).
    async def connect(*_args: Any, **_more: Any) -> Any:
        address = await resolve(host, port)
        with tls.parameters(address) as parameters:
            connection = await psycopg.AsyncConnection.connect(
                host=host,
                hostaddr=address,
                port=str(port),
                dbname=configuration["db.name"],
                user=configuration["username"],
                password=password,
                require_auth=auth,
                # The password is the instance's alone, never one of the server's own user
                # (~/.pgpass).
                passfile="/dev/null",
                connect_timeout=CONNECT_SECONDS,
                options=_SESSION,
                application_name="openbulk",
                # A plan that is kept is made while a table is small, and then reads it from end to
                # end for each batch, however large it grows.
                prepare_threshold=None,
                **parameters,
            )
        await use_exact_types(connection)
        return connection

    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_recycle=RECONNECT_SECONDS,
        # An idle connection may have been cut: find out before a batch is sent on it.
        pool_pre_ping=True,
    )


def _file_in(folder: Path, name: str) -> Path | None:
    """The file with this name; None if the folder has none."""
    try:
        # `resolve` follows symbolic links and `..`, so that neither leads out of the folder.
        file = (folder / name).resolve()
        is_file = file.is_relative_to(folder.resolve()) and file.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        return None
    return file if is_file else None


def open_sqlite(configuration: Mapping[str, str], folder: Path | None) -> AsyncEngine:
    """An engine for an existing file in the folder for SQLite files. Raises BadInput."""
    if folder is None:
        raise BadInput(
            "SQLite files cannot be opened: set OPENBULK_SQLITE_FOLDER to the folder of these files"
        )
    name = configuration.get("db.file", "")
    if not name:
        raise BadInput("db.file is missing; name a file in the folder of OPENBULK_SQLITE_FOLDER")
    file = _file_in(folder, name)
    if file is None:
        raise BadInput(
            f"db.file: there is no file {name[:60]!r} in the folder of OPENBULK_SQLITE_FOLDER"
        )
    url = f"sqlite+aiosqlite:///file:{quote(str(file))}?mode=rw&uri=true"
    options = {"timeout": BUSY_SECONDS, "async_creator_fn": sqlite_connections.connect}
    engine = create_async_engine(url, connect_args=options)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        # Off by default (https://sqlite.org/foreignkeys.html#fk_enable).
        cursor.execute("PRAGMA foreign_keys=ON")
        # Like PostgreSQL's LIKE, and openbulk's own.
        cursor.execute("PRAGMA case_sensitive_like=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # SQLite can refuse a transaction half-way if it reads first and writes later; IMMEDIATE
        # waits at the beginning instead (https://sqlite.org/lang_transaction.html).
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
