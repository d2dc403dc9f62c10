"""Databases: tables of PostgreSQL, MySQL, MariaDB and SQLite are objects, their rows records."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from openbulk.connectors.base import (
    ConfigurationEntry,
    ConnectionContext,
    Connector,
    Features,
    OAuth,
)
from openbulk.connectors.fields import FieldError
from openbulk.connectors.pace import Budget
from openbulk.connectors.sql.bisection import RolledBack
from openbulk.connectors.sql.databases import AUTH_METHODS, Resolve, open_postgresql, open_sqlite
from openbulk.connectors.sql.failures import failure, is_gone
from openbulk.connectors.sql.mysql_connections import open_mysql
from openbulk.connectors.sql.ordering import ordering_keys_of
from openbulk.connectors.sql.planning import check_batch, completeness_of, plan_batch, refusal_of
from openbulk.connectors.sql.reading import Selection, read_page
from openbulk.connectors.sql.rows import zone_of
from openbulk.connectors.sql.schema import WRITES, Table, reflect, require_schema
from openbulk.connectors.sql.traces import undoable_actions
from openbulk.connectors.sql.type_names import schema_version
from openbulk.connectors.sql.write_log import delete_old_entries, write_log_table
from openbulk.connectors.sql.writing import BatchWriter
from openbulk.domain.conditions import Comparison
from openbulk.domain.errors import AnswerLost, BadInput, NotFound, Refused
from openbulk.domain.options import Option
from openbulk.domain.plan import Planned, UsageLimit
from openbulk.domain.query import Page, PageRequest, Query, not_a_page_token
from openbulk.domain.records import Outcome, Record, Target
from openbulk.domain.undo import Reversal

_T = TypeVar("_T")

REFLECT_SECONDS = 30.0
"""Table descriptions are read again after this time, if they have changed, and after a failed
write."""


class Sql:
    """One database."""

    native = None
    remembers_plans = False

    def __init__(self, engine: AsyncEngine, schema: str | None, concurrency: int) -> None:
        self._engine = engine
        self._schema = schema
        self._concurrency = concurrency
        self._write_log = write_log_table(schema)
        self._has_write_log = False
        self._tables: Mapping[str, Table] = {}
        self._version: Any = None
        """Changes with every change of the tables."""
        self._reflected_at = float("-inf")
        self._preparing = asyncio.Lock()
        """Held while the tables are read or the write log is created."""

    async def check(self) -> None:
        """Connect, and look for the schema. Raises BadInput, with the schemas, if it is not one."""
        async with self._connection() as connection:
            await connection.execute(sa.text("SELECT 1"))
            if self._schema is not None:
                await connection.run_sync(require_schema, self._schema)

    async def objects(self) -> Mapping[str, Features]:
        """The tables of the schema."""
        tables = await self._all_tables(is_up_to_date=True)
        is_mysql = self._engine.dialect.name == "mysql"
        return {
            name: replace(
                table.features(self._concurrency),
                ordering=partial(ordering_keys_of, table, is_mysql=is_mysql),
                plan=completeness_of(table),
                undoes=undoable_actions(table),
                guards_writes=True,
            )
            for name, table in tables.items()
        }

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """The columns of a table."""
        return (await self._table(object)).schema()

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """Rows in the query's order, then in the order of the primary key."""
        table = await self._table(query.object)
        selection = Selection(table, query, request.size, self._engine.dialect.name)
        after = request.after
        while True:
            rows, has_more = await self._page(selection, after, request.size)
            after = selection.page_token(after, rows) if has_more else None
            yield Page([selection.record(row) for row in rows], after)
            if not has_more:
                return

    async def _page(
        self, selection: Selection, after: str | None, size: int
    ) -> tuple[Sequence[Any], bool]:
        """The rows after a page token, and whether there may be more."""
        try:
            async with self._connection() as connection:
                return await read_page(connection, selection.statement(after), size)
        except Refused as error:
            # The database did not write the values of this token.
            if after is not None and isinstance(error.__cause__, DataError):
                raise not_a_page_token() from error
            raise

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The row with this primary key."""
        table = await self._table(object)
        if len(table.key) != 1:
            raise NotFound(
                f"the rows of {object!r} have no id: its primary key has {len(table.key)} columns"
            )
        query = Query(object, where=Comparison(table.key[0], "=", (id,)))
        with suppress(BadInput):  # a key that the column cannot have
            async for page in self.read(query, PageRequest(size=1)):
                if page.records:
                    return page.records[0]
        raise NotFound(f"{object!r} has no row with {table.key[0]} = {id!r}")

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """Not needed: `write` finds earlier batches in its write log."""
        return {}

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the target's action with a batch, in one transaction."""
        try:
            return await self._write(target, batch)
        except RolledBack as rolled_back:
            return await self._write_without(target, batch, rolled_back.error)

    async def _write_without(
        self, target: Target, batch: Sequence[Record], error: DBAPIError
    ) -> Sequence[Outcome]:
        """Write a batch without the rows that end its transaction.

        If the database does not show which ones they are, each half gets a transaction of its own,
        down to the row that ends it.
        """
        try:
            return await self._write(target, batch, error)
        except RolledBack as rolled_back:
            if len(batch) == 1:
                return [await self._refuse(target, batch[0], rolled_back.error)]
        half = len(batch) // 2
        return [
            *await self.write(target, batch[:half]),
            *await self.write(target, batch[half:]),
        ]

    async def _write(
        self, target: Target, batch: Sequence[Record], deferred: DBAPIError | None = None
    ) -> Sequence[Outcome]:
        """Write a batch.

        `deferred` is the error with which the database refused to commit it before.
        """
        return await self._look_once_more(partial(self._write_once, target, batch, deferred))

    async def _look_once_more(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Attempt something. If what it needs is gone, look once whether it is there anew."""
        try:
            return await attempt()
        except DBAPIError as error:
            if not is_gone(error):
                raise failure(error) from error
        self._forget()
        # A prepared statement fails for good once its table was made anew.
        await self._engine.dispose()
        try:
            return await attempt()
        except DBAPIError as error:
            raise failure(error) from error

    async def _write_once(
        self, target: Target, batch: Sequence[Record], deferred: DBAPIError | None
    ) -> Sequence[Outcome]:
        """Write a batch. Raises ServiceError, DBAPIError and RolledBack."""
        return await self._in_transaction(target, lambda writer: writer.write(batch, deferred))

    async def undo(
        self, target: Target, batch: Sequence[Reversal], *, overwrites: bool, is_trial: bool
    ) -> Sequence[Outcome]:
        """Put rows back, in one transaction that holds them locked."""

        async def undo(writer: BatchWriter) -> Sequence[Outcome]:
            return await writer.undo(batch, overwrites=overwrites, is_trial=is_trial)

        try:
            return await self._look_once_more(partial(self._in_transaction, target, undo))
        except RolledBack as rolled_back:
            if len(batch) == 1:
                message = failure(rolled_back.error).message
                return [Outcome.failure(batch[0].row, message)]
        half = len(batch) // 2
        return [
            *await self.undo(target, batch[:half], overwrites=overwrites, is_trial=is_trial),
            *await self.undo(target, batch[half:], overwrites=overwrites, is_trial=is_trial),
        ]

    async def _in_transaction(
        self, target: Target, write: Callable[[BatchWriter], Awaitable[Sequence[Outcome]]]
    ) -> Sequence[Outcome]:
        """Write in one transaction. Raises ServiceError, DBAPIError and RolledBack."""
        table = await self._table_to_write(target.object)
        await self._ensure_write_log()
        is_committing = False
        try:
            async with self._engine.connect() as connection, connection.begin() as transaction:
                outcomes = await write(BatchWriter(connection, table, target, self._write_log))
                is_committing = True
                await _commit(connection, transaction)
        except (SQLAlchemyError, OSError) as error:
            # The table may have changed since its description was read.
            self._reflected_at = float("-inf")
            if isinstance(error, DBAPIError) and not is_committing:
                raise
            raise self._failed_commit(error, is_committing=is_committing) from error
        return outcomes

    def budgets(self, place: str | None) -> Sequence[Budget]:
        """A database limits no calls."""
        return ()

    def usage_limits(self, object: str) -> Sequence[UsageLimit]:
        """A database has none."""
        return ()

    async def plan(self, target: Target, batch: Sequence[Record]) -> Sequence[Planned]:
        """What `write` would do. The batch is written, and rolled back, if all of it can be."""
        table = await self._table_to_write(target.object)
        if not table.rolls_back:
            return check_batch(table, target, batch, self._engine.dialect.name)
        try:
            return await self._look_once_more(partial(self._plan_once, target, batch))
        except RolledBack as rolled_back:
            if len(batch) == 1:
                return [await self._plan_refusal(target, batch[0], rolled_back.error)]
        half = len(batch) // 2
        return [
            *await self.plan(target, batch[:half]),
            *await self.plan(target, batch[half:]),
        ]

    async def _plan_once(self, target: Target, batch: Sequence[Record]) -> Sequence[Planned]:
        """Raises ServiceError, DBAPIError and RolledBack."""
        table = await self._table_to_write(target.object)
        try:
            async with self._engine.connect() as connection, connection.begin() as transaction:
                planned = await plan_batch(connection, table, target, batch)
                await transaction.rollback()
        except (SQLAlchemyError, OSError) as error:
            # The table may have changed since its description was read.
            self._reflected_at = float("-inf")
            if isinstance(error, DBAPIError):
                raise
            raise failure(error) from error
        return planned

    async def _plan_refusal(self, target: Target, record: Record, error: DBAPIError) -> Planned:
        table = await self._table_to_write(target.object)
        async with self._connection() as connection:
            writer = BatchWriter(connection, table, target, self._write_log)
            return refusal_of(await writer.refusal(record, error))

    def _failed_commit(self, error: Exception, *, is_committing: bool) -> Exception:
        """The error for a batch whose transaction could not be begun or ended."""
        reason = failure(error)
        if not is_committing:
            return reason
        if isinstance(error, IntegrityError):
            return RolledBack(error)
        return AnswerLost(reason.message, provider_message=reason.provider_message)

    async def _refuse(self, target: Target, record: Record, error: DBAPIError) -> Outcome:
        """Refuse a record, and log that in a transaction of its own."""
        table = await self._table(target.object)
        try:
            async with self._engine.begin() as connection:
                writer = BatchWriter(connection, table, target, self._write_log)
                return await writer.refuse(record, error)
        except (SQLAlchemyError, OSError) as failed:
            raise failure(failed) from failed

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    # --- tables, and the write log ---

    async def _table(self, name: str) -> Table:
        tables = await self._all_tables()
        if name not in tables:
            # It may be new.
            self._reflected_at = float("-inf")
            tables = await self._all_tables()
        if name not in tables:
            raise NotFound(
                f"the database has no table {name!r}; its tables are: {', '.join(tables)}"
            )
        return tables[name]

    async def _table_to_write(self, name: str) -> Table:
        """The table of a job. Raises Refused if there is none that can be written."""
        try:
            table = await self._table(name)
        except NotFound as error:
            raise Refused(error.message) from error
        if table.unwritable:
            raise Refused(table.unwritable)
        return table

    def _forget(self) -> None:
        """Forget what is known of the database: somebody may have restored it."""
        self._reflected_at = float("-inf")
        self._has_write_log = False

    async def _all_tables(self, *, is_up_to_date: bool = False) -> Mapping[str, Table]:
        """The tables; with `is_up_to_date` as they are now, else as they were a moment ago."""
        async with self._preparing:
            is_old = time.monotonic() - self._reflected_at > REFLECT_SECONDS
            if is_old or is_up_to_date:
                async with self._connection() as connection:
                    version = await connection.run_sync(schema_version, self._schema)
                    if is_old or version != self._version:
                        self._tables = await connection.run_sync(reflect, self._schema)
                        self._version = version
                        self._reflected_at = time.monotonic()
            return self._tables

    async def _ensure_write_log(self) -> None:
        """Create the write log if it is missing, and delete its old entries. Raises Refused."""
        async with self._preparing:
            if self._has_write_log:
                return
            try:
                await self._create_write_log()
            except (SQLAlchemyError, OSError):
                # Another process may have created it at the same moment.
                await self._retry_create_write_log()
            self._has_write_log = True

    async def _create_write_log(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(self._write_log.create, checkfirst=True)
            await connection.execute(delete_old_entries(self._write_log))

    async def _retry_create_write_log(self) -> None:
        try:
            await self._create_write_log()
        except (SQLAlchemyError, OSError) as error:
            reason = failure(error)
            if not isinstance(reason, Refused):
                raise reason from error
            statement = sa.schema.CreateTable(self._write_log).compile(dialect=self._engine.dialect)
            raise Refused(
                f"openbulk logs each batch in the table {WRITES}, in the batch's own transaction, "
                "so that nothing is written twice; let its user create tables, or create it: "
                f"{' '.join(str(statement).split())}",
                provider_message=reason.provider_message,
            ) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading. Raises ServiceError."""
        try:
            async with self._engine.connect() as connection:
                if connection.dialect.name == "sqlite":
                    # A transaction would lock the file against all others who write.
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise failure(error) from error


async def _commit(connection: AsyncConnection, transaction: AsyncTransaction) -> None:
    try:
        await transaction.commit()
    except IntegrityError:
        # SQLite checks deferred constraints here, and leaves the transaction open.
        await connection.invalidate()
        raise


def _zone_problem(name: str) -> str | None:
    try:
        zone_of(name)
    except FieldError as error:
        return error.message
    return None


_OPTIONS = (
    Option(
        "timeZone", "the zone of times without an offset; default: UTC", problem_of=_zone_problem
    ),
)


_CERTIFICATE_AND_USER = (
    ConfigurationEntry(
        "db.ssl.root.certificate",
        "The certificate of the authority that vouches for the server, in PEM; default: the "
        "authorities that this machine trusts.",
    ),
    ConfigurationEntry("username", "User of the database."),
    ConfigurationEntry("password", "Password of that user.", secret=True),
)


class PostgresqlProvider:
    """Makes connectors to PostgreSQL."""

    key = "postgresql"
    name = "PostgreSQL"
    hub = "db"
    event_objects = frozenset[str]()
    makes_calls = False
    entries: Sequence[ConfigurationEntry] = (
        ConfigurationEntry("db.host", "Host name or address of the server.", receives_secrets=True),
        ConfigurationEntry("db.port", "Its port; default: 5432.", receives_secrets=True),
        ConfigurationEntry("db.name", "Name of the database."),
        ConfigurationEntry("db.schema", "The schema whose tables are objects; default: public."),
        ConfigurationEntry(
            "db.ssl.mode",
            "disable, prefer, require, verify-ca or verify-full (libpq's sslmode); default: "
            "verify-full at a public address, else prefer.",
        ),
        *_CERTIFICATE_AND_USER,
        ConfigurationEntry(
            "db.auth.method",
            "How the password is proved to the server (libpq's require_auth); default: "
            "scram-sha-256.",
            choices=AUTH_METHODS,
        ),
    )
    options: Sequence[Option] = _OPTIONS
    oauth: OAuth | None = None

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Raises BadInput for a configuration without a database."""
        schema = context.configuration.get("db.schema") or "public"
        return Sql(open_postgresql(context.configuration, self._resolve), schema, concurrency=4)


class MysqlProvider:
    """Makes connectors to MySQL."""

    key = "mysql"
    name = "MySQL"
    hub = "db"
    event_objects = frozenset[str]()
    makes_calls = False
    entries: Sequence[ConfigurationEntry] = (
        ConfigurationEntry("db.host", "Host name or address of the server.", receives_secrets=True),
        ConfigurationEntry("db.port", "Its port; default: 3306.", receives_secrets=True),
        ConfigurationEntry("db.name", "Name of the database, whose tables are objects."),
        ConfigurationEntry(
            "db.ssl.mode",
            "disable, prefer, require, verify-ca or verify-full; default: verify-full at a public "
            "address, else prefer.",
        ),
        *_CERTIFICATE_AND_USER,
    )
    options: Sequence[Option] = _OPTIONS
    oauth: OAuth | None = None

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Raises BadInput for a configuration without a database."""
        return Sql(open_mysql(context.configuration, self._resolve), None, concurrency=4)


class MariadbProvider(MysqlProvider):
    """Makes connectors to MariaDB, which is spoken to as MySQL is."""

    key = "mariadb"
    name = "MariaDB"


class SqliteProvider:
    """Makes connectors to SQLite files."""

    key = "sqlite"
    name = "SQLite"
    hub = "db"
    event_objects = frozenset[str]()
    makes_calls = False
    entries: Sequence[ConfigurationEntry] = (
        ConfigurationEntry(
            "db.file", "Name of the database file, in the folder that OPENBULK_SQLITE_FOLDER names."
        ),
    )
    options: Sequence[Option] = _OPTIONS
    oauth: OAuth | None = None

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Raises BadInput for a file that it may not use."""
        return Sql(open_sqlite(context.configuration, self._folder), None, concurrency=1)
