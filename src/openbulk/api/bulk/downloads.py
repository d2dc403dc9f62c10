"""Downloads: ask for records by a query, and fetch them as a file once they are there."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from openbulk.api.bulk.download_request import download_of_body, download_of_query
from openbulk.api.bulk.job_requests import DownloadId, find_job, submit
from openbulk.api.http import idempotency
from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInInstance, SignedInUser
from openbulk.api.http.multipart import read_form_fields
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize, parse_page_size, set_page_headers
from openbulk.api.http.parameters import (
    CALLBACK_URL,
    ObjectInPath,
    callback_url_of,
    check_callback_url,
    parse_whole_number,
)
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import JobCreated
from openbulk.api.wire.result_files import file_name, result_columns
from openbulk.api.wire.schema import Record
from openbulk.domain.errors import BadInput, Conflict, KeyMissing
from openbulk.domain.instance import Instance
from openbulk.domain.job import IdempotencyKey, Job, Status
from openbulk.engine.queries import DownloadRequest, continue_job, job_to_continue, resolve_download
from openbulk.engine.slices.downloaded_records import result_of
from openbulk.formats import MEDIA_TYPES
from openbulk.formats.base import Format
from openbulk.formats.recognition import resolve_format_name

_BODY_EXAMPLE = '{"objectName": "events"}'
asking = APIRouter(tags=["Bulk"], responses=may_answer(400, 404, 405, 409, 413, *OF_THE_SERVICE))
fetching = APIRouter(tags=["Bulk"], responses=may_answer(400, 401, 404, 405, 409))

_ASK = {
    "parameters": [
        {
            "name": name,
            "in": "query",
            "description": text,
            "required": False,
            "schema": {"type": "string", "examples": [example]},
        }
        for name, text, example in (
            (
                "q",
                "the query: `select * from events where status = 'confirmed' limit 100`",
                "select * from events where status = 'confirmed' limit 100",
            ),
            ("from", "only what was changed since (ISO 8601)", "2026-05-30T10:00:00+02:00"),
            ("to", "only what was changed until then", "2026-06-30T10:00:00+02:00"),
            ("lastRunDate", "the same as `from`", "2026-05-30T10:00:00+02:00"),
            ("continueFromJobId", "go on behind what an earlier job has read", "2"),
            ("fileFormat", "csv (the default), json, jsonl, xlsx, ics or googlecsv", "csv"),
        )
    ]
    + [CALLBACK_URL, idempotency.PARAMETER],
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "query": {"type": "string", "examples": ["select id, summary from events"]}
                    },
                }
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "metaData": {
                            "type": "string",
                            "examples": ['{"fileName": "{yyyyMMdd}_events"}'],
                        }
                    },
                }
            },
            "text/plain": {
                "schema": {"type": "string", "examples": ["select id, summary from events"]}
            },
        },
    },
}
_ASK_V3 = {
    "parameters": [idempotency.PARAMETER],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["objectName"],
                    "properties": {
                        "objectName": {"type": "string", "examples": ["events"]},
                        "format": {"type": "string", "examples": ["text/csv"]},
                        "selectFields": {
                            "type": "string",
                            "examples": ["id,summary,start.dateTime"],
                        },
                        "where": {"type": "string", "examples": ["status = 'confirmed'"]},
                        "limit": {"type": "integer", "examples": [100]},
                        "pageSize": {
                            "type": "integer",
                            "description": "records to ask the service for at a time",
                        },
                        "apiLimit": {
                            "type": "integer",
                            "description": "most pages to ask the service for",
                        },
                        "from": {
                            "type": "string",
                            "description": "only what was changed since (ISO 8601)",
                        },
                        "to": {"type": "string", "description": "only what was changed until then"},
                        "filterDateField": {
                            "type": "string",
                            "description": "the field that `from` and `to` mean",
                        },
                        "filterNulls": {
                            "type": "boolean",
                            "description": "false keeps fields that are null",
                        },
                        "continueFromJobId": {
                            "type": "integer",
                            "description": "go on behind an earlier job",
                        },
                        "notificationUrl": {
                            "type": "string",
                            "description": "where to tell the end of the job",
                        },
                        "query": {
                            "type": "object",
                            "description": "parameters of the service's own",
                            "examples": [{"showDeleted": "true"}],
                        },
                    },
                }
            }
        },
    },
}


@asking.post(
    "/bulk/query",
    summary="Download records by a query",
    openapi_extra=_ASK,
    responses=answers(JobCreated),
)
async def query(
    request: Request, response: Response, services: ServicesOfApp, instance: SignedInInstance
) -> dict[str, Any]:
    """Read what a query asks for, as a job. Answers at once with the job's id."""
    given = {
        **await _given(request),
        **{name: text for name, text in request.query_params.items() if text},
    }
    callback_url = callback_url_of(request)
    idempotency_key = idempotency.idempotency_key_of(request, "query", given, callback_url)
    asked = download_of_query(given, _new_file(), callback_url)
    return await _submit(request, response, services, instance, asked, idempotency_key)


