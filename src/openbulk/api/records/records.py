"""The records of an instance as plain REST: to inspect, correct or delete what a job has written.

Paths are those of the objects: `events`, `events/{id}`, `calendars/{calendarId}/events/{id}`.
These routes come last: every path without a route of its own is the path of an object.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from openbulk.api.http.parameters import MISSPELT_PARAMETER, Fields
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.query_language import field_list, order_list, parse, parse_where
from openbulk.api.wire.schema import Nothing, Record
from openbulk.connectors.targets import OF_THE_PLATFORM, resolve_object
from openbulk.domain.errors import BadInput, NotPossible, SealBroken
from openbulk.domain.instance import CallingInstance
from openbulk.domain.job import Position
from openbulk.domain.options import check_values, with_known_spelling
from openbulk.domain.query import Query, not_a_page_token
from openbulk.domain.spelling import known_spelling, refuse_misspelt
from openbulk.engine.query_resolution import resolve_query
from openbulk.engine.single_records import Direct, Resource
from openbulk.security import Sealer

_OF_AN_INSTANCE = ("bulk", "objects", "ping")
"""Those of them that also exist below `/hubs/{hub}`. There, an object may have another of them."""


class _AtTheTop(PathConvertor):
    regex = rf"(?!(?:{'|'.join(OF_THE_PLATFORM)})(?:/|$)).+"


class _InAHub(PathConvertor):
    regex = rf"(?!(?:{'|'.join(_OF_AN_INSTANCE)})(?:/|$)).+"


register_url_convertor("resource", _AtTheTop())
register_url_convertor("resource_in_hub", _InAHub())


async def _records(services: ServicesOfApp, instance: SignedInInstance) -> Direct:
    connector = (await services.connections.to(instance.id)).connector
    return Direct(connector, partial(services.transformations.names_of, instance.id))


Records = Annotated[Direct, Depends(_records)]


class PageTokens:
    """Makes tokens of the pages of one list, and reads no others.

    They are sealed for the list: a connector relies on the position that it has made itself.
    """

    def __init__(self, sealer: Sealer, instance: CallingInstance, query: Query) -> None:
        self._sealer = sealer
        parts = (
            instance.id,
            query.object,
            repr(query.where),
            repr(query.order),
            query.parameters,
            *([] if query.limit is None else [query.limit]),
        )
        self._context = f"page of {parts}"

    def token(self, position: Position, left: int | None) -> str:
        """The token of the page that begins at a position, with so many records left to show."""
        plain = orjson.dumps([position.after, position.skip, left])
        return base64.urlsafe_b64encode(self._sealer.seal(plain, self._context)).decode()

    def position(self, token: str, limit: int | None) -> tuple[Position, int | None]:
        """The position in a token, and how many records are left to show; None for all.

        `limit` is the query's. Raises BadInput if the token is not one of this list.
        """
        if not token:
            return Position(), limit
        try:
            plain = self._sealer.open(base64.urlsafe_b64decode(token), self._context)
        except (ValueError, SealBroken) as error:
            raise not_a_page_token() from error
        after, skip, *left = orjson.loads(plain)
        return Position(after, skip), next(iter(left), None)


async def _token_maker(
    services: ServicesOfApp, instance: SignedInInstance
) -> Callable[[Query], PageTokens]:
    return partial(PageTokens, services.sealer, instance)


MakeTokens = Annotated[Callable[[Query], PageTokens], Depends(_token_maker)]
ObjectPath = Annotated[
    str, Path(description="Path of an object, or of one of its records.", examples=["events"])
]
RecordPath = Annotated[str, Path(description="Path of a record.", examples=["events/choir2026"])]


@dataclass(frozen=True, slots=True)
class Question:
    """What a list is to show, as its caller writes it."""

    where: str
    fields: str
    order: str
    q: str


async def _question(
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
    q: Annotated[
        str,
        QueryParameter(
            description="A query that selects from this object. Another text is a parameter of the "
            "service, if it has one of this name.",
            examples=["select * from events where summary like 'Choir%'"],
        ),
    ] = "",
) -> Question:
    return Question(where.strip(), fields, order, q.strip())


async def read(
    request: Request,
    response: Response,
    path: ObjectPath,
    records: Records,
    make_tokens: MakeTokens,
    question: Annotated[Question, Depends(_question)],
    page_size: PageSize = "",
    next_page: NextPage = "",
) -> Any:
    """A page of an object's records, or one record if the path ends in its id."""
    resource = await records.resource(path)
    key = await records.key_behind_id(resource)
    parameters = _parameters(request, resource)
    if resource.id is not None:
        return answer_records(_with_id(await records.get(resource, parameters), key))
    query = await _query_of(question, resource, records, parameters)
    query = replace(query, object=path)
    if key is not None:
        query = query.rename_field("id", key)
    resolved = await resolve_query(query, records.connector, transformation=resource.transformation)
    tokens = make_tokens(query)
    begin, left = tokens.position(next_page, query.limit)
    size = parse_page_size(page_size)
    size = size if left is None else min(size, left)
    found, end = await records.page(resource, resolved.query, begin, size)
    left = None if left is None else left - len(found)
    has_more = not end.is_end and left != 0
    set_page_headers(response, len(found), tokens.token(end, left) if has_more else None)
    return answer_records([_with_id(record, key) for record in found], response.headers)


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
    key = await records.key_behind_id(resource)
    values = _with_key(await _values(request), key)
    return answer_records(_with_id(await records.create(resource, values, options), key))


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
    key = await records.key_behind_id(resource)
    values = _with_key(await _values(request), key)
    return answer_records(_with_id(await records.change(resource, values, options), key))


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


