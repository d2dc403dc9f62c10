"""Retries beside crashes, lost answers and files that are gone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select

from engine.test_upload import KEYED, NOW, UNKEYED, Bench, Scripted, created, make_bench
from openbulk.api.bulk.job_requests import read_whole
from openbulk.domain.errors import AnswerLost, Conflict, NotFound, TooLarge
from openbulk.domain.job import Job, Status, Upload
from openbulk.domain.mending import Mend
from openbulk.domain.records import Outcome, OutcomeKind
from openbulk.domain.row_kinds import RETRIED, RowChoice
from openbulk.engine import results as results_module
from openbulk.engine.mending import Mending
from openbulk.engine.results import kinds_of_rows, results_of
from openbulk.engine.retries import Retries, work_of_retry
from openbulk.engine.slices.ending import Complete
from openbulk.engine.slices.parts import cut
from openbulk.engine.slices.retried_parts import RetriedParts
from openbulk.storage import mends as mends_module
from openbulk.storage import tables
from openbulk.storage.deleted_jobs import DeletedJobs
from openbulk.storage.files import Part
from openbulk.storage.mends import Mends

FILE = b"name\n" + b"".join(b"Name %d\n" % number for number in range(1, 7))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = await make_bench(tmp_path, FILE)
    yield made
    await made.ledger._engine.dispose()


def mends_of(bench: Bench) -> Mends:
    return Mends(bench.ledger._engine, bench.files._sealer)


async def end(bench: Bench) -> Job:
    """End the bench's job as it is."""
    job = await bench.now()
    begun = await bench.ledger.begin_slice(job.id, job.slice, NOW)
    assert begun is not None
    return await begun.finish(Status.COMPLETE, now=NOW)


async def retry(bench: Bench, job: Job, file: str) -> Bench:
    """A bench with the retry of a finished job, whose file is cut."""
    retries = Retries(bench.ledger, bench.files, mends_of(bench))
    rows = await retries.choose(job, RETRIED)
    added = await bench.ledger.add_job(
        work_of_retry(job, file, rows, None),
        organization_id=1,
        instance_id=1,
        request_id="r",
        now=NOW,
        retried=rows,
    )
    begun = await bench.ledger.begin_slice(added.id, added.slice, NOW)
    assert begun is not None
    own = await begun.own_rows()
    assert own is not None
    parts = await bench.ledger.parts_from(job.id, 1)
    source = RetriedParts(bench.files, mends_of(bench), added, job, parts, own)

    async def never() -> bool:
        return False

    done = await cut(bench.files, file, source, never)
    assert done is not None
    begun.set_parts(done.records, done.first_rows, done.remarks, done.columns, done.delimiter)
    kinds = await bench.ledger.row_kinds(job)
    unknown = kinds.choose([OutcomeKind.UNKNOWN]).both(own)
    await begun.begin_retry(list(unknown.rows()))
    return replace(bench, job=await begun.end())


def failed(batch: Any) -> list[Outcome]:
    return [Outcome.failure(record.row, "no") for record in batch]


async def test_an_unknown_row_is_looked_up_and_never_sent_again_if_that_would_double(
    bench: Bench,
) -> None:
    lost = AnswerLost("lost")
    first = Scripted(UNKEYED, [created, lost, lost, failed])
    assert await bench.run_slice(first) == Complete()
    job = await end(bench)
    assert (job.counts.created, job.counts.unknown, job.counts.failed) == (3, 2, 1)

    second = Scripted(UNKEYED, known={"f00d:3": "id-3"})
    again = await retry(bench, job, "beef")
    assert await again.run_slice(second) == Complete()
    assert second.sent == [4], "the failed row alone"
    found = await again.now()
    assert (found.counts.created, found.counts.unknown) == (2, 1)
    assert found.not_reached == 0


async def test_rows_keep_their_keys_in_a_retry_of_a_retry(bench: Bench) -> None:
    connector = Scripted(KEYED, [created, failed, created, failed])
    keys: list[str] = []
    write = connector.write

    async def noted(target: Any, batch: Any) -> Any:
        keys.extend(record.key for record in batch)
        return await write(target, batch)

    connector.write = noted  # type: ignore[method-assign]
    assert await bench.run_slice(connector) == Complete()
    keys.clear()
    connector.answers = [failed, created]
    second = await retry(bench, await end(bench), "beef")
    assert await second.run_slice(connector) == Complete()
    third = await retry(second, await end(second), "cafe")
    assert await third.run_slice(connector) == Complete()
    assert keys == ["f00d:2", "f00d:4", "f00d:2"]
    work = third.job.work
    assert isinstance(work, Upload)
    assert work.retry is not None
    assert work.retry.files == ("f00d", "beef")


