"""One slice of an upload: records are sent, and outcomes and cursor are recorded together.

A slice ends early when the service defers a call, the job is cancelled, or the process is draining.
However it ends, calls in flight are finished and their outcomes are recorded.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace

from openbulk.connectors.base import Connector, Features, NativeBulk
from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.fields import FieldError
from openbulk.connectors.targets import refusal_of, resolve_target
from openbulk.domain.errors import (
    AnswerLost,
    DiskFull,
    Fenced,
    RetryLater,
    ServiceError,
)
from openbulk.domain.records import Outcome, OutcomeKind, Record, Row
from openbulk.engine import metrics
from openbulk.engine.backoff import MAX_RESENDS, wait_before_resend
from openbulk.engine.date_columns import signs_of
from openbulk.engine.record_fields import RecordFields
from openbulk.engine.slices.concurrency import ConcurrencyLimiter
from openbulk.engine.slices.deadline import SliceDeadline
from openbulk.engine.slices.ending import Complete, Continue, Crash, Ending, Fail, ending_of
from openbulk.engine.slices.job_records import FileRecords
from openbulk.engine.slices.lost_answers import complete_outcomes, look_up
from openbulk.engine.slices.parts import rows_of
from openbulk.engine.slices.progress import (
    Progress,
    key_of,
    ordering_columns,
    ordering_keys_of,
)
from openbulk.storage.files import FileStore, Part
from openbulk.storage.slice_ledger import SliceLedger, Ticket

RECORD_SECONDS = 0.25
RECORD_OUTCOMES = 1_000
"""Outcomes are written at this interval, or as soon as this many are pending."""
MAX_UNRECORDED = 4 * RECORD_OUTCOMES
"""Backpressure: with this many unrecorded outcomes, the slice records them before it reads more."""
RECORD_POLL_SECONDS = 0.05
DEADLINE_POLL_SECONDS = 0.25
"""How often a slice looks whether outcomes are due, and whether it is over."""
FIRST_NATIVE_POLL_SECONDS = 0.05
MAX_NATIVE_POLL_SECONDS = 2.0


MAX_EARLY = 10_000
"""Records that need another one and wait for it, at most. They are held in memory."""
MAX_ROWS_AHEAD = 30_000
"""Rows after which the half of the waiting records that has waited longer is refused: the next
slice reads all of these rows again, as its cursor is before them."""


class UploadSlice:
    """Runs one slice of one job."""

    def __init__(
        self,
        ledger: SliceLedger,
        *,
        connector: Connector,
        files: FileStore,
        deadline: SliceDeadline,
        names_are_paths: bool = False,
    ) -> None:
        """`names_are_paths`: dots in the names of the file's columns make nested fields."""
        self._job = ledger.job
        self._ledger = ledger
        self._connector = connector
        self._files = files
        self._deadline = deadline
        self._ending: Ending | None = None
        self._progress = Progress(ledger.job.cursor)
        self._parts: Sequence[Part] = ()
        self._early: list[tuple[Record, Outcome]] = []
        """Records that need others, and the outcomes that they have without these."""
        self._target = replace(
            ledger.job.upload.target,
            run=ledger.job.upload.file,
            records=ledger.job.records,
            # A format whose records have fields in fields has numbers and documents, too.
            is_typed=not names_are_paths,
        )
        self._features = Features()
        self._ordering: Mapping[str, str] = {}
        self._names_are_paths = names_are_paths
        self._has_read_all = False
        self._fields: RecordFields | None = None
        """None as long as no record can be sent."""
        self._read_failure: Exception | None = None
        """The reason why the slice could not read further rows of its file."""
        self._recorded_at = 0.0
        self._is_over = asyncio.Event()

    async def run(self) -> Ending:
        """Send records until the slice ends; return how it ended. Raises Fenced."""
        try:
            refusal = await self._prepare()
        except ServiceError as error:
            return ending_of(error)
        self._parts, with_outcome = await self._ledger.rows_to_send()
        self._progress.done = set(with_outcome)
        records = FileRecords(self._ledger, self._files, self._record_of, with_outcome)
        self._target = replace(self._target, job_records=records)
        watching = asyncio.create_task(self._watch())
        try:
            if refusal is not None:
                await self._refuse_all(refusal)
            elif self._features.native:
                await self._import_natively(self._features)
            else:
                await self._send_all(self._features)
            await self._record()
            if self._fields is not None:
                await self._ledger.add_left_out(self._fields.left_out)
            if self._read_failure is not None:
                raise self._read_failure
        finally:
            # Do not cancel: cancelling a running query loses the database connection.
            self._is_over.set()
            await watching
        if self._progress.cursor == self._job.records:
            return Complete()
        return self._ending or Continue()

    async def _prepare(self) -> str | None:
        """Resolve the target and the file's columns; return why no record can be sent, or None.

        Raises BadInput if the file does not show the order of its dates, and ServiceError.
        """
        objects = await self._connector.objects()
        self._target = resolve_target(self._target, objects)
        refusal = refusal_of(self._target, objects)
        if refusal is not None:
            return refusal
        self._features = objects[self._target.object]
        schema = await self._connector.metadata(self._target.object)
        try:
            columns = Columns(
                self._target, self._features, schema, names_are_paths=self._names_are_paths
            )
        except FieldError as error:
            return error.message
        self._target = replace(self._target, identifier_field=columns.identifier)
        self._ordering = ordering_columns(self._target, self._features)
        dates = DateFields(schema)
        signs = await signs_of(self._files, self._job.upload.file) if dates else {}
        self._fields = RecordFields(
            columns,
            schema,
            dates,
            signs,
            self._target.options,
            is_table=self._names_are_paths,
        )
        return None

    async def _refuse_all(self, reason: str) -> None:
        async for record in self._pending_records():
            self._progress.add([Outcome.failure(record.row, reason)])
            if self._ending:
                return

    # --- records in batches, several at a time ---

    async def _send_all(self, features: Features) -> None:
        await self._look_up_open_intents(features)
        try:
            records = self._pending_records()
            while not (self._has_read_all or self._may_not_go_on):
                async with asyncio.TaskGroup() as calls:
                    batches = self._batches(records, features.max_batch)
                    await self._start_calls(calls, features, batches)
                await self._send_early_records(features)
        except BaseExceptionGroup as group:
            # The first failure cancelled the other calls: their errors only follow from it.
            raise group.exceptions[0] from None

    async def _send_early_records(self, features: Features) -> None:
        """Send records again that wait for others, until no further one is taken.

        If the slice ends before, they have no outcome, and the next slice sends them.
        """
        left = MAX_EARLY + 1
        while len(self._early) < left and not self._may_not_go_on:
            early, self._early = self._early, []
            left = len(early)
            batches = _batches_of([record for record, _ in early], features.max_batch)
            async with asyncio.TaskGroup() as calls:
                await self._start_calls(calls, features, batches)
        if not self._may_not_go_on:
            self._end_waiting()

    def _end_waiting(self) -> None:
        """Refuse the records that wait for others: all of them at the end of the file, before it
        the half that has waited longer."""
        self._early.sort(key=lambda pair: pair[0].row)
        count = len(self._early) if self._has_read_all else (len(self._early) + 1) // 2
        self._progress.add([outcome for _, outcome in self._early[:count]])
        self._early = self._early[count:]

    @property
    def _may_not_go_on(self) -> bool:
        return self._ending is not None or self._read_failure is not None

    async def _start_calls(
        self,
        calls: asyncio.TaskGroup,
        features: Features,
        batches: AsyncIterator[Sequence[Record]],
    ) -> None:
        limiter = ConcurrencyLimiter(features)
        try:
            async for batch in batches:
                keys = ordering_keys_of(self._ordering, batch)
                await limiter.acquire()
                if self._ending:
                    return
                before = limiter.calls_before(keys)
                call = calls.create_task(self._send_after(before, batch, features))
                limiter.release_after(call, keys)
        except Fenced:
            raise
        except Exception as error:
            # A row that cannot be read ends the slice, but not the calls in flight: their outcomes
            # are recorded first.
            self._read_failure = error

    async def _send_after(
        self,
        before: AbstractSet[asyncio.Task[None]],
        batch: Sequence[Record],
        features: Features,
    ) -> None:
        """Send a batch after other calls have ended."""
        if before:
            await asyncio.wait(before)
        await self._send(batch, features)

    async def _send(self, batch: Sequence[Record], features: Features) -> None:
        """Send a batch and add its outcomes; a failure of the service ends the slice."""
        if self._ending:
            # The slice is ending: a record with the same ordering key may have to be retried first.
            return
        rows = [record.row for record in batch]
        try:
            if not features.idempotent_writes:
                await self._ledger.record_intents(rows)
            outcomes = complete_outcomes(batch, await self._write(batch, features))
            self._progress.add(await self._without_early(batch, outcomes, features))
        except (RetryLater, DiskFull) as error:
            # The records were not sent: an open intent would make the next slice look them up and
            # mark them unknown.
            if not features.idempotent_writes:
                await self._ledger.drop_intents(rows)
            self._end(ending_of(error))
        except ServiceError as error:
            self._end(ending_of(error))
        except Fenced:
            raise
        except Exception as error:
            self._end(Crash(error))

    async def _without_early(
        self, batch: Sequence[Record], outcomes: Sequence[Outcome], features: Features
    ) -> Sequence[Outcome]:
        """The outcomes to record; records that come too early are set aside, as far as they may."""
        if not any(outcome.is_early for outcome in outcomes):
            return outcomes
        pairs = zip(batch, outcomes, strict=True)
        room = MAX_EARLY - len(self._early)
        early = [pair for pair in pairs if pair[1].is_early][:room]
        self._early += early
        rows = {record.row for record, _ in early}
        if not features.idempotent_writes:
            await self._ledger.drop_intents(sorted(rows))
        return [outcome for outcome in outcomes if outcome.row not in rows]

    async def _write(self, batch: Sequence[Record], features: Features) -> Sequence[Outcome]:
        """Write a batch, retrying transient errors.

        If the answer is lost: resend if writes are idempotent, else look the records up.
        """
        resends = 0
        while True:
            try:
                await self._ledger.lease.wait_until_held()
                return await self._connector.write(self._target, batch)
            except AnswerLost as error:
                if not features.idempotent_writes:
                    return await look_up(self._connector, self._target, batch, error.message)
                if self._may_not_resend(resends):
                    raise
            except RetryLater as error:
                if error.after is not None or self._may_not_resend(resends):
                    raise
            resends += 1
            await asyncio.sleep(wait_before_resend(resends, random.random()))  # noqa: S311

    def _may_not_resend(self, resends: int) -> bool:
        return resends == MAX_RESENDS or self._ending is not None

    async def _look_up_open_intents(self, features: Features) -> None:
        """Look up the records that were being sent when an earlier runner of this job died."""
        if features.idempotent_writes:
            return
        rows = await self._ledger.open_intents()
        if not rows:
            return
        batch = await self._records_at(rows)
        try:
            reason = "openbulk was stopped in the middle of the call"
            outcomes = await look_up(self._connector, self._target, batch, reason)
            self._progress.add(outcomes)
        except ServiceError as error:
            self._end(ending_of(error))
        await self._record()

    # --- a native bulk import, one batch at a time ---

    async def _import_natively(self, features: Features) -> None:
        native = self._connector.native
        assert native is not None
        while not self._ending and self._progress.cursor != self._job.records:
            batch, until = await self._native_batch(features.max_batch)
            try:
                outcomes = await self._import_batch(native, batch, until)
            except ServiceError as error:
                self._end(ending_of(error))
                return
            if outcomes is None:
                return
            self._progress.add(complete_outcomes(batch, outcomes))
            await self._record(ticket_done=True)

    async def _import_batch(
        self, native: NativeBulk, batch: Sequence[Record], until: int
    ) -> Sequence[Outcome] | None:
        """Import a batch; None if the slice ended before the service was done with it."""
        if not batch:
            return ()
        ticket = self._ledger.ticket
        if ticket is None:
            # In the slice that collects, another row may be a record. The outcomes of those that
            # are none are recorded now, so that the batch stays what was submitted.
            await self._record()
            await self._ledger.lease.wait_until_held()
            ticket = Ticket(await native.submit(self._target, batch), until)
            await self._ledger.set_ticket(ticket)
        pause = FIRST_NATIVE_POLL_SECONDS
        while (outcomes := await native.collect(ticket.text, self._target, batch)) is None:
            if self._ending:
                return None
            await asyncio.sleep(pause)
            pause = min(MAX_NATIVE_POLL_SECONDS, pause * 1.5)
        return outcomes

    async def _native_batch(self, size: int) -> tuple[list[Record], int]:
        """The next batch, and the last row in it."""
        batch: list[Record] = []
        until = self._progress.cursor
        stop_at = self._ledger.ticket.until if self._ledger.ticket else self._job.records
        assert stop_at is not None
        async for record in self._pending_records():
            if record.row > stop_at or len(batch) == size:
                break
            batch.append(record)
            until = record.row
        return batch, until

    # --- records ---

    async def _pending_records(self) -> AsyncIterator[Record]:
        """The records without an outcome. Rows that are none get a failed outcome on the way."""
        progress = self._progress
        async for row in rows_of(self._files, self._job, self._parts, after=progress.cursor):
            if row.number <= progress.cursor or row.number in progress.done:
                continue
            if len(progress.results) >= MAX_UNRECORDED:
                await self._record()
            progress.lines[row.number] = row.line
            record = self._record_of(row)
            if isinstance(record, Record):
                yield record
            else:
                progress.add([record])

    def _record_of(self, row: Row) -> Record | Outcome:
        """The record of a row, or the outcome of one that cannot be sent."""
        if row.values is None:
            return Outcome(row.number, OutcomeKind.FAILED, problem=row.problem)
        values = row.values
        try:
            if self._fields is not None:
                values = self._fields.of(values)
        except FieldError as error:
            return error.outcome(row.number)
        return Record(row.number, values, key_of(self._target, row.number, values))

    async def _batches(
        self, records: AsyncIterator[Record], size: int
    ) -> AsyncIterator[list[Record]]:
        """Records in batches: all of them, or until those that wait for others go first."""
        batch: list[Record] = []
        async for record in records:
            batch.append(record)
            if len(batch) == size:
                yield batch
                if self._have_waited:
                    return
                batch = []
        if batch:
            yield batch
        self._has_read_all = True

    @property
    def _have_waited(self) -> bool:
        """Whether the records that wait for others are sent again before any further one."""
        is_full = len(self._early) >= MAX_EARLY or len(self._progress.done) > MAX_ROWS_AHEAD
        return bool(self._early) and is_full

    async def _records_at(self, rows: frozenset[int]) -> list[Record]:
        """The records in these rows that have no outcome."""
        records: list[Record] = []
        last = max(rows)
        async for record in self._pending_records():
            if record.row in rows:
                records.append(record)
            if record.row >= last:
                break
        return records

    # --- how the slice ends, and what it records ---

    def _end(self, ending: Ending) -> None:
        """Remember why the slice ends. Fail and Crash override an earlier reason."""
        if self._ending is None or isinstance(ending, Fail | Crash):
            self._ending = ending

    async def _watch(self) -> None:
        """Record outcomes as they arrive, and end the slice in time. A failing ledger ends it."""
        clock = asyncio.get_running_loop().time
        check_at = clock() + DEADLINE_POLL_SECONDS
        try:
            while not self._is_over.is_set():
                await self._record_if_due()
                if self._ending is None and clock() >= check_at:
                    check_at = clock() + DEADLINE_POLL_SECONDS
                    if await self._must_end():
                        self._end(Continue())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._is_over.wait(), RECORD_POLL_SECONDS)
        except BaseException:
            self._end(Continue())
            raise

    async def _must_end(self) -> bool:
        """Whether the slice must end now.

        Time does not end a slice in which no row has got an outcome yet: if all its records wait
        for others, the next slice would begin with the same ones, and the job would never end.
        """
        if self._progress.has_outcomes or self._features.native:
            return await self._deadline.is_over()
        return await self._deadline.must_stop()

    async def _record_if_due(self) -> None:
        count = len(self._progress.results)
        seconds = asyncio.get_running_loop().time() - self._recorded_at
        if count >= RECORD_OUTCOMES or (count and seconds > RECORD_SECONDS):
            await self._record()

    async def _record(self, *, ticket_done: bool = False) -> None:
        results, lines = self._progress.take()
        if results or ticket_done:
            await self._ledger.record_outcomes(
                results, cursor=self._progress.cursor, lines=lines, ticket_done=ticket_done
            )
            for kind, count in Counter(outcome.kind for outcome in results).items():
                metrics.RECORDS.labels(kind).inc(count)
        self._recorded_at = asyncio.get_running_loop().time()


async def _batches_of(records: Sequence[Record], size: int) -> AsyncIterator[Sequence[Record]]:
    for begin in range(0, len(records), size):
        yield records[begin : begin + size]
