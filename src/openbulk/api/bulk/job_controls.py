"""Pausing and resuming jobs, and changing their pace and priority."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from openbulk.api.bulk.job_requests import JobId, find_job_to_change
from openbulk.api.http.bodies import BoundedRoute, StrictBody
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import DownloadStatus, JobStatus, UploadDetails, present_details
from openbulk.domain.errors import BadInput
from openbulk.domain.job import Job

router = APIRouter(
    tags=["Bulk"], responses=may_answer(401, 404, 405, 507), route_class=BoundedRoute
)

MAX_PRIORITY = 100
MAX_CALLS_PER_MINUTE = 1_000_000
_ANSWER = UploadDetails | JobStatus | DownloadStatus


class JobPace(StrictBody):
    """How fast a job may be."""

    calls_per_minute: Annotated[
        Annotated[int, Field(ge=1, le=MAX_CALLS_PER_MINUTE)] | None,
        Field(
            alias="callsPerMinute",
            description="Maximum calls of the service a minute, of all processes together; null "
            "for as many as the service takes.",
            examples=[300],
        ),
    ]


class JobChange(StrictBody):
    """What to change of a job. What is left out stays."""

    pace: Annotated[
        JobPace | None, Field(description="How fast the job may be; null: as it can.")
    ] = None
    priority: Annotated[
        Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] | None,
        Field(
            description="Of the jobs of an instance, those with a higher priority go first; 0 if "
            "never set.",
            examples=[1],
        ),
    ] = None


@router.put("/bulk/{job_id}/pause", summary="Pause a job", responses=answers(_ANSWER, 409))
async def pause(job_id: JobId, services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """Pause a job. Calls under way are finished and recorded; `resume` continues behind them.

    A finished job stays as it is.
    """
    job = await find_job_to_change(services, caller, job_id)
    return _present(await services.job_controls.pause(job), services)


@router.put("/bulk/{job_id}/resume", summary="Resume a job", responses=answers(_ANSWER, 409))
async def resume(job_id: JobId, services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """Continue a paused job where it was. Any other job goes on as it is."""
    job = await find_job_to_change(services, caller, job_id)
    return _present(await services.job_controls.resume(job), services)


@router.patch(
    "/bulk/{job_id}",
    summary="Change a job's pace or priority",
    responses=answers(_ANSWER, 400, 409),
)
async def change(
    job_id: JobId, body: JobChange, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Let a job make fewer calls a minute, or go before the other jobs of its instance.

    The change holds within half a minute, and over restarts. A finished job stays as it is.
    """
    job = await find_job_to_change(services, caller, job_id)
    controls: dict[str, Any] = {}
    if body.priority is not None:
        controls["priority"] = body.priority
    if "pace" in body.model_fields_set:
        await _require_calls(services, job)
        controls["calls_per_minute"] = body.pace and body.pace.calls_per_minute
    if not controls:
        raise BadInput('nothing to change; send {"priority": 1} or {"pace": {"callsPerMinute": 9}}')
    return _present(await services.job_controls.change(job, controls), services)


async def _require_calls(services: Services, job: Job) -> None:
    """Raise BadInput if the job's instance makes no calls that are counted."""
    instance = await services.accounts.instance(job.instance_id)
    if instance is None:
        return
    provider = await services.elements.provider(instance.organization_id, instance.element)
    if not provider.makes_calls:
        raise BadInput(
            f"{provider.name} takes records without calls that are counted, so a job there has no "
            "pace; leave pace out"
        )


def _present(job: Job, services: Services) -> dict[str, Any]:
    return present_details(job, services.completed_status)
