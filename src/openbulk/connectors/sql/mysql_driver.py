"""PyMySQL for SQLAlchemy's asyncio: each connection has a thread, in which its calls wait.

A call that is cancelled ends its connection. The thread would otherwise wait for the server's
answer, and the next statement would get it.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

import pymysql
from pymysql.constants import CLIENT
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.mysql.asyncmy import AsyncAdapt_asyncmy_dbapi, MySQLDialect_asyncmy

P = ParamSpec("P")
T = TypeVar("T")

URL = "mysql+pymysqlthread://"
FOUND_ROWS = int(CLIENT.FOUND_ROWS)
"""An update counts the rows that it finds, and not those that it changes."""


class ThreadedConnection:
    """A connection of PyMySQL, whose calls run in a thread of its own."""

    def __init__(self, driver: Any, thread: ThreadPoolExecutor) -> None:
        self._driver = driver
        self._thread = thread
        self._is_closed = False

    @classmethod
    async def open(cls, connect: Callable[[], Any]) -> "ThreadedConnection":
        """Call `connect`, which returns a connection of PyMySQL, in a new thread."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="mysql")
        opening = asyncio.get_running_loop().run_in_executor(thread, connect)
        try:
            return cls(await asyncio.shield(opening), thread)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_opened)
            thread.shutdown(wait=False)
            raise
        except BaseException:
            thread.shutdown(wait=False)
            raise

    @property
    def warning_count(self) -> int:
        """How many warnings the last statement has left."""
        result = self._driver._result
        return 0 if result is None else int(result.warning_count or 0)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the thread. If that is cancelled, the connection ends."""
        if self._is_closed:
            raise pymysql.InterfaceError(0, "the connection was closed")
        call = partial(function, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except asyncio.CancelledError:
            self.close()
            raise

    def cursor(self, kind: Any = None) -> "ThreadedCursor":
        """A cursor; `kind` is one of PyMySQL's classes."""
        return ThreadedCursor(self, self._driver.cursor(kind))

    async def commit(self) -> None:
        """End the transaction."""
        await self.run(self._driver.commit)

    async def rollback(self) -> None:
        """Undo the transaction."""
        await self.run(self._driver.rollback)

    async def ping(self, reconnect: bool = False) -> None:
        """Raise an error if the server is gone."""
        await self.run(self._driver.ping, reconnect)

    async def autocommit(self, value: bool) -> None:
        """Whether each statement is a transaction."""
        await self.run(self._driver.autocommit, value)

    def get_autocommit(self) -> bool:
        """Whether each statement is a transaction."""
        return bool(self._driver.get_autocommit())

    def character_set_name(self) -> str:
        """The character set of statements and results."""
        return str(self._driver.character_set_name())

    async def ensure_closed(self) -> None:
        """Tell the server that the connection ends, and end the thread."""
        if self._is_closed:
            return
        try:
            if self._driver.open:
                await self.run(self._driver.close)
        except (pymysql.Error, OSError):
            pass  # it is closed all the same
        finally:
            self.close()

    def close(self) -> None:
        """End the connection at once. A call that waits for an answer gets an error."""
        if self._is_closed:
            return
        self._is_closed = True
        connected = self._driver._sock
        if connected is not None:
            # Only this wakes a thread that waits for the socket.
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
        self._thread.submit(self._driver._force_close)
        self._thread.shutdown(wait=False)


class ThreadedCursor:
    """A cursor of PyMySQL, whose calls run in the thread of its connection."""

    def __init__(self, connection: ThreadedConnection, driver: Any) -> None:
        self._connection = connection
        self._driver = driver
        self.arraysize = 1

    async def __aenter__(self) -> "ThreadedCursor":
        return self

    @property
    def description(self) -> Any:
        """The columns of the result; None if the statement has none."""
        return self._driver.description

    @property
    def rowcount(self) -> int:
        """How many rows the statement has read or found."""
        return int(self._driver.rowcount)

    @property
    def lastrowid(self) -> int:
        """The first number that the last statement made."""
        return int(self._driver.lastrowid or 0)

    async def execute(self, statement: str, parameters: Any = None) -> Any:
        """Run a statement."""
        return await self._connection.run(self._driver.execute, statement, parameters)

    async def executemany(self, statement: str, parameters: Sequence[Any]) -> Any:
        """Run a statement with several sets of parameters."""
        return await self._connection.run(self._driver.executemany, statement, parameters)

    async def fetchone(self) -> Any:
        """The next row; None behind the last one."""
        return await self._connection.run(self._driver.fetchone)

    async def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        """The next rows."""
        return await self._connection.run(self._driver.fetchmany, size)

    async def fetchall(self) -> Sequence[Any]:
        """The rows that are left."""
        return await self._connection.run(self._driver.fetchall)

    async def close(self) -> None:
        """Leave out what is left of the result."""
        await self._connection.run(self._driver.close)


def _close_opened(opening: "asyncio.Future[Any]") -> None:
    """Close a connection that was opened for a caller who has gone."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result()._force_close()


class MysqlDialect(MySQLDialect_asyncmy):
    """SQLAlchemy's dialect for a driver with asyncmy's methods, with `ThreadedConnection`."""

    driver = "pymysqlthread"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """The driver."""
        module: Any = SimpleNamespace(
            errors=pymysql.err,
            cursors=pymysql.cursors,
            connect=ThreadedConnection.open,
            __version__=pymysql.VERSION_STRING,
        )
        return AsyncAdapt_asyncmy_dbapi(module)

    def retrieve_dbapi_version(self, dbapi: Any) -> Any:
        """PyMySQL's version."""
        return tuple(pymysql.VERSION[:3])

    def _found_rows_client_flag(self) -> int:
        return FOUND_ROWS


registry.register(URL.removesuffix("://").replace("+", "."), __name__, MysqlDialect.__name__)
