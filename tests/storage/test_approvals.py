"""Decisions about plans in SQLite and in PostgreSQL: the ledger decides, in one transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.access import Role
from openbulk.domain.apply import Apply
from openbulk.domain.approvals import ApprovalRule, ApprovalState, Author, Verdict
from openbulk.domain.errors import Conflict, NotFound
from openbulk.domain.job import Job, Status, Upload
from openbulk.domain.records import Action, Target
from openbulk.storage.approvals import Approvals, NewDecision
from openbulk.storage.deleted_jobs import DeletedJobs
from openbulk.storage.ledger import Ledger
from openbulk.storage.people import NewUser, People
from openbulk.storage.plans import ApplyLedger, Plans
from openbulk.storage.tables import jobs
from support.people import add_organization

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=25)
ANN, BOB, CARA = 1, 2, 3
DIGEST = "a" * 64
BY_AGENT = Author(ANN, is_agent=True)


@pytest.fixture
async def ledger(engine: AsyncEngine) -> Ledger:
    """A ledger with an organization of three people who may approve."""
    await add_organization(engine)
    for name in ("bob", "cara"):
        await People(engine).add_user(1, NewUser(f"{name}@example.com", Role.APPROVER))
    return Ledger(engine)


@pytest.fixture
def approvals(engine: AsyncEngine) -> Approvals:
    return Approvals(engine)


@pytest.fixture
def plans(engine: AsyncEngine) -> Plans:
    return Plans(engine)


async def planned(
    ledger: Ledger, engine: AsyncEngine, author: Author = BY_AGENT, file: str = "f00d"
) -> Job:
    """A job of an author whose plan is made."""
    work = Upload(Target("things", Action.UPSERT), file, 10, "csv", planned_file="abc")
    made = await ledger.add_job(
        work, organization_id=1, instance_id=1, request_id="r", now=NOW, author=author
    )
    done = update(jobs).where(jobs.c.id == made.id)
    async with engine.begin() as connection:
        await connection.execute(
            done.values(status=Status.PLANNED.value, planned_at=NOW, records=4)
        )
    found = await ledger.job(made.id)
    assert found is not None
    return found


def decision(user: int = BOB, verdict: Verdict = Verdict.APPROVED) -> NewDecision:
    return NewDecision(DIGEST, verdict, user, "seen", NOW + timedelta(hours=24))


async def applied(
    plans: Plans, job: Job, applying: Author = BY_AGENT, now: datetime = NOW, **more: Any
) -> Job | None:
    apply = replace(Apply(DIGEST, ANN), **more)
    return await plans.apply(job, apply, applying=applying, now=now, idempotency_key=None)


async def rule(engine: AsyncEngine, wanted: ApprovalRule) -> None:
    people = People(engine)
    organization = await people.organization(1)
    assert organization is not None
    await people.change_organization(replace(organization, approvals=wanted))


async def outcomes(*calls: Any) -> Sequence[Any]:
    """What calls at the same time have returned or raised."""
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_an_author_is_remembered_with_the_job(ledger: Ledger, engine: AsyncEngine) -> None:
    assert (await planned(ledger, engine)).author == BY_AGENT


@pytest.mark.parametrize(
    ("author", "wanted", "applying", "needs"),
    [
        (Author(ANN), ApprovalRule.AGENTS, Author(ANN), False),
        (Author(None), ApprovalRule.AGENTS, Author(ANN), False),
        (BY_AGENT, ApprovalRule.AGENTS, Author(ANN), True),
        (Author(ANN), ApprovalRule.AGENTS, BY_AGENT, True),
        (Author(ANN), ApprovalRule.EVERYONE, Author(BOB), True),
        (Author(None), ApprovalRule.EVERYONE, Author(BOB), True),
    ],
)
async def test_a_plan_that_needs_an_approval_is_carried_out_with_one_alone(
    ledger: Ledger,
    engine: AsyncEngine,
    approvals: Approvals,
    plans: Plans,
    author: Author,
    wanted: ApprovalRule,
    applying: Author,
    needs: bool,
) -> None:
    await rule(engine, wanted)
    job = await planned(ledger, engine, author)
    if needs:
        with pytest.raises(Conflict, match="waits for an approval"):
            await applied(plans, job, applying)
        left = await ledger.job(job.id)
        assert left == job, "nothing was done"
        await approvals.add(job, decision(CARA), now=NOW)
    begun = await applied(plans, job, applying)
    assert begun is not None
    assert begun.status is Status.RUNNING
    used = [(one.used_at, one.used_by) for one in await approvals.of_job(job.id)]
    assert used == ([(NOW, applying.user_id)] if needs else [])


async def test_of_decisions_at_once_the_first_one_holds(
    ledger: Ledger, engine: AsyncEngine, approvals: Approvals
) -> None:
    for turn in range(5):
        job = await planned(ledger, engine, file=f"f00{turn}")
        done = await outcomes(
            approvals.add(job, decision(BOB), now=NOW),
            approvals.add(job, decision(CARA, Verdict.REFUSED), now=NOW),
            approvals.add(job, decision(CARA), now=NOW),
        )
        refused = [one for one in done if isinstance(one, Conflict)]
        assert len(refused) == 2, done
        (kept,) = await approvals.of_job(job.id)
        assert all(kept.email in one.message for one in refused)


async def test_an_approval_is_used_once(
    ledger: Ledger, engine: AsyncEngine, approvals: Approvals, plans: Plans
) -> None:
    """Of two requests at once one begins, and the other finds that it has begun."""
    job = await planned(ledger, engine)
    await approvals.add(job, decision(), now=NOW)
    done = await outcomes(applied(plans, job), applied(plans, job))
    assert sorted(one is None for one in done) == [False, True], done
    for late in (
        approvals.add(job, decision(CARA), now=NOW),
        approvals.withdraw(job, 1, user_id=CARA, now=NOW),
    ):
        with pytest.raises(Conflict, match="nobody decides about it any more"):
            await late


async def test_an_approval_is_withdrawn_or_used_and_never_both(
    ledger: Ledger, engine: AsyncEngine, approvals: Approvals, plans: Plans
) -> None:
    for turn in range(4):
        job = await planned(ledger, engine, file=f"f00{turn}")
        made = await approvals.add(job, decision(), now=NOW)
        calls = [applied(plans, job), approvals.withdraw(job, made.id, user_id=CARA, now=NOW)]
        done = await outcomes(*calls[:: -1 if turn % 2 else 1])
        assert sorted(isinstance(one, Conflict) for one in done) == [False, True], done
        (left,) = await approvals.of_job(job.id)
        assert (left.used_at is None) != (left.withdrawn_at is None)


async def test_an_approval_that_was_not_used_in_time_is_replaced_by_another(
    ledger: Ledger, engine: AsyncEngine, approvals: Approvals, plans: Plans
) -> None:
    job = await planned(ledger, engine)
    await approvals.add(job, decision(), now=NOW)
    with pytest.raises(Conflict, match="expired at 2026-03-02T12:00:00"):
        await applied(plans, job, now=LATER)
    again = replace(decision(CARA), expires_at=LATER + timedelta(hours=1))
    await approvals.add(job, again, now=LATER)
    assert await applied(plans, job, now=LATER) is not None
    newest, earlier = await approvals.of_job(job.id)
    assert (newest.used_at, earlier.withdrawn_at, earlier.withdrawn_by) == (LATER, LATER, None)


async def test_an_approval_that_was_used_holds_for_the_rest_of_the_plan(
    ledger: Ledger, engine: AsyncEngine, approvals: Approvals, plans: Plans
) -> None:
    """However late; but not once it is withdrawn."""
    job = await planned(ledger, engine)
    made = await approvals.add(job, decision(), now=NOW)
    job = await first_rows(ledger, plans, job)
    assert await applied(plans, job, now=LATER, until=3) is not None
    (kept,) = await approvals.of_job(job.id)
    assert kept.used_at == NOW
    job = await ended(ledger, job)
    await approvals.withdraw(job, made.id, user_id=CARA, now=LATER)
    with pytest.raises(Conflict, match="waits for an approval"):
        await applied(plans, job, now=LATER)


async def first_rows(ledger: Ledger, plans: Plans, job: Job) -> Job:
    """The job once its first rows are carried out."""
    assert await applied(plans, job, first=2, until=2) is not None
    return await ended(ledger, job)


async def ended(ledger: Ledger, job: Job) -> Job:
    now = await ledger.job(job.id)
    assert now is not None
    begun = await ledger.begin_slice(job.id, now.slice, NOW)
    assert isinstance(begun, ApplyLedger)
    done = await begun.finish(Status.COMPLETE, now=NOW)
    assert done.status is Status.PLANNED
    return done


async def test_a_refused_plan_is_not_carried_out_until_that_is_taken_back(
    ledger: Ledger, engine: AsyncEngine, approvals: Approvals, plans: Plans
) -> None:
    """Also one that would not need an approval."""
    for author in (BY_AGENT, Author(ANN)):
        job = await planned(ledger, engine, author, f"of {author.is_agent}")
        made = await approvals.add(job, decision(verdict=Verdict.REFUSED), now=NOW)
        with pytest.raises(Conflict, match=r"bob@example.com has refused the plan of job \d: seen"):
            await applied(plans, job, Author(ANN))
        assert await approvals.withdraw(job, made.id, user_id=CARA, now=NOW) is not None
        with pytest.raises(Conflict, match="does not stand any more"):
            await approvals.withdraw(job, made.id, user_id=CARA, now=NOW)
        await approvals.add(job, decision(CARA), now=NOW)
        assert await applied(plans, job, Author(ANN)) is not None


async def test_an_approval_is_for_the_plan_that_it_names(
    ledger: Ledger, engine: AsyncEngine, approvals: Approvals, plans: Plans
) -> None:
    job = await planned(ledger, engine)
    await approvals.add(job, replace(decision(), digest="b" * 64), now=NOW)
    with pytest.raises(Conflict, match="waits for an approval"):
        await applied(plans, job)


async def test_plans_are_listed_by_where_their_approval_stands(
    ledger: Ledger, engine: AsyncEngine, approvals: Approvals
) -> None:
    """Those that need one, newest first, as long as they hold."""
    made = [await planned(ledger, engine, file=f"{place}") for place in range(4)]
    human = await planned(ledger, engine, Author(ANN), "human")
    await approvals.add(made[1], decision(), now=NOW)
    await approvals.add(made[2], decision(verdict=Verdict.REFUSED), now=NOW)

    async def listed(state: ApprovalState, now: datetime = NOW, **more: Any) -> list[int]:
        options = {
            "instance_id": None,
            "planned_after": NOW - timedelta(hours=1),
            "before": None,
            "limit": 9,
            **more,
        }
        return [job.id for job in await approvals.plans(1, state, now=now, **options)]

    zero, one, two, three = (job.id for job in made)
    assert await listed(ApprovalState.WAITING) == [three, zero]
    assert await listed(ApprovalState.APPROVED) == [one]
    assert await listed(ApprovalState.REFUSED) == [two]
    assert await listed(ApprovalState.WAITING, LATER) == [three, one, zero]
    assert await listed(ApprovalState.WAITING, limit=1) == [three]
    assert await listed(ApprovalState.WAITING, before=three) == [zero]
    assert await listed(ApprovalState.WAITING, instance_id=2) == []
    assert await listed(ApprovalState.WAITING, planned_after=NOW) == []
    await rule(engine, ApprovalRule.EVERYONE)
    assert await listed(ApprovalState.WAITING) == [human.id, three, zero]
    assert sorted(await approvals.newest([zero, one, two])) == [one, two]


async def test_decisions_go_with_their_job(
    ledger: Ledger, engine: AsyncEngine, approvals: Approvals
) -> None:
    job = await planned(ledger, engine)
    await approvals.add(job, decision(), now=NOW)
    done = await outcomes(
        DeletedJobs(engine).add(job.id), approvals.add(job, decision(CARA), now=NOW)
    )
    assert isinstance(done[1], (Conflict, NotFound))
    assert await approvals.of_job(job.id) == []
    with pytest.raises(NotFound):
        await approvals.add(job, decision(), now=NOW)
