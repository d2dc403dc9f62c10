"""A slice of an upload, against services that fail in every way."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.byte_budget import ByteBudget
from openbulk.connectors.base import Features, NativeBulk
from openbulk.domain.errors import (
    AnswerLost,
    BadInput,
    CallWithdrawn,
    Fenced,
    Refused,
    RetryLater,
    SignInAgain,
)
from openbulk.domain.job import Job, Status, Upload
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Before, Outcome, OutcomeKind, Record, Target
from openbulk.engine.slices import record_reader
from openbulk.engine.slices import upload as upload_module
from openbulk.engine.slices.concurrency import ConcurrencyLimiter
from openbulk.engine.slices.deadline import SliceDeadline
from openbulk.engine.slices.ending import Complete, Continue, Crash, Ending, Fail, Snooze
from openbulk.engine.slices.memory import MemoryShare, Seats, SliceMemory
from openbulk.engine.slices.parts import RowsInThread, cut
from openbulk.engine.slices.undo.keeping import SliceImages, UndoStores
from openbulk.engine.slices.upload import UploadSlice
from openbulk.engine.upload_check import require_possible
from openbulk.formats import FORMATS
from openbulk.formats.recognition import Inspection
from openbulk.security import Sealer
from openbulk.storage.database import migrate, open_ledger_engine
from openbulk.storage.files import FileStore, FileWriter
from openbulk.storage.ledger import Ledger
from openbulk.storage.slice_ledger import SliceLedger
from openbulk.storage.undo import BeforeImageStore, Undos
from support.ledger_suite import record_parts
from support.people import add_organization
from support.work import calls_of_this_thread

NOW = datetime.now(UTC)
Answer = Exception | Callable[[Sequence[Record]], list[Outcome]]


def created(batch: Sequence[Record]) -> list[Outcome]:
    return [Outcome(record.row, OutcomeKind.CREATED, f"id-{record.row}") for record in batch]


@dataclass
class Scripted:
    """A service that gives the answers of a list, then success."""

    features: Features
    answers: list[Answer] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    native: NativeBulk | None = None
    sent: list[int] = field(default_factory=list)
    takes: float = 0.0
    """Seconds until an answer."""

    async def check(self) -> None:
        """Signed in."""

    async def objects(self) -> Mapping[str, Features]:
        return {"things": self.features}

    async def metadata(self, object: str) -> Mapping[str, Any]:
        return {}

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        yield Page([], None)

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        return {}

    async def close(self) -> None:
        pass

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        return {record.key: self.known[record.key] for record in batch if record.key in self.known}

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        self.sent += [record.row for record in batch]
        answer = self.answers.pop(0) if self.answers else created
        if isinstance(answer, Exception):
            raise answer
        outcomes = answer(batch)
        await asyncio.sleep(self.takes)
        return outcomes


@dataclass
class Bench:
    """A ledger and a file store, with one job of some rows."""

    ledger: Ledger
    files: FileStore
    job: Job
    undo: UndoStores
    luck: "Luck | None" = None

    async def begin_slice(self) -> SliceLedger:
        """Begin the slice that is due, as always the same worker."""
        job = await self.now()
        begun = await self.ledger.begin_slice(job.id, job.slice, datetime.now(UTC), worker="one")
        assert begun is not None
        return begun

    async def run_slice(self, connector: Scripted, draining: asyncio.Event | None = None) -> Ending:
        """Run the slice that is due."""
        begun = await self.begin_slice()
        if self.luck is not None:
            begun = Unlucky(self.ledger._engine, begun.job, begun.fence, luck=self.luck)
        draining = draining or asyncio.Event()
        deadline = SliceDeadline(begun, draining, lambda: datetime.now(UTC))
        try:
            async with SliceMemory().share("things") as memory:
                return await UploadSlice(
                    begun,
                    connector=connector,
                    files=self.files,
                    deadline=deadline,
                    memory=memory,
                    undo=self.undo,
                ).run()
        finally:
            await begun.end()

    async def now(self) -> Job:
        job = await self.ledger.job(self.job.id)
        assert job is not None
        return job


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = await make_bench(tmp_path, b"name\n" + b"".join(b"Name %d\n" % n for n in range(1, 11)))
    yield made
    await made.ledger._engine.dispose()


async def make_bench(folder: Path, content: bytes) -> Bench:
    sealer = Sealer([os.urandom(32)])
    engine = open_ledger_engine(f"sqlite:///{folder / 'ledger.db'}")
    await migrate(engine)
    await add_organization(engine)
    ledger, files = Ledger(engine), FileStore(LocalStore(folder / "files", mkdir=True), sealer)
    writer = FileWriter(files, "f00d")
    await writer.write(content)
    await writer.close()
    upload = Upload(Target("things", Action.CREATE), "f00d", len(content), "csv")
    job = await ledger.add_job(
        upload, organization_id=1, instance_id=1, request_id="r", now=datetime.now(UTC)
    )

    async def never() -> bool:
        return False

    rows = FORMATS["csv"].read(io.BytesIO(content), {})
    done = await cut(files, upload.file, RowsInThread(rows), never)
    assert done is not None
    cutting = SliceLedger(engine, job, 0, reading=engine)
    await record_parts(cutting, done.records, done.first_rows, done.remarks)
    undo = UndoStores(Undos(engine, files), BeforeImageStore(sealer), is_kept=True)
    return Bench(ledger, files, job, undo)


KEYED = Features(frozenset({Action.CREATE}), max_batch=1, concurrency=1, idempotent_writes=True)
UNKEYED = Features(frozenset({Action.CREATE}), max_batch=1, concurrency=1)


async def test_every_record_gets_its_outcome(bench: Bench) -> None:
    connector = Scripted(KEYED)
    assert await bench.run_slice(connector) == Complete()
    job = await bench.now()
    assert (job.cursor, job.counts.created, job.counts.total) == (10, 10, 10)
    assert connector.sent == list(range(1, 11))


async def test_a_busy_service_ends_the_slice_and_the_next_one_continues(
    bench: Bench,
) -> None:
    connector = Scripted(KEYED, [created, created, RetryLater("busy", after=7)])
    assert await bench.run_slice(connector) == Snooze("busy", 7)
    assert (await bench.now()).cursor == 2
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == [1, 2, 3, *range(3, 11)]


async def test_a_lost_answer_is_sent_again_if_that_is_harmless(bench: Bench) -> None:
    connector = Scripted(KEYED, [AnswerLost("lost")])
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == [1, *range(1, 11)]
    assert (await bench.now()).counts.created == 10


async def test_a_lost_answer_is_looked_up_if_sending_again_would_double(bench: Bench) -> None:
    connector = Scripted(
        UNKEYED, [AnswerLost("lost"), AnswerLost("lost")], known={"f00d:2": "id-2"}
    )
    assert await bench.run_slice(connector) == Complete()
    job = await bench.now()
    assert connector.sent == list(range(1, 11)), "nothing is sent twice"
    assert (job.counts.created, job.counts.unknown) == (9, 1)
    (error,) = await bench.ledger.errors(job.id, after=0, limit=10)
    assert (error.row, error.line, error.kind) == (1, 2, OutcomeKind.UNKNOWN)


async def test_records_in_flight_at_a_crash_are_not_sent_again_if_that_would_double(
    bench: Bench,
) -> None:
    await SliceLedger(
        bench.ledger._engine, bench.job, 0, reading=bench.ledger._engine
    ).record_intents([1, 2])
    connector = Scripted(UNKEYED, known={"f00d:1": "id-1"})
    assert await bench.run_slice(connector) == Complete()
    counts = (await bench.now()).counts
    assert connector.sent == list(range(3, 11))
    assert (counts.created, counts.unknown) == (9, 1)


async def test_a_lost_answer_that_cannot_be_looked_up_now_is_looked_up_later(
    bench: Bench,
) -> None:
    connector = Scripted(UNKEYED, [AnswerLost("lost")], known={"f00d:1": "id-1"})
    find = connector.find

    async def down(target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        raise RetryLater("down")

    connector.find = down  # type: ignore[method-assign]
    assert await bench.run_slice(connector) == Snooze("down")
    connector.find = find  # type: ignore[method-assign]
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == list(range(1, 11))
    assert (await bench.now()).counts.created == 10


async def test_a_deferred_call_is_sent_again_even_if_that_could_double(
    bench: Bench,
) -> None:
    connector = Scripted(UNKEYED, [RetryLater("busy", after=0.1)])
    assert await bench.run_slice(connector) == Snooze("busy", 0.1)
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == [1, *range(1, 11)]
    assert (await bench.now()).counts.created == 10


async def test_a_transient_error_does_not_end_the_slice(bench: Bench) -> None:
    connector = Scripted(KEYED, [RetryLater("busy")])
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == [1, *range(1, 11)]
    assert (await bench.now()).counts.created == 10


async def test_rows_that_have_an_outcome_after_the_cursor_are_not_sent_again(bench: Bench) -> None:
    begun = await bench.ledger.begin_slice(bench.job.id, 0, datetime.now(UTC))
    assert begun is not None
    outcomes = [Outcome(3, OutcomeKind.CREATED), Outcome(5, OutcomeKind.CREATED)]
    await begun.record_outcomes(outcomes, cursor=0, lines={})
    connector = Scripted(KEYED)
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == [1, 2, 4, 6, 7, 8, 9, 10]
    assert (await bench.now()).counts.created == 10


async def test_a_superseded_runner_writes_nothing(bench: Bench) -> None:
    connector = Scripted(KEYED)
    write = connector.write

    async def overtaken_meanwhile(target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        assert await bench.ledger.begin_slice(bench.job.id, 0, datetime.now(UTC)) is not None
        return await write(target, batch)

    connector.write = overtaken_meanwhile  # type: ignore[method-assign]
    with pytest.raises(Fenced):
        await bench.run_slice(connector)
    assert (await bench.now()).counts.total == 0


async def test_a_withdrawn_call_stops_the_slice_as_fenced(bench: Bench) -> None:
    """Whether the slice wanted to write, or to look up what an earlier slice wrote."""
    with pytest.raises(Fenced):
        await bench.run_slice(Scripted(KEYED, [CallWithdrawn()]))
    unanswered = Scripted(UNKEYED, [AnswerLost("lost")])

    async def withdrawn(target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        raise CallWithdrawn

    unanswered.find = withdrawn  # type: ignore[method-assign]
    with pytest.raises(Fenced):
        await bench.run_slice(unanswered)
    assert (await bench.now()).counts.total == 0


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (Refused("forbidden"), Fail(Status.ERROR, "forbidden")),
        (SignInAgain("expired"), Snooze("expired", max_wait=300.0)),
    ],
)
async def test_a_refusal_stops_the_job_and_expired_credentials_let_it_wait(
    bench: Bench, error: Exception, ending: Ending
) -> None:
    assert await bench.run_slice(Scripted(KEYED, [created, error])) == ending
    assert (await bench.now()).cursor == 1


async def test_an_unforeseen_failure_loses_no_outcome(bench: Bench) -> None:
    ending = await bench.run_slice(Scripted(KEYED, [created, ZeroDivisionError("oops")]))
    assert isinstance(ending, Crash)
    assert (await bench.now()).counts.created == 1


class Noting(Scripted):
    """A service that keeps what each record is about to overwrite, and sees what was kept of it."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(replace(KEYED, undoes=frozenset({Action.CREATE})), answers)
        self.seen: list[tuple[int, Before | None]] = []

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        images, row = target.before_images, batch[0].row
        assert images is not None
        self.seen.append((row, images.image_of(row)))
        await images.keep(row, Before({"name": f"old {row}"}))
        return await super().write(target, batch)


