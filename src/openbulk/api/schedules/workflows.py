"""Workflows: copy records from one instance into another, once or on a schedule."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from openbulk.api.bulk.job_requests import CALLBACK_URL, callback_url_of
from openbulk.api.http.bodies import parse_kept_json, read_body
from openbulk.api.http.callers import SignedInInstance, SignedInUser
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.paging import (
    PageNumber,
    PageSize,
    next_number,
    parse_offset,
    parse_page_size,
    present_each,
    take_page,
)
from openbulk.api.schedules.schedules import add_schedule
from openbulk.api.schedules.transfer_specs import EXAMPLE, MAX_TRANSFERS, WORKFLOWS, make_specs
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.schedules import ScheduledWorkflow, present_schedule
from openbulk.api.wire.workflows import (
    Transfer,
    WorkflowCreated,
    present_new_workflow,
    present_transfer,
)

router = APIRouter(tags=["Workflows"], responses=may_answer(400, 405, 413, *OF_THE_SERVICE))
history = APIRouter(tags=["Workflows"], responses=may_answer(400, 401, 405))

_REQUEST = {
    "parameters": [
        {
            "in": "header",
            "name": "Elements-Schedule-Request",
            "required": False,
            "schema": {"type": "string", "examples": ["0 0 12 ? * *"]},
            "description": "Quartz cron expression, in UTC. If set, openbulk repeats the workflow "
            "on this schedule.",
        },
        CALLBACK_URL,
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "maxItems": MAX_TRANSFERS,
                    "items": {
                        "type": "object",
                        "required": ["targetConfiguration"],
                        "properties": {
                            "query": {
                                "type": "string",
                                "description": "Query for the records to read. Without it, all "
                                "records of `objectName` are read.",
                            },
                            "objectName": {
                                "type": "string",
                                "description": "Object to read, if there is no `query`.",
                            },
                            "from": {
                                "type": "string",
                                "description": "Copies records changed at or after this time "
                                "(ISO 8601).",
                            },
                            "to": {
                                "type": "string",
                                "description": "Copies records changed at or before this time "
                                "(ISO 8601).",
                            },
                            "targetConfiguration": {
                                "type": "object",
                                "required": ["token", "objectName"],
                                "properties": {
                                    "token": {
                                        "type": "string",
                                        "description": "Token of the instance to write into.",
                                    },
                                    "objectName": {
                                        "type": "string",
                                        "description": "Object to write.",
                                    },
                                    "method": {
                                        "type": "string",
                                        "description": "POST creates records, PUT and PATCH "
                                        "update them, DELETE deletes them.",
                                    },
                                    "metaData": {
                                        "type": "object",
                                        "description": "Options, as for an upload.",
                                    },
                                },
                            },
                        },
                    },
                },
                "example": orjson.loads(EXAMPLE),
            }
        },
    },
}


@router.post(
    WORKFLOWS,
    summary="Start or schedule a workflow",
    openapi_extra=_REQUEST,
    responses=answers(WorkflowCreated | ScheduledWorkflow, 409),
)
async def start(
    request: Request, services: ServicesOfApp, instance: SignedInInstance
) -> dict[str, Any]:
    """Copy records from the calling instance into others, one transfer after another.

    `GET /bulkloader` lists the transfers with their status.
    """
    body = parse_kept_json(await read_body(request), EXAMPLE)
    specs = await make_specs(services, instance, WORKFLOWS, body, callback_url_of(request))
    cron = request.headers.get("elements-schedule-request")
    if cron:
        shown_request = {
            "method": "POST",
            "uri": WORKFLOWS,
            "body": [dict(spec.request) for spec in specs],
        }
        schedule = await add_schedule(services, instance, specs, cron, shown_request)
        return {**present_schedule(schedule, schedule.created_at), "status": "CREATED"}
    run = await services.workflows.begin(
        specs,
        organization_id=instance.organization_id,
        instance_id=instance.id,
        request_id=request.state.request_id,
    )
    return present_new_workflow(run)


@history.get("/bulkloader", summary="List transfers", responses=answers(list[Transfer]))
async def transfers(
    response: Response,
    services: ServicesOfApp,
    user: SignedInUser,
    job_id: Annotated[
        str,
        Query(
            alias="jobId",
            description="Id of a schedule. Only its transfers are returned.",
            examples=["5e0c9f1f2b5b"],
        ),
    ] = "",
    parent_id: Annotated[
        str,
        Query(
            alias="parentBulkLoaderId",
            description="Id of a transfer. No transfer has parts, so the list is empty.",
            examples=["1"],
        ),
    ] = "",
    page: PageNumber = "",
    page_size: PageSize = "",
) -> list[dict[str, Any]]:
    """The transfers of workflows with their jobs, newest first, page by page."""
    limit = parse_page_size(page_size)
    found = await services.runs.history(
        user.organization_id,
        schedule_id=job_id or None,
        skip=parse_offset(page, limit),
        limit=0
        if parent_id
        else limit + 1,  # the contract has transfers with parts, openbulk has none
    )
    shown = take_page(response, found, limit, lambda _: next_number(page))
    files = [name for transfer in shown for name in (transfer.read_file, transfer.sent_file)]
    jobs = await services.ledger.jobs_with_files(files)
    elements = await services.accounts.elements_of(user.organization_id)
    return present_each(
        shown,
        lambda one: present_transfer(one, jobs, elements, services.completed_status),
        "transfer",
    )
