"""Announces finished jobs, and cancels jobs."""

import structlog

from openbulk.domain.job import Job
from openbulk.engine.notifications import Notifications
from openbulk.engine.queue.clock import Clock
from openbulk.engine.workflows.runner import Workflows
from openbulk.storage.ledger import Ledger

log = structlog.get_logger()


class Completion:
    """Notifies callers and workflows of finished jobs, and cancels jobs."""

    def __init__(
        self, ledger: Ledger, notifications: Notifications, workflows: Workflows, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._notifications = notifications
        self._workflows = workflows
        self._now = clock.now

    async def announce(self, job: Job) -> None:
        """Notify the caller of a finished job, and continue the workflow that it belongs to."""
        if job.work.callback_url is not None:
            await self._notifications.announce(job)
        await self._workflows.job_finished(job)

    async def cancel(self, job: Job) -> Job:
        """Cancel a job: nothing more is sent, and what was sent stays sent.

        A complete job becomes cancelled, too, as its caller expects. A failed job stays failed.
        """
        cancelled = await self._ledger.cancel(job.id, self._now())
        if cancelled is None:
            return await self._cancel_finished(job)
        log.info("job cancelled", job=job.id, status=cancelled.status)
        if cancelled.is_finished:
            await self.announce(cancelled)
        return cancelled

    async def _cancel_finished(self, job: Job) -> Job:
        cancelled = await self._ledger.cancel_complete(job.id)
        return cancelled or await self._ledger.job(job.id) or job