async def test_what_a_killed_runner_was_about_to_overwrite_is_known_to_the_next_one(
    bench: Bench,
) -> None:
    """Even if the same worker begins the slice again, as after a restart of its database."""
    killed = await bench.begin_slice()
    images = SliceImages(killed, bench.undo.images)
    await images.keep(2, Before({"name": "first"}))
    connector = Noting([])
    assert await bench.run_slice(connector) == Complete()
    assert connector.seen[:3] == [(1, None), (2, Before({"name": "first"})), (3, None)]


async def test_what_a_lost_call_was_about_to_overwrite_is_known_to_the_second_one(
    bench: Bench,
) -> None:
    connector = Noting([AnswerLost("lost")])
    assert await bench.run_slice(connector) == Complete()
    assert connector.seen[:3] == [(1, None), (1, Before({"name": "old 1"})), (2, None)]


@dataclass
class Luck:
    """The calls that will fail once."""

    record_fails: bool = False
    read_fails: bool = False


class Unlucky(SliceLedger):
    """A ledger that once fails to write, after a while, and once fails to read."""

    def __init__(self, engine: AsyncEngine, job: Job, fence: int, *, luck: Luck) -> None:
        super().__init__(engine, job, fence, reading=engine)
        self._luck = luck

    async def _record(self, *args: Any) -> None:
        if self._luck.record_fails:
            self._luck.record_fails = False
            await asyncio.sleep(0.3)
            raise OSError("the database is locked")
        await super()._record(*args)

    async def is_stopped(self) -> bool:
        if self._luck.read_fails:
            self._luck.read_fails = False
            raise OSError("the pool is exhausted")
        return await super().is_stopped()


