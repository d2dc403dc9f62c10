"""Retries: a job sends rows of an earlier one again, as they were mended."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from openbulk.api.bulk.job_requests import (
    CALLBACK_URL,
    IDEMPOTENCY_KEY,
    JobId,
    earlier_answer,
    idempotency_key_of,
    prepare_later_job,
    submit,
)
from openbulk.api.bulk.mending import find_upload_to_change, require_file
from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.multipart import ReceivedForm, receive_upload
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.parameters import parse_flag
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import JobCreated
from openbulk.api.wire.mending import DRIFTED_WORD, OUTCOMES, RETRIED_WORDS
from openbulk.byte_budget import PlaceOwner
from openbulk.domain.errors import BadInput, Conflict
from openbulk.domain.instance import CallingInstance
from openbulk.domain.job import Job, Status
from openbulk.domain.row_kinds import RowKind
from openbulk.engine.retries import work_of_retry
from openbulk.formats.csv.delimiter_candidates import DELIMITERS
from openbulk.reading.reader import StoredFile
from openbulk.storage.retries import RetriedRows

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405))

_EXAMPLE = '{"kind": ["failed", "unknown", "notReached"]}'
_REQUEST = {
    "parameters": [
        {
            "name": "plan",
            "in": "query",
            "description": "true makes a job that writes nothing, and says what it would do.",
            "required": False,
            "schema": {"type": "string", "examples": ["false"]},
        },
        CALLBACK_URL,
        IDEMPOTENCY_KEY,
    ],
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "kind": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "enum": list(RETRIED_WORDS)},
                            "description": "What became of the rows to retry. Without it, all of "
                            "these kinds; `drifted` only with `plan=true`, as records are "
                            "overwritten.",
                            "examples": [["failed"]],
                        },
                        "group": {
                            "type": "string",
                            "description": "Id of a group of `/bulk/{job_id}/errors/groups`, in "
                            "place of `kind`.",
                        },
                    },
                }
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "Results of the job that were mended: the rows in it "
                            "are retried. `openbulk.row` says which row each is.",
                            "examples": ["summary,start.date,openbulk.row\nLate,2026-02-28,2\n"],
                        }
                    },
                }
            },
        },
    },
}


@router.post(
    "/bulk/{job_id}/retry",
    summary="Retry rows of an upload",
    openapi_extra=_REQUEST,
    responses=answers(JobCreated, 400, 404, 409, 413, 507),
)
async def retry(
    request: Request,
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
) -> dict[str, Any]:
    """Create a job that sends rows of a finished upload again, with the values mended in them.

    Rows keep their numbers and keys: what had arrived after all is not made a second time.
    """
    job = await find_upload_to_change(services, caller, job_id)
    _require_no_rows_planned(job)
    is_plan = parse_flag(request.query_params.get("plan", ""), "plan")
    instance, callback_url = await prepare_later_job(request, services, job)
    if "multipart/form-data" in request.headers.get("content-type", ""):
        return await _retry_with_file(
            request, response, services, instance, job, callback_url, is_plan=is_plan
        )
    body = await read_body(request)
    kinds, group = _parse_body(body, with_drifted=is_plan)
    key = idempotency_key_of(
        request, job.id, [*map(str, kinds)], group, callback_url, *_words_of(is_plan)
    )
    answer = await earlier_answer(response, services, instance, key)
    if answer is not None:
        return answer
    rows = await services.retries.choose(job, kinds, group)
    work = work_of_retry(job, uuid.uuid4().hex, rows, callback_url, is_plan=is_plan)
    return await submit(request, response, services, instance, work, key, rows)


def _words_of(is_plan: bool) -> Sequence[str]:
    """What a plan adds to the content of a request: nothing to that of a request without one."""
    return ["plan"] if is_plan else []


def _require_no_rows_planned(job: Job) -> None:
    """Raise Conflict for a job with rows that are still to be carried out."""
    if job.status is Status.PLANNED:
        raise Conflict(
            f"{job.not_reached} rows of the plan of job {job.id} are left; carry it out to its end "
            f"(PUT /bulk/{job.id}/apply), and retry rows then"
        )


async def _retry_with_file(
    request: Request,
    response: Response,
    services: Services,
    instance: CallingInstance,
    job: Job,
    callback_url: str | None,
    *,
    is_plan: bool,
) -> dict[str, Any]:
    require_file(job)
    name = uuid.uuid4().hex
    form = await receive_upload(request, services.files, name, services.max_upload_bytes)
    try:
        if form.fields:
            raise BadInput(f"the form has a part {next(iter(form.fields))!r}; it takes file alone")
        key = idempotency_key_of(request, job.id, form.digest, callback_url, *_words_of(is_plan))
        answer = await earlier_answer(response, services, instance, key)
        if answer is not None:
            return answer
        rows = await _read_results(services, job, name, form)
    finally:
        # Its values are in the ledger now, or nowhere.
        await asyncio.shield(services.files.give_up(name))
    work = work_of_retry(job, uuid.uuid4().hex, rows, callback_url, is_plan=is_plan)
    return await submit(request, response, services, instance, work, key, rows)


async def _read_results(services: Services, job: Job, name: str, form: ReceivedForm) -> RetriedRows:
    """The rows of a file of mended results. Raises BadInput."""
    file, owner = StoredFile(name, form.size), PlaceOwner(job.organization_id, job.instance_id)
    beginning = await services.files.block(name, 0, form.size) if form.size else b""
    is_jsonl = beginning.lstrip().startswith(b"{")  # also if it is a single line
    # Another one than these is not recognized.
    options = {} if job.delimiter in DELIMITERS else {"delimiter": job.delimiter}
    found = await services.inspectors.inspect(
        file, "jsonl" if is_jsonl else None, options, 1, takes_events=False, owner=owner
    )
    _require_fitting(job, found.format.name)
    async with services.inspectors.parts(file, found.format.name, options, owner=owner) as parts:
        return await services.retries.read(job, parts)


def _require_fitting(job: Job, name: str) -> None:
    """Raise BadInput for a table of records that were none: numbers would become texts."""
    fitting = ("csv", "xlsx", "json", "jsonl") if job.columns else ("json", "jsonl")
    if name not in fitting:
        raise BadInput(
            f"the file is {name}; job {job.id} had {job.upload.file_format}: mend its results in "
            f"the format {'csv, xlsx or jsonl' if job.columns else 'jsonl'}"
        )


def _parse_body(body: bytes, *, with_drifted: bool) -> tuple[Sequence[RowKind], str | None]:
    """The kinds of rows in a body, or the group. Raises BadInput.

    Rows that have drifted are among those that no body names only `with_drifted`: a retry would
    overwrite what others have changed.
    """
    default = [word for word in RETRIED_WORDS if with_drifted or word != DRIFTED_WORD]
    content = parse_json_object(body, _EXAMPLE) if body.strip() else {}
    unknown = content.keys() - {"kind", "group"}
    if unknown:
        raise BadInput(f"the body takes no key {min(unknown)[:80]!r}; it looks like {_EXAMPLE}")
    if "kind" in content and "group" in content:
        raise BadInput('the body has "kind" and "group"; send one of them')
    group = content.get("group")
    if "group" in content and not isinstance(group, str):
        raise BadInput("body.group must be a string: the id of a group of errors")
    kinds = content.get("kind", default)
    if not isinstance(kinds, list) or not kinds:
        raise BadInput(f"body.kind must be a list, and not empty; the body looks like {_EXAMPLE}")
    for word in kinds:
        if word not in RETRIED_WORDS:
            raise BadInput(
                f"body.kind has {str(word)[:40]!r}; what can be retried is "
                f"{', '.join(RETRIED_WORDS)}"
            )
    return [OUTCOMES[word] for word in kinds], group
