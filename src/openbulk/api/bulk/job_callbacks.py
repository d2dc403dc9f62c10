"""Callbacks of jobs: whether the caller was notified, and notifying once more."""

from typing import Any

from fastapi import APIRouter

from openbulk.api.bulk.job_requests import JobId, find_job, find_job_to_change
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.callbacks import CallbackShape, present_callback
from openbulk.domain.errors import Conflict, NotFound
from openbulk.domain.job import Job
from openbulk.storage.deliveries import Delivery

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 404, 405))


@router.get(
    "/bulk/{job_id}/status/callback",
    summary="Retrieve the callback of a job",
    responses=answers(CallbackShape),
)
async def callback(
    job_id: JobId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Where the end of a job is announced, how often that was tried, and what came of it.

    Only a finished job that has a callback URL has one.
    """
    job = await find_job(services, caller, job_id)
    return present_callback(await _find_delivery(services, job))


@router.post(
    "/bulk/{job_id}/status/callback",
    summary="Send the callback of a job again",
    responses=answers(CallbackShape, 409, 507),
)
async def send_again(
    job_id: JobId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Announce the end of a job once more: with the same text and the same `webhook-id`.

    An attempt that fails is repeated, unless it was at least the tenth.
    """
    job = await find_job_to_change(services, caller, job_id)
    delivery = await _find_delivery(services, job)
    if delivery.finished_at is None:
        raise Conflict(
            f"the callback of job {job.id} is being sent: attempt {delivery.attempts + 1} is due "
            f"at {delivery.due_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    await services.completion.announce_again(delivery)
    return present_callback(await _find_delivery(services, job))


async def _find_delivery(services: Services, job: Job) -> Delivery:
    """The notification of a job. Raises NotFound."""
    delivery = await services.deliveries.of_job(job.id)
    if delivery is not None:
        return delivery
    if job.work.callback_url is None:
        raise NotFound(
            f"job {job.id} has no callback; send Elements-Async-Callback-Url with the request for "
            "a job"
        )
    raise NotFound(f"job {job.id} is {job.status.value}; its callback is sent once it is finished")
