"""Requests about jobs: submit one, and only one for each idempotency key, or find one by its id."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import orjson
from fastapi import Path, Request, Response

from openbulk.api.http.audit import deed_with_job, note_plan, note_written
from openbulk.api.http.multipart import MAX_FIELD_BYTES
from openbulk.api.http.permissions import require_permission
from openbulk.api.http.ways_of_writing import require_free_to_write
from openbulk.api.services import Services
from openbulk.api.wire.approvals import present_approval
from openbulk.api.wire.ids import parse_id
from openbulk.api.wire.jobs import present_new_job
from openbulk.domain.access import Permission
from openbulk.domain.errors import (
    BadInput,
    CallerError,
    Conflict,
    DiskFull,
    IdempotencyKeyTaken,
    LimitReached,
    NotAllowed,
    NotFound,
    TooManyUnderWay,
)
from openbulk.domain.instance import CallingInstance
from openbulk.domain.job import Download, IdempotencyKey, Job, Upload
from openbulk.domain.people import Caller
from openbulk.engine.results import require_there
from openbulk.notify.callbacks import check_host
from openbulk.notify.egress import check_url
from openbulk.storage.retries import RetriedRows

JobId = Annotated[str, Path(description="Id of the job.", examples=["1"])]
DownloadId = Annotated[str, Path(description="Id of a complete download job.", examples=["2"])]

CALLBACK_HEADER = "Elements-Async-Callback-Url"
CALLBACK_URL = {
    "name": CALLBACK_HEADER,
    "in": "header",
    "description": "URL that openbulk calls when the job finishes.",
    "required": False,
    "schema": {"type": "string", "examples": ["https://example.com/hooks/openbulk"]},
}
# The two idempotency headers are those of Stripe and others
# (https://docs.stripe.com/api/idempotent_requests).
MAX_KEY = 255
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Identifies the request, so that a retry does not create a second job. A UUID "
    "is a good key.",
    "required": False,
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_KEY,
        "examples": ["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    },
}
MAX_CALLBACKS = 10_000
"""Callbacks of an organization that are neither delivered nor given up, beyond which no job with a
callback is accepted. Those of schedules count, and are not refused."""
REPLAYED = "Idempotent-Replayed"
"""Header of an answer that repeats an earlier one."""


def callback_url_of(request: Request) -> str | None:
    """The URL in the header `Elements-Async-Callback-Url`; an empty one counts as absent."""
    return request.headers.get(CALLBACK_HEADER) or None


async def check_callback_url(url: str | None, services: Services, calling: CallingInstance) -> None:
    """Raise BadInput if this server must not call the URL, or not for this instance."""
    if url is None:
        return
    check_url(url, CALLBACK_HEADER, allowed=services.allowed_networks)
    instance = await services.accounts.instance(calling.id)
    if instance is not None:
        check_host(url, instance.configuration)


async def prepare_later_job(
    request: Request, services: Services, job: Job
) -> tuple[CallingInstance, str | None]:
    """The instance of a job that follows up an earlier one, and its callback URL.

    It is the job's own instance, for the caller may act for the organization. Raises BadInput,
    LimitReached and TooManyUnderWay.
    """
    instance = CallingInstance(job.instance_id, job.organization_id, "")
    callback_url = callback_url_of(request)
    await check_callback_url(callback_url, services, instance)
    await require_room(request, services, instance, callback_url)
    return instance, callback_url


def idempotency_key_of(request: Request, *content: Any) -> IdempotencyKey | None:
    """The key of a request, with the digest of its content. None without the header.

    Raises BadInput.
    """
    header = request.headers.get("idempotency-key")
    if header is None:
        return None
    key = header.strip()
    if not key:  # the caller relies on a key and forgot to fill it in
        raise BadInput("Idempotency-Key is empty; give it a UUID, or leave the header out")
    if len(key) > MAX_KEY:
        raise BadInput(
            f"Idempotency-Key has {len(key)} characters; it can have {MAX_KEY}; a UUID is enough"
        )
    text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return IdempotencyKey(key, hashlib.sha256(text).hexdigest())


async def has_earlier_answer(
    services: Services, instance: CallingInstance, idempotency_key: IdempotencyKey | None
) -> bool:
    """Whether a request with this key has created a job."""
    if idempotency_key is None:
        return False
    return await services.ledger.job_with_key(instance.id, idempotency_key.key) is not None


async def require_room(
    request: Request, services: Services, instance: CallingInstance, callback_url: str | None
) -> None:
    """Raise LimitReached if the organization has as many unfinished jobs as it may have.

    Raises TooManyUnderWay if it has too many open callbacks. A repeated request passes: it gets its
    job, and makes none.
    """
    caller: Caller = request.state.caller
    try:
        await services.limits.require_job(instance.organization_id, caller.limits)
        if callback_url and await _has_too_many_callbacks(services, instance):
            raise TooManyUnderWay(
                f"the organization has {MAX_CALLBACKS:,} callbacks that no receiver has taken, "
                "which is the limit; repair the receivers, or send the request without a callback "
                "URL"
            )
    except (LimitReached, TooManyUnderWay):
        if not await has_earlier_answer(services, instance, idempotency_key_of(request)):
            raise


async def require_room_for_body(request: Request, services: Services) -> None:
    """Raise LimitReached before a body arrives whose file the organization may not keep.

    A repeated request passes: its file is not kept.
    """
    length = request.headers.get("content-length", "")
    if idempotency_key_of(request) is None and length.isdecimal():
        # What is in a form beside its file does not count.
        least = int(length) - MAX_FIELD_BYTES
        if least > 0:
            await require_room_for_file(request, services, least)


async def require_room_for_file(request: Request, services: Services, size: int | None) -> None:
    """Raise LimitReached if the organization may not keep a file of so many bytes.

    None for a download, whose size nobody knows yet.
    """
    caller: Caller = request.state.caller
    if size != 0:
        await services.limits.require_bytes(caller.user.organization_id, caller.limits, size)


async def _has_too_many_callbacks(services: Services, instance: CallingInstance) -> bool:
    return await services.deliveries.count_open(instance.organization_id) >= MAX_CALLBACKS


async def earlier_answer(
    response: Response,
    services: Services,
    instance: CallingInstance,
    idempotency_key: IdempotencyKey | None,
) -> dict[str, Any] | None:
    """The answer to an earlier request with this key; None if there was none, or there is no key.

    Raises Conflict if the content of that request differs.
    """
    if idempotency_key is None:
        return None
    job = await require_same_request(services, instance, idempotency_key)
    if job is None:
        return None
    response.headers[REPLAYED] = "true"
    return present_new_job(job)


async def require_same_request(
    services: Services,
    instance: CallingInstance,
    idempotency_key: IdempotencyKey,
    *,
    verb: str = "created",
    content: str = "the file, the object, metaData or the callback",
) -> Job | None:
    """The job of an earlier request with this key; None if there was none.

    Raises Conflict if the content of that request differs. `verb` says what it has done with the
    job, and `content` what it may differ in.
    """
    earlier = await services.ledger.job_with_key(instance.id, idempotency_key.key)
    if earlier is None:
        return None
    job, earlier_key = earlier
    if earlier_key != idempotency_key:
        raise Conflict(
            f"job {job.id} was {verb} with this Idempotency-Key and other content ({content} "
            "differs); send that content, or use a new key"
        )
    return job


async def submit(
    request: Request,
    response: Response,
    services: Services,
    instance: CallingInstance,
    work: Upload | Download,
    idempotency_key: IdempotencyKey | None,
    retried: RetriedRows | None = None,
) -> dict[str, Any]:
    """Submit a job and present it. If a job with this key exists, present that one instead.

    `retried` are the rows of a retry. Raises Conflict if another job retries them, or another
    request created the job with the key, DiskFull, and NotAllowed for a job that does more than its
    caller may. Deletes the file of a job that it does not submit.
    """
    caller: Caller = request.state.caller
    needed = _permission_for(work)
    if needed is Permission.PLAN:
        note_plan(request)
    try:
        require_permission(caller, needed)
        if needed is Permission.LOAD:
            require_free_to_write(caller)
        job = await services.intake.submit(
            work,
            organization_id=instance.organization_id,
            instance_id=instance.id,
            request_id=request.state.request_id,
            idempotency_key=idempotency_key,
            retried=retried,
            deed=deed_with_job(request),
            author=caller.author,
        )
    except (Conflict, DiskFull, NotAllowed):
        await services.files.delete(work.file)
        raise
    except IdempotencyKeyTaken:
        # Another request with this key created its job after this one had looked for it.
        await services.files.delete(work.file)
        answer = await earlier_answer(response, services, instance, idempotency_key)
        assert answer is not None
        return answer
    note_written(request, services)
    return present_new_job(job)


def _permission_for(work: Upload | Download) -> Permission:
    """What a caller needs for a job: only that of an upload which is not planned writes."""
    if isinstance(work, Download) or work.verification:
        return Permission.READ
    return Permission.PLAN if work.planned_file else Permission.LOAD


async def approval_of(services: Services, job: Job) -> dict[str, Any]:
    """The key `approval` of a job with a plan that is not carried out; nothing of another one."""
    found = await services.approvals.of_job(job)
    return {} if found is None else {"approval": present_approval(found)}


async def find_job_to_change(services: Services, caller: Caller, job_id: str) -> Job:
    """A job that can still send or read something. Raises NotFound, and Conflict otherwise."""
    job = await find_job(services, caller, job_id)
    await require_instance(services, job)
    return job


async def require_instance(services: Services, job: Job, instead: str = "") -> None:
    """Raise Conflict if the instance of a job was deleted: nothing can be called for it.

    `instead` says what a person can do with another instance.
    """
    if await services.accounts.version_of(job.instance_id) is not None:
        return
    what = instead or (
        "start the download with it"
        if job.is_download
        else f"upload the rows of /bulk/{job.id}/results?kind=failed,unknown,notReached with it"
    )
    raise Conflict(
        f"instance {job.instance_id} of job {job.id} was deleted, so the job can call its service "
        f"no more; make another instance (POST /instances), and {what}"
    )


@asynccontextmanager
async def read_whole(services: Services, job: Job) -> AsyncIterator[None]:
    """Raise NotFound if a job is deleted while it is read: something of it may be missing."""
    try:
        yield
    except CallerError:
        await require_there(services.ledger, job)
        raise
    await require_there(services.ledger, job)


async def find_job(services: Services, caller: Caller, job_id: str) -> Job:
    """A job of the calling instance, or of the user's organization without an instance's token.

    Raises NotFound.
    """
    number = parse_id(job_id)
    job = None if number is None else await services.ledger.job(number)
    if job is None or job.organization_id != caller.user.organization_id:
        raise NotFound(f"there is no bulk job {job_id!r}")
    if caller.instance is not None and job.instance_id != caller.instance.id:
        raise NotFound(
            f"instance {caller.instance.id}, whose Element token you send, has no bulk job "
            f"{job_id!r}; send the token of the job's instance, or none"
        )
    return job
