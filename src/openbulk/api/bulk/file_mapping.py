"""Mappings that openbulk proposes for files of `POST /files`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from openbulk.api.bulk.files import FileId, find_file
from openbulk.api.bulk.mapping_option import saved_mappings
from openbulk.api.bulk.metadata import UPLOAD_OPTIONS
from openbulk.api.http.callers import SignedInCaller, require_instance
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.mapping_proposals import ShownProposal, present_proposal
from openbulk.domain.options import check_values
from openbulk.domain.records import Action, Target
from openbulk.engine.mapping_proposals import MappedFile, propose_mapping, values_of
from openbulk.engine.upload_check import CHECKED_ROWS

router = APIRouter(tags=["Files"], responses=may_answer(401, 405))


@router.get(
    "/files/{file_id}/mapping",
    summary="Propose a mapping",
    responses=answers(ShownProposal, 400, 404, *OF_THE_SERVICE),
)
async def propose(
    file_id: FileId,
    services: ServicesOfApp,
    caller: SignedInCaller,
    object: Annotated[
        str,
        Query(description="Object of the calling instance.", examples=["events"], min_length=1),
    ],
    action: Annotated[
        str, Query(description="What a job would do: create if empty.", examples=["create"])
    ] = "",
) -> dict[str, Any]:
    """How the columns of a file could make the fields of an object, with why and how sure.

    Send `mapping` as `metaData.mapping`, as it is or corrected.
    """
    instance = await require_instance(caller)
    chosen = check_values({"action": action}, UPLOAD_OPTIONS, prefix="")["action"]
    file = await find_file(services, caller, file_id)
    profile = await services.file_profiles.profile_of(file)
    names = await services.transformations.names_of(instance.id, object)
    target = Target(object, Action(chosen or Action.CREATE), transformation=names)
    connector = (await services.connections.to(instance.id)).connector
    saved = await saved_mappings(services, instance, object, caller.user.id)
    head = await services.file_profiles.page_of(file, 1, CHECKED_ROWS)
    decimal = file.options.get("decimal") or None
    described = MappedFile(profile.columns, values_of(head.rows), profile.questions, decimal)
    proposal = await propose_mapping(described, target, connector, saved)
    return present_proposal(object, proposal, list(profile.questions))
