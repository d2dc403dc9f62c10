"""The promises of a ledger, whatever database it is kept in.

class TestLedgerOnSqlite(LedgerTests):
    @pytest.fixture
    async def ledger(self, engine): return Ledger(engine)
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from openbulk.domain.conditions import All, Comparison, Not
from openbulk.domain.errors import Conflict, Fenced, IdempotencyKeyTaken
from openbulk.domain.job import (
    NO_REMARKS,
    SMALL_FILE,
    Download,
    IdempotencyKey,
    Job,
    Position,
    Remarks,
    Retry,
    RowRemark,
    Status,
    Upload,
)
from openbulk.domain.query import Bookmark, Order, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Problem, Target
from openbulk.domain.row_kinds import RETRIED, RowChoice
from openbulk.storage.bookmarks import feed_of
from openbulk.storage.deliveries import Deliveries
from openbulk.storage.download_ledger import DownloadLedger
from openbulk.storage.files import Part
from openbulk.storage.ledger import Ledger
from openbulk.storage.retries import RetriedRows
from openbulk.storage.slice_ledger import SliceLedger, Ticket

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def slice_ledger(ledger: Ledger, job: Job, fence: int = 0) -> SliceLedger:
    """The ledger of a slice with this fence; 0 is the fence before the first slice."""
    return SliceLedger(ledger._engine, job, fence, reading=ledger._reading)


async def record_parts(
    slice_ledger: SliceLedger,
    records: int,
    first_rows: Sequence[int],
    remarks: Remarks = NO_REMARKS,
) -> None:
    """Record at once that a file has been cut."""
    slice_ledger.set_parts(records, first_rows, remarks)
    await slice_ledger.write(slice_ledger.change_job)


class LedgerTests:
    """Inherit this, and override the fixtures `ledger` and `deliveries`."""

    @pytest.fixture
    async def ledger(self) -> AsyncIterator[Ledger]:
        """An empty ledger with an organization of id 1."""
        pytest.skip("override the fixture `ledger`")
        yield

    @pytest.fixture
    async def deliveries(self) -> Deliveries:
        """The deliveries in the same database."""
        pytest.skip("override the fixture `deliveries`")

    async def job(
        self,
        ledger: Ledger,
        file: str = "f00d",
        instance: int = 1,
        records: int | None = 10,
        size: int = 7,
    ) -> Job:
        """A job whose file has been cut."""
        upload = Upload(
            Target("things", Action.CREATE, "ref", {"a": [1]}),
            file,
            size,
            "csv",
            "https://example.com/",
        )
        made = await ledger.add_job(
            upload, organization_id=1, instance_id=instance, request_id="r", now=NOW
        )
        if records is not None:
            begun = slice_ledger(ledger, made)
            await record_parts(begun, records, list(range(1, records + 1, 4)))
        return await self.now(ledger, made.id)

    async def download(self, ledger: Ledger) -> Job:
        """A new job that reads all things."""
        return await ledger.add_job(
            Download(Query("things"), "d0d0"),
            organization_id=1,
            instance_id=1,
            request_id="r",
            now=NOW,
        )

    async def now(self, ledger: Ledger, job_id: int) -> Job:
        """The job as it is now."""
        found = await ledger.job(job_id)
        assert found is not None
        return found

    async def first_rows(self, ledger: Ledger, job_id: int, row: int) -> list[int]:
        """Where the parts begin that hold a row and those behind it."""
        return [part.first_row for part in await ledger.parts_from(job_id, row)]

    async def begin(self, ledger: Ledger, job: Job) -> SliceLedger:
        """Begin the slice that is due."""
        number = (await self.now(ledger, job.id)).slice
        begun = await ledger.begin_slice(job.id, number, NOW)
        assert begun is not None
        return begun

    async def test_a_job_is_remembered_as_it_was_asked_for(self, ledger: Ledger) -> None:
        """To the last option, and with times in UTC."""
        job = await self.job(ledger)
        assert job.upload == Upload(
            Target("things", Action.CREATE, "ref", {"a": [1]}),
            "f00d",
            7,
            "csv",
            "https://example.com/",
        )
        assert (job.status, job.created_at, job.records, job.cursor) == (Status.CREATED, NOW, 10, 0)
        assert await ledger.job(job.id + 1) is None
        assert await ledger.files() == {"f00d"}

    async def test_a_key_stands_for_one_job_of_an_instance(self, ledger: Ledger) -> None:
        """Also for requests at the same time. Another instance has its own keys."""

        async def asked(file: str, instance: int = 1) -> Job | None:
            upload = Upload(Target("things", Action.CREATE, None, {}), file, 7, "csv")
            once = IdempotencyKey("key", f"content of {file}")
            try:
                return await ledger.add_job(
                    upload,
                    organization_id=1,
                    instance_id=instance,
                    request_id="r",
                    now=NOW,
                    idempotency_key=once,
                )
            except IdempotencyKeyTaken:
                return None

        assert await ledger.job_with_key(1, "key") is None
        made = [
            job
            for job in await asyncio.gather(*(asked(f"a{n}") for n in range(8)))
            if job is not None
        ]
        assert len(made) == 1
        assert await ledger.files() == {made[0].upload.file}
        found = await ledger.job_with_key(1, "key")
        assert found == (made[0], IdempotencyKey("key", f"content of {made[0].upload.file}"))
        other = await asked("b", instance=2)
        assert other is not None and other.id != made[0].id
        assert len({(await self.job(ledger, name)).id for name in ("c", "d")}) == 2

    async def test_the_jobs_that_are_not_finished_come_oldest_first(self, ledger: Ledger) -> None:
        """Whether they have begun or not."""
        fresh, done, running = [await self.job(ledger, name) for name in ("a", "b", "c")]
        await (await self.begin(ledger, done)).finish(Status.ABORTED, now=NOW, error="no")
        await self.begin(ledger, running)
        assert [job.id async for job in ledger.active_jobs()] == [fresh.id, running.id]

    async def test_outcomes_and_cursor_are_written_together(self, ledger: Ledger) -> None:
        """And counted."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        results = [
            Outcome(1, OutcomeKind.CREATED, "a"),
            Outcome.failure(2, "no", field="f", provider_message="p"),
        ]
        await begun.record_outcomes(results, cursor=2, lines={2: 3})
        job = await self.now(ledger, job.id)
        assert (job.status, job.cursor, job.counts.created, job.counts.failed) == (
            Status.RUNNING,
            2,
            1,
            1,
        )
        (error,) = await ledger.errors(job.id, after=0, limit=9)
        assert (error.row, error.line, error.problem, error.field, error.provider_message) == (
            2,
            3,
            "no",
            "f",
            "p",
        )

    async def test_rows_are_retried_by_one_job_which_then_knows_what_became_of_them(
        self, ledger: Ledger
    ) -> None:
        """Its own rows alone are of a kind, and ids of the earlier job are found."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        results = [
            Outcome(1, OutcomeKind.CREATED, "a"),
            Outcome.failure(2, "row 2 is no date"),
            Outcome.failure(4, "row 4 is no date"),
            Outcome(5, OutcomeKind.UNKNOWN, problem=Problem("lost")),
        ]
        await begun.record_outcomes(results, cursor=2, lines={})
        job = await begun.finish(Status.COMPLETE, now=NOW)
        kinds = await ledger.row_kinds(job)
        left = kinds.choose(RETRIED)
        assert list(left.rows()) == [2, *range(3, 11)]
        assert list(kinds.choose([OutcomeKind.CREATED]).rows()) == [1]
        cause = (await ledger.errors(job.id, after=1, limit=1))[0]
        (group,) = [one for one in await ledger.error_groups(job.id, limit=9) if one.count == 2]
        assert cause.row == 2
        chosen = await ledger.rows_of_cause(job.id, group.id, 10)
        assert list(chosen.rows()) == [2, 4]

        async def retry(file: str, rows: RowChoice) -> Job:
            retry = Retry(job.id, (job.upload.file,), len(rows))
            return await ledger.add_job(
                replace(job.upload, file=file, retry=retry),
                organization_id=1,
                instance_id=1,
                request_id="r",
                now=NOW,
                retried=RetriedRows(rows),
            )

        second = await retry("beef", chosen)
        with pytest.raises(Conflict, match=f"job {second.id} retries these rows of job {job.id}"):
            await retry("cafe", left)
        assert (await self.now(ledger, second.id)).retry == second.retry
        assert second.not_reached == 2
        again = slice_ledger(ledger, second)
        await record_parts(again, 10, [1, 5, 9])
        again = await self.begin(ledger, second)
        await again.begin_retry([4])
        assert await again.open_intents() == {4}
        assert await again.ids_written(1, 10) == {1: "a"}
        await again.record_outcomes([Outcome(2, OutcomeKind.CREATED, "b")], cursor=2, lines={})
        assert await again.ids_written(1, 10) == {1: "a", 2: "b"}
        of_second = await ledger.row_kinds(await self.now(ledger, second.id))
        assert (of_second.of(2), of_second.of(4), of_second.has(1)) == (
            OutcomeKind.CREATED,
            None,
            False,
        )

    async def test_a_runner_that_was_overtaken_can_write_nothing(self, ledger: Ledger) -> None:
        """Whatever it tries."""
        job = await self.job(ledger)
        old = await self.begin(ledger, job)
        begun = await self.begin(ledger, job)
        before = await self.now(ledger, job.id)
        with pytest.raises(Fenced):
            await old.record_outcomes([Outcome(1, OutcomeKind.CREATED)], cursor=1, lines={})
        with pytest.raises(Fenced):
            await old.end()
        with pytest.raises(Fenced):
            await old.set_ticket(Ticket("t", 3))
        with pytest.raises(Fenced):
            await old.finish(Status.COMPLETE, now=NOW)
        assert await self.now(ledger, job.id) == before
        assert (await begun.rows_to_send())[1] == []

    async def test_of_all_runners_that_begin_a_slice_at_once_the_last_alone_can_write(
        self, ledger: Ledger
    ) -> None:
        """However many workers begin it."""
        job = await self.job(ledger)
        slices = await asyncio.gather(*(self.begin(ledger, job) for _ in range(5)))
        slices = sorted(slices, key=lambda begun: begun.fence)
        assert len({begun.fence for begun in slices}) == 5
        tries = [
            begun.record_outcomes([Outcome(1, OutcomeKind.CREATED)], cursor=1, lines={})
            for begun in slices
        ]
        *shut_out, last = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(error) for error in shut_out] == [Fenced] * 4
        assert last is None
        assert (await self.now(ledger, job.id)).counts.created == 1

    async def test_a_slice_is_begun_only_when_it_is_due(self, ledger: Ledger) -> None:
        """Not one that is over, not a later one, not one of a finished job."""
        job = await self.job(ledger)
        assert await ledger.begin_slice(job.id, 1, NOW) is None
        begun = await self.begin(ledger, job)
        assert (await begun.end()).slice == 1
        assert await ledger.begin_slice(job.id, 0, NOW) is None
        begun = await self.begin(ledger, job)
        await begun.finish(Status.COMPLETE, now=NOW)
        assert await ledger.begin_slice(job.id, 1, NOW) is None

    async def test_a_job_started_when_its_first_slice_did(self, ledger: Ledger) -> None:
        """Later slices do not change that."""
        job = await self.job(ledger)
        for minutes in (1, 2):
            begun = await ledger.begin_slice(job.id, 0, NOW + timedelta(minutes=minutes))
            assert begun is not None
            assert begun.job.started_at == NOW + timedelta(minutes=1)

    async def test_waiting_spends_no_attempt_and_crashing_does(self, ledger: Ledger) -> None:
        """Progress resets both."""
        job = await self.job(ledger)
        for _ in range(3):
            await (await self.begin(ledger, job)).end(wait_until=NOW, wait_for="busy")
        assert (await self.now(ledger, job.id)).slice_attempts == 0
        for attempt in (1, 2):
            begun = await ledger.begin_slice(job.id, 2 + attempt, NOW)
            assert begun is not None
            assert (begun.job.slice_attempts, begun.waits) == (attempt, 2 + attempt)
            await begun.end(crashed=True, wait_for="crash")
        begun = await self.begin(ledger, job)
        await begun.record_outcomes([Outcome(1, OutcomeKind.CREATED)], cursor=1, lines={})
        job = await self.now(ledger, job.id)
        assert (job.slice_attempts, job.waiting_for) == (0, None)
        begun = await ledger.begin_slice(job.id, job.slice, NOW)
        assert begun is not None
        assert begun.waits == 0

    async def test_a_download_is_remembered_as_it_was_asked_for(self, ledger: Ledger) -> None:
        """To the last option. It calls its service from the first slice on."""
        asked = Download(
            Query(
                "things",
                fields=("id", "start.date"),
                where=All((Comparison("a", "=", (1,)), Not(Comparison("b", "is null")))),
                order=(Order("id"), Order("start.date", descending=True)),
                limit=5,
                parameters={"q": "x"},
                changed_since=NOW,
            ),
            file="d0d0",
            page_size=7,
            keeps_nulls=True,
            begin=Position("p2", 3),
            text="select id from things",
            options={"a": [1]},
            file_format="jsonl",
            callback_url="https://example.com/",
            is_v3=True,
        )
        made = await ledger.add_job(
            asked, organization_id=1, instance_id=1, request_id="r", now=NOW
        )
        job = await self.now(ledger, made.id)
        assert replace(job.download, begin=asked.begin) == asked
        assert (job.position, job.records, job.columns) == (Position("p2", 3), None, ())
        assert (await self.begin(ledger, job)).jobs_in_lane == 1

    async def test_a_part_and_the_position_behind_it_are_written_together(
        self, ledger: Ledger
    ) -> None:
        """Or not at all, where another runner has taken over."""
        job = await self.download(ledger)
        overtaken = await self.begin(ledger, job)
        begun = await self.begin(ledger, job)
        part: Mapping[str, Any] = {"position": Position("p2"), "columns": ["id"], "is_last": False}
        await DownloadLedger(begun).commit_part(first_row=1, records=4, size=9, **part)
        with pytest.raises(Fenced):
            await DownloadLedger(overtaken).commit_part(first_row=5, records=4, size=9, **part)
        last = {**part, "position": Position(None, is_end=True), "is_last": True}
        await DownloadLedger(begun).commit_part(first_row=5, records=2, size=5, **last)
        done = await self.now(ledger, job.id)
        assert (done.cursor, done.records, done.columns, done.position.is_end) == (
            6,
            6,
            ("id",),
            True,
        )
        assert await self.first_rows(ledger, job.id, 1) == [1, 5]
        assert await self.first_rows(ledger, job.id, 6) == [5]

    async def test_a_bookmark_is_written_with_the_last_part_and_found_by_its_date(
        self, ledger: Ledger
    ) -> None:
        """Or not at all, where another runner has taken over. Other feeds do not have it."""
        job = await self.download(ledger)
        overtaken = await self.begin(ledger, job)
        begun = await self.begin(ledger, job)
        part: Mapping[str, Any] = {
            "first_row": 1,
            "records": 0,
            "size": 0,
            "columns": [],
            "is_last": False,
        }
        feed, day = feed_of(1, "things", {"q": "x"}, 100), timedelta(days=1)
        for n in range(3):
            mark = (feed, Bookmark(f"night {n}", NOW + n * day))
            await DownloadLedger(begun).commit_part(position=Position(), bookmark=mark, **part)
        with pytest.raises(Fenced):
            mark = (feed, Bookmark("too late", NOW + day))
            await DownloadLedger(overtaken).commit_part(position=Position(), bookmark=mark, **part)
        moments = (-0.001, 0, 0.999, 1, 5)
        found = [
            await DownloadLedger(begun).bookmark(feed, NOW + moment * day) for moment in moments
        ]
        assert found == [None, "night 0", "night 0", "night 1", "night 2"]
        for other in (
            feed_of(2, "things", {"q": "x"}, 100),
            feed_of(1, "others", {"q": "x"}, 100),
            feed_of(1, "things", {"q": "y"}, 100),
            feed_of(1, "things", {"q": "x"}, 99),
        ):
            assert await DownloadLedger(begun).bookmark(other, NOW + day) is None

    async def test_a_download_that_restarts_has_kept_nothing(self, ledger: Ledger) -> None:
        """Its bookmark and older ones are forgotten. An overtaken runner changes nothing."""
        job = await self.download(ledger)
        overtaken = await self.begin(ledger, job)
        begun = await self.begin(ledger, job)
        feed, day = feed_of(1, "things", {}, 100), timedelta(days=1)
        part: Mapping[str, Any] = {
            "records": 4,
            "size": 9,
            "position": Position("p"),
            "columns": ["id"],
            "is_last": False,
        }
        for n in range(3):
            mark = (feed, Bookmark(f"night {n}", NOW + n * day))
            await DownloadLedger(begun).commit_part(first_row=1 + 4 * n, bookmark=mark, **part)
        before = await self.now(ledger, job.id)
        with pytest.raises(Fenced):
            await DownloadLedger(overtaken).restart(Position(restarts=1), lost=(feed, NOW + day))
        assert await self.now(ledger, job.id) == before
        assert await DownloadLedger(begun).bookmark(feed, NOW + day) == "night 1"
        await DownloadLedger(begun).restart(Position(restarts=1), lost=(feed, NOW + day))
        now = await self.now(ledger, job.id)
        assert (now.cursor, now.records, now.columns, now.position) == (
            0,
            None,
            (),
            Position(restarts=1),
        )
        assert await self.first_rows(ledger, job.id, 1) == []
        assert await DownloadLedger(begun).bookmark(feed, NOW + day) is None
        assert await DownloadLedger(begun).bookmark(feed, NOW + 2 * day) == "night 2"

    async def test_parts_are_replaced_by_sorted_ones(self, ledger: Ledger) -> None:
        """All at once, and only by the newest runner."""
        job = await self.download(ledger)
        overtaken = await self.begin(ledger, job)
        begun = await self.begin(ledger, job)
        part: Mapping[str, Any] = {
            "position": Position(None, is_end=True),
            "columns": ["id"],
            "is_last": False,
        }
        await DownloadLedger(begun).commit_part(first_row=1, records=4, size=9, **part)
        with pytest.raises(Fenced):
            await DownloadLedger(overtaken).replace_parts(3, [1])
        assert (await self.now(ledger, job.id)).records is None
        await DownloadLedger(begun).replace_parts(3, [1, 3])
        done = await self.now(ledger, job.id)
        assert (done.records, done.cursor) == (3, 3)
        assert await self.first_rows(ledger, job.id, 1) == [1, 3]

    async def test_the_jobs_of_an_instance_come_newest_first(self, ledger: Ledger) -> None:
        """A page at a time."""
        jobs = [await self.job(ledger, file) for file in "abc"]
        await self.job(ledger, "d", instance=2)
        assert [job.id for job in await ledger.jobs_of(1, before=None, limit=2)] == [
            jobs[2].id,
            jobs[1].id,
        ]
        assert [job.id for job in await ledger.jobs_of(1, before=jobs[1].id, limit=2)] == [
            jobs[0].id
        ]

    async def test_a_job_is_cancelled_at_once_unless_a_slice_of_it_runs(
        self, ledger: Ledger
    ) -> None:
        """Then the slice has to end it."""
        idle, busy = await self.job(ledger, "a"), await self.job(ledger, "b")
        begun = await self.begin(ledger, busy)
        cancelled = await ledger.cancel(idle.id, NOW)
        asked = await ledger.cancel(busy.id, NOW)
        assert cancelled is not None
        assert (cancelled.status, cancelled.finished_at) == (Status.CANCELLED, NOW)
        assert asked is not None
        assert (asked.status, asked.finished_at) == (Status.CANCELLATION_PENDING, None)
        assert await slice_ledger(ledger, idle).is_cancelled()
        assert await begun.is_cancelled()
        await begun.record_outcomes([Outcome(1, OutcomeKind.CREATED)], cursor=1, lines={})
        await begun.finish(Status.CANCELLED, now=NOW)
        assert await ledger.cancel(busy.id, NOW) is None
        assert (await self.now(ledger, busy.id)).counts.created == 1

    async def test_a_job_that_is_cancelled_while_its_last_outcome_is_recorded_is_cancelled(
        self, ledger: Ledger
    ) -> None:
        """As its caller was answered. Finishing it again changes nothing."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        await ledger.cancel(job.id, NOW)
        ended = await begun.finish(Status.COMPLETE, now=NOW)
        assert ended.status is Status.CANCELLED
        assert await begun.finish(Status.COMPLETE, now=NOW) == ended

    async def test_a_complete_job_can_become_cancelled(self, ledger: Ledger) -> None:
        """Its counts stay. A job that is not complete does not change."""
        job, other = await self.job(ledger, "a"), await self.job(ledger, "b")
        await (await self.begin(ledger, job)).finish(Status.COMPLETE, now=NOW)
        assert await ledger.cancel(job.id, NOW) is None
        cancelled = await ledger.cancel_complete(job.id)
        assert cancelled is not None
        assert (cancelled.status, cancelled.finished_at) == (Status.CANCELLED, NOW)
        assert await ledger.cancel_complete(job.id) is None
        assert await ledger.cancel_complete(other.id) is None

    async def test_a_job_that_is_cancelled_waits_no_longer(self, ledger: Ledger) -> None:
        """Nor can it be woken."""
        job = await self.job(ledger)
        later = NOW + timedelta(hours=1)
        await (await self.begin(ledger, job)).end(wait_until=later, wait_for="sign in")
        cancelled = await ledger.cancel(job.id, NOW)
        assert cancelled is not None
        assert (cancelled.waiting_until, cancelled.waiting_for) == (None, None)
        assert await ledger.wake(job.id, NOW) is None
        assert [job async for job in ledger.active_jobs()] == []

    async def test_a_finished_job_is_not_paused(self, ledger: Ledger) -> None:
        """Nor can one be paused that is to be cancelled: it will not go on."""
        idle, busy = await self.job(ledger, "a"), await self.job(ledger, "b")
        begun = await self.begin(ledger, busy)
        for job in (idle, busy):
            assert await ledger.pause(job.id) is not None
        assert await begun.finish(Status.COMPLETE, now=NOW) == await self.now(ledger, busy.id)
        assert (await ledger.cancel(idle.id, NOW)) == await self.now(ledger, idle.id)
        found = [await self.now(ledger, job.id) for job in (idle, busy)]
        assert [(job.status, job.is_paused) for job in found] == [
            (Status.CANCELLED, False),
            (Status.COMPLETE, False),
        ]
        pending = await self.job(ledger, "c")
        await self.begin(ledger, pending)
        await ledger.cancel(pending.id, NOW)
        assert await ledger.pause(pending.id) is None

    async def test_a_slice_of_a_job_that_is_to_be_cancelled_can_be_begun(
        self, ledger: Ledger
    ) -> None:
        """By the next runner, where the first has died: it ends the job."""
        job = await self.job(ledger)
        await self.begin(ledger, job)
        await ledger.cancel(job.id, NOW)
        begun = await ledger.begin_slice(job.id, 0, NOW)
        assert begun is not None
        assert begun.job.status is Status.CANCELLATION_PENDING

    async def test_a_slice_that_the_queue_has_lost_is_skipped_once(self, ledger: Ledger) -> None:
        """Its runner, where it still lives, can write nothing."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        skipped = await ledger.skip_slice(job.id, 0)
        assert skipped is not None
        assert skipped.slice == 1
        assert await ledger.skip_slice(job.id, 0) is None
        with pytest.raises(Fenced):
            await begun.end()

    async def test_a_waiting_job_can_be_woken(self, ledger: Ledger) -> None:
        """A running job ends the wait that follows."""
        job = await self.job(ledger)
        assert await ledger.wake(job.id, NOW) is None
        later = NOW + timedelta(hours=1)
        await (await self.begin(ledger, job)).end(wait_until=later, wait_for="sign in")
        assert (await self.now(ledger, job.id)).waiting_until == later
        woken = await ledger.wake(job.id, NOW)
        assert woken is not None
        assert woken.slice == 2
        assert (await self.now(ledger, job.id)).waiting_until is None
        begun = await self.begin(ledger, job)
        assert await ledger.wake(job.id, NOW) is None
        assert (await begun.end(wait_until=later, wait_for="sign in")).waiting_until == NOW
        begun = await self.begin(ledger, job)
        assert (await begun.end(wait_until=later, wait_for="sign in")).waiting_until == later

    async def test_another_job_is_ready_only_when_it_could_run_now(self, ledger: Ledger) -> None:
        """It is of the same instance, does not wait, and its file is cut or small."""
        job = await self.job(ledger, "a")
        assert not await slice_ledger(ledger, job).another_job_is_ready(NOW)
        await self.job(ledger, "b", instance=2)
        await self.job(ledger, "c", records=None, size=SMALL_FILE + 1)
        waiting = await self.job(ledger, "d")
        later = NOW + timedelta(minutes=1)
        await (await self.begin(ledger, waiting)).end(wait_until=later, wait_for="busy")
        assert not await slice_ledger(ledger, job).another_job_is_ready(NOW)
        assert await slice_ledger(ledger, job).another_job_is_ready(later)
        assert (await self.begin(ledger, job)).jobs_in_lane == 2
        small = await self.job(ledger, "e", records=None, size=SMALL_FILE)
        assert await slice_ledger(ledger, job).another_job_is_ready(NOW)
        assert (await self.begin(ledger, job)).jobs_in_lane == 3
        assert small.calls_its_service

    async def test_a_paused_job_has_no_slice_that_is_due(self, ledger: Ledger) -> None:
        """Its running slice ends, and the sweep does not find it, until it is resumed."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        assert not await begun.is_stopped()
        assert (await ledger.pause(job.id)) == await self.now(ledger, job.id)
        assert await begun.is_stopped()
        assert not await begun.is_cancelled()
        ended = await begun.end(wait_until=NOW + timedelta(hours=1), wait_for="busy")
        assert (ended.is_paused, ended.slice) == (True, 1)
        assert [one.id async for one in ledger.active_jobs()] == []
        resumed = await ledger.resume(job.id)
        assert resumed is not None
        # Another slice than the one that was due: the queue may consider that one finished.
        assert (resumed.is_paused, resumed.slice, resumed.waiting_until) == (False, 2, None)
        assert [one.id async for one in ledger.active_jobs()] == [job.id]
        assert await ledger.resume(job.id) is None

    async def test_a_job_that_is_resumed_while_its_slice_still_runs_goes_on_with_it(
        self, ledger: Ledger
    ) -> None:
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        await ledger.pause(job.id)
        resumed = await ledger.resume(job.id)
        assert resumed is not None
        assert resumed.slice == 0
        ended = await begun.end()
        assert (ended.is_paused, ended.slice) == (False, 1)

    async def test_a_paused_job_takes_no_share_and_can_be_cancelled(self, ledger: Ledger) -> None:
        job, paused = await self.job(ledger, "a"), await self.job(ledger, "b")
        await ledger.pause(paused.id)
        assert (await self.begin(ledger, job)).jobs_in_lane == 1
        assert not await slice_ledger(ledger, job).another_job_is_ready(NOW)
        cancelled = await ledger.cancel(paused.id, NOW)
        assert cancelled is not None
        assert cancelled.status is Status.CANCELLED
        assert await ledger.pause(paused.id) is None

    async def test_a_job_gives_way_to_one_of_a_higher_priority(self, ledger: Ledger) -> None:
        """Unless that one waits; and its share is that of the jobs of its own priority."""
        low, high = await self.job(ledger, "a"), await self.job(ledger, "b")
        changed = await ledger.change_controls(high.id, {"priority": 5, "calls_per_minute": 9})
        assert changed is not None
        assert (changed.priority, changed.calls_per_minute) == (5, 9)
        begun = await self.begin(ledger, low)
        assert (begun.gives_way, begun.jobs_in_lane) == (True, 1)
        assert await begun.another_job_is_ready(NOW)
        begun = await self.begin(ledger, changed)
        assert (begun.gives_way, begun.jobs_in_lane) == (False, 1)
        assert not await begun.another_job_is_ready(NOW)
        await begun.end(wait_until=NOW + timedelta(minutes=1), wait_for="busy")
        assert not (await self.begin(ledger, low)).gives_way

    async def test_a_ticket_is_kept_until_its_batch_is_done(self, ledger: Ledger) -> None:
        """Over any number of slices."""
        job = await self.job(ledger)
        await (await self.begin(ledger, job)).set_ticket(Ticket("t", 3))
        begun = await ledger.begin_slice(job.id, 0, NOW)
        assert begun is not None
        assert begun.ticket == Ticket("t", 3)
        await begun.record_outcomes([], cursor=3, lines={}, ticket_done=True)
        begun = await ledger.begin_slice(job.id, 0, NOW)
        assert begun is not None
        assert begun.ticket is None

    async def test_intents_without_an_outcome_are_open(self, ledger: Ledger) -> None:
        """Intents with an outcome are not open, nor are those that were dropped."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        await begun.record_intents([1, 2, 3])
        await begun.record_outcomes([Outcome(1, OutcomeKind.CREATED)], cursor=1, lines={})
        await begun.drop_intents([2])
        assert await begun.open_intents() == {3}

    async def test_a_row_with_an_open_intent_gets_no_second_one(self, ledger: Ledger) -> None:
        """Nor do the other rows of the batch get one."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        await begun.record_intents([3])
        with pytest.raises(Fenced):
            await begun.record_intents([2, 3, 4])
        assert await begun.open_intents() == {3}

    @pytest.mark.parametrize("running", [True, False])
    async def test_records_with_open_intents_are_unknown_when_the_job_ends(
        self, ledger: Ledger, running: bool
    ) -> None:
        """Whether its slice ends it, or its caller cancels it while it waits."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        await begun.record_intents([1, 2, 3])
        await begun.record_outcomes([Outcome(1, OutcomeKind.CREATED)], cursor=1, lines={})
        if running:
            ended: Job | None = await begun.finish(Status.ERROR, now=NOW, error="no")
        else:
            await begun.end(wait_until=NOW, wait_for="the answer was lost")
            ended = await ledger.cancel(job.id, NOW)
        assert ended == await self.now(ledger, job.id)
        assert (ended.counts.created, ended.counts.unknown, ended.not_reached) == (1, 2, 7)
        errors = await ledger.errors(job.id, after=0, limit=9)
        assert [(error.row, error.kind) for error in errors] == [
            (2, OutcomeKind.UNKNOWN),
            (3, OutcomeKind.UNKNOWN),
        ]
        assert await begun.open_intents() == frozenset()

    async def test_parts_begin_with_the_one_that_holds_the_row(self, ledger: Ledger) -> None:
        """Parts of this job begin at 1, 5 and 9."""
        job = await self.job(ledger)
        assert [await self.first_rows(ledger, job.id, row) for row in (1, 4, 5, 9, 10)] == [
            [1, 5, 9],
            [1, 5, 9],
            [5, 9],
            [9],
            [9],
        ]

    async def test_a_file_that_is_cut_again_has_the_newer_parts(self, ledger: Ledger) -> None:
        """Also where it has no record, and no part."""
        job = await self.job(ledger)
        await record_parts(slice_ledger(ledger, job), 3, [1, 3])
        assert await self.first_rows(ledger, job.id, 1) == [1, 3]
        await record_parts(slice_ledger(ledger, job), 0, [])
        assert await self.first_rows(ledger, job.id, 1) == []
        assert (await self.now(ledger, job.id)).not_reached == 0

    async def test_remarks_are_kept_with_the_parts(self, ledger: Ledger) -> None:
        """A file that is cut again has the newer ones, also where there are none."""
        job = await self.job(ledger)
        assert job.remarks == Remarks()
        remarks = Remarks(
            9, (RowRemark(1, 12, "no \u2026 alarm\0"), RowRemark(7, None, "no guest"))
        )
        cutting = slice_ledger(ledger, job)
        for _ in range(2):
            await record_parts(cutting, 10, [1], remarks)
            assert cutting.job.remarks == remarks
            assert (await self.now(ledger, job.id)).remarks == remarks
        await record_parts(cutting, 10, [1])
        assert (await self.now(ledger, job.id)).remarks == Remarks()

    async def test_remarks_behind_the_fence_are_not_kept(self, ledger: Ledger) -> None:
        """The newer runner's cut holds, with its parts."""
        job = await self.job(ledger)
        await self.begin(ledger, job)
        with pytest.raises(Fenced):
            await record_parts(
                slice_ledger(ledger, job), 3, [1], Remarks(1, (RowRemark(1, 1, "x"),))
            )
        assert (await self.now(ledger, job.id)).remarks == Remarks()
        assert await self.first_rows(ledger, job.id, 1) == [1, 5, 9]

    async def test_a_slice_finds_the_parts_and_the_outcomes_after_its_cursor(
        self, ledger: Ledger
    ) -> None:
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        results = [Outcome(row, OutcomeKind.CREATED) for row in (1, 2, 3, 4, 5, 8)]
        await begun.record_outcomes(results, cursor=5, lines={})
        await begun.end()
        parts, with_outcome = await (await self.begin(ledger, job)).rows_to_send()
        assert [part.first_row for part in parts] == [5, 9]
        assert with_outcome == [(8, 8)]

    async def test_a_small_job_is_recorded_with_its_end(self, ledger: Ledger) -> None:
        """Parts, remarks, outcomes, counts and status: in one transaction, and once."""
        job = await self.job(ledger, records=None)
        begun = await self.begin(ledger, job)
        begun.set_parts(3, [1], Remarks(1, (RowRemark(2, 3, "no guest"),)))
        assert await begun.rows_to_send() == ([Part(1)], [])
        results = [
            Outcome(1, OutcomeKind.CREATED, remark="no alarm"),
            Outcome(2, OutcomeKind.CREATED, "i2"),
            Outcome.failure(3, "no"),
        ]
        await begun.record_outcomes(results, cursor=3, lines={1: 2, 2: 3, 3: 4}, is_last=True)
        before = await self.now(ledger, job.id)
        assert (before.records, before.cursor, before.counts.total) == (None, 0, 0)
        ended = await begun.finish(Status.COMPLETE, now=NOW)
        assert ended == await self.now(ledger, job.id)
        assert (ended.records, ended.cursor, ended.status) == (3, 3, Status.COMPLETE)
        assert (ended.counts.created, ended.counts.failed) == (2, 1)
        rows = (RowRemark(1, 2, "no alarm"), RowRemark(2, 3, "no guest"))
        assert ended.remarks == Remarks(2, rows)
        assert await self.first_rows(ledger, job.id, 1) == [1]
        assert await begun.ids_written(1, 3) == {2: "i2"}
        assert [error.row for error in await ledger.errors(job.id, after=0, limit=9)] == [3]
        # The answer was lost, and the end is recorded again.
        await begun.record_outcomes(results, cursor=3, lines={}, is_last=True)
        assert await begun.finish(Status.COMPLETE, now=NOW) == ended

    async def test_what_a_superseded_slice_has_not_recorded_is_never_recorded(
        self, ledger: Ledger
    ) -> None:
        job = await self.job(ledger, records=None)
        begun = await self.begin(ledger, job)
        begun.set_parts(3, [1])
        results = [Outcome(1, OutcomeKind.CREATED)]
        await begun.record_outcomes(results, cursor=1, lines={}, is_last=True)
        newer = await self.begin(ledger, job)
        with pytest.raises(Fenced):
            await begun.finish(Status.COMPLETE, now=NOW)
        assert await self.first_rows(ledger, job.id, 1) == []
        assert (await newer.rows_to_send())[1] == []

    @pytest.mark.parametrize("crashed", [True, False])
    async def test_a_slice_that_ends_with_outcomes_has_made_progress(
        self, ledger: Ledger, crashed: bool
    ) -> None:
        """Its attempts and waits count from its end."""
        job = await self.job(ledger)
        await (await self.begin(ledger, job)).end(crashed=True, wait_for="it failed")
        begun = await self.begin(ledger, job)
        assert (begun.job.slice_attempts, begun.waits) == (2, 1)
        results = [Outcome(1, OutcomeKind.CREATED)]
        await begun.record_outcomes(results, cursor=1, lines={}, is_last=True)
        await begun.end(crashed=crashed, wait_for="busy")
        begun = await self.begin(ledger, job)
        assert (begun.job.cursor, begun.job.slice_attempts, begun.waits) == (1, 1, 1)

    async def test_first_writes_at_the_same_time_record_the_parts_once(
        self, ledger: Ledger
    ) -> None:
        """A second time would take back the remarks that were added in between."""
        job = await self.job(ledger, records=None)
        begun = await self.begin(ledger, job)
        begun.set_parts(3, [1], Remarks(1, (RowRemark(2, 3, "no guest"),)))
        first = Outcome(1, OutcomeKind.CREATED, remark="no alarm")
        await asyncio.gather(
            begun.record_intents([2]),
            begun.record_outcomes([first], cursor=1, lines={}),
            begun.record_intents([3]),
        )
        assert (await self.now(ledger, job.id)).remarks.rows == 2
        assert await self.first_rows(ledger, job.id, 1) == [1]
        assert await begun.open_intents() == {2, 3}

    async def test_rows_that_are_recorded_in_any_order_are_found_with_their_ids(
        self, ledger: Ledger
    ) -> None:
        """The rows of one call lie between those of another. Failures and deletions have no id."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        kinds = {2: OutcomeKind.DELETED, 6: OutcomeKind.UNCHANGED, 7: OutcomeKind.FAILED}
        for rows in ((8, 2, 6), (1, 7, 3), (5,)):
            results = [Outcome(row, kinds.get(row, OutcomeKind.CREATED), f"i{row}") for row in rows]
            await begun.record_outcomes(results, cursor=0, lines={})
        assert (await begun.rows_to_send())[1] == [(1, 3), (5, 8)]
        assert await begun.ids_written(1, 10) == {row: f"i{row}" for row in (1, 3, 5, 6, 8)}
        assert await begun.ids_written(2, 5) == {3: "i3", 5: "i5"}

    async def test_an_answer_that_was_lost_records_its_outcomes_once(self, ledger: Ledger) -> None:
        """The call is made again, and its rows are counted once."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        results = [Outcome(3, OutcomeKind.CREATED), Outcome.failure(1, "no")]
        for _ in range(2):
            await begun.record_outcomes(results, cursor=1, lines={})
        counts = (await self.now(ledger, job.id)).counts
        assert (counts.created, counts.failed) == (1, 1)
        assert len(await ledger.errors(job.id, after=0, limit=9)) == 1

    async def test_errors_come_in_the_order_of_the_file_from_behind_a_row_on(
        self, ledger: Ledger
    ) -> None:
        """Successes are not among them."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        results = [
            Outcome.failure(row, f"no {row}") if row % 2 else Outcome(row, OutcomeKind.CREATED)
            for row in (9, 1, 4, 3, 7)
        ]
        await begun.record_outcomes(results, cursor=0, lines={})
        assert [error.row for error in await ledger.errors(job.id, after=1, limit=2)] == [3, 7]
        assert (await begun.rows_to_send())[1] == [(1, 1), (3, 4), (7, 7), (9, 9)]

    async def test_errors_are_grouped_by_their_cause(self, ledger: Ledger) -> None:
        """The largest group first, and each with its first record in the file."""
        job = await self.job(ledger)
        begun = await self.begin(ledger, job)
        results = [
            Outcome(1, OutcomeKind.CREATED),
            *(Outcome.failure(row, f"'d{row}' is not a date", field="start") for row in (5, 2, 4)),
            Outcome.failure(3, "no title"),
            Outcome.failure(6, "no title"),
            Outcome.failure(7, "'d7' is not a date", field="end"),
            Outcome(8, OutcomeKind.UNKNOWN, problem=Problem("no title")),
        ]
        await begun.record_outcomes(results, cursor=0, lines={})
        groups = await ledger.error_groups(job.id, limit=9)
        assert [(group.count, group.first.row, group.has_one_text) for group in groups] == [
            (3, 2, False),
            (2, 3, True),
            (1, 7, True),
            (1, 8, True),
        ]
        assert await ledger.error_groups(job.id, limit=1, skip=1) == groups[1:2]
        of_group = await ledger.errors(job.id, after=2, limit=9, cause=groups[0].id)
        assert [error.row for error in of_group] == [4, 5]

    async def test_a_finished_job_is_to_notify_until_it_has_a_notification(
        self, ledger: Ledger, deliveries: Deliveries
    ) -> None:
        """One notification a job, whatever dies in between."""
        job = await self.job(ledger)
        assert await deliveries.jobs_to_notify() == []
        job = await (await self.begin(ledger, job)).finish(Status.COMPLETE, now=NOW)
        assert [one.id for one in await deliveries.jobs_to_notify()] == [job.id]
        first = await deliveries.add(job, "https://example.com/", b"{}", NOW)
        again = await deliveries.add(job, "https://example.com/", b"{other}", NOW)
        assert first == again
        assert await deliveries.jobs_to_notify() == []
        await deliveries.end_attempt(
            first.id, 1, "503", due_at=NOW + timedelta(seconds=5), finished_at=None
        )
        (open_one,) = await deliveries.open()
        assert (open_one.attempts, open_one.due_at) == (1, NOW + timedelta(seconds=5))
        await deliveries.end_attempt(first.id, 2, "200", due_at=NOW, finished_at=NOW)
        assert await deliveries.open() == []

    async def test_a_job_has_one_notification_however_often_it_is_added_at_once(
        self, ledger: Ledger, deliveries: Deliveries
    ) -> None:
        """A job without a callback URL has none."""
        job = await self.job(ledger)
        job = await (await self.begin(ledger, job)).finish(Status.COMPLETE, now=NOW)
        added = await asyncio.gather(
            *(deliveries.add(job, "https://example.com/", b"{}", NOW) for _ in range(5))
        )
        assert [one.id for one in await deliveries.open()] == [added[0].id]
        assert added == added[:1] * 5
        assert await deliveries.get(added[0].id) == added[0]
        assert await deliveries.get(added[0].id + 1) is None
        silent = await ledger.add_job(
            replace(job.upload, file="silent", callback_url=None),
            organization_id=1,
            instance_id=1,
            request_id="r",
            now=NOW,
        )
        await ledger.cancel(silent.id, NOW)
        assert await deliveries.jobs_to_notify() == []

    async def test_files_of_jobs_finished_long_ago_are_listed_once(self, ledger: Ledger) -> None:
        """Those of jobs that are not finished are kept."""
        job = await self.job(ledger, "old")
        await self.job(ledger, "unfinished")
        await (await self.begin(ledger, job)).finish(Status.COMPLETE, now=NOW)
        assert await ledger.files_of_jobs_finished_before(NOW) == []
        assert await ledger.files_of_jobs_finished_before(NOW + timedelta(seconds=1)) == ["old"]
        await ledger.forget_file("old")
        assert await ledger.files_of_jobs_finished_before(NOW + timedelta(seconds=1)) == []
        assert await ledger.files() == {"unfinished"}
