"""The ledger: every job, how far it came, and what became of each of its records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Case, ColumnElement, Row, and_, case, delete, func, insert, literal, null, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.job import FINAL, SMALL_FILE, Counts, Download, Job, Once, Position, Status, Upload
from openbulk.domain.query import Bookmark
from openbulk.domain.records import Fate, Outcome, Problem
from openbulk.storage.bookmarks import Feed, forget_bookmarks, keep_bookmark, newest_bookmark
from openbulk.storage.database import for_reading
from openbulk.storage.files import Part
from openbulk.storage.tables import Moment, idempotency_keys, intents, jobs, outcomes, parts
from openbulk.storage.work import work_of, work_values

_NEVER_LOOKED_UP = (
    "nobody knows whether the service has taken this record (the job ended before it could be looked up); "
    "look there before sending it again"
)
ACTIVE = tuple(status.value for status in Status if status not in FINAL)


class Fenced(Exception):
    """Somebody else works on this slice now: stop, and write nothing more."""


class KeyTaken(Exception):
    """The instance has a job with this key already; nothing was written."""


@dataclass(frozen=True, slots=True)
class RecordError:
    """A record that was not taken, or of which nobody knows."""

    row: int
    line: int | None
    fate: Fate
    problem: str
    field: str | None
    provider_message: str | None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A batch that a native bulk import works on: the rows from behind the cursor to `until`."""

    text: str
    until: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A slice that was begun: the job as it stands, and the fence behind which its runner may commit."""

    job: Job
    fence: int
    waits: int
    """How often in a row the job has waited without getting anywhere."""
    ticket: Ticket | None


class Ledger:
    """Remembers jobs. One function a statement, named for what its caller wants."""

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
        once: Once | None = None,
    ) -> Job:
        """Write a new job down; from here on it will be done. A file has one job: added again, it is the one that is
        there. Raises KeyTaken."""
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
                if once is not None:
                    key = {"instance_id": instance_id, "job_id": job.id, **asdict(once)}
                    await connection.execute(insert(idempotency_keys).values(key))
        except IntegrityError as error:
            if (made := (await self.jobs_with_files([work.file])).get(work.file)) is not None:
                return made
            if once is not None and await self.job_with_key(instance_id, once.key) is not None:
                raise KeyTaken from error
            raise
        return job

    async def job_with_key(self, instance_id: int, key: str) -> tuple[Job, Once] | None:
        """The job of an instance that was asked for with a key, and what was asked."""
        keys = idempotency_keys
        wanted = (
            select(jobs, keys.c.content)
            .join_from(keys, jobs, keys.c.job_id == jobs.c.id)
            .where(keys.c.instance_id == instance_id, keys.c.key == key)
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else (job_of(row), Once(key, row.content))

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
        chosen = select(jobs).where(jobs.c.instance_id == instance_id).order_by(jobs.c.id.desc()).limit(limit)
        if before is not None:
            chosen = chosen.where(jobs.c.id < before)
        async with self._reading.connect() as connection:
            return [job_of(row) for row in await connection.execute(chosen)]

    async def active_jobs(self) -> Sequence[Job]:
        """The jobs that are not finished, oldest first."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(select(jobs).where(jobs.c.status.in_(ACTIVE)).order_by(jobs.c.id))
            return [job_of(row) for row in rows]

    async def has_rival(self, job: Job, now: datetime) -> bool:
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

    async def jobs_under_way(self, instance_id: int) -> int:
        """How many jobs of an instance have records to send, now or when they have waited."""
        under_way = select(func.count()).where(
            jobs.c.instance_id == instance_id, jobs.c.status.in_(ACTIVE), _calls_its_service()
        )
        async with self._reading.connect() as connection:
            return int((await connection.scalar(under_way)) or 0)

    async def is_cancelled(self, job_id: int) -> bool:
        """Whether somebody asked for the job to be cancelled."""
        async with self._reading.connect() as connection:
            status = await connection.scalar(select(jobs.c.status).where(jobs.c.id == job_id))
        return status in {Status.CANCELLATION_PENDING.value, Status.CANCELLED.value}

    async def files(self) -> frozenset[str]:
        """The names of the files that belong to a job."""
        async with self._reading.connect() as connection:
            return frozenset((await connection.scalars(select(jobs.c.file).where(jobs.c.has_file))).all())

    async def files_of_jobs_finished_before(self, moment: datetime) -> Sequence[str]:
        """The names of files that have served their time."""
        old = select(jobs.c.file).where(jobs.c.has_file, jobs.c.finished_at < moment)
        async with self._reading.connect() as connection:
            return (await connection.scalars(old)).all()

    async def forget_file(self, name: str) -> None:
        """A job's file has been deleted."""
        async with self._engine.begin() as connection:
            await connection.execute(update(jobs).where(jobs.c.file == name).values(has_file=False))

    # --- a job's turns ---

    async def set_parts(self, job_id: int, fence: int, records: int, first_rows: Sequence[int]) -> None:
        """The file has been cut to its end: it holds this many records, in parts that begin at these rows.

        Raises Fenced, and then nothing is written.
        """
        async with self._engine.begin() as connection:
            await _behind_fence(connection, job_id, fence, records=records)
            await _replace_parts(connection, job_id, first_rows)

    async def parts_from(self, job_id: int, row: int) -> Sequence[Part]:
        """The part that holds a row, and those behind it."""
        holder = (
            select(func.max(parts.c.first_row))
            .where(parts.c.job_id == job_id, parts.c.first_row <= row)
            .scalar_subquery()
        )
        async with self._reading.connect() as connection:
            found = await connection.execute(
                select(parts).where(parts.c.job_id == job_id, parts.c.first_row >= holder).order_by(parts.c.first_row)
            )
            return [Part(part.first_row, part.fence) for part in found]

    async def begin_slice(self, job_id: int, number: int, now: datetime, worker: str | None = None) -> Turn | None:
        """Begin a slice and raise the fence; None where it isn't this slice's turn any more.

        A worker that begins a slice again which it had begun spends no attempt: it had lost the database.
        """
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.slice == number, jobs.c.status.in_(ACTIVE))
                    .values(
                        status=_running_unless_cancelled(),
                        slice_running=True,
                        slice_attempts=_attempts_of(worker),
                        fence=jobs.c.fence + 1,
                        worker=worker,
                        started_at=func.coalesce(jobs.c.started_at, literal(now, Moment)),
                        waiting_until=None,
                    )
                    .returning(jobs)
                )
            ).first()
        if row is None:
            return None
        ticket = None if row.ticket is None else Ticket(row.ticket, row.ticket_until)
        return Turn(job_of(row), row.fence, row.waits, ticket)

    async def end_slice(
        self,
        job_id: int,
        fence: int,
        *,
        crashed: bool = False,
        wait_until: datetime | None = None,
        wait_for: str | None = None,
    ) -> int:
        """End a slice whose job goes on; the number of the slice that is due next. Raises Fenced.

        Only a slice that crashed leaves its attempt counted: waiting for a service is not failing. Ending it again
        changes nothing.
        """
        waiting = wait_for is not None
        async with self._engine.begin() as connection:
            return await _behind_fence(
                connection,
                job_id,
                fence,
                slice=jobs.c.slice + _one_if_running(),
                slice_running=False,
                slice_attempts=jobs.c.slice_attempts if crashed else 0,
                waits=jobs.c.waits + _one_if_running() if waiting else 0,
                waiting_until=wait_until,
                waiting_for=wait_for,
            )

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

    async def wake(self, job_id: int) -> int | None:
        """End a job's waiting; the number of the slice that is due now, None where it doesn't wait."""
        async with self._engine.begin() as connection:
            number: int | None = await connection.scalar(
                update(jobs)
                .where(jobs.c.id == job_id, jobs.c.waiting_until.is_not(None), jobs.c.slice_running.is_(False))
                .values(slice=jobs.c.slice + 1, waiting_until=None, waiting_for=None)
                .returning(jobs.c.slice)
            )
        return number

    async def commit(
        self,
        job_id: int,
        fence: int,
        results: Sequence[Outcome],
        *,
        cursor: int,
        lines: Mapping[int, int | None],
        ticket_done: bool = False,
    ) -> None:
        """Write outcomes and cursor down together. Raises Fenced, and then nothing is written.

        Writing the same outcomes down again changes nothing: whoever lost the answer may ask again.
        """
        tally = Counter(outcome.fate for outcome in results)
        changes: dict[str, Any] = {fate.value: jobs.c[fate.value] + count for fate, count in tally.items()}
        if mailed := sum(outcome.mails_outside for outcome in results):
            changes["mailed_outside"] = jobs.c.mailed_outside + mailed
        if ticket_done:
            changes |= {"ticket": None, "ticket_until": None}
        try:
            async with self._engine.begin() as connection:
                await _behind_fence(
                    connection, job_id, fence, cursor=cursor, slice_attempts=0, waits=0, waiting_for=None, **changes
                )
                if results:
                    await connection.execute(
                        insert(outcomes), [_outcome_values(job_id, outcome, lines) for outcome in results]
                    )
        except IntegrityError:
            if not await self._is_written(job_id, results):
                raise

    async def _is_written(self, job_id: int, results: Sequence[Outcome]) -> bool:
        """Whether all of these outcomes stand in the ledger already."""
        rows = [outcome.row for outcome in results]
        written = select(outcomes.c.row, outcomes.c.fate).where(outcomes.c.job_id == job_id, outcomes.c.row.in_(rows))
        async with self._reading.connect() as connection:
            found = {row.row: row.fate for row in await connection.execute(written)}
        return found == {outcome.row: outcome.fate.value for outcome in results}

    async def commit_part(
        self,
        job_id: int,
        fence: int,
        *,
        first_row: int,
        records: int,
        position: Position,
        columns: Sequence[str],
        is_last: bool,
        bookmark: tuple[Feed, Bookmark] | None = None,
    ) -> None:
        """A download has kept so many more records, in a part that begins at a row; where it has read a feed of changes
        to its end, it leaves a bookmark. Raises Fenced, and then nothing is written."""
        count = first_row - 1 + records
        async with self._engine.begin() as connection:
            await _behind_fence(
                connection,
                job_id,
                fence,
                cursor=count,
                position=asdict(position),
                columns=list(columns),
                slice_attempts=0,
                waits=0,
                waiting_for=None,
                **({"records": count} if is_last else {}),
            )
            if records:
                part = {"job_id": job_id, "first_row": first_row}
                await connection.execute(delete(parts).filter_by(**part))
                await connection.execute(insert(parts).values(**part, fence=fence))
            if bookmark is not None:
                await keep_bookmark(connection, *bookmark)

    async def bookmark(self, feed: Feed, until: datetime) -> str | None:
        """From where a download reads a feed of changes that wants all changes since a moment; None: from nowhere."""
        async with self._reading.connect() as connection:
            return await newest_bookmark(connection, feed, until)

    async def begin_anew(
        self, job_id: int, fence: int, position: Position, *, lost: tuple[Feed, datetime] | None
    ) -> None:
        """A download begins at its beginning again: what it has kept is forgotten, and the feed's bookmarks until a
        moment are, where they are of no use any more. Raises Fenced, and then nothing is written."""
        async with self._engine.begin() as connection:
            await _behind_fence(connection, job_id, fence, cursor=0, position=asdict(position), columns=[])
            await connection.execute(delete(parts).where(parts.c.job_id == job_id))
            if lost is not None:
                await forget_bookmarks(connection, *lost)

    async def replace_parts(self, job_id: int, fence: int, records: int, first_rows: Sequence[int]) -> None:
        """A download's records are in their order now, in other parts. Raises Fenced, and then nothing is written."""
        async with self._engine.begin() as connection:
            await _behind_fence(connection, job_id, fence, cursor=records, records=records, slice_attempts=0)
            await _replace_parts(connection, job_id, first_rows)

    async def set_ticket(self, job_id: int, fence: int, ticket: Ticket) -> None:
        """A native bulk import took a batch. Raises Fenced."""
        async with self._engine.begin() as connection:
            await _behind_fence(
                connection, job_id, fence, ticket=ticket.text, ticket_until=ticket.until, slice_attempts=0
            )

    async def finish(self, job_id: int, fence: int, status: Status, *, now: datetime, error: str | None = None) -> Job:
        """End a job for good; ending it again in the same way changes nothing. One that is complete, and that somebody
        wanted cancelled meanwhile, is cancelled. Raises Fenced."""
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.fence == fence, jobs.c.status.in_(ACTIVE))
                    .values(
                        status=_complete_unless_cancelled() if status is Status.COMPLETE else status.value,
                        error=error,
                        finished_at=now,
                        slice_running=False,
                        waiting_until=None,
                        waiting_for=None,
                    )
                    .returning(jobs)
                )
            ).first()
            if row is not None:
                return await _given_up(connection, job_of(row))
            as_asked = [status.value, Status.CANCELLED.value] if status is Status.COMPLETE else [status.value]
            ended = select(jobs).where(jobs.c.id == job_id, jobs.c.fence == fence, jobs.c.status.in_(as_asked))
            if (row := (await connection.execute(ended)).first()) is None:
                raise Fenced
            return job_of(row)

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
            return await _given_up(connection, job) if job.is_finished else job

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

    # --- what became of records ---

    async def rows_done(self, job_id: int, after: int) -> frozenset[int]:
        """The rows behind the cursor that have an outcome already."""
        async with self._reading.connect() as connection:
            found = await connection.scalars(
                select(outcomes.c.row).where(outcomes.c.job_id == job_id, outcomes.c.row > after)
            )
            return frozenset(found.all())

    async def add_intents(self, job_id: int, fence: int, rows: Sequence[int]) -> None:
        """Write down that these rows are about to be sent, all of them in one batch. Raises Fenced where somebody has
        taken over, or may have sent one already.

        Writing the same batch down again changes nothing: behind one fence nobody else can have done it.
        """
        try:
            async with self._engine.begin() as connection:
                await _hold_fence(connection, job_id, fence)
                await connection.execute(insert(intents), [{"job_id": job_id, "row": row} for row in rows])
        except IntegrityError as error:
            if not set(rows) <= await self.intended(job_id):
                raise Fenced from error

    async def drop_intents(self, job_id: int, fence: int, rows: Sequence[int]) -> None:
        """These rows were not sent after all. Raises Fenced: whoever has taken over may be sending them."""
        async with self._engine.begin() as connection:
            await _hold_fence(connection, job_id, fence)
            await connection.execute(delete(intents).where(intents.c.job_id == job_id, intents.c.row.in_(rows)))

    async def intended(self, job_id: int) -> frozenset[int]:
        """Rows that were about to be sent when the job's runner died, and have no outcome."""
        async with self._reading.connect() as connection:
            return await _intended(connection, job_id)

    async def errors(self, job_id: int, *, after: int, limit: int, skip: int = 0) -> Sequence[RecordError]:
        """The records of a job with a problem, in the order of the file, from behind a row on, less the first few."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(
                select(outcomes)
                .where(outcomes.c.job_id == job_id, outcomes.c.row > after, outcomes.c.problem.is_not(None))
                .order_by(outcomes.c.row)
                .offset(skip)
                .limit(limit)
            )
            return [
                RecordError(row.row, row.line, Fate(row.fate), row.problem, row.field, row.provider_message)
                for row in rows
            ]


async def _behind_fence(connection: AsyncConnection, job_id: int, fence: int, **changes: Any) -> int:
    """Change a job that nobody else has taken over since; the number of its slice. Raises Fenced."""
    number = await connection.scalar(
        update(jobs).where(jobs.c.id == job_id, jobs.c.fence == fence).values(**changes).returning(jobs.c.slice)
    )
    if number is None:
        raise Fenced
    return int(number)


async def _hold_fence(connection: AsyncConnection, job_id: int, fence: int) -> None:
    """Keep everybody from taking a job over until the transaction ends. Raises Fenced where somebody has."""
    held = select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.fence == fence).with_for_update(read=True)
    if (await connection.execute(held)).first() is None:
        raise Fenced


async def _replace_parts(connection: AsyncConnection, job_id: int, first_rows: Sequence[int]) -> None:
    await connection.execute(delete(parts).where(parts.c.job_id == job_id))
    if first_rows:
        await connection.execute(insert(parts), [{"job_id": job_id, "first_row": row} for row in first_rows])


async def _intended(connection: AsyncConnection, job_id: int) -> frozenset[int]:
    with_outcome = select(outcomes.c.row).where(outcomes.c.job_id == intents.c.job_id, outcomes.c.row == intents.c.row)
    found = await connection.scalars(select(intents.c.row).where(intents.c.job_id == job_id, ~with_outcome.exists()))
    return frozenset(found.all())


async def _given_up(connection: AsyncConnection, job: Job) -> Job:
    """A job that has just ended: what may have been sent and will not be looked up any more is unknown."""
    rows = await _intended(connection, job.id)
    await connection.execute(delete(intents).where(intents.c.job_id == job.id))
    if not rows:
        return job
    results = [Outcome(row, Fate.UNKNOWN, problem=Problem(_NEVER_LOOKED_UP)) for row in rows]
    await connection.execute(insert(outcomes), [_outcome_values(job.id, outcome, {}) for outcome in results])
    row = await connection.execute(
        update(jobs).where(jobs.c.id == job.id).values(unknown=jobs.c.unknown + len(rows)).returning(jobs)
    )
    return job_of(row.one())


def _running_unless_cancelled() -> Case[str]:
    pending = Status.CANCELLATION_PENDING.value
    return case((jobs.c.status == pending, pending), else_=Status.RUNNING.value)


def _complete_unless_cancelled() -> Case[str]:
    pending = Status.CANCELLATION_PENDING.value
    return case((jobs.c.status == pending, Status.CANCELLED.value), else_=Status.COMPLETE.value)


def _attempts_of(worker: str | None) -> Case[int]:
    again = and_(jobs.c.slice_running, jobs.c.worker == worker)
    return case((again, jobs.c.slice_attempts), else_=jobs.c.slice_attempts + 1)


def _one_if_running() -> Case[int]:
    return case((jobs.c.slice_running, 1), else_=0)


def _cancelled_or_pending() -> Case[str]:
    return case((jobs.c.slice_running.is_(True), Status.CANCELLATION_PENDING.value), else_=Status.CANCELLED.value)


def _finished_unless_running(now: datetime) -> Case[datetime | None]:
    return case((jobs.c.slice_running.is_(True), null()), else_=literal(now, Moment))


def _outcome_values(job_id: int, outcome: Outcome, lines: Mapping[int, int | None]) -> dict[str, Any]:
    problem = outcome.problem
    return {
        "job_id": job_id,
        "row": outcome.row,
        "line": lines.get(outcome.row),
        "fate": outcome.fate.value,
        "record_id": outcome.id,
        "problem": problem and problem.message,
        "field": problem and problem.field,
        "provider_message": problem and problem.provider_message,
    }


def _calls_its_service() -> ColumnElement[bool]:
    """The same as `Job.calls_its_service`."""
    is_small = and_(jobs.c.records_of.is_(None), jobs.c.file_size <= SMALL_FILE)
    return or_(jobs.c.records.is_not(None), jobs.c.query.is_not(None), is_small)


def job_of(row: Row[Any]) -> Job:
    """A job from its row."""
    return Job(
        id=row.id,
        organization_id=row.organization_id,
        instance_id=row.instance_id,
        work=work_of(row),
        position=Position(**(row.position or {})),
        columns=tuple(row.columns or ()),
        status=Status(row.status),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        request_id=row.request_id,
        records=row.records,
        cursor=row.cursor,
        counts=Counts(**{field.name: getattr(row, field.name) for field in fields(Counts)}),
        mailed_outside=row.mailed_outside,
        slice=row.slice,
        slice_attempts=row.slice_attempts,
        waiting_until=row.waiting_until,
        waiting_for=row.waiting_for,
        error=row.error,
    )
