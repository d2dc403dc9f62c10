"""Reads the bodies of calls by the schemas of Google's description of its API."""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from openbulk.sandbox.google.errors import bad_request, invalid

Schema = Mapping[str, Any]
_INT32 = range(-(2**31), 2**31)


@cache
def _schemas() -> Mapping[str, Schema]:
    contract = orjson.loads(files(__package__).joinpath("contract.json").read_bytes())
    schemas: Mapping[str, Schema] = contract["schemas"]
    return schemas


def read_fields(body: Mapping[str, Any], schema: str, names: Collection[str]) -> dict[str, Any]:
    """The named fields of a body. Raises Rejected (400) for a wrong type or an unknown word.

    Like Google, it ignores the fields that the schema does not have, at any depth. A null, which
    clears a field, is kept.
    """
    properties = _schemas()[schema]["properties"]
    return {
        name: _read(value, properties[name], name) for name, value in body.items() if name in names
    }


def _read(value: Any, schema: Schema, path: str) -> Any:
    if value is None:
        return None
    if "$ref" in schema:
        schema = _schemas()[schema["$ref"]]
    return _READERS[schema["type"]](value, schema, path)


def _require_type(value: Any, expected: type) -> None:
    # `type` rather than `isinstance`: true is not a number.
    if type(value) is not expected:
        raise bad_request()


def _read_text(value: Any, schema: Schema, path: str) -> str:
    _require_type(value, str)
    if value not in schema.get("enum", [value]):
        raise invalid(f"Invalid value for: {path}")
    return str(value)


def _read_integer(value: Any, _schema: Schema, _path: str) -> int:
    _require_type(value, int)
    if value not in _INT32:
        raise bad_request()
    return int(value)


def _read_boolean(value: Any, _schema: Schema, _path: str) -> bool:
    _require_type(value, bool)
    return bool(value)


def _read_list(value: Any, schema: Schema, path: str) -> list[Any]:
    _require_type(value, list)
    return [_read(item, schema["items"], path) for item in value]


def _read_object(value: Any, schema: Schema, path: str) -> dict[str, Any]:
    _require_type(value, dict)
    properties, more = schema.get("properties", {}), schema.get("additionalProperties")
    fields = ((name, one, properties.get(name, more)) for name, one in value.items())
    return {name: _read(one, of, f"{path}.{name}") for name, one, of in fields if of is not None}


def _read_anything(value: Any, _schema: Schema, _path: str) -> Any:
    return value


_READERS: Mapping[str, Callable[[Any, Schema, str], Any]] = {
    "any": _read_anything,
    "array": _read_list,
    "boolean": _read_boolean,
    "integer": _read_integer,
    "object": _read_object,
    "string": _read_text,
}
