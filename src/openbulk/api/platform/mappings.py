"""Saved mappings: how the columns of a kind of file make the fields of an object."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInCaller, SignedInUser, require_instance
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.platform.own_object_routes import body_like
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.ids import parse_id
from openbulk.api.wire.mappings import EXAMPLE_MAPPING, ListedMapping, ShownMapping, present_mapping
from openbulk.api.wire.schema import Nothing
from openbulk.connectors.columns import Columns
from openbulk.connectors.fields import FieldError, did_you_mean
from openbulk.connectors.targets import resolve_object
from openbulk.domain.epoch import cut_to_millisecond
from openbulk.domain.errors import BadInput, NotFound
from openbulk.domain.file_mapping import FileMapping, parse_mapping
from openbulk.domain.instance import CallingInstance
from openbulk.domain.options import with_known_spelling
from openbulk.domain.records import Action, Target
from openbulk.domain.spelling import same_name
from openbulk.domain.transformation import service_name_of
from openbulk.engine.mapping_check import require_fields
from openbulk.storage.mappings import NewMapping

router = APIRouter(tags=["Mappings"], responses=may_answer(401, 405))

MAX_NAME = 100
MAX_HEADER = 2_000
"""Columns of a header."""
_KEYS = ("name", "object", "header", "mapping")
_EXAMPLE = '{"name": "Timetable", "object": "events", "mapping": {"summary": "Titel"}}'
_BODY = body_like(
    {
        "name": "Timetable",
        "object": "events",
        "header": ["Titel", "Datum", "Beginn"],
        "mapping": EXAMPLE_MAPPING,
    }
)
MappingId = Annotated[
    str, Path(description="Number of a version of a mapping.", examples=["1"], alias="id")
]


@router.post(
    "/mappings",
    summary="Save a mapping",
    openapi_extra={"requestBody": _BODY},
    responses=answers(ShownMapping, 400, 409, 413, *OF_THE_SERVICE),
)
async def save_mapping(
    request: Request, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Save a mapping for an object of the calling instance's service.

    Your organization can use it in each upload, by its name. A name that is there gets its next
    version.
    """
    instance = await require_instance(caller)
    body = parse_json_object(await read_body(request), _EXAMPLE)
    new = _parse_body(body, instance)
    await _require_fields(new.mapping, new.object, services, instance)
    saved = await services.mappings.add(instance.organization_id, caller.user.id, new, _now())
    return present_mapping(saved)


@router.get("/mappings", summary="List the saved mappings", responses=answers(list[ListedMapping]))
async def mappings(services: ServicesOfApp, user: SignedInUser) -> list[dict[str, Any]]:
    """The mappings of your organization in all their versions, newest first."""
    found = await services.mappings.all_of(user.organization_id)
    return [present_mapping(one, is_whole=False) for one in found]


@router.get(
    "/mappings/{id}", summary="Retrieve a saved mapping", responses=answers(ShownMapping, 404)
)
async def mapping(id_: MappingId, services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """A version of a mapping, with its header and its entries."""
    number = parse_id(id_)
    found = None if number is None else await services.mappings.one(user.organization_id, number)
    if found is None:
        raise _no_mapping(id_)
    return present_mapping(found)


@router.delete(
    "/mappings/{id}", summary="Delete a saved mapping", responses=answers(Nothing, 404, 507)
)
async def delete_mapping(
    id_: MappingId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Delete a version of a mapping. Jobs that were made with it keep it."""
    number = parse_id(id_)
    if number is None or not await services.mappings.delete(user.organization_id, number, _now()):
        raise _no_mapping(id_)
    return {}


def _now() -> datetime:
    """The time, as exact as it is stored."""
    return cut_to_millisecond(datetime.now(UTC))


def _no_mapping(id_: str) -> NotFound:
    return NotFound(f"there is no mapping {id_[:80]!r}; GET /mappings lists them")


# --- bodies ---


def _parse_body(body: Mapping[str, Any], instance: CallingInstance) -> NewMapping:
    """Raises BadInput."""
    given = with_known_spelling(body, _KEYS, "the body")
    for key in ("name", "object", "mapping"):
        if given.get(key) in (None, ""):
            raise BadInput(f"{key} is missing; the body looks like {_EXAMPLE}")
    mapping = parse_mapping(given["mapping"], "mapping")
    name = _text(given["name"], "name")
    if name.lower() == "auto":
        raise BadInput("name 'auto' stands for a mapping that openbulk proposes; choose another")
    header = _header(given.get("header"), mapping)
    return NewMapping(name, instance.element, _text(given["object"], "object"), header, mapping)


def _text(given: Any, key: str) -> str:
    if not isinstance(given, str) or len(given) > MAX_NAME or given != given.strip():
        raise BadInput(
            f"{key} is not a text of up to {MAX_NAME} characters without blanks at its ends; "
            f"the body looks like {_EXAMPLE}"
        )
    return given


def _header(given: Any, mapping: FileMapping) -> tuple[str, ...]:
    """The columns of the file; those of the mapping if none are given."""
    if given is None:
        return tuple(mapping.columns)
    is_list = isinstance(given, list) and all(isinstance(one, str) for one in given)
    if not is_list or not 0 < len(given) <= MAX_HEADER:
        raise BadInput(
            f"header is not a list of 1 to {MAX_HEADER:,} names of columns; "
            'it looks like ["Titel", "Datum"]'
        )
    for name in mapping.columns:
        if same_name(name, given) is None:
            hint = did_you_mean(name, given, "add it, or leave header out")
            raise BadInput(f"mapping names the column {name[:80]!r}, which header lacks; {hint}")
    return tuple(dict.fromkeys(given))


async def _require_fields(
    mapping: FileMapping, object: str, services: Services, instance: CallingInstance
) -> None:
    """Raise BadInput for an object or a field that the service does not have."""
    connector = (await services.connections.to(instance.id)).connector
    objects = await connector.objects()
    names = await services.transformations.names_of(instance.id, object)
    resolved = resolve_object(service_name_of(object, names), objects).name
    if resolved not in objects:
        hint = did_you_mean(resolved, objects, f"the objects are: {', '.join(objects)}")
        raise BadInput(f"there is no object {object!r}; {hint}")
    schema = await connector.metadata(resolved)
    target = Target(resolved, Action.UPSERT, transformation=names)
    try:
        columns = Columns(target, objects[resolved], schema, names_are_paths=True)
    except FieldError as error:
        raise BadInput(error.message) from error
    require_fields(mapping, columns, schema, "mapping")
