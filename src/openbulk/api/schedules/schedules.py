"""Schedules: queries, downloads and workflows that are carried out again and again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from openbulk.api.bulk.job_requests import MAX_PAGE, PageSize, number, tell_of_page
from openbulk.api.http.callers import SignedInUser, instance_of_request
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.platform.bodies import BoundedRoute
from openbulk.api.platform.catalogue import HUBS
from openbulk.api.schedules.workflows import json_in, plans_of, scheduled
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import shapes
from openbulk.api.wire.answers import Nothing
from openbulk.api.wire.answers import Run as RunAnswer
from openbulk.api.wire.answers import Schedule as ScheduleAnswer
from openbulk.api.wire.ids import id_in
from openbulk.domain.errors import BadInput, NotFound
from openbulk.domain.instance import Instance
from openbulk.domain.workflow import Run, Schedule
from openbulk.engine.workflows.cron import EXAMPLE, next_after
from openbulk.storage.accounts import User

router = APIRouter(tags=["Schedules"], responses=may_answer(401, 405), route_class=BoundedRoute)
ScheduleId = Annotated[
    str,
    Path(
        description="the schedule's id, as /jobs lists it",
        examples=["5e0c9f1f2b5b4f0c9a3c1d2e3f4a5b6c"],
    ),
]
_BASE = "/elements/api-v2"


class Trigger(BaseModel):
    """When."""

    cron: str = Field(examples=[EXAMPLE], description="as Quartz writes it, in UTC")


class ScheduleBody(BaseModel):
    """What to do, and when."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(
        "", max_length=500, description="what its owner calls it", examples=["Every noon"]
    )
    description: str = Field("", max_length=5_000, description="what its owner says of it")
    method: str = Field("POST", description="POST, and nothing else")
    uri: str = Field(
        examples=["/bulk/query"], description="/bulk/query, /bulk/download or /bulk/workflows"
    )
    query: dict[str, Any] = Field(
        default_factory=dict,
        description="parameters of the address",
        examples=[{"q": "select * from events"}],
    )
    body: Any = Field(None, description="the body of the request, or its text")
    headers: dict[str, str] = Field(
        default_factory=dict, description="headers; the callback's counts"
    )
    trigger: Trigger
    instanceId: int | None = Field(  # noqa: N815 - the wire contract's name
        None, description="the instance that does it; without it, that whose token is sent"
    )


class RescheduleBody(BaseModel):
    """When from now on."""

    model_config = ConfigDict(extra="ignore")

    trigger: Trigger | None = Field(None, description="when")
    cron: str | None = Field(None, description="the same, on its own", examples=[EXAMPLE])


@router.get("/jobs", summary="All schedules", responses=answers(list[ScheduleAnswer]))
async def list_all(
    response: Response, services: ServicesOfApp, user: SignedInUser
) -> list[dict[str, Any]]:
    """The schedules of the caller's organization, oldest first."""
    found = await services.schedules.of(user.organization_id)
    tell_of_page(response, len(found), None)
    return [await _shown(services, schedule) for schedule in found]


