"""Values as spreadsheets write them, turned into the types that Google expects, before a call is spent."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

import orjson

from openbulk.connectors.fields import FieldError

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})
_DAY_AND_TIME = re.compile(r"\d{4}-?\d{2}-?\d{2}[Tt ]", re.ASCII)
_FILLED_BY_GOOGLE = frozenset({"kind", "etag", "sequence"})
"""Fields that Google fills without saying "Read-only" of them: as those, they are left out when they come back."""


def converted(
    values: Mapping[str, Any], schema: Mapping[str, Any], path: str = ""
) -> dict[str, Any]:
    """A record in Google's types; fields that Google fills itself are left out. Raises FieldError."""
    fields = schema.get("properties", {})
    others = schema.get("additionalProperties")
    result: dict[str, Any] = {}
    for name, value in values.items():
        field = fields.get(name, others)
        if field is None:
            raise FieldError(
                f"{path}{name}",
                _unknown(f"{path}{name}", name, [f"{path}{known}" for known in fields]),
            )
        if value is None or field.get("readOnly") or (not path and name in _FILLED_BY_GOOGLE):
            continue
        result[name] = _converted_one(value, field, f"{path}{name}")
    return result


def check_required(body: Mapping[str, Any], schema: Mapping[str, Any], path: str = "") -> None:
    """Whether everything is there that has to be when a record is made. Raises FieldError."""
    for name in schema.get("required", ()):
        if body.get(name) in (None, ""):
            raise FieldError(
                f"{path}{name}", f"{path}{name} is missing: Google makes none without it"
            )
    for name, field in schema.get("properties", {}).items():
        if isinstance(body.get(name), Mapping):
            check_required(body[name], field, f"{path}{name}.")


def _unknown(full: str, name: str, known: Sequence[str]) -> str:
    near = get_close_matches(full, known, 1) or get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; its fields are: {', '.join(known)}"
    return f"an event has no field {full!r}{hint}"


def _converted_one(value: Any, schema: Mapping[str, Any], path: str) -> Any:
    match schema.get("type"):
        case None:
            return _from_json(value, path, "its value", "{}")
        case "object":
            parsed = _from_json(value, path, "an object", '{"useDefault": true}')
            if not isinstance(parsed, Mapping):
                raise FieldError(
                    path,
                    f"{path} is {value!r}; it has fields of its own: {_some_fields(schema, path)}",
                )
            return converted(parsed, schema, f"{path}.")
        case "array":
            return _converted_list(value, schema, path)
        case "boolean":
            return _boolean(value, path)
        case "integer":
            return _integer(value, path)
        case _:
            return _text(value, schema, path)


def _some_fields(schema: Mapping[str, Any], path: str) -> str:
    return ", ".join(f"{path}.{name}" for name in list(schema.get("properties", {}))[:4])


def _from_json(value: Any, path: str, what: str, example: str) -> Any:
    """A cell of a CSV that holds JSON."""
    if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "["}:
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise FieldError(
            path, f"{path} looks like JSON but is not ({error}); {what} looks like {example}"
        ) from error


def _converted_list(value: Any, schema: Mapping[str, Any], path: str) -> list[Any]:
    example = '[{"email": "ann@example.com"}]'
    items = _from_json(value, path, "a list", example)
    if isinstance(items, str) and schema["items"]["type"] == "string":
        items = items.splitlines()
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise FieldError(
            path,
            f"{path} is {value!r}; a list is written as JSON, {example}, or as {path}[0].email",
        )
    return [
        _converted_one(item, schema["items"], f"{path}[{index}]")
        for index, item in enumerate(items)
        if item is not None
    ]


def _boolean(value: Any, path: str) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise FieldError(path, f"{path} is {value!r}; it can be true or false")


def _integer(value: Any, path: str) -> int:
    try:
        return int(str(value).strip())
    except ValueError as error:
        raise FieldError(
            path, f"{path} is {value!r}; it has to be a whole number, like 10"
        ) from error


def _text(value: Any, schema: Mapping[str, Any], path: str) -> str:
    if isinstance(value, Mapping | list):
        raise FieldError(path, f"{path} has fields or a list where one text is expected")
    text = str(value)
    if (enum := schema.get("enum")) and text not in enum:
        same = [known for known in enum if known.lower() == text.strip().lower()]
        if not same:
            raise FieldError(path, f"{path} is {text!r}; it can be {', '.join(enum)}")
        return str(same[0])
    if schema.get("format") == "date":
        return _date(text, path)
    if schema.get("format") == "date-time":
        return _date_time(text, path)
    return text


def _date(text: str, path: str) -> str:
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError as error:
        raise FieldError(
            path, f"{path} {text!r} is not a date; dates look like 2026-02-28"
        ) from error


def _date_time(text: str, path: str) -> str:
    """RFC 3339, also with a blank for the `T`; a time without seconds gets them."""
    try:
        if not _DAY_AND_TIME.match(text.strip()):
            raise ValueError(
                "no day, or no time of it"
            )  # fromisoformat takes any character between the two
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise FieldError(
            path,
            f"{path} {text!r} is not a date with a time; they look like 2026-02-28T09:00:00+01:00",
        ) from error
    return moment.isoformat()
