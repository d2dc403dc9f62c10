"""Notifications, until they are delivered or given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.job import Job
from openbulk.storage.database import for_reading
from openbulk.storage.job_rows import ACTIVE, job_of
from openbulk.storage.readable_rows import read_each
from openbulk.storage.tables import deliveries, jobs


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification, and the attempts to deliver it."""

    id: int
    job_id: int
    instance_id: int
    url: str
    body: bytes
    attempts: int
    due_at: datetime
    finished_at: datetime | None
    result: str | None
    """What came of the last attempt, in a sentence; None before the first."""


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """A notification that is neither delivered nor given up."""

    id: int
    url: str
    attempts: int
    due_at: datetime


class Deliveries:
    """Remembers notifications."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def add(self, job: Job, url: str, body: bytes, now: datetime) -> Delivery:
        """Add a job's notification: from now on it will be delivered. A job has at most one."""
        added = insert(deliveries).values(
            job_id=job.id, instance_id=job.instance_id, url=url, body=body, due_at=now
        )
        try:
            async with self._engine.begin() as connection:
                return _delivery((await connection.execute(added.returning(deliveries))).one())
        except IntegrityError:
            # The job has its notification: another process was faster, or an answer was lost.
            async with self._reading.connect() as connection:
                written = await connection.execute(
                    select(deliveries).where(deliveries.c.job_id == job.id)
                )
                return _delivery(written.one())

    async def jobs_to_notify(self) -> Sequence[Job]:
        """The finished jobs with a callback URL that have no notification yet."""
        written = select(deliveries.c.id).where(deliveries.c.job_id == jobs.c.id)
        async with self._reading.connect() as connection:
            rows = await connection.execute(
                select(jobs).where(
                    jobs.c.status.not_in(ACTIVE),
                    jobs.c.callback_url.is_not(None),
                    ~written.exists(),
                )
            )
            return read_each(rows, job_of, "job")

    async def get(self, delivery_id: int) -> Delivery | None:
        """A notification by its id."""
        async with self._reading.connect() as connection:
            row = (
                await connection.execute(select(deliveries).where(deliveries.c.id == delivery_id))
            ).first()
        return None if row is None else _delivery(row)

    async def of_job(self, job_id: int) -> Delivery | None:
        """The notification of a job; None if it has none, or not yet."""
        async with self._reading.connect() as connection:
            chosen = select(deliveries).where(deliveries.c.job_id == job_id)
            row = (await connection.execute(chosen)).first()
        return None if row is None else _delivery(row)

    async def reopen(self, delivery: Delivery, now: datetime) -> None:
        """Have a notification that is delivered or given up sent again, now."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(deliveries)
                .where(deliveries.c.id == delivery.id, deliveries.c.finished_at.is_not(None))
                .values(due_at=now, finished_at=None)
            )

    async def open(self) -> Sequence[OpenDelivery]:
        """Notifications that are neither delivered nor given up, without what they say."""
        columns = deliveries.c
        chosen = select(columns.id, columns.url, columns.attempts, columns.due_at)
        async with self._reading.connect() as connection:
            rows = await connection.execute(chosen.where(columns.finished_at.is_(None)))
            return [OpenDelivery(row.id, row.url, row.attempts, row.due_at) for row in rows]

    async def count_open(self, organization_id: int) -> int:
        """The number of an organization's notifications that are open."""
        chosen = (
            select(func.count())
            .select_from(deliveries.join(jobs, jobs.c.id == deliveries.c.job_id))
            .where(deliveries.c.finished_at.is_(None), jobs.c.organization_id == organization_id)
        )
        async with self._reading.connect() as connection:
            return (await connection.execute(chosen)).scalar_one()

    async def end_attempt(
        self,
        delivery_id: int,
        attempt: int,
        result: str,
        *,
        due_at: datetime,
        finished_at: datetime | None,
    ) -> None:
        """End an attempt: with `finished_at` it was the last one, else the next is due then."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(deliveries)
                .where(deliveries.c.id == delivery_id)
                .values(attempts=attempt, result=result, due_at=due_at, finished_at=finished_at)
            )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        row.id,
        row.job_id,
        row.instance_id,
        row.url,
        row.body,
        row.attempts,
        row.due_at,
        row.finished_at,
        row.result,
    )
