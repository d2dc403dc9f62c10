"""Definitions and transformations on the wire.

The shapes are those of "Organization-Level Transformation APIs" and "Account Level Virtual Data
Resources APIs" (https://docs.cloud-elements.com), which SAP Open Connectors has under the same
paths.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc, without_none
from openbulk.domain.transformation import DefinedField, Transformation

INSTANCE, ORGANIZATION = "instance", "organization"
Level = Literal["instance", "organization"]


@with_config(EXACT)
class ShownField(TypedDict):
    """A field of a definition."""

    path: Annotated[str, doc("Path of the field: a name, or several with dots.", "title")]
    type: Annotated[str, doc("Type of the field, as you wrote it.", "string")]
    level: NotRequired[Annotated[Level, doc("Where the field is defined.")]]


@with_config(EXACT)
class Definition(TypedDict):
    """An object with fields of your own."""

    fields: list[ShownField]
    level: Annotated[Level, doc("Whose definition it is.", ORGANIZATION)]


@with_config(EXACT)
class ShownMappedField(TypedDict):
    """A field of a transformation."""

    path: Annotated[str, doc("Your path of the field.", "title")]
    type: Annotated[str, doc("Type of the field, as you wrote it.", "string")]
    vendorPath: Annotated[str, doc("The service's path of the field.", "summary")]
    vendorType: NotRequired[Annotated[str, doc("Type at the service, as you wrote it.")]]
    level: Annotated[Level, doc("Always instance.", INSTANCE)]
    configuration: NotRequired[Annotated[list[dict[str, Any]], doc("As you wrote it.")]]


@with_config(EXACT)
class ShownTransformation(TypedDict):
    """The fields of the service to which those of your object are mapped."""

    level: Annotated[Level, doc("Always instance.", INSTANCE)]
    objectName: Annotated[str, doc("Your name of the object.", "meetings")]
    vendorName: Annotated[str, doc("The service's name of the object.", "events")]
    startDate: Annotated[
        str, doc("When it was last changed, in UTC.", "2026-05-30 10:00:00.000000")
    ]
    fields: list[ShownMappedField]
    configuration: Annotated[list[dict[str, Any]], doc("As you wrote it.", [])]
    isLegacy: Annotated[bool, doc("Always false: there are no scripts.", False)]


Definitions = dict[str, Definition]
ShownTransformations = dict[str, ShownTransformation]


def present_definition(fields: Iterable[DefinedField], level: str) -> dict[str, Any]:
    """A definition of an organization."""
    shown = [{"path": one.path, "type": one.type} for one in fields]
    return {"fields": shown, "level": level}


def present_merged_definition(fields: Mapping[str, tuple[DefinedField, str]]) -> dict[str, Any]:
    """A definition of an instance, with the fields that it has from its organization."""
    shown = [{"path": one.path, "type": one.type, "level": level} for one, level in fields.values()]
    return {"fields": shown, "level": INSTANCE}


def present_transformation(transformation: Transformation, changed_at: datetime) -> dict[str, Any]:
    """A transformation of an instance."""
    return {
        "level": INSTANCE,
        "objectName": transformation.name,
        "vendorName": transformation.vendor_name,
        "startDate": f"{changed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}",
        "fields": [
            without_none(
                {
                    "type": one.type,
                    "path": one.name,
                    "vendorPath": one.vendor_name,
                    "vendorType": one.vendor_type,
                    "level": INSTANCE,
                    "configuration": list(one.configuration) or None,
                }
            )
            for one in transformation.fields
        ],
        "configuration": list(transformation.configuration),
        "isLegacy": False,
    }
