"""The records of an instance as plain REST: to look at, mend or delete what a job has written.

`events`, `events/{id}`, `calendars/{calendarId}/events/{id}`: whatever path an object has. They come after all other
routes: what is none of the platform's own paths is an object's.
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
from openbulk.engine.queries import resolve_query

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
"""First words of paths that are never an object's. Behind a hub, only those that exist there are taken."""
_OF_AN_INSTANCE = ("bulk", "objects")


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
    str, Path(description="an object, or one of its records", examples=["events"])
]
RecordPath = Annotated[
    str, Path(description="one record of an object", examples=["events/choir2026"])
]


async def read(
    request: Request,
    response: Response,
    path: ObjectPath,
    records: Records,
    where: Annotated[
        str, QueryParameter(description="a condition", examples=["summary like 'Choir%'"])
    ] = "",
    fields: Fields = "",
    order: Annotated[
        str,
        QueryParameter(alias="orderBy", description="a field, and desc", examples=["summary desc"]),
    ] = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> Any:
    """The records of an object, page by page, or the one with an id."""
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
    """Make a record of an object."""
    resource = await records.resource(path)
    if resource.id is not None:
        why = f"{path!r} is one record; new ones are made by POST to {path.rpartition('/')[0]!r}"
        raise NotPossible(why, can=resource.can)
    return await records.create(resource, await _values(request), _options(request))


async def change(request: Request, path: RecordPath, records: Records) -> Any:
    """Change the fields of a record that are given; PUT and PATCH are one."""
    resource = await _record(records, path)
    return await records.change(resource, await _values(request), _options(request))


async def delete(request: Request, path: RecordPath, records: Records) -> dict[str, Any]:
    """Delete a record."""
    await records.delete(await _record(records, path), _options(request))
    return {}


def make_router(convertor: str) -> APIRouter:
    """The routes; `convertor` says which paths they leave to others."""
    router = APIRouter(tags=["Resources"], responses=may_answer(400, 404, 405, *OF_THE_SERVICE))
    path = f"/{{path:{convertor}}}"
    found, written, gone = answers(list[Record] | Record), answers(Record, 413), answers(Nothing)
    router.add_api_route(
        path, read, methods=["GET"], summary="Records of an object, or one of them", responses=found
    )
    router.add_api_route(
        path,
        create,
        methods=["POST"],
        summary="Make a record",
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
        path, delete, methods=["DELETE"], summary="Delete a record", responses=gone
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


def _parameters(request: Request, resource: Resource) -> dict[str, str]:
    """The service's own parameters among those of the URL."""
    names = resource.features.parameters - _OURS
    return {name: value for name, value in _options(request).items() if name in names}


def _options(request: Request) -> Mapping[str, str]:
    """The options that an upload has in its metaData; here they are in the URL."""
    return {name: value for name, value in request.query_params.items() if value}


async def _record(records: Direct, path: str) -> Resource:
    resource = await records.resource(path)
    if resource.id is None:
        name = resource.name
        why = f"{name!r} is a whole object; name one record of it: {name}/{{id}}"
        raise NotPossible(why, can=resource.can)
    return resource


async def _values(request: Request) -> dict[str, Any]:
    return parse_json_object(await read_body(request), '{"summary": "Choir practice"}')


def _token(position: Position) -> str:
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
