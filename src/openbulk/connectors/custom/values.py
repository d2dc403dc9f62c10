"""The values of a record in the types of the service: a table holds texts alone."""

import re
from collections.abc import Mapping
from typing import Any

from openbulk.bounded_json import read_exact_json
from openbulk.connectors.fields import FieldError, parse_boolean, short_repr
from openbulk.domain.errors import BadInput
from openbulk.exact_json import parse_float, parse_integer

_INTEGER = re.compile(r"[+-]?\d{1,1000}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,400}\.?\d{0,400}|\.\d{1,400})([eE][+-]?\d{1,3})?", re.ASCII)
_DOCUMENTS = {"array": '["a", "b"]', "object": '{"a": 1}'}


def to_types(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a record of a table in the types of its schema. Raises FieldError."""
    fields = schema.get("properties", {})
    return {name: _to_type(name, fields.get(name, {}), value) for name, value in values.items()}


def _to_type(name: str, schema: Mapping[str, Any], value: Any) -> Any:
    kind = schema.get("type")
    if isinstance(value, Mapping):
        inner = schema.get("properties", {})
        return {
            key: _to_type(f"{name}.{key}", inner.get(key, {}), one) for key, one in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_to_type(f"{name}[{number}]", items, one) for number, one in enumerate(value)]
    if not isinstance(value, str):
        return value
    match kind:
        case "integer":
            return _integer(name, value.strip())
        case "number":
            return _number(name, value.strip())
        case "boolean":
            return parse_boolean(name, value)
        case "array" | "object":
            return _document(name, value, kind)
    return value


def _integer(name: str, text: str) -> Any:
    if not _INTEGER.fullmatch(text):
        raise FieldError(name, f"{name} is {short_repr(text)}; it is a whole number, such as 12")
    return parse_integer(text)


def _number(name: str, text: str) -> Any:
    if not _NUMBER.fullmatch(text):
        raise FieldError(name, f"{name} is {short_repr(text)}; it is a number, such as 12.5")
    return parse_integer(text) if _INTEGER.fullmatch(text) else parse_float(text)


def _document(name: str, text: str, kind: str) -> Any:
    example = _DOCUMENTS[kind]
    try:
        value = read_exact_json(text, name, example=example)
    except BadInput as error:
        raise FieldError(name, error.message) from error
    if isinstance(value, list) != (kind == "array"):
        what = "a list" if kind == "array" else "an object"
        raise FieldError(name, f"{name} is {short_repr(text)}; it is {what}, such as {example}")
    return value


def has_values(shown: Any, sent: Mapping[str, Any]) -> bool:
    """Whether a record of the service has the values that were sent for it."""
    if not isinstance(shown, Mapping):
        return False
    return all(_is_same(shown.get(name), value) for name, value in sent.items())


def _is_same(shown: Any, sent: Any) -> bool:
    if isinstance(sent, Mapping):
        return has_values(shown, sent)
    return bool(shown == sent) or str(shown) == str(sent)
