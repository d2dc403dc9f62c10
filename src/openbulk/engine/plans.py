"""Reads the plan of a job: counts, rows by page, and what carrying it out would cost."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from openbulk.connectors.base import PlansWrites
from openbulk.connectors.pace import Budget
from openbulk.connectors.targets import resolve_target
from openbulk.domain.errors import BadInput, NotFound, ServiceError
from openbulk.domain.job import Job, Status
from openbulk.domain.plan import PlannedKind
from openbulk.engine.connections import Connections
from openbulk.engine.queue.clock import Clock
from openbulk.engine.quota.sliding_window import calls_in_window, limit_of
from openbulk.engine.slices.plans.plan_rows import PlanRow, rows_of_plan
from openbulk.exact_json import encode_json
from openbulk.storage.budgets import Budgets
from openbulk.storage.files import FileStore
from openbulk.storage.plans import Plans, PlanSummary


@dataclass(frozen=True, slots=True)
class BudgetForecast:
    """One limit of the service, and what a plan would take of it."""

    budget: Budget
    limit: int
    """Calls in its window, as far as is known."""
    left: int
    """Calls that are left of it now."""
    seconds: float
    """Until it has allowed all calls of the plan."""

    @property
    def is_met(self) -> bool:
        """Whether the plan takes more calls than are left now."""
        return self.seconds > 0


@dataclass(frozen=True, slots=True)
class PlanOverview:
    """A plan, without its rows."""

    summary: PlanSummary
    digest: str | None = None
    """Identifies the plan; None until it is made."""
    expires_at: datetime | None = None
    budgets: Sequence[BudgetForecast] = ()


class PlanReader:
    """Reads the plans of jobs."""

    def __init__(
        self,
        plans: Plans,
        files: FileStore,
        budgets: Budgets,
        connections: Connections,
        clock: Clock,
        *,
        keep_plans: timedelta,
    ) -> None:
        self._plans = plans
        self._files = files
        self._budgets = budgets
        self._connections = connections
        self._clock = clock
        self._keep_plans = keep_plans

    async def overview(self, job: Job) -> PlanOverview:
        """The plan of a job, as far as it is made. Raises NotFound if it has none."""
        plan = await self.read(job)
        if job.status is not Status.PLANNED:
            return plan
        return replace(plan, budgets=await self._forecast(job, plan.summary.calls))

    async def read(self, job: Job) -> PlanOverview:
        """The plan of a job, without what it would take of the service's limits.

        Raises NotFound if it has none.
        """
        _require_plan(job)
        summary = PlanSummary.of_parts(await self._plans.parts(job.id))
        if job.planned_at is None:
            return PlanOverview(summary)
        return PlanOverview(summary, _digest(job, summary), job.planned_at + self._keep_plans)

    async def rows(
        self, job: Job, *, kind: PlannedKind | None, after: int, limit: int
    ) -> list[PlanRow]:
        """The rows of a plan behind a row, in the order of the file, so many at most.

        Raises NotFound if the job has no plan, or its rows are deleted.
        """
        _require_plan(job)
        rows: list[PlanRow] = []
        parts = self._plans.each_part(job.id, after=after, kind=kind)
        file = job.upload.file
        try:
            async for row in rows_of_plan(self._files, file, parts, after=after, kind=kind):
                rows.append(row)
                if len(rows) == limit:
                    break
        except FileNotFoundError as error:
            raise NotFound(
                f"the rows of the plan of job {job.id} are deleted, as its file is; upload the "
                "file again to plan it"
            ) from error
        return rows

    async def _forecast(self, job: Job, calls: int) -> Sequence[BudgetForecast]:
        """What the plan takes of each limit of the service; nothing if it cannot be connected."""
        try:
            connector = (await self._connections.to(job.instance_id)).connector
            target = resolve_target(job.upload.target, await connector.objects())
        except (BadInput, NotFound, ServiceError):
            return ()
        if not calls or not isinstance(connector, PlansWrites):
            return ()
        budgets = connector.budgets(target)
        spent = await self._budgets.spending([budget.scope for budget in budgets])
        now = self._clock.time()
        found = []
        for budget in budgets:
            spending = spent[budget.scope]
            limit = max(1, limit_of(budget, spending))
            left = max(0, limit - calls_in_window(budget, spending, now))
            seconds = max(0, calls - left) * budget.seconds / limit
            found.append(BudgetForecast(budget, limit, left, seconds))
        return found


def _require_plan(job: Job) -> None:
    if job.is_download or job.upload.planned_file is None:
        raise NotFound(
            f"job {job.id} has no plan; POST /bulk/{{object}}?plan=true makes a job that has one"
        )


def _digest(job: Job, summary: PlanSummary) -> str:
    """A digest of what would be done, and with what: equal plans of one file have equal ones."""
    target = job.upload.target
    names = target.transformation and target.transformation.as_json()
    content = [
        job.instance_id,
        target.object,
        target.action,
        target.identifier_field,
        dict(target.options),
        names,
        job.upload.planned_file,
        f"{summary.row_digest:064x}",
    ]
    return hashlib.sha256(encode_json(content)).hexdigest()