async def test_no_cursor_passes_over_outcomes_that_could_not_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later outcomes are not recorded either: the next slice sends all of them again."""
    monkeypatch.setattr("openbulk.engine.slices.record_reader.MAX_UNRECORDED", 20)
    monkeypatch.setattr(upload_module, "RECORD_SECONDS", 0.05)
    bench = await make_bench(tmp_path, b"name\n" + b"".join(b"Name %d\n" % n for n in range(400)))
    bench.luck = Luck(record_fails=True)
    connector = Scripted(replace(KEYED, concurrency=10), takes=0.01)
    with pytest.raises(OSError, match="locked"):
        await bench.run_slice(connector)
    assert (await bench.now()).cursor == 0
    assert len(connector.sent) < 400
    assert await bench.run_slice(connector) == Complete()
    assert (await bench.now()).counts.created == 400
    await bench.ledger._engine.dispose()


async def test_a_slice_ends_when_the_ledger_cannot_say_whether_it_is_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it could not be cancelled, and would keep its lane, until the end of the file."""
    monkeypatch.setattr(upload_module, "DEADLINE_POLL_SECONDS", 0.05)
    bench.luck = Luck(read_fails=True)
    connector = Scripted(KEYED, takes=0.1)
    with pytest.raises(OSError, match="exhausted"):
        await bench.run_slice(connector)
    assert 0 < (await bench.now()).cursor < 10


