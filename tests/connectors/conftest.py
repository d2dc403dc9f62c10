"""Sandboxes in the test's own event loop, sessions that may call loopback, and databases."""

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.connectors.sql import MysqlProvider, PostgresqlProvider, SqliteProvider
from openbulk.notify.egress import guarded_connector
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from openbulk.sandbox import google
from support import Serve, forget
from support.google_sandbox import configuration, violations
from support.mariadb import Mariadb
from support.postgres import Postgres
from support.sql_databases import Database, Open, resolve


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = guarded_connector(allowed=LOOPBACK_AND_PRIVATE, limit=100)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(app: web.Application) -> str:
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}"

        yield start


@pytest.fixture
async def url(serve: Serve, http: aiohttp.ClientSession) -> AsyncIterator[str]:
    """Google's sandbox. Every call has to be one that Google's description of its API allows."""
    address = await serve(google.make_app(google.Options()))
    yield address
    assert await violations(http, address) == []


@pytest.fixture
async def connector(http: aiohttp.ClientSession, url: str) -> Connector:
    """A connector to Google's sandbox."""
    return GoogleCalendarProvider().connect(
        ConnectionContext(await configuration(http, url), http, forget)
    )


@pytest.fixture
async def postgresql(postgres: Postgres) -> AsyncIterator[Open]:
    """Makes a database of PostgreSQL from statements."""
    made: list[Connector] = []

    async def open_database(*statements: str, **configuration: str) -> Database:
        name = postgres.new_database(*statements)
        if "password" in configuration:
            role, password = configuration["username"], configuration["password"]
            with postgres.connect() as connection:
                connection.execute(f"ALTER ROLE {role} PASSWORD '{password}'".encode())
        context = ConnectionContext(postgres.configuration(name, **configuration), None, forget)  # type: ignore[arg-type]
        made.append(PostgresqlProvider(resolve).connect(context))

        def execute(sql: str) -> list[tuple[Any, ...]]:
            with postgres.connect(name) as connection:
                cursor = connection.execute(sql.encode())
                return cursor.fetchall() if cursor.description else []

        return Database(made[-1], execute)

    yield open_database
    for connector in made:
        await connector.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Open]:
    """Makes a database of SQLite from statements."""
    made: list[Connector] = []

    async def open_database(*statements: str) -> Database:
        def execute(sql: str) -> list[tuple[Any, ...]]:
            connection = sqlite3.connect(tmp_path / "rows.db")
            try:
                with connection:
                    return connection.execute(sql).fetchall()
            finally:
                connection.close()

        for statement in statements:
            execute(statement)
        context = ConnectionContext({"db.file": "rows.db"}, None, forget)  # type: ignore[arg-type]
        made.append(SqliteProvider(tmp_path).connect(context))
        return Database(made[-1], execute)

    yield open_database
    for connector in made:
        await connector.close()


@pytest.fixture
async def mysql(mariadb: Mariadb) -> AsyncIterator[Open]:
    """Makes a database of MariaDB from statements."""
    made: list[Connector] = []

    async def open_database(*statements: str) -> Database:
        name = mariadb.new_database()

        def execute(sql: str) -> list[tuple[Any, ...]]:
            # A text has a length there, and a reference its columns.
            sql = re.sub(r"\btext\b", "varchar(200)", sql)
            sql = re.sub(r"REFERENCES t\b(?! \()", "REFERENCES t (id)", sql)
            names = "SET sql_mode = 'ANSI_QUOTES'"  # as the standard has it
            return [tuple(row) for row in mariadb.execute(name, names, sql)]

        for statement in statements:
            execute(statement)
        context = ConnectionContext(mariadb.configuration(name), None, forget)  # type: ignore[arg-type]
        made.append(MysqlProvider(resolve).connect(context))
        return Database(made[-1], execute)

    yield open_database
    for connector in made:
        await connector.close()


@pytest.fixture(params=["postgresql", "sqlite", "mysql"])
def either(request: pytest.FixtureRequest) -> Any:
    """Any of the databases."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["postgresql", "sqlite"])
def either_with_rings(request: pytest.FixtureRequest) -> Any:
    """A database that takes rows which refer to one another in a ring."""
    return request.getfixturevalue(request.param)
