"""Which event a row means.

The field that `identifierFieldName` names decides; without one `id`, then `iCalUID`. An upsert
whose rows have none of these identifies events by summary and start, so that sending a
timetable again makes no second copy.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.recurrence import occurrence_name, time_value
from openbulk.connectors.googlecalendar.times import time_field
from openbulk.domain.records import Action, Target, value_at

MAX_NAME = 44
MAX_VALUE = 1024
"""Bounds of extended properties
(https://developers.google.com/workspace/calendar/api/guides/extended-properties)."""
ID, ICAL_UID = "id", "iCalUID"
NATURAL = "openbulkSummaryAndStart"
_FIELDS_OF_SERIES = {"recurringEventId": ID, ICAL_UID: ICAL_UID, ID: ID}
"""The fields of an occurrence that identify its series, and the series' own fields for that."""
_CREATING = frozenset({Action.CREATE, Action.UPSERT})
_IMPORTED_ID = re.compile(r"_[a-v0-9]+")
"""An id that Google made for an imported event: no new event can have it."""
_LEGAL_ID = re.compile(r"[a-v0-9]{5,1024}")
_PART = re.compile(
    r"(?P<name>[^@]*)_R(?P<day>\d{8})(?P<time>T\d{6})?(?P<host>(?:@.*)?)", re.ASCII | re.DOTALL
)
"""The iCalUID of the later part of a series, as Google names it, and calendar files that are split:
`maths_R20260611T100000@example.com`."""
_END_OF_OCCURRENCE_ID = re.compile(r"_\d{8}(T\d{6}Z)?\Z", re.ASCII)


class PartName(NamedTuple):
    """What the iCalUID of the later part of a series says."""

    series: str
    """The iCalUID of the series."""
    begin: str
    """The date of the series from which on it is the part: `20260611T100000`, on its clocks."""

    @property
    def moment(self) -> datetime:
        """The beginning. Raises ValueError if there is no such day or time."""
        return datetime.strptime(self.begin, "%Y%m%dT%H%M%S")  # noqa: DTZ007


def part_name(uid: object) -> PartName | None:
    """Which later part of a series an iCalUID names; None for any other."""
    if not isinstance(uid, str) or "_R" not in uid:
        return None
    found = _PART.fullmatch(uid)
    if found is None:
        return None
    part = PartName(found["name"] + found["host"], found["day"] + (found["time"] or "T000000"))
    try:
        return part if part.moment else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Identity:
    """What identifies an event in its calendar, or the series of an occurrence."""

    field: str
    """`id`, `iCalUID`, or the name of a property in `extendedProperties.private`."""
    value: str
    occurrence: str | None = None
    """Which occurrence of a series, as the end of its event id: `20260530T080000Z`, or `20260530`
    of an all-day series."""
    alike: str | None = None
    """Summary and start, if nothing else identifies the event: an event with these is meant, too,
    whoever created it."""

    @property
    def is_property(self) -> bool:
        """Whether the event keeps it in `extendedProperties.private`."""
        return self.field not in {ID, ICAL_UID}

    @property
    def event_id(self) -> str:
        """The event's id at Google, if the field is `id`.

        The id of an occurrence is its series' id and its original start
        (https://developers.google.com/workspace/calendar/api/guides/recurringevents).
        """
        return f"{self.value}_{self.occurrence}" if self.occurrence else self.value

    @property
    def series(self) -> "Identity":
        """The series that the occurrence belongs to."""
        return replace(self, occurrence=None)

    def __str__(self) -> str:
        """For a person: `id 'maths2026'`."""
        return f"{self.field} {self.value!r}"


def identity_of(
    values: Mapping[str, Any], body: Mapping[str, Any], target: Target, *, is_occurrence: bool
) -> Identity | None:
    """Which event a row means; None if it creates one and names none. Raises FieldError.

    `values` are the row's, `body` has them in Google's types. For an occurrence of a series, it is
    what identifies the series.
    """
    field = target.identifier_field
    identity = None
    if field and field not in {ID, ICAL_UID}:
        identity, field = _property_identity(field, values, target), None
    elif not is_occurrence:
        identity = _own_identity(field, values, target.action)
    if is_occurrence:
        return identity or _series_identity(field, values)
    if identity is not None or target.action is Action.CREATE:
        return identity
    if field:
        raise _empty_identifier(field)
    if target.action is Action.UPSERT:
        return _natural_identity(body)
    raise FieldError(
        None,
        f"no column identifies the event to {target.action}: add id or iCalUID, or name the "
        "column that identifies events with metaData.identifierFieldName",
    )


def _property_identity(name: str, values: Mapping[str, Any], target: Target) -> Identity | None:
    if target.action is Action.CREATE:
        return None
    value = value_at(values, name)
    if value in (None, ""):
        raise _empty_identifier(name)
    key = name.removeprefix("extendedProperties.private.")
    if not is_kept(key, str(value)):
        raise FieldError(
            name,
            f"{key} cannot be kept with an event: a name has at most {MAX_NAME} characters, "
            f"a value {MAX_VALUE}",
        )
    return Identity(key, str(value))


def _own_identity(field: str | None, values: Mapping[str, Any], action: Action) -> Identity | None:
    """By Google's own fields: the one that the caller names, else the first that the row has."""
    names = [field] if field else [ID, ICAL_UID]
    if action in _CREATING and values.get(ICAL_UID) and _IMPORTED_ID.fullmatch(str(values.get(ID))):
        names.reverse()
    for name in filter(values.get, names):
        return Identity(name, str(values[name]))
    return None


def _series_identity(field: str | None, values: Mapping[str, Any]) -> Identity:
    """The series of an occurrence. Raises FieldError."""
    names = ["recurringEventId", ICAL_UID, ID]
    if field == ICAL_UID or not is_legal_id(values.get("recurringEventId")):
        names = [ICAL_UID, "recurringEventId", ID]
    for name in filter(values.get, names):
        value = _END_OF_OCCURRENCE_ID.sub("", str(values[name]))
        return Identity(_FIELDS_OF_SERIES[name], value)
    raise FieldError(
        "originalStartTime",
        "originalStartTime makes this one date of a series, and no field identifies the series; "
        "add "
        "iCalUID or recurringEventId, or remove originalStartTime to make it a single event",
    )


def is_kept(name: str, value: str) -> bool:
    """Whether Google keeps a property of an event as it is; it silently drops or cuts others."""
    return len(name) <= MAX_NAME and len(value) <= MAX_VALUE


def is_legal_id(value: object) -> bool:
    """Whether a new event may have this id.

    Google itself also makes others, for imported events and for occurrences.
    """
    return isinstance(value, str) and _LEGAL_ID.fullmatch(value) is not None


def _natural_identity(body: Mapping[str, Any]) -> Identity:
    start = body.get("start", {})
    text = f"{body.get('summary', '')}|{start.get('dateTime') or start.get('date')}"
    value = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Identity(NATURAL, value, alike=summary_and_start(body))


def summary_and_start(event: Mapping[str, Any]) -> str | None:
    """What people know an event by; None without a summary, and for one date of a series."""
    summary, start = str(event.get("summary", "")).strip(), event.get("start", {})
    if not summary or event.get("recurringEventId") or time_field(start) is None:
        return None
    return f"{occurrence_name(time_value(start))} {summary}"


def _empty_identifier(field: str) -> FieldError:
    return FieldError(
        field,
        f"{field} is empty, but it identifies the event (metaData.identifierFieldName); give it a "
        "value",
    )


def occurrence_of(event: Mapping[str, Any]) -> str | None:
    """Which occurrence an event of Google's is, as Identity has it; None for a whole event."""
    original = event.get("originalStartTime", {})
    if time_field(original) is None:
        return None
    return occurrence_name(time_value(original))


def event_id(key: str, generation: int = 0) -> str:
    """A legal event id: base32hex in lower case, 5 to 1024 characters. Equal keys have equal ids.

    The id of a deleted event stays taken: the next `generation` is the id to create it with again.
    Google may not notice a collision of two insertions, so a record must not be sent twice at the
    same time
    (https://developers.google.com/workspace/calendar/api/v3/reference/events/insert, field `id`).
    """
    # base32hex in lower case has the alphabet that Google takes for ids: a to v and 0 to 9.
    digest = hashlib.sha256(b"openbulk:" + key.encode()).digest()
    name = base64.b32hexencode(digest).decode().lower().rstrip("=")
    return f"{name}g{generation}" if generation else name
