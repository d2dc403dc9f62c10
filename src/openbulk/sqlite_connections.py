"""Connections to SQLite files that may be stopped while they are closed.

If the task that closes a connection is cancelled, SQLAlchemy 2.1 stops the connection, and the
close goes on beside it. The first of the two ends the thread of aiosqlite 0.22. The second would
wait for that thread for ever, and so would the end of the process
(https://github.com/wapiti-scanner/wapiti/issues/802 has the same).
"""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import aiosqlite

T = TypeVar("T")

_ROWS_FETCHED_AT_ONCE = 64
"""aiosqlite's own default."""


class _Connection(aiosqlite.Connection):
    _stopped: "asyncio.Future[Any] | None" = None

    def stop(self) -> "asyncio.Future[Any] | None":
        """End the thread. A second call waits for the same end."""
        if self._stopped is None:
            self._stopped = super().stop()
        return self._stopped

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function in the connection's thread: many statements, and one wait for them."""
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result


def connect(database: str, **options: Any) -> aiosqlite.Connection:
    """A connection to open with `await`: SQLAlchemy's `async_creator_fn`.

    `options` are those of `sqlite3.connect`.
    """
    connection = _Connection(partial(sqlite3.connect, database, **options), _ROWS_FETCHED_AT_ONCE)
    # As SQLAlchemy does with connections that it makes: no thread holds up the end of the process.
    connection._thread.daemon = True
    return connection