async def test_two_requests_for_the_same_rows_make_one_retry(bench: Bench) -> None:
    assert await bench.run_slice(Scripted(KEYED, [failed])) == Complete()
    job = await end(bench)
    both = await asyncio.gather(
        retry(bench, job, "beef"), retry(bench, job, "cafe"), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["Bench", "Conflict"]


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_a_retry_that_ended_before_it_read_a_row_gives_its_rows_back(
    bench: Bench, is_deleted: bool
) -> None:
    """It was cancelled, say: it has sent none of them."""
    assert await bench.run_slice(Scripted(KEYED, [failed])) == Complete()
    job = await end(bench)
    rows = await Retries(bench.ledger, bench.files, mends_of(bench)).choose(job, RETRIED)
    added = await bench.ledger.add_job(
        work_of_retry(job, "beef", rows, None),
        organization_id=1,
        instance_id=1,
        request_id="r",
        now=NOW,
        retried=rows,
    )
    with pytest.raises(Conflict, match=f"job {added.id} retries these rows"):
        await retry(bench, job, "cafe")
    assert (await bench.ledger.cancel(added.id, NOW)) is not None
    if is_deleted:
        assert await DeletedJobs(bench.ledger._engine).add(added.id) is not None
    second = await retry(bench, job, "cafe")
    assert list((await bench.ledger.retried_rows(job.id))[second.job.id].rows()) == [1]


async def test_without_its_file_a_job_says_what_is_left(bench: Bench) -> None:
    assert await bench.run_slice(Scripted(KEYED, [failed])) == Complete()
    job = await end(bench)
    await bench.ledger.forget_file("f00d")
    job = await bench.now()
    mends = mends_of(bench)
    mending = Mending(bench.ledger, bench.files, mends)
    left = f"no longer kept .*; /bulk/{job.id} has its counts, and /bulk/{job.id}/errors"
    with pytest.raises(Conflict, match=left):
        await mending.row(job, 1)
    with pytest.raises(Conflict, match=left):
        await mending.mend_rows(job, RowChoice(6), "name", str, is_trial=False)
    with pytest.raises(Conflict, match=left):
        await Retries(bench.ledger, bench.files, mends).choose(job, RETRIED)


async def test_a_job_is_kept_while_another_one_retries_its_rows(bench: Bench) -> None:
    """What was retried is not retried again, if the retry is deleted first."""
    assert await bench.run_slice(Scripted(KEYED, [failed])) == Complete()
    job = await end(bench)
    second = await retry(bench, job, "beef")
    deleted = DeletedJobs(bench.ledger._engine)
    assert await deleted.add(job.id) is None
    assert await deleted.has_unfinished_later_job(job.id)
    assert await bench.ledger.files_of_jobs_finished_before(NOW + timedelta(days=9)) == []
    await end(second)
    assert await deleted.add(second.job.id) is not None
    assert list((await bench.ledger.retried_rows(job.id))[second.job.id].rows()) == [1]
    assert await deleted.add(job.id) is not None
    assert await bench.ledger.retried_rows(job.id) == {}


async def test_mended_values_are_sealed_bounded_and_deleted_with_the_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await bench.run_slice(Scripted(KEYED, [failed, failed])) == Complete()
    job = await end(bench)
    mends = mends_of(bench)
    mending = Mending(bench.ledger, bench.files, mends)
    await mending.mend_row(job, 1, {"name": "Secret"})
    async with bench.ledger._engine.connect() as connection:
        (sealed,) = (await connection.scalars(select(tables.mends.c.sealed))).all()
    assert b"Secret" not in sealed
    monkeypatch.setattr(mends_module, "MAX_ROWS", 1)
    with pytest.raises(TooLarge, match="retry those first that are mended"):
        await mending.mend_row(job, 2, {"name": "Second"})
    assert list(await mends.between(job.id, job.upload, 1, 6)) == [1]
    await mends.forget("f00d")
    assert await mends.between(job.id, job.upload, 1, 6) == {}


# --- jobs that are deleted while they are read ---


async def test_rows_of_a_job_that_is_deleted_meanwhile_are_not_taken_for_all(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outcomes go after it: rows without them would look as if nothing were wrong."""
    monkeypatch.setattr(results_module, "with_last_rows", lambda *_: [(Part(1), 6), (Part(1), 6)])
    assert await bench.run_slice(Scripted(KEYED, [failed])) == Complete()
    job = await end(bench)
    kinds = await kinds_of_rows(bench.ledger, job)
    every = kinds.choose(RETRIED)
    results = await results_of(bench.ledger, bench.files, job, kinds, every)
    parts = results.parts()
    assert await anext(parts)
    assert await DeletedJobs(bench.ledger._engine).add(job.id) is not None
    for attempt in (
        anext(parts),
        results_of(bench.ledger, bench.files, job, kinds, every),
        mends_of(bench).add(job.id, job.upload, {1: Mend({"name": "Ann"})}),
    ):
        with pytest.raises(NotFound, match=f"job {job.id} was deleted"):
            await attempt
    with pytest.raises(NotFound, match="was deleted while it was read"):
        async with read_whole(cast(Any, bench), job):
            raise Conflict("its file is no longer kept")
