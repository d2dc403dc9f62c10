"""The records of a complete download: page by page, or as a file."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from openbulk.api.bulk.job_requests import DownloadId, find_job, read_whole
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize, parse_page_size, set_page_headers
from openbulk.api.http.parameters import ObjectInPath, parse_whole_number
from openbulk.api.http.streamed_answers import StreamedAnswer, next_piece, stream_pieces
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.download_files import download_columns, file_name
from openbulk.api.wire.schema import Record
from openbulk.domain.errors import BadInput, Conflict, KeyMissing
from openbulk.domain.job import Job, Status
from openbulk.engine.slices.downloaded_records import Result, result_of
from openbulk.formats import MEDIA_TYPES
from openbulk.formats.base import Format
from openbulk.formats.recognition import resolve_format_name
from openbulk.threads import Threads

router = APIRouter(tags=["Bulk"], responses=may_answer(400, 401, 404, 405, 409))

_EXAMPLES = {
    "csv": "id,summary\nchoir2026,Choir practice\n",
    "json": '[{"id": "choir2026", "summary": "Choir practice"}]',
    "jsonl": '{"id": "choir2026", "summary": "Choir practice"}\n',
    "ics": "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n",
    "xlsx": "(the bytes of a workbook)",
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file. A CSV ends in a newline.",
        "content": {
            MEDIA_TYPES[name]: {"schema": {"type": "string"}, "example": example}
            for name, example in _EXAMPLES.items()
        },
    }
}
MAX_PAGE_BYTES = 4 * 1024 * 1024
"""A page ends early once its records have so many bytes."""
_THREADS = Threads("results", 4)
_ANY_FORMAT = frozenset({"*/*", "text/*", "application/*"})


@router.get(
    "/bulk/{job_id}/{object:path}/data",
    summary="List the records of a download",
    responses=answers(list[Record]),
)
async def page(
    response: Response,
    job_id: DownloadId,
    object: ObjectInPath,
    services: ServicesOfApp,
    caller: SignedInCaller,
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> Response:
    """A page of the records of a download, with the token of the next page."""
    job = await find_job(services, caller, job_id)
    _require_complete_download(job)
    size = parse_page_size(page_size)
    begin = parse_whole_number(next_page or "1", "nextPage", minimum=1)
    async with read_whole(services, job):
        result = await result_of(services.ledger, services.files, job, begin)
        records = _PageOfRecords(result, size)
        pieces = stream_pieces(lambda: _THREADS.run(records.next_piece))
        with conflict_without_key(f"records of job {job.id}"):
            first = await anext(pieces)
    next_row = begin + records.count
    set_page_headers(response, records.count, next_row if next_row <= job.cursor else None)
    return StreamedAnswer(pieces, first, {"content-type": "application/json", **response.headers})


@router.get(
    "/bulk/{job_id}/{object:path}",
    summary="Get the file of a download",
    response_class=StreamingResponse,
    responses=_FILE,
)
async def file(
    request: Request,
    job_id: DownloadId,
    object: ObjectInPath,
    services: ServicesOfApp,
    caller: SignedInCaller,
) -> StreamedAnswer:
    """The records of a download, in the format that the header `Accept` names."""
    job = await find_job(services, caller, job_id)
    _require_complete_download(job)
    chosen = await _choose_format(services, job, request.headers.get("accept", ""))
    async with read_whole(services, job):
        result = await result_of(services.ledger, services.files, job)
        written = chosen.write(result, download_columns(job))
        pieces = stream_pieces(lambda: _THREADS.run(_next_piece, result, written))
        # Before the status is sent: an error after it could not be shown.
        with conflict_without_key(f"records of job {job.id}"), _named_by_transformation(job):
            first = await anext(pieces, b"")
    headers = {
        "content-type": MEDIA_TYPES[chosen.name],
        "content-disposition": _content_disposition(file_name(job, chosen.name)),
    }
    return StreamedAnswer(pieces, first, headers)


class _PageOfRecords:
    """A page of records as JSON: at most `size` of them, and fewer if they are large."""

    def __init__(self, result: Result, size: int) -> None:
        self._result = result
        self._size = size
        self._is_made = False
        self.count = 0
        """The records on the page, once it is made."""

    def next_piece(self) -> bytes:
        """The page; after it, nothing."""
        if self._is_made:
            return b""
        self._is_made = True
        lines: list[bytes] = []
        room = MAX_PAGE_BYTES
        for line in islice(self._result.lines(), self._size):
            room -= len(line)
            if lines and room < 0:
                break
            lines.append(line)
        self._result.release()
        self.count = len(lines)
        return b"[" + b",".join(lines) + b"]"


def _next_piece(result: Result, written: Iterator[bytes]) -> bytes:
    """The next piece of a file; after the last one, nothing."""
    piece = next_piece(written)
    result.release()
    return piece


def _content_disposition(name: str) -> str:
    """The header with a file's name: in ASCII for old clients, and whole (RFC 6266, appendix D)."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    whole = "" if plain == name else f"; filename*=UTF-8''{quote(name)}"
    return f'attachment; filename="{plain}"{whole}'


