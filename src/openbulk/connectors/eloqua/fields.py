"""The fields of contacts and accounts, from the account's own field list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from openbulk.connectors.base import CUSTOM
from openbulk.connectors.eloqua.service import Service
from openbulk.connectors.fields import FieldError, did_you_mean

_TEXT = {"type": "string"}
_ITEM = {
    "type": "object",
    "properties": {
        "internalName": _TEXT,
        "name": _TEXT,
        "statement": _TEXT,
        "dataType": _TEXT,
        "createdAt": _TEXT,
    },
    "required": ["internalName", "statement"],
}
"""A field as Eloqua answers it."""
# Eloqua's own fields were created in 1900, as the answers of its tutorial show
# (Developers/BulkAPI/Tutorials/FieldsMetadata.htm).
_OF_ELOQUA = "1900-"
JSON_TYPES = {"number": "number", "numeric": "number"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a contact or an account."""

    name: str
    """Its internal name: `C_EmailAddress`."""
    title: str
    statement: str
    """In Eloqua's markup language: `{{Contact.Field(C_EmailAddress)}}`."""
    data_type: str
    is_read_only: bool
    is_required: bool
    is_custom: bool = False


@dataclass(frozen=True)
class Fields:
    """All fields of an entity."""

    object: str
    all: Sequence[Field]

    def find(self, column: str) -> Field | None:
        """The field of a column: by internal name, else by title, in any case."""
        return self._by_name.get(column.strip().lower())

    @cached_property
    def _by_name(self) -> Mapping[str, Field]:
        by_title = {field.title.lower(): field for field in self.all}
        return {**by_title, **{field.name.lower(): field for field in self.all}}

    def unknown_field(self, column: str) -> FieldError:
        """The error for a column that is not a field."""
        names = [field.name for field in self.all]
        hint = did_you_mean(column, names, f"/objects/{self.object}/metadata lists the fields")
        return FieldError(column, f"{column!r} is not a field of {self.object}; {hint}")

    def schema(self, identifier: str) -> dict[str, Any]:
        """The fields as JSON Schema."""
        return {
            "type": "object",
            "properties": {
                "id": {"type": "string", "readOnly": True},
                **{field.name: _schema_of(field) for field in self.all},
            },
            "required": [
                field.name for field in self.all if field.is_required or field.name == identifier
            ],
        }


async def read_fields(service: Service, object: str, plural: str) -> Fields:
    """Read the field list of an entity."""
    return Fields(
        object, [_field(item) for item in await service.items(f"/{plural}/fields", _ITEM)]
    )


def _field(item: Mapping[str, Any]) -> Field:
    return Field(
        name=item["internalName"],
        title=item.get("name", item["internalName"]),
        statement=item["statement"],
        data_type=item.get("dataType", "string"),
        is_read_only=bool(item.get("hasReadOnlyConstraint")),
        is_required=bool(item.get("hasNotNullConstraint")),
        is_custom=not item.get("createdAt", _OF_ELOQUA).startswith(_OF_ELOQUA),
    )


def _schema_of(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": JSON_TYPES.get(field.data_type, "string"),
        "title": field.title,
    }
    if field.data_type == "date":
        schema["format"] = "date-time"
    if field.is_read_only:
        schema["readOnly"] = True
    if field.is_custom:
        schema[CUSTOM] = True
    return schema
