"""The plans of jobs: what an upload would do, before it does anything."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from openbulk.api.bulk import downloaded_records
from openbulk.api.bulk.job_requests import JobId, find_job, read_whole
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.paging import (
    NextPage,
    PageSize,
    parse_page_size,
    set_page_headers,
    take_page,
)
from openbulk.api.http.parameters import parse_whole_number, parse_word
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.plans import KIND_WORDS, Plan, PlannedRow, present_plan, present_plan_row
from openbulk.domain.errors import BadInput

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405))


@router.get(
    "/bulk/{job_id}/plan",
    summary="Retrieve the plan of a job",
    responses=answers(Plan, 404),
)
async def plan(
    request: Request, job_id: JobId, services: ServicesOfApp, caller: SignedInCaller
) -> Any:
    """What a job would do with the rows of its file, in numbers, and what that would cost.

    Only a job that was created with `plan=true` has a plan. Nothing is written.
    """
    job = await find_job(services, caller, job_id)
    if job.is_download:  # of an object that has this name
        return await downloaded_records.file(request, job_id, "plan", services, caller)
    async with read_whole(services, job):
        return present_plan(job, await services.plans.overview(job))


@router.get(
    "/bulk/{job_id}/plan/rows",
    summary="List the rows of a plan",
    responses=answers(list[PlannedRow], 400, 404),
)
async def rows(
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    kind: Annotated[
        str,
        Query(description=f"One of {', '.join(KIND_WORDS.values())}.", examples=["created"]),
    ] = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """What a job would do with each row, field by field, in the order of the file."""
    job = await find_job(services, caller, job_id)
    limit = parse_page_size(page_size)
    async with read_whole(services, job):
        found = await services.plans.rows(
            job,
            kind=parse_word(kind, "kind", KIND_WORDS),
            after=parse_whole_number(next_page or "0", "nextPage", minimum=0),
            limit=limit + 1,
        )
    page = take_page(response, found, limit, lambda row: row.planned.row)
    return [present_plan_row(row) for row in page]


@router.get(
    "/bulk/{job_id}/plan/calendar",
    summary="List the events of a plan",
    responses=answers(list[PlannedRow], 400, 404),
)
async def calendar(
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    first: Annotated[
        str, Query(alias="from", description="First day: its date.", examples=["2026-06-01"])
    ] = "",
    last: Annotated[
        str, Query(alias="to", description="Last day: its date.", examples=["2026-06-07"])
    ] = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The rows that a calendar shows from one day to another, in the order of the file.

    A page looks at 20,000 rows: it may have few, or none, and another one after it.
    """
    job = await find_job(services, caller, job_id)
    async with read_whole(services, job):
        page = await services.plans.calendar(
            job,
            first=_parse_day(first, "from", date.min),
            last=_parse_day(last, "to", date.max),
            after=parse_whole_number(next_page or "0", "nextPage", minimum=0),
            limit=parse_page_size(page_size),
        )
    set_page_headers(response, len(page.rows), page.next_after)
    return [present_plan_row(row) for row in page.rows]


def _parse_day(text: str, name: str, default: date) -> date:
    if not text:
        return default
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{name} is {text[:40]!r}; it must be a date, like 2026-05-30") from None
