"""Checks calls against Google's description of its API. A call that breaks it is a violation.

`contract.json` is the discovery document
(https://www.googleapis.com/discovery/v1/apis/calendar/v3/rest) without its prose:

    python -m openbulk.sandbox.google.contract < discovery.json > contract.json
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from itertools import filterfalse
from typing import Any

import orjson

_ENUM_VALUE = re.compile(r'^- "(?P<value>\w+)" - ', re.MULTILINE)
_READ_ONLY = re.compile(r"\bRead-only\b")
_KEPT = frozenset(
    {
        "$ref",
        "type",
        "format",
        "enum",
        "required",
        "repeated",
        "minimum",
        "maximum",
        "location",
    }
)
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
MAX_VIOLATIONS = 1000
"""Maximum number of different violations; further ones are counted together."""

Schema = Mapping[str, Any]
Check = Callable[[Any, str], Iterator[str]]
"""The problems of a value at a path."""


# --- the document without its prose ---


def strip_prose(document: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a discovery document that describe calls."""
    resources = document["resources"].values()
    methods = [method for resource in resources for method in resource["methods"].values()]
    return {
        "revision": document["revision"],
        "parameters": _strip_schemas(document["parameters"]),
        "schemas": _strip_schemas(document["schemas"]),
        "methods": {method["id"]: _strip_method(method) for method in methods},
    }


def _strip_method(method: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "verb": method["httpMethod"],
        "path": method["path"],
        "parameters": _strip_schemas(method.get("parameters", {})),
        "request": method.get("request", {}).get("$ref"),
    }


def _strip_schemas(schemas: Mapping[str, Schema]) -> dict[str, Any]:
    return {name: _strip_schema(schema) for name, schema in schemas.items()}


def _strip_schema(schema: Schema) -> dict[str, Any]:
    kept = {name: schema[name] for name in _KEPT & schema.keys()}
    # Only the prose names the words that a field takes, and the fields that are read-only.
    description = schema.get("description", "")
    words = _ENUM_VALUE.findall(description)
    if words:
        kept.setdefault("enum", words)
    if _READ_ONLY.search(description):
        is_importable = "except when importing" in description
        kept["readOnlyBut"] = ["calendar.events.import"] if is_importable else []
    methods = schema.get("annotations", {}).get("required")
    if methods:
        kept["requiredBy"] = methods
    if "properties" in schema:
        kept["properties"] = _strip_schemas(schema["properties"])
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            kept[name] = _strip_schema(schema[name])
    return kept


# --- a call against it ---


@dataclass(frozen=True, slots=True)
class _Method:
    id: str
    path: re.Pattern[str]
    parameters: Mapping[str, Check]
    required: frozenset[str]
    body: Check

    def problems(self, query: Mapping[str, str], body: bytes) -> Iterator[str]:
        yield from (problem for _, problem in self.parameter_problems(query))
        for name in filterfalse(self.parameters.__contains__, query):
            yield f"it has no parameter {name!r}"
        for name in sorted(self.required - query.keys()):
            yield f"it needs the parameter {name!r}"
        yield from self.body(body, "")

    def parameter_problems(self, query: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """The parameters whose values are not legal, and their problems."""
        for name, text in query.items():
            check = self.parameters.get(name, _anything)
            for problem in check(text, f"parameter {name}"):
                yield name, problem


@dataclass
class Violations:
    """The problems of all calls, counted."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By method and problem."""

    def check(self, verb: str, path: str, query: Mapping[str, str], body: bytes) -> None:
        """Count the problems of a call; `path` follows `/calendar/v3/`."""
        method = _find_method(verb, path)
        if method is None:
            self._count(f"{verb} {path}", "there is no such method")
            return
        for problem in method.problems(query, body):
            self._count(method.id, problem)

    def _count(self, method: str, problem: str) -> None:
        if len(self.counts) >= MAX_VIOLATIONS:
            method, problem = "others", ""
        self.counts[method, problem] += 1

    def resource(self) -> list[dict[str, Any]]:
        """Each problem with its method and its number of times."""
        return [
            {"method": method, "problem": problem, "times": times}
            for (method, problem), times in self.counts.items()
        ]


def find_bad_parameter(verb: str, path: str, query: Mapping[str, str]) -> str | None:
    """The first parameter of a call whose value Google's description does not allow."""
    method = _find_method(verb, path)
    if method is None:
        return None
    name, _ = next(method.parameter_problems(query), (None, ""))
    return name


def _find_method(verb: str, path: str) -> _Method | None:
    methods = _methods().get(verb, ())
    return next((method for method in methods if method.path.fullmatch(path)), None)


@cache
def _methods() -> Mapping[str, Sequence[_Method]]:
    """The methods by verb, paths with fewer placeholders first.

    `calendars/{calendarId}/events/import` goes before `calendars/{calendarId}/events/{eventId}`.
    """
    contract = orjson.loads(files(__package__).joinpath("contract.json").read_bytes())
    descriptions = sorted(contract["methods"].items(), key=lambda pair: pair[1]["path"].count("{"))
    methods: dict[str, list[_Method]] = {}
    for name, description in descriptions:
        method = _describe_method(name, description, contract)
        methods.setdefault(description["verb"], []).append(method)
    return methods


def _describe_method(name: str, description: Schema, contract: Mapping[str, Any]) -> _Method:
    parameters = {**contract["parameters"], **description["parameters"]}
    in_query = {key: one for key, one in parameters.items() if one["location"] == "query"}
    path = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(description["path"]))
    return _Method(
        name,
        re.compile(path),
        {key: _parameter_check(schema) for key, schema in in_query.items()},
        frozenset(key for key, schema in in_query.items() if schema.get("required")),
        _BodyChecks(contract["schemas"], name).of_request(description["request"]),
    )


