"""The fields of an object as JSON Schema, from the models of an export.

An export has them in two forms: a list of `fields` with `reference`s to other objects, and a
`swagger` with named models that refer to each other by `$ref` or by their names as `type`.
"""

from collections.abc import Mapping
from typing import Any

from openbulk.connectors.base import CUSTOM
from openbulk.connectors.custom.json_parts import flag_in, join, object_in, objects_in, text_in
from openbulk.domain.errors import BadInput

Schema = Mapping[str, Any]

MAX_FIELDS = 2_000
"""Fields of one object, those inside others not counted."""
MAX_DEPTH = 6
"""Objects inside each other; deeper ones take any field."""
MAX_INNER_FIELDS = 50_000
"""Fields inside others, of all objects of an export. Models may refer to each other in circles."""
_TYPES = {
    "string": "string",
    "integer": "integer",
    "int": "integer",
    "long": "integer",
    "number": "number",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "boolean": "boolean",
    "object": "object",
    "array": "array",
}
_FORMATS = {"date": "date", "datetime": "date-time", "date-time": "date-time"}
"""Types of an export that are texts of a format."""
_FLAGS = {"readOnly": "readOnly", "custom": CUSTOM}


def schema_of_fields(model: Mapping[str, Any], place: str, depth: int = 0) -> dict[str, Any]:
    """The schema of a model with `fields`; without properties if it has none. Raises BadInput."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for inner, one in objects_in(model, "fields", place, MAX_FIELDS):
        # A field has one name for callers, and may have another at the service. Records are the
        # service's own here.
        name = text_in(one, "vendorPath", inner) or text_in(one, "name", inner)
        name = name or text_in(one, "path", inner)
        if not name:
            raise BadInput(f"{join(inner, 'name')} is missing; it names the field")
        properties[name] = _field(one, inner, depth)
        if flag_in(one, "required", inner) and not properties[name].get("readOnly"):
            required.append(name)
    schema: dict[str, Any] = {"type": "object"}
    if properties:
        schema["properties"] = properties
    if required:
        schema["required"] = required
    return schema


def _field(one: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
    schema = _schema_of_type(text_in(one, "type", place), text_in(one, "format", place))
    if schema.get("type") == "object":
        schema |= _inner(one, place, depth)
    if schema.get("type") == "array" and "reference" in one:
        schema["items"] = _inner(one, place, depth)
    for name, ours in (("displayName", "title"), ("description", "description")):
        if text := text_in(one, name, place):
            schema[ours] = text
    return schema | _flags(one, place)


def _flags(one: Mapping[str, Any], place: str) -> dict[str, bool]:
    return {ours: True for name, ours in _FLAGS.items() if flag_in(one, name, place)}


def _inner(one: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
    reference = object_in(one, "reference", place)
    if not reference or depth == MAX_DEPTH:
        return {"type": "object", "additionalProperties": {}}
    return schema_of_fields(reference, join(place, "reference"), depth + 1)


def _schema_of_type(kind: str, form: str) -> dict[str, Any]:
    """The schema of a type; one that takes anything for an unknown type."""
    name = kind.lower()
    if name in _FORMATS:
        return {"type": "string", "format": _FORMATS[name]}
    if name not in _TYPES:
        return {}
    schema = {"type": _TYPES[name]}
    if name == "string" and form.lower() in _FORMATS:
        schema["format"] = _FORMATS[form.lower()]
    return schema


# --- named models ---


class Models:
    """Reads the named models of one export."""

    def __init__(self) -> None:
        self._inner_left = MAX_INNER_FIELDS

    def schema_of(self, models: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
        """The schema of a named model, or of the items of one that is a list. Raises BadInput."""
        model = object_in(models, name, place)
        if str(model.get("type", "")).lower() == "array":
            items = object_in(model, "items", join(place, name))
            referred = _name_in(items, models)
            model = object_in(models, referred, place) if referred else items
        given = object_in(model, "properties", place)
        if len(given) > MAX_FIELDS:
            raise BadInput(f"{place} has {len(given):,} fields; at most {MAX_FIELDS:,} are taken")
        if not given:
            return {"type": "object"}
        return self._object(given, models, place, 0)

    def _inner_object(
        self, model: Mapping[str, Any], models: Mapping[str, Any], place: str, depth: int
    ) -> dict[str, Any]:
        """The schema of an object inside another; one that takes any field beyond the bounds."""
        given = object_in(model, "properties", place)
        if not given or depth == MAX_DEPTH or len(given) > self._inner_left:
            return {"type": "object", "additionalProperties": {}}
        self._inner_left -= len(given)
        return self._object(given, models, place, depth)

    def _object(
        self, given: Mapping[str, Any], models: Mapping[str, Any], place: str, depth: int
    ) -> dict[str, Any]:
        properties = {
            name: self._property(object_in(given, name, place), models, join(place, name), depth)
            for name in given
        }
        return {"type": "object", "properties": properties}

    def _property(
        self, given: Mapping[str, Any], models: Mapping[str, Any], place: str, depth: int
    ) -> dict[str, Any]:
        referred = _name_in(given, models)
        if referred:
            model = object_in(models, referred, place)
            return self._inner_object(model, models, place, depth + 1)
        schema = _schema_of_type(text_in(given, "type", place), text_in(given, "format", place))
        if schema.get("type") == "object":
            return self._inner_object(given, models, place, depth + 1)
        if schema.get("type") == "array":
            items = object_in(given, "items", place)
            schema["items"] = self._property(items, models, place, depth + 1)
        for name in ("title", "description"):
            if text := text_in(given, name, place):
                schema[name] = text
        return schema | _flags(given, place)


def _name_in(given: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    """The model that a property refers to; "" if it refers to none."""
    for key in ("$ref", "type"):
        name = str(given.get(key, "")).rpartition("/")[2]
        if name in models:
            return name
    return ""
