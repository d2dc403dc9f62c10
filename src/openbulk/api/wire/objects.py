"""Objects on the wire: their names and their fields."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc, without_none
from openbulk.connectors.base import CUSTOM

ObjectName = Annotated[str, Field(examples=["events"])]


@with_config(EXACT)
class VendorObject(TypedDict):
    """An object, as `Elements-Version: Helium` shows it."""

    name: Annotated[str, doc("Name of the object.", "events")]
    vendorName: Annotated[str, doc("Name of the object at the service.", "events")]
    type: Annotated[
        Literal["vendor"],
        doc("Always vendor: the object is shown as the service has it.", "vendor"),
    ]


@with_config(EXACT)
class ObjectField(TypedDict):
    """A field of an object."""

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


def present_object(name: str) -> dict[str, Any]:
    """An object, as `Elements-Version: Helium` shows it."""
    return {"name": name, "vendorName": name, "type": "vendor"}


def present_fields(schema: Mapping[str, Any], *, only_custom: bool = False) -> dict[str, Any]:
    """The fields of an object from its JSON Schema, nested ones by their dotted paths."""
    fields = list(_object_fields(schema, ""))
    return {"fields": [field for field in fields if field["custom"] or not only_custom]}


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
