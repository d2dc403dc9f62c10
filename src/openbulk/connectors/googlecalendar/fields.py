"""Converts values as spreadsheets have them into the types that Google expects."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from openbulk.connectors.fields import (
    FieldError,
    did_you_mean,
    not_a_choice,
    parse_boolean,
    parse_date,
)
from openbulk.domain.records import flatten

_DAY_AND_TIME = re.compile(r"\d{4}-?\d{2}-?\d{2}[Tt ]", re.ASCII)
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")
_GOOGLE_FIELDS = frozenset({"kind", "etag", "sequence"})
"""Fields that Google fills without marking them "Read-only": a record that was read has them."""

CLEARABLE = frozenset({"summary", "description", "location"})
"""Fields that a row can clear: by an empty text, or by null."""

Schema = Mapping[str, Any]
Converter = Callable[[Any, Schema, str], Any]
"""Converts a value by its schema; the path names it in an error."""


def convert(values: Mapping[str, Any], schema: Schema, path: str = "") -> dict[str, Any]:
    """A record in Google's types; `path` is its place in another record, with a dot at the end.

    Fields that Google fills itself are left out, and so are fields without a value that are not
    CLEARABLE. Raises FieldError.
    """
    fields = schema.get("properties", {})
    result: dict[str, Any] = {}
    for name, value in values.items():
        full = f"{path}{name}"
        field = fields.get(name, schema.get("additionalProperties"))
        if field is None:
            raise _unknown_field(path, name, fields)
        # A record that was read comes back with the fields that Google fills.
        if field.get("readOnly") or full in _GOOGLE_FIELDS:
            continue
        if value not in (None, ""):
            result[name] = _convert_value(value, field, full)
        elif full in CLEARABLE:
            # An empty text clears a text in a patch. Other fields without a value are left out.
            result[name] = ""
    return result


def require_clearable(values: Mapping[str, Any]) -> None:
    """Raise FieldError if a field without a value cannot be cleared."""
    for path, value in flatten(values).items():
        if value is None and path not in CLEARABLE:
            raise FieldError(
                path, f"{path} cannot be cleared by a file; {', '.join(sorted(CLEARABLE))} can"
            )


def require_fields(body: Mapping[str, Any], schema: Schema, path: str = "") -> None:
    """Raise FieldError if a field is missing that Google requires of a new record."""
    for name in schema.get("required", ()):
        if body.get(name) in (None, ""):
            raise FieldError(f"{path}{name}", f"{path}{name} is missing: Google requires it")
    for name, field in schema.get("properties", {}).items():
        if isinstance(body.get(name), Mapping):
            require_fields(body[name], field, f"{path}{name}.")


def _unknown_field(path: str, name: str, fields: Collection[str]) -> FieldError:
    full, known = f"{path}{name}", [f"{path}{field}" for field in fields]
    all_fields = f"its fields are: {', '.join(known)}"
    hint = did_you_mean(full, known, otherwise=did_you_mean(name, known, all_fields))
    return FieldError(full, f"an event has no field {full!r}; {hint}")


# --- values, by the type that the schema says ---


def _convert_value(value: Any, schema: Schema, path: str) -> Any:
    converter: Converter = _CONVERTERS.get(schema.get("type"), _text)
    return converter(value, schema, path)


def _any(value: Any, schema: Schema, path: str) -> Any:
    return _parse_json(value, path, "its value", "{}")


def _object(value: Any, schema: Schema, path: str) -> dict[str, Any]:
    fields = _parse_json(value, path, "an object", '{"useDefault": true}')
    if not isinstance(fields, Mapping):
        examples = ", ".join(f"{path}.{name}" for name in list(schema.get("properties", {}))[:4])
        raise FieldError(path, f"{path} is {value!r}; it has fields of its own: {examples}")
    return convert(fields, schema, f"{path}.")


def _list(value: Any, schema: Schema, path: str) -> list[Any]:
    example = '[{"email": "ann@example.com"}]'
    items = _parse_json(value, path, "a list", example)
    # A cell of a CSV may hold one text a line: the lines of a recurrence.
    if isinstance(items, str) and schema["items"]["type"] == "string":
        items = items.splitlines()
    if not isinstance(items, list | tuple):
        raise FieldError(
            path,
            f"{path} is {value!r}; a list is written as JSON, {example}, or as {path}[0].email",
        )
    return [
        _convert_value(item, schema["items"], f"{path}[{index}]")
        for index, item in enumerate(items)
        if item is not None
    ]


def _parse_json(value: Any, path: str, kind: str, example: str) -> Any:
    """The JSON that a cell of a CSV holds; any other value unchanged."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise FieldError(
            path, f"{path} looks like JSON but is not ({error}); {kind} looks like {example}"
        ) from error


def _boolean(value: Any, schema: Schema, path: str) -> bool:
    return parse_boolean(path, value)


def _integer(value: Any, schema: Schema, path: str) -> int:
    number = parse_integer(value, path)
    least, most = schema.get("minimum", number), schema.get("maximum", number)
    if not least <= number <= most:
        raise FieldError(path, f"{path} is {number}; Google takes {least} to {most}")
    return number


def parse_integer(value: Any, path: str) -> int:
    """A whole number. Raises FieldError."""
    try:
        return int(str(value).strip())
    except ValueError as error:
        raise FieldError(
            path, f"{path} is {value!r}; it must be a whole number, like 10"
        ) from error


def _text(value: Any, schema: Schema, path: str) -> str:
    if isinstance(value, Mapping | list):
        raise FieldError(path, f"{path} has fields or a list where one text is expected")
    text = str(value)
    if schema.get("enum"):
        text = _enum(text, schema["enum"], path)
    return _FORMATS.get(schema.get("format"), _free_text)(text, path)


def _enum(text: str, known: Sequence[str], path: str) -> str:
    """The value as Google spells it."""
    if text in known:
        return text
    by_lower_case = {value.lower(): value for value in reversed(known)}
    value = by_lower_case.get(text.strip().lower())
    if value is None:
        raise not_a_choice(path, text, known)
    return value


def _free_text(text: str, path: str) -> str:
    return text


def _parse_email(text: str, path: str) -> str:
    if not _ADDRESS.fullmatch(text.strip()):
        raise FieldError(
            path,
            f"{path} is {text!r}, which is not an email address; write it like ann@example.com",
        )
    return text.strip()


def _date(text: str, path: str) -> str:
    return parse_date(path, text).isoformat()


def _date_time(text: str, path: str) -> str:
    """A time in RFC 3339. The text may have a blank for the `T`, and no seconds."""
    try:
        if not _DAY_AND_TIME.match(text.strip()):
            # fromisoformat takes a date alone, and any character between date and time.
            raise ValueError("no day, or no time of it")
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise FieldError(
            path,
            f"{path} {text!r} is not a date with a time, like 2026-02-28T09:00:00+01:00; "
            "write it so",
        ) from error
    return moment.isoformat()


_CONVERTERS: Mapping[str | None, Converter] = {
    None: _any,
    "object": _object,
    "array": _list,
    "boolean": _boolean,
    "integer": _integer,
}
"""Every other type is a text."""
_FORMATS: Mapping[str | None, Callable[[str, str], str]] = {
    "date": _date,
    "date-time": _date_time,
    "email": _parse_email,
}
