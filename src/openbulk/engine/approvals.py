"""Has plans approved: who may, where the approval of each stands, and what people decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from openbulk.domain.approvals import (
    HOLDS_FOR,
    ApprovalRule,
    ApprovalState,
    Author,
    Decision,
    Verdict,
    is_own_plan,
    may_approve,
    needs_approval,
    problem_of,
    state_of,
)
from openbulk.domain.errors import Conflict, NotAllowed, NotFound
from openbulk.domain.job import Job, Status
from openbulk.domain.people import Caller, User
from openbulk.engine.plans import PlanReader
from openbulk.engine.queue.clock import Clock
from openbulk.storage.approvals import Approvals, NewDecision
from openbulk.storage.people import People

log = structlog.get_logger()

_SHOWN_APPROVERS = 3


@dataclass(frozen=True, slots=True)
class ApprovalOfPlan:
    """Where the approval of a plan stands."""

    state: ApprovalState
    decision: Decision | None
    """What was decided last; None for nothing, or if it was taken back."""
    approvers: Sequence[User]
    """Who may decide, while it waits."""
    author: User | None
    """Who has made the plan, or whose agent; None if nobody knows."""


class PlanApprovals:
    """Has the plans of jobs approved."""

    def __init__(
        self,
        approvals: Approvals,
        reader: PlanReader,
        people: People,
        clock: Clock,
        *,
        keep_plans: timedelta,
    ) -> None:
        self._approvals = approvals
        self._reader = reader
        self._people = people
        self._now = clock.now
        self._keep_plans = keep_plans

    async def decide(
        self, job: Job, digest: str, verdict: Verdict, caller: Caller, note: str
    ) -> Decision:
        """Approve or refuse the plan of a job.

        Raises NotFound for a job without a plan, NotAllowed for its author, and Conflict if the
        plan is another one, has expired or is carried out, or if somebody has decided already.
        """
        plan = await self._reader.read(job)
        if job.status is not Status.PLANNED or plan.expires_at is None:
            raise Conflict(
                f"job {job.id} is {job.status.value}; a plan is approved while its job is PLANNED"
            )
        if plan.digest != digest:
            raise Conflict(
                f"the digest is not that of the plan of job {job.id}; look at the plan again "
                f"(GET /bulk/{job.id}/plan), and send the digest that it has"
            )
        now = self._now()
        if now >= plan.expires_at:
            ended = plan.expires_at.isoformat(timespec="seconds")
            raise Conflict(f"the plan of job {job.id} expired at {ended}; have it planned again")
        await self._require_other_person(job, caller)
        ends_at = plan.expires_at
        if verdict is Verdict.APPROVED:
            ends_at = min(ends_at, now + HOLDS_FOR)
        new = NewDecision(digest, verdict, caller.user.id, note, ends_at)
        made = await self._approvals.add(job, new, now=now)
        log.info("plan is decided about", job=job.id, user=caller.user.id, verdict=verdict.value)
        return made

    async def withdraw(self, job: Job, decision_id: int, caller: Caller) -> Decision:
        """Take a decision back. Raises NotFound, and Conflict once the plan is carried out."""
        await self._reader.read(job)
        done = await self._approvals.withdraw(
            job, decision_id, user_id=caller.user.id, now=self._now()
        )
        if done is None:
            raise NotFound(
                f"there is no decision {decision_id} about the plan of job {job.id}; GET "
                f"/bulk/{job.id}/approvals lists those that there are"
            )
        log.info("decision about a plan is withdrawn", job=job.id, user=caller.user.id)
        return done

    async def require(self, job: Job, applying: Author) -> None:
        """Raise Conflict, with who may approve, if a plan has no approval that it needs.

        The ledger looks again when it uses the approval: this is for the sentence.
        """
        rule = await self._approvals.rule_of(job.organization_id)
        newest = (await self._approvals.newest([job.id])).get(job.id)
        if newest is not None and newest.verdict is Verdict.REFUSED:
            raise Conflict(problem_of(job.id, newest, self._now()) or "")
        if not needs_approval(job.author, rule, applying):
            return
        problem = problem_of(job.id, newest, self._now())
        if problem is not None:
            who = _sentence_of(await self._approvers(job, rule))
            raise Conflict(f"{problem}; {who} (POST /bulk/{job.id}/approvals)")

    async def is_needed(self, job: Job, applying: Author) -> bool:
        """Whether a plan needs an approval before it is carried out."""
        rule = await self._approvals.rule_of(job.organization_id)
        return needs_approval(job.author, rule, applying)

    async def of_job(self, job: Job) -> ApprovalOfPlan | None:
        """Where the approval of a plan stands; None of a job that is not only planned."""
        return (await self.of_jobs([job])).get(job.id)

    async def of_jobs(self, jobs: Sequence[Job]) -> Mapping[int, ApprovalOfPlan]:
        """Where the approvals of the plans of jobs of one organization stand, by job."""
        planned = [job for job in jobs if job.status is Status.PLANNED]
        if not planned:
            return {}
        rule = await self._approvals.rule_of(planned[0].organization_id)
        newest = await self._approvals.newest([job.id for job in planned])
        users = await self._people.users(planned[0].organization_id)
        by_id = {user.id: user for user in users}
        now = self._now()
        found = {}
        for job in planned:
            decision = newest.get(job.id)
            is_needed = needs_approval(job.author, rule)
            state = state_of(decision, now, is_needed=is_needed)
            waits = state is ApprovalState.WAITING
            approvers = _approvers_among(users, job, rule) if waits else ()
            found[job.id] = ApprovalOfPlan(
                state, decision, approvers, by_id.get(job.author.user_id or 0)
            )
        return found

    async def history(self, job: Job) -> Sequence[Decision]:
        """What was decided about the plan of a job, the newest first. Raises NotFound."""
        await self._reader.read(job)
        return await self._approvals.of_job(job.id)

    async def plans(
        self, caller: Caller, state: ApprovalState, *, before: int | None, limit: int
    ) -> Sequence[Job]:
        """The jobs whose plans need an approval, hold, and stand so, newest first."""
        now = self._now()
        return await self._approvals.plans(
            caller.user.organization_id,
            state,
            instance_id=caller.instance.id if caller.instance else None,
            planned_after=now - self._keep_plans,
            now=now,
            before=before,
            limit=limit,
        )

    async def jobs_to_decide(self, caller: Caller, jobs: Sequence[Job]) -> frozenset[int]:
        """The ids of those of some jobs about whose plans a caller may decide."""
        if not jobs:
            return frozenset()
        rule = await self._approvals.rule_of(jobs[0].organization_id)
        return frozenset(job.id for job in jobs if _may_decide(job, caller, rule))

    async def _require_other_person(self, job: Job, caller: Caller) -> None:
        rule = await self._approvals.rule_of(job.organization_id)
        if caller.is_agent or is_own_plan(caller.user.id, job.author, rule):
            who = _sentence_of(await self._approvers(job, rule))
            raise NotAllowed(f"the plan of job {job.id} is your own; {who}")

    async def _approvers(self, job: Job, rule: ApprovalRule) -> Sequence[User]:
        users = await self._people.users(job.organization_id)
        return _approvers_among(users, job, rule)


def _may_decide(job: Job, caller: Caller, rule: ApprovalRule) -> bool:
    is_other = not is_own_plan(caller.user.id, job.author, rule)
    return is_other and not caller.is_agent and caller.may_approve


def _approvers_among(users: Sequence[User], job: Job, rule: ApprovalRule) -> Sequence[User]:
    return [
        user
        for user in users
        if user.active and may_approve(user.role) and not is_own_plan(user.id, job.author, rule)
    ]


def _sentence_of(approvers: Sequence[User]) -> str:
    """Who may approve, for a person."""
    if not approvers:
        return (
            "nobody of your organization may approve it; an administrator can give another user "
            "the role 'approver'"
        )
    shown = [user.email for user in approvers[:_SHOWN_APPROVERS]]
    others = len(approvers) - len(shown)
    if others:
        shown.append(f"{others} more")
    if len(shown) == 1:
        return f"{shown[0]} may approve it"
    return f"{', '.join(shown[:-1])} {'and' if others else 'or'} {shown[-1]} may approve it"
