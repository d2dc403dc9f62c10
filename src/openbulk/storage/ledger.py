"""The ledger: every job, its progress, and the outcome of each of its records."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Case,
    ColumnElement,
    Row,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.approvals import NOBODY_KNOWN, Author
from openbulk.domain.audit import Deed
from openbulk.domain.errors import IdempotencyKeyTaken
from openbulk.domain.job import Download, IdempotencyKey, Job, Status, Upload
from openbulk.domain.row_kinds import RowChoice, RowKinds
from openbulk.storage.audit import insert_deed
from openbulk.storage.database import for_reading
from openbulk.storage.files import Part
from openbulk.storage.job_rows import (
    ACTIVE,
    AT_REST,
    HAS_UNFINISHED_LATER_JOB,
    HAS_WORK_IN_LANE,
    is_ready,
    job_of,
    work_values,
)
from openbulk.storage.outcome_blocks import RecordedOutcome, recorded_outcomes
from openbulk.storage.plans import ApplyLedger, PlanLedger
from openbulk.storage.problems import ErrorGroup, RecordError, error_groups_of, errors_of
from openbulk.storage.readable_rows import read_each
from openbulk.storage.retries import (
    RetriedRows,
    add_retry,
    kinds_of,
    retried_rows,
    rows_of_cause,
)
from openbulk.storage.slice_ledger import Lease, SliceLedger, Ticket, close_intents, parts_from
from openbulk.storage.tables import Timestamp, idempotency_keys, instances, jobs
from openbulk.storage.undo import require_undo_possible
from openbulk.storage.uploaded_files import use_file
from openbulk.storage.verifications import VerificationLedger

_READ_AT_ONCE = 100
"""Jobs that are held at once where all of them are read: one may have 64 KiB of options."""


_ADD = insert(jobs).returning(jobs)
_IS_CANCELLED = jobs.c.status == Status.CANCELLATION_PENDING.value
# A worker that begins a slice again had lost the database: that spends no attempt.
_IS_BEGUN_AGAIN = and_(jobs.c.slice_running, jobs.c.worker == bindparam("by"))
_BEGIN = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("job"),
        jobs.c.slice == bindparam("number"),
        jobs.c.status.in_(ACTIVE),
    )
    .values(
        status=case(
            (_IS_CANCELLED, jobs.c.status),
            (
                and_(jobs.c.planned_file.is_not(None), jobs.c.apply.is_(None)),
                Status.PLANNING.value,
            ),
            (jobs.c.verify_of.is_not(None), Status.VERIFYING.value),
            else_=Status.RUNNING.value,
        ),
        slice_running=True,
        slice_attempts=case(
            (_IS_BEGUN_AGAIN, jobs.c.slice_attempts), else_=jobs.c.slice_attempts + 1
        ),
        fence=jobs.c.fence + 1,  # from now on an earlier runner writes nothing
        worker=bindparam("by"),
        started_at=func.coalesce(jobs.c.started_at, bindparam("now", type_=Timestamp)),
        waiting_until=None,
    )
    .returning(jobs)
)
"""Begins a slice. Statements of each job are made once: making one takes longer than sending it."""
_IN_LANE = and_(jobs.c.instance_id == bindparam("id"), HAS_WORK_IN_LANE)
_SURROUNDINGS = select(
    select(func.count())
    .where(_IN_LANE, jobs.c.priority == bindparam("priority"))
    .scalar_subquery()
    .label("jobs_in_lane"),
    select(instances.c.version)
    .where(instances.c.id == bindparam("id"))
    .scalar_subquery()
    .label("instance_version"),
    exists()
    .where(
        _IN_LANE,
        jobs.c.priority > bindparam("priority"),
        is_ready(bindparam("now", type_=Timestamp)),
    )
    .label("gives_way"),
)
"""What a slice has to know of its instance, and of the other jobs there."""


class Ledger:
    """Remembers jobs. The reads and writes of a slice are in `slice_ledger.py`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    # --- jobs ---

    async def add_job(
        self,
        work: Upload | Download,
        *,
        organization_id: int,
        instance_id: int,
        request_id: str | None,
        now: datetime,
        idempotency_key: IdempotencyKey | None = None,
        retried: RetriedRows | None = None,
        deed: Callable[[int], Deed] | None = None,
        author: Author = NOBODY_KNOWN,
    ) -> Job:
        """Add a job, and return it: from now on it will be done.

        `retried` are the rows of a retry: raises Conflict if another job retries one of them, and
        for an undo if another job does the same, or has done it. `deed` makes the entry of the
        audit log from the number of the job.
        A file has one job: if it has one already, return that one. Raises IdempotencyKeyTaken, and
        NotFound if the file of `POST /files` that it is to use is gone.
        """
        new = {
            "organization_id": organization_id,
            "instance_id": instance_id,
            "request_id": request_id,
            "created_by": author.user_id,
            "by_agent": author.is_agent,
            **work_values(work),
            "status": Status.CREATED.value,
            "created_at": now,
        }
        uploaded_file = work.uploaded_file if isinstance(work, Upload) else None
        undo = work.undo if isinstance(work, Upload) else None
        key = None
        if idempotency_key is not None:
            key = {"instance_id": instance_id, **asdict(idempotency_key)}
        # One statement is a transaction of its own.
        others = (key, uploaded_file, retried, undo, deed)
        is_one = all(other is None for other in others)
        engine = self._reading if is_one else self._engine
        try:
            async with engine.begin() as connection:
                if uploaded_file is not None:
                    await use_file(connection, uploaded_file, now)
                job = job_of((await connection.execute(_ADD, new)).one())
                await _insert_what_belongs_to(connection, job, key, retried, deed)
        except IntegrityError as error:
            known = await self.jobs_with_files([work.file])
            if work.file in known:
                return known[work.file]
            if idempotency_key is None:
                raise
            if await self.job_with_key(instance_id, idempotency_key.key) is None:
                raise
            raise IdempotencyKeyTaken from error
        return job

    async def job_with_key(self, instance_id: int, key: str) -> tuple[Job, IdempotencyKey] | None:
        """The job of an instance with an idempotency key, and the key with its digest."""
        keys = idempotency_keys
        wanted = (
            select(jobs, keys.c.digest)
            .join_from(keys, jobs, keys.c.job_id == jobs.c.id)
            .where(keys.c.instance_id == instance_id, keys.c.key == key)
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else (job_of(row), IdempotencyKey(key, row.digest))

    async def jobs_with_files(self, names: Sequence[str]) -> Mapping[str, Job]:
        """The jobs of these files, by file."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(select(jobs).where(jobs.c.file.in_(names)))
            return {row.file: job_of(row) for row in rows}

    async def job(self, job_id: int) -> Job | None:
        """A job by its id."""
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(jobs).where(jobs.c.id == job_id))).first()
        return _job_or_none(row)

    async def jobs_of(self, instance_id: int, *, before: int | None, limit: int) -> Sequence[Job]:
        """The jobs of an instance, newest first; only those older than the job `before`."""
        return await self._newest(jobs.c.instance_id == instance_id, before, limit)

    async def jobs_of_organization(
        self, organization_id: int, *, before: int | None, limit: int
    ) -> Sequence[Job]:
        """The jobs of all instances of an organization, in the same way."""
        return await self._newest(jobs.c.organization_id == organization_id, before, limit)

    async def _newest(
        self, whose: ColumnElement[bool], before: int | None, limit: int
    ) -> Sequence[Job]:
        chosen = select(jobs).where(whose).order_by(jobs.c.id.desc()).limit(limit)
        if before is not None:
            chosen = chosen.where(jobs.c.id < before)
        async with self._reading.connect() as connection:
            return read_each(await connection.execute(chosen), job_of, "job")

    async def active_jobs(self) -> AsyncIterator[Job]:
        """The jobs that are neither finished nor paused, oldest first. It holds few at a time."""
        is_active = and_(jobs.c.status.in_(ACTIVE), jobs.c.paused.is_(False))
        async with self._reading.connect() as connection:
            found = await connection.scalars(select(jobs.c.id).where(is_active))
            ids = sorted(found)
        for start in range(0, len(ids), _READ_AT_ONCE):
            some = jobs.c.id.in_(ids[start : start + _READ_AT_ONCE])
            async with self._reading.connect() as connection:
                rows = await connection.execute(
                    select(jobs).where(is_active, some).order_by(jobs.c.id)
                )
                page = read_each(rows, job_of, "job")
            for job in page:
                yield job

    # --- their slices ---

    async def begin_slice(
        self,
        job_id: int,
        number: int,
        now: datetime,
        *,
        worker: str | None = None,
        lease: Lease | None = None,
        draining: asyncio.Event | None = None,
    ) -> SliceLedger | None:
        """Begin a slice and raise its job's fence; None if this slice is not due.

        A worker that begins a slice again spends no attempt: it had lost the database. The slice's
        own calls to the ledger wait until `draining` is set, and its writes hold `lease`.
        """
        due = {"job": job_id, "number": number, "by": worker, "now": now}
        # One statement is a transaction of its own.
        async with self._reading.connect() as connection:
            row = (await connection.execute(_BEGIN, due)).first()
            if row is None:
                return None
            own = {"id": row.instance_id, "priority": row.priority, "now": now}
            around = (await connection.execute(_SURROUNDINGS, own)).one()
        ticket = None if row.ticket is None else Ticket(row.ticket, row.ticket_until)
        job = job_of(row)
        return _kind_of_ledger(job)(
            self._engine,
            job,
            row.fence,
            reading=self._reading,
            waits=row.waits,
            ticket=ticket,
            jobs_in_lane=around.jobs_in_lane,
            instance_version=around.instance_version,
            gives_way=around.gives_way,
            lease=lease,
            draining=draining,
        )

    # --- changes from outside their slices ---

    async def cancel(self, job_id: int, now: datetime) -> Job | None:
        """Cancel a job: at once if no slice of it runs, else when its slice notices.

        Returns None if the job has already finished.
        """
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.status.in_(ACTIVE))
                    .values(
                        status=_cancel_status(),
                        finished_at=_end_unless_running(now),
                        **AT_REST,
                    )
                    .returning(jobs)
                )
            ).first()
            if row is None:
                return None
            job = job_of(row)
            return await close_intents(connection, job) if job.is_finished else job

    async def cancel_complete(self, job_id: int) -> Job | None:
        """Change a complete job to cancelled; None if it is not complete."""
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.status == Status.COMPLETE.value)
                    .values(status=Status.CANCELLED.value)
                    .returning(jobs)
                )
            ).first()
        return _job_or_none(row)

    async def wake(self, job_id: int, now: datetime) -> Job | None:
        """End a job's wait: its next slice is due now. None if it does not wait.

        If its slice runs, the wait that may follow ends at once.
        """
        is_job = jobs.c.id == job_id
        waits = update(jobs).where(
            is_job, jobs.c.waiting_until.is_not(None), jobs.c.slice_running.is_(False)
        )
        runs = update(jobs).where(is_job, jobs.c.slice_running.is_(True))
        async with self._engine.begin() as connection:
            woken = waits.values(slice=jobs.c.slice + 1, waiting_until=None, waiting_for=None)
            row = (await connection.execute(woken.returning(jobs))).first()
            if row is None:
                await connection.execute(runs.values(waiting_until=now))
        return _job_or_none(row)

    async def pause(self, job_id: int) -> Job | None:
        """Pause a job: its running slice ends soon, and none follows.

        None if it has finished, or is cancelled.
        """
        return await self._change_active(job_id, ~_IS_CANCELLED, paused=True)

    async def resume(self, job_id: int) -> Job | None:
        """Resume a job: its next slice is due now. None if it is not paused, or has finished.

        A new slice replaces the one that was due, which the queue may consider finished.
        """
        return await self._change_active(
            job_id,
            jobs.c.paused,
            paused=False,
            slice=jobs.c.slice + case((jobs.c.slice_running, 0), else_=1),
            waiting_until=None,
            waiting_for=None,
        )

    async def change_controls(self, job_id: int, controls: Mapping[str, Any]) -> Job | None:
        """Change `priority` or `calls_per_minute`. None if the job has finished.

        A job that waits can try at once: it may wait for its own calls a minute.
        """
        return await self._change_active(job_id, **controls)

    async def _change_active(
        self, job_id: int, *conditions: ColumnElement[bool], **changes: Any
    ) -> Job | None:
        change = update(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(ACTIVE), *conditions)
        async with self._engine.begin() as connection:
            row = (await connection.execute(change.values(**changes).returning(jobs))).first()
        return _job_or_none(row)

    async def skip_slice(self, job_id: int, number: int) -> Job | None:
        """Replace a slice that the queue has lost by the next one. None if it is not due."""
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.slice == number, jobs.c.status.in_(ACTIVE))
                    .values(slice=jobs.c.slice + 1, fence=jobs.c.fence + 1, slice_running=False)
                    .returning(jobs)
                )
            ).first()
        return _job_or_none(row)

    # --- their files and records ---

    async def parts_from(self, job_id: int, row: int) -> Sequence[Part]:
        """The part of a job's file that holds a row, and the parts after it."""
        async with self._reading.connect() as connection:
            return await parts_from(connection, job_id, row)

    async def files(self) -> frozenset[str]:
        """The names of the files that belong to a job."""
        async with self._reading.connect() as connection:
            return frozenset(
                (await connection.scalars(select(jobs.c.file).where(jobs.c.has_file))).all()
            )

    async def files_of_jobs_finished_before(self, moment: datetime) -> Sequence[str]:
        """The files of jobs that finished before a time, and that no unfinished retry reads."""
        is_old = (jobs.c.has_file, jobs.c.finished_at < moment, ~HAS_UNFINISHED_LATER_JOB)
        old = select(jobs.c.file).where(*is_old)
        async with self._reading.connect() as connection:
            return (await connection.scalars(old)).all()

    async def forget_file(self, name: str) -> None:
        """Record that a job's file is deleted."""
        async with self._engine.begin() as connection:
            await connection.execute(update(jobs).where(jobs.c.file == name).values(has_file=False))

    async def errors(
        self, job_id: int, *, after: int, limit: int, skip: int = 0, cause: str | None = None
    ) -> Sequence[RecordError]:
        """The records of a job with a problem, as `errors_of` finds them."""
        async with self._reading.connect() as connection:
            return await errors_of(
                connection, job_id, after=after, limit=limit, skip=skip, cause=cause
            )

    async def errors_between(self, job_id: int, first: int, last: int) -> Sequence[RecordError]:
        """The records from row `first` to `last` of a job that have a problem."""
        async with self._reading.connect() as connection:
            found = await errors_of(connection, job_id, after=first - 1, limit=last + 1 - first)
        return [error for error in found if error.row <= last]

    async def outcomes_between(
        self, job_id: int, first: int, last: int
    ) -> Sequence[RecordedOutcome]:
        """The outcomes of the rows from `first` to `last` of a job."""
        async with self._reading.connect() as connection:
            return list(await recorded_outcomes(connection, job_id, first, last))

    async def row_kinds(self, job: Job) -> RowKinds:
        """What became of each row of a job, at one moment. Its file has been read."""
        async with self._reading.connect() as connection:
            return await kinds_of(connection, job)

    async def rows_of_cause(self, job_id: int, cause: str, records: int) -> RowChoice:
        """The rows of a job whose problem has this cause."""
        async with self._reading.connect() as connection:
            return await rows_of_cause(connection, job_id, cause, records)

    async def retried_rows(self, job_id: int) -> Mapping[int, RowChoice]:
        """The rows of a job that later jobs retry, by the ids of those."""
        async with self._reading.connect() as connection:
            return await retried_rows(connection, job_id)

    async def error_groups(self, job_id: int, *, limit: int, skip: int = 0) -> Sequence[ErrorGroup]:
        """The causes of a job's problems, those with most records first."""
        async with self._reading.connect() as connection:
            return await error_groups_of(connection, job_id, limit=limit, skip=skip)


def _kind_of_ledger(job: Job) -> type[SliceLedger]:
    if job.verification is not None:
        return VerificationLedger
    if job.is_plan:
        return PlanLedger
    return SliceLedger if job.apply is None else ApplyLedger


async def _take_earlier_job(
    connection: AsyncConnection, job: Job, retried: RetriedRows | None
) -> None:
    """Note which rows of an earlier job a new one takes. Raises Conflict if another one does."""
    if retried is not None:
        await add_retry(connection, job, retried)
    elif job.undo is not None:
        await require_undo_possible(connection, job, job.undo)


def _job_or_none(row: Row[Any] | None) -> Job | None:
    return None if row is None else job_of(row)


async def _insert_what_belongs_to(
    connection: AsyncConnection,
    job: Job,
    key: Mapping[str, Any] | None,
    retried: RetriedRows | None,
    deed: Callable[[int], Deed] | None,
) -> None:
    # The key first: a repeated request finds its job, and no rows that are left to retry.
    if key is not None:
        await connection.execute(insert(idempotency_keys).values({**key, "job_id": job.id}))
    await _take_earlier_job(connection, job, retried)
    if deed is not None:
        await insert_deed(connection, deed(job.id))


def _cancel_status() -> Case[str]:
    return case(
        (jobs.c.slice_running.is_(True), Status.CANCELLATION_PENDING.value),
        else_=Status.CANCELLED.value,
    )


def _end_unless_running(now: datetime) -> Case[datetime | None]:
    return case((jobs.c.slice_running.is_(True), null()), else_=literal(now, Timestamp))
