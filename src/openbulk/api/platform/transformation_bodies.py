"""JSON bodies of definitions and transformations, with a sentence for what cannot be used.

Clients of the contract send keys beside these, such as `level` or `startDate`: what they got from
one server, they send to another. A key that is almost a known one is refused.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openbulk.bounded_json import MAX_KEPT_BYTES, store_json
from openbulk.connectors.fields import did_you_mean
from openbulk.connectors.targets import OF_THE_PLATFORM, UNDER_BULK
from openbulk.domain.errors import BadInput, TooLarge
from openbulk.domain.field_paths import EACH, Path, field_path_text, paired_paths, parse_field_path
from openbulk.domain.renamed_schemas import Schema, field_names, schema_at
from openbulk.domain.spelling import refuse_misspelt
from openbulk.domain.transformation import (
    Configuration,
    DefinedField,
    MappedField,
    Transformation,
)

DEFINITION_EXAMPLE = '{"fields": [{"path": "title", "type": "string"}]}'
DEFINITIONS_EXAMPLE = f'{{"meetings": {DEFINITION_EXAMPLE}}}'
TRANSFORMATION_EXAMPLE = (
    '{"vendorName": "events", "fields": [{"path": "title", "vendorPath": "summary"}]}'
)
MAX_FIELDS = 1_000
_MAX_TYPE = 50
_NAME = re.compile(r"\w[\w .-]{0,126}\w|\w")
_KEYS = ("fields", "vendorName", "configuration", "script", "scripts", "objectName", "level")
_FIELD_KEYS = ("path", "type", "vendorPath", "vendorType", "configuration", "mask", "level")
_FROM, _TO = "fromVendor", "toVendor"
_REMOVES_OTHERS = '{"type": "passThrough", "properties": {"fromVendor": false, "toVendor": false}}'
_NO_SCRIPTS = (
    "openbulk runs no code of its callers: leave the script out, name the fields with path and "
    "vendorPath, and change values before you send them or after you have read them"
)


def parse_object_name(name: str) -> str:
    """A name for an object of the caller's own. Raises BadInput."""
    if _NAME.fullmatch(name) is None:
        raise BadInput(
            f"{name[:80]!r} cannot be the name of an object; it has up to 128 letters, digits, "
            "blanks, dots, hyphens and underscores, and begins and ends with a letter or digit"
        )
    if name.lower() in (*OF_THE_PLATFORM, *UNDER_BULK):
        raise BadInput(f"{name!r} is a name of the platform; choose another")
    return name


# --- definitions ---


def parse_definitions(body: Mapping[str, Any]) -> Mapping[str, Sequence[DefinedField]]:
    """The definitions in a body, by their names. Raises BadInput."""
    if not body:
        raise BadInput(f"the body names no object; it looks like {DEFINITIONS_EXAMPLE}")
    return {
        parse_object_name(name): parse_definition(_require_object(one, name, DEFINITIONS_EXAMPLE))
        for name, one in body.items()
    }


def parse_definition(body: Mapping[str, Any]) -> Sequence[DefinedField]:
    """The fields of a definition. Raises BadInput."""
    _refuse_misspelt(body, _KEYS, "the body")
    fields = [
        DefinedField(field_path_text(_path(one, "path", place)), _type(one, "type", place))
        for place, one in _fields_in(body, DEFINITION_EXAMPLE)
    ]
    _require_distinct([one.path for one in fields])
    return fields


# --- transformations ---


@dataclass(frozen=True, slots=True)
class VendorObject:
    """The object of a service that a transformation renames."""

    name: str
    schema: Schema


def parse_vendor_name(body: Mapping[str, Any]) -> str:
    """The service's object that a transformation names. Raises BadInput; also for scripts."""
    _refuse_misspelt(body, _KEYS, "the body")
    _refuse_scripts(body)
    name = body.get("vendorName")
    if not isinstance(name, str) or not name or len(name) > MAX_VENDOR_NAME:
        raise BadInput(
            "vendorName is missing: it is the service's name of the object, as GET /objects lists "
            f"it; a transformation looks like {TRANSFORMATION_EXAMPLE}"
        )
    return name


MAX_VENDOR_NAME = 500


def parse_transformation(
    name: str,
    body: Mapping[str, Any],
    definition: Collection[DefinedField] | None,
    vendor: VendorObject,
) -> Transformation:
    """A transformation of an object of the service. Raises BadInput, TooLarge."""
    types = None if definition is None else {one.path: one.type for one in definition}
    fields = tuple(
        _mapped_field(one, place, types, vendor)
        for place, one in _fields_in(body, TRANSFORMATION_EXAMPLE, may_be_absent=True)
    )
    _require_distinct([one.name for one in fields])
    _require_one_sender(fields)
    configuration = _configuration(body, "configuration")
    passes = _passes(configuration, _OF_OBJECTS, "configuration")
    transformation = Transformation(
        name,
        parse_vendor_name(body),
        fields,
        sends_others=passes[_TO],
        shows_others=passes[_FROM],
        configuration=configuration,
    )
    _require_nested_alike(transformation)
    if len(store_json(transformation.as_json())) > MAX_KEPT_BYTES:
        raise TooLarge(
            f"the transformation takes more than {MAX_KEPT_BYTES} bytes, which every job would "
            "keep; name fewer fields"
        )
    return transformation


