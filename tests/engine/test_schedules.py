"""When schedules are due, and which changes each of their runs transfers."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from openbulk.domain.approvals import ApprovalRule
from openbulk.domain.errors import BadInput
from openbulk.domain.job import Download, Job, Status, Upload
from openbulk.domain.query import ChangedRange, Query
from openbulk.domain.records import Action, Target
from openbulk.domain.workflow import Destination, RunStatus, Schedule, TransferSpec
from openbulk.engine.workflows.cron import next_after
from openbulk.engine.workflows.runner import Workflows
from openbulk.engine.workflows.scheduler import SETTLING, Scheduler
from openbulk.storage.database import migrate, open_ledger_engine
from openbulk.storage.ledger import Ledger
from openbulk.storage.people import People
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules
from support.people import add_organization

WEDNESDAY = datetime(2026, 11, 25, 22, 15, tzinfo=UTC)
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
EVERY_HOUR = "0 0 0/1 1/1 * ? *"


@pytest.mark.parametrize(
    ("cron", "due"),
    [
        (EVERY_HOUR, "2026-11-25 23:00"),
        ("0 0 12 1/1 * ? *", "2026-11-26 12:00"),
        ("0 0 12 ? * MON *", "2026-11-30 12:00"),
        ("0 0 12 15 1/1 ? *", "2026-12-15 12:00"),
        ("0 * * * * ?", "2026-11-25 22:16"),
        ("0 0 12 ? * 2", "2026-11-30 12:00"),
        ("0 0 12 ? * 2-6", "2026-11-26 12:00"),
        ("0 0 12 ? * 7,1", "2026-11-28 12:00"),
        ("0 0 12 ? * L", "2026-11-28 12:00"),
        ("0 0 12 ? * 6L", "2026-11-27 12:00"),
        ("0 0 12 ? * 6#3", "2026-12-18 12:00"),
        ("0 0 12 L * ?", "2026-11-30 12:00"),
        ("0 0 12 15W 8 ?", "2027-08-16 12:00"),
        ("0 0 0 1 1 ? 2030", "2030-01-01 00:00"),
    ],
)
def test_a_schedule_is_due_when_quartz_says(cron: str, due: str) -> None:
    assert next_after(cron, WEDNESDAY) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize("cron", ["0 0 0 30 2 ?", "0 0 0 1 1 ? 2020"])
def test_a_schedule_may_never_be_due(cron: str) -> None:
    assert next_after(cron, WEDNESDAY) is None


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "* * * * *",
        "0 0 12 ? * 0",
        "0 0 12 ? * 8",
        "0 0 25 * * ?",
        "0 0 12 1 * MON",
        "x " * 6,
        "0 " * 90,
    ],
)
def test_a_schedule_that_is_not_understood_is_refused_with_one_that_is(cron: str) -> None:
    with pytest.raises(BadInput, match=r"looks like|put \?"):
        next_after(cron, WEDNESDAY)


class Clock:
    def __init__(self) -> None:
        self.time = WEDNESDAY

    def __call__(self) -> datetime:
        return self.time


class Office:
    """A scheduler over a real ledger. The test finishes its jobs."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.database = open_ledger_engine(f"sqlite:///{folder / 'ledger.db'}")
        self.ledger = Ledger(self.database)
        self.runs, self.schedules = Runs(self.database), Schedules(self.database)
        self.workflows = Workflows(self.runs, self.ledger, self.submit, self.has_room, self.clock)

    async def has_room(self, _organization_id: int) -> bool:
        return True

    def scheduler(self) -> Scheduler:
        return Scheduler(self.schedules, self.workflows, self.clock)

    async def submit(
        self,
        work: Upload | Download,
        *,
        organization_id: int,
        instance_id: int,
        request_id: str | None,
    ) -> Job:
        return await self.ledger.add_job(
            work,
            organization_id=organization_id,
            instance_id=instance_id,
            request_id=request_id,
            now=self.clock(),
        )

    async def finish_jobs(self, status: Status = Status.COMPLETE) -> list[Job]:
        """Finish the running jobs, and those that follow."""
        done = []
        while jobs := [job async for job in self.ledger.active_jobs()]:
            for job in jobs:
                ledger = await self.ledger.begin_slice(job.id, job.slice, self.clock())
                assert ledger is not None
                done.append(await ledger.finish(status, now=self.clock()))
                await self.workflows.job_finished(done[-1])
        return done

    async def due(self, after: timedelta = timedelta(hours=1)) -> list[Job]:
        """Let time pass, run what is due, and finish its jobs."""
        self.clock.time += after
        await self.scheduler().run_due()
        return await self.finish_jobs()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    await migrate(made.database)
    await add_organization(made.database)
    yield made
    await made.database.dispose()


DESTINATION = Destination(2, Target("things", Action.UPSERT, "ref"))


async def add(office: Office, spec: TransferSpec, name: str = "s") -> Schedule:
    made = Schedule(
        name,
        1,
        1,
        "nightly",
        "",
        EVERY_HOUR,
        {},
        [spec],
        office.clock(),
        next_after(EVERY_HOUR, office.clock()),
    )
    assert await office.schedules.add(made, limit=10)
    return made


