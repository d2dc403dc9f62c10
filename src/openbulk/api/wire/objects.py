"""Objects on the wire: their names and their fields."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc, without_none
from openbulk.connectors.base import CUSTOM
from openbulk.domain.transformation import Transformation

ObjectName = Annotated[str, Field(examples=["events"])]


@with_config(EXACT)
class VendorObject(TypedDict):
    """An object, as `Elements-Version: Helium` shows it."""

    name: Annotated[str, doc("Name of the object.", "events")]
    vendorName: Annotated[str, doc("Name of the object at the service.", "events")]
    type: Annotated[
        Literal["vendor", "vdr"],
        doc(
            "vendor: the object as the service has it; vdr: one with names of your own, which a "
            "transformation makes.",
            "vendor",
        ),
    ]


@with_config(EXACT)
class ObjectField(TypedDict):
    """A field of an object."""

    path: NotRequired[
        Annotated[str, doc("Your own path of the field, where a transformation gives it one.")]
    ]
    vendorPath: Annotated[
        str, doc("Dotted path of the field. `[*]` stands for the items of a list.", "summary")
    ]
    type: Annotated[str | list[str], doc("Type, as in JSON Schema.", "string")]
    format: NotRequired[Annotated[str, doc("Format, as in JSON Schema: date-time, email, ...")]]
    vendorDisplayName: Annotated[str, doc("Label of the field at the service.", "summary")]
    description: NotRequired[
        Annotated[str, doc("Description of the field by the service.", "Title of the event.")]
    ]
    enum: NotRequired[Annotated[list[Any], doc("Values that the field can have.")]]
    vendorReadOnly: Annotated[bool, doc("Whether only the service sets the field.", False)]
    vendorRequired: Annotated[bool, doc("Whether a new record needs the field.", False)]
    custom: Annotated[bool, doc("Whether somebody has added the field at the service.", False)]


@with_config(EXACT)
class ObjectFields(TypedDict):
    """The fields of an object."""

    fields: list[ObjectField]


@with_config(EXACT)
class Ping(TypedDict):
    """A service that has just answered."""

    endpoint: Annotated[str, doc("Key of the service.", "googlecalendar")]
    dateTime: Annotated[str, doc("When it answered (ISO 8601).", "2026-05-30T10:00:00.000Z")]
    valid: Annotated[bool, doc("Always true: the service takes the credentials.", True)]


def present_ping(element: str, now: datetime) -> dict[str, Any]:
    """A service that has answered at the time `now`."""
    time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"endpoint": element, "dateTime": time, "valid": True}


def present_object(name: str, vendor_name: str | None) -> dict[str, Any]:
    """An object, as `Elements-Version: Helium` shows it. `vendor_name` is that of a caller's own.

    The words are those of "GET /hubs/{hubName}/objects (v2)" (https://docs.cloud-elements.com,
    "Discovery APIs").
    """
    if vendor_name is None:
        return {"name": name, "vendorName": name, "type": "vendor"}
    return {"name": name, "vendorName": vendor_name, "type": "vdr"}


def present_fields(
    schema: Mapping[str, Any],
    transformation: Transformation | None = None,
    *,
    only_custom: bool = False,
) -> dict[str, Any]:
    """The fields of an object from its JSON Schema, nested ones by their dotted paths.

    With a `transformation`, the schema has the caller's names.
    """
    fields = [one for one in _object_fields(schema, "") if one["custom"] or not only_custom]
    if transformation is not None:
        fields = [_with_own_name(one, transformation) for one in fields]
    return {"fields": fields}


def _with_own_name(shown: Mapping[str, Any], transformation: Transformation) -> dict[str, Any]:
    name = shown["vendorPath"]
    return {"path": name, **shown, "vendorPath": transformation.vendor_text_of(name)}


def _object_fields(schema: Mapping[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    required: Sequence[str] = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield without_none(
            {
                "vendorPath": path,
                "type": field.get("type", "string"),
                "format": field.get("format"),
                "vendorDisplayName": field.get("title", name),
                "description": field.get("description"),
                "enum": field.get("enum"),
                "vendorReadOnly": bool(field.get("readOnly", False)),
                "vendorRequired": name in required,
                "custom": bool(field.get(CUSTOM, False)),
            }
        )
        yield from _object_fields(field, f"{path}.")
        if isinstance(field.get("items"), Mapping):
            yield from _object_fields(field["items"], f"{path}[*].")
