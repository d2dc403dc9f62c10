"""One slice's reads and writes of the ledger.

Every write checks the fence: once another runner has begun the slice, this one writes nothing.
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    Case,
    ColumnElement,
    Delete,
    Row,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.errors import Fenced
from openbulk.domain.job import ENDS_WELL, NO_REMARKS, Job, Remarks, RowRemark, Status
from openbulk.domain.records import Before, Outcome, OutcomeKind, Problem
from openbulk.domain.row_kinds import RowChoice
from openbulk.storage.files import Part
from openbulk.storage.job_rows import (
    ACTIVE,
    AT_REST,
    HAS_WORK_IN_LANE,
    columns_value,
    is_ready,
    job_of,
    remarks_value,
)
from openbulk.storage.outcome_blocks import (
    AlreadyRecorded,
    Range,
    add_outcomes,
    recorded_outcomes,
    recorded_ranges,
    rows_without_outcome,
)
from openbulk.storage.retries import own_rows
from openbulk.storage.retry import retry_until_written, retry_while_unavailable
from openbulk.storage.tables import Timestamp, intents, jobs, mends, parts
from openbulk.storage.undo import BeforeImageStore, UndoPart, add_undo_part, forget_images

T = TypeVar("T")
Statements = Callable[[AsyncConnection], Awaitable[T]]
KeepUndo = Callable[[], Awaitable[UndoPart | None]]

_KINDS_THAT_LEAVE_A_RECORD = (
    OutcomeKind.CREATED,
    OutcomeKind.UPDATED,
    OutcomeKind.UPSERTED,
    OutcomeKind.UNCHANGED,
)
_CANCELLED = frozenset({Status.CANCELLATION_PENDING.value, Status.CANCELLED.value})
_NEVER_LOOKED_UP = (
    "it is unknown whether the service stored this record "
    "(the job ended before it could be looked up); check there before you send it again"
)


class Lease(Protocol):
    """The right of a process to continue the slices that it has begun."""

    async def wait_until_held(self) -> None:
        """Wait until the lease is valid. Raises Fenced if another process has taken over."""


class PermanentLease:
    """The lease of a process that shares its ledger with no other."""

    async def wait_until_held(self) -> None:
        """Return at once."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A batch that a native bulk import works on: rows cursor + 1 to `until`."""

    text: str
    until: int


@dataclass(frozen=True, slots=True)
class _Cut:
    """A file that has been cut."""

    records: int
    first_rows: Sequence[int]
    remarks: Remarks
    columns: Sequence[str]
    delimiter: str


@dataclass(frozen=True, slots=True)
class _Recording:
    """Outcomes to record, and the cursor after them."""

    results: Sequence[Outcome]
    cursor: int
    lines: Mapping[int, int | None]
    ticket_done: bool = False
    undo: UndoPart | None = None
    """Where what they have overwritten is kept; None if nothing is."""


