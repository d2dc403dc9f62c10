"""Which event a row means.

By the caller's field, where `identifierFieldName` names one; else by `id`, else by `iCalUID`. An upsert whose rows have
none of these tells events by summary and start: sending a timetable again makes no second copy.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.domain.records import Action, Target, value_at

MAX_NAME = 44
MAX_VALUE = 1024
"""Bounds of extended properties
(https://developers.google.com/workspace/calendar/api/guides/extended-properties)."""
ID, ICAL_UID = "id", "iCalUID"
NATURAL = "openbulkSummaryAndStart"


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells an event from the others of its calendar."""

    field: str
    """`id`, `iCalUID`, or the name of a property that the event keeps in `extendedProperties.private`."""
    value: str
    occurrence: str | None = None
    """Which occurrence of a series, as the end of its event id: `20260530T080000Z`, or `20260530` of an all-day one."""

    @property
    def is_property(self) -> bool:
        """Whether the event keeps it in `extendedProperties.private`."""
        return self.field not in {ID, ICAL_UID}

    def __str__(self) -> str:
        """As a person knows it."""
        return f"{self.field} {self.value!r}"


def identity_of(
    values: Mapping[str, Any], body: Mapping[str, Any], target: Target
) -> Identity | None:
    """Which event a row means; None for one that is new by all that it says. Raises FieldError.

    `values` are the row's, `body` the same in Google's types.
    """
    field = target.identifier_field
    occurrence = occurrence_of(body)
    if field and field not in {ID, ICAL_UID}:
        if target.action is Action.CREATE:
            return None
        return _by_property(field, value_at(values, field), occurrence)
    for name in [field] if field else [ID, ICAL_UID]:
        if values.get(name):
            return Identity(name, str(values[name]), occurrence)
    if occurrence and values.get("recurringEventId"):
        return Identity(ID, str(values["recurringEventId"]), occurrence)
    if field and target.action is not Action.CREATE:
        raise FieldError(
            field, f"{field} is empty; metaData.identifierFieldName says that it tells events apart"
        )
    if target.action is Action.UPSERT:
        return _natural(body)
    if target.action is not Action.CREATE:
        raise FieldError(
            None,
            f"nothing says which event to {target.action}: give a column id or iCalUID, or name the column that tells "
            "events apart with metaData.identifierFieldName",
        )
    return None


def _by_property(name: str, value: object, occurrence: str | None) -> Identity:
    if value in (None, ""):
        raise FieldError(
            name, f"{name} is empty; metaData.identifierFieldName says that it tells events apart"
        )
    short = name.removeprefix("extendedProperties.private.")
    if len(short) > MAX_NAME or len(str(value)) > MAX_VALUE:
        raise FieldError(
            name,
            f"{short} cannot be kept with an event: a name has at most {MAX_NAME} characters, a value {MAX_VALUE}",
        )
    return Identity(short, str(value), occurrence)


def _natural(body: Mapping[str, Any]) -> Identity:
    start = body.get("start", {})
    text = f"{body.get('summary', '')}|{start.get('dateTime') or start.get('date')}"
    return Identity(NATURAL, hashlib.sha256(text.encode()).hexdigest()[:32])


def occurrence_of(body: Mapping[str, Any]) -> str | None:
    """The occurrence that a row is about, where it has an `originalStartTime` with date, or time and offset."""
    original = body.get("originalStartTime") or {}
    if original.get("date"):
        return str(original["date"]).replace("-", "")
    if not original.get("dateTime"):
        return None
    moment = datetime.fromisoformat(original["dateTime"])
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def event_id(key: str, generation: int = 0) -> str:
    """A legal event id (base32hex in lower case, 5 to 1024 characters) that is the same for the same key.

    https://developers.google.com/workspace/calendar/api/v3/reference/events/insert, field `id`. It says, too, that
    a collision may go unnoticed: two sendings of one record must not be under way at the same time. The id of an
    event that was deleted stays taken: the next `generation` is the same event's next life.
    """
    digest = hashlib.sha256(b"openbulk:" + key.encode()).digest()
    name = base64.b32hexencode(digest).decode().lower().rstrip("=")
    return f"{name}g{generation}" if generation else name
