"""Workflows: records go from one instance's object into another's, at once or by a schedule."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter, Query, Request, Response

from openbulk.api.bulk.download_request import download_of_body, download_of_query
from openbulk.api.bulk.job_requests import MAX_PAGE, PageSize, metadata_of, number, tell_of_page
from openbulk.api.bulk.jobs import CALLBACK_URL, action_in, identifier_in
from openbulk.api.http.callers import SignedInInstance, SignedInUser
from openbulk.api.http.multipart import body_of
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import shapes
from openbulk.api.wire.answers import ScheduledWorkflow, Transfer, WorkflowCreated
from openbulk.connectors.targets import refusal_of, resolve_object
from openbulk.domain.errors import BadInput
from openbulk.domain.instance import Instance
from openbulk.domain.records import Action, Target
from openbulk.domain.workflow import Destination, Plan, Schedule
from openbulk.engine.queries import DownloadRequest, resolve_download
from openbulk.engine.workflows.cron import next_after
from openbulk.notify.egress import check_url

router = APIRouter(tags=["Workflows"], responses=may_answer(400, 405, 413, *OF_THE_SERVICE))
history = APIRouter(tags=["Workflows"], responses=may_answer(400, 401, 405))

MOST_TRANSFERS = 100
EXAMPLE = '[{"query": "select * from events", "targetConfiguration": {"token": "...", "objectName": "records"}}]'
_NOT_POSSIBLE = {
    "fileUpload": "upload the file into the target itself: POST /bulk/{object}",
    "notificationConfiguration": "there is no connector to mail; use the header Elements-Async-Callback-Url",
    "addToCampaign": "no connector knows campaigns that records are added to in this way",
}
_ACTIONS = {
    "POST": Action.CREATE,
    "PUT": Action.UPDATE,
    "PATCH": Action.UPDATE,
    "DELETE": Action.DELETE,
}
_CALLBACK = "elements-async-callback-url"
_SCHEDULE = "elements-schedule-request"
_WORKFLOWS, _QUERY, _DOWNLOAD = "/bulk/workflows", "/bulk/query", "/bulk/download"

_BODY = {
    "parameters": [
        {
            "in": "header",
            "name": "Elements-Schedule-Request",
            "required": False,
            "schema": {"type": "string", "examples": ["0 0 12 ? * *"]},
            "description": "when to do it again and again: a cron expression as Quartz writes it, in UTC: 0 0 12 ? * *",
        },
        CALLBACK_URL,
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "maxItems": MOST_TRANSFERS,
                    "items": {
                        "type": "object",
                        "required": ["targetConfiguration"],
                        "properties": {
                            "query": {
                                "type": "string",
                                "description": "what to read; or objectName, for all of it",
                            },
                            "objectName": {"type": "string"},
                            "from": {
                                "type": "string",
                                "description": "only what was changed since",
                            },
                            "to": {
                                "type": "string",
                                "description": "only what was changed until then",
                            },
                            "targetConfiguration": {
                                "type": "object",
                                "required": ["token", "objectName"],
                                "properties": {
                                    "token": {
                                        "type": "string",
                                        "description": "of the instance to write into",
                                    },
                                    "objectName": {"type": "string"},
                                    "method": {
                                        "type": "string",
                                        "description": "POST, PUT, PATCH or DELETE",
                                    },
                                    "metaData": {
                                        "type": "object",
                                        "description": "as for an upload",
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
    _WORKFLOWS,
    summary="Carry records over into another instance",
    openapi_extra=_BODY,
    responses=answers(WorkflowCreated | ScheduledWorkflow),
)
async def start(
    request: Request, services: ServicesOfApp, instance: SignedInInstance
) -> dict[str, Any]:
    """Read from the instance whose token is sent, and write into the one that each transfer names; one after another.
    With the header `Elements-Schedule-Request` again and again. `GET /bulkloader` says how it stands."""
    body = json_in(await body_of(request))
    plans = await plans_of(
        services, instance, _WORKFLOWS, body, request.headers.get(_CALLBACK) or None
    )
    if cron := request.headers.get(_SCHEDULE):
        asked = {
            "method": "POST",
            "uri": _WORKFLOWS,
            "body": [dict(plan.request) for plan in plans],
        }
        schedule = await scheduled(services, instance, plans, cron=cron, asked=asked)
        return {**shapes.schedule(schedule, schedule.created_at), "status": "CREATED"}
    run = await services.engine.workflows.begin(
        plans,
        organization_id=instance.organization_id,
        instance_id=instance.id,
        request_id=request.state.request_id,
    )
    return shapes.workflow_created(run)


@history.get("/bulkloader", summary="The transfers of workflows", responses=answers(list[Transfer]))
async def transfers(
    response: Response,
    services: ServicesOfApp,
    user: SignedInUser,
    job_id: Annotated[
        str,
        Query(alias="jobId", description="only those of this schedule", examples=["5e0c9f1f2b5b"]),
    ] = "",
    parent_id: Annotated[
        str,
        Query(alias="parentBulkLoaderId", description="no transfer has parts here", examples=["1"]),
    ] = "",
    page: Annotated[str, Query(description="from 1", examples=["1"])] = "",
    page_size: PageSize = "",
) -> list[dict[str, Any]]:
    """What was carried over, newest first, page by page: how it stands, and the two jobs of each."""
    limit = number(page_size or "200", "pageSize", least=1, most=MAX_PAGE)
    skip = min((number(page or "1", "page", least=1) - 1) * limit, 2**62)
    found = await services.runs.history(
        user.organization_id,
        schedule_id=job_id or None,
        skip=skip,
        limit=0 if parent_id else limit + 1,
    )
    shown = found[:limit]
    files = [name for one in shown for name in (one.read_file, one.sent_file)]
    jobs = await services.ledger.jobs_with_files(files)
    elements = {
        one.id: one.element for one in await services.accounts.instances_of(user.organization_id)
    }
    tell_of_page(response, len(shown), int(page or "1") + 1 if len(found) > limit else None)
    return [shapes.transfer(one, jobs, elements, services.completed_status) for one in shown]


async def scheduled(
    services: Services,
    instance: Instance,
    plans: Sequence[Plan],
    *,
    cron: str,
    asked: Mapping[str, Any],
    name: str = "",
    description: str = "",
) -> Schedule:
    """Have plans carried out whenever a schedule is due. Raises BadInput where it never is."""
    now = datetime.now(UTC)
    due_at = next_after(cron, now)
    if due_at is None:
        raise BadInput(f"the schedule {cron!r} is never due")
    schedule = Schedule(
        id=uuid.uuid4().hex,
        organization_id=instance.organization_id,
        instance_id=instance.id,
        name=name or f"{asked['uri']} of instance {instance.id}",
        description=description,
        cron=cron,
        request=asked,
        plans=plans,
        created_at=now,
        due_at=due_at,
    )
    await services.schedules.add(schedule)
    return schedule


async def plans_of(
    services: Services, instance: Instance, uri: str, body: Any, callback_url: str | None
) -> Sequence[Plan]:
    """What a request asks to have carried out, seen to be possible. Raises BadInput, and ServiceError where a service
    that has to be asked for its objects does not answer."""
    if callback_url is not None:
        check_url(callback_url, allow_private=services.allow_private_addresses)
    if uri == _WORKFLOWS:
        return [await _transfer(services, instance, item, callback_url) for item in _items(body)]
    if uri == _QUERY:
        return [
            await _reading(
                services, instance, download_of_query(_object(body), "", callback_url), body
            )
        ]
    if uri == _DOWNLOAD:
        return [await _reading(services, instance, download_of_body(_object(body), ""), body)]
    raise BadInput(f"{uri!r} cannot be scheduled; what can is: {_WORKFLOWS}, {_QUERY}, {_DOWNLOAD}")


async def _reading(
    services: Services,
    instance: Instance,
    asked: DownloadRequest,
    told: Mapping[str, Any],
    destination: Destination | None = None,
) -> Plan:
    if asked.continue_from:
        raise BadInput(
            "continueFromJobId belongs to a single download; use from, and each run goes on behind the last"
        )
    connector = (await services.connections.to(instance.id)).connector
    resolved = await resolve_download(asked, connector)
    if resolved.download.callback_url is not None:
        check_url(resolved.download.callback_url, allow_private=services.allow_private_addresses)
    return Plan(resolved.download, resolved.changes, destination, dict(told))


async def _transfer(
    services: Services, instance: Instance, item: Any, callback_url: str | None
) -> Plan:
    told = _object(item)
    to = told.get("targetConfiguration")
    if not isinstance(to, Mapping):
        raise BadInput(f"targetConfiguration is missing; a workflow looks like {EXAMPLE}")
    for where in (told, to):
        for name, instead in _NOT_POSSIBLE.items():
            if where.get(name):
                raise BadInput(f"{name} is not possible: {instead}")
    destination = await _destination(services, instance, to, callback_url)
    given = {
        name: told[name]
        for name in ("query", "from", "to", "lastRunDate", "metaData")
        if name in told
    }
    object_name = str(told.get("objectName") or "")
    asked = download_of_query(given, "", None, object_name=object_name)
    shown = {**told, "targetConfiguration": {**to, "token": shapes.MASK}}
    return await _reading(services, instance, asked, shown, destination)


async def _destination(
    services: Services, instance: Instance, to: Mapping[str, Any], callback_url: str | None
) -> Destination:
    target_instance = await services.accounts.instance_with_token(str(to.get("token") or ""))
    if target_instance is None or target_instance.organization_id != instance.organization_id:
        raise BadInput(
            "targetConfiguration.token is not that of an instance; it is in the answer that made the instance"
        )
    options = metadata_of(to.get("metaData"))
    object_name = str(to.get("objectName") or _object_in_path(str(to.get("path") or "")))
    method = str(to.get("method") or "POST").upper()
    if method not in _ACTIONS:
        raise BadInput(
            f"targetConfiguration.method {method!r} is not known; it can be {', '.join(_ACTIONS)}"
        )
    target = Target(
        object_name,
        action_in(options["action"]) if options.get("action") else _ACTIONS[method],
        identifier_in(options, {}),
        options,
    )
    objects = await (await services.connections.to(target_instance.id)).connector.objects()
    name = resolve_object(target.object, objects).name
    if (refusal := refusal_of(Target(name, target.action), objects)) is not None:
        raise BadInput(f"targetConfiguration: {refusal}")
    return Destination(target_instance.id, target, callback_url)


def _object_in_path(path: str) -> str:
    """The object that a path names: what stands behind the hub."""
    steps = urlsplit(path).path.strip("/").split("/")
    return "/".join(steps[2:] if steps[0] == "hubs" else steps)


def _items(body: Any) -> Sequence[Any]:
    items = body if isinstance(body, list) else [body]
    if not 0 < len(items) <= MOST_TRANSFERS:
        raise BadInput(
            f"a workflow has from 1 to {MOST_TRANSFERS} transfers; it looks like {EXAMPLE}"
        )
    return items


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadInput(f"{str(value)[:40]!r} is not an object; a workflow looks like {EXAMPLE}")
    return value


def json_in(body: bytes) -> Any:
    """What a body says. Raises BadInput where it is not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is not JSON ({error}); it looks like {EXAMPLE}") from error