def _mapped_field(
    body: Mapping[str, Any], place: str, types: Mapping[str, str] | None, vendor: VendorObject
) -> MappedField:
    path = _path(body, "path", place)
    name = field_path_text(path)
    if types is not None and name not in types:
        hint = did_you_mean(name, types, f"its fields are: {', '.join(types)}")
        raise BadInput(
            f"{place}.path {name!r} is not a field of the definition; {hint} "
            "Or add it to the definition"
        )
    _refuse_mask(body, place)
    configuration = _configuration(body, f"{place}.configuration", body.get("configuration"))
    passes = _passes(configuration, _OF_FIELDS, f"{place}.configuration")
    vendor_path = _vendor_path(body, place, path, vendor, is_used=any(passes.values()))
    path, vendor_path = paired_paths(path, vendor_path)
    _require_same_lists(path, vendor_path, place)
    return MappedField(
        path,
        vendor_path,
        _type(body, "type", place, default=(types or {}).get(name, "string")),
        _type(body, "vendorType", place, default="") or None,
        is_sent=passes[_TO],
        is_shown=passes[_FROM],
        configuration=configuration,
    )


def _vendor_path(
    body: Mapping[str, Any], place: str, path: Path, vendor: VendorObject, *, is_used: bool
) -> Path:
    """The service's path. A field that is removed in both directions need not name one."""
    text = body.get("vendorPath")
    if text in (None, "") and not is_used:
        return path
    # A column of a database may have a dot, or a bracket, in its name.
    if isinstance(text, str) and text in vendor.schema.get("properties", {}):
        return (text,)
    found = _path(body, "vendorPath", place)
    if schema_at(vendor.schema, found) is None:
        names = list(field_names(vendor.schema))
        more = ", ..." * (len(names) > MAX_SHOWN)
        listed = f"its fields are: {', '.join(names[:MAX_SHOWN])}{more}"
        hint = did_you_mean(str(text), names, listed)
        raise BadInput(f"{place}.vendorPath {text!r} is not a field of {vendor.name!r}; {hint}")
    return found


MAX_SHOWN = 20
"""Fields that a message lists."""


def _require_same_lists(path: Path, vendor_path: Path, place: str) -> None:
    lists, vendor_lists = path.count(EACH), vendor_path.count(EACH)
    if lists != vendor_lists:
        raise BadInput(
            f"{place}: path {field_path_text(path)!r} is in {lists} lists ({EACH}), and vendorPath "
            f"{field_path_text(vendor_path)!r} in {vendor_lists}; each item of one is an item of "
            "the other"
        )


def _require_one_sender(fields: Sequence[MappedField]) -> None:
    senders: dict[Path, str] = {}
    for one in filter(lambda one: one.is_sent, fields):
        first = senders.setdefault(one.vendor_path, one.name)
        if first != one.name:
            raise BadInput(
                f"the fields {first!r} and {one.name!r} are both sent to {one.vendor_name!r}; keep "
                'one of them, or let one only be shown: "configuration": [{"type": "passThrough", '
                '"properties": {"fromVendor": true, "toVendor": false}}]'
            )


def _require_nested_alike(transformation: Transformation) -> None:
    """Raise BadInput for a field in another one, unless the service's fields are so, too."""
    for one in transformation.fields:
        around = transformation.by_path.closest(one.path[:-1])
        vendor_around = transformation.by_vendor_path.closest(one.vendor_path[:-1])
        if around is None and vendor_around is None:
            continue
        if around is not None and vendor_around is not None and around[0] is vendor_around[0]:
            continue
        other = (around or vendor_around or (one, ()))[0]
        raise BadInput(
            f"the field {one.name!r} is {one.vendor_name!r} at the service, and {other.name!r} is "
            f"{other.vendor_name!r}: only on one side is one field inside the other; nest both "
            "alike, or leave one of them out"
        )


# --- configuration ---

_OF_OBJECTS = ("passThrough", "inherit", "addToDocumentation")
"""`inherit` and `addToDocumentation` change nothing: both are so in any case."""
_OF_FIELDS = ("passThrough", "remove")
_OF_SCRIPTS = ("applyJSOnQueryFieldValue", "javascript", "script")


