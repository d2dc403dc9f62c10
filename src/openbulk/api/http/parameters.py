"""Parameters that several resources share."""

from typing import Annotated

from fastapi import Path, Query, Request
from fastapi.routing import APIRoute

from openbulk.api.services import Services
from openbulk.api.wire.ids import parse_id
from openbulk.domain.errors import BadInput
from openbulk.domain.spelling import likely_name
from openbulk.notify.egress import check_url

ObjectInPath = Annotated[
    str,
    Path(
        description="Name of an object, as `/objects` lists it, or one of its paths.",
        examples=["events"],
    ),
]
Fields = Annotated[
    str,
    Query(
        description="Keys to return, comma-separated. All keys if empty.",
        examples=["id"],
    ),
]
CALLBACK_HEADER = "Elements-Async-Callback-Url"
CALLBACK_URL = {
    "name": CALLBACK_HEADER,
    "in": "header",
    "description": "URL that openbulk calls when the job finishes.",
    "required": False,
    "schema": {"type": "string", "examples": ["https://example.com/hooks/openbulk"]},
}


def callback_url_of(request: Request) -> str | None:
    """The URL in the header `Elements-Async-Callback-Url`; an empty one counts as absent."""
    return request.headers.get(CALLBACK_HEADER) or None


def check_callback_url(url: str | None, services: Services) -> None:
    """Raise BadInput if this server must not call the URL."""
    if url is not None:
        check_url(url, CALLBACK_HEADER, allow_private=services.allow_private_addresses)


def parse_whole_number(text: str, name: str, *, minimum: int) -> int:
    """The whole number in a parameter. Raises BadInput if it is not one, or is below `minimum`."""
    number = parse_id(text)
    if number is None or number < minimum:
        raise BadInput(f"{name} is {text[:40]!r}; it must be a whole number of at least {minimum}")
    return number


async def refuse_misspelt_parameters(request: Request) -> None:
    """Raise BadInput for a parameter that is almost one of the route's.

    The contract ignores unknown parameters, so one that is like none of the route's is ignored.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = [field.alias for field in route.dependant.query_params]
    known += _described_parameters(route)
    for name in request.query_params:
        near = None if name in known else likely_name(name, known)
        if near is not None:
            raise BadInput(f"the parameter {name[:80]!r} is not known; did you mean {near!r}?")


def _described_parameters(route: APIRoute) -> list[str]:
    """The parameters that a handler reads by itself."""
    described = (route.openapi_extra or {}).get("parameters", ())
    return [one["name"] for one in described if one["in"] == "query"]