async def _query_of(
    question: Question, resource: Resource, records: Direct, parameters: Mapping[str, str]
) -> Query:
    """The query that a question asks, by `q` or by the other parameters. Raises BadInput."""
    query = await _query_in(question.q, resource, records)
    if query is None:
        return Query(
            resource.name,
            fields=field_list(question.fields),
            where=parse_where(question.where),
            order=order_list(question.order),
            parameters=parameters,
        )
    if question.fields or question.where or question.order:
        raise BadInput("q holds a whole query; leave where, fields and orderBy out")
    of_service = {name: value for name, value in parameters.items() if name != "q"}
    return replace(query, parameters=of_service)


_SELECT = re.compile(r"select\s", re.IGNORECASE)


async def _query_in(text: str, resource: Resource, records: Direct) -> Query | None:
    """The query in the parameter `q`; None if the text is none, and so is the service's.

    Raises BadInput if it selects from another object.
    """
    if _SELECT.match(text) is None:
        return None
    try:
        query = parse(text)
    except BadInput:
        if "q" in resource.features.parameters:
            return None
        raise
    selected = query.object
    if resource.transformation is None:
        selected = resolve_object(selected, await records.connector.objects()).name
    if selected != resource.shown_name:
        raise BadInput(
            f"q selects from {query.object!r}, and the path names {resource.shown_name!r}; name "
            "the same object in both"
        )
    return query


def _with_id(record: Mapping[str, Any], key: str | None) -> Mapping[str, Any]:
    """A record with `id`: in the contract every record has one. `key` is the field of its key."""
    if key is None or key not in record:
        return record
    return {"id": record[key], **record}


def _with_key(values: Mapping[str, Any], key: str | None) -> Mapping[str, Any]:
    """The values of a record that may have been read here: `id` stands for its key.

    Raises BadInput if the two differ.
    """
    if key is None or "id" not in values:
        return values
    rest = {name: value for name, value in values.items() if name != "id"}
    if values["id"] is None:
        return rest
    if str(rest.setdefault(key, values["id"])) != str(values["id"]):
        raise BadInput(f"id and {key} differ; id stands for {key}, so leave one of them out")
    return rest


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
"""Parameters of openbulk. They are never passed to the service, even if it has one of that name.
`q` is, unless it holds a query."""


def _parameters(request: Request, resource: Resource) -> dict[str, str]:
    """The service's own parameters among those of the URL. Raises BadInput for a misspelt one."""
    names = resource.features.parameters - _OURS
    parameters = {}
    for given, value in _filled_parameters(request).items():
        name = known_spelling(given, names)
        if name is not None:
            parameters[name] = value
        else:
            refuse_misspelt([given], {*names, *_OURS}, MISSPELT_PARAMETER)
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
        _filled_parameters(request), names, repr(resource.shown_name), "parameter"
    )
    return check_values(given, options, prefix="")


def _filled_parameters(request: Request) -> Mapping[str, str]:
    return {name: value for name, value in request.query_params.items() if value}


async def _record(records: Direct, path: str) -> Resource:
    resource = await records.resource(path)
    if resource.id is None:
        name = resource.shown_name
        why = f"{name!r} is an object; name one of its records: {name}/{{id}}"
        raise NotPossible(why, can=resource.can)
    return resource


async def _values(request: Request) -> dict[str, Any]:
    body = await read_body(request)
    return await parse_large(parse_record, body, '{"summary": "Choir practice"}')
