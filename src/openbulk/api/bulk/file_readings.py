"""Files that are read in another way: what their owner says of what they leave open."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from openbulk.api.bulk.files import FileId, find_file, reader_of
from openbulk.api.bulk.metadata import change_file_options, require_options_of_format
from openbulk.api.http.bodies import BoundedRoute, StrictBody
from openbulk.api.http.callers import SignedInCaller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.files import FileDetails, present_file

router = APIRouter(tags=["Files"], responses=may_answer(401, 405), route_class=BoundedRoute)


class FileChange(StrictBody):
    """How a file is read from now on."""

    metadata: Annotated[
        dict[str, str | int | bool | None],
        Field(
            alias="metaData",
            description="Keys of `metaData` of `POST /files`. Those that are left out stay; null "
            "takes one away, so that it is recognized again.",
            examples=[{"delimiter": "semicolon", "headerRow": 1}],
            min_length=1,
        ),
    ]


@router.patch(
    "/files/{file_id}",
    summary="Read a file in another way",
    responses=answers(FileDetails, 400, 404, 409, 507),
)
async def change(
    file_id: FileId, body: FileChange, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Answer what a file leaves open. Its columns, its rows and its mapping are made again.

    The answer describes the first rows, as that of `POST /files`. Jobs that use the file from now
    on read it so; those that use it already go on as they began.
    """
    file = await find_file(services, caller, file_id)
    options = change_file_options(file.options, body.metadata)
    changed, profile = await services.file_profiles.read_again(
        file,
        options,
        owner=reader_of(caller),
        require=lambda name: require_options_of_format(body.metadata, name),
    )
    return present_file(changed, profile)
