"""Schedules: queries, downloads and workflows that openbulk repeats."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Path, Response
from pydantic import Field

from openbulk.api.http.bodies import BoundedRoute, ContractBody, parse_kept_json
from openbulk.api.http.callers import SignedInCaller, SignedInUser, parse_authorization
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.paging import (
    NEW_LIST,
    NextPage,
    PageNumber,
    PageSize,
    next_number,
    parse_offset,
    parse_page_size,
    present_each,
    take_page,
)
from openbulk.api.http.ways_of_writing import require_free_to_write
from openbulk.api.schedules import transfer_specs
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import schedules as wire
from openbulk.api.wire.ids import MAX_ID, parse_id
from openbulk.api.wire.schema import Nothing
from openbulk.domain.contract import BASE_PATH
from openbulk.domain.errors import BadInput, Conflict, NotFound
from openbulk.domain.instance import CallingInstance, Instance
from openbulk.domain.people import Caller, User
from openbulk.domain.workflow import Run, Schedule, TransferSpec
from openbulk.engine.workflows.cron import EXAMPLE, next_after

router = APIRouter(tags=["Schedules"], responses=may_answer(401, 405), route_class=BoundedRoute)
ScheduleId = Annotated[
    str,
    Path(
        description="Id of the schedule, as `/jobs` lists it.",
        examples=["5e0c9f1f2b5b4f0c9a3c1d2e3f4a5b6c"],
    ),
]
MAX_SCHEDULES = 1_000
"""Of an organization."""


class Trigger(ContractBody):
    """When a schedule is due."""

    cron: str = Field(
        max_length=500, examples=[EXAMPLE], description="Quartz cron expression, in UTC."
    )


class ScheduleBody(ContractBody):
    """A request to repeat, and when."""

    name: str = Field(
        "", max_length=500, description="Name of the schedule.", examples=["Every noon"]
    )
    description: str = Field("", max_length=5_000, description="Description of the schedule.")
    method: str = Field("POST", description="Method of the request; always POST.")
    uri: str = Field(
        examples=["/bulk/query"],
        description="Path of the request: /bulk/query, /bulk/download or /bulk/workflows; query "
        "parameters may follow it.",
    )
    query: dict[str, Any] = Field(
        default_factory=dict,
        description="Query parameters of the request.",
        examples=[{"q": "select * from events"}],
    )
    body: Any = Field(
        None, description="Body of the request, as JSON or as a text that holds JSON."
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Headers of the request. Elements-Async-Callback-Url has an effect, and the "
        "Element token in Authorization, which names the instance.",
    )
    trigger: Trigger
    instanceId: int | None = Field(  # noqa: N815 - the wire contract's name
        None,
        ge=1,
        le=MAX_ID,
        description="Instance to work with. Default: the calling instance, or your only one.",
    )


class RescheduleBody(ContractBody):
    """A new time for a schedule."""

    trigger: Trigger | None = Field(None, description="When the schedule is due.")
    cron: str | None = Field(
        None, description="Quartz cron expression, instead of `trigger`.", examples=[EXAMPLE]
    )


@router.get("/jobs", summary="List schedules", responses=answers(list[wire.Schedule], 400))
async def list_all(
    response: Response,
    services: ServicesOfApp,
    user: SignedInUser,
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The schedules of your organization, oldest first, page by page."""
    limit = parse_page_size(page_size)
    after = None
    if next_page:
        after = await services.schedules.get(next_page)
        if after is None or after.organization_id != user.organization_id:
            raise BadInput(f"nextPage {next_page[:40]!r} is not a token of this list; {NEW_LIST}")
    found = await services.schedules.of(user.organization_id, after=after, limit=limit + 1)
    page = take_page(response, found, limit, lambda schedule: schedule.id)
    last_runs = {one.id: await _last_run(services, one) for one in page}
    now = datetime.now(UTC)
    return present_each(
        page, lambda one: wire.present_schedule(one, now, last_runs[one.id]), "schedule"
    )


