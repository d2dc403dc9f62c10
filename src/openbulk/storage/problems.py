"""Problems of records: why they failed, or are unknown. They are read by page, and by cause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.domain.causes import cause_id
from openbulk.domain.records import Outcome, OutcomeKind
from openbulk.storage.tables import problems


@dataclass(frozen=True, slots=True)
class RecordError:
    """A record that failed, or whose outcome is unknown."""

    row: int
    line: int | None
    kind: OutcomeKind
    problem: str
    field: str | None
    provider_message: str | None


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The records of a job that failed for one cause, or are unknown for it."""

    id: str
    """Of the cause, as `domain/causes.py` makes it."""
    count: int
    has_one_text: bool
    """Whether all of them have the same message, values included."""
    first: RecordError
    """The first of them in the file."""


async def add_problems(
    connection: AsyncConnection,
    job_id: int,
    outcomes: Sequence[Outcome],
    lines: Mapping[int, int | None],
) -> None:
    """Write the problems of outcomes, each of which has one. `lines` are line numbers by row."""
    values = [_values(job_id, outcome, lines) for outcome in outcomes]
    await connection.execute(insert(problems), values)


async def errors_of(
    connection: AsyncConnection,
    job_id: int,
    *,
    after: int,
    limit: int,
    skip: int = 0,
    cause: str | None = None,
) -> Sequence[RecordError]:
    """The records of a job with a problem, after the row `after`, in the order of the file.

    The first `skip` of them are left out. `cause` chooses those of one cause.
    """
    chosen = select(problems).where(problems.c.job_id == job_id, problems.c.row > after)
    if cause is not None:
        chosen = chosen.where(problems.c.cause == cause)
    found = await connection.execute(chosen.order_by(problems.c.row).offset(skip).limit(limit))
    return [_record_error(row) for row in found]


async def error_groups_of(
    connection: AsyncConnection, job_id: int, *, limit: int, skip: int = 0
) -> Sequence[ErrorGroup]:
    """The causes of a job's problems, those with most records first."""
    text = problems.c.problem
    grouped = (
        select(
            problems.c.cause,
            func.count().label("records"),
            func.min(problems.c.row).label("first_row"),
            (func.min(text) == func.max(text)).label("has_one_text"),
        )
        .where(problems.c.job_id == job_id)
        .group_by(problems.c.cause)
        .order_by(func.count().desc(), func.min(problems.c.row))
        .offset(skip)
        .limit(limit)
    )
    groups = (await connection.execute(grouped)).all()
    rows = [group.first_row for group in groups]
    chosen = select(problems).where(problems.c.job_id == job_id, problems.c.row.in_(rows))
    first = {row.row: _record_error(row) for row in await connection.execute(chosen)}
    return [
        ErrorGroup(group.cause, group.records, bool(group.has_one_text), first[group.first_row])
        for group in groups
    ]


def _record_error(row: Row[Any]) -> RecordError:
    kind = OutcomeKind(row.kind)
    return RecordError(row.row, row.line, kind, row.problem, row.field, row.provider_message)


def _values(job_id: int, outcome: Outcome, lines: Mapping[int, int | None]) -> dict[str, Any]:
    problem = outcome.problem
    assert problem is not None
    return {
        "job_id": job_id,
        "row": outcome.row,
        "line": lines.get(outcome.row),
        "kind": outcome.kind.value,
        "problem": problem.message,
        "field": problem.field,
        "provider_message": problem.provider_message,
        "cause": cause_id(outcome.kind, problem),
    }
