"""Databases with a connector, and a way around it: what is in them, as their owner sees it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openbulk.connectors.base import Connector
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.notify.egress import allowed_address
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE


@dataclass
class Database:
    """A database with a connector, and a connection of its owner."""

    connector: Connector
    execute: Callable[[str], list[tuple[Any, ...]]]

    async def write(
        self, object: str, rows: Sequence[Mapping[str, Any]], *more: Any, **named: Any
    ) -> list[OutcomeKind]:
        """Write a batch; return the kinds of its outcomes in the order of the rows."""
        return [one.kind for one in await self.outcomes(object, rows, *more, **named)]

    async def outcomes(
        self,
        object: str,
        rows: Sequence[Mapping[str, Any]],
        action: str = "create",
        identifier: str | None = None,
        **more: Any,
    ) -> list[Outcome]:
        batch = [Record(number, row) for number, row in enumerate(rows, 1)]
        target = Target(object, Action(action), identifier, **more)
        return sorted(await self.connector.write(target, batch), key=lambda one: one.row)


Open = Callable[..., Awaitable[Database]]
Rows = list[dict[str, Any]]


async def resolve(host: str, port: int) -> str:
    return await allowed_address(host, port, allowed=LOOPBACK_AND_PRIVATE)
