"""Outcomes as rows, and intents: rows of records that may have been sent without an outcome."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.domain.job import Job
from openbulk.domain.records import Outcome, OutcomeKind, Problem
from openbulk.storage.job_rows import job_of
from openbulk.storage.tables import intents, jobs, outcomes

_NEVER_LOOKED_UP = (
    "nobody knows whether the service has taken this record "
    "(the job ended before it could be looked up); check there before you send it again"
)


def outcome_values(
    job_id: int, outcome: Outcome, lines: Mapping[int, int | None]
) -> dict[str, Any]:
    """The row of an outcome. `lines` has the line numbers of records in the file, by row."""
    problem = outcome.problem
    return {
        "job_id": job_id,
        "row": outcome.row,
        "line": lines.get(outcome.row),
        "kind": outcome.kind.value,
        "record_id": outcome.id,
        "problem": problem and problem.message,
        "field": problem and problem.field,
        "provider_message": problem and problem.provider_message,
    }


async def open_intents(connection: AsyncConnection, job_id: int) -> frozenset[int]:
    """The rows of a job that were about to be sent, and have no outcome."""
    with_outcome = select(outcomes.c.row).where(
        outcomes.c.job_id == intents.c.job_id, outcomes.c.row == intents.c.row
    )
    found = await connection.scalars(
        select(intents.c.row).where(intents.c.job_id == job_id, ~with_outcome.exists())
    )
    return frozenset(found.all())


async def close_intents(connection: AsyncConnection, job: Job) -> Job:
    """Close the intents of a job that has just ended: their records are unknown. Return the job."""
    rows = await open_intents(connection, job.id)
    await connection.execute(delete(intents).where(intents.c.job_id == job.id))
    if not rows:
        return job
    results = [Outcome(row, OutcomeKind.UNKNOWN, problem=Problem(_NEVER_LOOKED_UP)) for row in rows]
    await connection.execute(
        insert(outcomes), [outcome_values(job.id, outcome, {}) for outcome in results]
    )
    row = await connection.execute(
        update(jobs)
        .where(jobs.c.id == job.id)
        .values(unknown=jobs.c.unknown + len(rows))
        .returning(jobs)
    )
    return job_of(row.one())
