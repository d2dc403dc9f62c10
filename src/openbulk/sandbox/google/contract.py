"""Google's own description of its API, to check calls against: what it would refuse, or not understand, is a violation.

`contract.json` is the discovery document (https://www.googleapis.com/discovery/v1/apis/calendar/v3/rest), less prose:

    python -m openbulk.sandbox.google.contract < discovery.json > contract.json
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

_ENUM_VALUE = re.compile(r'^- "(?P<value>\w+)" - ', re.MULTILINE)
_READ_ONLY = re.compile(r"\bRead-only\b")
_KEPT = ("$ref", "type", "format", "enum", "required", "repeated", "minimum", "maximum", "location")
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "array": list,
    "object": dict,
}
MAX_VIOLATIONS = 1000
"""Kinds of violation that are kept; more of them are counted together."""

Check = Callable[[Any, str], Iterator[str]]
"""Says what is wrong with a value that stands at a path."""


# --- the document, less its prose ---


def slim(document: Mapping[str, Any]) -> dict[str, Any]:
    """What of a discovery document says how calls look."""
    return {
        "revision": document["revision"],
        "parameters": {name: _slim(one) for name, one in document["parameters"].items()},
        "schemas": {name: _slim(one) for name, one in document["schemas"].items()},
        "methods": {
            method["id"]: {
                "verb": method["httpMethod"],
                "path": method["path"],
                "parameters": {
                    name: _slim(one) for name, one in method.get("parameters", {}).items()
                },
                "request": method.get("request", {}).get("$ref"),
            }
            for resource in document["resources"].values()
            for method in resource["methods"].values()
        },
    }


def _slim(schema: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: schema[name] for name in _KEPT if name in schema}
    description = schema.get("description", "")
    if "enum" not in kept and (words := _ENUM_VALUE.findall(description)):
        kept["enum"] = words
    if _READ_ONLY.search(description):
        kept["readOnlyBut"] = (
            ["calendar.events.import"] if "except when importing" in description else []
        )
    if methods := schema.get("annotations", {}).get("required"):
        kept["requiredBy"] = methods
    if "properties" in schema:
        kept["properties"] = {name: _slim(one) for name, one in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            kept[name] = _slim(schema[name])
    return kept


# --- a call against it ---


@dataclass(frozen=True, slots=True)
class _Method:
    id: str
    verb: str
    path: re.Pattern[str]
    parameters: Mapping[str, Check]
    required: Sequence[str]
    body: Check | None


@dataclass
class Violations:
    """What callers did that Google's description of its API does not allow."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def check(self, verb: str, path: str, query: Mapping[str, str], body: bytes) -> None:
        """Write down what is wrong with a call; `path` is what follows `/calendar/v3/`."""
        method = _method(verb, path)
        name = method.id if method else f"{verb} {path}"
        problems = _problems(method, query, body) if method else iter(["there is no such method"])
        for problem in problems:
            key = (name, problem) if len(self.counts) < MAX_VIOLATIONS else ("others", "")
            self.counts[key] = self.counts.get(key, 0) + 1

    def listed(self) -> list[dict[str, Any]]:
        """Each with the method, and how often it was seen."""
        return [
            {"method": name, "problem": problem, "times": times}
            for (name, problem), times in self.counts.items()
        ]


def _method(verb: str, path: str) -> _Method | None:
    found = [method for method in _methods().get(verb, ()) if method.path.fullmatch(path)]
    return found[0] if found else None


def _problems(method: _Method, query: Mapping[str, str], body: bytes) -> Iterator[str]:
    for name, text in query.items():
        check = method.parameters.get(name)
        if check is None:
            yield f"it has no parameter {name!r}"
        else:
            yield from check(text, f"parameter {name}")
    for name in method.required:
        if name not in query:
            yield f"it needs the parameter {name!r}"
    if method.body is None:
        if body:
            yield "it takes no body"
        return
    try:
        yield from method.body(orjson.loads(body), "")
    except orjson.JSONDecodeError:
        yield "its body is not JSON"


@cache
def _methods() -> Mapping[str, Sequence[_Method]]:
    """By verb; paths without placeholders first, as `calendars/{calendarId}/events/import` goes before `/{eventId}`."""
    contract = orjson.loads(files(__package__).joinpath("contract.json").read_bytes())
    methods: dict[str, list[_Method]] = {}
    for name, one in sorted(
        contract["methods"].items(), key=lambda pair: pair[1]["path"].count("{")
    ):
        parameters = {**contract["parameters"], **one["parameters"]}
        in_query = {key: value for key, value in parameters.items() if value["location"] == "query"}
        schema = contract["schemas"].get(one["request"])
        methods.setdefault(one["verb"], []).append(
            _Method(
                name,
                one["verb"],
                re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(one["path"]))),
                {key: _parameter_check(value) for key, value in in_query.items()},
                [key for key, value in in_query.items() if value.get("required")],
                _check_of(schema, contract["schemas"], name) if schema else None,
            )
        )
    return methods


