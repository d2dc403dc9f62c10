"""Schedules of workflows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.approvals import ApprovalRule
from openbulk.domain.workflow import Run, RunStatus, Schedule, TransferSpec
from openbulk.storage.approvals import rule_of
from openbulk.storage.database import for_reading
from openbulk.storage.readable_rows import read_each
from openbulk.storage.runs import insert_run
from openbulk.storage.tables import runs, schedules, transfers
from openbulk.storage.transfer_codec import spec_of, spec_values


class Schedules:
    """Remembers the schedules of workflows."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def add(self, schedule: Schedule, *, limit: int) -> bool:
        """Add a schedule: from now on it runs whenever it is due.

        Returns False, and adds none, if its organization has as many as `limit`.
        """
        of_organization = schedules.c.organization_id == schedule.organization_id
        count = select(func.count()).select_from(schedules).where(of_organization)
        async with self._engine.begin() as connection:
            if (await connection.execute(count)).scalar_one() >= limit:
                return False
            await connection.execute(
                insert(schedules).values(
                    id=schedule.id,
                    organization_id=schedule.organization_id,
                    instance_id=schedule.instance_id,
                    name=schedule.name,
                    description=schedule.description,
                    cron=schedule.cron,
                    request=dict(schedule.request),
                    specs=[spec_values(spec) for spec in schedule.specs],
                    created_at=schedule.created_at,
                    due_at=schedule.due_at,
                )
            )
        return True

    async def get(self, schedule_id: str) -> Schedule | None:
        """A schedule by its id."""
        async with self._reading.connect() as connection:
            row = (
                await connection.execute(select(schedules).where(schedules.c.id == schedule_id))
            ).first()
        return None if row is None else _schedule(row)

    async def of(
        self, organization_id: int, *, after: Schedule | None, limit: int
    ) -> Sequence[Schedule]:
        """The schedules of an organization after another one, oldest first."""
        columns = schedules.c
        chosen = select(schedules).where(columns.organization_id == organization_id).limit(limit)
        if after is not None:
            is_older = columns.created_at > after.created_at
            is_as_old = and_(columns.created_at == after.created_at, columns.id > after.id)
            chosen = chosen.where(or_(is_older, is_as_old))
        async with self._reading.connect() as connection:
            rows = await connection.execute(chosen.order_by(schedules.c.created_at, schedules.c.id))
            return read_each(rows, _schedule, "schedule")

    async def enabled_that_write(self, organization_id: int) -> Sequence[str]:
        """The ids of the schedules of an organization that are due some time, and write."""
        chosen = (
            select(schedules)
            .where(schedules.c.organization_id == organization_id, schedules.c.due_at.is_not(None))
            .order_by(schedules.c.created_at, schedules.c.id)
        )
        async with self._reading.connect() as connection:
            found = read_each(await connection.execute(chosen), _schedule, "schedule")
        return [schedule.id for schedule in found if schedule.writes]

    async def may_write(self, organization_id: int) -> bool:
        """Whether schedules of an organization may write: nobody approves what they do."""
        async with self._reading.connect() as connection:
            return await rule_of(connection, organization_id) is not ApprovalRule.EVERYONE

    async def due(self, now: datetime) -> Sequence[str]:
        """The ids of the schedules that are due: a thousand of them can be large."""
        chosen = select(schedules.c.id).where(schedules.c.due_at <= now)
        async with self._reading.connect() as connection:
            return (await connection.scalars(chosen)).all()

    async def next_due(self, after: datetime | None = None) -> datetime | None:
        """The earliest time, after another one if given, at which any schedule is due."""
        chosen = select(func.min(schedules.c.due_at))
        if after is not None:
            chosen = chosen.where(schedules.c.due_at > after)
        async with self._reading.connect() as connection:
            moment: datetime | None = await connection.scalar(chosen)
        return moment

    async def set_time(self, schedule_id: str, cron: str, due_at: datetime | None) -> None:
        """Set when a schedule is due; with None it is not due until it is set again."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(schedules)
                .where(schedules.c.id == schedule_id)
                .values(cron=cron, due_at=due_at)
            )

    async def delete(self, schedule_id: str) -> None:
        """Forget a schedule. Its runs stay."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(schedules).where(schedules.c.id == schedule_id))

    async def delete_of(self, instance_id: int) -> None:
        """Forget the schedules that read from an instance."""
        async with self._engine.begin() as connection:
            await connection.execute(
                delete(schedules).where(schedules.c.instance_id == instance_id)
            )

    async def is_running(self, schedule_id: str) -> bool:
        """Whether a run of a schedule is unfinished."""
        chosen = select(runs.c.id).where(
            runs.c.schedule_id == schedule_id, runs.c.status == RunStatus.RUNNING.value
        )
        async with self._reading.connect() as connection:
            return (await connection.execute(chosen.limit(1))).first() is not None

    async def end_of_changes(self, schedule_id: str, place: int) -> datetime | None:
        """The time up to which a schedule has transferred changes; None if it has not yet.

        `place` is the place of the transfer in the schedule.
        """
        chosen = (
            select(transfers.c.changed_before)
            .join(runs, runs.c.id == transfers.c.run_id)
            .where(
                runs.c.schedule_id == schedule_id,
                transfers.c.place == place,
                transfers.c.status == RunStatus.COMPLETED.value,
                transfers.c.changed_before.is_not(None),
            )
            .order_by(transfers.c.id.desc())
            .limit(1)
        )
        async with self._reading.connect() as connection:
            moment: datetime | None = await connection.scalar(chosen)
        return moment

    async def take(
        self,
        schedule: Schedule,
        due_at: datetime | None,
        run: Run | None,
        specs: Sequence[TransferSpec],
    ) -> bool:
        """Take a schedule that is due: set when it is due next, and add its run, if it has one.

        Returns False, and writes nothing, if another process has taken it.
        """
        async with self._engine.begin() as connection:
            taken = await connection.execute(
                update(schedules)
                .where(schedules.c.id == schedule.id, schedules.c.due_at == schedule.due_at)
                .values(due_at=due_at)
            )
            if not taken.rowcount:
                return False
            if run is not None:
                await insert_run(connection, run, specs)
        return True


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        id=row.id,
        organization_id=row.organization_id,
        instance_id=row.instance_id,
        name=row.name,
        description=row.description,
        cron=row.cron,
        request=row.request,
        specs=[spec_of(spec) for spec in row.specs],
        created_at=row.created_at,
        due_at=row.due_at,
    )
