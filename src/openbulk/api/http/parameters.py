"""Parameters that several resources share."""

from collections.abc import Iterator, Mapping
from typing import Annotated, TypeVar

from fastapi import Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from openbulk.api.wire.ids import parse_id
from openbulk.domain.errors import BadInput
from openbulk.domain.spelling import known_spelling, refuse_misspelt

T = TypeVar("T")

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


def parse_whole_number(text: str, name: str, *, minimum: int) -> int:
    """The whole number in a parameter. Raises BadInput if it is not one, or is below `minimum`."""
    number = parse_id(text)
    if number is None or number < minimum:
        raise BadInput(f"{name} is {text[:40]!r}; it must be a whole number of at least {minimum}")
    return number


def parse_flag(text: str, name: str) -> bool:
    """The switch in a parameter; false if it is empty. Raises BadInput."""
    if text.lower() not in ("", "true", "false"):
        raise BadInput(f"{name} is {text[:40]!r}; it must be true or false")
    return text.lower() == "true"


def parse_word(text: str, name: str, words: Mapping[T, str]) -> T | None:
    """What the word in a parameter means; None if it is empty. Raises BadInput."""
    if not text:
        return None
    meanings = {word: meaning for meaning, word in words.items()}
    word = known_spelling(text, meanings)
    if word is None:
        raise BadInput(f"{name} {text[:80]!r} is not known; it can be {', '.join(meanings)}")
    return meanings[word]


_OUR_HEADERS = ("element", "idempotency")
_KNOWN_HEADERS = frozenset(
    {
        "elements-async-callback-url",
        "elements-schedule-request",
        "elements-version",
        "idempotency-key",
        # Of the contract, without an effect here.
        "elements-async-request",
        "elements-request-id",
        "elements-trace-id",
    }
)
MISSPELT_PARAMETER = "the parameter {} is not known"
_LIKENESS_OF_HEADERS = 0.85
"""They begin alike, so two that are merely similar are not one with a typo."""


async def refuse_misspelt_parameters(request: Request) -> None:
    """Raise BadInput for a header or a parameter that is almost a known one.

    The contract ignores unknown ones, so those that are like none are ignored.
    """
    _refuse_misspelt_headers(request)
    _refuse_nul(request)
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not request.query_params:
        return
    known = list(_query_names(route.dependant))
    known += _described_parameters(route)
    refuse_misspelt(request.query_params, known, MISSPELT_PARAMETER)


def _query_names(dependant: Dependant) -> Iterator[str]:
    """The query parameters of a handler, and of all that it depends on."""
    for field in dependant.query_params:
        yield field.alias
    for other in dependant.dependencies:
        yield from _query_names(other)


def _refuse_nul(request: Request) -> None:
    """Raise BadInput for a NUL in the address: PostgreSQL has no text with one."""
    for name, value in (*request.path_params.items(), *request.query_params.multi_items()):
        if "\0" in name:
            raise BadInput("the name of a parameter has the character NUL (%00); leave it out")
        if "\0" in str(value):
            raise BadInput(f"{name[:80]} has the character NUL (%00); leave it out")


def _refuse_misspelt_headers(request: Request) -> None:
    ours = {name for name in request.headers if name.startswith(_OUR_HEADERS)}
    if not ours <= _KNOWN_HEADERS:
        sentence = "the header {} is not known"
        refuse_misspelt(sorted(ours), _KNOWN_HEADERS, sentence, _LIKENESS_OF_HEADERS)


def _described_parameters(route: APIRoute) -> list[str]:
    """The parameters that a handler reads by itself."""
    described = (route.openapi_extra or {}).get("parameters", ())
    return [one["name"] for one in described if one["in"] == "query"]
