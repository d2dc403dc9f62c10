"""Work that waits for a database which is away, instead of failing."""

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import structlog

from openbulk.domain.errors import Unavailable

log = structlog.get_logger()

PAUSE_FIRST = 0.1
PAUSE_MOST = 1.0
SAID_AGAIN_SECONDS = 30.0

Store = TypeVar("Store")
P = ParamSpec("P")
T = TypeVar("T")


class Outage:
    """Has the log say once that the database is away, now and then that it still is, and once that it is back, however
    many wait for it, in whatever threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._said_at = 0.0

    def away(self, error: BaseException) -> None:
        """Somebody was told this, and waits."""
        with self._lock:
            now = self._clock()
            if self._since is None:
                self._since = now
            elif now - self._said_at < SAID_AGAIN_SECONDS:
                return
            self._said_at = now
            reason = " ".join(str(error).split())  # PostgreSQL says it in several lines
            log.warning("database is away", reason=reason, seconds=round(now - self._since))

    def back(self) -> None:
        """Somebody who waited was answered."""
        with self._lock:
            if self._since is not None:
                log.warning("database is back", seconds=round(self._clock() - self._since, 1))
                self._since = None


outage = Outage()
"""That of this process's database: the ledger's and the lanes' are one."""


def patient(store: Store, gives_up: Callable[[], bool]) -> Store:
    """The same store, whose coroutines begin again when the database was away, until it is back or `gives_up` says so.

    What is asked of it may be done twice, where the answer to the first time was lost: only for functions that do no
    harm then, as their docstrings promise.
    """
    return cast(Store, _Patient(store, gives_up))


class _Patient:
    def __init__(self, store: object, gives_up: Callable[[], bool]) -> None:
        self._store = store
        self._gives_up = gives_up

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return _patiently(found, self._gives_up) if inspect.iscoroutinefunction(found) else found


def _patiently(
    act: Callable[P, Awaitable[T]], gives_up: Callable[[], bool]
) -> Callable[P, Awaitable[T]]:
    @wraps(act)
    async def acting(*args: P.args, **kwargs: P.kwargs) -> T:
        pause, has_waited = PAUSE_FIRST, False
        while True:
            try:
                result = await act(*args, **kwargs)
            except Unavailable as error:
                if gives_up():
                    raise
                outage.away(error.__cause__ or error)
            else:
                if has_waited:
                    outage.back()
                return result
            has_waited = True
            await asyncio.sleep(pause)
            pause = min(PAUSE_MOST, pause * 2)

    return acting
