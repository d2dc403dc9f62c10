"""What a turn of a job writes down, each time behind its fence: whoever was overtaken writes nothing any more."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Case, Row, and_, case, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.domain.errors import Fenced
from openbulk.domain.job import Job, Position, Status
from openbulk.domain.query import Bookmark
from openbulk.domain.records import Outcome
from openbulk.storage.bookmarks import Feed, forget_bookmarks, keep_bookmark, newest_bookmark
from openbulk.storage.job_rows import ACTIVE, job_of
from openbulk.storage.ledger import Ledger
from openbulk.storage.outcomes import close_intents, intended, outcome_values
from openbulk.storage.tables import Timestamp, intents, jobs, outcomes, parts


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


class SliceLedger(Ledger):
    """The ledger in the hands of those who run turns."""

    # --- from its beginning to its end ---

    async def begin_slice(
        self, job_id: int, number: int, now: datetime, worker: str | None = None
    ) -> Turn | None:
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
                        started_at=func.coalesce(jobs.c.started_at, literal(now, Timestamp)),
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
    ) -> Job:
        """End a slice whose job goes on; the job as its next slice finds it. Raises Fenced.

        Only a slice that crashed leaves its attempt counted: waiting for a service is not failing. Ending it again
        changes nothing.
        """
        waiting = wait_for is not None
        async with self._engine.begin() as connection:
            row = await _behind_fence(
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
        return job_of(row)

    async def finish(
        self, job_id: int, fence: int, status: Status, *, now: datetime, error: str | None = None
    ) -> Job:
        """End a job for good; ending it again in the same way changes nothing. One that is complete, and that somebody
        wanted cancelled meanwhile, is cancelled. Raises Fenced."""
        async with self._engine.begin() as connection:
            row = (
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.fence == fence, jobs.c.status.in_(ACTIVE))
                    .values(
                        status=_complete_unless_cancelled()
                        if status is Status.COMPLETE
                        else status.value,
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
                return await close_intents(connection, job_of(row))
            as_asked = (
                [status.value, Status.CANCELLED.value]
                if status is Status.COMPLETE
                else [status.value]
            )
            ended = select(jobs).where(
                jobs.c.id == job_id, jobs.c.fence == fence, jobs.c.status.in_(as_asked)
            )
            if (row := (await connection.execute(ended)).first()) is None:
                raise Fenced
            return job_of(row)

    # --- an upload ---

    async def set_parts(
        self, job_id: int, fence: int, records: int, first_rows: Sequence[int]
    ) -> None:
        """The file has been cut to its end: it holds this many records, in parts that begin at these rows.

        Raises Fenced, and then nothing is written.
        """
        async with self._engine.begin() as connection:
            await _behind_fence(connection, job_id, fence, records=records)
            await _replace_parts(connection, job_id, first_rows)

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
        tally = Counter(outcome.kind for outcome in results)
        changes: dict[str, Any] = {
            kind.value: jobs.c[kind.value] + count for kind, count in tally.items()
        }
        if mailed := sum(outcome.mails_outside for outcome in results):
            changes["mailed_outside"] = jobs.c.mailed_outside + mailed
        if ticket_done:
            changes |= {"ticket": None, "ticket_until": None}
        try:
            async with self._engine.begin() as connection:
                await _behind_fence(
                    connection,
                    job_id,
                    fence,
                    cursor=cursor,
                    slice_attempts=0,
                    waits=0,
                    waiting_for=None,
                    **changes,
                )
                if results:
                    await connection.execute(
                        insert(outcomes),
                        [outcome_values(job_id, outcome, lines) for outcome in results],
                    )
        except IntegrityError:
            if not await self._is_written(job_id, results):
                raise

    async def _is_written(self, job_id: int, results: Sequence[Outcome]) -> bool:
        """Whether all of these outcomes stand in the ledger already."""
        rows = [outcome.row for outcome in results]
        written = select(outcomes.c.row, outcomes.c.kind).where(
            outcomes.c.job_id == job_id, outcomes.c.row.in_(rows)
        )
        async with self._reading.connect() as connection:
            found = {row.row: row.kind for row in await connection.execute(written)}
        return found == {outcome.row: outcome.kind.value for outcome in results}

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
                await connection.execute(
                    insert(intents), [{"job_id": job_id, "row": row} for row in rows]
                )
        except IntegrityError as error:
            if not set(rows) <= await self.intended(job_id):
                raise Fenced from error

    async def drop_intents(self, job_id: int, fence: int, rows: Sequence[int]) -> None:
        """These rows were not sent after all. Raises Fenced: whoever has taken over may be sending them."""
        async with self._engine.begin() as connection:
            await _hold_fence(connection, job_id, fence)
            await connection.execute(
                delete(intents).where(intents.c.job_id == job_id, intents.c.row.in_(rows))
            )

    async def intended(self, job_id: int) -> frozenset[int]:
        """Rows that were about to be sent when the job's runner died, and have no outcome."""
        async with self._reading.connect() as connection:
            return await intended(connection, job_id)

    async def set_ticket(self, job_id: int, fence: int, ticket: Ticket) -> None:
        """A native bulk import took a batch. Raises Fenced."""
        async with self._engine.begin() as connection:
            await _behind_fence(
                connection,
                job_id,
                fence,
                ticket=ticket.text,
                ticket_until=ticket.until,
                slice_attempts=0,
            )

    # --- a download ---

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

    async def restart_download(
        self, job_id: int, fence: int, position: Position, *, lost: tuple[Feed, datetime] | None
    ) -> None:
        """A download begins at its beginning again: what it has kept is forgotten, and the feed's bookmarks until a
        moment are, where they are of no use any more. Raises Fenced, and then nothing is written."""
        async with self._engine.begin() as connection:
            await _behind_fence(
                connection, job_id, fence, cursor=0, position=asdict(position), columns=[]
            )
            await connection.execute(delete(parts).where(parts.c.job_id == job_id))
            if lost is not None:
                await forget_bookmarks(connection, *lost)

    async def replace_parts(
        self, job_id: int, fence: int, records: int, first_rows: Sequence[int]
    ) -> None:
        """A download's records are in their order now, in other parts. Raises Fenced, and then nothing is written."""
        async with self._engine.begin() as connection:
            await _behind_fence(
                connection, job_id, fence, cursor=records, records=records, slice_attempts=0
            )
            await _replace_parts(connection, job_id, first_rows)


async def _behind_fence(
    connection: AsyncConnection, job_id: int, fence: int, **changes: Any
) -> Row[Any]:
    """Change a job that nobody else has taken over since; its row. Raises Fenced."""
    change = update(jobs).where(jobs.c.id == job_id, jobs.c.fence == fence).values(**changes)
    row: Row[Any] | None = (await connection.execute(change.returning(jobs))).first()
    if row is None:
        raise Fenced
    return row


async def _hold_fence(connection: AsyncConnection, job_id: int, fence: int) -> None:
    """Keep everybody from taking a job over until the transaction ends. Raises Fenced where somebody has."""
    held = (
        select(jobs.c.id)
        .where(jobs.c.id == job_id, jobs.c.fence == fence)
        .with_for_update(read=True)
    )
    if (await connection.execute(held)).first() is None:
        raise Fenced


async def _replace_parts(
    connection: AsyncConnection, job_id: int, first_rows: Sequence[int]
) -> None:
    await connection.execute(delete(parts).where(parts.c.job_id == job_id))
    if first_rows:
        await connection.execute(
            insert(parts), [{"job_id": job_id, "first_row": row} for row in first_rows]
        )


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