# --- checks of query parameters, made once ---


def _parameter_check(schema: Schema) -> Check:
    """The check of a text in the query."""
    makers = {"boolean": _boolean_text_check, "integer": _integer_text_check}
    make = makers.get(schema["type"], _text_check)
    return make(schema)


def _boolean_text_check(_schema: Schema) -> Check:
    def check(text: str, path: str) -> Iterator[str]:
        if text not in {"true", "false"}:
            yield f"{path} is neither true nor false"

    return check


def _integer_text_check(schema: Schema) -> Check:
    def check(text: str, path: str) -> Iterator[str]:
        if not _INTEGER.fullmatch(text):
            yield f"{path} is not a number"
        elif not int(schema.get("minimum", text)) <= int(text) <= int(schema.get("maximum", text)):
            yield f"{path} is out of bounds"

    return check


# --- checks of bodies, made once ---


class _BodyChecks:
    """Makes the checks of a method's body from the schemas that it refers to."""

    def __init__(self, schemas: Mapping[str, Schema], method: str) -> None:
        self._schemas = schemas
        self._method = method
        self._makers: Mapping[str, Callable[[Schema], Check]] = {
            "object": self._object_check,
            "array": self._array_check,
            "string": _text_check,
        }

    def of_request(self, schema_name: str | None) -> Check:
        """The check of the bytes of a body."""
        if schema_name is None:
            return _no_body
        check_body = self._check(self._schemas[schema_name])

        def check(body: bytes, path: str) -> Iterator[str]:
            try:
                value = orjson.loads(body)
            except orjson.JSONDecodeError:
                yield "its body is not JSON"
                return
            yield from check_body(value, path)

        return check

    def _check(self, schema: Schema) -> Check:
        if "$ref" in schema:
            schema = {**self._schemas[schema["$ref"]], **schema}
        kind = schema["type"]
        if kind in self._makers:
            return self._makers[kind](schema)
        return _TYPE_CHECKS[kind]

    def _object_check(self, schema: Schema) -> Check:
        if schema.keys().isdisjoint({"properties", "additionalProperties"}):
            return _type_check("object", dict)
        properties = schema.get("properties", {})
        fields = {name: self._property_check(one) for name, one in properties.items()}
        required = frozenset(
            name for name, one in properties.items() if self._method in one.get("requiredBy", ())
        )
        other: Check = _unknown_field
        if "additionalProperties" in schema:
            other = self._property_check(schema["additionalProperties"])

        def check(value: Any, path: str) -> Iterator[str]:
            if type(value) is not dict:
                yield f"{path or 'the body'} is not an object"
                return
            prefix = f"{path}." if path else ""
            for name, one in value.items():
                yield from fields.get(name, other)(one, f"{prefix}{name}")
            for name in sorted(required - value.keys()):
                yield f"{prefix}{name} is required"

        return check

    def _property_check(self, schema: Schema) -> Check:
        if self._method not in schema.get("readOnlyBut", [self._method]):
            return _read_only
        check_value = self._check(schema)

        def check(value: Any, path: str) -> Iterator[str]:
            # A null clears a field, of any type.
            if value is not None:
                yield from check_value(value, path)

        return check

    def _array_check(self, schema: Schema) -> Check:
        check_item = self._check(schema["items"])

        def check(value: Any, path: str) -> Iterator[str]:
            if type(value) is not list:
                yield f"{path} is not a list"
                return
            for item in value:
                yield from check_item(item, f"{path}[]")

        return check


def _no_body(body: bytes, _path: str) -> Iterator[str]:
    if body:
        yield "it takes no body"


def _unknown_field(_value: Any, path: str) -> Iterator[str]:
    yield f"there is no field {path}"


def _read_only(_value: Any, path: str) -> Iterator[str]:
    yield f"{path} is read-only"


def _anything(_value: Any, _path: str) -> Iterator[str]:
    yield from ()


def _whole_number(value: Any, path: str) -> Iterator[str]:
    # `type` rather than `isinstance`: true is not a number.
    if type(value) is not int:
        yield f"{path} is not a whole number"


def _type_check(name: str, expected: type | tuple[type, ...]) -> Check:
    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, expected):
            yield f"{path} is not of the type {name}"

    return check


_TYPE_CHECKS: Mapping[str, Check] = {
    "any": _anything,
    "boolean": _type_check("boolean", bool),
    "integer": _whole_number,
    "number": _type_check("number", (int, float)),
}


# --- texts, in the query and in bodies ---


def _text_check(schema: Schema) -> Check:
    words = schema.get("enum")
    parse, problem = _FORMATS.get(schema.get("format", ""), (str, ""))

    def check(text: Any, path: str) -> Iterator[str]:
        if type(text) is not str:
            yield f"{path} is not a text"
            return
        if words is not None and text not in words:
            yield f"{path} is none of {', '.join(words)}"
        try:
            parse(text)
        except ValueError:
            yield f"{path} {problem}"

    return check


def _parse_date_time(text: str) -> datetime:
    # Python also reads times that RFC 3339 does not allow, such as one without seconds.
    if not _DATE_TIME.fullmatch(text):
        raise ValueError("not a time of RFC 3339")
    return datetime.fromisoformat(text)


_FORMATS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date": (date.fromisoformat, "is not a date"),
    "date-time": (_parse_date_time, "is not a time (RFC 3339)"),
}
"""By format: the parser of a text, and the problem of a text that it cannot parse."""


if __name__ == "__main__":
    discovery = orjson.loads(sys.stdin.buffer.read())
    contract = orjson.dumps(strip_prose(discovery), option=orjson.OPT_SORT_KEYS)
    sys.stdout.buffer.write(contract)