# --- checks of values, made once ---


def _parameter_check(schema: Mapping[str, Any]) -> Check:
    """Of a text in the query."""

    def check(text: str, path: str) -> Iterator[str]:
        match schema["type"]:
            case "boolean" if text not in {"true", "false"}:
                yield f"{path} is neither true nor false"
            case "integer" if not _INTEGER.fullmatch(text):
                yield f"{path} is not a number"
            case "integer":
                if (
                    not int(schema.get("minimum", text))
                    <= int(text)
                    <= int(schema.get("maximum", text))
                ):
                    yield f"{path} is out of bounds"
            case _:
                yield from _text_problems(schema, text, path)

    return check


def _check_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], method: str) -> Check:
    if "$ref" in schema:
        schema = {
            **schemas[schema["$ref"]],
            **{name: one for name, one in schema.items() if name != "$ref"},
        }
    match schema["type"]:
        case "object" if "properties" in schema or "additionalProperties" in schema:
            return _object_check(schema, schemas, method)
        case "array":
            return _array_check(schema, schemas, method)
        case "string":
            return _string_check(schema)
        case "integer":
            return _integer_check
        case "any":
            return lambda value, path: iter(())
        case name:
            return _type_check(name)


def _object_check(schema: Mapping[str, Any], schemas: Mapping[str, Any], method: str) -> Check:
    fields = {
        name: _check_of(one, schemas, method) for name, one in schema.get("properties", {}).items()
    }
    read_only = frozenset(
        name
        for name, one in schema.get("properties", {}).items()
        if method not in one.get("readOnlyBut", [method])
    )
    required = [
        name
        for name, one in schema.get("properties", {}).items()
        if method in one.get("requiredBy", ())
    ]
    others = (
        _check_of(schema["additionalProperties"], schemas, method)
        if "additionalProperties" in schema
        else None
    )

    def check(value: Any, path: str) -> Iterator[str]:
        if type(value) is not dict:
            yield f"{path or 'the body'} is not an object"
            return
        for name, one in value.items():
            known = fields.get(name, others)
            if known is None:
                yield f"there is no field {path}{name}"
            elif name in read_only:
                yield f"{path}{name} is read-only"
            elif one is not None:  # a null clears a field
                yield from known(one, f"{path}{name}." if type(one) is dict else f"{path}{name}")
        for name in required:
            if name not in value:
                yield f"{path}{name} is required"

    return check


def _array_check(schema: Mapping[str, Any], schemas: Mapping[str, Any], method: str) -> Check:
    item = _check_of(schema["items"], schemas, method)

    def check(value: Any, path: str) -> Iterator[str]:
        if type(value) is not list:
            yield f"{path} is not a list"
            return
        for one in value:
            yield from item(one, f"{path}[]." if type(one) is dict else f"{path}[]")

    return check


def _string_check(schema: Mapping[str, Any]) -> Check:
    def check(value: Any, path: str) -> Iterator[str]:
        if type(value) is not str:
            yield f"{path} is not a text"
        else:
            yield from _text_problems(schema, value, path)

    return check


def _text_problems(schema: Mapping[str, Any], text: str, path: str) -> Iterator[str]:
    if "enum" in schema and text not in schema["enum"]:
        yield f"{path} is none of {', '.join(schema['enum'])}"
    match schema.get("format"):
        case "date" if not _is(date.fromisoformat, text):
            yield f"{path} is not a date"
        case "date-time" if not (_DATE_TIME.fullmatch(text) and _is(datetime.fromisoformat, text)):
            yield f"{path} is not a time (RFC 3339)"


def _is(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _integer_check(value: Any, path: str) -> Iterator[str]:
    if type(value) is not int:
        yield f"{path} is not a whole number"


def _type_check(name: str) -> Check:
    expected = _TYPES[name]

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, expected):
            yield f"{path} is not of the type {name}"

    return check


if __name__ == "__main__":
    sys.stdout.buffer.write(
        orjson.dumps(slim(orjson.loads(sys.stdin.buffer.read())), option=orjson.OPT_SORT_KEYS)
    )
