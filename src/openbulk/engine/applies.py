"""Carries out the plans of jobs: what was planned, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from openbulk.domain.apply import Apply, DriftPolicy, StopReason, Threshold
from openbulk.domain.approvals import Author
from openbulk.domain.errors import BadInput, Conflict
from openbulk.domain.job import IdempotencyKey, Job, Status, Undo
from openbulk.domain.plan import PlannedKind
from openbulk.domain.records import Action
from openbulk.domain.row_kinds import EVERY_KIND
from openbulk.engine.approvals import PlanApprovals
from openbulk.engine.plans import PlanReader
from openbulk.engine.queue.clock import Clock
from openbulk.engine.queue.dbos_queue import LaneQueue
from openbulk.engine.undoing import Undoing
from openbulk.storage.accounts import Accounts
from openbulk.storage.ledger import Ledger
from openbulk.storage.plans import Plans, PlanSummary

log = structlog.get_logger()

_PLAN_AGAIN = "POST /bulk/{object}?plan=true makes another plan of the file"


@dataclass(frozen=True, slots=True)
class ApplyRequest:
    """What a caller wants of a plan."""

    digest: str
    applying: Author
    """Who has the plan carried out."""
    drifted: DriftPolicy
    stop_above: Mapping[StopReason, Threshold]
    first: int | None
    """How many rows are to be carried out, from the plan's first one on; None for all."""


class Applies:
    """Begins to carry plans out."""

    def __init__(
        self,
        plans: Plans,
        reader: PlanReader,
        approvals: PlanApprovals,
        undoing: Undoing,
        ledger: Ledger,
        accounts: Accounts,
        queue: LaneQueue,
        clock: Clock,
    ) -> None:
        self._plans = plans
        self._reader = reader
        self._approvals = approvals
        self._undoing = undoing
        self._ledger = ledger
        self._accounts = accounts
        self._queue = queue
        self._now = clock.now

    async def apply(
        self, job: Job, request: ApplyRequest, idempotency_key: IdempotencyKey | None
    ) -> Job:
        """Begin to carry out the plan of a job, or its first rows; return the job.

        Raises NotFound for a job without a plan, Conflict if the plan is another one, or cannot be
        carried out any more, or waits for an approval, or would do too much, BadInput for what this
        plan does not take, and IdempotencyKeyTaken. Then nothing is done.
        """
        plan = await self._reader.read(job)
        _require_planned(job)
        if plan.digest != request.digest:
            raise Conflict(
                f"the digest is not that of the plan of job {job.id}; look at the plan again "
                f"(GET /bulk/{job.id}/plan), and send the digest that it has"
            )
        assert plan.expires_at is not None
        if self._now() >= plan.expires_at:
            expired = plan.expires_at.isoformat(timespec="seconds")
            raise Conflict(
                f"the plan of job {job.id} expired at {expired}: the service may have changed "
                f"since; {_PLAN_AGAIN}"
            )
        if await self._accounts.instance(job.instance_id) is None:
            raise Conflict(
                f"instance {job.instance_id}, for which job {job.id} was planned, is deleted; "
                "plan the file for another instance"
            )
        if job.undo is not None:
            await self._require_undoable(job, job.undo, request)
        await self._require_approved(job, request)
        _require_within(job, plan.summary, request.stop_above)
        begun = await self._plans.apply(
            job,
            await self._apply_of(job, request),
            applying=request.applying,
            now=self._now(),
            idempotency_key=idempotency_key,
        )
        if begun is None:
            _require_planned(await self._ledger.job(job.id) or job)
            raise Conflict(f"another request has just changed job {job.id}; look at it again")
        user = request.applying.user_id
        log.info("plan is carried out", job=job.id, user=user, first=request.first)
        # The sweep enqueues it if this fails.
        await self._queue.enqueue_slice(begun.next_slice(self._now()))
        return begun

    async def _require_undoable(self, job: Job, undo: Undo, request: ApplyRequest) -> None:
        """Raise Conflict or BadInput if the plan of an undo cannot be carried out like this."""
        is_plain = request.first is None and not request.stop_above
        if not is_plain or request.drifted is not DriftPolicy.SKIP:
            raise BadInput(
                f"job {job.id} is the plan of an undo, which is carried out as a whole: leave "
                "first, drifted and stopAbove out; records that somebody has changed since are kept"
            )
        earlier = await self._ledger.job(undo.of)
        if earlier is None:
            raise Conflict(f"job {undo.of}, which job {job.id} undoes, is deleted")
        await self._undoing.require_possible(earlier, undo)

    async def _require_approved(self, job: Job, request: ApplyRequest) -> None:
        """Raise Conflict if the plan waits for an approval, or this is not what is approved."""
        await self._approvals.require(job, request.applying)
        is_strict = request.drifted is DriftPolicy.OVERWRITE
        if is_strict and await self._approvals.is_needed(job, request.applying):
            raise Conflict(
                "an approval holds for what the plan shows, and not for records that have changed "
                "since: leave drifted at skip, and have the rows that drifted planned again "
                f"(POST /bulk/{job.id}/retry?plan=true)"
            )

    async def _apply_of(self, job: Job, request: ApplyRequest) -> Apply:
        """How the plan is carried out. Raises Conflict if the wanted rows have been already."""
        if request.first is not None and job.counts.total >= request.first:
            raise Conflict(
                f"the first {request.first} rows of the plan of job {job.id} have been carried out "
                "already; send a larger first, or leave it out to carry out the others"
            )
        return Apply(
            request.digest,
            request.applying.user_id,
            request.drifted,
            request.stop_above,
            request.first,
            await self._last_row(job, request.first),
        )

    async def _last_row(self, job: Job, first: int | None) -> int | None:
        """The number of the last of the first rows of a job; None if these are all rows."""
        if first is None or job.own_records is None or first >= job.own_records:
            return None
        if job.retry is None:
            return first
        own = (await self._ledger.row_kinds(job)).choose(EVERY_KIND).rows()
        return next(row for place, row in enumerate(own, 1) if place == first)


