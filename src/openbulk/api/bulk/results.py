"""The results of uploads: each row of the file, with what became of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from openbulk.api.bulk import downloaded_records
from openbulk.api.bulk.job_requests import JobId, find_job, read_whole
from openbulk.api.bulk.mending import RowKindsWanted, require_upload
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import may_answer
from openbulk.api.http.parameters import parse_flag
from openbulk.api.http.streamed_answers import StreamedAnswer, next_piece, stream_pieces
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.mending import outcome_word, parse_outcomes
from openbulk.domain.errors import BadInput
from openbulk.domain.row_kinds import EVERY_KIND
from openbulk.engine.results import kinds_of_rows, results_of
from openbulk.engine.results_file import FORMATS, ResultsFile
from openbulk.formats import MEDIA_TYPES
from openbulk.threads import Threads

router = APIRouter(tags=["Bulk"], responses=may_answer(400, 401, 404, 405, 409))

_OWN = "openbulk.row,openbulk.outcome,openbulk.id,openbulk.field,openbulk.error,openbulk.unread"
_PROBLEM = "2026-02-30 is not a date; dates look like 2026-02-28"
_EXAMPLES = {
    "csv": f"summary,start.date,{_OWN}\nLate,2026-02-30,2,failed,,start.date,{_PROBLEM},\n",
    "jsonl": '{"summary": "Late", "start.date": "2026-02-30", "openbulk.row": 2, '
    '"openbulk.outcome": "failed", "openbulk.id": null, "openbulk.field": "start.date", '
    f'"openbulk.error": "{_PROBLEM}", "openbulk.unread": null}}\n',
    "xlsx": "(the bytes of a workbook)",
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            MEDIA_TYPES[name]: {"schema": {"type": "string"}, "example": example}
            for name, example in _EXAMPLES.items()
        },
    }
}
_THREADS = Threads("results of uploads", 2)


@router.get(
    "/bulk/{job_id}/results",
    summary="Get the rows of an upload with their outcomes",
    response_class=StreamingResponse,
    responses=_FILE,
)
async def results(
    request: Request,
    job_id: JobId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    kind: RowKindsWanted = "",
    format: Annotated[
        str, Query(description="csv, xlsx or jsonl; csv if empty.", examples=["csv"])
    ] = "",
    guard: Annotated[
        str,
        Query(
            description="true: cells that a spreadsheet would run as formulas get an apostrophe.",
            examples=["true"],
        ),
    ] = "",
) -> StreamedAnswer:
    """The columns of the file in their order, then the number of each row and what became of it.

    It also works while the job runs: the rows are those of one moment.
    """
    job = await find_job(services, caller, job_id)
    if job.is_download:  # of an object that has this name
        return await downloaded_records.file(request, job_id, "results", services, caller)
    require_upload(job)
    name, is_guarded = _parse_format(format), parse_flag(guard, "guard")
    if is_guarded and name == "jsonl":
        raise BadInput("guard is for csv and xlsx: no spreadsheet opens jsonl")
    wanted = parse_outcomes(kind) if kind else EVERY_KIND
    async with read_whole(services, job):
        kinds = await kinds_of_rows(services.ledger, job)
        found = await results_of(services.ledger, services.files, job, kinds, kinds.choose(wanted))
        written = ResultsFile(found, outcome_word, is_guarded=is_guarded).write(name)
        pieces = stream_pieces(lambda: _THREADS.run(next_piece, written))
        # Before the status is sent: an error after it could not be shown.
        with downloaded_records.conflict_without_key(f"rows of job {job.id}"):
            first = await anext(pieces, b"")
    headers = {
        "content-type": MEDIA_TYPES[name],
        "content-disposition": f'attachment; filename="results-{job.id}.{name}"',
    }
    return StreamedAnswer(pieces, first, headers)


def _parse_format(text: str) -> str:
    name = text.lower() or FORMATS[0]
    if name not in FORMATS:
        raise BadInput(f"format is {text[:40]!r}; it can be {', '.join(FORMATS)}")
    return name
