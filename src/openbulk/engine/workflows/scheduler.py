"""Begins the runs of workflows when their schedules are due."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from openbulk.domain.workflow import Run, Schedule, TransferSpec
from openbulk.engine.queue.alarm import Alarm
from openbulk.engine.queue.periodic import do_each
from openbulk.engine.workflows.cron import next_after
from openbulk.engine.workflows.runner import Workflows
from openbulk.storage.schedules import Schedules

log = structlog.get_logger()

SETTLING = timedelta(minutes=1)
"""A scheduled run transfers changes up to this long ago, and the next run continues from there.

The service's clock may be slow, and a change takes a moment to appear in lists."""


class Scheduler:
    """Begins a run for each schedule that is due, in one of several processes.

    If a schedule was due several times while no process worked, it gets one run. If its last run is
    unfinished, it gets none.
    """

    def __init__(
        self, schedules: Schedules, workflows: Workflows, now: Callable[[], datetime]
    ) -> None:
        self._schedules = schedules
        self._workflows = workflows
        self._now = now
        self._alarm = Alarm(lambda: now().timestamp())

    def note_due(self, moment: float) -> None:
        """Take notice of the Unix time at which a schedule is due."""
        self._alarm.set_by(moment)

    async def until_due(self) -> None:
        """Wait until a schedule is due."""
        await self._alarm.wait()

    async def run_due(self) -> None:
        """Begin the runs that are due."""
        now = self._now()
        due = await self._schedules.due(now)
        await do_each(due, self._run, lambda schedule_id: f"schedule {schedule_id}")
        # One that cannot be run stays due: it is tried again at the next outlook.
        if (following := await self._schedules.next_due(after=now)) is not None:
            self._alarm.set(following.timestamp())

    async def _run(self, schedule_id: str) -> None:
        now = self._now()
        schedule = await self._schedules.get(schedule_id)
        if schedule is None or schedule.due_at is None or schedule.due_at > now:
            return  # it was changed meanwhile
        due_next = next_after(schedule.cron, now)
        if await self._schedules.is_running(schedule.id):
            log.info("schedule skipped: its last run is unfinished", schedule=schedule.id)
            await self._schedules.take(schedule, due_next, None, ())
            return
        if schedule.writes and not await self._schedules.may_write(schedule.organization_id):
            # It was made, or enabled, while the organization began to have all plans approved.
            log.warning("schedule disabled: nobody approves what it writes", schedule=schedule.id)
            await self._schedules.take(schedule, None, None, ())
            return
        run = Run(
            uuid.uuid4().hex, schedule.organization_id, schedule.instance_id, now, schedule.id
        )
        places = range(len(schedule.specs))
        specs = [await self._spec_of_this_run(schedule, place, now) for place in places]
        if await self._schedules.take(schedule, due_next, run, specs):
            log.info("schedule is due", schedule=schedule.id, run=run.id)
            await self._workflows.advance(run)

    async def _spec_of_this_run(
        self, schedule: Schedule, place: int, now: datetime
    ) -> TransferSpec:
        """A schedule's spec for the changes since its last run."""
        spec = schedule.specs[place]
        if spec.changes is None or spec.changes.since is None:
            return spec
        since = await self._schedules.end_of_changes(schedule.id, place) or spec.changes.since
        changes = replace(spec.changes, since=since, before=max(since, now - SETTLING))
        return replace(spec, changes=changes)