def _require_planned(job: Job) -> None:
    """Raise Conflict unless a plan is made, and can be carried out, or the rest of it."""
    if job.status in {Status.CREATED, Status.PLANNING}:
        raise Conflict(
            f"the plan of job {job.id} is not made yet; wait until GET /bulk/{job.id}/status says "
            "PLANNED"
        )
    if job.apply is not None and job.status is not Status.PLANNED:
        state = "was carried out already" if job.is_finished else "is being carried out"
        raise Conflict(
            f"the plan of job {job.id} {state}; GET /bulk/{job.id} says what became of its rows, "
            f"and {_PLAN_AGAIN}"
        )
    if job.status is not Status.PLANNED:
        raise Conflict(f"job {job.id} is {job.status.value}, and has no whole plan; {_PLAN_AGAIN}")
    if not job.has_file:
        raise Conflict(
            f"the file of job {job.id} is no longer kept (OPENBULK_KEEP_FILES_DAYS); upload it "
            "again to plan it"
        )


def _require_within(
    job: Job, summary: PlanSummary, stop_above: Mapping[StopReason, Threshold]
) -> None:
    """Raise Conflict if the plan itself has too much of something."""
    rows = sum(summary.kinds.values())
    for reason, threshold in stop_above.items():
        count = sum(summary.kinds.get(kind, 0) for kind in _planned_kinds(job, reason))
        if threshold.is_exceeded_by(count, rows):
            raise Conflict(
                f"{count} of the {rows} rows of the plan {_WORDS[reason]}, and stopAbove."
                f"{reason.value} is {threshold}; nothing was written; look at the plan again, or "
                "allow more"
            )


def _planned_kinds(job: Job, reason: StopReason) -> tuple[PlannedKind, ...]:
    """The kinds of planned rows that count for a reason to stop."""
    if reason is StopReason.DELETES and job.upload.target.action is Action.DELETE:
        # A service that cannot be compared may have every record that is not refused.
        return PlannedKind.DELETED, PlannedKind.NOT_COMPARED
    return _PLANNED_KINDS[reason]


_PLANNED_KINDS: Mapping[StopReason, tuple[PlannedKind, ...]] = {
    StopReason.FAILED: (PlannedKind.REFUSED, PlannedKind.AMBIGUOUS),
    StopReason.DRIFTED: (),
    StopReason.DELETES: (PlannedKind.DELETED,),
}
_WORDS: Mapping[StopReason, str] = {
    StopReason.FAILED: "are refused",
    StopReason.DRIFTED: "have drifted",
    StopReason.DELETES: "delete a record",
}
