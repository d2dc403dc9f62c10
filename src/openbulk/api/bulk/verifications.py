"""Verifications: a job compares what an earlier one has written with what the service has."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from openbulk.api.bulk import downloaded_records
from openbulk.api.bulk.job_requests import (
    CALLBACK_URL,
    IDEMPOTENCY_KEY,
    JobId,
    earlier_answer,
    find_job,
    idempotency_key_of,
    prepare_later_job,
    read_whole,
    require_instance,
    submit,
)
from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize, parse_page_size, take_page
from openbulk.api.http.parameters import parse_whole_number, parse_word
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.jobs import JobCreated
from openbulk.api.wire.verifications import (
    COMPARED_WORDS,
    ComparedRow,
    VerificationShape,
    present_compared_row,
    present_verification,
)
from openbulk.domain.errors import BadInput
from openbulk.domain.job import Job
from openbulk.engine.verifications import work_of_verification

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405))


@router.post(
    "/bulk/{job_id}/verify",
    summary="Verify an upload",
    openapi_extra={"parameters": [CALLBACK_URL, IDEMPOTENCY_KEY]},
    responses=answers(JobCreated, 400, 404, 409, 413, 507),
)
async def verify(
    request: Request,
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
) -> dict[str, Any]:
    """Create a job that compares what a finished upload has written with what the service has.

    It writes nothing. `/bulk/{job_id}/verification`, with its id, says what it has found.
    """
    job = await find_job(services, caller, job_id)
    _require_writing(job)
    _require_no_body(await read_body(request))
    instance, callback_url = await prepare_later_job(request, services, job)
    key = idempotency_key_of(request, job.id, "verify", callback_url)
    answer = await earlier_answer(response, services, instance, key)
    if answer is not None:
        return answer
    await require_instance(services, job, "read the records with it")
    work = work_of_verification(job, uuid.uuid4().hex, callback_url)
    return await submit(request, response, services, instance, work, key)


@router.get(
    "/bulk/{job_id}/verification",
    summary="Retrieve what a verification has found",
    responses=answers(VerificationShape, 404),
)
async def verification(
    request: Request, job_id: JobId, services: ServicesOfApp, caller: SignedInCaller
) -> Any:
    """How the rows of the verified job compare with the service, in numbers.

    Only a job that was created with `verify` has a verification.
    """
    job = await find_job(services, caller, job_id)
    if job.is_download:  # of an object that has this name
        return await downloaded_records.file(request, job_id, "verification", services, caller)
    async with read_whole(services, job):
        return present_verification(job, await services.verifications.summary(job))


@router.get(
    "/bulk/{job_id}/verification/rows",
    summary="List the rows of a verification",
    responses=answers(list[ComparedRow], 400, 404),
)
async def rows(
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    kind: Annotated[
        str,
        Query(description=f"One of {', '.join(COMPARED_WORDS.values())}.", examples=["different"]),
    ] = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """How each row compares with the service, field by field, in the order of the file."""
    job = await find_job(services, caller, job_id)
    limit = parse_page_size(page_size)
    async with read_whole(services, job):
        found = await services.verifications.rows(
            job,
            kind=parse_word(kind, "kind", COMPARED_WORDS),
            after=parse_whole_number(next_page or "0", "nextPage", minimum=0),
            limit=limit + 1,
        )
    page = take_page(response, found, limit, lambda row: row.planned.row)
    return [present_compared_row(row) for row in page]


def _require_writing(job: Job) -> None:
    """Raise BadInput for a job that writes no records of a file."""
    if job.is_download:
        raise BadInput(f"job {job.id} is a download; only what an upload wrote can be verified")
    if job.is_plan:
        raise BadInput(
            f"job {job.id} is a plan, which writes nothing; /bulk/{job.id}/plan says what the job "
            "would do"
        )
    if job.verification is not None:
        raise BadInput(
            f"job {job.id} is a verification itself; verify job {job.verification.of} once more"
        )
    if job.undo is not None:
        raise BadInput(
            f"job {job.id} undoes job {job.undo.of}, and has no rows of a file to compare; its "
            f"outcomes say what it has put back, and a verification of job {job.undo.of} what is "
            "there of its records"
        )


def _require_no_body(body: bytes) -> None:
    content = parse_json_object(body, "{}") if body.strip() else {}
    if content:
        raise BadInput(f"the body takes no key {min(content)[:80]!r}; leave the body out")
