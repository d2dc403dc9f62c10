"""Has workflows carried out when they are due."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from openbulk.domain.workflow import Plan, Run, Schedule
from openbulk.engine.workflows.cron import next_after
from openbulk.engine.workflows.runner import Workflows
from openbulk.storage.schedules import Schedules

log = structlog.get_logger()

SCHEDULE_POLL_SECONDS = 1.0
SETTLING = timedelta(minutes=1)
"""A scheduled run carries over what was changed until so long ago, and the next one goes on from there: the service's
clock may be a little behind ours, and a change may take a moment to be seen in its lists."""


class Scheduler:
    """Looks, once a second, whether a schedule is due. Of several that look, one takes it.

    What was due while nobody looked is made up for once. What is due while the last run is still going on is left out.
    """

    def __init__(
        self, schedules: Schedules, workflows: Workflows, now: Callable[[], datetime]
    ) -> None:
        self._schedules = schedules
        self._workflows = workflows
        self._now = now

    async def run_due(self) -> None:
        """Have carried out what is due."""
        for schedule in await self._schedules.due(self._now()):
            now = self._now()
            run = None
            plans: Sequence[Plan] = ()
            if await self._schedules.is_running(schedule.id):
                log.info("schedule left out: its last run is still going on", schedule=schedule.id)
            else:
                run = Run(
                    uuid.uuid4().hex,
                    schedule.organization_id,
                    schedule.instance_id,
                    now,
                    schedule.id,
                )
                plans = [
                    await self._of_this_run(schedule, place, now)
                    for place in range(len(schedule.plans))
                ]
            taken = await self._schedules.take(schedule, next_after(schedule.cron, now), run, plans)
            if taken and run is not None:
                log.info("schedule is due", schedule=schedule.id, run=run.id)
                await self._workflows.go_on(run)

    async def _of_this_run(self, schedule: Schedule, place: int, now: datetime) -> Plan:
        """A schedule's plan, from where its last run has ended: what changed until then is there already."""
        plan = schedule.plans[place]
        if plan.changes is None or plan.changes.since is None:
            return plan
        since = await self._schedules.carried_out_before(schedule.id, place) or plan.changes.since
        return replace(
            plan, changes=replace(plan.changes, since=since, before=max(since, now - SETTLING))
        )
