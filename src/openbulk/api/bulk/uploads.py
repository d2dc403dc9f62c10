"""Uploads: a job sends the records of a file to the service."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request, Response

from openbulk.api.bulk.files import find_file
from openbulk.api.bulk.job_requests import (
    CALLBACK_URL,
    IDEMPOTENCY_KEY,
    callback_url_of,
    check_callback_url,
    has_earlier_answer,
    idempotency_key_of,
    require_room,
    require_room_for_body,
    require_room_for_file,
    submit,
)
from openbulk.api.bulk.mapping_option import with_mapping
from openbulk.api.bulk.metadata import (
    describe_upload_options,
    has_mapping,
    is_for_one_object,
    is_plan,
    parse_target,
    read_upload_options,
    use_upload_options,
)
from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInCaller, SignedInInstance
from openbulk.api.http.multipart import ReceivedForm, is_form, receive_upload
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.parameters import ObjectInPath
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import JobCreated
from openbulk.byte_budget import PlaceOwner
from openbulk.connectors.base import Provider
from openbulk.connectors.targets import ResolvedObject, resolve_object
from openbulk.domain.errors import BadInput, ServiceError
from openbulk.domain.instance import CallingInstance
from openbulk.domain.job import Upload
from openbulk.domain.options import option_text
from openbulk.domain.people import Caller
from openbulk.engine.upload_check import CHECKED_ROWS
from openbulk.formats.recognition import Inspection
from openbulk.reading.reader import StoredFile

_JSON_EXAMPLE = '{"metaData": {"fileId": "1", "action": "create"}}'

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
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["metaData"],
                    "properties": {
                        "metaData": {
                            "type": "object",
                            "description": "`metaData` of a job that uses a file of `POST /files`.",
                            "examples": [{"fileId": "1", "action": "create"}],
                        }
                    },
                }
            },
        },
    },
}


@router.post(
    "/bulk/{object:path}",
    summary="Upload a file",
    openapi_extra=_REQUEST,
    responses=answers(JobCreated, 400, 404, 409, 413, 507),
)
async def upload(
    request: Request,
    response: Response,
    object: ObjectInPath,
    services: ServicesOfApp,
    caller: SignedInCaller,
    instance: SignedInInstance,
) -> dict[str, Any]:
    """Create a job that sends the records of a file to the service.

    openbulk answers as soon as the file has arrived. The answer has the job's id.
    """
    callback_url = callback_url_of(request)
    # Before the file arrives, which may be large.
    await check_callback_url(callback_url, services, instance)
    await require_room(request, services, instance, callback_url)
    await require_room_for_body(request, services)
    name = uuid.uuid4().hex
    form = await _receive(request, services, name)
    try:
        options = await _read_options(services, instance, form, request.query_params)
        file = await _find_uploaded(services, caller, options, form)
        work, inspection = await _read_form(
            services, instance, object, name, file, options, request.query_params, callback_url
        )
        idempotency_key = idempotency_key_of(
            request,
            object,
            work.target.options,
            work.target.identifier_field,
            file.digest,
            callback_url,
        )
        # A repeated request gets its job, whatever has become of the object. The live service has
        # a job for every upload, with an error for each row.
        is_repeated = await has_earlier_answer(services, instance, idempotency_key)
        if not is_repeated:
            await require_room_for_file(request, services, form.size)
            work = await _make_workable(services, caller, work, inspection)
    except BaseException:
        # No job owns the file yet, so nobody else would delete it. `shield`, because a stopping
        # server cancels its requests.
        await asyncio.shield(services.files.give_up(name))
        raise
    return await submit(request, response, services, instance, work, idempotency_key)


async def _receive(request: Request, services: Services, name: str) -> ReceivedForm:
    """The form of an upload; or what stands for it if a job uses a file that was sent before."""
    if is_form(request):
        return await receive_upload(request, services.files, name, services.max_upload_bytes)
    if "json" in request.headers.get("content-type", ""):
        body = parse_json_object(await read_body(request), _JSON_EXAMPLE)
        metadata = body["metaData"] if set(body) == {"metaData"} else body
        return ReceivedForm(0, "", {"metaData": metadata}, has_file=False)
    if request.headers.get("content-length", "0") == "0" and request.query_params.get("metaData"):
        return ReceivedForm(0, "", has_file=False)
    return await receive_upload(request, services.files, name, services.max_upload_bytes)


async def _read_options(
    services: Services, instance: CallingInstance, form: ReceivedForm, query: Mapping[str, str]
) -> dict[str, Any]:
    provider = await services.elements.provider(instance.organization_id, instance.element)
    known = {**services.elements.built_in, provider.key: provider}
    return read_upload_options(form.fields, query, known)


@dataclass(frozen=True, slots=True)
class _File:
    """The file of a job: it came with the request, or was sent before."""

    size: int
    digest: str
    options: Mapping[str, Any]
    """How it is read, as far as the job does not say otherwise."""
    uploaded_as: str | None = None
    """Its name in the file store if it was sent before."""
    takes_events: bool = False
    """Whether a file that was sent before was recognized as one of events."""


async def _find_uploaded(
    services: Services, caller: Caller, options: Mapping[str, Any], form: ReceivedForm
) -> _File:
    """The file of a job. Raises BadInput for none, or two, and NotFound."""
    file_id = options.get("fileId")
    if file_id in (None, ""):
        form.require_file()
        return _File(form.size, form.digest, {})
    if form.has_file:
        raise BadInput(
            "metaData.fileId names a file, and the form has one, too; leave one of them out"
        )
    file = await find_file(services, caller, option_text(file_id))
    return _File(file.size, file.digest, file.options, file.file, file.takes_events)


async def _read_form(
    services: Services,
    instance: CallingInstance,
    object: str,
    name: str,
    file: _File,
    given: Mapping[str, Any],
    query: Mapping[str, str],
    callback_url: str | None,
) -> tuple[Upload, Inspection]:
    """The upload that a form requests, and the beginning of its file. Raises BadInput."""
    provider = await services.elements.provider(instance.organization_id, instance.element)
    options = {**file.options, **given}
    names = await services.transformations.names_of(instance.id, object)
    vendor_object = object if names is None else names.vendor_name
    inspection = await services.inspectors.inspect(
        StoredFile(file.uploaded_as or name, file.size),
        options.get("format"),
        options,
        CHECKED_ROWS,
        takes_events=_takes_events(provider, vendor_object, file, options),
        owner=PlaceOwner(instance.organization_id, instance.id),
    )
    resolved = None
    if is_for_one_object(options, provider):
        resolved = await _resolve(services, instance, vendor_object)
    used = use_upload_options(options, provider, inspection.format, resolved)
    target = replace(parse_target(object, used, query), transformation=names)
    work = Upload(
        target=target,
        file=name,
        file_size=file.size,
        file_format=inspection.format.name,
        callback_url=callback_url,
        uploaded_file=file.uploaded_as,
        planned_file=file.digest if is_plan(used.values) else None,
    )
    return work, inspection


async def _make_workable(
    services: Services, caller: Caller, work: Upload, inspection: Inspection
) -> Upload:
    """The upload with its mapping. Raises BadInput if no record of it can work."""
    instance = caller.instance
    assert instance is not None
    target = work.target
    if has_mapping(target.options):
        target = await with_mapping(services, caller, target, inspection)
    if services.live_compatible and target.mapping is None:
        await services.intake.require_permission(instance, target)
    else:
        await services.intake.require_possible(instance, target, inspection)
    return replace(work, target=target)


def _takes_events(provider: Provider, object: str, file: _File, options: Mapping[str, Any]) -> bool:
    """Whether Google Calendar's CSV is recognized.

    A mapping names the columns as `GET /files/{id}` shows them, or else as they stand in the file.
    """
    # An object may be named by a path: calendars/primary/events.
    is_for_events = object.rpartition("/")[2] in provider.event_objects
    return is_for_events and (file.takes_events or not has_mapping(options))


async def _resolve(
    services: Services, instance: CallingInstance, object: str
) -> ResolvedObject | None:
    """The object that an upload names; None if the service does not list its objects now."""
    try:
        connector = (await services.connections.to(instance.id)).connector
        return resolve_object(object, await connector.objects())
    except ServiceError:
        return None  # the job will meet the same failure, and wait for the service
