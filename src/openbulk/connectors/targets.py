"""The names and paths of a service's objects, and what an object cannot do."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from openbulk.connectors.base import Features
from openbulk.connectors.fields import did_you_mean
from openbulk.domain.records import Target

OF_THE_PLATFORM = (
    "authentication",
    "bulk",
    "bulkloader",
    "elements",
    "hubs",
    "instances",
    "jobs",
    "mappings",
    "metrics",
    "objects",
    "organizations",
    "ping",
)
"""First segments of paths that belong to the platform, and never to an object."""
UNDER_BULK = ("download", "jobs", "query", "workflows")
"""Names of calls below `/bulk`."""


@dataclass(frozen=True, slots=True)
class ResolvedObject:
    """The object that a name or a path refers to."""

    name: str
    """The service's own name; the caller's spelling if the service has no such object."""
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    """The values in the path: `{"calendarId": "primary"}` of `calendars/primary/events`."""


def resolve_object(name_or_path: str, objects: Mapping[str, Features]) -> ResolvedObject:
    """Find the object that a name or a path refers to."""
    for name, features in objects.items():
        for template in features.paths:
            parameters = _path_parameters(template, name_or_path)
            if parameters is not None:
                return ResolvedObject(name, parameters)
    return ResolvedObject(name_or_path)


def resolve_target(target: Target, objects: Mapping[str, Features]) -> Target:
    """The target with the object's own name, and with the values in its path as options."""
    names = target.transformation
    name = target.object if names is None else names.vendor_name
    resolved = resolve_object(name, objects)
    options = {**target.options, **resolved.path_parameters}
    return replace(target, object=resolved.name, options=options)


def _path_parameters(template: str, path: str) -> dict[str, str] | None:
    """The values in a path at the template's `{name}`s; None if the two do not match."""
    names, steps = template.split("/"), path.strip("/").split("/")
    if len(names) != len(steps):
        return None
    parameters: dict[str, str] = {}
    for name, step in zip(names, steps, strict=True):
        if name.startswith("{"):
            parameters[name.strip("{}")] = unquote(step)
        elif name != step:
            return None
    return parameters


def refusal_of(target: Target, objects: Mapping[str, Features]) -> str | None:
    """Why a service can accept no record of an upload; None if it can.

    Either the object does not exist, or it cannot do the action.
    """
    features = objects.get(target.object)
    if features is None:
        hint = did_you_mean(target.object, objects, f"the objects are: {', '.join(objects)}")
        return f"there is no object {target.object!r}; {hint}"
    if not features.actions:
        return f"{target.object!r} can only be read"
    if target.action not in features.actions:
        possible = ", ".join(sorted(features.actions))
        return f"{target.object!r} cannot {target.action}; metaData.action can be: {possible}"
    return None


def refusal_to_upload(target: Target, objects: Mapping[str, Features]) -> str | None:
    """Why a job can send no record of a file; None if it can."""
    return refusal_of_files(target.object, objects) or refusal_of(target, objects)


def refusal_of_files(object: str, objects: Mapping[str, Features]) -> str | None:
    """Why an object takes no files, though it may take single records; None if it does."""
    if object not in objects or objects[object].bulk_upload:
        return None
    return (
        f"{object!r} takes no files: its export does not set bulkUploadEnabled; "
        f"send single records with POST /{object}"
    )


def refusal_to_download(object: str, objects: Mapping[str, Features]) -> str | None:
    """Why a job can read no record of an object; None if it can."""
    refusal = refusal_to_read(object, objects)
    if refusal is None and not objects[object].bulk_download:
        return (
            f"{object!r} has no bulk downloads: its export does not set bulkDownloadEnabled; "
            f"read it page by page with GET /{object}"
        )
    return refusal


def refusal_to_read(object: str, objects: Mapping[str, Features]) -> str | None:
    """Why a service can show no record of an object; None if it can.

    Either the object does not exist, or it is write-only.
    """
    readable = [name for name, features in objects.items() if features.can_read]
    if object in readable:
        return None
    hint = did_you_mean(object, readable, f"the objects are: {', '.join(readable)}")
    return f"there is no object {object!r} to read; {hint}"
