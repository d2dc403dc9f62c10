"""The JSON Schema of an object under the caller's names."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openbulk.domain.field_paths import EACH, Path
from openbulk.domain.transformation import MappedField, Transformation

Schema = Mapping[str, Any]


def schema_to_service(transformation: Transformation, schema: Schema) -> dict[str, Any]:
    """The schema of the records that a caller sends: also with the service's own fields.

    Those that are not sent are there, too: they are known, and left out.
    """
    own = _own_properties(transformation, schema, transformation.fields)
    hidden = {name.casefold() for name in own}
    moved = {one.vendor_path[0] for one in transformation.fields if len(one.vendor_path) == 1}
    others = {
        name: _hide(one) if name in moved else one
        for name, one in schema.get("properties", {}).items()
        if name.casefold() not in hidden
    }
    return {**schema, "properties": {**own, **others}}


def schema_from_service(transformation: Transformation, schema: Schema) -> dict[str, Any]:
    """The schema of the records that a caller gets."""
    shown = [one for one in transformation.fields if one.is_shown]
    properties = _own_properties(transformation, schema, shown)
    if transformation.shows_others:
        rest = _without(schema, [one.vendor_path for one in transformation.fields])
        properties = _merge_properties(properties, rest.get("properties", {}))
    needed = [transformation.name_of(str(name)) for name in schema.get("required", ())]
    made = {**schema, "properties": properties}
    if not transformation.shows_others:
        made["additionalProperties"] = False
    return {**made, "required": [name for name in needed if name in properties]}


def _own_properties(
    transformation: Transformation, schema: Schema, fields: Sequence[MappedField]
) -> dict[str, Any]:
    """The schemas of the caller's own fields. One that the service no longer has is left out."""
    root: dict[str, Any] = {}
    for one in sorted(fields, key=lambda one: len(one.path)):
        found = schema_at(schema, one.vendor_path)
        if found is not None:
            inside = transformation.by_vendor_path.inside(one.vendor_path)
            kept = _without(found or _schema_of_type(one), [rest for _, rest in inside])
            _add_property(root, one.path, kept)
    properties: dict[str, Any] = root.get("properties", {})
    return properties


def _hide(schema: Schema) -> dict[str, Any]:
    """The schema of a field that has another name, too: its title means that one.

    It is `deprecated` (JSON Schema, validation, section 9.3): messages do not suggest it.
    """
    kept = {key: value for key, value in schema.items() if key != "title"}
    return {**kept, "deprecated": True}


def schema_at(schema: Schema, path: Path) -> Schema | None:
    """The schema of the field at a path; None if the object has no such field, {} for any."""
    for step in path:
        if "type" not in schema and "properties" not in schema:
            return {}  # any value (JSON Schema, validation, section 6.1.1)
        if step == EACH or isinstance(step, int):
            if schema.get("type", "array") != "array":
                return None
            schema = schema.get("items", {})
            continue
        inner = schema.get("properties", {}).get(step, _any_field(schema))
        if inner is None:
            return None
        schema = inner
    return schema


def _any_field(schema: Schema) -> Schema | None:
    """The schema of fields that are not named; None if there can be none."""
    takes_any = "properties" not in schema and schema.get("type") == "object"
    other = schema.get("additionalProperties", takes_any)
    return None if other is False else {} if other is True else other


def field_names(schema: Schema, prefix: str = "") -> Iterator[str]:
    """The paths of all named fields, `[*]` for the items of lists."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from field_names(inner, f"{prefix}{name}.")
        yield from field_names(inner.get("items", {}), f"{prefix}{name}{EACH}.")


def _schema_of_type(mapped: MappedField) -> Schema:
    return {} if mapped.type in {"object", "array"} else {"type": mapped.type}


def _without(schema: Schema, paths: Sequence[Path]) -> dict[str, Any]:
    """A schema without the fields at these paths. An object that had no others goes, too."""
    if not paths:
        return dict(schema)
    if "items" in schema:
        inner = [path[1:] for path in paths if path[0] == EACH and len(path) > 1]
        return {**schema, "items": _without(schema["items"], inner)}
    properties = {}
    for name, one in schema.get("properties", {}).items():
        below = [path[1:] for path in paths if path[0] == name]
        if () in below:
            continue
        kept = _without(one, [path for path in below if path])
        if not below or _has_fields(kept):
            properties[name] = kept
    return {**schema, "properties": properties}


def _has_fields(schema: Schema) -> bool:
    inner = schema.get("items", schema)
    return bool(inner.get("properties", True))


def _add_property(root: dict[str, Any], path: Path, schema: Schema) -> None:
    place = root
    for step in path[:-1]:
        place = _step_into(place, step)
    if path[-1] == EACH or isinstance(path[-1], int):
        place["type"] = "array"
        place["items"] = {**schema, **place.get("items", {})}
        return
    properties = place.setdefault("properties", {})
    before = properties.get(path[-1], {})
    properties[path[-1]] = {**schema, **before}


def _step_into(place: dict[str, Any], step: str | int) -> dict[str, Any]:
    if step == EACH or isinstance(step, int):
        place["type"] = "array"
        items: dict[str, Any] = place.setdefault("items", {"type": "object"})
        return items
    properties = place.setdefault("properties", {})
    inner: dict[str, Any] = properties.setdefault(step, {"type": "object"})
    return inner


def _merge_properties(over: Mapping[str, Any], under: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**over, **{name: one for name, one in under.items() if name not in over}}
    for name in over.keys() & under.keys():
        inner, rest = over[name].get("properties"), under[name].get("properties")
        if inner is not None and rest is not None:
            merged[name] = {**over[name], "properties": _merge_properties(inner, rest)}
    return merged