class SliceLedger:
    """A slice that has begun, and all its reads and writes of the ledger.

    It waits while the database is unavailable or the disk is full. Once the process drains it
    raises Unavailable or DiskFull instead. Every write raises Fenced, and writes nothing, if
    another runner has begun the slice since. Every write may be made twice: the second changes
    nothing.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        job: Job,
        fence: int,
        *,
        reading: AsyncEngine,
        waits: int = 0,
        ticket: Ticket | None = None,
        jobs_in_lane: int = 1,
        instance_version: int | None = None,
        gives_way: bool = False,
        lease: Lease | None = None,
        draining: asyncio.Event | None = None,
    ) -> None:
        self.job = job
        """The job as the slice found it, or as it was when its file was cut."""
        self.fence = fence
        self.waits = waits
        """Consecutive slices that ended in a wait without progress."""
        self.ticket = ticket
        self.jobs_in_lane = jobs_in_lane
        """Jobs of the instance and of this priority that had records to send, now or later, when
        the slice began."""
        self.instance_version = instance_version
        """The version of the instance when the slice began; None if it was deleted."""
        self.gives_way = gives_way
        """Whether a job of the instance with a higher priority was ready when the slice began."""
        self.lease = lease or PermanentLease()
        self._engine = engine
        self._reading = reading
        self._draining = draining or asyncio.Event()
        self._recording = asyncio.Lock()
        self._recording_parts = asyncio.Lock()
        self._lost: Exception | None = None
        self._has_intents = False
        """Whether the job may have intents, which go with the outcomes of their rows."""
        self._has_images = False
        """Whether the job may have images of what it is about to overwrite."""
        self._is_new = job.records is None and not job.is_download
        """Whether the ledger has nothing of the job yet but its row."""
        # A small job is one transaction, and not one for each thing that becomes known of it.
        self._cut: _Cut | None = None
        """The parts of the file, until the next write, which records them."""
        self._last: _Recording | None = None
        """The last outcomes of the slice, until its end, which records them."""

    # --- how it ends ---

    async def end(
        self,
        *,
        crashed: bool = False,
        wait_until: datetime | None = None,
        wait_for: str | None = None,
    ) -> Job:
        """End the slice of a job that continues; return the job as its next slice finds it.

        Only a slice that crashed leaves its attempt counted: waiting for a service is not failing.
        """
        end = partial(self._end, crashed=crashed, wait_until=wait_until, wait_for=wait_for)
        return job_of(await self.write(end))

    async def _end(
        self,
        connection: AsyncConnection,
        *,
        crashed: bool,
        wait_until: datetime | None,
        wait_for: str | None,
    ) -> Row[Any]:
        known = {"waits": jobs.c.waits, "slice_attempts": jobs.c.slice_attempts, **self._due()}
        return await self.change_job(
            connection,
            slice=jobs.c.slice + _one_if_running(),
            slice_running=False,
            slice_attempts=known["slice_attempts"] if crashed else 0,
            waits=0 if wait_for is None else known["waits"] + _one_if_running(),
            # A job that was woken meanwhile may have seen what is over: its next slice is due now.
            waiting_until=func.coalesce(jobs.c.waiting_until, literal(wait_until, Timestamp)),
            waiting_for=wait_for,
        )

    async def finish(self, status: Status, *, now: datetime, error: str | None = None) -> Job:
        """End the job for good, and return it.

        A complete job ends as cancelled if its caller has cancelled it meanwhile.
        """
        return await self.write(partial(self._finish, status=status, now=now, error=error))

    async def _finish(
        self, connection: AsyncConnection, *, status: Status, now: datetime, error: str | None
    ) -> Job:
        is_complete = status in ENDS_WELL
        row = await self._change_where(
            connection,
            and_(self._behind_fence(), jobs.c.status.in_(ACTIVE)),
            status=_unless_cancelled(status) if is_complete else status.value,
            error=error,
            finished_at=now,
            slice_running=False,
            **AT_REST,
            **self._changes_at_end(status, now),
        )
        if row is not None:
            # A job that is new has those of this slice alone, and they have gone with outcomes.
            is_new = self._is_new and not self._has_intents
            return job_of(row) if is_new else await close_intents(connection, job_of(row))
        # The answer to an earlier call may have been lost: then the job has ended in this way.
        endings = {status.value, Status.CANCELLED.value} if is_complete else {status.value}
        same = select(jobs).where(self._behind_fence(), jobs.c.status.in_(endings))
        if (row := (await connection.execute(same)).first()) is None:
            raise Fenced
        return job_of(row)

    def _changes_at_end(self, status: Status, now: datetime) -> Mapping[str, Any]:
        """Further changes of the job's row with which it ends."""
        return {}

    # --- whether it should end ---

    async def is_cancelled(self) -> bool:
        """Whether a caller has cancelled the job."""
        question = select(jobs.c.status).where(jobs.c.id == self.job.id)
        status = await self.read(lambda connection: connection.scalar(question))
        return status in _CANCELLED

    async def is_stopped(self) -> bool:
        """Whether a caller has cancelled or paused the job."""
        question = select(jobs.c.status, jobs.c.paused).where(jobs.c.id == self.job.id)
        row = (await self.read(lambda connection: connection.execute(question))).first()
        return row is not None and (row.paused or row.status in _CANCELLED)

    async def another_job_is_ready(self, now: datetime) -> bool:
        """Whether another job of the instance, of this priority or a higher one, could work now."""
        question = select(jobs.c.id).where(
            jobs.c.instance_id == self.job.instance_id,
            HAS_WORK_IN_LANE,
            jobs.c.id != self.job.id,
            jobs.c.priority >= self.job.priority,
            is_ready(now),
        )
        found = await self.read(lambda connection: connection.scalar(question.limit(1)))
        return found is not None

    # --- an upload ---

    def set_parts(
        self,
        records: int,
        first_rows: Sequence[int],
        remarks: Remarks = NO_REMARKS,
        columns: Sequence[str] = (),
        delimiter: str = ",",
    ) -> None:
        """Set the file's number of records, and the first row of each part: it has been cut.

        `remarks` says what was left out of its rows, `columns` are those of a table. The next write
        records all of it.
        """
        self._cut = _Cut(records, first_rows, remarks, columns, delimiter)
        self.job = replace(
            self.job,
            records=records,
            remarks=remarks,
            columns=tuple(columns),
            delimiter=delimiter,
        )

    async def begin_retry(self, unknown: Sequence[int]) -> None:
        """Record the parts of a retry: the mended values are in them, and are forgotten.

        The rows in `unknown` may have been sent by an earlier job: they have intents.
        """

        async def write(connection: AsyncConnection) -> None:
            await self._hold_fence(connection)
            for table in (intents, mends):
                await connection.execute(delete(table).where(table.c.job_id == self.job.id))
            await insert_intents(connection, self.job.id, unknown)

        await self.write(write)

    async def rows_to_send(self) -> tuple[Sequence[Part], Sequence[Range]]:
        """The parts with the rows after the job's cursor, and those rows that have an outcome.

        Rows are ranges: a million of them may have an outcome while the first one waits.
        """
        job = self.job
        if self._cut is not None:
            return [Part(row) for row in self._cut.first_rows], []

        async def read(connection: AsyncConnection) -> tuple[Sequence[Part], Sequence[Range]]:
            done = await recorded_ranges(connection, job.id, job.cursor + 1)
            return await parts_from(connection, job.id, job.cursor + 1), done

        return await self.read(read)

    async def own_rows(self) -> RowChoice | None:
        """The rows that the job retries; None if it sends all rows of its file."""
        return await self.read(lambda connection: own_rows(connection, self.job))

    async def parts_after(self, row: int) -> Sequence[Part]:
        """The parts with the rows after this one, whatever the job's cursor is."""
        if self._cut is not None:
            first_rows = self._cut.first_rows
            holder = bisect_right(first_rows, row + 1) - 1
            return [Part(first) for first in first_rows[max(holder, 0) :]]
        return await self.read(lambda connection: parts_from(connection, self.job.id, row + 1))

    async def ids_written(self, first: int, last: int) -> Mapping[int, str]:
        """The service's ids of the records that these rows have written or found, by row.

        Those of the earlier jobs of a retry are among them.
        """

        async def read(connection: AsyncConnection) -> dict[int, str]:
            ids: dict[int, str] = {}
            for job_id in await _with_earlier_jobs(connection, self.job):
                recorded = await recorded_outcomes(connection, job_id, first, last)
                ids |= {
                    outcome.row: outcome.id
                    for outcome in recorded
                    if outcome.id is not None and outcome.kind in _KINDS_THAT_LEAVE_A_RECORD
                }
            return ids

        return await self.read(read)

    async def ids_of(self, job_id: int, first: int, last: int) -> Mapping[int, str]:
        """The service's ids that the outcomes of these rows of a job have, by row."""

        async def read(connection: AsyncConnection) -> dict[int, str]:
            recorded = await recorded_outcomes(connection, job_id, first, last)
            return {one.row: one.id for one in recorded if one.id is not None}

        return await self.read(read)

    async def add_left_out(self, columns: Iterable[str]) -> None:
        """Record columns that were left out of the rows; no-op if all of them are recorded."""
        remarks = self.job.remarks
        names = tuple(dict.fromkeys([*remarks.columns, *columns]))
        if names == remarks.columns:
            return
        remarks = replace(remarks, columns=names)
        await self.write(partial(self.change_job, remarks=remarks_value(remarks)))
        self.job = replace(self.job, remarks=remarks)

    async def record_outcomes(
        self,
        results: Sequence[Outcome],
        *,
        cursor: int,
        lines: Mapping[int, int | None],
        ticket_done: bool = False,
        is_last: bool = False,
        keep_undo: KeepUndo | None = None,
    ) -> None:
        """Write outcomes and the new cursor in one transaction. Concurrent calls are serialized.

        `keep_undo` first writes what the outcomes say for an undo to the file store.

        Those of the last call of a slice are written with its end. Once a call has failed, every
        later one fails with the same error: the outcomes of the failed call are lost to this slice,
        and no later cursor may pass over them.
        """
        try:
            async with self._recording:
                if self._lost is not None:
                    raise self._lost
                undo = None if keep_undo is None else await keep_undo()
                recording = _Recording(results, cursor, lines, ticket_done, undo)
                self._add_remarks(recording)
                if is_last:
                    self._last = recording
                else:
                    await self._record(recording)
        except Exception as error:
            self._lost = self._lost or error
            raise
        except BaseException:
            # Later callers were not cancelled themselves: they get a different error.
            self._lost = self._lost or RuntimeError("a call that recorded outcomes was cancelled")
            raise
        if ticket_done:
            self.ticket = None

    def _add_remarks(self, recording: _Recording) -> None:
        written = [
            RowRemark(outcome.row, recording.lines.get(outcome.row), outcome.remark)
            for outcome in recording.results
            if outcome.remark
        ]
        if written:
            self.job = replace(self.job, remarks=self.job.remarks.add(written))

    async def _record(self, recording: _Recording) -> None:
        async def write(connection: AsyncConnection) -> None:
            await self.change_job(connection, **self._changes_of(recording))
            await self._add_outcomes(connection, recording)

        try:
            await self.write(write)
        except AlreadyRecorded:
            # That is fine if an earlier call has written all of them, and only its answer was lost.
            if not await self._has_recorded(recording.results):
                raise

    def _changes_of(self, recording: _Recording) -> dict[str, Any]:
        """The changes of the job's row that go with outcomes."""
        changes = {
            "cursor": recording.cursor,
            "slice_attempts": 0,
            "waits": 0,
            "waiting_for": None,
            **_additions(recording.results),
        }
        if recording.ticket_done:
            changes |= {"ticket": None, "ticket_until": None}
        if any(outcome.remark for outcome in recording.results):
            changes["remarks"] = remarks_value(self.job.remarks)
        return changes

    async def _add_outcomes(self, connection: AsyncConnection, recording: _Recording) -> None:
        """Add outcomes within `write`, after `change_job`."""
        results = recording.results
        await add_outcomes(
            connection, self.job.id, results, recording.lines, are_first=self._is_new
        )
        if self._has_intents:
            await connection.execute(self._intents_of([outcome.row for outcome in results]))
        if recording.undo is not None:
            await add_undo_part(connection, self.job.id, recording.undo)
        if self._has_images:
            await forget_images(connection, self.job.id, [outcome.row for outcome in results])

    async def _has_recorded(self, results: Sequence[Outcome]) -> bool:
        kinds = {outcome.row: outcome.kind for outcome in results}

        async def read(connection: AsyncConnection) -> dict[int, OutcomeKind]:
            found = await recorded_outcomes(connection, self.job.id, min(kinds), max(kinds))
            return {outcome.row: outcome.kind for outcome in found if outcome.row in kinds}

        return await self.read(read) == kinds

    async def record_intents(self, rows: Sequence[int]) -> None:
        """Record that these rows are about to be sent, all of them in one batch.

        Also raises Fenced if an earlier slice may have sent one of them.
        """

        self._has_intents = True

        async def write(connection: AsyncConnection) -> None:
            await self._hold_fence(connection)
            await insert_intents(connection, self.job.id, rows)

        try:
            await self.write(write)
        except IntegrityError as error:
            # Behind one fence nobody else can have written the whole batch: its answer was lost.
            if not set(rows) <= await self.open_intents():
                raise Fenced from error

    async def drop_intents(self, rows: Sequence[int]) -> None:
        """Record that these rows were not sent after all."""

        async def write(connection: AsyncConnection) -> None:
            await self._hold_fence(connection)
            await connection.execute(self._intents_of(rows))

        await self.write(write)

    async def open_intents(self) -> frozenset[int]:
        """The rows that were about to be sent when a runner died, and have no outcome."""
        rows = await self.read(partial(open_intents, job_id=self.job.id))
        self._has_intents = self._has_intents or bool(rows)
        return rows

    def _intents_of(self, rows: Sequence[int]) -> Delete:
        return delete(intents).where(intents.c.job_id == self.job.id, intents.c.row.in_(rows))

    async def keep_images(self, images: Mapping[int, Before], store: BeforeImageStore) -> None:
        """Record what rows are about to overwrite."""
        self._has_images = True

        async def write(connection: AsyncConnection) -> None:
            await self._hold_fence(connection)
            await store.add(connection, self.job.id, images)

        await self.write(write)

    async def kept_images(self, store: BeforeImageStore) -> Mapping[int, Before]:
        """What rows were about to overwrite when a runner died, and have no outcome."""
        images = await self.read(lambda connection: store.all(connection, self.job.id))
        self._has_images = self._has_images or bool(images)
        return images

    async def set_ticket(self, ticket: Ticket) -> None:
        """Record that a native bulk import has taken a batch."""
        changes: dict[str, Any] = {
            "ticket": ticket.text,
            "ticket_until": ticket.until,
            "slice_attempts": 0,
        }
        await self.write(partial(self.change_job, **changes))
        self.ticket = ticket

    # --- one transaction ---

    async def write(self, statements: Statements[T]) -> T:
        """Run statements in one transaction: all of them or none.

        They begin with `change_job`, which also writes what the next write is to record.
        """
        if self._cut is None:
            return await self._write(statements)
        # The parts are recorded once: a second time would take remarks back.
        async with self._recording_parts:
            result = await self._write(statements)
            self._cut = None
            return result

    async def _write(self, statements: Statements[T]) -> T:
        async def transaction() -> T:
            try:
                async with self._engine.begin() as connection:
                    return await statements(connection)
            finally:
                # Also after an error: it may be committed, and only the answer was lost.
                self._is_new = False

        last = self._last
        try:
            result = await retry_until_written(transaction, self._draining)
        except AlreadyRecorded:
            if last is None or not await self._has_recorded(last.results):
                raise
            # An earlier call has written the last outcomes, and only its answer was lost.
            self._last = None
            return await self._write(statements)
        if self._last is last:
            self._last = None
        return result

    async def read(self, question: Statements[T]) -> T:
        """Ask the database."""

        async def answer() -> T:
            async with self._reading.connect() as connection:
                return await question(connection)

        return await retry_while_unavailable(answer, self._draining)

    async def change_job(self, connection: AsyncConnection, **changes: Any) -> Row[Any]:
        """Change the job's row within `write`, and return it. Raises Fenced."""
        row = await self._change_where(connection, self._behind_fence(), **changes)
        if row is None:
            raise Fenced
        return row

    async def _change_where(
        self, connection: AsyncConnection, condition: ColumnElement[bool], **changes: Any
    ) -> Row[Any] | None:
        """Change the job's row if a condition holds, and write what the next write is to record."""
        values = {**self._due(), **changes}
        change = update(jobs).where(condition).values(**values).returning(jobs)
        row: Row[Any] | None = (await connection.execute(change)).first()
        if row is None:
            return None
        if self._cut is not None:
            write_parts = self._insert_parts if self._is_new else self.write_parts
            await write_parts(connection, self._cut.first_rows)
        if self._last is not None:
            await self._add_outcomes(connection, self._last)
        return row

    def _due(self) -> dict[str, Any]:
        """The changes of the job's row that the next write is to record."""
        changes: dict[str, Any] = {}
        if self._cut is not None:
            changes["records"] = self._cut.records
            changes["columns"] = columns_value(self._cut.columns, self._cut.delimiter)
            changes["remarks"] = (
                remarks_value(self._cut.remarks) if self._cut.remarks.rows else None
            )
        if self._last is not None:
            changes |= self._changes_of(self._last)
        return changes

    async def _hold_fence(self, connection: AsyncConnection) -> None:
        """Keep every other runner from beginning the slice until the transaction ends."""
        if self._due():
            await self.change_job(connection)
            return
        # A shared lock: writes of one slice do not wait for each other, and `begin_slice` does.
        held = select(jobs.c.id).where(self._behind_fence()).with_for_update(read=True)
        if (await connection.execute(held)).first() is None:
            raise Fenced

    async def write_parts(self, connection: AsyncConnection, first_rows: Sequence[int]) -> None:
        """Replace the parts of the job's file within `write`, after `change_job`."""
        await connection.execute(delete(parts).where(parts.c.job_id == self.job.id))
        await self._insert_parts(connection, first_rows)

    async def _insert_parts(self, connection: AsyncConnection, first_rows: Sequence[int]) -> None:
        if first_rows:
            rows = [{"job_id": self.job.id, "first_row": row} for row in first_rows]
            await connection.execute(insert(parts), rows)

    def _behind_fence(self) -> ColumnElement[bool]:
        return and_(jobs.c.id == self.job.id, jobs.c.fence == self.fence)