async def test_a_slice_ends_when_the_process_drains(bench: Bench) -> None:
    draining = asyncio.Event()

    def answer(batch: Sequence[Record]) -> list[Outcome]:
        draining.set()
        return created(batch)

    assert await bench.run_slice(Scripted(KEYED, [answer], takes=0.4), draining) == Continue()
    assert 0 < (await bench.now()).cursor < 10


@dataclass
class Dependent(Scripted):
    """A service that takes the first row only when it has another one."""

    needed: int = 5

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        outcomes = await super().write(target, batch)
        if [outcome.row for outcome in outcomes] != [1] or self.needed in self.sent:
            return outcomes
        return [Outcome.failure(1, "its series is missing")._replace(is_early=True)]


@pytest.mark.parametrize("features", [KEYED, UNKEYED])
async def test_a_record_that_comes_before_another_which_it_needs_is_sent_behind_it(
    bench: Bench, features: Features
) -> None:
    connector = Dependent(features)
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == [*range(1, 11), 1]
    assert (await bench.now()).counts.created == 10


async def test_a_record_whose_other_never_comes_fails_alone(bench: Bench) -> None:
    connector = Dependent(KEYED, needed=99)
    assert await bench.run_slice(connector) == Complete()
    job = await bench.now()
    assert (job.counts.created, job.counts.failed) == (9, 1)
    (error,) = await bench.ledger.errors(job.id, after=0, limit=10)
    assert error.problem == "its series is missing"
    assert connector.sent == [*range(1, 11), 1]


class Orphans(Scripted):
    """A service that takes no record, as each needs another one."""

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        await super().write(target, batch)
        return [
            Outcome.failure(record.row, "its series is missing")._replace(is_early=True)
            for record in batch
        ]


