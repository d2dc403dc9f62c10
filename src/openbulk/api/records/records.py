"""The records of an instance as plain REST: to look at, mend or delete what a job has written.

`events`, `events/{id}`, `calendars/{calendarId}/events/{id}`: whatever path an object has. They come after all other
routes: what is none of the platform's own paths is an object's.
"""

import base64
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.convertors import PathConvertor, register_url_convertor

from openbulk.api.bulk.download_request import DownloadRequest
from openbulk.api.http.bodies import parse_json_object, read_body
from openbulk.api.http.callers import SignedInInstance
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize, parse_page_size, set_page_headers
from openbulk.api.http.parameters import Fields
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.query_language import field_list, order_list, parse_where
from openbulk.api.wire.schema import Nothing, Record
from openbulk.domain.errors import BadInput, NotPossible
from openbulk.domain.job import Download, Position
from openbulk.engine.direct import Direct, Place

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
        str, Query(description="a condition", examples=["summary like 'Choir%'"])
    ] = "",
    fields: Fields = "",
    order: Annotated[
        str, Query(alias="orderBy", description="a field, and desc", examples=["summary desc"])
    ] = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> Any:
    """The records of an object, page by page, or the one with an id."""
    place = await records.place(path)
    if place.id is not None:
        return await records.get(place)
    size = parse_page_size(page_size)
    question = Download(
        object=path,
        file="",
        fields=field_list(fields),
        where=parse_where(where) if where.strip() else None,
        order=order_list(order),
        parameters=_parameters(request, place),
    )
    asked = await DownloadRequest(question).completed(None, records.connector)
    found, behind = await records.page(place, asked, _position(next_page), size)
    set_page_headers(response, len(found), None if behind.is_end else _token(behind))
    return found


async def create(request: Request, path: ObjectPath, records: Records) -> Any:
    """Make a record of an object."""
    place = await records.place(path)
    if place.id is not None:
        why = f"{path!r} is one record; new ones are made by POST to {path.rpartition('/')[0]!r}"
        raise NotPossible(why, can=place.can)
    return await records.create(place, await _values(request), _options(request))


async def change(request: Request, path: RecordPath, records: Records) -> Any:
    """Change the fields of a record that are given; PUT and PATCH are one."""
    return await records.change(
        _one(await records.place(path)), await _values(request), _options(request)
    )


async def delete(request: Request, path: RecordPath, records: Records) -> dict[str, Any]:
    """Delete a record."""
    await records.delete(_one(await records.place(path)), _options(request))
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


def _parameters(request: Request, place: Place) -> dict[str, str]:
    """The service's own parameters among those of the address."""
    given = {
        name: value for name, value in request.query_params.items() if value and name not in _OURS
    }
    return {name: value for name, value in given.items() if name in place.features.parameters}


def _options(request: Request) -> Mapping[str, Any]:
    """What an upload would say in its metaData is said in the address."""
    return {name: value for name, value in request.query_params.items() if value}


def _one(place: Place) -> Place:
    if place.id is None:
        why = f"{place.object!r} is a whole object; name one record of it: {place.object}/{{id}}"
        raise NotPossible(why, can=place.can)
    return place


async def _values(request: Request) -> dict[str, Any]:
    return parse_json_object(await read_body(request), '{"summary": "Choir practice"}')


def _token(position: Position) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([position.after, position.skip])).decode()


def _position(token: str) -> Position:
    if not token:
        return Position()
    try:
        after, skip = orjson.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        after, skip = 0, -1
    if not isinstance(after, str | None) or not isinstance(skip, int) or skip < 0:
        raise BadInput(
            "nextPage is no token of this list; it is in the header elements-next-page-token of a page"
        )
    return Position(after, skip)
