"""Approvals: another person says that a plan may be carried out, or may not."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from openbulk.api.bulk import downloaded_records
from openbulk.api.bulk.job_requests import JobId, find_job
from openbulk.api.http.bodies import BoundedRoute, StrictBody
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize, parse_page_size, take_page
from openbulk.api.http.parameters import parse_whole_number
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.approvals import (
    DECISIONS,
    JobApprovals,
    PlanDecision,
    PlanToApprove,
    present_approvals,
    present_decision,
    present_plan_to_approve,
)
from openbulk.api.wire.ids import parse_id
from openbulk.domain.approvals import MAX_NOTE, ApprovalState, Verdict
from openbulk.domain.errors import BadInput, NotFound

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405), route_class=BoundedRoute)
of_organization = APIRouter(tags=["Bulk"], responses=may_answer(401, 405))
"""All plans of an organization that need an approval."""
DecisionId = Annotated[str, Path(description="Number of a decision.", examples=["1"])]
_STATES = (ApprovalState.WAITING, ApprovalState.APPROVED, ApprovalState.REFUSED)


class DecisionBody(StrictBody):
    """Which plan is decided about, and how."""

    plan: str = Field(
        min_length=1,
        max_length=200,
        description="The digest of the plan, as `/bulk/{job_id}/plan` shows it.",
        examples=["5d41402abc4b2a76b9719d911017c592ae6b1d5c9a5b8c0f3e2d1c0b9a897867"],
    )
    decision: Literal["approve", "refuse"] = Field(
        "approve", description="What is decided.", examples=["approve"]
    )
    note: str = Field(
        "",
        max_length=MAX_NOTE,
        description="What others should know. A refusal needs its reason.",
        examples=["as we agreed"],
    )


@router.post(
    "/bulk/{job_id}/approvals",
    summary="Approve or refuse a plan",
    responses=answers(PlanDecision, 400, 404, 409, 413, 507),
)
async def decide(
    job_id: JobId, body: DecisionBody, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Say of the plan of another person, or of an agent, that it may be carried out, or may not.

    An approval holds for this plan alone, until it is carried out as a whole. If it is not used
    within 24 hours, or the plan expires, it holds no more.
    """
    verdict, note = DECISIONS[body.decision], body.note.strip()
    if verdict is Verdict.REFUSED and not note:
        raise BadInput("body.note is missing: a refusal says why, so that the plan can be mended")
    job = await find_job(services, caller, job_id)
    return present_decision(await services.approvals.decide(job, body.plan, verdict, caller, note))


@router.get(
    "/bulk/{job_id}/approvals",
    summary="List what was decided about a plan",
    responses=answers(JobApprovals, 404),
)
async def decisions(
    request: Request, job_id: JobId, services: ServicesOfApp, caller: SignedInCaller
) -> Any:
    """Where the approval of a plan stands, who may approve it, and what was decided."""
    job = await find_job(services, caller, job_id)
    if job.is_download:  # of an object that has this name
        return await downloaded_records.file(request, job_id, "approvals", services, caller)
    history = await services.approvals.history(job)
    found = await services.approvals.of_job(job)
    mine = await services.approvals.jobs_to_decide(caller, [job])
    return present_approvals(job, found, history, may_decide=job.id in mine)


@router.delete(
    "/bulk/{job_id}/approvals/{approval_id}",
    summary="Withdraw an approval or a refusal",
    responses=answers(PlanDecision, 404, 409, 507),
)
async def withdraw(
    job_id: JobId, approval_id: DecisionId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Take a decision back. What of the plan was carried out stays; the rest waits again."""
    job = await find_job(services, caller, job_id)
    number = parse_id(approval_id)
    if number is None:
        raise NotFound(f"there is no decision {approval_id[:40]!r} about the plan of job {job.id}")
    return present_decision(await services.approvals.withdraw(job, number, caller))


@of_organization.get(
    "/approvals",
    summary="List plans that need an approval",
    responses=answers(list[PlanToApprove], 400),
)
async def plans(
    response: Response,
    services: ServicesOfApp,
    caller: SignedInCaller,
    state: Annotated[
        str,
        Query(
            description=f"One of {', '.join(_STATES)}. `waiting` without it.", examples=["waiting"]
        ),
    ] = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The plans of your organization that need an approval and can be carried out, newest first.

    With an instance's token: those for that instance.
    """
    limit = parse_page_size(page_size)
    before = parse_whole_number(next_page, "nextPage", minimum=1) if next_page else None
    wanted = _parse_state(state)
    jobs = await services.approvals.plans(caller, wanted, before=before, limit=limit + 1)
    page = take_page(response, jobs, limit, lambda job: job.id)
    found = await services.approvals.of_jobs(page)
    mine = await services.approvals.jobs_to_decide(caller, page)
    return [present_plan_to_approve(job, found[job.id], may_decide=job.id in mine) for job in page]


def _parse_state(text: str) -> ApprovalState:
    """The state of the wanted plans. Raises BadInput."""
    for state in _STATES:
        if text in (state.value, ""):
            return state
    raise BadInput(f"state is {text[:40]!r}; it can be {', '.join(_STATES)}")