async def parts_from(connection: AsyncConnection, job_id: int, row: int) -> Sequence[Part]:
    """The part of a job's file that holds a row, and the parts after it."""
    holder = (
        select(func.max(parts.c.first_row))
        .where(parts.c.job_id == job_id, parts.c.first_row <= row)
        .scalar_subquery()
    )
    chosen = select(parts).where(parts.c.job_id == job_id, parts.c.first_row >= holder)
    rows = await connection.execute(chosen.order_by(parts.c.first_row))
    return [Part(part.first_row, part.fence) for part in rows]


async def insert_intents(connection: AsyncConnection, job_id: int, rows: Sequence[int]) -> None:
    """Write intents of rows."""
    if rows:
        await connection.execute(insert(intents), [{"job_id": job_id, "row": row} for row in rows])


async def _with_earlier_jobs(connection: AsyncConnection, job: Job) -> Sequence[int]:
    """The ids of the jobs that had the rows of a job before it, in their order, and its own."""
    files = () if job.is_download else job.upload.earlier_files
    if not files:
        return [job.id]
    earlier = select(jobs.c.id).where(jobs.c.file.in_(files)).order_by(jobs.c.id)
    return [*await connection.scalars(earlier), job.id]


async def open_intents(connection: AsyncConnection, job_id: int) -> frozenset[int]:
    """The rows of a job that were about to be sent, and have no outcome."""
    question = select(intents.c.row).where(intents.c.job_id == job_id)
    rows = (await connection.scalars(question)).all()
    return await rows_without_outcome(connection, job_id, rows)


