"""Which rows of a job can be retried, and which ones a job retries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.domain.errors import Conflict, NotFound
from openbulk.domain.job import Job
from openbulk.domain.row_kinds import RowChoice, RowKinds
from openbulk.storage.job_rows import ACTIVE
from openbulk.storage.mends import copy_mends, insert_mends
from openbulk.storage.outcome_blocks import row_kinds
from openbulk.storage.tables import jobs, problems, retries

_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class RetriedRows:
    """The rows that a new job retries."""

    choice: RowChoice
    sealed_mends: Mapping[int, bytes] | None = None
    """Mended values of its own, by row; None for those that the earlier job has."""


async def kinds_of(connection: AsyncConnection, job: Job) -> RowKinds:
    """What became of each row of a job whose file has been read."""
    assert job.records is not None
    kinds = await row_kinds(connection, job.id, job.records)
    own = await own_rows(connection, job)
    if own is not None:
        kinds.keep_only(own)
    return kinds


async def own_rows(connection: AsyncConnection, job: Job) -> RowChoice | None:
    """The rows that a job retries; None if it is no retry, and sends all rows of its file.

    Raises NotFound if it is deleted.
    """
    if job.retry is None:
        return None
    rows = await rows_of_retry(connection, job.id)
    if rows is None:  # it goes after its job
        raise NotFound(f"job {job.id} was deleted")
    return rows


async def rows_of_retry(connection: AsyncConnection, job_id: int) -> RowChoice | None:
    """The rows that a job retries; None if it is no retry."""
    packed = await connection.scalar(select(retries.c.rows).where(retries.c.job_id == job_id))
    return None if packed is None else RowChoice.unpack(packed)


async def retried_rows(connection: AsyncConnection, job_id: int) -> Mapping[int, RowChoice]:
    """The rows of a job that later jobs retry, by the ids of those.

    One that ended before it had read a row has sent none, nor has one that is only planned: others
    may retry its rows.
    """
    unread = select(jobs.c.id).where(
        jobs.c.id == retries.c.job_id, jobs.c.records.is_(None), jobs.c.status.not_in(ACTIVE)
    )
    planned = select(jobs.c.id).where(
        jobs.c.id == retries.c.job_id, jobs.c.planned_file.is_not(None), jobs.c.apply.is_(None)
    )
    of_job = select(retries).where(retries.c.of == job_id, ~unread.exists(), ~planned.exists())
    found = await connection.execute(of_job)
    return {row.job_id: RowChoice.unpack(row.rows) for row in found}


async def rows_of_cause(
    connection: AsyncConnection, job_id: int, cause: str, records: int
) -> RowChoice:
    """The rows of a job whose problem has this cause."""
    choice = RowChoice(records)
    of_cause = (problems.c.job_id == job_id, problems.c.cause == cause)
    rows: Sequence[int] = [0]
    while rows:
        page = select(problems.c.row).where(*of_cause, problems.c.row > rows[-1])
        found = await connection.scalars(page.order_by(problems.c.row).limit(_ROWS_AT_ONCE))
        rows = found.all()
        choice.add(rows)
    return choice


async def require_not_retried(connection: AsyncConnection, job: Job, rows: RowChoice) -> None:
    """Raise Conflict if another job retries some of the rows that a job is to retry.

    Until the transaction ends, no other one begins to.
    """
    retry = job.retry
    assert retry is not None
    # Two requests for the same rows come here one after the other.
    earlier = select(jobs.c.id).where(jobs.c.id == retry.of).with_for_update()
    if (await connection.execute(earlier)).first() is None:
        raise Conflict(f"job {retry.of} is deleted; upload its file again")
    for other, choice in (await retried_rows(connection, retry.of)).items():
        if other != job.id and len(choice.both(rows)):
            raise Conflict(f"job {other} retries these rows of job {retry.of}; retry that one")


async def add_retry(connection: AsyncConnection, job: Job, rows: RetriedRows) -> None:
    """Note, with a new job, which rows it retries. Raises Conflict if another one does already."""
    retry = job.retry
    assert retry is not None
    await require_not_retried(connection, job, rows.choice)
    values = {"job_id": job.id, "of": retry.of, "rows": rows.choice.pack()}
    await connection.execute(insert(retries).values(values))
    if rows.sealed_mends is None:
        await copy_mends(connection, retry.of, job.id)
    else:
        await insert_mends(connection, job.id, rows.sealed_mends.items())
