"""The ledger: every job, how far it came, and what became of each of its records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import (
    Case,
    ColumnElement,
    and_,
    case,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import IdempotencyKeyTaken
from openbulk.domain.job import SMALL_FILE, Download, IdempotencyKey, Job, Status, Upload
from openbulk.domain.records import OutcomeKind
from openbulk.storage.database import for_reading
from openbulk.storage.files import Part
from openbulk.storage.job_rows import ACTIVE, job_of, work_values
from openbulk.storage.outcomes import close_intents
from openbulk.storage.tables import Timestamp, idempotency_keys, jobs, outcomes, parts


@dataclass(frozen=True, slots=True)
class RecordError:
    """A record that was not taken, or of which nobody knows."""

    row: int
    line: int | None
    kind: OutcomeKind
    problem: str
    field: str | None
    provider_message: str | None


class Ledger:
    """Remembers jobs. One function a statement, named for what its caller wants. What turns write is in turns.py."""

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
    ) -> Job:
        """Write a new job down; from here on it will be done. A file has one job: added again, it is the one that is
        there. Raises IdempotencyKeyTaken."""
        new = insert(jobs).values(
            organization_id=organization_id,
            instance_id=instance_id,
            request_id=request_id,
            **work_values(work),
            status=Status.CREATED.value,
            created_at=now,
        )
        try:
            async with self._engine.begin() as connection:
                job = job_of((await connection.execute(new.returning(jobs))).one())
                if idempotency_key is not None:
                    key = {"instance_id": instance_id, "job_id": job.id, **asdict(idempotency_key)}
                    await connection.execute(insert(idempotency_keys).values(key))
        except IntegrityError as error:
            if (made := (await self.jobs_with_files([work.file])).get(work.file)) is not None:
                return made
            if (
                idempotency_key is not None
                and await self.job_with_key(instance_id, idempotency_key.key) is not None
            ):
                raise IdempotencyKeyTaken from error
            raise
        return job

    async def job_with_key(self, instance_id: int, key: str) -> tuple[Job, IdempotencyKey] | None:
        """The job of an instance that was asked for with a key, and what was asked."""
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
        """The jobs that these files have, as far as they have one."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(select(jobs).where(jobs.c.file.in_(names)))
            return {row.file: job_of(row) for row in rows}

    async def job(self, job_id: int) -> Job | None:
        """A job by its id."""
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(jobs).where(jobs.c.id == job_id))).first()
        return None if row is None else job_of(row)

    async def jobs_of(self, instance_id: int, *, before: int | None, limit: int) -> Sequence[Job]:
        """The jobs of an instance, newest first, from before a job on."""
        chosen = (
            select(jobs)
            .where(jobs.c.instance_id == instance_id)
            .order_by(jobs.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            chosen = chosen.where(jobs.c.id < before)
        async with self._reading.connect() as connection:
            return [job_of(row) for row in await connection.execute(chosen)]

    async def active_jobs(self) -> Sequence[Job]:
        """The jobs that are not finished, oldest first."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(
                select(jobs).where(jobs.c.status.in_(ACTIVE)).order_by(jobs.c.id)
            )
            return [job_of(row) for row in rows]

    async def unfinished_jobs(self, instance_id: int) -> int:
        """How many jobs of an instance have records to send, now or when they have waited."""
        under_way = select(func.count()).where(
            jobs.c.instance_id == instance_id, jobs.c.status.in_(ACTIVE), _calls_its_service()
        )
        async with self._reading.connect() as connection:
            return int((await connection.scalar(under_way)) or 0)

    async def another_job_is_ready(self, job: Job, now: datetime) -> bool:
        """Whether another job of the same instance could work now, were it its turn."""
        rival = select(jobs.c.id).where(
            jobs.c.instance_id == job.instance_id,
            jobs.c.id != job.id,
            jobs.c.status.in_(ACTIVE),
            _calls_its_service(),
            or_(jobs.c.waiting_until.is_(None), jobs.c.waiting_until <= now),
        )
        async with self._reading.connect() as connection:
            return (await connection.execute(rival.limit(1))).first() is not None

    async def is_cancelled(self, job_id: int) -> bool:
        """Whether somebody asked for the job to be cancelled."""
        async with self._reading.connect() as connection:
            status = await connection.scalar(select(jobs.c.status).where(jobs.c.id == job_id))
        return status in {Status.CANCELLATION_PENDING.value, Status.CANCELLED.value}

    # --- from outside of their turns ---

    async def cancel(self, job_id: int, now: datetime) -> Job | None:
        """Cancel a job: at once where no slice of it runs, else by asking the slice.

        None where it had finished before.
        """
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.status.in_(ACTIVE))
                    .values(
                        status=_cancelled_or_pending(),
                        finished_at=_finished_unless_running(now),
                        waiting_until=None,
                        waiting_for=None,
                    )
                    .returning(jobs)
                )
            ).first()
            if row is None:
                return None
            job = job_of(row)
            return await close_intents(connection, job) if job.is_finished else job

    async def cancel_complete(self, job_id: int) -> Job | None:
        """Call a job cancelled that was complete before anybody could cancel it; None where it is not complete."""
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.status == Status.COMPLETE.value)
                    .values(status=Status.CANCELLED.value)
                    .returning(jobs)
                )
            ).first()
        return None if row is None else job_of(row)

    async def wake(self, job_id: int) -> Job | None:
        """End a job's waiting: another slice is due now. None where it doesn't wait."""
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(
                        jobs.c.id == job_id,
                        jobs.c.waiting_until.is_not(None),
                        jobs.c.slice_running.is_(False),
                    )
                    .values(slice=jobs.c.slice + 1, waiting_until=None, waiting_for=None)
                    .returning(jobs)
                )
            ).first()
        return None if row is None else job_of(row)

    async def skip_slice(self, job_id: int, number: int) -> Job | None:
        """The lanes have lost a slice: another one is due in its place. None where it was found meanwhile."""
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.slice == number, jobs.c.status.in_(ACTIVE))
                    .values(slice=jobs.c.slice + 1, fence=jobs.c.fence + 1, slice_running=False)
                    .returning(jobs)
                )
            ).first()
        return None if row is None else job_of(row)

    # --- their files and records ---

    async def parts_from(self, job_id: int, row: int) -> Sequence[Part]:
        """The part that holds a row, and those behind it."""
        holder = (
            select(func.max(parts.c.first_row))
            .where(parts.c.job_id == job_id, parts.c.first_row <= row)
            .scalar_subquery()
        )
        async with self._reading.connect() as connection:
            found = await connection.execute(
                select(parts)
                .where(parts.c.job_id == job_id, parts.c.first_row >= holder)
                .order_by(parts.c.first_row)
            )
            return [Part(part.first_row, part.fence) for part in found]

    async def files(self) -> frozenset[str]:
        """The names of the files that belong to a job."""
        async with self._reading.connect() as connection:
            return frozenset(
                (await connection.scalars(select(jobs.c.file).where(jobs.c.has_file))).all()
            )

    async def files_of_jobs_finished_before(self, moment: datetime) -> Sequence[str]:
        """The names of files that have served their time."""
        old = select(jobs.c.file).where(jobs.c.has_file, jobs.c.finished_at < moment)
        async with self._reading.connect() as connection:
            return (await connection.scalars(old)).all()

    async def forget_file(self, name: str) -> None:
        """A job's file has been deleted."""
        async with self._engine.begin() as connection:
            await connection.execute(update(jobs).where(jobs.c.file == name).values(has_file=False))

    async def errors(
        self, job_id: int, *, after: int, limit: int, skip: int = 0
    ) -> Sequence[RecordError]:
        """The records of a job with a problem, in the order of the file, from behind a row on, less the first few."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(
                select(outcomes)
                .where(
                    outcomes.c.job_id == job_id,
                    outcomes.c.row > after,
                    outcomes.c.problem.is_not(None),
                )
                .order_by(outcomes.c.row)
                .offset(skip)
                .limit(limit)
            )
            return [
                RecordError(
                    row.row,
                    row.line,
                    OutcomeKind(row.kind),
                    row.problem,
                    row.field,
                    row.provider_message,
                )
                for row in rows
            ]


def _cancelled_or_pending() -> Case[str]:
    return case(
        (jobs.c.slice_running.is_(True), Status.CANCELLATION_PENDING.value),
        else_=Status.CANCELLED.value,
    )


def _finished_unless_running(now: datetime) -> Case[datetime | None]:
    return case((jobs.c.slice_running.is_(True), null()), else_=literal(now, Timestamp))


def _calls_its_service() -> ColumnElement[bool]:
    """The same as `Job.calls_its_service`."""
    is_small = and_(jobs.c.records_of.is_(None), jobs.c.file_size <= SMALL_FILE)
    return or_(jobs.c.records.is_not(None), jobs.c.query.is_not(None), is_small)