async def test_records_that_wait_for_others_do_not_fill_slice_after_slice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long they take: the next slice would begin with them again, without end."""
    monkeypatch.setattr("openbulk.engine.slices.deadline.MAX_SLICE_SECONDS", 0.0)
    connector = Orphans(KEYED, takes=0.6)
    assert await bench.run_slice(connector) == Complete()
    assert (await bench.now()).counts.failed == 10
    assert connector.sent == [*range(1, 11)] * 2


async def test_a_record_that_waits_for_another_has_no_outcome_when_the_slice_ends(
    bench: Bench,
) -> None:
    """The next slice sends it behind the others, and none of those that were taken."""
    connector = Dependent(KEYED, [created, created, RetryLater("busy", after=7)])
    assert await bench.run_slice(connector) == Snooze("busy", 7)
    assert (await bench.now()).cursor == 0
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == [1, 2, 3, *range(3, 11), 1]
    assert (await bench.now()).counts.created == 10


async def test_a_record_that_waits_is_known_after_a_kill_as_long_as_its_slice_ended(
    bench: Bench,
) -> None:
    """It is sent behind the others; what the killed slice wrote is not sent again."""
    connector = Dependent(KEYED, [created, created, RetryLater("busy", after=7)], needed=9)
    await bench.run_slice(connector)
    killed = await bench.ledger.begin_slice(bench.job.id, (await bench.now()).slice, NOW)
    assert killed is not None
    await killed.record_outcomes([Outcome(3, OutcomeKind.CREATED)], cursor=0, lines={})
    await killed.end()
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == [1, 2, 3, *range(4, 11), 1]
    assert (await bench.now()).counts.created == 10


@dataclass
class Linked(Scripted):
    """A service that takes some rows only behind others."""

    needs: Mapping[int, int] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        return [self._answer(outcome) for outcome in await super().write(target, batch)]

    def _answer(self, outcome: Outcome) -> Outcome:
        if self.needs.get(outcome.row, outcome.row) in {*self.taken, outcome.row}:
            self.taken.add(outcome.row)
            return outcome
        return Outcome.failure(outcome.row, "its series is missing")._replace(is_early=True)


async def test_records_are_sent_again_as_long_as_one_of_them_is_taken(bench: Bench) -> None:
    """Each waits for the next one: a pass helps one of them. Those that wait in vain fail."""
    connector = Linked(KEYED, needs={1: 2, 2: 3, 3: 4, 4: 10, 6: 99})
    assert await bench.run_slice(connector) == Complete()
    assert connector.sent == [*range(1, 11), 1, 2, 3, 4, 6, 1, 2, 3, 6, 1, 2, 6, 1, 6, 6]
    counts = (await bench.now()).counts
    assert (counts.created, counts.failed) == (9, 1)


async def test_records_that_wait_in_vain_are_refused_however_many_they_are(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whose refusal was not kept are sent once more for it."""
    monkeypatch.setattr("openbulk.engine.slices.waiting_records.MAX_KEPT_REFUSALS", 2)
    connector = Linked(KEYED, needs={1: 99, 3: 99, 5: 99, 8: 10, 9: 99})
    assert await bench.run_slice(connector) == Complete()
    counts = (await bench.now()).counts
    assert (counts.created, counts.failed) == (6, 4)
    assert connector.sent == [*range(1, 11), 1, 3, 5, 8, 9, 1, 3, 5, 9, 5, 9]
    errors = await bench.ledger.errors(bench.job.id, after=0, limit=10)
    assert [(error.row, error.line) for error in errors] == [(1, 2), (3, 4), (5, 6), (9, 10)]


async def test_a_pass_through_waiting_records_goes_on_in_the_next_slice(bench: Bench) -> None:
    """So that it ends, however few calls a slice has: else each would begin with the same ones."""
    busy = RetryLater("busy", after=7)
    connector = Linked(KEYED, needs=dict.fromkeys(range(1, 9), 99))
    connector.answers = [*[created] * 12, busy]
    for _ in range(20):
        if await bench.run_slice(connector) == Complete():
            break
        connector.answers = [created, created, created, busy]
    counts = (await bench.now()).counts
    assert (counts.created, counts.failed) == (2, 8)
    assert connector.sent[:18] == [*range(1, 11), 1, 2, 3, 3, 4, 5, 6, 6]


class Ticketed:
    """A native bulk import that is polled a few times."""

    def __init__(self, asks: int) -> None:
        self.submitted: list[list[int]] = []
        self._asks = asks

    async def submit(self, target: Target, batch: Sequence[Record]) -> str:
        self.submitted.append([record.row for record in batch])
        return f"ticket {len(self.submitted)}"

    async def collect(
        self, ticket: str, target: Target, batch: Sequence[Record]
    ) -> Sequence[Outcome] | None:
        self._asks -= 1
        if self._asks > 0:
            return None
        assert [record.row for record in batch] == self.submitted[int(ticket.split()[1]) - 1]
        return [
            Outcome.failure(r.row, "no") if r.row % 4 == 0 else Outcome(r.row, OutcomeKind.CREATED)
            for r in batch
        ]


async def test_a_native_import_is_submitted_once_and_collected_after_a_restart(
    tmp_path: Path,
) -> None:
    bench = await make_bench(tmp_path, b"name,x\nA,1\nB,1\nbroken\nC,1\nD,1\nE,1\n")
    native = Ticketed(asks=10**6)
    features = Features(frozenset({Action.CREATE}), max_batch=3, native=True)
    draining = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, draining.set)
    assert await bench.run_slice(Scripted(features, native=native), draining) == Continue()
    assert native.submitted == [[1, 2, 4]]

    native._asks = 0
    assert await bench.run_slice(Scripted(features, native=native)) == Complete()
    assert native.submitted == [[1, 2, 4], [5, 6]]
    job = await bench.now()
    assert (job.cursor, job.counts.created, job.counts.failed) == (6, 4, 2)
    assert [(e.row, e.line) for e in await bench.ledger.errors(job.id, after=0, limit=9)] == [
        (3, 4),
        (4, 5),
    ]
    await bench.ledger._engine.dispose()


