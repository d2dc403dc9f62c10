"""Events in the fields of the Calendar API: read from VEVENT components, and written as such.

Here are an event's texts and choices. Its times, recurrence, people and alarms have modules of
their own, with a function for each direction.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from icalendar import Event

from openbulk.formats.ics.alarms import alarm_lines, read_reminders
from openbulk.formats.ics.attendees import people_lines, read_people
from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.components import Component, find_unclosed
from openbulk.formats.ics.content_lines import (
    content_line,
    escape_text,
    format_local_time,
    unescape_text,
)
from openbulk.formats.ics.recurrence import read_recurrence, recurrence_lines
from openbulk.formats.ics.times import read_times, time_lines

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
_EXTENDED_PROPERTIES = "X-OPENBULK-EXTENDED-PROPERTIES"
"""`extendedProperties` as JSON: the standard has no place for them."""
_AT_MOST_ONCE = (
    *_TEXTS,
    "SEQUENCE",
    "DTSTART",
    "DTEND",
    "DURATION",
    "RECURRENCE-ID",
    "STATUS",
    "CLASS",
    "TRANSP",
    "ORGANIZER",
    _EXTENDED_PROPERTIES,
)
"""RFC 5545, section 3.6.1: what an event must not have twice."""


# --- from a file ---


def read_event(component: Component, calendar: CalendarProperties) -> dict[str, Any]:
    """An event's fields.

    Raises ValueError with a sentence, and OverflowError for a date outside the years 1 to 9999.
    """
    lines = component.require_lines()
    event = _parse(lines)
    choices = _read_choices(event, calendar)
    times = read_times(event, calendar, is_cancelled=choices.get("status") == "cancelled")
    return {
        **_read_texts(event),
        **choices,
        **times,
        **read_people(event),
        **_read_extended_properties(event),
        **read_recurrence(lines, times.get("start", {}), calendar),
        **read_reminders(event),
    }


def _parse(lines: Sequence[str]) -> Any:
    """The library's event. Its values have a type for each property, which mypy cannot know."""
    if unclosed := find_unclosed(lines):
        raise ValueError(f"BEGIN:{unclosed} in the event has no END:{unclosed}; add it")
    event: Any = Event.from_ical("\r\n".join(lines) + "\r\n")
    if event.errors:
        name, problem = event.errors[0]
        raise ValueError(f"{name or 'a line'} cannot be read ({problem}); correct or remove it")
    for name in _AT_MOST_ONCE:
        if isinstance(event.get(name), list):
            raise ValueError(f"the event has {name} {len(event[name])} times; keep one")
    return event


def _read_texts(event: Any) -> dict[str, Any]:
    texts: dict[str, Any] = {
        field: _read_text(event, name) for name, field in _TEXTS.items() if event.get(name)
    }
    if event.get("SEQUENCE") is not None:
        texts["sequence"] = int(event["SEQUENCE"])
    return texts


def _read_text(event: Any, name: str) -> str:
    """A TEXT. The library unescapes those of properties that it knows, and no others."""
    text = str(event[name])
    return unescape_text(text) if name.startswith("X-") else text


def _read_choices(event: Any, calendar: CalendarProperties) -> dict[str, str]:
    """A value that the standard does not know is left out (RFC 5545, section 3.8.1)."""
    choices: dict[str, str] = {}
    if calendar.is_cancellation:
        choices["status"] = "cancelled"
    for name, field, values in _CHOICES:
        if value := values.get(str(event.get(name, "")).upper()):
            choices.setdefault(field, value)
    return choices


def _read_extended_properties(event: Any) -> dict[str, Any]:
    if _EXTENDED_PROPERTIES not in event:
        return {}
    try:
        return {"extendedProperties": json.loads(_read_text(event, _EXTENDED_PROPERTIES))}
    except ValueError as error:
        raise ValueError(
            f"{_EXTENDED_PROPERTIES} is not JSON ({error}); restore it as openbulk wrote it, "
            "or remove the line"
        ) from None


# --- to a file ---


def event_lines(record: Mapping[str, Any]) -> Sequence[str]:
    """The lines of an event, not folded.

    Raises ValueError, KeyError, TypeError or AttributeError where the record is no event.
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
    text = record.get("updated") or record.get("created") or "1970-01-01T00:00:00Z"
    return datetime.fromisoformat(text).astimezone(UTC)


def _text_lines(record: Mapping[str, Any]) -> Iterator[str]:
    texts = {name: record.get(field) for name, field in _TEXTS.items()}
    texts["UID"] = texts["UID"] or _make_uid(record)
    for name, text in texts.items():
        if text:
            yield content_line(name, escape_text(str(text)))


def _make_uid(record: Mapping[str, Any]) -> str:
    """A UID for an event without an iCalUID: the same each time that the event is written.

    Every event has one (RFC 5545, section 3.8.4.7).
    """
    identifier = record.get("recurringEventId") or record.get("id")
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
