"""What people have decided about plans.

Whatever decides about a plan, uses a decision or takes it back locks the plan's job first. So of
two at the same time the second one sees what the first one has done.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.approvals import (
    ApprovalRule,
    ApprovalState,
    Author,
    Decision,
    Verdict,
    needs_approval,
    problem_of,
)
from openbulk.domain.errors import Conflict, NotFound
from openbulk.domain.job import Job, Status
from openbulk.storage.database import for_reading
from openbulk.storage.job_rows import job_of
from openbulk.storage.readable_rows import read_each
from openbulk.storage.tables import Timestamp, approvals, jobs, organizations, users

_IS_LEFT = approvals.c.withdrawn_at.is_(None)


@dataclass(frozen=True, slots=True)
class NewDecision:
    """What a person is about to decide about a plan."""

    digest: str
    verdict: Verdict
    user_id: int
    note: str
    expires_at: datetime


class Approvals:
    """Remembers what people have decided about plans."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def add(self, job: Job, new: NewDecision, *, now: datetime) -> Decision:
        """Decide about the plan of a job.

        Raises Conflict if somebody has decided already, or the plan is no longer only planned, and
        NotFound if the job is deleted.
        """
        values = {
            "job_id": job.id,
            "digest": new.digest,
            "verdict": new.verdict.value,
            "user_id": new.user_id,
            "note": new.note,
            "decided_at": now,
            "expires_at": new.expires_at,
        }
        async with self._engine.begin() as connection:
            await _lock_plan(connection, job.id)
            earlier = await newest_decision(connection, job.id)
            if earlier is not None and earlier.stands(now):
                raise Conflict(_decided_already(earlier))
            if earlier is not None and earlier.withdrawn_at is None:
                await _withdraw(connection, earlier.id, now, None)
            made = await connection.execute(insert(approvals).values(values))
            assert made.inserted_primary_key is not None
            return await _decision(connection, int(made.inserted_primary_key.id))

    async def withdraw(
        self, job: Job, decision_id: int, *, user_id: int, now: datetime
    ) -> Decision | None:
        """Take a decision about a plan back; None if there is none with this number.

        Raises Conflict if it is taken back already, or the plan is no longer only planned.
        """
        async with self._engine.begin() as connection:
            await _lock_plan(connection, job.id)
            of_job = (approvals.c.job_id == job.id, approvals.c.id == decision_id)
            left = await connection.scalar(select(_IS_LEFT).where(*of_job))
            if left is None:
                return None
            if not left:
                raise Conflict(f"the decision {decision_id} does not stand any more")
            await _withdraw(connection, decision_id, now, user_id)
            return await _decision(connection, decision_id)

    async def of_job(self, job_id: int) -> Sequence[Decision]:
        """What was decided about the plan of a job, the newest first."""
        async with self._reading.connect() as connection:
            return await _decisions(connection, approvals.c.job_id == job_id)

    async def newest(self, job_ids: Collection[int]) -> Mapping[int, Decision]:
        """The decision about the plan of each of some jobs that nobody has taken back."""
        async with self._reading.connect() as connection:
            found = await _decisions(connection, approvals.c.job_id.in_(job_ids), _IS_LEFT)
        return {decision.job_id: decision for decision in found}

    async def rule_of(self, organization_id: int) -> ApprovalRule:
        """Whose plans an organization has approved."""
        async with self._reading.connect() as connection:
            return await rule_of(connection, organization_id)

    async def plans(
        self,
        organization_id: int,
        state: ApprovalState,
        *,
        instance_id: int | None,
        planned_after: datetime,
        now: datetime,
        before: int | None,
        limit: int,
    ) -> Sequence[Job]:
        """The jobs whose plans need an approval, newest first, and stand so.

        Only those that were planned after a time, and are older than the job `before`.
        """
        chosen = (
            select(jobs)
            .join(organizations, organizations.c.id == jobs.c.organization_id)
            .outerjoin(approvals, and_(approvals.c.job_id == jobs.c.id, _IS_LEFT))
            .where(
                jobs.c.organization_id == organization_id,
                jobs.c.status == Status.PLANNED.value,
                jobs.c.planned_at > planned_after,
                or_(
                    jobs.c.by_agent.is_(True),
                    organizations.c.approvals == ApprovalRule.EVERYONE.value,
                ),
                _is_in(state, now),
            )
            .order_by(jobs.c.id.desc())
            .limit(limit)
        )
        if instance_id is not None:
            chosen = chosen.where(jobs.c.instance_id == instance_id)
        if before is not None:
            chosen = chosen.where(jobs.c.id < before)
        async with self._reading.connect() as connection:
            return read_each(await connection.execute(chosen), job_of, "job")


