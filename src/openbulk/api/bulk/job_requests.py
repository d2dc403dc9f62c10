"""Helpers of requests about jobs: submit a job, or find one by its id."""

from typing import Annotated, Any

from fastapi import Path, Request, Response

from openbulk.api.http.idempotency import earlier_answer
from openbulk.api.services import Services
from openbulk.api.wire.ids import parse_id
from openbulk.api.wire.jobs import present_new_job
from openbulk.domain.errors import DiskFull, IdempotencyKeyTaken, NotFound
from openbulk.domain.instance import Instance
from openbulk.domain.job import Download, IdempotencyKey, Job, Upload
from openbulk.storage.accounts import User

JobId = Annotated[str, Path(description="Id of the job.", examples=["1"])]
DownloadId = Annotated[str, Path(description="Id of a complete download job.", examples=["2"])]


async def submit(
    request: Request,
    response: Response,
    services: Services,
    instance: Instance,
    work: Upload | Download,
    idempotency_key: IdempotencyKey | None,
) -> dict[str, Any]:
    """Submit a job and present it. If a job with this key exists, present that one instead.

    Raises Conflict if another request created that job, and DiskFull. Deletes the file of a job
    that it does not submit.
    """
    try:
        job = await services.intake.submit(
            work,
            organization_id=instance.organization_id,
            instance_id=instance.id,
            request_id=request.state.request_id,
            idempotency_key=idempotency_key,
        )
    except DiskFull:
        await services.files.delete(work.file)
        raise
    except IdempotencyKeyTaken:
        # Another request with this key created its job after this one had looked for it.
        await services.files.delete(work.file)
        assert idempotency_key is not None
        answer = await earlier_answer(response, services, instance, idempotency_key)
        assert answer is not None
        return answer
    return present_new_job(job)


async def find_job(services: Services, user: User, job_id: str) -> Job:
    """A job of the user's organization. Raises NotFound."""
    number = parse_id(job_id)
    job = None if number is None else await services.ledger.job(number)
    if job is None or job.organization_id != user.organization_id:
        raise NotFound(f"there is no bulk job {job_id!r}")
    return job
