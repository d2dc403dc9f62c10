"""The records of an instance as plain REST: to look at, correct or delete what a job has written.

Their paths are those of the objects: `events`, `events/{id}`, `calendars/{calendarId}/events/{id}`.
Their routes come after all others: a path that no other route has belongs to an object.
"""

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi import Query as QueryParameter
from starlette.convertors import PathConvertor, register_url_convertor

from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInInstance
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize, parse_page_size, set_page_headers
from openbulk.api.http.parameters import Fields
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.query_language import field_list, order_list, parse_where
from openbulk.api.wire.schema import Nothing, Record
from openbulk.domain.errors import BadInput, NotPossible
from openbulk.domain.job import Position
from openbulk.domain.query import Query
from openbulk.engine.direct import Direct, Resource
from openbulk.engine.query_resolution import resolve_query

OF_THE_PLATFORM = (
    "bulk",
    "bulkloader",
    "elements",
    "hubs",
    "instances",
    "jobs",
    "metrics",
    "objects",
)
"""First words of paths that no object has."""
_OF_AN_INSTANCE = ("bulk", "objects")
"""Those of them that exist behind a hub, too; there, objects may have the others."""


class _AtTheTop(PathConvertor):
    regex = rf"(?!(?:{'|'.join(OF_THE_PLATFORM)})(?:/|$)).+"


class _InAHub(PathConvertor):
    regex = rf"(?!(?:{'|'.join(_OF_AN_INSTANCE)})(?:/|$)).+"


register_url_convertor("resource", _AtTheTop())
register_url_convertor("resource_in_hub", _InAHub())


async def _records(services: ServicesOfApp, instance: SignedInInstance) -> Direct:
    return Direct((await services.connections.to(instance.id)).connector)


Records = Annotated[Direct, Depends(_records)]
ObjectPath = Annotated[
    str, Path(description="Path of an object, or of one of its records.", examples=["events"])
]
RecordPath = Annotated[str, Path(description="Path of a record.", examples=["events/choir2026"])]


async def read(
    request: Request,
    response: Response,
    path: ObjectPath,
    records: Records,
    where: Annotated[
        str, QueryParameter(description="A condition.", examples=["summary like 'Choir%'"])
    ] = "",
    fields: Fields = "",
    order: Annotated[
        str,
        QueryParameter(
            alias="orderBy",
            description="Fields to sort by, comma-separated; `desc` behind one reverses its order.",
            examples=["summary desc"],
        ),
    ] = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> Any:
    """A page of the records of an object; or one record, if the path ends in its id."""
    resource = await records.resource(path)
    if resource.id is not None:
        return await records.get(resource)
    size = parse_page_size(page_size)
    query = Query(
        path,
        fields=field_list(fields),
        where=parse_where(where.strip()),
        order=order_list(order),
        parameters=_parameters(request, resource),
    )
    resolved = await resolve_query(query, records.connector)
    found, behind = await records.page(resource, resolved.query, _position(next_page), size)
    set_page_headers(response, len(found), None if behind.is_end else _token(behind))
    return found


async def create(request: Request, path: ObjectPath, records: Records) -> Any:
    """Create a record of an object."""
    resource = await records.resource(path)
    if resource.id is not None:
        why = f"{path!r} is a record; to create one, POST to {path.rpartition('/')[0]!r}"
        raise NotPossible(why, can=resource.can)
    return await records.create(resource, await _values(request), _options(request))


async def change(request: Request, path: RecordPath, records: Records) -> Any:
    """Change the fields of a record that are in the body. PUT and PATCH do the same."""
    resource = await _record(records, path)
    return await records.change(resource, await _values(request), _options(request))


async def delete(request: Request, path: RecordPath, records: Records) -> dict[str, Any]:
    """Delete a record."""
    await records.delete(await _record(records, path), _options(request))
    return {}


def make_router(convertor: str) -> APIRouter:
    """The routes; `convertor` is the name of one that matches the paths of objects."""
    router = APIRouter(tags=["Resources"], responses=may_answer(400, 404, 405, *OF_THE_SERVICE))
    path = f"/{{path:{convertor}}}"
    written = answers(Record, 413)
    router.add_api_route(
        path,
        read,
        methods=["GET"],
        summary="List or get records",
        responses=answers(list[Record] | Record),
    )
    router.add_api_route(
        path,
        create,
        methods=["POST"],
        summary="Create a record",
        openapi_extra=_body(_NEW),
        responses=written,
    )
    for method in ("PATCH", "PUT"):
        router.add_api_route(
            path,
            change,
            methods=[method],
            summary="Change a record",
            openapi_extra=_body({"location": "Hall"}),
            responses=written,
        )
    router.add_api_route(
        path, delete, methods=["DELETE"], summary="Delete a record", responses=answers(Nothing)
    )
    return router


_NEW = {
    "id": "choir2026",
    "summary": "Choir practice",
    "start": {"dateTime": "2026-06-04T19:00:00Z"},
    "end": {"dateTime": "2026-06-04T21:00:00Z"},
}


def _body(example: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "examples": [example]}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_OURS = frozenset({"where", "fields", "orderBy", "pageSize", "nextPage", "page"})
"""Parameters of openbulk; a parameter of the service with such a name is not passed through."""


def _parameters(request: Request, resource: Resource) -> dict[str, str]:
    """The service's own parameters among those of the URL."""
    names = resource.features.parameters - _OURS
    return {name: value for name, value in _options(request).items() if name in names}


def _options(request: Request) -> Mapping[str, str]:
    """The parameters of the URL: here they are the options that an upload has in its metaData."""
    return {name: value for name, value in request.query_params.items() if value}


async def _record(records: Direct, path: str) -> Resource:
    resource = await records.resource(path)
    if resource.id is None:
        name = resource.name
        why = f"{name!r} is an object; name a record of it: {name}/{{id}}"
        raise NotPossible(why, can=resource.can)
    return resource


async def _values(request: Request) -> dict[str, Any]:
    return parse_json_object(await read_body(request), '{"summary": "Choir practice"}')


def _token(position: Position) -> str:
    """The token of the page that begins at a position."""
    return base64.urlsafe_b64encode(orjson.dumps([position.after, position.skip])).decode()


def _position(token: str) -> Position:
    """The position in a token of `_token`. Raises BadInput for any other text."""
    if not token:
        return Position()
    with suppress(ValueError):
        match orjson.loads(base64.urlsafe_b64decode(token)):
            case [str() | None as after, int() as skip] if skip >= 0:
                return Position(after, skip)
    raise BadInput(
        "nextPage is no token of this list; take it from the header elements-next-page-token of a "
        "page"
    )