@asking.post(
    "/bulk/download",
    summary="Download records (v3)",
    openapi_extra=_ASK_V3,
    responses=answers(JobCreated),
)
async def download(
    request: Request, response: Response, services: ServicesOfApp, instance: SignedInInstance
) -> dict[str, Any]:
    """Read the records of an object, as a job. Answers at once with the job's id."""
    body = await _json(request)
    idempotency_key = idempotency.idempotency_key_of(request, "download", body)
    return await _submit(
        request, response, services, instance, download_of_body(body, _new_file()), idempotency_key
    )


def _new_file() -> str:
    return uuid.uuid4().hex


async def _submit(
    request: Request,
    response: Response,
    services: Services,
    instance: Instance,
    wanted: DownloadRequest,
    idempotency_key: IdempotencyKey | None,
) -> dict[str, Any]:
    if (
        idempotency_key is not None
        and (
            answer := await idempotency.earlier_answer(
                response, services, instance, idempotency_key
            )
        )
        is not None
    ):
        return answer
    connector = (await services.connections.to(instance.id)).connector
    if wanted.continue_from:
        job_id = parse_whole_number(wanted.continue_from, "continueFromJobId", least=1)
        earlier = await job_to_continue(services.ledger, instance.id, job_id)
        wanted = continue_job(wanted, earlier)
    resolved = await resolve_download(wanted, connector)
    work = resolved.download.restrict_to(resolved.changes)
    check_callback_url(work.callback_url, services)
    return await submit(request, response, services, instance, work, idempotency_key)


