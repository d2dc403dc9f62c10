"""Bulk jobs: upload a file, ask for the status, list the records that were not taken, cancel."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from openbulk.api.bulk.job_requests import (
    MAX_PAGE,
    Fields,
    JobId,
    NextPage,
    PageSize,
    job_of,
    metadata_of,
    number,
    submit,
    tell_of_page,
)
from openbulk.api.http import idempotency
from openbulk.api.http.callers import SignedInInstance, SignedInUser
from openbulk.api.http.multipart import Received, receive
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.records.objects import ObjectInPath
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import shapes
from openbulk.api.wire.answers import DownloadStatus, JobCreated, JobItem, JobStatus, RecordError
from openbulk.api.wire.query_language import field_list, parse_where
from openbulk.domain.conditions import fields_of, holds
from openbulk.domain.errors import BadInput
from openbulk.domain.job import Upload
from openbulk.domain.records import Action, Target
from openbulk.formats.recognition import inspect
from openbulk.notify.egress import check_url

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405))
CALLBACK_URL = {
    "name": "Elements-Async-Callback-Url",
    "in": "header",
    "description": "where to tell the end of the job",
    "required": False,
    "schema": {"type": "string", "examples": ["https://example.com/told"]},
}

_UPLOAD = {
    "parameters": [CALLBACK_URL, idempotency.PARAMETER],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "csv, googlecsv, ics, json, jsonl or xlsx",
                            "examples": [
                                "summary,start.dateTime,end.dateTime\n"
                                "Choir practice,2026-06-04T19:00:00Z,2026-06-04T21:00:00Z\n"
                            ],
                        },
                        "metaData": {
                            "type": "string",
                            "description": "a JSON object: format, action, identifierFieldName, "
                            "callback-payload, and what the connector documents",
                            "examples": ['{"action": "create"}'],
                        },
                    },
                }
            }
        },
    },
}


@router.post(
    "/bulk/{object:path}",
    summary="Upload a file as a job",
    openapi_extra=_UPLOAD,
    responses=answers(JobCreated, 400, 409, 413, 507),
)
async def upload(
    request: Request,
    response: Response,
    object: ObjectInPath,
    services: ServicesOfApp,
    instance: SignedInInstance,
) -> dict[str, Any]:
    """Take a file in; its records are sent to the service as a job. Answers at once with the job's id."""
    callback_url = request.headers.get("elements-async-callback-url") or None
    if callback_url is not None:
        check_url(callback_url, allow_private=services.allow_private_addresses)
    name = uuid.uuid4().hex
    received = await receive(request, services.files, name, services.max_upload_bytes)
    try:
        made = await _upload(services, object, name, received, request.query_params, callback_url)
        idempotency_key = idempotency.idempotency_key_of(
            request,
            object,
            made.target.options,
            made.target.identifier_field,
            received.digest,
            callback_url,
        )
    except BaseException:
        await asyncio.shield(services.files.give_up(name))
        raise
    return await submit(request, response, services, instance, made, idempotency_key)


async def _upload(
    services: Services,
    object: str,
    name: str,
    received: Received,
    query: Mapping[str, str],
    callback_url: str | None,
) -> Upload:
    """What the caller asks for. Raises BadInput where it makes no sense, before there is a job."""
    options = metadata_of(received.fields.get("metaData") or query.get("metaData"))
    file = services.files.open(name, received.size)
    seen = await asyncio.to_thread(inspect, file, options.get("format"), options)
    return Upload(
        target=Target(
            object, action_in(options.get("action")), identifier_in(options, query), options
        ),
        file=name,
        file_size=received.size,
        file_format=seen.name,
        callback_url=callback_url,
    )


def identifier_in(options: Mapping[str, Any], query: Mapping[str, str]) -> str | None:
    """The field that tells records apart; in the query it is seen in the wild, too."""
    name = options.get("identifierFieldName") or query.get("identifierFieldName") or None
    if name is not None and not isinstance(name, str):
        raise BadInput("metaData.identifierFieldName is not a text; it is the name of a column")
    return name


