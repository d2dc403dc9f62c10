"""Uploads: a job sends the records of a file to the service."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from openbulk.api.bulk.job_requests import (
    CALLBACK_URL,
    IDEMPOTENCY_KEY,
    callback_url_of,
    check_callback_url,
    idempotency_key_of,
    submit,
)
from openbulk.api.bulk.metadata import parse_metadata, parse_target
from openbulk.api.http.callers import SignedInInstance
from openbulk.api.http.multipart import ReceivedForm, receive_upload
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.parameters import ObjectInPath
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import JobCreated
from openbulk.domain.job import Upload
from openbulk.formats.recognition import inspect

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405))

_REQUEST = {
    "parameters": [CALLBACK_URL, IDEMPOTENCY_KEY],
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
                            "description": "JSON object with `format`, `action`, "
                            "`identifierFieldName`, `callback-payload`, and options of the "
                            "connector.",
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
    check_callback_url(callback_url, services)  # before the file arrives, which may be large
    name = uuid.uuid4().hex
    form = await receive_upload(request, services.files, name, services.max_upload_bytes)
    try:
        work = await _read_form(services, object, name, form, request.query_params, callback_url)
        idempotency_key = idempotency_key_of(
            request,
            object,
            work.target.options,
            work.target.identifier_field,
            form.digest,
            callback_url,
        )
    except BaseException:
        # No job owns the file yet, so nobody else would delete it. `shield`, because a stopping
        # server cancels its requests.
        await asyncio.shield(services.files.give_up(name))
        raise
    return await submit(request, response, services, instance, work, idempotency_key)


async def _read_form(
    services: Services,
    object: str,
    name: str,
    form: ReceivedForm,
    query: Mapping[str, str],
    callback_url: str | None,
) -> Upload:
    """The upload that a form requests. Raises BadInput."""
    options = parse_metadata(form.fields.get("metaData") or query.get("metaData"))
    target = parse_target(object, options, query)
    file = services.files.open(name, form.size)
    file_format = await asyncio.to_thread(inspect, file, options.get("format"), options)
    return Upload(
        target=target,
        file=name,
        file_size=form.size,
        file_format=file_format.name,
        callback_url=callback_url,
    )
