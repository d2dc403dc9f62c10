"""Import and export definitions: how they are checked, and the data staged for them.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-rest-api/op-api-bulk-2.0-contacts-imports-post.html
https://docs.oracle.com/cloud/latest/marketingcs_gs/OMCAB/Developers/BulkAPI/Reference/ImportParameters/import-characteristics.htm
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from openbulk.sandbox.eloqua.fields import Entity, Field
from openbulk.sandbox.eloqua.filters import Predicate, accept_all, parse_filter
from openbulk.sandbox.eloqua.store import now
from openbulk.sandbox.traffic import json_response

MAX_FIELDS = 100
MAX_EXPORT_FIELDS = 250
MAX_NAME = 100
HOUR = 3600
FORTNIGHT = 14 * 24 * HOUR
_UPDATE_RULES = ("always", "ifNewIsNotNull", "ifExistingIsNull", "useFieldRule")
_SWITCHES = {"isSyncTriggeredOnImport": True, "isUpdatingMultipleMatchedRecords": False}
"""Parameters that are true or false, with their defaults."""
_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False}
_DURATIONS: Mapping[str, tuple[float, str]] = {
    "autoDeleteDuration": (math.inf, "Must be a duration from PT1H"),
    "dataRetentionDuration": (FORTNIGHT, "Must be a duration from PT1H to P14D"),
}
"""Parameters that are durations: the maximum in seconds, and the text of the constraint."""
_DURATION = re.compile(
    r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?"
)


class Invalid(Exception):
    """A request that Eloqua would refuse with 400 and a list of failures."""

    def __init__(self, field: str, value: Any, constraint: str) -> None:
        super().__init__(constraint)
        self.failure = {"field": field, "value": value, "constraint": constraint}

    def answer(self) -> web.Response:
        """Eloqua's response."""
        return json_response({"failures": [self.failure]}, 400)


@dataclass
class Import:
    """An import definition, and the data staged for it."""

    uri: str
    entity: Entity
    body: dict[str, Any]
    fields: Mapping[str, Field]
    """By the definition's own names."""
    staged: list[Any] = field(default_factory=list)
    is_unreadable: bool = False
    """Whether the staged data will make the next sync fail."""

    @property
    def identifier(self) -> str:
        """The definition's own name of the field that identifies a record."""
        return str(self.body["identifierFieldName"])


@dataclass
class Export:
    """An export definition, and the records of its last sync."""

    uri: str
    entity: Entity
    body: dict[str, Any]
    fields: Mapping[str, str]
    """Names of fields, or `id`, by the definition's own names."""
    predicate: Predicate = accept_all
    """Whether a record is one to export."""
    records: list[dict[str, Any]] = field(default_factory=list)


def define_export(uri: str, entity: Entity, body: Mapping[str, Any]) -> Export:
    """An export definition from a request's body. Raises Invalid."""
    _check_name(body)
    requested = _requested_fields(body, MAX_EXPORT_FIELDS)
    known = {statement: one.internal_name for statement, one in entity.by_statement().items()}
    known[f"{{{{{entity.markup}.Id}}}}"] = "id"
    for name, statement in requested.items():
        if not isinstance(statement, str) or statement not in known:
            raise _unknown_field(name, statement)
    predicate = _parse_predicate(body.get("filter"), known)
    _check_durations(body)
    defaults = {"dataRetentionDuration": "PT12H", "kbUsed": 0}
    fields = {name: known[statement] for name, statement in requested.items()}
    return Export(uri, entity, {**defaults, **body, **_creation_parameters(uri)}, fields, predicate)


def define_import(uri: str, entity: Entity, body: Mapping[str, Any]) -> Import:
    """An import definition from a request's body. Raises Invalid."""
    _check_name(body)
    fields = _import_fields(entity, body)
    _check_identifier(body.get("identifierFieldName"), fields)
    if body.get("updateRule", "always") not in _UPDATE_RULES:
        constraint = f"Must be one of {', '.join(_UPDATE_RULES)}"
        raise Invalid("updateRule", body["updateRule"], constraint)
    _check_durations(body)
    defaults = {"updateRule": "always", "dataRetentionDuration": "P7D", "kbUsed": 0}
    switches = {name: _parse_switch(body, name, default) for name, default in _SWITCHES.items()}
    return Import(
        uri, entity, {**defaults, **body, **switches, **_creation_parameters(uri)}, fields
    )


def _creation_parameters(uri: str) -> dict[str, Any]:
    """The parameters that Eloqua sets when it makes a definition."""
    made = {
        "createdAt": now(),
        "createdBy": "API.User",
        "updatedAt": now(),
        "updatedBy": "API.User",
    }
    return {**made, "uri": uri}


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_NAME


def _check_name(body: Mapping[str, Any]) -> None:
    name = body.get("name")
    if not _is_name(name):
        constraint = f"Must be a string value, at least 1 character and at most {MAX_NAME} long"
        raise Invalid("name", name, constraint)


def _check_identifier(name: Any, fields: Mapping[str, Field]) -> None:
    if not _is_name(name):
        length = f"at least 1 character and at most {MAX_NAME} characters long"
        raise Invalid("identifierFieldName", name, f"Must be a string value, {length}")
    if name not in fields:
        raise Invalid("identifierFieldName", name, "Must be one of the import fields")


def _requested_fields(body: Mapping[str, Any], max_fields: int) -> dict[str, Any]:
    """The statements of a definition's fields, by the definition's own names."""
    requested = body.get("fields")
    if not isinstance(requested, dict) or not 1 <= len(requested) <= max_fields:
        raise Invalid("fields", None, f"Must have between 1 and {max_fields} fields")
    return requested


def _import_fields(entity: Entity, body: Mapping[str, Any]) -> dict[str, Field]:
    known = entity.by_statement()
    fields: dict[str, Field] = {}
    for name, statement in _requested_fields(body, MAX_FIELDS).items():
        if not isinstance(statement, str) or statement not in known:
            raise _unknown_field(name, statement)
        fields[name] = known[statement]
        if fields[name].is_read_only:
            raise Invalid(f"fields.{name}", statement, "Must not be a read-only field")
    return fields


def _unknown_field(name: str, statement: Any) -> Invalid:
    return Invalid(f"fields.{name}", statement, "Must be a reference to an existing field")


def _parse_predicate(text: Any, known: Mapping[str, str]) -> Predicate:
    if not text:
        return accept_all
    try:
        return parse_filter(str(text), known)
    except ValueError as error:
        raise Invalid("filter", text, str(error)) from error


def _check_durations(body: Mapping[str, Any]) -> None:
    for name, (max_seconds, constraint) in _DURATIONS.items():
        text = body.get(name)
        if text is not None and not HOUR <= _duration_seconds(str(text)) <= max_seconds:
            raise Invalid(name, text, constraint)


def _duration_seconds(duration: str) -> int:
    """The length of an ISO 8601 duration; 0 for any other text."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        return 0
    weeks, days, hours, minutes, seconds = map(int, match.groups("0"))
    return (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds


def _parse_switch(body: Mapping[str, Any], name: str, default: bool) -> bool:
    value = body.get(name, default)
    # Oracle's own examples send the texts "true" and "false".
    switch = _BOOLEANS.get(str(value).lower())
    if switch is None:
        raise Invalid(name, value, "Must be true or false")
    return switch