async def use_approval(
    connection: AsyncConnection, job: Job, *, digest: str, applying: Author, now: datetime
) -> None:
    """Use the approval of a plan that is about to be carried out, if it needs one.

    Its job is locked. Raises Conflict if there is none that holds for this plan, or if somebody has
    refused it, whether it needs one or not.
    """
    rule = await rule_of(connection, job.organization_id)
    found = await newest_decision(connection, job.id)
    if found is not None and found.digest != digest:
        found = None
    is_refused = found is not None and found.verdict is Verdict.REFUSED
    if not is_refused and not needs_approval(job.author, rule, applying):
        return
    problem = problem_of(job.id, found, now)
    if problem is not None:
        raise Conflict(problem)
    assert found is not None
    change = update(approvals).where(approvals.c.id == found.id)
    await connection.execute(
        change.values(
            used_at=func.coalesce(approvals.c.used_at, literal(now, Timestamp)),
            used_by=func.coalesce(approvals.c.used_by, applying.user_id),
        )
    )


async def newest_decision(connection: AsyncConnection, job_id: int) -> Decision | None:
    """The decision about the plan of a job that nobody has taken back; None if there is none."""
    found = await _decisions(connection, approvals.c.job_id == job_id, _IS_LEFT)
    return found[0] if found else None


async def rule_of(connection: AsyncConnection, organization_id: int) -> ApprovalRule:
    """Whose plans an organization has approved."""
    rule = select(organizations.c.approvals).where(organizations.c.id == organization_id)
    return ApprovalRule((await connection.execute(rule)).scalar_one())


async def _lock_plan(connection: AsyncConnection, job_id: int) -> None:
    """Lock a job with a plan. Raises NotFound if it is deleted, Conflict if it is carried out."""
    locked = select(jobs.c.status).where(jobs.c.id == job_id).with_for_update()
    status = await connection.scalar(locked)
    if status is None:
        raise NotFound(f"job {job_id} was deleted")
    if status != Status.PLANNED.value:
        raise Conflict(
            f"the plan of job {job_id} is carried out: nobody decides about it any more; "
            f"PUT /bulk/{job_id}/cancel stops it"
        )


async def _withdraw(
    connection: AsyncConnection, decision_id: int, now: datetime, user_id: int | None
) -> None:
    change = update(approvals).where(approvals.c.id == decision_id)
    await connection.execute(change.values(withdrawn_at=now, withdrawn_by=user_id))


def _is_in(state: ApprovalState, now: datetime) -> ColumnElement[bool]:
    """Whether a plan, with the decision about it that is left, stands so."""
    if state is ApprovalState.REFUSED:
        return approvals.c.verdict == Verdict.REFUSED.value
    is_approved = approvals.c.verdict == Verdict.APPROVED.value
    holds = or_(approvals.c.used_at.is_not(None), approvals.c.expires_at > now)
    if state is ApprovalState.APPROVED:
        return and_(is_approved, holds)
    return or_(approvals.c.id.is_(None), and_(is_approved, ~holds))


def _decided_already(decision: Decision) -> str:
    did = "approved" if decision.verdict is Verdict.APPROVED else "refused"
    return (
        f"{decision.email} has {did} the plan of job {decision.job_id} already; DELETE "
        f"/bulk/{decision.job_id}/approvals/{decision.id} takes that back"
    )


async def _decision(connection: AsyncConnection, decision_id: int) -> Decision:
    return (await _decisions(connection, approvals.c.id == decision_id))[0]


async def _decisions(
    connection: AsyncConnection, *conditions: ColumnElement[bool]
) -> Sequence[Decision]:
    chosen = (
        select(approvals, users.c.email)
        .join(users, users.c.id == approvals.c.user_id)
        .where(*conditions)
        .order_by(approvals.c.id.desc())
    )
    return [_decision_of(row) for row in await connection.execute(chosen)]


def _decision_of(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        job_id=row.job_id,
        digest=row.digest,
        verdict=Verdict(row.verdict),
        user_id=row.user_id,
        email=row.email,
        note=row.note,
        decided_at=row.decided_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        used_by=row.used_by,
        withdrawn_at=row.withdrawn_at,
        withdrawn_by=row.withdrawn_by,
    )
