"""Announces finished jobs, and cancels jobs."""

import structlog

from openbulk.domain.job import Job, Status
from openbulk.engine.notifications import Notifications
from openbulk.engine.queue.clock import Clock
from openbulk.engine.workflows.runner import Workflows
from openbulk.storage.deliveries import Delivery
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
        if job.work.callback_url is not None and job.status is not Status.PLANNED:
            await self._notifications.announce(job)
        # A workflow creates downloads, and uploads of their records.
        if job.is_download or job.upload.records_of is not None:
            await self._workflows.job_finished(job)

    async def announce_again(self, delivery: Delivery) -> None:
        """Notify the caller of a finished job once more."""
        await self._notifications.announce_again(delivery)

    async def cancel(self, job: Job, *, even_if_complete: bool) -> Job:
        """Cancel a job: nothing more is sent, and what was sent stays sent.

        A finished job stays as it is, unless it is complete and `even_if_complete` is set.
        """
        cancelled = await self._ledger.cancel(job.id, self._now())
        if cancelled is None:
            changed = await self._ledger.cancel_complete(job.id) if even_if_complete else None
            return changed or await self._ledger.job(job.id) or job
        log.info("job cancelled", job=job.id, status=cancelled.status)
        if cancelled.is_finished:
            await self.announce(cancelled)
        return cancelled
