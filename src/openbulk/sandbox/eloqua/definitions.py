"""Import and export definitions: what may be in them, and what is staged for them.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-contacts-imports-post.html
https://docs.oracle.com/cloud/latest/marketingcs_gs/OMCAB/Developers/BulkAPI/Reference/ImportParameters/import-characteristics.htm
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from openbulk.sandbox.eloqua.fields import Entity, Field
from openbulk.sandbox.eloqua.filters import Holds, everything, parse
from openbulk.sandbox.eloqua.store import now
from openbulk.sandbox.traffic import json_response

MAX_FIELDS = 100
MAX_EXPORT_FIELDS = 250
MAX_NAME = 100
HOUR = 3600
FORTNIGHT = 14 * 24 * HOUR
_UPDATE_RULES = ("always", "ifNewIsNotNull", "ifExistingIsNull", "useFieldRule")
_BOOLEANS = {"isSyncTriggeredOnImport": True, "isUpdatingMultipleMatchedRecords": False}
"""With their defaults."""
_DURATION = re.compile(
    r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?"
)


class Invalid(Exception):
    """A request that Eloqua would refuse with 400 and a list of failures."""

    def __init__(self, field: str, value: Any, constraint: str) -> None:
        super().__init__(constraint)
        self.failure = {"field": field, "value": value, "constraint": constraint}

    def answer(self) -> web.Response:
        """The answer that says so."""
        return json_response({"failures": [self.failure]}, 400)


@dataclass
class Definition:
    """An import definition, and what was staged for it."""

    uri: str
    entity: Entity
    body: dict[str, Any]
    fields: Mapping[str, Field]
    """By the definition's own names."""
    staged: list[Any] = field(default_factory=list)
    is_unreadable: bool = False
    """Whether something was staged that the next sync will fail over."""

    @property
    def identifier(self) -> str:
        """The name, among the definition's own, of the field that tells records apart."""
        return str(self.body["identifierFieldName"])


@dataclass
class Export:
    """An export definition, and what its last sync has brought out."""

    uri: str
    entity: Entity
    body: dict[str, Any]
    fields: Mapping[str, str]
    """Names of fields, or `id`, by the definition's own names."""
    holds: Holds = everything
    """Whether a record is one to export."""
    exported: list[dict[str, Any]] = field(default_factory=list)


def define_export(uri: str, entity: Entity, body: Mapping[str, Any]) -> Export:
    """An export definition from what a caller sent. Raises Invalid."""
    _check_name(body)
    asked = body.get("fields")
    if not isinstance(asked, dict) or not 1 <= len(asked) <= MAX_EXPORT_FIELDS:
        raise Invalid("fields", None, f"Must have between 1 and {MAX_EXPORT_FIELDS} fields")
    known = {statement: one.internal_name for statement, one in entity.by_statement().items()}
    known[f"{{{{{entity.markup}.Id}}}}"] = "id"
    for name, statement in asked.items():
        if statement not in known:
            raise Invalid(f"fields.{name}", statement, "Must be a reference to an existing field")
    try:
        holds = parse(str(body["filter"]), known) if body.get("filter") else everything
    except ValueError as error:
        raise Invalid("filter", body["filter"], str(error)) from error
    _check_duration(body, "autoDeleteDuration", None)
    _check_duration(body, "dataRetentionDuration", FORTNIGHT)
    made = {
        "createdAt": now(),
        "createdBy": "API.User",
        "updatedAt": now(),
        "updatedBy": "API.User",
    }
    defaults = {"dataRetentionDuration": "PT12H", "kbUsed": 0}
    fields = {name: known[one] for name, one in asked.items()}
    return Export(uri, entity, {**defaults, **body, **made, "uri": uri}, fields, holds)


def define(uri: str, entity: Entity, body: Mapping[str, Any]) -> Definition:
    """A definition from what a caller sent. Raises Invalid."""
    _check_name(body)
    fields = _fields(entity, body.get("fields"))
    _check_identifier(body.get("identifierFieldName"), fields)
    if body.get("updateRule", "always") not in _UPDATE_RULES:
        raise Invalid(
            "updateRule", body["updateRule"], f"Must be one of {', '.join(_UPDATE_RULES)}"
        )
    _check_duration(body, "autoDeleteDuration", None)
    _check_duration(body, "dataRetentionDuration", FORTNIGHT)
    made = {
        "createdAt": now(),
        "createdBy": "API.User",
        "updatedAt": now(),
        "updatedBy": "API.User",
    }
    defaults = {"updateRule": "always", "dataRetentionDuration": "P7D", "kbUsed": 0}
    switches = {switch: _boolean(body, switch, default) for switch, default in _BOOLEANS.items()}
    return Definition(uri, entity, {**defaults, **body, **switches, **made, "uri": uri}, fields)


def _check_name(body: Mapping[str, Any]) -> None:
    name = body.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
        raise Invalid(
            "name",
            name,
            f"Must be a string value, at least 1 character and at most {MAX_NAME} long",
        )


def _fields(entity: Entity, asked: Any) -> dict[str, Field]:
    if not isinstance(asked, dict) or not 1 <= len(asked) <= MAX_FIELDS:
        raise Invalid("fields", None, f"Must have between 1 and {MAX_FIELDS} fields")
    known = entity.by_statement()
    for name, statement in asked.items():
        if not isinstance(statement, str) or statement not in known:
            raise Invalid(f"fields.{name}", statement, "Must be a reference to an existing field")
        if known[statement].is_read_only:
            raise Invalid(f"fields.{name}", statement, "Must not be a read-only field")
    return {name: known[statement] for name, statement in asked.items()}


def _check_identifier(name: Any, fields: Mapping[str, Field]) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
        constraint = (
            f"Must be a string value, at least 1 character and at most {MAX_NAME} characters long"
        )
        raise Invalid("identifierFieldName", name, constraint)
    if name not in fields:
        raise Invalid("identifierFieldName", name, "Must be one of the import fields")


def _check_duration(body: Mapping[str, Any], name: str, most: int | None) -> None:
    text = body.get(name)
    if text is None:
        return
    seconds = _seconds(text) if isinstance(text, str) else 0
    if seconds < HOUR or (most is not None and seconds > most):
        raise Invalid(name, text, "Must be a duration from PT1H" + (" to P14D" if most else ""))


def _seconds(duration: str) -> int:
    """An ISO 8601 duration; 0 for what is none."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        return 0
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in found.groups())
    return (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds


def _boolean(body: Mapping[str, Any], name: str, default: bool) -> bool:
    """Also `"true"` and `"false"`, which Oracle's own examples send."""
    value = body.get(name, default)
    if isinstance(value, bool):
        return value
    if str(value).lower() not in {"true", "false"}:
        raise Invalid(name, value, "Must be true or false")
    return str(value).lower() == "true"