def _configuration(
    body: Mapping[str, Any], place: str, given: Any = None
) -> tuple[Mapping[str, Any], ...]:
    given = body.get("configuration") if given is None else given
    if given is None:
        return ()
    if not isinstance(given, list):
        raise BadInput(f"{place} is not a list; it looks like [{_REMOVES_OTHERS}]")
    return tuple(_require_object(one, place, _REMOVES_OTHERS) for one in given)


def _passes(configuration: Configuration, known: Sequence[str], place: str) -> dict[str, bool]:
    """For each direction, whether fields pass. Raises BadInput."""
    passes = {_FROM: True, _TO: True}
    for entry in configuration:
        kind = entry.get("type")
        properties = entry.get("properties")
        if isinstance(kind, str) and kind in known and kind in _READERS:
            for direction, value in _directions(kind, properties, place).items():
                passes[direction] = passes[direction] and _READERS[kind](value)
        elif kind not in known:
            _refuse_kind(kind, properties, known, place)
    return passes


_READERS: Mapping[str, Callable[[bool], bool]] = {
    "passThrough": lambda value: value,
    "remove": lambda value: not value,
}


def _directions(kind: str, properties: Any, place: str) -> Mapping[str, bool]:
    example = f'{{"type": "{kind}", "properties": {{"fromVendor": false, "toVendor": false}}}}'
    if not isinstance(properties, Mapping) or not {_FROM, _TO} & properties.keys():
        raise BadInput(f"{place}: {kind} sets no direction; write {example}")
    _refuse_misspelt(properties, (_FROM, _TO), f"{place}.properties")
    given = {name: properties[name] for name in (_FROM, _TO) if name in properties}
    for name, value in given.items():
        if not isinstance(value, bool):
            raise BadInput(f"{place}: {name} of {kind} is not true or false; write {example}")
    return given


def _refuse_kind(kind: Any, properties: Any, known: Sequence[str], place: str) -> None:
    if isinstance(kind, str) and kind.lower() in map(str.lower, _OF_SCRIPTS):
        is_on = not isinstance(properties, Mapping) or any(properties.values())
        if not is_on:
            return
        raise BadInput(f"{place}: {kind} needs a script; {_NO_SCRIPTS}")
    raise BadInput(
        f"{place}: the type {str(kind)[:80]!r} is not known; it can be {', '.join(known)}"
    )


def _refuse_scripts(body: Mapping[str, Any]) -> None:
    scripts = body.get("scripts") or []
    for script in [body.get("script"), *(scripts if isinstance(scripts, list) else [scripts])]:
        # An export names the type of a script that is not there.
        text = script.get("body") if isinstance(script, Mapping) else script
        if text:
            raise BadInput(f"the transformation has a script; {_NO_SCRIPTS}")


def _refuse_mask(body: Mapping[str, Any], place: str) -> None:
    if body.get("mask"):
        raise BadInput(
            f"{place}.mask is not possible: openbulk reads dates as people write them, and shows "
            "them in ISO 8601; leave mask out"
        )


# --- fields ---


def _fields_in(
    body: Mapping[str, Any], example: str, *, may_be_absent: bool = False
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The fields of a body, each with its place. Raises BadInput."""
    fields = body.get("fields")
    if fields is None and may_be_absent:
        return []
    if not isinstance(fields, list):
        raise BadInput(f"fields is missing, or not a list; the body looks like {example}")
    if len(fields) > MAX_FIELDS:
        raise BadInput(f"there are {len(fields):,} fields; an object has at most {MAX_FIELDS:,}")
    placed = [(f"fields[{number}]", one) for number, one in enumerate(fields)]
    return [(place, _require_field(one, place, example)) for place, one in placed]


def _require_field(value: Any, place: str, example: str) -> Mapping[str, Any]:
    field = _require_object(value, place, example)
    _refuse_misspelt(field, _FIELD_KEYS, place)
    return field


def _require_object(value: Any, place: str, example: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{place} is not a JSON object; it looks like {example}")
    return value


def _path(body: Mapping[str, Any], key: str, place: str) -> Path:
    text = body.get(key)
    if not isinstance(text, str) or not text:
        raise BadInput(f"{place}.{key} is missing; a field looks like {_FIELD_EXAMPLE}")
    try:
        return parse_field_path(text)
    except ValueError as error:
        raise BadInput(f"{place}.{key} {text[:80]!r} {error}") from error


_FIELD_EXAMPLE = '{"path": "title", "vendorPath": "summary"}'


def _type(body: Mapping[str, Any], key: str, place: str, default: str = "string") -> str:
    text = body.get(key)
    if text in (None, ""):
        return default
    if not isinstance(text, str) or len(text) > _MAX_TYPE:
        raise BadInput(
            f"{place}.{key} is not the name of a type; it can be string, number, boolean, date, "
            "object or array"
        )
    return text


def _require_distinct(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadInput(f"two fields have the path {name!r}; keep one of them")
        seen.add(name)


def _refuse_misspelt(body: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    refuse_misspelt(body, known, f"{place} takes no key {{}}")
