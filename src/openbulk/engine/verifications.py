"""Verifies what jobs have written: makes the jobs that do it, and reads what they have found."""

from dataclasses import replace

from openbulk.domain.errors import Conflict, NotFound
from openbulk.domain.job import Job, Upload, Verification
from openbulk.domain.plan import PlannedKind
from openbulk.engine.plans import read_page
from openbulk.engine.results import require_rows
from openbulk.engine.slices.plans.plan_rows import PlanRow
from openbulk.storage.files import FileStore
from openbulk.storage.plans import Plans, PlanSummary


def work_of_verification(job: Job, file: str, callback_url: str | None) -> Upload:
    """The work of a job that verifies an earlier one. `file` is the name of its file.

    Raises Conflict if the rows of that job cannot be compared, now or any more.
    """
    if not job.is_finished:
        raise Conflict(f"job {job.id} is {job.status.value}; verify it once it is finished")
    require_rows(job)
    assert job.own_records is not None
    upload = job.upload
    files = (*upload.earlier_files, upload.file)
    verification = Verification(job.id, files, job.own_records)
    return replace(
        upload,
        file=file,
        uploaded_file=None,
        planned_file=None,
        callback_url=callback_url,
        retry=None,
        verification=verification,
    )


class VerificationReader:
    """Reads what verifications have found."""

    def __init__(self, plans: Plans, files: FileStore) -> None:
        self._plans = plans
        self._files = files

    async def summary(self, job: Job) -> PlanSummary:
        """How the rows of a job compare, as far as it has come. Raises NotFound if it is none."""
        _require_verification(job)
        return PlanSummary.of_parts(await self._plans.parts(job.id))

    async def rows(
        self, job: Job, *, kind: PlannedKind | None, after: int, limit: int
    ) -> list[PlanRow]:
        """The compared rows behind a row, in the order of the file, so many at most.

        Raises NotFound if the job is no verification, or its rows are deleted.
        """
        _require_verification(job)
        try:
            return await read_page(
                self._plans, self._files, job, kind=kind, after=after, limit=limit
            )
        except FileNotFoundError as error:
            raise NotFound(
                f"the rows that job {job.id} has compared are no longer kept "
                "(OPENBULK_KEEP_FILES_DAYS); /verification still has their counts"
            ) from error


def _require_verification(job: Job) -> None:
    if job.verification is None:
        raise NotFound(
            f"job {job.id} verifies no other; POST /bulk/{{id}}/verify makes a job that does"
        )
