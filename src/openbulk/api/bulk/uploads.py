"""Uploads: a job sends the records of a file to the service."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from openbulk.api.bulk.job_requests import (
    CALLBACK_URL,
    IDEMPOTENCY_KEY,
    callback_url_of,
    check_callback_url,
    has_earlier_answer,
    idempotency_key_of,
    require_room,
    submit,
)
from openbulk.api.bulk.metadata import (
    describe_upload_options,
    is_for_one_object,
    is_plan,
    parse_target,
    read_upload_options,
    use_upload_options,
)
from openbulk.api.http.callers import SignedInInstance
from openbulk.api.http.multipart import ReceivedForm, receive_upload
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.parameters import ObjectInPath
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import JobCreated
from openbulk.connectors.targets import ResolvedObject, resolve_object
from openbulk.domain.errors import ServiceError
from openbulk.domain.instance import CallingInstance
from openbulk.domain.job import Upload
from openbulk.engine.upload_check import CHECKED_ROWS
from openbulk.formats.recognition import Inspection
from openbulk.reading.reader import StoredFile

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405))

_REQUEST = {
    "parameters": [
        {
            "name": "metaData",
            "in": "query",
            "description": "The part `metaData`, for a form that has none.",
            "required": False,
            "schema": {"type": "string", "examples": ['{"action": "create"}']},
        },
        {
            "name": "identifierFieldName",
            "in": "query",
            "description": "The key `identifierFieldName` of `metaData`.",
            "required": False,
            "schema": {"type": "string", "examples": ["summary"]},
        },
        {
            "name": "plan",
            "in": "query",
            "description": "The key `plan` of `metaData`: true makes a job that writes nothing, "
            "and says what it would do.",
            "required": False,
            "schema": {"type": "string", "examples": ["false"]},
        },
        CALLBACK_URL,
        IDEMPOTENCY_KEY,
    ],
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
                            "description": "File of records: csv, googlecsv, ics, json, jsonl or "
                            "xlsx.",
                            "examples": [
                                "summary,start.dateTime,end.dateTime\n"
                                "Choir practice,2026-06-04T19:00:00Z,2026-06-04T21:00:00Z\n"
                            ],
                        },
                        "metaData": {
                            "type": "string",
                            "description": describe_upload_options(),
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
    summary="Upload a file",
    openapi_extra=_REQUEST,
    responses=answers(JobCreated, 400, 409, 413, 507),
)
async def upload(
    request: Request,
    response: Response,
    object: ObjectInPath,
    services: ServicesOfApp,
    instance: SignedInInstance,
) -> dict[str, Any]:
    """Create a job that sends the records of a file to the service.

    openbulk answers as soon as the file has arrived. The answer has the job's id.
    """
    callback_url = callback_url_of(request)
    # Before the file arrives, which may be large.
    await check_callback_url(callback_url, services, instance)
    await require_room(request, services, instance, callback_url)
    name = uuid.uuid4().hex
    form = await receive_upload(request, services.files, name, services.max_upload_bytes)
    try:
        work, inspection = await _read_form(
            services, instance, object, name, form, request.query_params, callback_url
        )
        idempotency_key = idempotency_key_of(
            request,
            object,
            work.target.options,
            work.target.identifier_field,
            form.digest,
            callback_url,
        )
        # A repeated request gets its job, whatever has become of the object. The live service has
        # a job for every upload, with an error for each row.
        is_repeated = await has_earlier_answer(services, instance, idempotency_key)
        if services.live_compatible and not is_repeated:
            await services.intake.require_permission(instance, work.target)
        elif not is_repeated:
            await services.intake.require_possible(instance, work.target, inspection)
    except BaseException:
        # No job owns the file yet, so nobody else would delete it. `shield`, because a stopping
        # server cancels its requests.
        await asyncio.shield(services.files.give_up(name))
        raise
    return await submit(request, response, services, instance, work, idempotency_key)


async def _read_form(
    services: Services,
    instance: CallingInstance,
    object: str,
    name: str,
    form: ReceivedForm,
    query: Mapping[str, str],
    callback_url: str | None,
) -> tuple[Upload, Inspection]:
    """The upload that a form requests, and the beginning of its file. Raises BadInput."""
    provider = await services.elements.provider(instance.organization_id, instance.element)
    known = {**services.elements.built_in, provider.key: provider}
    options = read_upload_options(form.fields, query, known)
    names = await services.transformations.names_of(instance.id, object)
    vendor_object = object if names is None else names.vendor_name
    inspection = await services.inspectors.inspect(
        StoredFile(name, form.size),
        options.get("format"),
        options,
        CHECKED_ROWS,
        # An object may be named by a path: calendars/primary/events.
        takes_events=vendor_object.rpartition("/")[2] in provider.event_objects,
        owner=instance.id,
    )
    resolved = None
    if is_for_one_object(options, provider):
        resolved = await _resolve(services, instance, vendor_object)
    used = use_upload_options(options, provider, inspection.format, resolved)
    work = Upload(
        target=replace(parse_target(object, used, query), transformation=names),
        file=name,
        file_size=form.size,
        file_format=inspection.format.name,
        callback_url=callback_url,
        planned_file=form.digest if is_plan(used.values) else None,
    )
    return work, inspection


async def _resolve(
    services: Services, instance: CallingInstance, object: str
) -> ResolvedObject | None:
    """The object that an upload names; None if the service does not list its objects now."""
    try:
        connector = (await services.connections.to(instance.id)).connector
        return resolve_object(object, await connector.objects())
    except ServiceError:
        return None  # the job will meet the same failure, and wait for the service
