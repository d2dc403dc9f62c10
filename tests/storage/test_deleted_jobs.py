"""A deleted job leaves nothing behind, and takes nothing of others with it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.job import Download, IdempotencyKey, Job, Status, Upload
from openbulk.domain.query import Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Target
from openbulk.domain.workflow import Run, RunStatus, TransferSpec
from openbulk.storage.database import migrate, open_ledger_engine
from openbulk.storage.deleted_jobs import DeletedJob, DeletedJobs
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.ledger import Ledger
from openbulk.storage.runs import Runs
from openbulk.storage.tables import metadata
from support.people import add_organization

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://example.com/"


@pytest.fixture
async def ledger(engine: AsyncEngine) -> Ledger:
    await add_organization(engine)
    return Ledger(engine)


async def job(ledger: Ledger, file: str, *, callback: str | None = None, rows: int = 3) -> Job:
    """A job that is complete, with an outcome, a problem, a part, an intent and a key."""
    upload = Upload(Target("things", Action.CREATE), file, 7, "csv", callback)
    made = await ledger.add_job(
        upload,
        organization_id=1,
        instance_id=1,
        request_id=None,
        now=NOW,
        idempotency_key=IdempotencyKey(f"key of {file}", "digest"),
    )
    begun = await ledger.begin_slice(made.id, 0, NOW)
    assert begun is not None
    begun.set_parts(rows + 1, [1])
    results = [Outcome(row, OutcomeKind.CREATED, f"{file}{row}") for row in range(2, rows + 1)]
    results.append(Outcome.failure(1, "no"))
    await begun.record_outcomes(results, cursor=rows, lines={})
    return await begun.finish(Status.COMPLETE, now=NOW)


async def rows_left(engine: AsyncEngine) -> dict[str, int]:
    """The rows of each table that has any, without those of the organization."""
    counts = {}
    async with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table.name not in {"organizations", "users", "secrets"}:
                counted = select(func.count()).select_from(table)
                counts[table.name] = (await connection.execute(counted)).scalar_one()
    return {name: count for name, count in counts.items() if count}


async def delete(deleted: DeletedJobs, job_id: int) -> None:
    gone = await deleted.add(job_id)
    assert gone is not None
    await deleted.clear(gone)


async def test_nothing_of_a_deleted_job_is_left_and_all_of_its_neighbour(
    ledger: Ledger, engine: AsyncEngine
) -> None:
    """Jobs and deliveries later get numbers that no other had."""
    deleted, deliveries = DeletedJobs(engine), Deliveries(engine)
    first = await job(ledger, "a")
    alone = await rows_left(engine)
    second = await job(ledger, "b", callback=URL)
    delivery = await deliveries.add(second, URL, b"{}", NOW)
    await delete(deleted, second.id)
    assert await rows_left(engine) == alone
    assert await ledger.job(first.id) == first
    assert await ledger.job(second.id) is None
    third = await job(ledger, "b", callback=URL)
    assert third.id > second.id
    assert (await deliveries.add(third, URL, b"{}", NOW)).id > delivery.id


async def test_what_a_dead_process_has_left_is_known(ledger: Ledger, engine: AsyncEngine) -> None:
    deleted = DeletedJobs(engine)
    made = await job(ledger, "a")
    gone = await deleted.add(made.id)
    assert gone == DeletedJob(made.id, "a")
    assert await ledger.job(made.id) is None
    assert await deleted.all() == [gone]
    await deleted.clear(gone)
    assert await rows_left(engine) == {}


async def test_a_job_that_is_needed_stays(ledger: Ledger, engine: AsyncEngine) -> None:
    """One that is not finished, and one of a workflow that is not: it would begin again."""
    deleted, runs = DeletedJobs(engine), Runs(engine)
    run = Run("r", 1, 1, NOW)
    spec = TransferSpec(Download(Query("things"), ""), None, None, {})
    assert await runs.add(run, [spec], limit=9)
    (transfer,) = await runs.transfers(run)
    active = await ledger.add_job(
        Download(Query("things"), "d"), organization_id=1, instance_id=1, request_id=None, now=NOW
    )
    of_run = await job(ledger, transfer.read_file)
    for needed in (active, of_run):
        assert await deleted.add(needed.id) is None
        assert await ledger.job(needed.id) == needed
    assert await deleted.add_old(NOW + timedelta(days=1)) == 0
    await runs.end_transfer(transfer.id, None, NOW)
    await runs.end("r", RunStatus.COMPLETED, NOW)
    assert await deleted.add_old(NOW + timedelta(days=1)) == 1


async def test_old_jobs_are_deleted_once_their_callbacks_are_over(
    ledger: Ledger, engine: AsyncEngine
) -> None:
    deleted, deliveries = DeletedJobs(engine), Deliveries(engine)
    plain = await job(ledger, "a")
    notifying = await job(ledger, "b", callback=URL)
    assert await deleted.add_old(NOW) == 0
    later = NOW + timedelta(seconds=1)
    assert await deleted.add_old(later) == 1
    assert await ledger.job(plain.id) is None
    delivery = await deliveries.add(notifying, URL, b"{}", NOW)
    assert await deleted.add_old(later) == 0
    await deliveries.end_attempt(delivery.id, 1, "200", due_at=NOW, finished_at=NOW)
    assert await deleted.add_old(later) == 1
    assert await ledger.job(notifying.id) is None


async def test_a_schedule_keeps_the_run_that_the_next_one_begins_after(
    ledger: Ledger, engine: AsyncEngine
) -> None:
    """Also if later ones failed. Runs of no schedule go."""
    runs = Runs(engine)
    spec = TransferSpec(Download(Query("things"), ""), None, None, {})
    ends = [RunStatus.COMPLETED, RunStatus.COMPLETED, RunStatus.ERROR]
    for n, status in enumerate(ends):
        run = Run(f"s{n}", 1, 1, NOW + timedelta(hours=n), schedule_id="s")
        assert await runs.add(run, [spec], limit=9)
        await runs.end(run.id, status, NOW)
    assert await runs.add(Run("w", 1, 1, NOW), [spec], limit=9)
    await runs.end("w", RunStatus.COMPLETED, NOW)
    await runs.delete_old(NOW + timedelta(days=1))
    kept = await runs.of_schedule("s", limit=9)
    assert [run.id for run in kept] == ["s2", "s1"]
    assert len(await runs.history(1, schedule_id=None, skip=0, limit=9)) == 2


@pytest.mark.parametrize("is_of_earlier_version", [False, True])
async def test_a_sqlite_file_gives_the_space_of_deleted_jobs_back(
    tmp_path: Path, is_of_earlier_version: bool
) -> None:
    file = tmp_path / "ledger.db"
    engine = open_ledger_engine(f"sqlite:///{file}")
    await migrate(engine)
    if is_of_earlier_version:
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(text("PRAGMA auto_vacuum=0"))
            await connection.execute(text("VACUUM"))
        await engine.dispose()
        await migrate(engine)
    ledger, deleted = Ledger(engine), DeletedJobs(engine)
    await add_organization(engine)
    empty = await pages(engine)
    made = await job(ledger, "a", rows=150_000)
    full = await pages(engine)
    await delete(deleted, made.id)
    await deleted.give_space_back()
    assert await pages(engine) < empty + (full - empty) / 10
    await engine.dispose()


async def pages(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        found: int = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
    return found
