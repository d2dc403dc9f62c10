"""Bulk jobs: their list, their status and failed records; cancelling and deleting them."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from openbulk.api.bulk.job_requests import JobId, approval_of, find_job
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.paging import (
    MAX_PAGE,
    NextPage,
    PageSize,
    parse_offset,
    parse_page_size,
    present_each,
    take_page,
)
from openbulk.api.http.parameters import Fields, parse_whole_number
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import (
    JOB_FIELDS,
    DownloadStatus,
    JobItem,
    JobStatus,
    RecordError,
    RecordErrorGroup,
    UploadDetails,
    present_details,
    present_error_group,
    present_job,
    present_job_item,
    present_record_error,
)
from openbulk.api.wire.query_language import field_list, parse_where
from openbulk.api.wire.schema import Nothing, select_fields
from openbulk.domain.conditions import Condition, fields_of, holds
from openbulk.domain.errors import BadInput
from openbulk.domain.job import Job
from openbulk.domain.people import Caller

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405))


@router.get("/bulk/jobs", summary="List jobs", responses=answers(list[JobItem], 400))
async def jobs(
    response: Response,
    services: ServicesOfApp,
    caller: SignedInCaller,
    where: Annotated[
        str,
        Query(
            description="Condition on the keys of the jobs.",
            examples=["status = 'RUNNING'"],
        ),
    ] = "",
    fields: Fields = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The jobs of an instance, newest first, page by page.

    Without an instance's token: those of all instances of your organization.
    """
    condition = _parse_condition(where)
    limit = parse_page_size(page_size)
    before = parse_whole_number(next_page, "nextPage", minimum=1) if next_page else None
    items: list[dict[str, Any]] = []
    # The ledger does not know the wire's keys, so the condition is checked here. One item too many
    # shows that there is a next page.
    while len(items) <= limit:
        found = await _newest_jobs(services, caller, before)
        candidates = present_each(
            found, lambda job: present_job_item(job, services.completed_status), "job"
        )
        items += [item for item in candidates if condition is None or holds(condition, item)]
        if len(found) < MAX_PAGE:
            break
        before = found[-1].id
    page = take_page(response, items, limit, lambda item: item["id"])
    return select_fields(page, field_list(fields))


async def _newest_jobs(services: Services, caller: Caller, before: int | None) -> Sequence[Job]:
    if caller.instance is not None:
        return await services.ledger.jobs_of(caller.instance.id, before=before, limit=MAX_PAGE)
    return await services.ledger.jobs_of_organization(
        caller.user.organization_id, before=before, limit=MAX_PAGE
    )


def _parse_condition(where: str) -> Condition | None:
    """A condition on a JobItem. Raises BadInput if it names a key that jobs do not have."""
    if not where:
        return None
    condition = parse_where(where)
    for name in fields_of(condition):
        if name not in JOB_FIELDS:
            raise BadInput(
                f"jobs have no field {name!r}; their fields are: {', '.join(JOB_FIELDS)}"
            )
    return condition


@router.get(
    "/bulk/{job_id}/status",
    summary="Retrieve the status of a job",
    responses=answers(JobStatus | DownloadStatus, 404),
)
async def status(job_id: JobId, services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """The status of a job, with the counts of its records."""
    return present_job(await find_job(services, caller, job_id), services.completed_status)


@router.get(
    "/bulk/{job_id}",
    summary="Retrieve a job",
    responses=answers(UploadDetails | JobStatus | DownloadStatus, 404),
)
async def job(job_id: JobId, services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """A job: its status and, for an upload, the outcomes of its records."""
    found = await find_job(services, caller, job_id)
    shape = present_details(found, services.completed_status)
    return {**shape, **await approval_of(services, found)}


@router.get(
    "/bulk/{job_id}/errors",
    summary="List the failed records of a job",
    responses=answers(list[RecordError], 400, 404),
)
async def errors(
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    page_size: PageSize = "",
    next_page: NextPage = "",
    page_number: Annotated[
        str,
        Query(
            alias="page",
            description="Number of the page, counted from 1. Ignored if `nextPage` is set.",
            examples=["1"],
        ),
    ] = "",
    group: Annotated[
        str,
        Query(
            description="Id of a group of `/bulk/{job_id}/errors/groups`: only its records.",
            examples=[""],
        ),
    ] = "",
    fields: Fields = "",
) -> list[dict[str, Any]]:
    """The failed records of a job in the order of its file, page by page."""
    job = await find_job(services, caller, job_id)
    limit = parse_page_size(page_size)
    found = await services.ledger.errors(
        job.id,
        after=parse_whole_number(next_page or "0", "nextPage", minimum=0),
        skip=0 if next_page else parse_offset(page_number, limit),
        limit=limit + 1,
        cause=group or None,
    )
    if group and not found and not next_page:
        raise BadInput(
            f"job {job.id} has no errors of the group {group[:40]!r}; "
            f"/bulk/{job.id}/errors/groups lists the groups"
        )
    names = field_list(fields)
    page = take_page(response, found, limit, lambda error: error.row)
    return select_fields([present_record_error(error) for error in page], names)


@router.get(
    "/bulk/{job_id}/errors/groups",
    summary="List the causes of failed records",
    responses=answers(list[RecordErrorGroup], 400, 404),
)
async def error_groups(
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The failed records of a job, grouped by their cause: the largest group first.

    Records have one cause if they have the same error but for the values that it names.
    """
    job = await find_job(services, caller, job_id)
    limit = parse_page_size(page_size)
    skip = parse_whole_number(next_page or "0", "nextPage", minimum=0)
    found = await services.ledger.error_groups(job.id, limit=limit + 1, skip=skip)
    page = take_page(response, found, limit, lambda _: skip + limit)
    return [present_error_group(group) for group in page]


@router.delete(
    "/bulk/{job_id}",
    summary="Delete a job",
    responses=answers(Nothing, 404, 409, 507),
)
async def delete(job_id: JobId, services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """Delete a finished job: its status, its failed records, its callback and its file.

    Records stay at the service. `OPENBULK_KEEP_JOBS_DAYS` after its end a job is deleted anyway.
    """
    await services.job_deletion.delete(await find_job(services, caller, job_id))
    return {}


@router.put(
    "/bulk/{job_id}/cancel",
    summary="Cancel a job",
    responses=answers(JobStatus | DownloadStatus, 404, 507),
)
async def cancel(job_id: JobId, services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """Stop a job. Records that the service has already received stay there.

    A finished job stays as it is. For clients of the live service (`OPENBULK_COMPATIBILITY=live`),
    a complete job becomes cancelled.
    """
    job = await services.completion.cancel(
        await find_job(services, caller, job_id), even_if_complete=services.live_compatible
    )
    return present_job(job, services.completed_status)
