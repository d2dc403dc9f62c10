"""The fields of Google's resources as JSON Schema, from Google's own discovery document.

`discovery.json` is that document; it names its revision.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

_ENUM_VALUE = re.compile(r'^- "(?P<value>\w+)" - ', re.MULTILINE)
_BOUNDS = re.compile(r"Valid values are between (?P<minimum>\d+) and (?P<maximum>\d+)")
_EMAIL = re.compile(r"must be a valid email address as per RFC ?5322")
_PAGE_PARAMETERS = frozenset({"pageToken", "maxResults", "syncToken", "orderBy"})
_TYPES = {"any": None}
"""Types that JSON Schema no longer has: a field that may be anything has no type."""
_TITLES = {"summary": "Subject"}
_RANGE = {
    "type": "string",
    "enum": ["THISANDFUTURE"],
    "description": "The row stands for all later occurrences, too (RFC 5545, section 3.2.13). "
    "This field is openbulk's own.",
}
_READ_ONLY = re.compile(r"\bRead-only\b")


@cache
def event_schema() -> dict[str, Any]:
    """The JSON Schema of a new event. Fields that Google fills are `readOnly`.

    Titles are those of Google Calendar's CSV, where one column is one field
    (https://support.google.com/calendar/answer/37118).
    """
    schema = schema_of("Event", "calendar.events.insert")
    fields = schema["properties"]
    titles = {name: {**fields[name], "title": title} for name, title in _TITLES.items()}
    original_start = fields["originalStartTime"]
    with_range = {
        **original_start,
        "properties": {**original_start["properties"], "range": _RANGE},
    }
    return {**schema, "properties": {**fields, **titles, "originalStartTime": with_range}}


@cache
def schema_of(name: str, method: str) -> dict[str, Any]:
    """The JSON Schema of a resource, as the method that creates one accepts it."""
    return _convert_schema(_discovery()["schemas"][name], method)


@cache
def list_parameters(method: str) -> frozenset[str]:
    """The parameters of a list call that select records, without those of its pages."""
    _, resource, name = method.split(".")
    parameters = _discovery()["resources"][resource]["methods"][name]["parameters"]
    return frozenset(parameters) - _PAGE_PARAMETERS


@cache
def _discovery() -> dict[str, Any]:
    text = files(__package__).joinpath("discovery.json").read_bytes()
    document: dict[str, Any] = orjson.loads(text)
    return document


def _convert_schema(source: Mapping[str, Any], method: str) -> dict[str, Any]:
    """A schema of the discovery document as current JSON Schema, with references resolved.

    The document uses JSON Schema, draft 3
    (https://developers.google.com/discovery/v1/reference/apis). Only a field's description lists
    its values and bounds, and marks it as read-only or as a mail address.
    """
    source = _resolve_reference(source)
    description = source.get("description", "")
    facts = {
        "type": _TYPES.get(source["type"], source["type"]),
        "description": description,
        "readOnly": bool(_READ_ONLY.search(description)),
        "enum": list(source.get("enum", ())) or _ENUM_VALUE.findall(description),
    }
    schema = {name: value for name, value in facts.items() if value}
    schema |= {name: source[name] for name in ("format", "default") if name in source}
    schema |= _bounds(description)
    if _EMAIL.search(description):
        schema["format"] = "email"
    return schema | _convert_children(source, method)


def _bounds(description: str) -> dict[str, int]:
    found = _BOUNDS.search(description)
    return {} if found is None else {name: int(value) for name, value in found.groupdict().items()}


def _resolve_reference(source: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in source:
        return source
    # Entries beside a reference override those of its target.
    resolved = {**_discovery()["schemas"][source["$ref"]], **source}
    del resolved["$ref"]
    return resolved


def _convert_children(source: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The schemas inside a schema: of its fields, of its items, of fields without a name."""
    children: dict[str, Any] = {}
    if "properties" in source:
        fields = source["properties"]
        children["properties"] = {
            name: _convert_schema(field, method) for name, field in fields.items()
        }
        required = [name for name, field in fields.items() if method in _requiring_methods(field)]
        if required:
            children["required"] = required
    for name in ("items", "additionalProperties"):
        if isinstance(source.get(name), dict):
            children[name] = _convert_schema(source[name], method)
    return children


def _requiring_methods(field: Mapping[str, Any]) -> list[str]:
    methods: list[str] = field.get("annotations", {}).get("required", [])
    return methods
