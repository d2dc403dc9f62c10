"""Deletes jobs with everything that the ledger has of them.

First the job itself goes, in one transaction: from then on nobody finds it. What it has left behind
goes after it, some rows at a time, so that others do not wait for the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Table,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.job import Status
from openbulk.domain.workflow import RunStatus
from openbulk.storage.budgets import job_scope
from openbulk.storage.database import DELETING, for_reading, give_space_back, keep_others_out
from openbulk.storage.job_rows import ACTIVE, HAS_UNFINISHED_LATER_JOB, HAS_UNFINISHED_UNDO
from openbulk.storage.tables import (
    approvals,
    before_images,
    budgets,
    deleted_jobs,
    deliveries,
    idempotency_keys,
    intents,
    jobs,
    mends,
    outcome_blocks,
    parts,
    plan_parts,
    problems,
    retries,
    runs,
    transfers,
    undo_parts,
)

JOBS_AT_ONCE = 200
_LEFT_BEHIND: Sequence[tuple[Table, Column[Any], int]] = (
    (problems, problems.c.row, 5_000),
    (outcome_blocks, outcome_blocks.c.first_row, 200),
    (parts, parts.c.first_row, 5_000),
    (intents, intents.c.row, 5_000),
    (mends, mends.c.row, 5_000),
    (plan_parts, plan_parts.c.first_row, 5_000),
    (undo_parts, undo_parts.c.first_row, 5_000),
    (before_images, before_images.c.row, 5_000),
)
"""Tables with rows of a job, the rest of their keys, and the rows deleted in one transaction."""

_IN_UNFINISHED_RUN = exists().where(
    or_(transfers.c.read_file == jobs.c.file, transfers.c.sent_file == jobs.c.file),
    transfers.c.run_id == runs.c.id,
    runs.c.status == RunStatus.RUNNING.value,
)
"""A workflow would begin a job again that it does not find."""
_IS_FINISHED = and_(
    jobs.c.status.not_in(ACTIVE),
    ~_IN_UNFINISHED_RUN,
    ~HAS_UNFINISHED_LATER_JOB,
    ~HAS_UNFINISHED_UNDO,
)
_HAS_NOTIFIED = or_(
    jobs.c.callback_url.is_(None),
    jobs.c.status == Status.PLANNED.value,  # a plan notifies nobody
    exists().where(deliveries.c.job_id == jobs.c.id, deliveries.c.finished_at.is_not(None)),
)


@dataclass(frozen=True, slots=True)
class DeletedJob:
    """A job that is deleted, and has left rows or its file behind."""

    id: int
    file: str


class DeletedJobs:
    """Deletes finished jobs, and remembers those that have left something behind."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def add(self, job_id: int) -> DeletedJob | None:
        """Delete a job. None if it is not finished, or a workflow needs it, or it is gone."""
        added = await self._add(jobs.c.id == job_id)
        return added[0] if added else None

    async def has_unfinished_later_job(self, job_id: int) -> bool:
        """Whether a job that is not finished retries or verifies rows of this one."""
        question = select(jobs.c.id).where(jobs.c.id == job_id, HAS_UNFINISHED_LATER_JOB)
        async with self._reading.connect() as connection:
            return await connection.scalar(question) is not None

    async def has_unfinished_undo(self, job_id: int) -> bool:
        """Whether a job that is not finished undoes this one."""
        question = select(jobs.c.id).where(jobs.c.id == job_id, HAS_UNFINISHED_UNDO)
        async with self._reading.connect() as connection:
            return await connection.scalar(question) is not None

    async def add_old(self, finished_before: datetime) -> int:
        """Delete jobs that finished before a time, 200 at most; return their number.

        Jobs whose callback is still to be delivered stay.
        """
        return len(await self._add(jobs.c.finished_at < finished_before, _HAS_NOTIFIED))

    async def _add(self, *conditions: ColumnElement[bool]) -> Sequence[DeletedJob]:
        chosen = select(jobs.c.id, jobs.c.file).where(*conditions, _IS_FINISHED)
        async with self._engine.begin() as connection:
            await keep_others_out(connection, DELETING)
            found = [
                DeletedJob(row.id, row.file)
                for row in await connection.execute(chosen.limit(JOBS_AT_ONCE))
            ]
            if found:
                await _delete_jobs(connection, found)
        return found

    async def all(self) -> Sequence[DeletedJob]:
        """The deleted jobs that have left something behind."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(select(deleted_jobs).limit(10 * JOBS_AT_ONCE))
            return [DeletedJob(row.job_id, row.file) for row in rows]

    async def clear(self, job: DeletedJob) -> None:
        """Delete the rows that a deleted job has left behind, and then forget the job."""
        while not await self._clear_some(job):
            pass

    async def _clear_some(self, job: DeletedJob) -> bool:
        """Delete some rows of each table; return whether none are left."""
        is_last = True
        async with self._engine.begin() as connection:
            for table, key, at_once in _LEFT_BEHIND:
                of_job = table.c.job_id == job.id
                some = select(key).where(of_job).limit(at_once)
                gone = await connection.execute(delete(table).where(of_job, key.in_(some)))
                is_last = is_last and gone.rowcount < at_once
            if is_last:
                entry = delete(deleted_jobs).where(deleted_jobs.c.job_id == job.id)
                await connection.execute(entry)
        return is_last

    async def give_space_back(self) -> None:
        """Make a SQLite file smaller, if deleted rows take much of it."""
        await give_space_back(self._reading)


async def _delete_jobs(connection: AsyncConnection, found: Sequence[DeletedJob]) -> None:
    ids = [job.id for job in found]
    for table in (idempotency_keys, deliveries):
        await connection.execute(delete(table).where(table.c.job_id.in_(ids)))
    # A retry that ended before it had read a row has sent none: its rows can be retried again.
    unread = select(jobs.c.id).where(jobs.c.id.in_(ids), jobs.c.records.is_(None))
    await connection.execute(delete(retries).where(retries.c.job_id.in_(unread)))
    await connection.execute(delete(jobs).where(jobs.c.id.in_(ids)))
    # Now nobody decides about their plans any more: who does locks the job.
    await connection.execute(delete(approvals).where(approvals.c.job_id.in_(ids)))
    await connection.execute(delete(retries).where(_is_of_nobody(ids)))
    await connection.execute(delete(budgets).where(budgets.c.scope.in_(map(job_scope, ids))))
    left = [{"job_id": job.id, "file": job.file} for job in found]
    await connection.execute(insert(deleted_jobs), left)


def _is_of_nobody(ids: Sequence[int]) -> ColumnElement[bool]:
    """Choices of rows that a deleted job has retried, or others of it, once both jobs are gone.

    As long as the earlier job is there, none of its rows may be retried a second time.
    """
    there = select(jobs.c.id)
    return or_(
        and_(retries.c.job_id.in_(ids), retries.c.of.not_in(there)),
        and_(retries.c.of.in_(ids), retries.c.job_id.not_in(there)),
    )
