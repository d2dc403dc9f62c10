"""Events in the fields of the Calendar API: read from VEVENT components, and written as such.

Here are an event's texts and choices. Its times, recurrence, people and alarms have modules of
their own, with a function for each direction.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from openbulk.formats.ics.alarms import alarm_lines, read_reminders
from openbulk.formats.ics.api_fields import field_of
from openbulk.formats.ics.attendees import people_lines, read_people
from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.components import Component
from openbulk.formats.ics.content_lines import content_line, escape_text, format_local_time
from openbulk.formats.ics.recurrence import Recurrence, read_recurrence, recurrence_lines
from openbulk.formats.ics.times import (
    EventTimes,
    SeriesStart,
    contradictions,
    read_times,
    time_lines,
)
from openbulk.formats.ics.vevent import Properties, parse_vevent
from openbulk.formats.json_values import ValueDecoder

_TEXTS = {
    "UID": "iCalUID",
    "SUMMARY": "summary",
    "DESCRIPTION": "description",
    "LOCATION": "location",
    "X-OPENBULK-EVENT-ID": "id",
    "X-OPENBULK-SERIES-ID": "recurringEventId",
}
"""Properties of type TEXT, and the API's fields."""
_CHOICES = (
    (
        "STATUS",
        "status",
        {"TENTATIVE": "tentative", "CONFIRMED": "confirmed", "CANCELLED": "cancelled"},
    ),
    (
        "CLASS",
        "visibility",
        {"PUBLIC": "public", "PRIVATE": "private", "CONFIDENTIAL": "confidential"},
    ),
    (
        "TRANSP",
        "transparency",
        {"OPAQUE": "opaque", "TRANSPARENT": "transparent"},
    ),
)
"""Properties with a fixed set of values, the API's fields, and the API's values."""
_UNKNOWN_CHOICES = {"CLASS": "private"}
"""What an unknown value means (RFC 5545, section 3.8.1.3). Other properties' are ignored."""
_EXTENDED_PROPERTIES = "X-OPENBULK-EXTENDED-PROPERTIES"
"""`extendedProperties` as JSON: the standard has no place for them."""
_STAMP = re.compile(r"\d{8}T\d{6}Z?", re.A)
_SEQUENCE = re.compile(r"\d{1,9}", re.A)
_STATUS_SPELLINGS = {"CANCELED": "CANCELLED"}
_NOT_EVENTS = frozenset({"REPLY", "REFRESH", "COUNTER", "DECLINECOUNTER"})
"""Methods of messages about an event, which leave it as it is (RFC 5546, section 3.2)."""


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """An event of a file."""

    uid: str
    sequence: int
    times: EventTimes
    recurrence: Recurrence
    values: Mapping[str, Any]
    """Its fields in the Calendar API."""
    remarks: Sequence[str] = ()
    """What was left out of it, in sentences."""
    stamp: str = ""
    """LAST-MODIFIED, else DTSTAMP, as the file has it: later ones sort last."""

    @property
    def is_cancelled(self) -> bool:
        """Whether the event is cancelled."""
        return self.values.get("status") == "cancelled"


# --- from a file ---


def parse_event(
    component: Component, calendar: CalendarProperties, series: SeriesStart | None = None
) -> ParsedEvent:
    """An event. `series` is the start of its series, if the file has that.

    Raises ValueError with a sentence, and OverflowError for a date outside the years 1 to 9999.
    """
    if calendar.method in _NOT_EVENTS:
        raise ValueError(
            f"the event on line {component.line} is in a calendar with METHOD:{calendar.method}, "
            "which is a message about an event, not an event; send the file of the invitation"
        )
    vevent = parse_vevent(component)
    event = vevent.properties
    remarks: list[str] = []
    texts, choices = _read_texts(event), _read_choices(event, calendar)
    is_cancelled = choices.get("status") == "cancelled"
    times = read_times(event, calendar, is_cancelled=is_cancelled, series=series)
    remarks += contradictions(event, times, calendar)
    recurrence = _read_recurrence(event, times, calendar, remarks)
    series_fields = recurrence.as_api()
    is_series = bool(series_fields)
    sequence = _read_sequence(event, remarks)
    values = {
        **texts,
        **sequence,
        **choices,
        **times.as_api(),
        **read_people(event, remarks),
        **_read_extended_properties(event),
        **series_fields,
        **read_reminders(event, vevent.alarms, times.start, calendar, remarks, is_series=is_series),
    }
    uid, number = texts.get("iCalUID", ""), sequence.get("sequence", 0)
    return ParsedEvent(uid, number, times, recurrence, values, remarks, _read_stamp(event))


def _read_texts(event: Properties) -> dict[str, str]:
    start = event.get("DTSTART")
    # A file written by hand may have a blank after every colon. Before a time it means nothing.
    has_blanks = start is not None and start.value.startswith(" ")
    blanks = " " * has_blanks
    texts: dict[str, str] = {}
    for name, field in _TEXTS.items():
        found = event.get(name, blanks="")
        if found is not None:
            texts[field] = found.text.lstrip(blanks)
    return texts