async def close_intents(connection: AsyncConnection, job: Job) -> Job:
    """Close the intents of a job that has just ended: their records are unknown. Return the job.

    A plan has sent none of its rows: intents are those of earlier jobs, whose rows it retries.
    """
    if job.is_plan or job.status is Status.PLANNED:
        return job
    rows = await open_intents(connection, job.id)
    if not rows:
        return job
    await connection.execute(delete(intents).where(intents.c.job_id == job.id))
    results = [Outcome(row, OutcomeKind.UNKNOWN, problem=Problem(_NEVER_LOOKED_UP)) for row in rows]
    await add_outcomes(connection, job.id, results, {})
    row = await connection.execute(
        update(jobs)
        .where(jobs.c.id == job.id)
        .values(unknown=jobs.c.unknown + len(rows))
        .returning(jobs)
    )
    return job_of(row.one())


def _additions(results: Sequence[Outcome]) -> dict[str, Any]:
    """The new counts in the job's row, with these outcomes added."""
    tally = Counter[str]()
    for kind, run in groupby(results, attrgetter("kind")):
        tally[kind.value] += len(list(run))
    tally["mailed_outside"] = sum(map(attrgetter("mails_outside"), results))
    return {name: jobs.c[name] + count for name, count in tally.items() if count}


def _unless_cancelled(status: Status) -> Case[str]:
    pending = Status.CANCELLATION_PENDING.value
    return case((jobs.c.status == pending, Status.CANCELLED.value), else_=status.value)


def _one_if_running() -> Case[int]:
    return case((jobs.c.slice_running, 1), else_=0)
