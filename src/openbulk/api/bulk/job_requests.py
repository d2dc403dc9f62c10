"""What requests about jobs have in common: jobs are submitted, found again, and listed in pages."""

from typing import Annotated, Any

import orjson
from fastapi import Path, Query, Request, Response

from openbulk.api.http.idempotency import earlier_answer
from openbulk.api.services import Services
from openbulk.api.wire import shapes
from openbulk.api.wire.ids import id_in
from openbulk.domain.errors import BadInput, DiskFull, IdempotencyKeyTaken, NotFound
from openbulk.domain.instance import Instance
from openbulk.domain.job import Download, IdempotencyKey, Job, Upload
from openbulk.storage.accounts import User

MAX_PAGE = 2_000
JobId = Annotated[str, Path(description="the job's id", examples=["1"])]
DownloadId = Annotated[
    str, Path(description="the id of a download that is complete", examples=["2"])
]
PageSize = Annotated[
    str,
    Query(
        alias="pageSize",
        description=f"how many at most; 200, and no more than {MAX_PAGE}",
        examples=["200"],
    ),
]
NextPage = Annotated[
    str,
    Query(
        alias="nextPage",
        description="the header elements-next-page-token of the page before",
        examples=[""],
    ),
]
Fields = Annotated[
    str,
    Query(description="the fields to show, with commas between; all, where empty", examples=["id"]),
]


async def submit(
    request: Request,
    response: Response,
    services: Services,
    instance: Instance,
    work: Upload | Download,
    idempotency_key: IdempotencyKey | None,
) -> dict[str, Any]:
    """Have a job done; the answer with its id. A job with the same key gets no second one. Raises Conflict."""
    try:
        job = await services.intake.submit(
            work,
            organization_id=instance.organization_id,
            instance_id=instance.id,
            request_id=request.state.request_id,
            idempotency_key=idempotency_key,
        )
    except DiskFull:
        await services.files.delete(work.file)
        raise
    except IdempotencyKeyTaken:
        await services.files.delete(work.file)
        assert idempotency_key is not None
        answer = await earlier_answer(response, services, instance, idempotency_key)
        assert answer is not None
        return answer
    return shapes.job_created(job)


def metadata_of(told: Any) -> dict[str, Any]:
    """The caller's `metaData`: an object, or the text of one, as a form has it. Raises BadInput."""
    try:
        options = orjson.loads(told or "{}") if isinstance(told, str | None) else told
    except orjson.JSONDecodeError as error:
        raise BadInput(
            f'metaData is not JSON ({error}); it looks like {{"action": "create"}}'
        ) from error
    if not isinstance(options, dict):
        raise BadInput('metaData is not a JSON object; it looks like {"action": "create"}')
    return options


async def job_of(services: Services, user: User, job_id: str) -> Job:
    """A job of the user's organization. Raises NotFound."""
    found = id_in(job_id)
    job = None if found is None else await services.ledger.job(found)
    if job is None or job.organization_id != user.organization_id:
        raise NotFound(f"there is no bulk job {job_id!r}")
    return job


def number(text: str, name: str, *, least: int, most: int | None = None) -> int:
    """A whole number, cut off at the most that is given. Raises BadInput."""
    found = id_in(text)
    if found is None or found < least:
        raise BadInput(f"{name} is {text[:40]!r}; it has to be a whole number from {least} on")
    return found if most is None else min(found, most)


def tell_of_page(response: Response, returned: int, next_page: int | str | None) -> None:
    """How many items a page has, and the token of the one behind it, where there is one."""
    response.headers["elements-returned-count"] = str(returned)
    if next_page is not None:
        response.headers["elements-next-page-token"] = str(next_page)
