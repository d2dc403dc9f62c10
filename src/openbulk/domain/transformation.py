"""An object under names of the caller's own, and the fields of the service that they stand for.

DEFINITION      the caller's object: its fields, with their types
TRANSFORMATION  which field of the service each of them is, for one instance
MAPPED FIELD    one of these pairs; `path` is the caller's, `vendor_path` the service's

The words and their meaning are those of Cloud Elements and of SAP Open Connectors, "Transforming
Fields via API" (https://cloud-elements.github.io/docs/guides/common-resources/mappingapi.html) and
"Removing Fields During Transformation" (.../common-resources/mapping.html). A mapping of a file's
columns will be a transformation whose fields also say how their value is made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openbulk.domain.field_paths import (
    EACH,
    Path,
    field_path_text,
    parse_field_path,
    steps_below,
    with_items_of,
)
from openbulk.domain.renaming import Move, Renaming

Schema = Mapping[str, Any]
Configuration = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class DefinedField:
    """A field of a definition."""

    path: str
    type: str = "string"


@dataclass(frozen=True, slots=True)
class MappedField:
    """A field of the caller's object, and the service's field that it stands for."""

    path: Path
    vendor_path: Path
    type: str = "string"
    """As the caller writes it; it converts nothing."""
    vendor_type: str | None = None
    is_sent: bool = True
    """Whether it goes to the service."""
    is_shown: bool = True
    """Whether it comes from the service."""
    configuration: Configuration = ()
    """As the caller wrote it."""

    @property
    def name(self) -> str:
        """The caller's path."""
        return field_path_text(self.path)

    @property
    def vendor_name(self) -> str:
        """The service's path."""
        return field_path_text(self.vendor_path)


