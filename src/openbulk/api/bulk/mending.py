"""Rows of uploads: what became of each, and values that people mend in them for a retry."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ConfigDict, Field

from openbulk.api.bulk import downloaded_records
from openbulk.api.bulk.job_requests import JobId, find_job, read_whole, require_instance
from openbulk.api.http.bodies import BoundedRoute, StrictBody, answer_records
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize, parse_page_size, set_page_headers
from openbulk.api.http.parameters import parse_whole_number
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.mending import (
    RowsMended,
    UploadedRow,
    parse_outcomes,
    present_mended_rows,
    present_row,
)
from openbulk.domain.errors import BadInput
from openbulk.domain.job import Job
from openbulk.domain.people import Caller
from openbulk.domain.row_kinds import EVERY_KIND, RowChoice
from openbulk.engine.mending import Change
from openbulk.engine.results import kinds_of_rows

router = APIRouter(tags=["Bulk"], responses=may_answer(401, 405), route_class=BoundedRoute)
RowNumber = Annotated[
    str, Path(description="Number of the record, counted from 1.", examples=["2"])
]

RowKindsWanted = Annotated[
    str,
    Query(
        description="What became of the wanted rows, comma-separated: keys of `outcomes` in "
        "`/bulk/{job_id}`. All rows if empty.",
        examples=["failed,unknown,notReached"],
    ),
]
MAX_SEARCH = 200


class MendedValues(StrictBody):
    """Values to mend in a row."""

    values: dict[str, Any] = Field(
        min_length=1,
        description="New values by column of the file; null empties a cell.",
        examples=[{"start.date": "2026-02-28"}],
    )


class MendedColumn(StrictBody):
    """What to mend in a column, and in which rows."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"rows": [2], "column": "start.date", "set": "2026-02-28", "dryRun": True}]
        },
    )

    group: str | None = Field(
        None, description="Id of a group of `/bulk/{job_id}/errors/groups`: its rows are mended."
    )
    rows: list[int] | None = Field(
        None,
        min_length=1,
        description="Numbers of the rows to mend, in place of `group`.",
        examples=[[2]],
    )
    column: str = Field(description="Column of the file.", examples=["start.date"])
    set: Any = Field(
        None,
        description="New value for all these rows; null empties the cell.",
        examples=["2026-02-28"],
    )
    replace: list[str] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="A text, and what stands in its place wherever a value has it.",
    )
    values: dict[str, Any] | None = Field(
        None, min_length=1, description="New values by old ones: a value is mapped as a whole."
    )
    dryRun: bool = Field(  # noqa: N815 - the wire's name
        False, description="Whether to say what would change, and keep nothing.", examples=[False]
    )


