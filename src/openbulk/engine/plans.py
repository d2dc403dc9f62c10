"""Reads the plan of a job: counts, rows by page, and what carrying it out would cost."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from openbulk.connectors.base import PlansWrites
from openbulk.connectors.targets import resolve_target
from openbulk.domain.errors import BadInput, NotFound, ServiceError
from openbulk.domain.job import Job, Status
from openbulk.domain.plan import Counted, PlannedKind
from openbulk.engine.connections import Connections
from openbulk.engine.queue.clock import Clock
from openbulk.engine.quota.forecast import (
    BudgetForecast,
    UsageForecast,
    calls_by_budget,
    forecast_of_budget,
    forecast_of_usage,
    seconds_for,
    seconds_until_met,
)
from openbulk.engine.slices.plans.plan_rows import PlanRow, rows_of_plan
from openbulk.exact_json import encode_json
from openbulk.storage.budgets import Budgets
from openbulk.storage.files import FileStore
from openbulk.storage.plans import Plans, PlanSummary

MAX_LOOKED_AT = 20_000
"""Rows that are read for one page of a calendar: it ends early, and the next page goes on."""
MAX_PLACES = 3
"""Places of which a forecast shows limits of their own: those with the most calls."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan takes of the limits of the service."""

    budgets: Sequence[BudgetForecast] = ()
    """The limits for calls, from the widest to the narrowest."""
    usage: Sequence[UsageForecast] = ()
    """The limits for other things."""

    @property
    def seconds(self) -> float:
        """How long the limits would make the job wait."""
        return seconds_for(1.0, self.budgets)

    def seconds_until(self, met: BudgetForecast) -> float | None:
        """Seconds until the job meets a limit; None if it does not."""
        return seconds_until_met(met, self.budgets)


@dataclass(frozen=True, slots=True)
class PlanOverview:
    """A plan, without its rows."""

    summary: PlanSummary
    digest: str | None = None
    """Identifies the plan; None until it is made."""
    expires_at: datetime | None = None
    forecast: Forecast = Forecast()


@dataclass(frozen=True, slots=True)
class CalendarPage:
    """Rows of a plan that a calendar shows, in the order of the file."""

    rows: Sequence[PlanRow]
    next_after: int | None
    """The row after which the next page begins; None if there is none."""


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
        return replace(plan, forecast=await self._forecast(job, plan.summary))

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
        with _rows_are_there(job):
            return await read_page(
                self._plans, self._files, job, kind=kind, after=after, limit=limit
            )

    async def calendar(
        self, job: Job, *, first: date, last: date, after: int, limit: int
    ) -> CalendarPage:
        """The rows of a plan behind a row that a calendar shows from one day to another.

        Raises NotFound if the job has no plan, or its rows are deleted.
        """
        _require_plan(job)
        days = first.isoformat(), last.isoformat()
        found: list[PlanRow] = []
        parts = self._plans.each_part(job.id, after=after, kind=None)
        count = 0
        with _rows_are_there(job):
            async for row in rows_of_plan(self._files, job.upload.file, parts, after=after):
                count += 1
                if _is_between(row, days):
                    found.append(row)
                if len(found) == limit or count == MAX_LOOKED_AT:
                    return CalendarPage(found, row.planned.row)
        return CalendarPage(found, None)

    async def _forecast(self, job: Job, summary: PlanSummary) -> Forecast:
        """What the plan takes of the service's limits; nothing if it cannot be connected."""
        try:
            connector = (await self._connections.to(job.instance_id)).connector
            target = resolve_target(job.upload.target, await connector.objects())
        except (BadInput, NotFound, ServiceError):
            return Forecast()
        if not isinstance(connector, PlansWrites):
            return Forecast()
        makes_calls = summary.calls or summary.lookups
        budgets = await self._budgets_of(connector, summary) if makes_calls else ()
        counted = {
            Counted.CREATED: summary.kinds.get(PlannedKind.CREATED, 0),
            Counted.MAILS_OUTSIDE: summary.mails_outside,
        }
        limits = connector.usage_limits(target.object)
        return Forecast(
            budgets, [forecast_of_usage(one, counted[one.counted], budgets) for one in limits]
        )

    async def _budgets_of(
        self, connector: PlansWrites, summary: PlanSummary
    ) -> Sequence[BudgetForecast]:
        places = sorted(summary.calls_by_place.items(), key=lambda place: -place[1])
        elsewhere = summary.calls - sum(calls for _, calls in places[:MAX_PLACES])
        counted = [(connector.budgets(place), calls) for place, calls in places[:MAX_PLACES]]
        shared = connector.budgets(None)
        calls = calls_by_budget(shared, summary.lookups, [*counted, (shared, elsewhere)])
        spent = await self._budgets.spending([budget.scope for budget in calls])
        now = self._clock.time()
        return [
            forecast_of_budget(budget, spent[budget.scope], count, now)
            for budget, count in calls.items()
        ]


@contextmanager
def _rows_are_there(job: Job) -> Iterator[None]:
    """Raise NotFound if the rows of a plan are deleted."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(
            f"the rows of the plan of job {job.id} are deleted, as its file is; upload the "
            "file again to plan it"
        ) from error


def _is_between(row: PlanRow, days: tuple[str, str]) -> bool:
    """Whether a calendar shows a row on one of these days."""
    entry = row.planned.entry
    return entry is not None and entry.days[0] <= days[1] and entry.days[1] >= days[0]


async def read_page(
    plans: Plans, files: FileStore, job: Job, *, kind: PlannedKind | None, after: int, limit: int
) -> list[PlanRow]:
    """Rows that a job has compared, so many at most.

    Raises FileNotFoundError if they are deleted.
    """
    parts = plans.each_part(job.id, after=after, kind=kind)
    page: list[PlanRow] = []
    async for row in rows_of_plan(files, job.upload.file, parts, after=after, kind=kind):
        page.append(row)
        if len(page) == limit:
            break
    return page


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
