"""Reads the parts of an export, which may be anything: each has its place, for messages."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from openbulk.domain.errors import BadInput, OpenbulkError

Steps = tuple[str, ...]
"""Where in a JSON value something is: the names of the objects around it."""

MAX_TEXT = 4_000
"""Characters of a text that has an effect: a name, a path, a value."""
MAX_STEPS = 10
"""Objects around a record in a body."""
_SHOWN = 60
_STEP = re.compile(r"[^\[\]{}*()\x00-\x1f]{1,100}")


class Undoable(OpenbulkError):
    """Openbulk cannot do what a part of an export describes: it is left out, and its neighbours
    are not."""


def text_in(value: Mapping[str, Any], name: str, place: str) -> str:
    """The text under a name, without blanks around it; "" if there is none. Raises BadInput."""
    text = value.get(name)
    if text is None:
        return ""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise BadInput(f"{join(place, name)} is not a text; write it in quotes")
    text = str(text).strip()
    if len(text) > MAX_TEXT:
        raise BadInput(f"{join(place, name)} has more than {MAX_TEXT} characters; shorten it")
    return text


def flag_in(value: Mapping[str, Any], name: str, place: str) -> bool | None:
    """True or false under a name; None if there is neither. Raises BadInput."""
    flag = value.get(name)
    if flag is None or isinstance(flag, bool):
        return flag
    if str(flag).lower() in {"true", "false"}:
        return str(flag).lower() == "true"
    raise BadInput(f"{join(place, name)} is {str(flag)[:_SHOWN]!r}; it must be true or false")


def object_in(value: Mapping[str, Any], name: str, place: str) -> Mapping[str, Any]:
    """The object under a name; an empty one if there is none. Raises BadInput."""
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise BadInput(f"{join(place, name)} is not an object; it looks like {{...}}")
    return found


def objects_in(
    value: Mapping[str, Any], name: str, place: str, limit: int
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of the list under a name, each with its place. Raises BadInput."""
    found = value.get(name)
    if found is None:
        return
    whole = join(place, name)
    if not isinstance(found, list):
        raise BadInput(f"{whole} is not a list; it looks like [{{...}}, {{...}}]")
    if len(found) > limit:
        raise BadInput(f"{whole} has {len(found):,} items; at most {limit:,} are taken")
    for number, one in enumerate(found):
        if not isinstance(one, Mapping):
            raise BadInput(f"{whole}[{number}] is not an object; it looks like {{...}}")
        yield f"{whole}[{number}]", one


def join(place: str, name: str) -> str:
    """The place of something inside another place."""
    return f"{place}.{name}" if place else name


def steps_in(path: str) -> Steps:
    """The steps of a dotted path. Raises Undoable for one that cannot be followed."""
    path = path.removeprefix("$.").removeprefix("$")
    if not path:
        return ()
    steps = tuple(path.split("."))
    if len(steps) > MAX_STEPS or not all(map(_STEP.fullmatch, steps)):
        raise Undoable(f"openbulk cannot follow {path[:80]!r}; a path is names with dots between")
    return steps


def value_behind(value: Any, steps: Steps) -> Any:
    """The value at the end of steps; None if there is none."""
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
