"""Files: looked at before there is a job for them, and uploaded by any number of jobs."""

import asyncio
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from openbulk.api.bulk.job_requests import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    idempotency_key_of,
    require_room_for_body,
    require_room_for_file,
)
from openbulk.api.bulk.metadata import describe_file_options, read_file_options
from openbulk.api.http.bodies import answer_records
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.multipart import ReceivedForm, is_form, receive_body, receive_upload
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.paging import (
    DEFAULT_PAGE,
    MAX_PAGE,
    NextPage,
    PageSize,
    parse_page_size,
    present_each,
    set_page_headers,
    take_page,
)
from openbulk.api.http.parameters import parse_whole_number
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.files import (
    FileDetails,
    FileItem,
    FileRow,
    present_file,
    present_file_item,
    present_row,
)
from openbulk.api.wire.ids import parse_id
from openbulk.api.wire.schema import Nothing
from openbulk.byte_budget import PlaceOwner
from openbulk.domain.errors import Conflict, IdempotencyKeyTaken, NotFound
from openbulk.domain.job import IdempotencyKey
from openbulk.domain.people import Caller
from openbulk.domain.uploaded_file import NewFile, UploadedFile
from openbulk.engine.file_profiles import Profile
from openbulk.reading.reader import StoredFile

router = APIRouter(tags=["Files"], responses=may_answer(401, 405))

FileId = Annotated[str, Path(description="Id of the file.", examples=["1"])]
_EXAMPLE = "summary;start.date\nElternabend;07.09.2026\nSportfest;08.09.2026\n"
_REQUEST = {
    "parameters": [
        {
            "name": "metaData",
            "in": "query",
            "description": "The part `metaData`, for a body that is the file itself.",
            "required": False,
            "schema": {"type": "string", "examples": ['{"encoding": "windows-1252"}']},
        },
        {
            "name": "name",
            "in": "query",
            "description": "Name of the file, for a body that is the file itself.",
            "required": False,
            "schema": {"type": "string", "examples": ["termine.csv"]},
        },
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
                            "xlsx, also packed with gzip or as the only file of a zip archive.",
                            "examples": [_EXAMPLE],
                        },
                        "metaData": {
                            "type": "string",
                            "description": describe_file_options(),
                            "examples": ['{"encoding": "windows-1252"}'],
                        },
                    },
                }
            },
            "application/octet-stream": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "examples": [_EXAMPLE],
                }
            },
        },
    },
}
_MAX_NAME = 255