def _require_complete_download(job: Job) -> None:
    if not job.is_download:
        raise BadInput(f"job {job.id} is an upload; /bulk/{job.id}/errors lists its failed records")
    if not job.is_finished:
        raise Conflict(f"job {job.id} is {job.status.value}; fetch its records once it is finished")
    if job.status is not Status.COMPLETE:
        reason = job.error or "it was cancelled"
        raise Conflict(f"job {job.id} ended as {job.status.value}: {reason}")


@contextmanager
def conflict_without_key(what: str) -> Iterator[None]:
    """Raise Conflict if what is read is sealed with a key that the server does not have."""
    try:
        yield
    except KeyMissing as error:
        raise Conflict(
            f"the {what} are sealed with a master key this server no longer has; "
            "to read them, add that key to OPENBULK_MASTER_KEY after the first one"
        ) from error


@contextmanager
def _named_by_transformation(job: Job) -> Iterator[None]:
    """Say of records that a format cannot have that their names are the caller's own."""
    try:
        yield
    except BadInput as error:
        view = job.download.query.view
        if view is None:
            raise
        own, vendor = view.transformation.name, view.transformation.vendor_name
        raise BadInput(
            f"{error.message}; the fields of {own!r} have names of your own, and this format has "
            f"the service's: download {vendor!r}, or fetch another format"
        ) from error


async def _choose_format(services: Services, job: Job, accept: str) -> Format:
    """The format that the header `Accept` names, or the job's own.

    Raises BadInput for an unknown format, or one that differs from that of a job of v3.
    """
    own = job.download.file_format
    name = _accepted_format(accept, default=own)
    if job.download.is_v3 and name != own:
        media_type = MEDIA_TYPES[own]
        raise BadInput(f"job {job.id} was created for {media_type}; send Accept: {media_type}")
    if name == "json" and await _has_json_lines(services, job.instance_id):
        name = "jsonl"
    return services.formats[name]


async def _has_json_lines(services: Services, instance_id: int) -> bool:
    """Whether an instance's configuration chooses JSON Lines in place of JSON."""
    instance = await services.accounts.instance(instance_id)
    if instance is None:
        return False
    return instance.configuration.get("bulk.json.lines", "").lower() == "true"


def _accepted_format(accept: str, *, default: str) -> str:
    """The first format in a header `Accept` that openbulk knows, whatever its quality values."""
    entries = [entry for entry in accept.split(",") if entry.strip()]
    if not entries:
        return default
    for entry in entries:
        kind = entry.partition(";")[0].strip().lower()
        if kind in _ANY_FORMAT:
            return default
        with suppress(BadInput):
            return resolve_format_name(kind) or default
    known = ", ".join(dict.fromkeys(MEDIA_TYPES.values()))  # each once
    raise BadInput(f"Accept {accept[:100]!r} is not known; it can be {known}")
