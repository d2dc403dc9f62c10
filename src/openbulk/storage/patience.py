"""Work that waits for a database which is away, instead of failing."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import structlog

from openbulk.domain.errors import Unavailable

log = structlog.get_logger()

PAUSE_FIRST = 0.1
PAUSE_MOST = 1.0

Store = TypeVar("Store")
P = ParamSpec("P")
T = TypeVar("T")


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


def _patiently(act: Callable[P, Awaitable[T]], gives_up: Callable[[], bool]) -> Callable[P, Awaitable[T]]:
    @wraps(act)
    async def acting(*args: P.args, **kwargs: P.kwargs) -> T:
        pause = PAUSE_FIRST
        while True:
            try:
                return await act(*args, **kwargs)
            except Unavailable:
                if gives_up():
                    raise
                log.warning("database is away", waits_to=act.__name__)
            await asyncio.sleep(pause)
            pause = min(PAUSE_MOST, pause * 2)

    return acting
