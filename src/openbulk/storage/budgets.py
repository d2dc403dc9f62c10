"""The spending of services' budgets: all processes share one window, which outlives them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

import orjson
from sqlalchemy import Insert, Row, Update, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.storage.retry import retry_while_unavailable
from openbulk.storage.tables import budgets

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spending:
    """The calls spent of one budget, and its learned limit. Times are Unix seconds."""

    buckets: tuple[tuple[int, int], ...] = ()
    """Buckets of the window with the calls in each, in order."""
    learned: int | None = None
    """The learned limit; None if the documented one holds."""
    refused_at: float = 0.0
    """When the service last refused a call because the budget was used up."""
    closed_until: float = 0.0
    closed_for: str = ""
    """The reason why the budget is closed until then, in a sentence."""


Change = Callable[[Sequence[Spending]], tuple[Sequence[Spending], T]]


def job_scope(job_id: int) -> str:
    """The scope of the calls of one job."""
    return f"job/{job_id}"


class Budgets:
    """Remembers spending by scope."""

    def __init__(self, engine: AsyncEngine, draining: asyncio.Event | None = None) -> None:
        self._engine = engine
        self._draining = draining or asyncio.Event()

    async def change(self, scopes: Sequence[str], change: Change[T]) -> T:
        """Change the spending of these scopes in one transaction; return the result of `change`.

        `change` may be called again: if another process adds the first row of a scope at the same
        time, or if the database was unavailable. Raises Unavailable if it is unavailable while the
        process drains.
        """
        return await retry_while_unavailable(
            lambda: self._change_or_retry(scopes, change), self._draining
        )

    async def spending(self, scopes: Sequence[str]) -> Mapping[str, Spending]:
        """The spending of each of these scopes."""
        chosen = select(budgets).where(budgets.c.scope.in_(scopes))
        async with self._engine.connect() as connection:
            known = {row.scope: _spending(row) for row in await connection.execute(chosen)}
        return {scope: known.get(scope, Spending()) for scope in scopes}

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
            # Rows are locked and added in the order of their names: two callers never wait for each
            # other.
            query = select(budgets).where(budgets.c.scope.in_(scopes)).order_by(budgets.c.scope)
            rows = await connection.execute(query.with_for_update())
            known = {row.scope: _spending(row) for row in rows}
            after, result = change([known.get(scope, Spending()) for scope in scopes])
            for scope, spending in sorted(zip(scopes, after, strict=True), key=itemgetter(0)):
                if spending == known.get(scope):
                    continue
                write: Insert | Update = update(budgets).where(budgets.c.scope == scope)
                if scope not in known:
                    write = insert(budgets).values(scope=scope)
                values = {
                    "buckets": orjson.dumps(spending.buckets).decode(),
                    "learned": spending.learned,
                    "refused_at": spending.refused_at,
                    "closed_until": spending.closed_until,
                    "closed_for": spending.closed_for,
                }
                await connection.execute(write.values(values))
        return result


def _spending(row: Row[Any]) -> Spending:
    return Spending(
        buckets=tuple((bucket, calls) for bucket, calls in orjson.loads(row.buckets)),
        learned=row.learned,
        refused_at=row.refused_at,
        closed_until=row.closed_until,
        closed_for=row.closed_for,
    )
