"""Downloads: a job reads the records that a query selects into a file."""

import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from openbulk.api.bulk.download_request import (
    QUERY_KEYS,
    download_of_body,
    download_of_query,
    require_same_query,
)
from openbulk.api.bulk.job_requests import (
    CALLBACK_URL,
    IDEMPOTENCY_KEY,
    callback_url_of,
    check_callback_url,
    earlier_answer,
    idempotency_key_of,
    require_room,
    require_room_for_file,
    submit,
)
from openbulk.api.bulk.metadata import PLAN
from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInInstance
from openbulk.api.http.multipart import read_form_fields
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.parameters import parse_whole_number
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import JobCreated
from openbulk.api.wire.query_texts import EXAMPLE
from openbulk.domain.errors import BadInput
from openbulk.domain.instance import CallingInstance
from openbulk.domain.job import IdempotencyKey
from openbulk.domain.spelling import known_spelling
from openbulk.engine.query_resolution import (
    DownloadRequest,
    continue_job,
    job_to_continue,
    resolve_download,
)

router = APIRouter(tags=["Bulk"], responses=may_answer(400, 404, 405, 409, 413, *OF_THE_SERVICE))

_BODY_EXAMPLE = '{"objectName": "events"}'
_SELECT = "select id, summary from events"
_CHANGED_FROM = "Only records changed at this time or later (ISO 8601)."
_CHANGED_TO = "Only records changed at this time or earlier."
_CONTINUE = "Id of an earlier job; reading continues where it ended."


def _parameter(name: str, description: str, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "required": False,
        "schema": {"type": "string", "examples": [example]},
    }


def _property(type: str, description: str, example: Any) -> dict[str, Any]:
    return {"type": type, "description": description, "examples": [example]}


def _object(**properties: Any) -> dict[str, Any]:
    return {"schema": {"type": "object", "properties": properties}}


_QUERY = {
    "parameters": [
        _parameter("q", f"The query: `{EXAMPLE}`", EXAMPLE),
        _parameter("from", _CHANGED_FROM, "2026-05-30T10:00:00+02:00"),
        _parameter("to", _CHANGED_TO, "2026-06-30T10:00:00+02:00"),
        _parameter("lastRunDate", "Another name of `from`.", "2026-05-30T10:00:00+02:00"),
        _parameter("continueFromJobId", _CONTINUE, "2"),
        _parameter("fileFormat", "csv (the default), json, jsonl, xlsx, ics or googlecsv.", "csv"),
        CALLBACK_URL,
        IDEMPOTENCY_KEY,
    ],
    "requestBody": {
        "required": False,
        "content": {
            "application/json": _object(query=_property("string", "The query.", _SELECT)),
            "multipart/form-data": _object(
                metaData=_property(
                    "string",
                    "JSON object with options, such as `fileName`.",
                    '{"fileName": "{yyyyMMdd}_events"}',
                )
            ),
            "text/plain": {"schema": _property("string", "The query.", _SELECT)},
        },
    },
}
_DOWNLOAD = {
    "parameters": [IDEMPOTENCY_KEY],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["objectName"],
                    "properties": {
                        "objectName": _property("string", "The object to read.", "events"),
                        "format": _property(
                            "string", "Format of the file, by its name or media type.", "text/csv"
                        ),
                        "selectFields": _property(
                            "string",
                            "Fields to keep, comma-separated. All fields if empty.",
                            "id,summary,start.dateTime",
                        ),
                        "where": _property("string", "A condition.", "status = 'confirmed'"),
                        "limit": _property("integer", "Maximum number of records.", 100),
                        "pageSize": _property(
                            "integer",
                            "Maximum number of records for each call of the service.",
                            200,
                        ),
                        "apiLimit": _property(
                            "integer", "Maximum number of pages to read from the service.", 10
                        ),
                        "from": _property("string", _CHANGED_FROM, "2026-05-30T10:00:00+02:00"),
                        "to": _property("string", _CHANGED_TO, "2026-06-30T10:00:00+02:00"),
                        "filterDateField": _property(
                            "string", "The field with the date for `from` and `to`.", "updated"
                        ),
                        "filterNulls": _property(
                            "boolean", "`false` keeps fields that are null.", False
                        ),
                        "continueFromJobId": _property("integer", _CONTINUE, 2),
                        "notificationUrl": _property(
                            "string",
                            "URL that openbulk calls when the job finishes.",
                            "https://example.com/hooks/openbulk",
                        ),
                        "query": _property(
                            "object", "Parameters of the service.", {"showDeleted": "true"}
                        ),
                        "fileName": _property(
                            "string", "Name of the file, with masks.", "{yyyyMMdd}_events"
                        ),
                        "callback-payload": {
                            "description": "Any JSON; the callback returns it.",
                            "examples": [{"import": 17}],
                        },
                    },
                },
                "example": {
                    "objectName": "events",
                    "format": "text/csv",
                    "selectFields": "id,summary,start.dateTime",
                    "where": "status = 'confirmed'",
                    "limit": 100,
                    "query": {"showDeleted": "true"},
                },
            }
        },
    },
}