@dataclass(frozen=True, slots=True)
class Transformation:
    """An object under the caller's names."""

    name: str
    """The caller's name of the object."""
    vendor_name: str
    """The service's name of the object, or a path of it."""
    fields: tuple[MappedField, ...] = ()
    sends_others: bool = True
    """Whether fields that it does not name go to the service as they are."""
    shows_others: bool = True
    """Whether fields that it does not name come from the service as they are."""
    configuration: Configuration = ()
    """As the caller wrote it."""

    # --- records ---

    def to_service(self, *, always: Sequence[str] = ()) -> Renaming:
        """What renames records on their way to the service.

        It also passes the fields `always`, which identify records.
        """
        moves = [Move(one.path, one.vendor_path if one.is_sent else None) for one in self.fields]
        own: list[Path] = [(name,) for name in always]
        moves += [Move(path, path) for path in own]
        return Renaming(moves, passes_rest=self.sends_others, strict=True)

    def from_service(self) -> Renaming:
        """What renames records that come from the service."""
        moves = [Move(one.vendor_path, one.path if one.is_shown else None) for one in self.fields]
        return Renaming(moves, passes_rest=self.shows_others)

    # --- names ---

    def vendor_path_of(self, path: Path) -> Path | None:
        """The service's path of a field that is sent; None if none is."""
        found = _closest(path, [(one.path, one) for one in self.fields])
        if found is None:
            return path if self.sends_others else None
        mapped, rest = found
        return (*with_items_of(mapped.vendor_path, path), *rest) if mapped.is_sent else None

    def vendor_names_of(self, name: str) -> Sequence[str]:
        """The service's fields that a selected field, or a compared one, stands for.

        Several for an object that is made of them; none if the caller's object has no such field.
        """
        path: Path = tuple(name.split("."))
        if any(one.name == name for one in self.fields):
            path = next(one.path for one in self.fields if one.name == name)
        found = _closest(path, [(one.path, one) for one in self.fields])
        if found is not None:
            mapped, rest = found
            return [_text_to_list((*mapped.vendor_path, *rest))] if mapped.is_shown else ()
        inside = [one for one in self.fields if steps_below(one.path, path) is not None]
        names = [_text_to_list(one.vendor_path) for one in inside if one.is_shown]
        if not names and self.shows_others and not self._is_moved_away(path):
            names.append(name)
        return list(dict.fromkeys(names))

    def vendor_text_of(self, name: str) -> str:
        """The service's path of a shown field, `[*]` for the items of lists."""
        path = _loose_path(name)
        found = _closest(path, [(one.path, one) for one in self.fields])
        if found is None:
            return _text_around(path, [(one.path, one.vendor_path) for one in self.fields]) or name
        mapped, rest = found
        return field_path_text((*with_items_of(mapped.vendor_path, path), *rest))

    def _is_moved_away(self, path: Path) -> bool:
        """Whether the service's field at a path is shown under another name."""
        return _closest(path, [(one.vendor_path, one) for one in self.fields]) is not None

    def name_of(self, vendor_name: str) -> str:
        """The caller's name of a service's field; the service's own if the caller has none."""
        path = _loose_path(vendor_name)
        found = _closest(path, [(one.vendor_path, one) for one in self.fields])
        if found is None:
            pairs = [(one.vendor_path, one.path) for one in self.fields]
            return _text_around(path, pairs) or vendor_name
        mapped, rest = found
        return field_path_text((*with_items_of(mapped.path, path), *rest))

    # --- schemas ---

    def schema_to_service(self, schema: Schema) -> dict[str, Any]:
        """The JSON Schema of the records that a caller sends: also the service's own fields.

        Those that are not sent are there, too: they are known, and left out.
        """
        properties = dict(schema.get("properties", {}))
        mapped = {str(one.vendor_path[0]) for one in self.fields if len(one.vendor_path) == 1}
        own = self._properties(schema, self.fields)
        hidden = {name.casefold() for name in own}
        for name in list(properties):
            if name.casefold() in hidden:
                del properties[name]
            elif name in mapped:
                # Its title means the caller's field.
                properties[name] = {
                    key: value for key, value in properties[name].items() if key != "title"
                }
        return {**schema, "properties": {**own, **properties}}

    def schema_from_service(self, schema: Schema) -> dict[str, Any]:
        """The JSON Schema of the records that a caller gets."""
        own = self._properties(schema, [one for one in self.fields if one.is_shown])
        moves = [Move(one.vendor_path, None) for one in self.fields]
        rest = _without(schema, [move.source for move in moves]) if self.shows_others else {}
        properties = _merge_properties(own, rest.get("properties", {}))
        required = self._needed_names(schema, properties)
        shown = {**schema, "properties": properties}
        if not self.shows_others:
            shown["additionalProperties"] = False
        shown.pop("required", None)
        return {**shown, "required": required} if required else shown

    def _needed_names(self, schema: Schema, properties: Schema) -> list[str]:
        names = [self.name_of(str(name)) for name in schema.get("required", ())]
        return [name for name in names if name in properties]

    def _properties(self, schema: Schema, fields: Sequence[MappedField]) -> dict[str, Any]:
        root: dict[str, Any] = {}
        for one in sorted(fields, key=lambda one: len(one.path)):
            below = [other.vendor_path for other in fields if other is not one]
            found = schema_at(schema, one.vendor_path)
            inner = [rest for path in below if (rest := steps_below(path, one.vendor_path))]
            _add_property(root, one.path, dict(_without(found or _schema_of_type(one), inner)))
        properties: dict[str, Any] = root.get("properties", {})
        return properties

    # --- kept with a job ---

    def as_json(self) -> dict[str, Any]:
        """The transformation in JSON's types; `transformation_of` reads it back."""
        return {
            "name": self.name,
            "vendor_name": self.vendor_name,
            "fields": [
                {
                    "path": list(one.path),
                    "vendor_path": list(one.vendor_path),
                    "type": one.type,
                    "vendor_type": one.vendor_type,
                    "is_sent": one.is_sent,
                    "is_shown": one.is_shown,
                    "configuration": [dict(entry) for entry in one.configuration],
                }
                for one in self.fields
            ],
            "sends_others": self.sends_others,
            "shows_others": self.shows_others,
            "configuration": [dict(entry) for entry in self.configuration],
        }


def transformation_of(kept: Mapping[str, Any]) -> Transformation:
    """A transformation from its `as_json`."""
    fields = tuple(
        MappedField(
            **{
                **one,
                "path": tuple(one["path"]),
                "vendor_path": tuple(one["vendor_path"]),
                "configuration": tuple(one["configuration"]),
            }
        )
        for one in kept["fields"]
    )
    return Transformation(
        **{**kept, "fields": fields, "configuration": tuple(kept["configuration"])}
    )


def _closest(
    path: Path, named: Sequence[tuple[Path, MappedField]]
) -> tuple[MappedField, Path] | None:
    """The field at a path, or the closest one around it, and the steps below it."""
    found: tuple[MappedField, Path] | None = None
    for container, mapped in named:
        rest = steps_below(path, container)
        if rest is not None and (found is None or len(rest) < len(found[1])):
            found = mapped, rest
    return found


def _text_around(path: Path, pairs: Sequence[tuple[Path, Path]]) -> str | None:
    """The other name of an object, by the first field in it that has another name."""
    for inner, other in pairs:
        rest = steps_below(inner, path)
        if rest:
            return field_path_text(with_items_of(other[: -len(rest)] or other, path))
    return None


def _loose_path(name: str) -> Path:
    try:
        return parse_field_path(name)
    except ValueError:
        return (name,)


def _text_to_list(path: Path) -> str:
    """The dotted name of a field, or of the list that it is in: services select whole lists."""
    steps = []
    for step in path:
        if step == EACH or isinstance(step, int):
            break
        steps.append(step)
    return ".".join(map(str, steps))


# --- schemas ---


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
