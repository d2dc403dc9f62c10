"""A sweep deletes every old job, however many there are."""

from datetime import timedelta

import pytest

from openbulk.domain.job import Status
from openbulk.engine.job_deletion import JobDeletion
from openbulk.engine.queue.clock import Clock
from openbulk.storage import deleted_jobs
from openbulk.storage.deleted_jobs import DeletedJobs
from openbulk.storage.runs import Runs
from support.downloads import Bench


async def test_a_sweep_deletes_all_old_jobs_a_few_at_a_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none that is not finished."""
    monkeypatch.setattr(deleted_jobs, "JOBS_AT_ONCE", 2)
    clock, engine = Clock(), bench.ledger._engine
    jobs = [await bench.job() for _ in range(6)]
    for job in jobs[:5]:
        begun = await bench.begin(job)
        await begun.finish(Status.COMPLETE, now=clock.now() - timedelta(days=2))
    deletion = JobDeletion(
        DeletedJobs(engine), Runs(engine), bench.files, clock, keep_jobs=timedelta(days=1)
    )
    await deletion.sweep()
    left = [await bench.ledger.job(job.id) for job in jobs]
    assert [job is not None for job in left] == [False] * 5 + [True]