def window(job: Job) -> tuple[str, str]:
    """The bounds of a download's condition on dates."""
    where = job.download.query.where
    assert where is not None
    return tuple(f"{part.operator}{part.values[0]}" for part in where.parts)  # type: ignore[union-attr, return-value]


async def test_a_plan_comes_back_as_it_was_stored(office: Office) -> None:
    spec = TransferSpec(
        Download(
            Query("events", fields=("id",), limit=3, parameters={"a": "b"}),
            "",
            text="select id from events",
        ),
        ChangedRange("updated", since=BEGIN, until=WEDNESDAY, is_known_to_service=False),
        replace(DESTINATION, callback_url="https://example.com/"),
        {"query": "select id from events"},
    )
    await add(office, spec)
    found = await office.schedules.get("s")
    assert found is not None
    assert found.specs == [spec]


async def test_one_of_two_processes_takes_a_schedule_that_is_due(office: Office) -> None:
    await add(office, TransferSpec(Download(Query("events"), ""), destination=DESTINATION))
    office.clock.time += timedelta(hours=1)
    (due,) = await office.schedules.due(office.clock())
    schedule = await office.schedules.get(due)
    assert schedule is not None
    assert await office.schedules.take(schedule, office.clock() + timedelta(hours=1), None, [])
    assert not await office.schedules.take(schedule, office.clock() + timedelta(hours=1), None, [])
    assert await office.due(timedelta()) == []


async def test_a_schedule_that_was_due_many_times_runs_once(office: Office) -> None:
    await add(office, TransferSpec(Download(Query("events"), ""), destination=DESTINATION))
    assert len(await office.due(timedelta(days=2))) == 2
    assert len(await office.due(timedelta(minutes=5))) == 0
    assert len(await office.due()) == 2


async def test_a_schedule_that_is_due_during_its_last_run_is_skipped(office: Office) -> None:
    await add(office, TransferSpec(Download(Query("events"), ""), destination=DESTINATION))
    for _ in range(3):
        office.clock.time += timedelta(hours=1)
        await office.scheduler().run_due()
    assert len(await office.runs.of_schedule("s", limit=9)) == 1
    await office.finish_jobs()
    assert len(await office.due()) == 2


async def test_a_schedule_that_writes_ends_where_everything_is_approved(office: Office) -> None:
    """It was made while the rule changed. One that reads goes on."""
    download = TransferSpec(Download(Query("events"), ""))
    await add(office, replace(download, destination=DESTINATION), "writes")
    await add(office, download, "reads")
    people = People(office.database)
    organization = await people.organization(1)
    assert organization is not None
    await people.change_organization(replace(organization, approvals=ApprovalRule.EVERYONE))
    assert await office.schedules.enabled_that_write(1) == ["writes"]
    assert [job.is_download for job in await office.due()] == [True]
    ended = await office.schedules.get("writes")
    assert ended is not None
    assert ended.due_at is None
    assert await office.schedules.enabled_that_write(1) == []


async def test_each_run_begins_where_the_last_completed_one_has_ended(
    office: Office,
) -> None:
    """The windows lie side by side: every change is in exactly one of them."""
    await add(
        office,
        TransferSpec(
            Download(Query("events"), ""), ChangedRange("updated", since=BEGIN), DESTINATION
        ),
    )
    windows = [window((await office.due())[0])]
    office.clock.time += timedelta(hours=1)
    await office.scheduler().run_due()
    await office.finish_jobs(Status.ERROR)
    windows += [window((await office.due())[0]) for _ in range(2)]
    (first, second, third) = windows
    assert first[0] == f">={BEGIN.isoformat()}"
    assert first[1].removeprefix("<") == second[0].removeprefix(">=")
    assert second[1].removeprefix("<") == third[0].removeprefix(">=")
    assert third[1] == f"<{(office.clock() - SETTLING).isoformat()}"


async def test_without_a_date_each_run_transfers_everything(office: Office) -> None:
    await add(office, TransferSpec(Download(Query("events"), ""), destination=DESTINATION))
    assert [(await office.due())[0].download.query.where for _ in range(2)] == [None, None]


async def test_a_run_continues_after_a_crash_and_makes_each_job_once(
    office: Office,
) -> None:
    run = await office.workflows.begin(
        [TransferSpec(Download(Query("events"), ""), destination=DESTINATION)] * 2,
        organization_id=1,
        instance_id=1,
        request_id=None,
    )
    for _ in range(3):
        await office.workflows.sweep()
    assert len(await office.finish_jobs()) == 4
    assert await office.runs.unfinished_runs() == []
    assert [one.status for one in await office.runs.transfers(run)] == [RunStatus.COMPLETED] * 2


async def test_a_failed_download_is_not_sent_and_the_run_says_so(office: Office) -> None:
    run = await office.workflows.begin(
        [TransferSpec(Download(Query("events"), ""), destination=DESTINATION)],
        organization_id=1,
        instance_id=1,
        request_id=None,
    )
    (job,) = await office.finish_jobs(Status.ERROR)
    assert job.is_download
    (transfer,) = await office.runs.transfers(run)
    assert (transfer.status, transfer.error) == (
        RunStatus.ERROR,
        "reading ended as ERROR: it was cancelled",
    )
