"""Events to the lines of a calendar file."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from openbulk.domain.errors import BadInput
from openbulk.formats.ics.lines import content_line, escaped, stamp
from openbulk.formats.ics.words import ANSWERS, PROPERTIES, RECURRENCE, TEXTS, WORDS, ZONE_BESIDE
from openbulk.formats.ics.zones import known_zones


def event_lines(number: int, record: Mapping[str, Any]) -> Sequence[str]:
    """The lines of an event, not folded. Raises BadInput."""
    try:
        return ["BEGIN:VEVENT", *_lines_of(record), "END:VEVENT"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"record {number} cannot be written into a calendar file ({error}); "
            'an event has a start: {"date": "2026-05-30"} or {"dateTime": "2026-05-30T10:00:00+02:00"}'
        ) from None


def _lines_of(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"DTSTAMP:{stamp(_changed(record))}Z"
    for name, key in TEXTS.items():
        if text := record.get(key) or (_uid(record) if name == "UID" else ""):
            yield content_line(name, escaped(str(text)))
    yield from _time_lines(record)
    yield from (content_line(*rule) for rule in _rules(record.get("recurrence") or ()))
    if record.get("sequence") is not None:
        yield f"SEQUENCE:{int(record['sequence'])}"
    for name, key, words in WORDS:
        yield from (f"{name}:{word}" for word, meant in words.items() if meant == record.get(key))
    if (record.get("organizer") or {}).get("email"):
        yield _person_line("ORGANIZER", record["organizer"], {})
    for attendee in record.get("attendees") or ():
        if attendee.get("email"):
            yield _person_line("ATTENDEE", attendee, _attendance(attendee))
    if record.get("extendedProperties"):
        yield content_line(PROPERTIES, escaped(json.dumps(record["extendedProperties"], ensure_ascii=False)))
    for reminder in (record.get("reminders") or {}).get("overrides") or ():
        yield from _alarm(reminder, str(record.get("summary") or "Reminder"))


def _uid(record: Mapping[str, Any]) -> str:
    """For an event without an iCalUID: every VEVENT has one (section 3.8.4.7), the same each time it is written."""
    if identifier := record.get("recurringEventId") or record.get("id"):
        return f"{identifier}@google.com"  # as Google makes them for events that are created in it
    content = json.dumps(record, sort_keys=True, default=str)
    return f"{hashlib.sha256(content.encode(errors='replace')).hexdigest()[:32]}@openbulk"


def _changed(record: Mapping[str, Any]) -> datetime:
    """When the event was last changed: what DTSTAMP says in a file that is no invitation (section 3.8.7.2)."""
    told = record.get("updated") or record.get("created") or "1970-01-01T00:00:00Z"
    return datetime.fromisoformat(told).astimezone(UTC)


def _time_lines(record: Mapping[str, Any]) -> Iterator[str]:
    original = record.get("originalStartTime")
    is_called_off = record.get("status") == "cancelled"
    # Google tells of an occurrence that was called off little more than when it was.
    if not is_called_off or record.get("start"):
        yield _place_line("DTSTART", record["start"])
    if record.get("end"):
        yield _place_line("DTEND", record["end"])
    if original:
        yield _place_line("RECURRENCE-ID", original)


def _place_line(name: str, place: Mapping[str, Any]) -> str:
    if place.get("date"):
        return content_line(name, date.fromisoformat(place["date"]).strftime("%Y%m%d").zfill(8), {"VALUE": "DATE"})
    moment = datetime.fromisoformat(place["dateTime"])
    zone = place.get("timeZone")
    if moment.tzinfo is None:
        if zone == "UTC":
            return content_line(name, f"{stamp(moment)}Z")
        return content_line(name, stamp(moment), {"TZID": zone})
    local = moment.astimezone(ZoneInfo(zone)) if zone in known_zones() and zone != "UTC" else None
    if local is not None and local.fold == 0:  # of two times that clocks show alike, the first is meant (3.3.5)
        return content_line(name, stamp(local), {"TZID": zone})
    return content_line(name, f"{stamp(moment.astimezone(UTC))}Z", {ZONE_BESIDE: None if zone == "UTC" else zone})


def _rules(recurrence: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name with parameters, and value."""
    for line in recurrence:
        match = RECURRENCE.fullmatch(line)
        if match is None:
            raise ValueError(f"{line!r} is no line of a recurrence; it looks like RRULE:FREQ=WEEKLY;BYDAY=MO")
        yield f"{match['name'].upper()}{match['parameters']}", match["value"]


def _person_line(name: str, person: Mapping[str, Any], parameters: Mapping[str, str | None]) -> str:
    return content_line(name, f"mailto:{person['email']}", {"CN": person.get("displayName"), **parameters})


def _attendance(attendee: Mapping[str, Any]) -> Mapping[str, str | None]:
    answers = {meant: word for word, meant in ANSWERS.items()}
    return {
        "CUTYPE": "RESOURCE" if attendee.get("resource") else None,
        "ROLE": "OPT-PARTICIPANT" if attendee.get("optional") else None,
        "PARTSTAT": answers.get(attendee.get("responseStatus", "")),
    }


def _alarm(reminder: Mapping[str, Any], summary: str) -> Iterator[str]:
    """With what the standard asks of an alarm (section 3.6.6), less the address of a mail: the reader's is meant."""
    yield "BEGIN:VALARM"
    yield f"TRIGGER:-PT{int(reminder['minutes'])}M"
    yield content_line("DESCRIPTION", escaped(summary))
    if reminder.get("method") == "email":
        yield "ACTION:EMAIL"
        yield content_line("SUMMARY", escaped(summary))
    else:
        yield "ACTION:DISPLAY"
    yield "END:VALARM"
