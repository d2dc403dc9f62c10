"""The parts of plans in a SQLite file and in PostgreSQL."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import Fenced
from openbulk.domain.job import Job, Status, Upload
from openbulk.domain.plan import PlannedKind
from openbulk.domain.records import Action, Target
from openbulk.storage import plans
from openbulk.storage.deleted_jobs import DeletedJobs
from openbulk.storage.ledger import Ledger
from openbulk.storage.plans import PlanLedger, PlanPart, Plans, PlanSummary
from support.people import add_organization

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
UPLOAD = Upload(Target("things", Action.UPSERT), "f00d", 10, "csv", planned_file="abc")


@pytest.fixture
async def ledger(engine: AsyncEngine) -> Ledger:
    await add_organization(engine)
    return Ledger(engine)


async def planned_job(ledger: Ledger) -> Job:
    return await ledger.add_job(UPLOAD, organization_id=1, instance_id=1, request_id="r", now=NOW)


async def begin(ledger: Ledger, job: Job) -> PlanLedger:
    begun = await ledger.begin_slice(job.id, 0, NOW)
    assert isinstance(begun, PlanLedger)
    return begun


def part(fence: int, *rows: tuple[int, int], kind: PlannedKind = PlannedKind.CREATED) -> PlanPart:
    count = sum(last - first + 1 for first, last in rows)
    return PlanPart(list(rows), fence, PlanSummary({kind: count}, row_digest=7))


async def test_parts_are_found_by_row_and_by_kind(
    ledger: Ledger, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few at a time, in the order of their first rows; and they go with their job."""
    monkeypatch.setattr(plans, "PARTS_AT_ONCE", 2)
    job = await planned_job(ledger)
    begun = await begin(ledger, job)
    assert begun.job.status is Status.PLANNING
    begun.set_parts(9, [1])
    kept = [
        part(begun.fence, (1, 2), (5, 5)),
        part(begun.fence, (3, 4), kind=PlannedKind.UPDATED),
        part(begun.fence, (6, 7)),
        part(begun.fence, (8, 9), kind=PlannedKind.UPDATED),
    ]
    for one in kept:
        await begun.record_part(one, cursor=one.last_row)
        await begun.record_part(one, cursor=one.last_row)  # its answer was lost
    read = Plans(engine)
    assert await read.parts(job.id) == kept
    assert [one async for one in read.each_part(job.id, after=0, kind=None)] == kept
    assert [one async for one in read.each_part(job.id, after=5, kind=None)] == kept[2:]
    updated = read.each_part(job.id, after=0, kind=PlannedKind.UPDATED)
    assert [one async for one in updated] == [kept[1], kept[3]]
    ended = await begun.finish(Status.COMPLETE, now=NOW)
    assert (ended.status, ended.counts.total, ended.is_finished) == (Status.PLANNED, 0, True)
    jobs = DeletedJobs(engine)
    deleted = await jobs.add(job.id)
    assert deleted is not None
    await jobs.clear(deleted)
    assert await read.parts(job.id) == []


async def test_the_next_slice_knows_which_rows_are_planned(ledger: Ledger) -> None:
    """And the earlier one can record no more."""
    job = await planned_job(ledger)
    earlier = await begin(ledger, job)
    earlier.set_parts(9, [1, 5])
    await earlier.record_part(part(earlier.fence, (1, 3), (6, 7)), cursor=3)
    begun = await begin(ledger, job)
    parts, done = await begun.rows_to_send()
    assert ([one.first_row for one in parts], list(done)) == ([1, 5], [(6, 7)])
    with pytest.raises(Fenced):
        await earlier.record_part(part(earlier.fence, (4, 5)), cursor=7)


async def test_a_plan_that_is_cancelled_meanwhile_is_none(ledger: Ledger) -> None:
    job = await planned_job(ledger)
    begun = await begin(ledger, job)
    await ledger.cancel(job.id, NOW)
    assert (await begun.finish(Status.COMPLETE, now=NOW)).status is Status.CANCELLED
