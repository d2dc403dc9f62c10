"""What an event is, by Google's own discovery document (revision in the file), as JSON Schema."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

_ENUM_VALUE = re.compile(r'^- "(?P<value>\w+)" - ', re.MULTILINE)
_OF_PAGES = frozenset({"pageToken", "maxResults", "syncToken", "orderBy"})
_READ_ONLY = re.compile(r"\bRead-only\b")


@cache
def event_schema() -> dict[str, Any]:
    """The JSON Schema of an event as a create takes it. Fields that Google fills are `readOnly`."""
    return schema_of("Event", "calendar.events.insert")


@cache
def schema_of(name: str, method: str) -> dict[str, Any]:
    """The JSON Schema of a resource as the method that makes one takes it."""
    return _schema_of(_discovery()["schemas"][name], method)


@cache
def list_parameters(method: str) -> frozenset[str]:
    """The parameters of a list call by which a caller can choose, less those of its pages."""
    _, resource, name = method.split(".")
    return frozenset(_discovery()["resources"][resource]["methods"][name]["parameters"]) - _OF_PAGES


@cache
def _discovery() -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(
        files(__package__).joinpath("discovery.json").read_bytes()
    )
    return document


def _schema_of(source: dict[str, Any], method: str) -> dict[str, Any]:
    """A schema of the discovery document (JSON Schema draft 3) in today's spelling, references resolved."""
    if "$ref" in source:
        source = {
            **_discovery()["schemas"][source["$ref"]],
            **{k: v for k, v in source.items() if k != "$ref"},
        }
    schema: dict[str, Any] = {} if source["type"] == "any" else {"type": source["type"]}
    description = source.get("description", "")
    if description:
        schema["description"] = description
    if _READ_ONLY.search(description):
        schema["readOnly"] = True
    if enum := source.get("enum") or _ENUM_VALUE.findall(description):
        schema["enum"] = list(enum)
    for name in ("format", "default"):
        if name in source:
            schema[name] = source[name]
    if "properties" in source:
        schema["properties"] = {
            name: _schema_of(field, method) for name, field in source["properties"].items()
        }
        required = [
            name
            for name, field in source["properties"].items()
            if method in field.get("annotations", {}).get("required", ())
        ]
        if required:
            schema["required"] = required
    if "items" in source:
        schema["items"] = _schema_of(source["items"], method)
    if isinstance(source.get("additionalProperties"), dict):
        schema["additionalProperties"] = _schema_of(source["additionalProperties"], method)
    return schema
