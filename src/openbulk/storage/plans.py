"""The plans of jobs: what they would do, part by part.

The rows are in the file store; the ledger has the parts that they are in, and counts. A part has
the rows that were planned together. It may lack some between its first and its last one, which
other parts have: no row is in two parts.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, case, delete, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.apply import Apply
from openbulk.domain.approvals import Author
from openbulk.domain.errors import IdempotencyKeyTaken
from openbulk.domain.job import IdempotencyKey, Job, Status
from openbulk.domain.plan import Completeness, PlannedKind
from openbulk.storage.approvals import use_approval
from openbulk.storage.database import for_reading
from openbulk.storage.files import Part
from openbulk.storage.job_rows import job_of
from openbulk.storage.outcome_blocks import Range
from openbulk.storage.retries import own_rows, require_not_retried
from openbulk.storage.slice_ledger import SliceLedger, parts_from
from openbulk.storage.tables import Timestamp, idempotency_keys, jobs, plan_parts
from openbulk.storage.undo import require_no_undo, require_undo_possible

_DIGEST_MODULUS = 2**256
PARTS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What the rows of a plan, or of a part of it, would do."""

    kinds: Mapping[PlannedKind, int]
    row_digest: int = 0
    """The sum of the digests of rows: it does not depend on how they are cut into parts."""
    calls: int = 0
    """Calls that would write, as far as the service counts them one by one."""
    mails: int = 0
    mails_outside: int = 0
    repeated: int = 0
    """Rows that mean the record of another row of the file, too."""
    completeness: Completeness = Completeness.COMPLETE
    lookups: int = 0
    """Calls that read, and that the job makes, too."""
    calls_by_place: Mapping[str, int] = field(default_factory=dict)
    """By `Planned.place`, the calls that count there."""

    def as_json(self) -> dict[str, Any]:
        """For the ledger; `of_json` reads it."""
        return {
            "kinds": {kind.value: count for kind, count in self.kinds.items()},
            "digest": f"{self.row_digest:064x}",
            "calls": self.calls,
            "mails": self.mails,
            "mailsOutside": self.mails_outside,
            "repeated": self.repeated,
            "completeness": self.completeness.value,
            "lookups": self.lookups,
            "places": dict(self.calls_by_place),
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "PlanSummary":
        """What `as_json` has written."""
        return cls(
            {PlannedKind(kind): count for kind, count in kept["kinds"].items()},
            int(kept["digest"], 16),
            kept["calls"],
            kept["mails"],
            kept["mailsOutside"],
            kept["repeated"],
            Completeness(kept["completeness"]),
            # A part of an older release has neither.
            kept.get("lookups", 0),
            kept.get("places", {}),
        )

    @classmethod
    def of_parts(cls, parts: Collection["PlanPart"]) -> "PlanSummary":
        """The summary of a whole plan."""
        summaries = [part.summary for part in parts]
        kinds: Counter[PlannedKind] = Counter()
        calls_by_place: Counter[str] = Counter()
        for summary in summaries:
            kinds.update(summary.kinds)
            calls_by_place.update(summary.calls_by_place)
        return cls(
            kinds,
            sum(summary.row_digest for summary in summaries) % _DIGEST_MODULUS,
            sum(summary.calls for summary in summaries),
            sum(summary.mails for summary in summaries),
            sum(summary.mails_outside for summary in summaries),
            sum(summary.repeated for summary in summaries),
            # The last part knows the object as it was seen last.
            summaries[-1].completeness if summaries else Completeness.COMPLETE,
            sum(summary.lookups for summary in summaries),
            calls_by_place,
        )


@dataclass(frozen=True, slots=True)
class PlanPart:
    """Rows of a plan that are kept together."""

    rows: Sequence[Range]
    """The ranges of its rows, in their order."""
    fence: int
    """The fence of the slice that wrote it."""
    summary: PlanSummary

    @property
    def first_row(self) -> int:
        """Its first row."""
        return self.rows[0][0]

    @property
    def last_row(self) -> int:
        """Its last row; others between may be missing."""
        return self.rows[-1][1]

    def path(self, file: str) -> str:
        """Its path in the file store, below the file of its job."""
        return f"{file}/plan/{self.first_row:012d}-{self.fence}"


def ranges_of(rows: Sequence[int]) -> Sequence[Range]:
    """The ranges of some rows, which are in their order."""
    groups = groupby(enumerate(rows), lambda pair: pair[1] - pair[0])
    found = [[row for _, row in pairs] for _, pairs in groups]
    return [(some[0], some[-1]) for some in found]


class PlanLedger(SliceLedger):
    """A slice of a job that is planned: it records what rows would do, and no outcome."""

    ends_as = Status.PLANNED
    """The status of its job, once all rows are in parts."""

    async def rows_to_send(self) -> tuple[Sequence[Part], Sequence[Range]]:
        """The parts with the rows after the job's cursor, and those rows that are planned."""
        job = self.job
        if self._cut is not None:  # nothing is planned yet
            return await super().rows_to_send()

        async def read(connection: AsyncConnection) -> tuple[Sequence[Part], Sequence[Range]]:
            planned = await _plan_parts(connection, job_id=job.id, after=job.cursor)
            ranges = sorted(one for part in planned for one in part.rows if one[1] > job.cursor)
            done = [(max(first, job.cursor + 1), last) for first, last in ranges]
            return await parts_from(connection, job.id, job.cursor + 1), done

        return await self.read(read)

    async def plan_parts(self) -> AsyncIterator[PlanPart]:
        """The parts of the plan so far, in the order of their first rows."""
        for part in await self.read(partial(_plan_parts, job_id=self.job.id, after=0)):
            yield part

    async def record_part(self, part: PlanPart, *, cursor: int) -> None:
        """Record that a part of the plan is in the file store, and the new cursor."""
        changes = {"cursor": cursor, "slice_attempts": 0, "waits": 0, "waiting_for": None}
        is_part = (plan_parts.c.job_id == self.job.id, plan_parts.c.first_row == part.first_row)
        values = {
            "job_id": self.job.id,
            "first_row": part.first_row,
            "last_row": part.last_row,
            "fence": part.fence,
            "ranges": [list(one) for one in part.rows] if len(part.rows) > 1 else None,
            "summary": part.summary.as_json(),
        }

        async def write(connection: AsyncConnection) -> None:
            await self.change_job(connection, **changes)
            # The answer to an earlier call may have been lost.
            await connection.execute(delete(plan_parts).where(*is_part))
            await connection.execute(insert(plan_parts).values(values))

        await self.write(write)

    async def finish(self, status: Status, *, now: datetime, error: str | None = None) -> Job:
        """End the job. If all its rows are planned, it is."""
        is_planned = status is Status.COMPLETE
        return await super().finish(self.ends_as if is_planned else status, now=now, error=error)

    def _changes_at_end(self, status: Status, now: datetime) -> Mapping[str, Any]:
        return {"planned_at": now} if status is Status.PLANNED else {}


class ApplyLedger(SliceLedger):
    """A slice of a job that carries its plan out."""

    async def plan_parts(self) -> Sequence[PlanPart]:
        """The parts of the plan, in the order of their first rows."""
        return await self.read(partial(_plan_parts, job_id=self.job.id, after=0))

    async def finish(self, status: Status, *, now: datetime, error: str | None = None) -> Job:
        """End the job. If only the first rows were to be carried out, the others stay planned."""
        assert self.job.apply is not None
        has_more = status is Status.COMPLETE and self.job.apply.until is not None
        return await super().finish(Status.PLANNED if has_more else status, now=now, error=error)


class Plans:
    """Reads the plans of jobs."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def apply(
        self,
        job: Job,
        apply: Apply,
        *,
        applying: Author,
        now: datetime,
        idempotency_key: IdempotencyKey | None,
    ) -> Job | None:
        """Begin to carry out the plan of a job; None if it is not as the caller has seen it.

        Raises IdempotencyKeyTaken, and Conflict if another job has retried the rows of a retry
        since it was planned, if another job undoes what was carried out before, or if the plan
        needs an approval and has none.
        """
        is_same = (jobs.c.status == Status.PLANNED.value, jobs.c.slice == job.slice)
        begin = (
            update(jobs)
            .where(jobs.c.id == job.id, *is_same, jobs.c.has_file)
            .values(
                apply=apply.as_json(),
                status=Status.RUNNING.value,
                started_at=case(
                    (jobs.c.apply.is_(None), literal(now, Timestamp)), else_=jobs.c.started_at
                ),
                finished_at=None,
                cursor=0,
                slice=jobs.c.slice + 1,
                slice_attempts=0,
                waits=0,
            )
            .returning(jobs)
        )
        try:
            async with self._engine.begin() as connection:
                own = await own_rows(connection, job)
                if own is not None:
                    await require_not_retried(connection, job, own)
                await require_no_undo(connection, job)
                if job.undo is not None:
                    await require_undo_possible(connection, job, job.undo)
                row = (await connection.execute(begin)).first()
                if row is None:
                    return None
                await use_approval(connection, job, digest=apply.digest, applying=applying, now=now)
                if idempotency_key is not None:
                    key = {"instance_id": job.instance_id, "job_id": job.id}
                    key |= asdict(idempotency_key)
                    await connection.execute(insert(idempotency_keys).values(key))
        except IntegrityError as error:
            raise IdempotencyKeyTaken from error
        return job_of(row)

    async def parts(self, job_id: int) -> Sequence[PlanPart]:
        """The parts of a plan, in the order of their first rows."""
        async with self._reading.connect() as connection:
            return await _plan_parts(connection, job_id=job_id, after=0)

    async def each_part(
        self, job_id: int, *, after: int, kind: PlannedKind | None
    ) -> AsyncIterator[PlanPart]:
        """The parts with rows after this one, and of this kind, in the order of their first rows.

        It holds few at a time.
        """
        conditions = [plan_parts.c.last_row > after]
        if kind is not None:
            conditions.append(plan_parts.c.summary[("kinds", kind.value)].as_integer() > 0)
        first_row = 0
        while True:
            chosen = (*conditions, plan_parts.c.first_row > first_row)
            async with self._reading.connect() as connection:
                page = await _chosen_parts(connection, job_id, *chosen, limit=PARTS_AT_ONCE)
            for part in page:
                yield part
            if len(page) < PARTS_AT_ONCE:
                return
            first_row = page[-1].first_row


async def _plan_parts(connection: AsyncConnection, *, job_id: int, after: int) -> list[PlanPart]:
    return await _chosen_parts(connection, job_id, plan_parts.c.last_row > after)


async def _chosen_parts(
    connection: AsyncConnection,
    job_id: int,
    *conditions: ColumnElement[bool],
    limit: int | None = None,
) -> list[PlanPart]:
    chosen = (
        select(plan_parts)
        .where(plan_parts.c.job_id == job_id, *conditions)
        .order_by(plan_parts.c.first_row)
        .limit(limit)
    )
    return [
        PlanPart(
            [(first, last) for first, last in row.ranges or [(row.first_row, row.last_row)]],
            row.fence,
            PlanSummary.of_json(row.summary),
        )
        for row in await connection.execute(chosen)
    ]