async def test_a_native_batch_is_what_its_ticket_says_whatever_the_limits_are_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next version of openbulk may have others."""
    bench = await make_bench(tmp_path, b"name\n" + b"".join(b"%d\n" % n for n in range(6)))
    native = Ticketed(asks=10**6)
    features = Features(frozenset({Action.CREATE}), max_batch=4, native=True)
    draining = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, draining.set)
    assert await bench.run_slice(Scripted(features, native=native), draining) == Continue()
    assert native.submitted == [[1, 2, 3, 4]]

    native._asks = 0
    monkeypatch.setattr(record_reader, "MAX_BATCH_BYTES", 1)
    assert await bench.run_slice(Scripted(features, native=native)) == Complete()
    assert native.submitted == [[1, 2, 3, 4], [5], [6]]
    await bench.ledger._engine.dispose()


@dataclass
class Weighing(Scripted):
    """A service that notes how many bytes of records it holds at the same time."""

    held: int = 0
    most: int = 0
    batches: list[int] = field(default_factory=list)

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        size = sum(record.size for record in batch)
        self.held += size
        self.most = max(self.most, self.held)
        self.batches.append(len(batch))
        await asyncio.sleep(0.01)
        self.held -= size
        return created(batch)


async def test_records_in_flight_are_bounded_by_bytes(tmp_path: Path) -> None:
    """Whatever the service takes at once; and a record that is larger than the bound goes alone."""
    texts = [*["x" * 900_000] * 12, "," * 300_000, *["y"] * 50]
    rows = "".join(f'"{text}"\n' for text in texts)
    bench = await make_bench(tmp_path, f"name\n{rows}".encode())
    features = Features(frozenset({Action.CREATE}), 20, 8, idempotent_writes=True)
    connector = Weighing(features)
    assert await bench.run_slice(connector) == Complete()
    assert connector.batches == [9, 3, 1, 20, 20, 10]
    largest = 64 * 300_000
    assert connector.most < largest + 1_000_000
    assert (await bench.now()).counts.created == len(texts)
    await bench.ledger._engine.dispose()


async def test_a_file_that_cannot_be_read_as_a_whole_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="both called 'a'"):
        await make_bench(tmp_path, b"a,a\n1,2\n")


WIDE = ",".join(f"field {number}" for number in range(10_000)) + "\n" + ",".join("1" * 10_000)
BUSY = 50_000
"""Calls of functions: fewer than are needed to look at each field."""


async def test_the_event_loop_goes_on_while_the_fields_of_a_wide_record_are_found(
    tmp_path: Path,
) -> None:
    bench = await make_bench(tmp_path, WIDE.encode())
    with calls_of_this_thread() as calls:
        assert await bench.run_slice(Scripted(KEYED)) == Complete()
    assert calls.count < BUSY
    await bench.ledger._engine.dispose()


async def test_the_event_loop_goes_on_while_a_wide_file_is_checked() -> None:
    rows = list(FORMATS["csv"].read(io.BytesIO(WIDE.encode()), {}))
    file = Inspection(FORMATS["csv"], rows, is_whole=True)
    with calls_of_this_thread() as calls:
        await require_possible(Target("things", Action.CREATE), file, Scripted(KEYED))
    assert calls.count < BUSY


async def test_calls_that_share_a_key_wait_for_those_before_them() -> None:
    """Others go on; and a call that is cancelled while it waits leaves no trace."""
    limiter = ConcurrencyLimiter(
        replace(KEYED, concurrency=3), MemoryShare(ByteBudget(1_000), Seats(1, 0, 0.0), "things")
    )
    first, second, other = (asyncio.create_task(asyncio.sleep(wait)) for wait in (0.05, 9, 0))
    for call, keys in ((first, {"a"}), (second, {"a"}), (other, {"b"})):
        await asyncio.wait_for(limiter.acquire(1), 60)
        assert limiter.calls_before(keys) == ({first} if call is second else set())
        limiter.release_after(call, keys, 1)
    second.cancel()
    await asyncio.wait({first, second, other})
    await asyncio.sleep(0)
    assert limiter.calls_before({"a", "b"}) == set()
    for _ in range(3):
        await asyncio.wait_for(limiter.acquire(1), 60)