async def _given(request: Request) -> dict[str, Any]:
    """What a body says, in whichever of the ways that clients send one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return dict(await read_form_fields(request))
    body = await read_body(request)
    if not body.strip() or body.strip() == b"null":
        return {}
    if kind == "application/json" or body.lstrip()[:1] == b"{":
        return parse_json_object(body, _BODY_EXAMPLE)
    return {"q": body.decode(errors="replace").strip()}


async def _json(request: Request) -> dict[str, Any]:
    return parse_json_object(await read_body(request), _BODY_EXAMPLE)


# --- what was read ---


@fetching.get(
    "/bulk/{job_id}/{object:path}/data",
    summary="The records of a download, page by page",
    responses=answers(list[Record]),
)
async def page(
    response: Response,
    job_id: DownloadId,
    object: ObjectInPath,
    services: ServicesOfApp,
    user: SignedInUser,
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[Any]:
    """Some of the records that a download has read, and a token for the rest."""
    job = _finished(await find_job(services, user, job_id))
    size = parse_page_size(page_size)
    begin = parse_whole_number(next_page or "1", "nextPage", least=1)
    result = await result_of(services.ledger, services.files, job, begin)
    with _opened(job):
        records = await asyncio.to_thread(lambda: list(islice(result, size)))
    behind = begin + len(records)
    set_page_headers(response, len(records), behind if behind <= job.cursor else None)
    return records


_SHOWN = {
    "csv": "id,summary\nchoir2026,Choir practice\n",
    "json": '[{"id": "choir2026", "summary": "Choir practice"}]',
    "jsonl": '{"id": "choir2026", "summary": "Choir practice"}\n',
    "ics": "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n",
    "xlsx": "(the bytes of a workbook)",
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the file; a CSV ends in a newline",
        "content": {
            MEDIA_TYPES[name]: {"schema": {"type": "string"}, "example": example}
            for name, example in _SHOWN.items()
        },
    }
}


@fetching.get(
    "/bulk/{job_id}/{object:path}",
    summary="The records of a download, as a file",
    response_class=StreamingResponse,
    responses=_FILE,
)
async def file(
    request: Request,
    job_id: DownloadId,
    object: ObjectInPath,
    services: ServicesOfApp,
    user: SignedInUser,
) -> StreamingResponse:
    """The records that a download has read, in the format that `Accept` asks for."""
    job = _finished(await find_job(services, user, job_id))
    wanted = await _format(services, job, request.headers.get("accept", ""))
    result = await result_of(services.ledger, services.files, job)
    pieces = wanted.write(result, result_columns(job))
    # The first piece finds out whether the file can be written, while that can still be said.
    with _opened(job):
        first = await asyncio.to_thread(next, pieces, b"")
    headers = {
        "content-type": MEDIA_TYPES[wanted.name],
        "content-disposition": _disposition(file_name(job, wanted.name)),
    }
    return StreamingResponse(_rest(first, pieces), headers=headers)


def _disposition(name: str) -> str:
    """RFC 6266: the name for those who read ASCII only, and the whole of it."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    whole = "" if plain == name else f"; filename*=UTF-8''{quote(name)}"
    return f'attachment; filename="{plain}"{whole}'


def _finished(job: Job) -> Job:
    if not job.is_download:
        raise BadInput(
            f"job {job.id} is an upload; /bulk/{job.id}/errors has the records that were not taken"
        )
    if not job.is_finished:
        raise Conflict(
            f"job {job.id} is {job.status.value}; its records are there once it is finished"
        )
    if job.status is not Status.COMPLETE:
        raise Conflict(
            f"job {job.id} ended as {job.status.value}: {job.error or 'it was cancelled'}"
        )
    return job


@contextmanager
def _opened(job: Job) -> Iterator[None]:
    try:
        yield
    except KeyMissing as error:
        raise Conflict(
            f"the records of job {job.id} were sealed with a master key that this server does not have any more; they "
            "can be read when it stands in OPENBULK_MASTER_KEY again, behind the first"
        ) from error


async def _format(services: Services, job: Job, accept: str) -> Format:
    """By `Accept`; what a job of v3 was asked for cannot be changed any more."""
    asked = job.download.file_format
    wanted = _accepted(accept, asked)
    if job.download.is_v3 and wanted != asked:
        raise BadInput(
            f"job {job.id} was asked for as {MEDIA_TYPES[asked]}; send Accept: {MEDIA_TYPES[asked]}"
        )
    if wanted == "json":
        instance = await services.accounts.instance(job.instance_id)
        if (
            instance is not None
            and instance.configuration.get("bulk.json.lines", "").lower() == "true"
        ):
            return services.formats["jsonl"]
    return services.formats[wanted]


def _accepted(accept: str, default: str) -> str:
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",") if kind.strip()]
    for kind in kinds:
        if kind in {"*/*", "text/*", "application/*"}:
            return default
        with suppress(BadInput):
            return resolve_format_name(kind) or default
    if kinds:
        raise BadInput(
            f"Accept {accept[:100]!r} is not known; it can be {', '.join(MEDIA_TYPES.values())}"
        )
    return default


async def _rest(first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