@router.post(
    "/bulk/query",
    summary="Download records by a query",
    openapi_extra=_QUERY,
    responses=answers(JobCreated),
)
async def query(
    request: Request, response: Response, services: ServicesOfApp, instance: SignedInInstance
) -> dict[str, Any]:
    """Create a job that reads the records that a query selects. The answer has the job's id."""
    _refuse_plan(request.query_params)
    # The contract ignores a parameter that it does not know.
    parameters = {
        name: text
        for name, text in request.query_params.items()
        if text and known_spelling(name, QUERY_KEYS)
    }
    given = {**await _read_options(request), **parameters}
    _refuse_plan(given)
    callback_url = callback_url_of(request)
    idempotency_key = idempotency_key_of(request, "query", given, callback_url)
    wanted = download_of_query(given, _new_file(), callback_url)
    return await _submit(request, response, services, instance, wanted, idempotency_key)


@router.post(
    "/bulk/download",
    summary="Download records (v3)",
    openapi_extra=_DOWNLOAD,
    responses=answers(JobCreated),
)
async def download(
    request: Request, response: Response, services: ServicesOfApp, instance: SignedInInstance
) -> dict[str, Any]:
    """Create a job that reads the records of an object. The answer has the job's id."""
    _refuse_plan(request.query_params)
    body = parse_json_object(await read_body(request), _BODY_EXAMPLE)
    _refuse_plan(body)
    idempotency_key = idempotency_key_of(request, "download", body)
    wanted = download_of_body(body, _new_file())
    return await _submit(request, response, services, instance, wanted, idempotency_key)


def _refuse_plan(given: Mapping[str, Any]) -> None:
    """Raise BadInput for a plan of a download: who asks for one counts on it."""
    name = next((name for name in given if known_spelling(name, (PLAN,))), None)
    if name is not None and str(given[name]).lower() not in ("", "false", "none"):
        raise BadInput(
            f"{name} is {str(given[name])[:40]!r}, and a download has no plan: it writes nothing. "
            "Leave it out; POST /bulk/{object}?plan=true plans an upload"
        )


def _new_file() -> str:
    return uuid.uuid4().hex


async def _submit(
    request: Request,
    response: Response,
    services: Services,
    instance: CallingInstance,
    wanted: DownloadRequest,
    idempotency_key: IdempotencyKey | None,
) -> dict[str, Any]:
    await require_room(request, services, instance, wanted.download.callback_url)
    # Answer a retry before asking the service, which may have changed and refuse the query now.
    answer = await earlier_answer(response, services, instance, idempotency_key)
    if answer is not None:
        return answer
    await require_room_for_file(request, services, None)
    connector = (await services.connections.to(instance.id)).connector
    transformation = None
    if wanted.continue_from:
        job_id = parse_whole_number(wanted.continue_from, "continueFromJobId", minimum=1)
        earlier = await job_to_continue(services.ledger, instance.id, job_id)
        require_same_query(wanted, earlier)
        # It keeps the names of the earlier job.
        wanted = continue_job(wanted, earlier)
    else:
        object_name = wanted.download.query.object
        transformation = await services.transformations.names_of(instance.id, object_name)
    resolved = await resolve_download(
        wanted, connector, transformation, ignores_dates=services.live_compatible
    )
    work = resolved.download.restrict_to(resolved.changes)
    await check_callback_url(work.callback_url, services, instance)
    return await submit(request, response, services, instance, work, idempotency_key)


async def _read_options(request: Request) -> dict[str, Any]:
    """The options in a body, which is a form, a JSON object, the text of a query, or empty."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return dict(await read_form_fields(request))
    body = (await read_body(request)).strip()
    if body in (b"", b"null"):
        return {}
    # Some clients send a JSON object without its content type.
    if kind == "application/json" or body.startswith(b"{"):
        return parse_json_object(body, _BODY_EXAMPLE)
    return {"q": body.decode(errors="replace").strip()}
