"""Deletes jobs: one that a caller names, and those that finished long ago."""

from datetime import timedelta

import structlog

from openbulk.domain.errors import Conflict
from openbulk.domain.job import Job
from openbulk.engine.queue.clock import Clock
from openbulk.engine.queue.periodic import do_each
from openbulk.storage.deleted_jobs import DeletedJob, DeletedJobs
from openbulk.storage.files import FileStore
from openbulk.storage.runs import Runs
from openbulk.storage.undo import undo_folder

log = structlog.get_logger()

PAUSE_SECONDS = 30.0
"""Between two sweeps."""


class JobDeletion:
    """Deletes jobs with their outcomes, problems, parts, callbacks and files."""

    def __init__(
        self,
        deleted: DeletedJobs,
        runs: Runs,
        files: FileStore,
        clock: Clock,
        *,
        keep_jobs: timedelta,
    ) -> None:
        self._deleted = deleted
        self._runs = runs
        self._files = files
        self._now = clock.now
        self._keep_jobs = keep_jobs

    async def delete(self, job: Job) -> None:
        """Delete a finished job. Raises Conflict if it is needed still."""
        if not job.is_finished:
            raise Conflict(f"job {job.id} is {job.status.value}; cancel it first, then delete it")
        deleted = await self._deleted.add(job.id)
        if deleted is None and await self._deleted.has_unfinished_later_job(job.id):
            raise Conflict(
                f"a job that is not finished retries or verifies rows of job {job.id}; delete this "
                "one once that is finished"
            )
        if deleted is None and await self._deleted.has_unfinished_undo(job.id):
            raise Conflict(
                f"a job that is not finished undoes job {job.id}; delete this one once that is "
                "finished"
            )
        if deleted is None:
            raise Conflict(
                f"job {job.id} belongs to a workflow that is running; delete it once the workflow "
                "is finished"
            )
        log.info("job deleted", job=job.id)
        await self._clear(deleted)

    async def sweep(self) -> None:
        """Delete jobs and runs of workflows that finished long ago, and what is left of others.

        It goes on until nothing old is left, however many jobs finish at the same time.
        """
        finished_before = self._now() - self._keep_jobs
        has_more = True
        while has_more:
            jobs = await self._deleted.add_old(finished_before)
            runs = await self._runs.delete_old(finished_before)
            if jobs or runs:
                log.info("old jobs deleted", jobs=jobs, runs=runs)
            left = await self._deleted.all()
            await do_each(left, self._clear, lambda job: f"deletion of job {job.id}")
            has_more = bool(jobs or runs)
        await self._deleted.give_space_back()

    async def _clear(self, job: DeletedJob) -> None:
        # Its entry goes last: if the process dies before, the next round does this again.
        await self._files.delete(job.file)
        await self._files.delete(undo_folder(job.file))
        await self._deleted.clear(job)
