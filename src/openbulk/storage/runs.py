"""Runs of workflows, and the transfers in them."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.workflow import Run, RunStatus, Transfer, TransferSpec
from openbulk.storage.database import for_reading
from openbulk.storage.readable_rows import read_each
from openbulk.storage.tables import runs, transfers
from openbulk.storage.transfer_codec import spec_of, spec_values

_DELETED_AT_ONCE = 1_000


class Runs:
    """Remembers runs, and the transfers in them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def add(self, run: Run, specs: Sequence[TransferSpec], *, limit: int) -> bool:
        """Add a run: from now on its transfers will be carried out.

        Returns False, and adds none, if its organization has as many unfinished ones as `limit`,
        those of its schedules apart: each of these has one at most.
        """
        under_way = (
            select(func.count())
            .select_from(runs)
            .where(
                runs.c.status == RunStatus.RUNNING.value,
                runs.c.organization_id == run.organization_id,
                runs.c.schedule_id.is_(None),
            )
        )
        async with self._engine.begin() as connection:
            if (await connection.execute(under_way)).scalar_one() >= limit:
                return False
            await insert_run(connection, run, specs)
        return True

    async def unfinished_runs(self) -> Sequence[Run]:
        """The runs whose transfers are not all finished, oldest first."""
        chosen = (
            select(runs).where(runs.c.status == RunStatus.RUNNING.value).order_by(runs.c.created_at)
        )
        return await self._runs(chosen)

    async def of_schedule(self, schedule_id: str, *, limit: int, skip: int = 0) -> Sequence[Run]:
        """The runs of a schedule, newest first, after the first `skip` of them."""
        chosen = (
            select(runs)
            .where(runs.c.schedule_id == schedule_id)
            .order_by(runs.c.created_at.desc(), runs.c.id)
            .offset(skip)
            .limit(limit)
        )
        return await self._runs(chosen)

    async def of_schedules(
        self, organization_id: int, *, limit: int, skip: int = 0
    ) -> Sequence[Run]:
        """The runs of an organization's schedules, newest first, after the first `skip`."""
        of_any = (runs.c.organization_id == organization_id, runs.c.schedule_id.is_not(None))
        newest_first = (runs.c.created_at.desc(), runs.c.id)
        return await self._runs(
            select(runs).where(*of_any).order_by(*newest_first).offset(skip).limit(limit)
        )

    async def with_file(self, file: str) -> Run | None:
        """The run that a job belongs to, by the job's file."""
        of_file = exists().where(
            transfers.c.run_id == runs.c.id,
            (transfers.c.read_file == file) | (transfers.c.sent_file == file),
        )
        found = await self._runs(select(runs).where(of_file))
        return found[0] if found else None

    async def transfers(self, run: Run) -> Sequence[Transfer]:
        """The transfers of a run, in their order."""
        chosen = _with_runs().where(transfers.c.run_id == run.id).order_by(transfers.c.place)
        return await self._transfers(chosen)

    async def history(
        self, organization_id: int, *, schedule_id: str | None, skip: int, limit: int
    ) -> Sequence[Transfer]:
        """An organization's transfers, newest first."""
        chosen = _with_runs().where(runs.c.organization_id == organization_id)
        if schedule_id is not None:
            chosen = chosen.where(runs.c.schedule_id == schedule_id)
        chosen = chosen.order_by(transfers.c.id.desc()).offset(skip).limit(limit)
        async with self._reading.connect() as connection:
            return read_each(await connection.execute(chosen), _transfer, "transfer")

    async def end_transfer(self, transfer_id: int, error: str | None, now: datetime) -> None:
        """End a transfer. Only the first call has an effect."""
        status = RunStatus.COMPLETED if error is None else RunStatus.ERROR
        async with self._engine.begin() as connection:
            await connection.execute(
                update(transfers)
                .where(transfers.c.id == transfer_id, transfers.c.status == RunStatus.RUNNING.value)
                .values(status=status.value, error=error, finished_at=now)
            )

    async def end(self, run_id: str, status: RunStatus, now: datetime) -> None:
        """End a run whose transfers are finished."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(runs)
                .where(runs.c.id == run_id, runs.c.status == RunStatus.RUNNING.value)
                .values(status=status.value, finished_at=now)
            )

    async def delete_old(self, finished_before: datetime) -> int:
        """Delete runs that finished before a time, 1,000 at most; return their number.

        A schedule keeps the last one that was completed: the next one begins where it ended.
        """
        later = runs.alias()
        has_later = exists().where(
            later.c.schedule_id == runs.c.schedule_id,
            later.c.status == RunStatus.COMPLETED.value,
            later.c.created_at > runs.c.created_at,
        )
        old = select(runs.c.id).where(
            runs.c.finished_at < finished_before, runs.c.schedule_id.is_(None) | has_later
        )
        async with self._engine.begin() as connection:
            ids = (await connection.scalars(old.limit(_DELETED_AT_ONCE))).all()
            if ids:
                await connection.execute(delete(transfers).where(transfers.c.run_id.in_(ids)))
                await connection.execute(delete(runs).where(runs.c.id.in_(ids)))
        return len(ids)

    async def _runs(self, chosen: Select[Any]) -> Sequence[Run]:
        async with self._reading.connect() as connection:
            return [_run(row) for row in await connection.execute(chosen)]

    async def _transfers(self, chosen: Select[Any]) -> Sequence[Transfer]:
        async with self._reading.connect() as connection:
            return [_transfer(row) for row in await connection.execute(chosen)]


async def insert_run(connection: AsyncConnection, run: Run, specs: Sequence[TransferSpec]) -> None:
    """Add a run and its transfers, in the caller's transaction."""
    await connection.execute(
        insert(runs).values(
            id=run.id,
            organization_id=run.organization_id,
            instance_id=run.instance_id,
            schedule_id=run.schedule_id,
            request_id=run.request_id,
            status=run.status.value,
            created_at=run.created_at,
        )
    )
    rows = [
        {
            "run_id": run.id,
            "place": place,
            "spec": spec_values(spec),
            "changed_before": spec.changes and spec.changes.before,
            # The names of files whose jobs do not exist yet: each file gets one job.
            "read_file": uuid.uuid4().hex,
            "sent_file": uuid.uuid4().hex,
            "status": RunStatus.RUNNING.value,
        }
        for place, spec in enumerate(specs)
    ]
    await connection.execute(insert(transfers), rows)


def _with_runs() -> Select[Any]:
    return select(transfers, runs).join(runs, runs.c.id == transfers.c.run_id)


def _run(row: Row[Any]) -> Run:
    """The run in a row. The row may hold a transfer, too, with columns of the same names."""
    of = row._mapping
    return Run(
        id=of[runs.c.id],
        organization_id=of[runs.c.organization_id],
        instance_id=of[runs.c.instance_id],
        created_at=of[runs.c.created_at],
        schedule_id=of[runs.c.schedule_id],
        status=RunStatus(of[runs.c.status]),
        finished_at=of[runs.c.finished_at],
        request_id=of[runs.c.request_id],
    )


def _transfer(row: Row[Any]) -> Transfer:
    of = row._mapping
    return Transfer(
        id=of[transfers.c.id],
        run=_run(row),
        spec=spec_of(of[transfers.c.spec]),
        read_file=of[transfers.c.read_file],
        sent_file=of[transfers.c.sent_file],
        status=RunStatus(of[transfers.c.status]),
        error=of[transfers.c.error],
        finished_at=of[transfers.c.finished_at],
    )