@router.get(
    "/bulk/{job_id}/rows",
    summary="List the rows of an upload",
    responses=answers(list[UploadedRow], 400, 404, 409),
)
async def rows(
    request: Request,
    response: Response,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    kind: RowKindsWanted = "",
    search: Annotated[
        str,
        Query(
            description="A text that a value, the id or the error of the wanted rows has, in any "
            "case. A page then may have few rows, or none, and another one after it.",
            examples=[""],
            max_length=MAX_SEARCH,
        ),
    ] = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> Response:
    """The rows of an upload with what became of each, in the order of the file, page by page.

    `nextPage` is the number of the row behind which the page begins.
    """
    job = await find_job(services, caller, job_id)
    if job.is_download:  # of an object that has this name
        return await downloaded_records.file(request, job_id, "rows", services, caller)
    require_upload(job)
    async with read_whole(services, job):
        page = await services.row_pages.page(
            job,
            wanted=parse_outcomes(kind) if kind else EVERY_KIND,
            search=search,
            after=parse_whole_number(next_page or "0", "nextPage", minimum=0),
            limit=parse_page_size(page_size),
        )
    set_page_headers(response, len(page.rows), page.next_after)
    return answer_records([present_row(job, one) for one in page.rows], response.headers)


@router.get(
    "/bulk/{job_id}/rows/{row}",
    summary="Retrieve a row of an upload",
    responses=answers(UploadedRow, 400, 404, 409),
)
async def row(
    request: Request,
    job_id: JobId,
    row: RowNumber,
    services: ServicesOfApp,
    caller: SignedInCaller,
) -> Response:
    """A row as the file has it, what became of it, and what was mended in it since."""
    job = await find_job(services, caller, job_id)
    if job.is_download:  # of an object that is named by such a path
        return await downloaded_records.file(request, job_id, f"rows/{row}", services, caller)
    require_upload(job)
    return answer_records(present_row(job, await services.mending.row(job, _row_number(row))))


@router.patch(
    "/bulk/{job_id}/rows/{row}",
    summary="Mend a row of an upload",
    responses=answers(UploadedRow, 400, 404, 409, 413, 507),
)
async def mend_row(
    job_id: JobId,
    row: RowNumber,
    body: MendedValues,
    services: ServicesOfApp,
    caller: SignedInCaller,
) -> Response:
    """Keep values for a row that failed, is unknown or was not reached. `retry` sends them.

    The file stays as it is. The values are sealed like it, and deleted with it.
    """
    job = require_file(await find_upload_to_change(services, caller, job_id))
    mended = await services.mending.mend_row(job, _row_number(row), body.values)
    return answer_records(present_row(job, mended))


@router.post(
    "/bulk/{job_id}/rows/mend",
    summary="Mend a column of many rows",
    responses=answers(RowsMended, 400, 404, 409, 413, 507),
)
async def mend_rows(
    job_id: JobId, body: MendedColumn, services: ServicesOfApp, caller: SignedInCaller
) -> Response:
    """Change a column in the rows of a group of errors, or in those that are named.

    Send one of `set`, `replace` and `values`. Rows that were written are left out.
    """
    job = require_file(await find_upload_to_change(services, caller, job_id))
    change = _change_of(body)
    chosen = await _rows_of(services, job, body)
    mended = await services.mending.mend_rows(
        job, chosen, body.column, change, is_trial=body.dryRun
    )
    return answer_records(present_mended_rows(mended, is_trial=body.dryRun))


def _row_number(text: str) -> int:
    return parse_whole_number(text, "the number of the row", minimum=1)


async def find_upload(services: Services, caller: Caller, job_id: str) -> Job:
    """An upload by its id. Raises NotFound, and BadInput for a download or a plan."""
    job = await find_job(services, caller, job_id)
    require_upload(job)
    return job


async def find_upload_to_change(services: Services, caller: Caller, job_id: str) -> Job:
    """An upload whose rows can be sent again. Raises NotFound, BadInput and Conflict."""
    job = await find_upload(services, caller, job_id)
    await require_instance(services, job)
    return job


def require_upload(job: Job) -> None:
    """Raise BadInput for a job that writes no rows of a file."""
    if job.is_download:
        raise BadInput(f"job {job.id} is a download; only uploads have rows to mend and to retry")
    if job.is_plan:
        raise BadInput(
            f"job {job.id} is a plan, which writes nothing; /bulk/{job.id}/plan/rows has its rows"
        )
    if job.verification is not None:
        raise BadInput(
            f"job {job.id} is a verification, which writes nothing; "
            f"/bulk/{job.id}/verification/rows has its rows"
        )


def require_file(job: Job) -> Job:
    """The job. Raises BadInput for an undo: its rows are what another job did, and not a file's."""
    if job.undo is not None:
        raise BadInput(
            f"job {job.id} undoes job {job.undo.of}: its rows are what that one did, and cannot be "
            f"mended; POST /bulk/{job.id}/retry tries those again that failed"
        )
    return job


def _change_of(body: MendedColumn) -> Change:
    """What is done with each value. Raises BadInput unless the body says exactly one thing."""
    given = body.model_fields_set & {"set", "replace", "values"}
    # null is a value to set, and no list or object to replace by.
    is_null = given <= {"replace", "values"} and body.replace is None and body.values is None
    if len(given) != 1 or is_null:
        raise BadInput(
            'send one of "set" (a value), "replace" (["old text", "new text"]) and "values" '
            '({"old": "new"})'
        )
    if body.replace is not None:
        return _replacing(*body.replace)
    if body.values is not None:
        return _mapping(body.values)
    return lambda _: body.set


def _replacing(old: str, new: str) -> Callable[[Any], Any]:
    if not old:
        raise BadInput('the first text of "replace" is empty; name the text to replace')
    return lambda value: value.replace(old, new) if isinstance(value, str) else value


def _mapping(new_by_old: dict[str, Any]) -> Callable[[Any], Any]:
    def new_value(value: Any) -> Any:
        text = "" if value is None else value if isinstance(value, str) else str(value)
        return new_by_old.get(text, value)

    return new_value


async def _rows_of(services: Services, job: Job, body: MendedColumn) -> RowChoice | Sequence[int]:
    """The rows that a body names. Raises BadInput, and Conflict if none can be read."""
    if (body.group is None) == (body.rows is None):
        raise BadInput('send "group", the id of a group of errors, or "rows", numbers of rows')
    if body.group is None:
        return body.rows or ()
    return await _rows_of_group(services, job, body.group)


async def _rows_of_group(services: Services, job: Job, group: str) -> RowChoice:
    """The rows of a group of errors. Raises BadInput if there is none."""
    kinds = await kinds_of_rows(services.ledger, job)
    chosen = await services.ledger.rows_of_cause(job.id, group, kinds.records)
    if not len(chosen):
        raise BadInput(
            f"job {job.id} has no errors of the group {group[:40]!r}; "
            f"/bulk/{job.id}/errors/groups lists the groups"
        )
    return chosen
