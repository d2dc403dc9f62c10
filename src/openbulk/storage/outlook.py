"""What lies ahead of a process: read every few seconds, and as soon as another one has news."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import psycopg
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import Unavailable
from openbulk.storage.database import connection_parameters
from openbulk.storage.notices import CHANNEL
from openbulk.storage.retry import outage
from openbulk.storage.schedules import Schedules

log = structlog.get_logger()

LOOK_SECONDS = 5.0
"""The safety net: what nobody gave notice of waits no longer than this."""
_STAGGER_SECONDS = (0.02, 0.15)
"""Who added work takes it at once if it can. The others look a little later, one by one."""
_RECONNECT_SECONDS = 0.5

Row = tuple[str, str | None, int | None]
"""A kind, the name of a queue, and a number."""
_OF_LEDGER = (
    "SELECT 'schedule', CAST(NULL AS text), min(due_at) FROM schedules "
    "UNION ALL SELECT 'workers', NULL, count(*) FROM workers "
    "UNION ALL SELECT 'clock', NULL, (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What waits for a process, at one moment."""

    queues: frozenset[str]
    """The queues with work that may begin now."""
    delayed_until: float | None
    """Unix time at which the next delayed work is due."""
    schedule_due: float | None
    """Unix time at which the next schedule is due."""
    has_workers: bool
    """Whether a process is registered: if it dies, its work has to be taken over."""
    database_time: float | None
    """Unix time by the clock of a database that several processes share."""
    seconds_to_read: float = 0.0
    """For how long this process has waited for all this."""


See = Callable[[Outlook], None]
Hear = Callable[[str], bool]
"""Takes the kind of a notice; returns whether to look soon."""


class Outlooks(Protocol):
    """A source of outlooks."""

    async def follow(self, see: See, hear: Hear) -> None:
        """Pass on each outlook, and the kinds of other processes' notices, forever."""


class OwnOutlooks:
    """Outlooks of a process that is alone on its ledger: nobody else adds work."""

    def __init__(
        self, read_queues: Callable[[], Awaitable[Iterable[Row]]], schedules: Schedules
    ) -> None:
        self._read_queues = read_queues
        self._schedules = schedules

    async def follow(self, see: See, hear: Hear) -> None:
        """Look every few seconds. There are no notices."""
        while True:
            try:
                see(await self._outlook())
            except Unavailable:
                pass
            except Exception:
                log.exception("periodic work failed", work="outlook")
            await asyncio.sleep(LOOK_SECONDS)

    async def _outlook(self) -> Outlook:
        outlook = _outlook_of(await self._read_queues())
        due = await self._schedules.next_due()
        return outlook if due is None else replace(outlook, schedule_due=due.timestamp())


class SharedOutlooks:
    """Outlooks of a process on PostgreSQL, on a connection of its own that also hears notices."""

    def __init__(self, engine: AsyncEngine, name: str, of_queues: str) -> None:
        self._engine = engine
        self._name = name
        self._statement = f"{of_queues} UNION ALL {_OF_LEDGER}".encode()

    async def follow(self, see: See, hear: Hear) -> None:
        """Look every few seconds, and soon after each notice of which `hear` says so."""
        has_waited = False
        while True:
            try:
                async with await self._connect() as connection:
                    if has_waited:
                        outage.report_success()
                        has_waited = False
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    await self._follow(connection, see, hear)
            except psycopg.OperationalError as error:
                outage.report_failure(error)
                has_waited = True
                await asyncio.sleep(_RECONNECT_SECONDS)
            except Exception:
                log.exception("periodic work failed", work="outlook")
                await asyncio.sleep(LOOK_SECONDS)

    async def _connect(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        parameters = connection_parameters(self._engine.url)
        # Who manages the database sees by this name which processes live.
        parameters["application_name"] = f"openbulk {self._name}"
        return await psycopg.AsyncConnection.connect(**parameters, autocommit=True)

    async def _follow(
        self, connection: psycopg.AsyncConnection[tuple[Any, ...]], see: See, hear: Hear
    ) -> None:
        while True:
            # After LISTEN: what happens from now on is heard.
            asked_at = time.monotonic()
            rows = await (await connection.execute(self._statement)).fetchall()
            taken = time.monotonic() - asked_at
            see(replace(_outlook_of(rows), seconds_to_read=taken))
            await self._hear(connection, hear)

    async def _hear(self, connection: psycopg.AsyncConnection[tuple[Any, ...]], hear: Hear) -> None:
        """Pass on notices until it is time to look."""
        look_at = time.monotonic() + LOOK_SECONDS
        while (left := look_at - time.monotonic()) > 0:
            async with aclosing(connection.notifies(timeout=left, stop_after=1)) as notices:
                async for notice in notices:
                    kind, _, sender = notice.payload.partition(" ")
                    if sender == self._name:
                        continue
                    if hear(kind):
                        soon = random.uniform(*_STAGGER_SECONDS)  # noqa: S311
                        look_at = min(look_at, time.monotonic() + soon)


def _outlook_of(rows: Iterable[Row]) -> Outlook:
    numbers: dict[str, int | None] = {}
    queues = set()
    for kind, queue, number in rows:
        if queue is None:
            numbers[kind] = number
        else:
            queues.add(queue)
    return Outlook(
        frozenset(queues),
        _seconds(numbers.get("delayed")),
        _seconds(numbers.get("schedule")),
        bool(numbers.get("workers")),
        _seconds(numbers.get("clock")),
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