@router.post(
    "/files",
    summary="Send a file",
    openapi_extra=_REQUEST,
    responses=answers(FileDetails, 400, 409, 413, 507),
)
async def send(
    request: Request, response: Response, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Look into a file before there is a job for it.

    The answer describes the first rows. The others are read in the background: fetch the file
    again for them. Jobs use the file by its id, in `metaData.fileId`.
    """
    idempotency_key_of(request)  # refused before the file arrives
    await require_room_for_body(request, services)
    stored = uuid.uuid4().hex
    receive = receive_upload if is_form(request) else receive_body
    form = await receive(request, services.files, stored, services.max_upload_bytes)
    try:
        form.require_file()
        file, profile, is_new = await _add(request, services, caller, stored, form)
    except BaseException:
        # Nobody owns the file yet. `shield`, because a stopping server cancels its requests.
        await asyncio.shield(services.files.give_up(stored))
        raise
    if not is_new:
        await services.files.give_up(stored)
        response.headers[REPLAYED] = "true"
    return present_file(file, profile)


async def _add(
    request: Request, services: Services, caller: Caller, stored: str, form: ReceivedForm
) -> tuple[UploadedFile, Profile, bool]:
    """The file of a request, and whether it is new. Raises BadInput and Conflict."""
    options = read_file_options(form.fields, request.query_params)
    name = (request.query_params.get("name") or form.file_name)[:_MAX_NAME]
    key = idempotency_key_of(request, "files", name, options, form.digest)
    earlier = await _earlier(services, caller, key)
    if earlier is not None:
        return earlier, await services.file_profiles.profile_of(earlier), False
    await require_room_for_file(request, services, form.size)
    takes_events = await _takes_events(services, caller)
    profile = await services.file_profiles.read_head(
        StoredFile(stored, form.size),
        options,
        takes_events=takes_events,
        owner=reader_of(caller),
    )
    new = NewFile(
        file=stored,
        name=name,
        size=form.size,
        digest=form.digest,
        options=options,
        file_format=profile.values["format"],
        records=profile.records,
        problem=profile.problem,
    )
    try:
        file = await services.file_profiles.add(
            new,
            organization_id=caller.user.organization_id,
            instance_id=_instance_of(caller),
            takes_events=takes_events,
            idempotency_key=key,
        )
    except IdempotencyKeyTaken:
        # Another request with this key added its file after this one had looked for it.
        earlier = await _earlier(services, caller, key)
        assert earlier is not None
        return earlier, await services.file_profiles.profile_of(earlier), False
    return file, profile, True


async def _earlier(
    services: Services, caller: Caller, key: IdempotencyKey | None
) -> UploadedFile | None:
    """The file of an earlier request with this key. Raises Conflict if that request differs."""
    if key is None:
        return None
    organization = caller.user.organization_id
    found = await services.uploaded_files.with_key(organization, _instance_of(caller), key.key)
    if found is None:
        return None
    file, digest = found
    if digest != key.digest:
        raise Conflict(
            f"file {file.id} was sent with this Idempotency-Key and other content (the file, its "
            "name or metaData differs); send that content, or use a new key"
        )
    return file


async def _takes_events(services: Services, caller: Caller) -> bool:
    """Whether the calling instance has events, so that Google's CSV is recognized."""
    if caller.instance is None:
        return False
    element = caller.instance.element
    provider = await services.elements.provider(caller.user.organization_id, element)
    return bool(provider.event_objects)


def reader_of(caller: Caller) -> PlaceOwner:
    """Whose files share the reading processes."""
    return PlaceOwner(caller.user.organization_id, _instance_of(caller))


def _instance_of(caller: Caller) -> int | None:
    return None if caller.instance is None else caller.instance.id


async def find_file(services: Services, caller: Caller, file_id: str) -> UploadedFile:
    """A file of the caller's organization, and not of another instance than the calling one.

    Raises NotFound.
    """
    number = parse_id(file_id)
    file = None if number is None else await services.uploaded_files.file(number)
    is_own = file is not None and file.organization_id == caller.user.organization_id
    if file is None or not is_own:
        raise NotFound(f"there is no file {file_id[:40]!r}; GET /files lists those that there are")
    if caller.instance is not None and file.instance_id not in {None, caller.instance.id}:
        raise NotFound(
            f"instance {caller.instance.id}, whose Element token you send, has no file "
            f"{file_id!r}; send the token of the file's instance, or none"
        )
    return file


@router.get("/files", summary="List files", responses=answers(list[FileItem], 400))
async def files(
    response: Response,
    services: ServicesOfApp,
    caller: SignedInCaller,
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> list[dict[str, Any]]:
    """The files that you may use, newest first, page by page."""
    limit = parse_page_size(page_size)
    before = parse_whole_number(next_page, "nextPage", minimum=1) if next_page else None
    found = await services.uploaded_files.list(
        caller.user.organization_id, _instance_of(caller), before=before, limit=limit + 1
    )
    page = take_page(response, found, limit, lambda file: file.id)
    return present_each(page, present_file_item, "file")


@router.get("/files/{file_id}", summary="Retrieve a file", responses=answers(FileDetails, 404))
async def file(file_id: FileId, services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """A file, and what is in it: its columns, and what it leaves open.

    `complete` says whether all of it was read. Until then, the answer is about the first rows.
    """
    found = await find_file(services, caller, file_id)
    return present_file(found, await services.file_profiles.profile_of(found))


@router.get(
    "/files/{file_id}/rows",
    summary="List the rows of a file",
    responses=answers(list[FileRow], 400, 404, 409),
)
async def rows(
    response: Response,
    file_id: FileId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    first: Annotated[
        str,
        Query(
            alias="from",
            description="Number of the first row: 1 if empty. A page's header "
            "`elements-next-page-token` has that of the next page.",
            examples=["1"],
        ),
    ] = "",
    limit: Annotated[
        str,
        Query(
            description=f"Maximum number of rows: {DEFAULT_PAGE} if empty, {MAX_PAGE} at most. "
            "There are fewer if they are large.",
            examples=["200"],
        ),
    ] = "",
) -> Response:
    """The rows of a file as a job would read them, with those that cannot be read."""
    found = await find_file(services, caller, file_id)
    size = DEFAULT_PAGE
    if limit:
        size = min(parse_whole_number(limit, "limit", minimum=1), MAX_PAGE)
    begin = parse_whole_number(first or "1", "from", minimum=1)
    page = await services.file_profiles.page_of(found, begin, size)
    set_page_headers(response, len(page.rows), page.next_row)
    return answer_records([present_row(row) for row in page.rows], response.headers)


@router.delete(
    "/files/{file_id}", summary="Delete a file", responses=answers(Nothing, 404, 409, 507)
)
async def delete(
    file_id: FileId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Delete a file. `OPENBULK_KEEP_FILES_DAYS` after its last use it is deleted anyway.

    Jobs that have used it stay as they are.
    """
    found = await find_file(services, caller, file_id)
    await services.uploaded_files.delete(found)
    await services.files.delete(found.file)
    return {}