@router.post(
    "/jobs",
    summary="Have something done again and again",
    responses=answers(ScheduleAnswer, 400, 404, 413, *OF_THE_SERVICE),
)
async def create(
    body: ScheduleBody, request: Request, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """A query, a download or a workflow of the instance whose token is sent, or of `instanceId`. With `from` (or
    `lastRunDate`) each run begins where the last one ended."""
    instance = await _instance(body, request, services, user)
    uri = _uri(body)
    content = (
        json_in(body.body.encode()) if isinstance(body.body, str) and body.body else body.body or {}
    )
    asked = {**content, **body.query} if isinstance(content, dict) else content
    headers = {name.lower(): value for name, value in body.headers.items()}
    plans = await plans_of(
        services, instance, uri, asked, headers.get("elements-async-callback-url") or None
    )
    told = [dict(plan.request) for plan in plans]
    schedule = await scheduled(
        services,
        instance,
        plans,
        cron=body.trigger.cron,
        asked={
            "method": "POST",
            "uri": uri,
            "body": told if isinstance(content, list) else told[0],
        },
        name=body.name,
        description=body.description,
    )
    return await _shown(services, schedule)


def _uri(body: ScheduleBody) -> str:
    if body.method.upper() != "POST":
        raise BadInput(
            f"method {body.method!r} is not possible; what can be scheduled begins with POST"
        )
    steps = body.uri.removeprefix(_BASE).strip("/").split("/")
    if steps[0] == "hubs" and len(steps) > 1 and steps[1] in HUBS:
        steps = steps[2:]
    return "/" + "/".join(steps)


async def _instance(
    body: ScheduleBody, request: Request, services: Services, user: User
) -> Instance:
    if body.instanceId is None:
        return await instance_of_request(request, services, user)
    found = await services.accounts.instance(body.instanceId)
    if found is None or found.organization_id != user.organization_id:
        raise NotFound(f"there is no instance {body.instanceId}")
    return found


@router.get(
    "/jobs/executions",
    summary="What schedules have had done",
    responses=answers(list[RunAnswer], 400),
)
async def executions(
    response: Response,
    services: ServicesOfApp,
    user: SignedInUser,
    page_size: PageSize = "",
) -> list[dict[str, Any]]:
    """The newest runs of all schedules, newest first."""
    limit = number(page_size or "200", "pageSize", least=1, most=MAX_PAGE)
    return await _runs(
        response, services, await services.runs.of_schedules(user.organization_id, limit=limit)
    )


@router.get("/jobs/{schedule_id}", summary="One schedule", responses=answers(ScheduleAnswer, 404))
async def get(
    schedule_id: ScheduleId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """A schedule, and when it is due next."""
    return await _shown(services, await _schedule(services, user, schedule_id))


@router.delete(
    "/jobs/{schedule_id}", summary="End a schedule", responses=answers(Nothing, 404, 507)
)
async def delete(
    schedule_id: ScheduleId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """It is due no more; what it has had done stays, and what is going on goes on."""
    schedule = await _schedule(services, user, schedule_id)
    await services.schedules.delete(schedule.id)
    return {}


@router.put(
    "/jobs/{schedule_id}/enable",
    summary="Have a schedule go on",
    responses=answers(ScheduleAnswer, 400, 404, 507),
)
async def enable(
    schedule_id: ScheduleId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """It is due again from the next time on."""
    schedule = await _schedule(services, user, schedule_id)
    return await _timed(services, user, schedule, schedule.cron)


@router.put(
    "/jobs/{schedule_id}/disable",
    summary="Have a schedule pause",
    responses=answers(ScheduleAnswer, 404, 507),
)
async def disable(
    schedule_id: ScheduleId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """It is not due until it is enabled again."""
    schedule = await _schedule(services, user, schedule_id)
    await services.schedules.set_time(schedule.id, schedule.cron, None)
    return await get(schedule.id, services, user)


@router.patch(
    "/jobs/{schedule_id}/reschedule",
    summary="Change when a schedule is due",
    responses=answers(ScheduleAnswer, 400, 404, 413, 507),
)
async def reschedule(
    schedule_id: ScheduleId, body: RescheduleBody, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """From now on; a schedule that pauses goes on."""
    schedule = await _schedule(services, user, schedule_id)
    cron = body.trigger.cron if body.trigger else body.cron
    if not cron:
        raise BadInput(
            f'the body says no time; it looks like {{"trigger": {{"cron": "{EXAMPLE}"}}}}'
        )
    return await _timed(services, user, schedule, cron)


@router.get(
    "/jobs/{schedule_id}/history",
    summary="What a schedule has had done",
    responses=answers(list[RunAnswer], 400, 404),
)
async def history(
    response: Response,
    schedule_id: ScheduleId,
    services: ServicesOfApp,
    user: SignedInUser,
    page_size: PageSize = "",
) -> list[dict[str, Any]]:
    """Its newest runs, newest first; `GET /bulkloader?jobId=` has their transfers."""
    schedule = await _schedule(services, user, schedule_id)
    limit = number(page_size or "200", "pageSize", least=1, most=MAX_PAGE)
    return await _runs(
        response, services, await services.runs.of_schedule(schedule.id, limit=limit)
    )


async def _timed(services: Services, user: User, schedule: Schedule, cron: str) -> dict[str, Any]:
    due_at = next_after(cron, datetime.now(UTC))
    if due_at is None:
        raise BadInput(f"the schedule {cron!r} is never due")
    await services.schedules.set_time(schedule.id, cron, due_at)
    return await get(schedule.id, services, user)


async def _schedule(services: Services, user: User, schedule_id: str) -> Schedule:
    found = await services.schedules.get(schedule_id)
    if found is None or found.organization_id != user.organization_id:
        hint = (
            f"; bulk job {schedule_id} is at /bulk/{schedule_id}/status"
            if id_in(schedule_id)
            else ""
        )
        raise NotFound(f"there is no schedule {schedule_id[:40]!r}{hint}")
    return found


async def _shown(services: Services, schedule: Schedule) -> dict[str, Any]:
    last = await services.runs.of_schedule(schedule.id, limit=1)
    return shapes.schedule(schedule, datetime.now(UTC), last[0] if last else None)


async def _runs(
    response: Response, services: Services, runs: Sequence[Run]
) -> list[dict[str, Any]]:
    tell_of_page(response, len(runs), None)
    shown = []
    for run in runs:
        transfers = await services.runs.transfers(run)
        files = [name for one in transfers for name in (one.read_file, one.sent_file)]
        shown.append(shapes.run(run, transfers, await services.ledger.jobs_with_files(files)))
    return shown
