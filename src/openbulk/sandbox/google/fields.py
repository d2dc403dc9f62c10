"""Which fields of an event a caller may set, and what Google refuses in them.

Names, types and enumerations are those of the discovery document (calendar v3); unknown and read-only fields are
ignored, as Google does.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from openbulk.sandbox.google.answers import bad_request, invalid, required

FIELDS: Mapping[str, type] = {
    "anyoneCanAddSelf": bool,
    "attachments": list,
    "attendees": list,
    "attendeesOmitted": bool,
    "birthdayProperties": dict,
    "colorId": str,
    "conferenceData": dict,
    "description": str,
    "end": dict,
    "eventLabelId": str,
    "eventType": str,
    "extendedProperties": dict,
    "focusTimeProperties": dict,
    "gadget": dict,
    "guestsCanInviteOthers": bool,
    "guestsCanModify": bool,
    "guestsCanSeeOtherGuests": bool,
    "location": str,
    "originalStartTime": dict,
    "outOfOfficeProperties": dict,
    "privateCopy": bool,
    "recurrence": list,
    "recurringEventId": str,
    "reminders": dict,
    "sequence": int,
    "source": dict,
    "start": dict,
    "status": str,
    "summary": str,
    "transparency": str,
    "visibility": str,
    "workingLocationProperties": dict,
}
CHOICES: Mapping[str, frozenset[str]] = {
    "eventType": frozenset({"birthday", "default", "focusTime", "outOfOffice", "workingLocation"}),
    "status": frozenset({"confirmed", "tentative", "cancelled"}),
    "transparency": frozenset({"opaque", "transparent"}),
    "visibility": frozenset({"default", "public", "private", "confidential"}),
}
_RECURRENCE = re.compile(r"(RRULE:(.*;)?FREQ=|EXRULE:(.*;)?FREQ=|RDATE[;:]|EXDATE[;:])")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


def given(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a caller sets, a null where a field is to be cleared. Raises Rejected (400)."""
    fields = {name: value for name, value in body.items() if name in FIELDS}
    encoded(fields)  # before anything walks down what may be nested a thousand deep
    for name, value in fields.items():
        # `type` rather than `isinstance`: true is not a number.
        if value is not None and type(value) is not FIELDS[name]:
            raise bad_request()
        if name in CHOICES and value is not None and value not in CHOICES[name]:
            raise invalid(f"Invalid value for: {name}")
    return fields


def check_lists(body: Mapping[str, Any]) -> None:
    """Refuse attendees, recurrence and properties that are not what they should be. Raises Rejected (400)."""
    for attendee in body.get("attendees", ()):
        _check_attendee(attendee)
    for line in body.get("recurrence", ()):
        if not isinstance(line, str) or not _RECURRENCE.match(line):
            raise invalid("Invalid recurrence rule.")
    for properties in body.get("extendedProperties", {}).values():
        if not isinstance(properties, dict) or not all(
            isinstance(value, str) for value in properties.values()
        ):
            raise bad_request()


def _check_attendee(attendee: Any) -> None:
    # Both wordings as Google answers them: kewisch/gdata-provider#82, googleapis/google-api-php-client#1605.
    if not isinstance(attendee, dict) or not attendee.get("email"):
        raise required("Missing attendee email.")
    if not isinstance(attendee["email"], str) or not _EMAIL.fullmatch(attendee["email"]):
        raise invalid("Invalid attendee email.")


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Patch semantics (RFC 7396): objects are merged, a null clears its field, anything else replaces."""
    result = dict(old)
    for name, value in new.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            before = result.get(name)
            result[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[name] = value
    return result


def encoded(body: Mapping[str, Any]) -> bytes:
    """The JSON of an event. Raises Rejected (400) where it is nested too deeply to be answered."""
    try:
        # A copy, because orjson leaves room behind its result, ten times its size, for as long as it lives.
        return bytes(memoryview(orjson.dumps(body)))
    except orjson.JSONEncodeError as error:
        raise bad_request() from error
