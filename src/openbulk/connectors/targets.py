"""The names and paths of a service's objects, and what an object cannot do."""

from collections.abc import Mapping
from urllib.parse import unquote

from openbulk.connectors.base import Features
from openbulk.domain.records import Target


def resolve_object(given: str, objects: Mapping[str, Features]) -> tuple[str, Mapping[str, str]]:
    """An object by the name that the service knows, and what the path that it was given by says beside."""
    for name, features in objects.items():
        for path in features.paths:
            if (found := _values_in(path, given)) is not None:
                return name, found
    return given, {}


def _values_in(path: str, given: str) -> dict[str, str] | None:
    """The values that a path has in the places of another; None where it is not that path."""
    wanted, steps = path.split("/"), given.strip("/").split("/")
    if len(wanted) != len(steps):
        return None
    values: dict[str, str] = {}
    for place, step in zip(wanted, steps, strict=True):
        if place.startswith("{"):
            values[place.strip("{}")] = unquote(step)
        elif place != step:
            return None
    return values


def refusal_of(target: Target, objects: Mapping[str, Features]) -> str | None:
    """Why no record of a job can be taken: its object does not exist, or cannot do what is asked."""
    features = objects.get(target.object)
    if features is None:
        return f"there is no object {target.object!r}; the objects are: {', '.join(objects)}"
    if not features.actions:
        return f"{target.object!r} can only be read"
    if target.action not in features.actions:
        possible = ", ".join(sorted(features.actions))
        return f"{target.object!r} cannot {target.action}; metaData.action can be: {possible}"
    return None


def refusal_to_read(object: str, objects: Mapping[str, Features]) -> str | None:
    """Why no record of an object can be read: it does not exist, or can only be written."""
    if object in objects and objects[object].can_read:
        return None
    readable = ", ".join(name for name, features in objects.items() if features.can_read)
    return f"there is no object {object!r} to read; the objects are: {readable}"
