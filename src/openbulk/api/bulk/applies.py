"""Carries out the plans of jobs."""

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BeforeValidator, Field

from openbulk.api.bulk.job_requests import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    JobId,
    find_job,
    idempotency_key_of,
    require_same_request,
)
from openbulk.api.http.bodies import BoundedRoute, StrictBody
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import JobStatus, UploadDetails, present_details
from openbulk.domain.apply import DriftPolicy, StopReason, Threshold
from openbulk.domain.errors import BadInput, Conflict, IdempotencyKeyTaken
from openbulk.domain.instance import CallingInstance
from openbulk.domain.job import IdempotencyKey, Job
from openbulk.engine.applies import ApplyRequest

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405), route_class=BoundedRoute)
_PERCENT = re.compile(r"(100(\.0{1,3})?|[0-9]{1,2}(\.[0-9]{1,3})?)%")
MAX_ROWS = 2**53


def _refuse_replan(word: Any) -> Any:
    """A word for what to do with a record that has changed. Raises ValueError."""
    if word == "replan":
        raise ValueError(
            "is 'replan', and no plan is made by itself; leave it at skip, and send "
            'POST /bulk/{id}/retry?plan=true with {"kind": ["drifted"]} once the job is finished'
        )
    return word


DriftWord = Annotated[Literal["skip", "overwrite"], BeforeValidator(_refuse_replan)]


def _require_limit(limit: Any) -> Any:
    """A number of rows, or a share of them. Raises ValueError."""
    is_number = type(limit) is int and 0 <= limit <= MAX_ROWS
    is_share = isinstance(limit, str) and _PERCENT.fullmatch(limit)
    if limit is None or is_number or is_share:
        return limit
    raise ValueError(
        'must be a number of rows, like 100, or a share of all rows from "0%" to "100%", like "5%"'
    )


Limit = Annotated[
    Annotated[int, Field(ge=0, le=MAX_ROWS)]
    | Annotated[str, Field(pattern=f"^{_PERCENT.pattern}$")]
    | None,
    BeforeValidator(_require_limit),
]


class StopAbove(StrictBody):
    """How many rows there may be of a kind: a number, or a share of all rows."""

    failed: Limit = Field(None, description="Rows that fail, or are unknown.", examples=["5%"])
    drifted: Limit = Field(
        None, description="Rows whose record has changed since the plan.", examples=[100]
    )
    deletes: Limit = Field(None, description="Records that are deleted.", examples=[50])


class ApplyBody(StrictBody):
    """Which plan to carry out, and how."""

    plan: str = Field(
        min_length=1,
        max_length=200,
        description="The digest of the plan, as `/bulk/{job_id}/plan` shows it.",
        examples=["5d41402abc4b2a76b9719d911017c592ae6b1d5c9a5b8c0f3e2d1c0b9a897867"],
    )
    drifted: DriftWord = Field(
        "skip",
        description="What to do with a record that has changed since the plan: leave it as it is, "
        "or overwrite it. Rows that have drifted get another plan by "
        "`POST /bulk/{job_id}/retry?plan=true`.",
        examples=["skip"],
    )
    stopAbove: StopAbove | None = Field(  # noqa: N815 - the wire's name
        None, description="The job ends before it goes further if there are more of these rows."
    )
    first: Annotated[int, Field(ge=1, le=MAX_ROWS)] | None = Field(
        None,
        description="Carry out so many rows, from the first one of the plan on. The others stay "
        "planned: apply the plan again to go on.",
        examples=[10],
    )


@router.put(
    "/bulk/{job_id}/apply",
    summary="Carry out the plan of a job",
    openapi_extra={"parameters": [IDEMPOTENCY_KEY]},
    responses=answers(UploadDetails | JobStatus, 400, 404, 409, 507),
)
async def apply(
    request: Request,
    response: Response,
    job_id: JobId,
    body: ApplyBody,
    services: ServicesOfApp,
    caller: SignedInCaller,
) -> dict[str, Any]:
    """Do what the plan of a job says, and nothing else. The job runs as an upload does.

    A record that has changed since it was planned has drifted: it is left as it is, unless you
    want it overwritten.
    """
    job = await find_job(services, caller, job_id)
    key = idempotency_key_of(request, "apply", job.id, body.model_dump())
    if key is not None:
        earlier = await _earlier_answer(response, services, job, key)
        if earlier is not None:
            return earlier
    wanted = ApplyRequest(
        body.plan,
        caller.author,
        DriftPolicy(body.drifted),
        _parse_stop_above(body),
        body.first,
    )
    try:
        begun = await services.applies.apply(job, wanted, key)
    except (IdempotencyKeyTaken, Conflict):
        # The same request may have been handled since this one looked for it.
        answer = None if key is None else await _earlier_answer(response, services, job, key)
        if answer is None:
            raise
        return answer
    return present_details(begun, services.completed_status)


async def _earlier_answer(
    response: Response, services: Services, job: Job, key: IdempotencyKey
) -> dict[str, Any] | None:
    """The answer to an earlier request with this key; None if there was none. Raises Conflict."""
    instance = CallingInstance(job.instance_id, job.organization_id, "")
    earlier = await require_same_request(
        services, instance, key, verb="created or applied", content="the body"
    )
    if earlier is None:
        return None
    response.headers[REPLAYED] = "true"
    return present_details(earlier, services.completed_status)


def _parse_stop_above(body: ApplyBody) -> dict[StopReason, Threshold]:
    """The thresholds of a body. Raises BadInput for one that can never be met."""
    given = {} if body.stopAbove is None else body.stopAbove.model_dump(exclude_none=True)
    if "drifted" in given and body.drifted == "overwrite":
        raise BadInput(
            "stopAbove.drifted has no effect if drifted is overwrite: no row drifts then; leave "
            "one of them out"
        )
    return {StopReason(name): Threshold.of_json(value) for name, value in given.items()}