@router.post(
    "/jobs",
    summary="Create a schedule",
    responses=answers(wire.Schedule, 400, 404, 409, 413, *OF_THE_SERVICE),
)
async def create(
    body: ScheduleBody, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Repeat a query, a download or a workflow.

    With `from` or `lastRunDate`, each run begins where the last completed run ended.
    """
    uri, parameters = _parse_uri(body)
    headers = {name.lower(): value for name, value in body.headers.items()}
    instance = await _instance_of(body, headers, services, caller)
    content = _content(body, parameters)
    callback_url = headers.get("elements-async-callback-url") or None
    made = await transfer_specs.make_specs(services, instance, uri, content, callback_url)
    requests = [dict(spec.request) for spec in made]
    shown_request = {
        "method": "POST",
        "uri": uri,
        "body": requests if isinstance(content, list) else requests[0],
    }
    _require_free_to_schedule(caller, made)
    schedule = await add_schedule(
        services,
        instance,
        made,
        body.trigger.cron,
        shown_request,
        name=body.name,
        description=body.description,
    )
    return await _present_schedule(services, schedule)


async def _instance_of(
    body: ScheduleBody, headers: Mapping[str, str], services: Services, caller: Caller
) -> CallingInstance:
    """The instance to work with: named by the body, by a token, or the only one there is.

    Raises NotFound, and BadInput if there are several and none is named.
    """
    if body.instanceId is not None:
        instance = await services.accounts.instance(body.instanceId)
        if instance is None or instance.organization_id != caller.user.organization_id:
            raise NotFound(f"there is no instance {body.instanceId}")
        return _as_caller(instance)
    if caller.instance is not None:
        return caller.instance
    token = parse_authorization(headers.get("authorization", "")).element
    if token is not None:
        instance = await services.accounts.instance_with_token(token)
        if instance is None or instance.organization_id != caller.user.organization_id:
            raise BadInput("the Element token in headers.Authorization is not known")
        return _as_caller(instance)
    found = await services.accounts.instances_of(caller.user.organization_id, limit=2)
    if len(found) != 1:
        raise BadInput(
            f"the request names none of your instances; add "
            f'"instanceId": {found[0].id if found else 1}, or send the token of the instance'
        )
    return _as_caller(found[0])


def _as_caller(instance: Instance) -> CallingInstance:
    return CallingInstance(instance.id, instance.organization_id, instance.element)


def _parse_uri(body: ScheduleBody) -> tuple[str, Mapping[str, str]]:
    """The path of the request to repeat, without base path and hub, and its query parameters.

    Raises BadInput if it cannot be repeated.
    """
    if body.method.upper() != "POST":
        raise BadInput(
            f"method {body.method[:40]!r} cannot be scheduled; only POST can, to {_POSSIBLE}"
        )
    address, _, query = body.uri.partition("?")
    steps = address.removeprefix(BASE_PATH).strip("/").split("/")
    # The hub is a mere prefix, here as in every path.
    if steps[0] == "hubs":
        steps = steps[2:]
    path = "/" + "/".join(steps)
    if path not in transfer_specs.SCHEDULABLE:
        raise BadInput(f"{path[:200]!r} cannot be scheduled; these can: {_POSSIBLE}")
    parameters = parse_qsl(query, keep_blank_values=True)
    given = Counter([*(name for name, _ in parameters), *body.query])
    for name, _ in parameters:
        if given[name] > 1:
            raise BadInput(f"the parameter {name[:80]!r} is given twice; leave one of them out")
    return path, dict(parameters)


_POSSIBLE = ", ".join(transfer_specs.SCHEDULABLE)


def _content(body: ScheduleBody, parameters: Mapping[str, str]) -> Any:
    """The body of the request to repeat, with its query parameters. Raises BadInput."""
    content = body.body or {}
    if isinstance(content, str):
        content = parse_kept_json(content.encode(), transfer_specs.EXAMPLE)
    return {**content, **parameters, **body.query} if isinstance(content, dict) else content


async def add_schedule(
    services: Services,
    instance: CallingInstance,
    specs: Sequence[TransferSpec],
    cron: str,
    shown_request: Mapping[str, Any],
    *,
    name: str = "",
    description: str = "",
) -> Schedule:
    """Add a schedule that starts these specs. Raises BadInput if the cron expression is never due,
    and Conflict if there are too many.

    `shown_request` is the request without its secrets; answers show it.
    """
    now = datetime.now(UTC)
    schedule = Schedule(
        id=uuid.uuid4().hex,
        organization_id=instance.organization_id,
        instance_id=instance.id,
        name=name or f"{shown_request['uri']} of instance {instance.id}",
        description=description,
        cron=cron,
        request=shown_request,
        specs=specs,
        created_at=now,
        due_at=_next_time(cron, now),
    )
    if not await services.schedules.add(schedule, limit=MAX_SCHEDULES):
        raise Conflict(
            f"the organization has {MAX_SCHEDULES:,} schedules, which is the limit; "
            "delete one with DELETE /jobs/{id}"
        )
    services.engine.note_schedule(schedule.due_at)
    return schedule


@router.get(
    "/jobs/executions",
    summary="List runs",
    responses=answers(list[wire.Run], 400),
)
async def executions(
    response: Response,
    services: ServicesOfApp,
    user: SignedInUser,
    page: PageNumber = "",
    page_size: PageSize = "",
) -> list[dict[str, Any]]:
    """The latest runs of all schedules, newest first."""
    limit = parse_page_size(page_size)
    skip = parse_offset(page, limit)
    runs = await services.runs.of_schedules(user.organization_id, limit=limit + 1, skip=skip)
    shown = take_page(response, runs, limit, lambda _: next_number(page))
    return await _present_runs(services, shown)


@router.get(
    "/jobs/{schedule_id}",
    summary="Retrieve a schedule",
    responses=answers(wire.Schedule, 404),
)
async def get(
    schedule_id: ScheduleId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """A schedule, with the time at which it is next due."""
    return await _present_schedule(services, await _find_schedule(services, user, schedule_id))


@router.delete(
    "/jobs/{schedule_id}", summary="Delete a schedule", responses=answers(Nothing, 404, 507)
)
async def delete(
    schedule_id: ScheduleId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Delete a schedule. A run in progress continues, and past runs stay listed."""
    schedule = await _find_schedule(services, user, schedule_id)
    await services.schedules.delete(schedule.id)
    return {}


@router.put(
    "/jobs/{schedule_id}/enable",
    summary="Enable a schedule",
    responses=answers(wire.Schedule, 400, 404, 507),
)
async def enable(
    schedule_id: ScheduleId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Resume a schedule. It does not catch up on the times that it missed."""
    schedule = await _find_schedule(services, caller.user, schedule_id)
    return await _set_time(services, caller, schedule, schedule.cron)


@router.put(
    "/jobs/{schedule_id}/disable",
    summary="Disable a schedule",
    responses=answers(wire.Schedule, 404, 507),
)
async def disable(
    schedule_id: ScheduleId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Pause a schedule until it is enabled."""
    schedule = await _find_schedule(services, user, schedule_id)
    await services.schedules.set_time(schedule.id, schedule.cron, None)
    return await get(schedule.id, services, user)


@router.patch(
    "/jobs/{schedule_id}/reschedule",
    summary="Change when a schedule is due",
    responses=answers(wire.Schedule, 400, 404, 413, 507),
)
async def reschedule(
    schedule_id: ScheduleId, body: RescheduleBody, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Set a new cron expression. This enables a disabled schedule."""
    schedule = await _find_schedule(services, caller.user, schedule_id)
    cron = body.trigger.cron if body.trigger else body.cron
    if not cron:
        raise BadInput(
            f'the body has no time; it looks like {{"trigger": {{"cron": "{EXAMPLE}"}}}}'
        )
    return await _set_time(services, caller, schedule, cron)


@router.get(
    "/jobs/{schedule_id}/history",
    summary="List the runs of a schedule",
    responses=answers(list[wire.Run], 400, 404),
)
async def history(
    response: Response,
    schedule_id: ScheduleId,
    services: ServicesOfApp,
    user: SignedInUser,
    page: PageNumber = "",
    page_size: PageSize = "",
) -> list[dict[str, Any]]:
    """The latest runs of a schedule, newest first. `GET /bulkloader?jobId=` lists its transfers."""
    schedule = await _find_schedule(services, user, schedule_id)
    limit = parse_page_size(page_size)
    skip = parse_offset(page, limit)
    runs = await services.runs.of_schedule(schedule.id, limit=limit + 1, skip=skip)
    shown = take_page(response, runs, limit, lambda _: next_number(page))
    return await _present_runs(services, shown)


def _require_free_to_schedule(caller: Caller, specs: Sequence[TransferSpec]) -> None:
    """Raise NotAllowed for a schedule that writes, where what is written is approved first."""
    if any(spec.destination for spec in specs):
        require_free_to_write(caller)


async def _set_time(
    services: Services, caller: Caller, schedule: Schedule, cron: str
) -> dict[str, Any]:
    _require_free_to_schedule(caller, schedule.specs)
    due_at = _next_time(cron, datetime.now(UTC))
    await services.schedules.set_time(schedule.id, cron, due_at)
    services.engine.note_schedule(due_at)
    return await get(schedule.id, services, caller.user)


def _next_time(cron: str, now: datetime) -> datetime:
    """The next time at which a cron expression is due. Raises BadInput if it never is."""
    due_at = next_after(cron, now)
    if due_at is None:
        raise BadInput(f"the schedule {cron!r} is never due")
    return due_at


async def _find_schedule(services: Services, user: User, schedule_id: str) -> Schedule:
    """A schedule of the user's organization. Raises NotFound."""
    schedule = await services.schedules.get(schedule_id)
    if schedule is not None and schedule.organization_id == user.organization_id:
        return schedule
    message = f"there is no schedule {schedule_id[:40]!r}"
    if parse_id(schedule_id):
        # The contract calls both schedules and bulk jobs "jobs". A number is a bulk job's id.
        message += f"; bulk job {schedule_id} is at /bulk/{schedule_id}/status"
    raise NotFound(message)


async def _present_schedule(services: Services, schedule: Schedule) -> dict[str, Any]:
    return wire.present_schedule(schedule, datetime.now(UTC), await _last_run(services, schedule))


async def _last_run(services: Services, schedule: Schedule) -> Run | None:
    return next(iter(await services.runs.of_schedule(schedule.id, limit=1)), None)


async def _present_runs(services: Services, runs: Sequence[Run]) -> list[dict[str, Any]]:
    shapes = []
    for run in runs:
        transfers = await services.runs.transfers(run)
        files = [
            name for transfer in transfers for name in (transfer.read_file, transfer.sent_file)
        ]
        jobs = await services.ledger.jobs_with_files(files)
        present = partial(wire.present_run, transfers=transfers, jobs=jobs)
        shapes += present_each([run], present, "run")
    return shapes
