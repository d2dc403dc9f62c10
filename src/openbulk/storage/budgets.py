"""What was spent of services' budgets: one window for all processes, and one that outlives each of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.storage.outage import retry_while_unavailable
from openbulk.storage.tables import budgets

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent of one budget, and what its service has taught about it. Times are Unix time in seconds."""

    buckets: tuple[tuple[int, int], ...] = ()
    """Slot of the window, and calls in it; in order."""
    learned: int | None = None
    """The limit, where it turned out to be another than the documented one."""
    refused_at: float = 0.0
    """When the service last said that there were too many calls."""
    closed_until: float = 0.0
    closed_for: str = ""
    """Why no calls are taken until then, in a sentence."""


Change = Callable[[Sequence[Spending]], tuple[Sequence[Spending], T]]


class Budgets:
    """Remembers spending by scope."""

    def __init__(self, engine: AsyncEngine, draining: asyncio.Event | None = None) -> None:
        self._engine = engine
        self._draining = draining or asyncio.Event()

    async def change(self, scopes: Sequence[str], change: Change[T]) -> T:
        """Change what was spent of these scopes, while nobody else does; what `change` returns beside it.

        The rows are locked, and new ones written, in the order of their names, so that two callers never wait for each
        other. `change` is called again where somebody else wrote the first line of a scope in the same moment.
        """
        return await retry_while_unavailable(
            lambda: self._change_or_retry(scopes, change), self._draining
        )

    async def _change_or_retry(self, scopes: Sequence[str], change: Change[T]) -> T:
        for _ in scopes:
            try:
                return await self._change(scopes, change)
            except IntegrityError:
                # Another process has just added the row of a scope: there is one fewer to add now.
                continue
        return await self._change(scopes, change)

    async def _change(self, scopes: Sequence[str], change: Change[T]) -> T:
        async with self._engine.begin() as connection:
            found: dict[str, Spending] = {}
            query = select(budgets).where(budgets.c.scope.in_(scopes)).order_by(budgets.c.scope)
            for row in await connection.execute(query.with_for_update()):
                found[row.scope] = _spending(row)
            after, result = change([found.get(scope, Spending()) for scope in scopes])
            for scope, spending in sorted(
                zip(scopes, after, strict=True), key=lambda pair: pair[0]
            ):
                if scope not in found:
                    await connection.execute(
                        insert(budgets).values(scope=scope, **_values(spending))
                    )
                elif spending != found[scope]:
                    await connection.execute(
                        update(budgets).where(budgets.c.scope == scope).values(**_values(spending))
                    )
        return result


def _values(spending: Spending) -> Mapping[str, Any]:
    return {
        "buckets": orjson.dumps(spending.buckets).decode(),
        "learned": spending.learned,
        "refused_at": spending.refused_at,
        "closed_until": spending.closed_until,
        "closed_for": spending.closed_for,
    }


def _spending(row: Row[Any]) -> Spending:
    return Spending(
        buckets=tuple((bucket, calls) for bucket, calls in orjson.loads(row.buckets)),
        learned=row.learned,
        refused_at=row.refused_at,
        closed_until=row.closed_until,
        closed_for=row.closed_for,
    )
