"""Undoes jobs: a job puts back what an earlier one has written."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from openbulk.api.bulk.job_requests import (
    CALLBACK_URL,
    IDEMPOTENCY_KEY,
    JobId,
    earlier_answer,
    find_job,
    idempotency_key_of,
    prepare_later_job,
    require_instance,
    submit,
)
from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.parameters import parse_flag
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.jobs import JobCreated
from openbulk.domain.errors import BadInput
from openbulk.domain.job import Job, Undo
from openbulk.engine.undoing import work_of_undo

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405))

MAX_ROWS = 10_000
_KEYS = ("kept", "rows", "sendUpdates")
_KEPT = ("leave", "overwrite")
_SEND_UPDATES = ("none", "all", "externalOnly")
_EXAMPLE = '{"kept": "overwrite", "rows": [2]}'
_REQUEST = {
    "parameters": [CALLBACK_URL, IDEMPOTENCY_KEY],
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "kept": {
                            "type": "string",
                            "enum": list(_KEPT),
                            "description": "What becomes of records that somebody has changed "
                            "since: `leave` leaves them alone, `overwrite` puts the fields that "
                            "the job wrote back. `leave` without it.",
                            "examples": ["leave"],
                        },
                        "rows": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_ROWS,
                            "items": {"type": "integer", "minimum": 1},
                            "description": "Numbers of the rows to undo. All that the job wrote "
                            "without it.",
                            "examples": [[1]],
                        },
                        "sendUpdates": {
                            "type": "string",
                            "enum": list(_SEND_UPDATES),
                            "description": "Whom Google mails about its events; nobody without it.",
                            "examples": ["none"],
                        },
                    },
                }
            }
        },
    },
}


@router.post(
    "/bulk/{job_id}/undo",
    summary="Undo an upload",
    openapi_extra=_REQUEST,
    responses=answers(JobCreated, 400, 404, 409, 413, 507),
)
async def undo(
    request: Request,
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    plan: Annotated[
        str,
        Query(description="true: the job only says what the undo would do.", examples=["false"]),
    ] = "",
) -> dict[str, Any]:
    """Create a job that puts back what a finished upload has written, the last row first.

    What was created is deleted, what was changed gets its old values, what was deleted is made
    again. A record that somebody has changed since is kept as it is.
    """
    job = await find_job(services, caller, job_id)
    instance, callback_url = await prepare_later_job(request, services, job)
    content = _parse_body(await read_body(request))
    is_plan = parse_flag(plan, "plan")
    key = idempotency_key_of(request, job.id, content, is_plan, callback_url)
    answer = await earlier_answer(response, services, instance, key)
    if answer is not None:
        return answer
    await require_instance(services, job, "upload the records as they were with it")
    if "sendUpdates" in content:
        await _require_mails(services, job)
    wanted = _undo_of(job.id, content)
    await services.undoing.require_possible(job, wanted)
    options = {name: content[name] for name in ("sendUpdates",) if name in content}
    work = work_of_undo(job, uuid.uuid4().hex, wanted, options, callback_url, is_plan=is_plan)
    return await submit(request, response, services, instance, work, key)


async def _require_mails(services: Services, job: Job) -> None:
    """Raise BadInput if the service of a job mails nobody."""
    instance = await services.accounts.instance(job.instance_id)
    if instance is None:
        return
    provider = await services.elements.provider(job.organization_id, instance.element)
    if all(option.name != "sendUpdates" for option in provider.options):
        raise BadInput(
            f"body.sendUpdates has no effect: {provider.name} mails nobody about records; leave it "
            "out"
        )


def _parse_body(body: bytes) -> Mapping[str, Any]:
    """The content of a body. Raises BadInput."""
    content = parse_json_object(body, _EXAMPLE) if body.strip() else {}
    for name in content:
        if name not in _KEYS:
            raise BadInput(f"the body takes no key {name[:80]!r}; it looks like {_EXAMPLE}")
    _require_choice(content, "kept", _KEPT)
    _require_choice(content, "sendUpdates", _SEND_UPDATES)
    return content


def _require_choice(content: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> None:
    if name in content and content[name] not in choices:
        raise BadInput(
            f"body.{name} is {str(content[name])[:40]!r}; it can be {' or '.join(choices)}"
        )


def _undo_of(job_id: int, content: Mapping[str, Any]) -> Undo:
    """What is to be undone. Raises BadInput."""
    rows = content.get("rows")
    if "rows" in content and not _are_rows(rows):
        raise BadInput(
            f"body.rows must be a list of row numbers from 1, at most {MAX_ROWS:,}; the body looks "
            f"like {_EXAMPLE}"
        )
    return Undo(job_id, content.get("kept") == "overwrite", None if rows is None else tuple(rows))


def _are_rows(value: object) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ROWS:
        return False
    return all(type(row) is int and row > 0 for row in value)
