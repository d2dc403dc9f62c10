"""One slice of an upload: records are sent, and outcomes and cursor are recorded together.

A slice ends early when the service defers a call, the job is cancelled, or the process is draining.
However it ends, calls in flight are finished and their outcomes are recorded.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter

import structlog

from openbulk.connectors.base import Connector, Features, OrderingKeys
from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.fields import FieldError
from openbulk.connectors.targets import refusal_to_upload, resolve_target
from openbulk.domain.errors import (
    AnswerLost,
    DiskFull,
    Fenced,
    FileStoreUnavailable,
    RetryLater,
    ServiceError,
)
from openbulk.domain.records import Outcome, Record
from openbulk.engine import metrics
from openbulk.engine.backoff import MAX_RESENDS, wait_before_resend
from openbulk.engine.file_date_order import signs_of
from openbulk.engine.record_fields import RecordFields, mapping_to_fields
from openbulk.engine.slices.concurrency import ConcurrencyLimiter
from openbulk.engine.slices.deadline import SliceDeadline
from openbulk.engine.slices.ending import Complete, Continue, Crash, Ending, Fail, ending_of
from openbulk.engine.slices.job_records import FileRecords
from openbulk.engine.slices.lost_answers import complete_outcomes, look_up
from openbulk.engine.slices.memory import MemoryShare
from openbulk.engine.slices.native_import import NativeImport
from openbulk.engine.slices.ordering import keys_of_batch, ordering_keys_of
from openbulk.engine.slices.progress import Progress
from openbulk.engine.slices.record_reader import Batch, RecordReader
from openbulk.engine.slices.row_states import RowState
from openbulk.engine.slices.undo.keeping import SliceImages, UndoStores, keep_traces
from openbulk.engine.slices.waiting_records import WaitingRecords
from openbulk.storage.files import FileStore, Part
from openbulk.storage.outcome_blocks import Range
from openbulk.storage.slice_ledger import SliceLedger
from openbulk.storage.undo import UndoPart

log = structlog.get_logger()

RECORD_SECONDS = 0.25
RECORD_OUTCOMES = 1_000
"""Outcomes are written at this interval, or as soon as this many are pending."""
RECORD_POLL_SECONDS = 0.05
DEADLINE_POLL_SECONDS = 0.25
"""How often a slice looks whether outcomes are due, and whether it is over."""
_IS_EARLY, _KIND = attrgetter("is_early"), attrgetter("kind")


class UploadSlice:
    """Runs one slice of one job."""

    def __init__(
        self,
        ledger: SliceLedger,
        *,
        connector: Connector,
        files: FileStore,
        deadline: SliceDeadline,
        memory: MemoryShare,
        names_are_paths: bool = False,
        undo: UndoStores | None = None,
    ) -> None:
        """`names_are_paths`: dots in the names of the file's columns make nested fields."""
        self._job = ledger.job
        self._ledger = ledger
        self._connector = connector
        self._files = files
        self._deadline = deadline
        self._memory = memory
        self._ending: Ending | None = None
        assert ledger.job.records is not None
        self._progress = self._make_progress(ledger.job.cursor, ledger.job.records)
        self._waiting = WaitingRecords(self._progress.states)
        self._target = replace(
            ledger.job.upload.target,
            run=ledger.job.upload.file,
            earlier_runs=ledger.job.upload.earlier_files,
            records=ledger.job.records,
            # A format whose records have fields in fields has numbers and documents, too.
            is_typed=not names_are_paths,
        )
        self._features = Features()
        self._ordering: OrderingKeys | None = None
        """Makes the keys by which records are ordered; None as long as none can be sent."""
        self._fields: RecordFields | None = None
        """None as long as no record can be sent."""
        self._names_are_paths = names_are_paths
        self._undo = undo
        self._images: SliceImages | None = None
        """What the job is about to overwrite; None if it cannot be undone."""
        self._restored: dict[int, object] = {}
        """Of rows of an undo, the states that their records are back at."""
        self._read_failure: Exception | None = None
        """The reason why the slice could not read further rows of its file."""
        self._recorded_at = 0.0
        self._is_over = asyncio.Event()

    def _make_progress(self, cursor: int, records: int) -> Progress:
        return Progress(cursor, records)

    async def run(self) -> Ending:
        """Send records until the slice ends; return how it ended. Raises Fenced."""
        try:
            refusal = await self._prepare()
        except ServiceError as error:
            return ending_of(error)
        parts, done = await self._find_rows_to_send()
        reader = RecordReader(
            self._files,
            self._job,
            parts,
            self._progress,
            target=self._target,
            fields=self._fields,
            record=self._record,
            admit=self._admit,
        )
        last = self._progress.states.last_sent()
        records = FileRecords(self._ledger, self._files, reader.record_of, last, self._admit)
        self._target = replace(self._target, job_records=records)
        await self._begin_keeping()
        watching = asyncio.create_task(self._watch())
        try:
            if refusal is not None:
                await self._refuse_all(reader, refusal)
            else:
                await self._send_all(reader, is_ahead=bool(done))
            await self._record(is_last=True)
            if self._fields is not None and (left_out := self._fields.columns_left_out):
                await self._ledger.add_left_out(left_out)
            if self._read_failure is not None:
                raise self._read_failure
        finally:
            # Do not cancel: cancelling a running query loses the database connection.
            self._is_over.set()
            await watching
        if self._progress.cursor == self._job.records:
            return Complete()
        if self._waiting:
            await self._waiting.save(self._files, self._job.upload.file)
        return self._ending or Continue()

    async def _find_rows_to_send(self) -> tuple[Sequence[Part], Sequence[Range]]:
        """The parts with rows to send, and the rows behind the cursor that have an outcome."""
        states = self._progress.states
        if self._job.upload.of_earlier_job and (own := await self._ledger.own_rows()):
            states.skip_others(own, self._progress.cursor)
        parts, done = await self._ledger.rows_to_send()
        for first, last in done:
            states.set_range(first, last, RowState.DONE)
        return parts, done

    async def _begin_keeping(self) -> None:
        """Have the connector say what it overwrites, if the job can be undone later."""
        can_undo = self._target.action in self._features.undoes
        if self._undo is None or not self._undo.is_kept or not can_undo:
            return
        self._images = SliceImages(self._ledger, self._undo.images)
        # A worker that begins a slice again spends no attempt, but raises the fence.
        if self._ledger.fence > 1:
            await self._images.load()
        self._target = replace(self._target, before_images=self._images)

    async def _admit(self, size: int) -> None:
        await self._memory.admit(size, self._deadline.must_stop)

    async def _prepare(self) -> str | None:
        """Resolve the target and the file's columns; return why no record can be sent, or None.

        Raises BadInput if the file does not show the order of its dates, and ServiceError.
        """
        objects = await self._connector.objects()
        self._target = resolve_target(self._target, objects)
        refusal = refusal_to_upload(self._target, objects)
        if refusal is not None:
            return refusal
        self._features = objects[self._target.object]
        schema = await self._connector.metadata(self._target.object)
        try:
            columns = Columns(
                self._target,
                self._features,
                schema,
                names_are_paths=self._names_are_paths or self._target.mapping is not None,
            )
        except FieldError as error:
            return error.message
        mapping = mapping_to_fields(self._target.mapping, columns)
        self._target = replace(self._target, identifier_field=columns.identifier, mapping=mapping)
        self._ordering = ordering_keys_of(self._target, self._features)
        dates = DateFields(schema)
        signs = await signs_of(self._files, self._job.upload.file_of_parts) if dates else {}
        self._fields = RecordFields(
            columns,
            schema,
            dates,
            signs,
            self._target.options,
            is_table=self._names_are_paths,
            mapping=mapping,
        )
        return None

    async def _refuse_all(self, reader: RecordReader, reason: str) -> None:
        async for record in reader.read():
            self._progress.add([Outcome.failure(record.row, reason)])
            if self._ending:
                return

    async def _send_all(self, reader: RecordReader, *, is_ahead: bool) -> None:
        if not self._features.native:
            await self._send_in_batches(reader, self._features, is_ahead=is_ahead)
            return
        native = self._connector.native
        assert native is not None
        try:
            await NativeImport(
                native,
                self._ledger,
                self._target,
                reader,
                self._progress,
                self._record,
                lambda: self._must_stop,
                self._memory,
                self._find_finished,
            ).run(self._features.max_batch)
        except ServiceError as error:
            self._end(ending_of(error))

    async def _find_finished(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        """The outcomes of records that are not imported; here, all are."""
        return ()

    # --- records in batches, several at a time ---

    async def _send_in_batches(
        self, reader: RecordReader, features: Features, *, is_ahead: bool
    ) -> None:
        """`is_ahead`: rows after the cursor have an outcome, as others may wait."""
        if not features.idempotent_writes:
            await self._look_up_open_intents(reader)
        if is_ahead or self._progress.has_outcomes:
            await self._waiting.load(self._files, self._job.upload.file)
        try:
            await self._send_pass(reader, features, RowState.UNSENT)
            while self._waiting and not self._must_stop:
                self._waiting.begin_pass()
                await self._send_pass(reader, features, RowState.WAITING)
                if not self._must_stop:
                    self._progress.add(self._waiting.end_pass())
        except BaseExceptionGroup as group:
            # The first failure cancelled the other calls: their errors only follow from it.
            raise group.exceptions[0] from None

    async def _send_pass(self, reader: RecordReader, features: Features, state: RowState) -> None:
        """Send the records in this state, each once."""
        reading = aclosing(reader.batches(state, features.max_batch))
        async with asyncio.TaskGroup() as calls, reading as batches:
            await self._start_calls(calls, features, batches)

    @property
    def _must_stop(self) -> bool:
        """Whether no further record may be sent in this slice."""
        return self._ending is not None or self._read_failure is not None

    async def _start_calls(
        self,
        calls: asyncio.TaskGroup,
        features: Features,
        batches: AsyncIterator[Batch],
    ) -> None:
        limiter = ConcurrencyLimiter(features, self._memory)
        assert self._ordering is not None
        try:
            async for batch in batches:
                keys = keys_of_batch(self._ordering, batch.records)
                await limiter.acquire(batch.size)
                if self._ending:
                    return
                before = limiter.calls_before(keys)
                call = calls.create_task(self._send_after(before, batch.records, features))
                limiter.release_after(call, keys, batch.size)
        except Fenced:
            raise
        except Exception as error:
            # A part of the file that cannot be read ends the slice, but not the calls in flight:
            # their outcomes are recorded first.
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
            written = await self._write(batch, features)
            outcomes = complete_outcomes(batch, written, self._target)
            if any(map(_IS_EARLY, outcomes)):
                outcomes = await self._set_aside(outcomes, features)
            self._progress.add(outcomes)
        except (RetryLater, DiskFull) as error:
            # The records were not sent: an open intent would make the next slice look them up and
            # mark them unknown.
            if not features.idempotent_writes:
                await self._ledger.drop_intents(rows)
            self._end(ending_of(error))
        except Fenced:
            raise
        except Exception as error:
            self._end(ending_of(error))

    async def _set_aside(self, outcomes: Sequence[Outcome], features: Features) -> list[Outcome]:
        """The outcomes to record. A record that comes too early has none yet."""
        finished = self._waiting.set_aside(outcomes)
        rows = {outcome.row for outcome in outcomes} - {outcome.row for outcome in finished}
        self._progress.drop_lines(row for row in rows if not self._waiting.keeps(row))
        if not features.idempotent_writes and rows:
            await self._ledger.drop_intents(sorted(rows))
        return finished

    async def _write(self, batch: Sequence[Record], features: Features) -> Sequence[Outcome]:
        """Write a batch, retrying transient errors.

        If the answer is lost: resend if writes are idempotent, else look the records up.
        """
        resends = 0
        while True:
            try:
                await self._ledger.lease.wait_until_held()
                return await self._call(batch)
            except AnswerLost as error:
                if not features.idempotent_writes:
                    return await look_up(self._connector, self._target, batch, error.message)
                if not self._can_resend(resends):
                    raise
            except RetryLater as error:
                if error.after is not None or not self._can_resend(resends):
                    raise
            resends += 1
            await asyncio.sleep(wait_before_resend(resends, random.random()))  # noqa: S311

    async def _call(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        return await self._connector.write(self._target, batch)

    def _can_resend(self, resends: int) -> bool:
        # A service that does not answer takes minutes, which others would wait for.
        is_in_the_way = self._memory.is_wanted
        return resends < MAX_RESENDS and self._ending is None and not is_in_the_way

    async def _look_up_open_intents(self, reader: RecordReader) -> None:
        """Look up the records that were being sent when an earlier runner of this job died."""
        rows = await self._ledger.open_intents()
        if not rows:
            return
        batch = await reader.records_at(rows)
        try:
            async with self._memory.hold(batch):
                reason = "openbulk was stopped in the middle of the call"
                outcomes = await look_up(self._connector, self._target, batch, reason)
            self._progress.add(outcomes)
        except ServiceError as error:
            self._end(ending_of(error))
        await self._record()

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

    async def _record(self, *, ticket_done: bool = False, is_last: bool = False) -> None:
        results, lines = self._progress.take()
        if results or ticket_done:
            await self._ledger.record_outcomes(
                results,
                cursor=self._progress.cursor,
                lines=lines,
                ticket_done=ticket_done,
                is_last=is_last,
                keep_undo=partial(self._keep_traces, results),
            )
            if self._images is not None:
                self._images.forget([one.row for one in results])
            for kind, run in groupby(results, _KIND):
                metrics.RECORDS.labels(kind).inc(len(list(run)))
        self._recorded_at = asyncio.get_running_loop().time()

    async def _keep_traces(self, results: Sequence[Outcome]) -> UndoPart | None:
        """Write what outcomes say for an undo, before the ledger has them.

        What was written counts more: without the file store, these rows cannot be undone.
        """
        if self._images is None:
            return None
        rows = self._restored.keys() & {one.row for one in results} if self._restored else ()
        restored = {row: self._restored.pop(row) for row in rows}
        file, fence = self._job.upload.file, self._ledger.fence
        try:
            return await keep_traces(self._files, file, fence, results, restored)
        except FileStoreUnavailable as error:
            log.warning("rows cannot be undone", job=self._job.id, reason=error.message)
            return None
