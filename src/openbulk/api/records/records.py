"""The records of an instance as plain REST: to inspect, correct or delete what a job has written.

Paths are those of the objects: `events`, `events/{id}`, `calendars/{calendarId}/events/{id}`.
These routes come last: every path without a route of its own is the path of an object.
"""

import base64
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi import Query as QueryParameter
from starlette.convertors import PathConvertor, register_url_convertor

from openbulk.api.http.bodies import answer_records, parse_large, parse_record, read_body
from openbulk.api.http.callers import SignedInInstance
from openbulk.api.http.openapi import OF_THE_SERVICE, answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize, parse_page_size, set_page_headers
from openbulk.api.http.parameters import Fields
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.query_language import field_list, order_list, parse_where
from openbulk.api.wire.schema import Nothing, Record
from openbulk.domain.errors import BadInput, NotPossible, SealBroken
from openbulk.domain.instance import CallingInstance
from openbulk.domain.job import Position
from openbulk.domain.options import check_values, with_known_spelling
from openbulk.domain.query import Query
from openbulk.domain.spelling import known_spelling, likely_name
from openbulk.engine.direct import Direct, Resource
from openbulk.engine.query_resolution import resolve_query
from openbulk.security import Sealer

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
"""First segments of paths that belong to the platform, and never to an object."""
_OF_AN_INSTANCE = ("bulk", "objects")
"""Those of them that also exist below `/hubs/{hub}`. There, an object may have another of them."""


class _AtTheTop(PathConvertor):
    regex = rf"(?!(?:{'|'.join(OF_THE_PLATFORM)})(?:/|$)).+"


class _InAHub(PathConvertor):
    regex = rf"(?!(?:{'|'.join(_OF_AN_INSTANCE)})(?:/|$)).+"


register_url_convertor("resource", _AtTheTop())
register_url_convertor("resource_in_hub", _InAHub())


async def _records(services: ServicesOfApp, instance: SignedInInstance) -> Direct:
    return Direct((await services.connections.to(instance.id)).connector)


Records = Annotated[Direct, Depends(_records)]


class PageTokens:
    """Makes tokens of the pages of one list, and reads no others.

    They are sealed for the list: a connector relies on the position that it has made itself.
    """

    def __init__(self, sealer: Sealer, instance: CallingInstance, query: Query) -> None:
        self._sealer = sealer
        parts = (instance.id, query.object, repr(query.where), repr(query.order), query.parameters)
        self._context = f"page of {parts}"

    def token(self, position: Position) -> str:
        """The token of the page that begins at a position."""
        plain = orjson.dumps([position.after, position.skip])
        return base64.urlsafe_b64encode(self._sealer.seal(plain, self._context)).decode()

    def position(self, token: str) -> Position:
        """The position in a token. Raises BadInput if it is not one of this list."""
        if not token:
            return Position()
        try:
            plain = self._sealer.open(base64.urlsafe_b64decode(token), self._context)
        except (ValueError, SealBroken) as error:
            raise BadInput(
                "nextPage is not a token of this list; take it from the header "
                "elements-next-page-token of a page, and send the other parameters unchanged"
            ) from error
        after, skip = orjson.loads(plain)
        return Position(after, skip)


async def _token_maker(
    services: ServicesOfApp, instance: SignedInInstance
) -> Callable[[Query], PageTokens]:
    return partial(PageTokens, services.sealer, instance)


MakeTokens = Annotated[Callable[[Query], PageTokens], Depends(_token_maker)]
ObjectPath = Annotated[
    str, Path(description="Path of an object, or of one of its records.", examples=["events"])
]
RecordPath = Annotated[str, Path(description="Path of a record.", examples=["events/choir2026"])]


