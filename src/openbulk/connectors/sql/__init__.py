"""Databases: the tables of a PostgreSQL or SQLite database are objects, and their rows are records."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.connectors.base import ConnectionContext, Connector, Features, OAuth, Setting
from openbulk.connectors.sql.databases import Resolve, open_postgresql, open_sqlite
from openbulk.connectors.sql.failures import failure
from openbulk.connectors.sql.reading import Reading
from openbulk.connectors.sql.schema import WRITES, Table, reflect
from openbulk.connectors.sql.writing import KEEP_NOTES_SECONDS, Writing, notes_table
from openbulk.domain.conditions import Comparison
from openbulk.domain.errors import AnswerLost, NotFound, Refused
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Outcome, Record, Target

LOOK_AGAIN_SECONDS = 30.0
"""How long what was seen of a database's tables is taken to be so."""


class Sql:
    """One database."""

    native = None

    def __init__(self, engine: AsyncEngine, schema: str | None, concurrency: int) -> None:
        self._engine = engine
        self._schema = schema
        self._concurrency = concurrency
        self._notes = notes_table(schema)
        self._has_notes = False
        self._tables: Mapping[str, Table] = {}
        self._seen_at = float("-inf")
        self._looking = asyncio.Lock()

    async def check(self) -> None:
        """Say hello."""
        async with self._connection() as connection:
            await connection.execute(sa.text("SELECT 1"))

    async def objects(self) -> Mapping[str, Features]:
        """The tables of the schema."""
        tables = await self._known()
        return {name: table.features(self._concurrency) for name, table in tables.items()}

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """The columns of a table."""
        return (await self._table(object)).schema()

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """Rows in the order that is asked for, else in that of the primary key."""
        reading = Reading(
            await self._table(query.object), query, request.size, self._engine.dialect.name
        )
        after = request.after
        while True:
            async with self._connection() as connection:
                rows = (await connection.execute(reading.statement(after))).all()
            after = reading.cursor(rows[-1]) if len(rows) == request.size else None
            yield Page([reading.record(row) for row in rows], after)
            if after is None:
                return

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The row with this primary key."""
        table = await self._table(object)
        if len(table.key) != 1:
            raise NotFound(
                f"the rows of {object!r} have no id: its primary key has {len(table.key)} columns"
            )
        query = Query(object, where=Comparison(table.key[0], "=", (id,)))
        async for page in self.read(query, PageRequest(size=1)):
            if page.records:
                return page.records[0]
        raise NotFound(f"{object!r} has no row with {table.key[0]} = {id!r}")

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """Nobody has to ask: what is sent again is found in the notes."""
        return {}

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the target's action with a batch, in one transaction."""
        table = await self._table(target.object)
        await self._make_notes()
        is_committing = False
        try:
            async with self._engine.connect() as connection, connection.begin() as transaction:
                outcomes = await Writing(connection, table, target, self._notes).write(batch)
                is_committing = True
                await transaction.commit()
        except (SQLAlchemyError, OSError) as error:
            self._seen_at = float("-inf")  # tables do change
            reason = failure(error)
            if is_committing:
                raise AnswerLost(
                    reason.message, provider_message=reason.provider_message
                ) from error
            raise reason from error
        return outcomes

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    # --- what there is ---

    async def _table(self, name: str) -> Table:
        tables = await self._known()
        if name not in tables:
            raise NotFound(
                f"the database has no table {name!r}; its tables are: {', '.join(tables)}"
            )
        return tables[name]

    async def _known(self) -> Mapping[str, Table]:
        async with self._looking:
            if time.monotonic() - self._seen_at > LOOK_AGAIN_SECONDS:
                async with self._connection() as connection:
                    self._tables = await connection.run_sync(reflect, self._schema)
                self._seen_at = time.monotonic()
            return self._tables

    async def _make_notes(self) -> None:
        """Make the table for notes, where it is not there; forget old notes. Raises Refused where that may not be."""
        async with self._looking:
            if self._has_notes:
                return
            try:
                await self._try_to_make_notes()
            except (SQLAlchemyError, OSError):  # somebody else may have made it in this moment
                await self._make_notes_or_say_how()
            self._has_notes = True

    async def _try_to_make_notes(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(self._notes.create, checkfirst=True)
            old = self._notes.c.written_at < time.time() - KEEP_NOTES_SECONDS
            await connection.execute(sa.delete(self._notes).where(old))

    async def _make_notes_or_say_how(self) -> None:
        try:
            await self._try_to_make_notes()
        except (SQLAlchemyError, OSError) as error:
            reason = failure(error)
            if not isinstance(reason, Refused):
                raise reason from error
            raise Refused(
                f"openbulk notes each batch in the table {WRITES}, in the batch's own transaction, so that nothing is "
                f"written twice; let its user create tables, or make it: {' '.join(self._statement().split())}",
                provider_message=reason.provider_message,
            ) from error

    def _statement(self) -> str:
        return str(sa.schema.CreateTable(self._notes).compile(dialect=self._engine.dialect))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """For reading. Raises ServiceError."""
        try:
            reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
            async with reading.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise failure(error) from error


class PostgresqlProvider:
    """Makes connectors to PostgreSQL."""

    key = "postgresql"
    name = "PostgreSQL"
    hub = "db"
    settings: Sequence[Setting] = (
        Setting("db.host", "Host name or address of the server."),
        Setting("db.port", "Its port; default: 5432."),
        Setting("db.name", "Name of the database."),
        Setting("db.schema", "The schema whose tables are objects; default: public."),
        Setting(
            "db.ssl.mode", "disable, require or verify-full (libpq's sslmode); default: prefer."
        ),
        Setting("username", "User of the database."),
        Setting("password", "Password of that user.", secret=True),
    )
    oauth: OAuth | None = None

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Raises BadInput where the configuration names no database."""
        schema = context.configuration.get("db.schema") or "public"
        return Sql(open_postgresql(context.configuration, self._resolve), schema, concurrency=4)


class SqliteProvider:
    """Makes connectors to SQLite files."""

    key = "sqlite"
    name = "SQLite"
    hub = "db"
    settings: Sequence[Setting] = (
        Setting(
            "db.file", "Name of the database file, in the folder that OPENBULK_SQLITE_FOLDER names."
        ),
    )
    oauth: OAuth | None = None

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Raises BadInput where the configuration names no file that it may use."""
        return Sql(open_sqlite(context.configuration, self._folder), None, concurrency=1)
