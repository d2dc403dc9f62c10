"""Helpers of all shapes: descriptions for `/openapi.json`, and the spelling of values.

Each module beside this one holds the shapes of a resource's answers and the functions that present
it. `/openapi.json` shows the shapes' descriptions and examples, and tests compare them with the
answers of a running server.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.domain.epoch import milliseconds_of

EXACT = ConfigDict(extra="forbid")
"""For a shape that has the described keys and no others."""
EXAMPLE_TIME = 1_780_134_000_000
"""Milliseconds since 1970: the creation time in examples."""

EpochMs = int
Record = Annotated[
    dict[str, Any],
    Field(
        description="A record, as the service has it.",
        examples=[{"id": "choir2026", "summary": "Choir practice"}],
    ),
]


def doc(description: str, *examples: Any) -> Any:
    """The description of a key in an answer. A key that few answers have needs no example."""
    return Field(description=description, examples=list(examples) or None)


@with_config(EXACT)
class Nothing(TypedDict):
    """The request was carried out, and returns nothing."""


def without_none(shape: Mapping[str, Any]) -> dict[str, Any]:
    """A shape without the keys that have no value."""
    return {name: value for name, value in shape.items() if value is not None}


def select_fields(items: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Reduce items to the named keys, in that order; without names, they stay whole."""
    if not names:
        return list(items)
    return [{name: item[name] for name in names if name in item} for item in items]


def epoch_ms(time: datetime | None) -> int | None:
    """Milliseconds since 1970, the wire contract's form of a time."""
    return None if time is None else milliseconds_of(time)
