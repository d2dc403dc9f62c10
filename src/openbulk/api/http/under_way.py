"""The requests under way: a bounded number, of which each caller has a part.

A request is under way until it has its answer, even if its caller has closed the connection.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from openbulk.api.http.error_responses import error_answer
from openbulk.domain.errors import ServerBusy

AT_ONCE = 2_048
"""Requests under way, unless the process may open too few files for as many connections."""
_BUSY = "openbulk handles as many requests as it can; send the request again shortly"
_ALIVE = "/healthz"
"""Always answered: its answer waits for nothing."""


class RequestsUnderWay:
    """How many there are, of all callers and of each."""

    def __init__(self, limit: int = AT_ONCE) -> None:
        self.limit = limit
        self._of_one = limit // 2
        self._count = 0
        self._of_owner: Counter[Hashable] = Counter()

    @contextmanager
    def one(self) -> Iterator[bool]:
        """A request in the block; says whether it is one too many."""
        self._count += 1
        try:
            yield self._count > self.limit
        finally:
            self._count -= 1

    @contextmanager
    def of(self, owner: Hashable) -> Iterator[None]:
        """A request of an owner in the block. Raises ServerBusy if the owner has its part."""
        if self._of_owner[owner] >= self._of_one:
            raise ServerBusy(
                f"openbulk handles {self._of_one:,} requests of yours at the moment; "
                "send the request again once some of them are answered"
            )
        self._of_owner[owner] += 1
        try:
            yield
        finally:
            self._of_owner[owner] -= 1
            if not self._of_owner[owner]:
                del self._of_owner[owner]


class BoundedRequests:
    """Refuses a request while too many are under way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        under_way: RequestsUnderWay = scope["app"].state.under_way
        with under_way.one() as is_too_many:
            if is_too_many and scope["path"] != _ALIVE:
                await error_answer(Request(scope), 503, _BUSY)(scope, receive, send)
            else:
                await self._app(scope, receive, send)