async def read(
    request: Request,
    response: Response,
    path: ObjectPath,
    records: Records,
    make_tokens: MakeTokens,
    where: Annotated[
        str, QueryParameter(description="A condition.", examples=["summary like 'Choir%'"])
    ] = "",
    fields: Fields = "",
    order: Annotated[
        str,
        QueryParameter(
            alias="orderBy",
            description="Fields to sort by, comma-separated; `desc` after one reverses its order.",
            examples=["summary desc"],
        ),
    ] = "",
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> Any:
    """A page of an object's records, or one record if the path ends in its id."""
    resource = await records.resource(path)
    parameters = _parameters(request, resource)
    if resource.id is not None:
        return answer_records(await records.get(resource, parameters))
    size = parse_page_size(page_size)
    query = Query(
        path,
        fields=field_list(fields),
        where=parse_where(where.strip()),
        order=order_list(order),
        parameters=parameters,
    )
    resolved = await resolve_query(query, records.connector)
    tokens = make_tokens(query)
    begin = tokens.position(next_page)
    found, end = await records.page(resource, resolved.query, begin, size)
    set_page_headers(response, len(found), None if end.is_end else tokens.token(end))
    return answer_records(found, response.headers)


async def create(
    request: Request,
    path: ObjectPath,
    records: Records,
    services: ServicesOfApp,
    instance: SignedInInstance,
) -> Any:
    """Create a record of an object."""
    resource = await records.resource(path)
    if resource.id is not None:
        why = f"{path!r} is a record; to create one, POST to {path.rpartition('/')[0]!r}"
        raise NotPossible(why, can=resource.can)
    options = await _options(request, services, instance, resource)
    return answer_records(await records.create(resource, await _values(request), options))


async def change(
    request: Request,
    path: RecordPath,
    records: Records,
    services: ServicesOfApp,
    instance: SignedInInstance,
) -> Any:
    """Change those fields of a record that the body has. PUT and PATCH are equivalent."""
    resource = await _record(records, path)
    options = await _options(request, services, instance, resource)
    return answer_records(await records.change(resource, await _values(request), options))


async def delete(
    request: Request,
    path: RecordPath,
    records: Records,
    services: ServicesOfApp,
    instance: SignedInInstance,
) -> dict[str, Any]:
    """Delete a record."""
    resource = await _record(records, path)
    await records.delete(resource, await _options(request, services, instance, resource))
    return {}


def make_router(convertor: str) -> APIRouter:
    """The routes of records. `convertor` names the convertor that matches their paths."""
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
"""Parameters of openbulk. They are never passed to the service, even if it has one of that name."""


def _parameters(request: Request, resource: Resource) -> dict[str, str]:
    """The service's own parameters among those of the URL. Raises BadInput for a misspelt one."""
    names = resource.features.parameters - _OURS
    parameters = {}
    for given, value in _filled_parameters(request).items():
        name = known_spelling(given, names)
        if name is not None:
            parameters[name] = value
        elif given not in _OURS and (near := likely_name(given, {*names, *_OURS})):
            raise BadInput(f"the parameter {given[:80]!r} is not known; did you mean {near!r}?")
    return parameters


async def _options(
    request: Request, services: Services, instance: CallingInstance, resource: Resource
) -> Mapping[str, Any]:
    """The query parameters of a call that writes: the options that an upload has in `metaData`.

    Raises BadInput for any other.
    """
    provider = await services.elements.provider(instance.organization_id, instance.element)
    options = [option for option in provider.options if option.is_for(resource.name)]
    names = [option.name for option in options]
    given = with_known_spelling(
        _filled_parameters(request), names, repr(resource.name), "parameter"
    )
    return check_values(given, options, prefix="")


def _filled_parameters(request: Request) -> Mapping[str, str]:
    return {name: value for name, value in request.query_params.items() if value}


async def _record(records: Direct, path: str) -> Resource:
    resource = await records.resource(path)
    if resource.id is None:
        name = resource.name
        why = f"{name!r} is an object; name one of its records: {name}/{{id}}"
        raise NotPossible(why, can=resource.can)
    return resource


async def _values(request: Request) -> dict[str, Any]:
    body = await read_body(request)
    return await parse_large(parse_record, body, '{"summary": "Choir practice"}')
