"""One turn of an upload: records are sent, and outcomes and cursor are written down together.

A turn ends after about two seconds where another job waits for the lane, else after half a minute. It ends
early where the service has to be waited for, or somebody asks for it. Whatever ends it, calls under way are
waited for and their outcomes written down.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial

from openbulk.connectors.base import Connector, Features, NativeBulk
from openbulk.connectors.targets import refusal_of
from openbulk.domain.errors import (
    AnswerLost,
    CallWithdrawn,
    DiskFull,
    Fenced,
    RetryLater,
    ServiceError,
)
from openbulk.domain.records import Outcome, OutcomeKind, Problem, Record, Row
from openbulk.engine import metrics
from openbulk.engine.retry import MAX_RESENDS, wait_before_resend
from openbulk.engine.slices.concurrency import ConcurrencyLimiter
from openbulk.engine.slices.deadline import SliceDeadline, happens_within
from openbulk.engine.slices.ending import Complete, Continue, Crash, Ending, Fail, ending_of
from openbulk.engine.slices.parts import rows_of
from openbulk.engine.slices.progress import (
    FATE,
    Progress,
    key_of,
    one_each,
    ordering_key,
    target_of,
    unknown,
)
from openbulk.storage.files import FileStore, Part
from openbulk.storage.slice_ledger import SliceLedger, Ticket, Turn

COMMIT_SECONDS = 0.25
COMMIT_OUTCOMES = 1_000
UNWRITTEN_MOST = 4 * COMMIT_OUTCOMES
"""So many outcomes may be known and not written down before the turn waits for the ledger."""
LOOK_SECONDS = 0.05
"""How often is looked whether there is something to write down."""
WATCH_SECONDS = 0.25
NATIVE_POLL_FIRST = 0.05
NATIVE_POLL_MOST = 2.0


class UploadSlice:
    """Runs one turn of one job."""

    def __init__(
        self,
        turn: Turn,
        *,
        connector: Connector,
        ledger: SliceLedger,
        files: FileStore,
        deadline: SliceDeadline,
    ) -> None:
        self._job = turn.job
        self._fence = turn.fence
        self._ticket = turn.ticket
        self._connector = connector
        self._ledger = ledger
        self._files = files
        self._deadline = deadline
        self._ending: Ending | None = None
        self._progress = Progress(turn.job.cursor)
        self._parts: Sequence[Part] = ()
        self._committing = asyncio.Lock()
        self._failed_commit: Exception | None = None
        self._failure: Exception | None = None
        """What kept the turn from reading on."""
        self._committed_at = 0.0
        self._target = turn.job.upload.target
        self._under_way: set[str] = set()
        self._one_is_done = asyncio.Event()
        self._is_sent = asyncio.Event()
        self._is_over = asyncio.Event()

    async def run(self) -> Ending:
        """Send records until the turn ends; how it ended. Raises Fenced where somebody else took over."""
        try:
            objects = await self._connector.objects()
        except ServiceError as error:
            return ending_of(error)
        job = self._job
        self._target = target_of(job, objects)
        self._parts = await self._ledger.parts_from(job.id, job.cursor + 1)
        self._progress.done = set(await self._ledger.rows_done(job.id, job.cursor))
        watching = asyncio.create_task(self._end_in_time())
        try:
            refusal = refusal_of(self._target, objects)
            if refusal is not None:
                await self._refuse_all(refusal)
            elif (features := objects[self._target.object]).native:
                assert self._connector.native is not None
                await self._import_natively(self._connector.native, features)
            else:
                await self._write(features)
            await self._commit()
            if self._failure is not None:
                raise self._failure
        finally:
            # Not cancelled: a question to the ledger that is broken off costs its connection.
            self._is_over.set()
            await watching
        if self._progress.cursor == job.records:
            return Complete()
        return self._ending or Continue()

    # --- records one way or the other into the service ---

    async def _refuse_all(self, reason: str) -> None:
        async for row in self._rows():
            if not self._settle_broken(row):
                self._progress.add([Outcome.failed(row.number, reason)])
            await self._commit_if_due()
            if self._ending:
                return

    async def _write(self, features: Features) -> None:
        await self._settle_intents(features)
        writing_down = asyncio.create_task(self._commit_in_time())
        try:
            async with asyncio.TaskGroup() as calls:
                await self._send_all(calls, features)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self._is_sent.set()
            await writing_down

    async def _send_all(self, calls: asyncio.TaskGroup, features: Features) -> None:
        """Send batch after batch, as many at one time as the service should have."""
        slots = ConcurrencyLimiter(features)
        try:
            async for batch in self._batches(features.max_batch):
                await slots.acquire()
                places = {ordering_key(self._target, features, record) for record in batch}
                await self._until_in_line(places)
                if self._ending:
                    return
                self._under_way |= places
                call = calls.create_task(self._send(batch, features))
                call.add_done_callback(partial(self._done, slots, places))
        except Fenced:
            raise
        except (
            Exception
        ) as error:  # rows that cannot be read: calls under way are waited for, and written down
            self._failure = error

    async def _until_in_line(self, places: set[str]) -> None:
        """Wait until no record is under way that has to be done before these."""
        while self._under_way & places and not self._ending:
            self._one_is_done.clear()
            await self._one_is_done.wait()

    def _done(self, slots: ConcurrencyLimiter, places: set[str], _call: asyncio.Task[None]) -> None:
        self._under_way -= places
        self._one_is_done.set()
        slots.release()

    async def _import_natively(self, native: NativeBulk, features: Features) -> None:
        target = self._target
        while not self._ending and self._progress.cursor != self._job.records:
            batch, until = await self._native_batch(features.max_batch)
            if batch:
                try:
                    if self._ticket is None:
                        await self._deadline.hold()
                        await self._take_ticket(Ticket(await native.submit(target, batch), until))
                    outcomes = await self._collect(native, batch)
                except ServiceError as error:
                    self._end(ending_of(error))
                    return
                if outcomes is None:
                    return
                self._progress.add(one_each(batch, outcomes))
            await self._commit(ticket_done=True)
            self._ticket = None

    async def _native_batch(self, most: int) -> tuple[list[Record], int]:
        """The next batch, and the last row that it reaches; broken rows on the way are settled."""
        batch: list[Record] = []
        until = self._progress.cursor
        stop_at = self._ticket.until if self._ticket else self._job.records
        async for row in self._rows():
            assert stop_at is not None
            if row.number > stop_at or len(batch) == most:
                break
            if not self._settle_broken(row):
                batch.append(self._record(row))
            until = row.number
        return batch, until

    async def _take_ticket(self, ticket: Ticket) -> None:
        self._ticket = ticket
        await self._deadline.written(
            lambda: self._ledger.set_ticket(self._job.id, self._fence, ticket)
        )

    async def _collect(
        self, native: NativeBulk, batch: Sequence[Record]
    ) -> Sequence[Outcome] | None:
        """The outcomes of a batch; None where the turn ended before the service was done with it."""
        assert self._ticket is not None
        pause = NATIVE_POLL_FIRST
        while (outcomes := await native.collect(self._ticket.text, self._target, batch)) is None:
            if self._ending:
                return None
            await asyncio.sleep(pause)
            pause = min(NATIVE_POLL_MOST, pause * 1.5)
        return outcomes

    # --- one batch ---

    async def _send(self, batch: Sequence[Record], features: Features) -> None:
        """Send a batch and take its outcomes in; a failure of the service ends the turn."""
        if self._ending:
            return  # a record that failed for now may have the same key as one of these: they keep their order
        try:
            if not features.idempotent_writes:
                await self._ledger.add_intents(
                    self._job.id, self._fence, [record.row for record in batch]
                )
            self._progress.add(one_each(batch, await self._outcomes(batch, features)))
        except (RetryLater, DiskFull) as error:
            if not features.idempotent_writes:
                rows = [record.row for record in batch]
                await self._deadline.written(
                    lambda: self._ledger.drop_intents(self._job.id, self._fence, rows)
                )
            self._end(ending_of(error))
        except ServiceError as error:
            self._end(ending_of(error))
        except Fenced:
            raise
        except Exception as error:
            self._end(Crash(error))

    async def _outcomes(self, batch: Sequence[Record], features: Features) -> Sequence[Outcome]:
        """Write a batch, once more where the service has a hiccup; where the answer is lost, write it again if that
        is harmless, else look it up."""
        resends = 0
        while True:
            try:
                await self._deadline.hold()
                return await self._connector.write(self._target, batch)
            except AnswerLost as error:
                if not features.idempotent_writes:
                    return await self._look_up(batch, error.message)
                if resends == MAX_RESENDS or self._ending:
                    raise
            except RetryLater as busy:
                if busy.after is not None or resends == MAX_RESENDS or self._ending:
                    raise
            resends += 1
            await asyncio.sleep(wait_before_resend(resends, random.random()))  # noqa: S311

    async def _look_up(self, batch: Sequence[Record], reason: str) -> Sequence[Outcome]:
        """What became of records whose answer was lost, as far as the service can say.

        Raises AnswerLost where it cannot be asked now: the intents stand, and the next turn asks again.
        """
        try:
            found = await self._connector.find(self._target, batch)
        except CallWithdrawn:
            raise
        except ServiceError as error:
            raise AnswerLost(error.message, provider_message=error.provider_message) from error
        return [
            Outcome(record.row, FATE[self._target.action], found[record.key])
            if record.key in found
            else Outcome(record.row, OutcomeKind.UNKNOWN, problem=Problem(unknown(reason)))
            for record in batch
        ]

    async def _settle_intents(self, features: Features) -> None:
        """Look up what was being sent when an earlier runner of this job died."""
        if features.idempotent_writes:
            return
        batch = await self._records_of(await self._ledger.intended(self._job.id))
        if not batch:
            return
        try:
            self._progress.add(
                await self._look_up(batch, "openbulk was stopped in the middle of the call")
            )
        except ServiceError as error:
            self._end(ending_of(error))
        await self._commit()

    async def _records_of(self, numbers: frozenset[int]) -> list[Record]:
        records: list[Record] = []
        if numbers:
            async for row in self._rows():
                if row.number in numbers:
                    self._progress.lines[row.number] = row.line
                    records.append(self._record(row))
                if row.number >= max(numbers):
                    break
        return records

    # --- rows ---

    async def _rows(self) -> AsyncIterator[Row]:
        """The rows that have no outcome yet."""
        progress = self._progress
        async for row in rows_of(self._files, self._job, self._parts, after=progress.cursor):
            if row.number > progress.cursor and row.number not in progress.done:
                yield row

    async def _batches(self, size: int) -> AsyncIterator[list[Record]]:
        batch: list[Record] = []
        async for row in self._rows():
            if len(self._progress.results) >= UNWRITTEN_MOST:
                await self._commit()
            if self._settle_broken(row):
                continue
            batch.append(self._record(row))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _settle_broken(self, row: Row) -> bool:
        """Whether the row is one that could not be read: then it has its outcome."""
        self._progress.lines[row.number] = row.line
        if row.values is None:
            self._progress.add([Outcome(row.number, OutcomeKind.FAILED, problem=row.problem)])
        return row.values is None

    def _record(self, row: Row) -> Record:
        return Record(row.number, row.values or {}, key_of(self._job, row))

    # --- the turn's frame ---

    def _end(self, ending: Ending) -> None:
        """The first reason to end a turn is the one that counts, unless a graver one follows."""
        if self._ending is None or isinstance(ending, Fail | Crash):
            self._ending = ending

    async def _end_in_time(self) -> None:
        """End the turn when it is over, or nobody can say whether it is."""
        try:
            while self._ending is None and not await happens_within(self._is_over, WATCH_SECONDS):
                if await self._deadline.is_over():
                    self._end(Continue())
        except BaseException:
            self._end(Continue())
            raise

    async def _commit_if_due(self) -> None:
        since = asyncio.get_running_loop().time() - self._committed_at
        if len(self._progress.results) >= COMMIT_OUTCOMES or (
            self._progress.results and since > COMMIT_SECONDS
        ):
            await self._commit()

    async def _commit_in_time(self) -> None:
        """Write outcomes down while others come in, until everything is sent; a ledger that fails ends the turn."""
        try:
            while not self._is_sent.is_set():
                await self._commit_if_due()
                await happens_within(self._is_sent, LOOK_SECONDS)
        except BaseException:
            self._end(Continue())
            raise

    async def _commit(self, *, ticket_done: bool = False) -> None:
        """Write down what has become known.

        What could not be written down is lost to this turn, and the next one finds out: nothing that comes later may be
        written, and with it a cursor beyond what was lost.
        """
        async with self._committing:
            if self._failed_commit is not None:
                raise self._failed_commit
            try:
                await self._write_down(ticket_done=ticket_done)
            except BaseException as error:
                # Who comes later was not cancelled himself, and is told so.
                self._failed_commit = (
                    error
                    if isinstance(error, Exception)
                    else RuntimeError("a commit was broken off")
                )
                raise

    async def _write_down(self, *, ticket_done: bool) -> None:
        results, lines = self._progress.take()
        cursor = self._progress.cursor
        if results or ticket_done:
            await self._deadline.written(
                lambda: self._ledger.commit(
                    self._job.id,
                    self._fence,
                    results,
                    cursor=cursor,
                    lines=lines,
                    ticket_done=ticket_done,
                )
            )
            for kind, count in Counter(outcome.kind for outcome in results).items():
                metrics.RECORDS.labels(kind).inc(count)
        self._committed_at = asyncio.get_running_loop().time()
