"""Objects on the wire: their names and their fields."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc, without_none

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


@with_config(EXACT)
class ObjectFields(TypedDict):
    """The fields of an object."""

    fields: list[ObjectField]


def present_object(name: str) -> dict[str, Any]:
    """An object, as `Elements-Version: Helium` shows it."""
    return {"name": name, "vendorName": name, "type": "vendor"}


def present_fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an object from its JSON Schema, nested ones by their dotted paths."""
    return {"fields": list(_object_fields(schema, ""))}


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
            }
        )
        yield from _object_fields(field, f"{path}.")
        if isinstance(field.get("items"), Mapping):
            yield from _object_fields(field["items"], f"{path}[*].")