def action_in(text: Any) -> Action:
    """What is to be done with each record. Raises BadInput."""
    if text in (None, ""):
        return Action.CREATE
    try:
        return Action(str(text).lower())
    except ValueError as error:
        raise BadInput(
            f"metaData.action {text!r} is not known; it can be {', '.join(Action)}"
        ) from error


@router.get("/bulk/jobs", summary="The jobs of an instance", responses=answers(list[JobItem], 400))
async def jobs(
    response: Response,
    services: ServicesOfApp,
    instance: SignedInInstance,
    where: Annotated[
        str, Query(description="a condition on the fields shown", examples=["status = 'RUNNING'"])
    ] = "",
    fields: Fields = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The jobs of an instance, newest first, page by page; `where` is a condition on the fields that they show."""
    wanted = parse_where(where) if where else None
    for name in fields_of(wanted) if wanted else ():
        if name not in shapes.JOB_FIELDS:
            raise BadInput(
                f"jobs have no field {name!r}; they have: {', '.join(shapes.JOB_FIELDS)}"
            )
    limit = number(page_size or "200", "pageSize", least=1, most=MAX_PAGE)
    before = number(next_page, "nextPage", least=1) if next_page else None
    found: list[dict[str, Any]] = []
    while len(found) <= limit:
        page = await services.ledger.jobs_of(instance.id, before=before, limit=MAX_PAGE)
        items = [shapes.job_item(job, services.completed_status) for job in page]
        found += [item for item in items if wanted is None or holds(wanted, item)]
        if len(page) < MAX_PAGE:
            break
        before = page[-1].id
    shown = found[:limit]
    tell_of_page(response, len(shown), shown[-1]["id"] if len(found) > limit else None)
    return shapes.with_fields(shown, field_list(fields))


@router.get(
    "/bulk/{job_id}/status",
    summary="How a job stands",
    responses=answers(JobStatus | DownloadStatus, 404),
)
async def status(job_id: JobId, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """The status of a job, with how many records were taken and how many were not."""
    return shapes.job_status(await job_of(services, user, job_id), services.completed_status)


@router.get("/bulk/{job_id}", summary="A job", responses=answers(JobStatus | DownloadStatus, 404))
async def job(job_id: JobId, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """The status of a job, under the address of the job itself."""
    return shapes.job_status(await job_of(services, user, job_id), services.completed_status)


@router.get(
    "/bulk/{job_id}/errors",
    summary="The records that were not taken",
    responses=answers(list[RecordError], 400, 404),
)
async def errors(
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    user: SignedInUser,
    page_size: PageSize = "",
    next_page: NextPage = "",
    page_number: Annotated[
        str, Query(alias="page", description="instead of nextPage, counted from 1", examples=["1"])
    ] = "",
    fields: Fields = "",
) -> list[dict[str, Any]]:
    """The records of a job that were not taken, in the order of the file, page by page."""
    job = await job_of(services, user, job_id)
    limit = number(page_size or "200", "pageSize", least=1, most=MAX_PAGE)
    after = number(next_page or "0", "nextPage", least=0)
    pages_before = number(page_number, "page", least=1) - 1 if page_number and not next_page else 0
    found = await services.ledger.errors(
        job.id, after=after, limit=limit + 1, skip=min(pages_before * limit, 2**62)
    )
    names = field_list(fields)
    page = found[:limit]
    tell_of_page(response, len(page), page[-1].row if len(found) > limit else None)
    return shapes.with_fields([shapes.record_error(error) for error in page], names)


@router.put(
    "/bulk/{job_id}/cancel",
    summary="Cancel a job",
    responses=answers(JobStatus | DownloadStatus, 404, 507),
)
async def cancel(job_id: JobId, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """Send no more of a job's records; what was sent stays sent."""
    job = await services.engine.cancel(await job_of(services, user, job_id))
    return shapes.job_status(job, services.completed_status)
