"""Parameters that several resources share."""

from typing import Annotated

from fastapi import Path, Query

from openbulk.api.wire.ids import parse_id
from openbulk.domain.errors import BadInput

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