def _read_sequence(event: Properties, remarks: list[str]) -> dict[str, int]:
    """`sequence`: the version of the event (RFC 5545, section 3.8.7.4)."""
    found = event.get("SEQUENCE")
    if found is None:
        return {}
    text = found.value.strip()
    if not _SEQUENCE.fullmatch(text):
        remarks.append(f"{found.place} is left out: {found.show()} is not a whole number")
        return {}
    return {"sequence": int(text)}


def _read_stamp(event: Properties) -> str:
    """When it was changed (RFC 5545, section 3.8.7), as far as that can be compared."""
    stated = [*event.by_name.get("LAST-MODIFIED", ()), *event.by_name.get("DTSTAMP", ())]
    values = (one.value.strip().upper() for one in stated)
    return next(filter(_STAMP.fullmatch, values), "")


def _read_choices(event: Properties, calendar: CalendarProperties) -> dict[str, str]:
    choices: dict[str, str] = {}
    if calendar.method == "CANCEL":
        choices["status"] = "cancelled"
    for name, field, values in _CHOICES:
        found = event.get(name)
        if found is None:
            continue
        word = _STATUS_SPELLINGS.get(found.word, found.word)
        value = values.get(word, _UNKNOWN_CHOICES.get(name))
        if value is not None:
            choices.setdefault(field, value)
    return choices


def _read_recurrence(
    event: Properties, times: EventTimes, calendar: CalendarProperties, remarks: list[str]
) -> Recurrence:
    """When it recurs; a single occurrence of a series does not."""
    if times.start is None or times.end is None:
        return Recurrence()
    recurrence = read_recurrence(event, times.start, times.end, calendar)
    _require_uid(event, recurrence)
    if times.is_single_occurrence and recurrence.lines():
        remarks.append("RRULE, RDATE and EXDATE of a single occurrence are left out")
        return Recurrence()
    return recurrence


def _require_uid(event: Properties, recurrence: Recurrence) -> None:
    """Raise ValueError if an occurrence has a length of its own, and the series has no UID."""
    if recurrence.periods and event.get("UID") is None:
        found = event.each("RDATE")[0]
        raise ValueError(
            f"{found.place} has a period that is not as long as the event, and the event has no "
            "UID; give it one, or write that occurrence as an event of its own"
        )


def _read_extended_properties(event: Properties) -> dict[str, Any]:
    found = event.get(_EXTENDED_PROPERTIES)
    if found is None:
        return {}
    try:
        value, problem = ValueDecoder().decode(found.text)
    except (ValueError, RecursionError):
        raise ValueError(
            f"{found.place} is not JSON; restore it as openbulk wrote it, or remove the line"
        ) from None
    if problem is not None:
        raise ValueError(f"{found.place} cannot be read: {problem.message}")
    return {"extendedProperties": value}


# --- to a file ---


def event_lines(record: Mapping[str, Any]) -> Sequence[str]:
    """The lines of an event, not folded.

    Raises ValueError, KeyError, TypeError or AttributeError if the record is not an event.
    """
    return [
        "BEGIN:VEVENT",
        f"DTSTAMP:{format_local_time(_changed_at(record))}Z",
        *_text_lines(record),
        *time_lines(record),
        *recurrence_lines(record),
        *_choice_lines(record),
        *people_lines(record),
        *_extended_properties_lines(record),
        *alarm_lines(record),
        "END:VEVENT",
    ]


def _changed_at(record: Mapping[str, Any]) -> datetime:
    """The time of the last change: DTSTAMP in a file without METHOD (RFC 5545, section 3.8.7.2)."""
    created = field_of(record, "created", "1970-01-01T00:00:00Z")
    return datetime.fromisoformat(field_of(record, "updated", created)).astimezone(UTC)


def _text_lines(record: Mapping[str, Any]) -> Iterator[str]:
    identified = {**record, "iCalUID": record.get("iCalUID") or _make_uid(record)}
    for name, field in _TEXTS.items():
        text = str(field_of(identified, field, ""))
        if text:
            yield content_line(name, escape_text(text))


def _make_uid(record: Mapping[str, Any]) -> str:
    """A UID for an event without an iCalUID: the same each time that the event is written.

    Every event has one (RFC 5545, section 3.8.4.7).
    """
    identifier = field_of(record, "recurringEventId", record.get("id"))
    if identifier:
        return f"{identifier}@google.com"  # as Google makes it for an event created there
    content = json.dumps(record, sort_keys=True, default=str)
    digest = hashlib.sha256(content.encode(errors="replace")).hexdigest()
    return f"{digest[:32]}@openbulk"


def _choice_lines(record: Mapping[str, Any]) -> Iterator[str]:
    if record.get("sequence") is not None:
        yield f"SEQUENCE:{int(record['sequence'])}"
    for name, field, values in _CHOICES:
        for word, value in values.items():
            if value == record.get(field):
                yield f"{name}:{word}"


def _extended_properties_lines(record: Mapping[str, Any]) -> Iterator[str]:
    properties = record.get("extendedProperties")
    if properties:
        text = json.dumps(properties, ensure_ascii=False)
        yield content_line(_EXTENDED_PROPERTIES, escape_text(text))
