"""The fields of an event that a caller may set, and the values that Google refuses.

Names, types and enumerations come from the discovery document (calendar v3). Like Google, the
sandbox ignores unknown and read-only fields.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from openbulk.sandbox.google.errors import bad_request, invalid, missing_value

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


def writable_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a caller may set; null clears a field. Raises Rejected (400)."""
    fields = {name: value for name, value in body.items() if name in FIELDS}
    # First refuse a body that is nested too deeply: later steps recurse into it.
    encode_event(fields)
    for name, value in fields.items():
        if value is not None:
            _check_field(name, value)
    return fields


def _check_field(name: str, value: Any) -> None:
    # `type` rather than `isinstance`: true is not a number.
    if type(value) is not FIELDS[name]:
        raise bad_request()
    if name in CHOICES and value not in CHOICES[name]:
        raise invalid(f"Invalid value for: {name}")


def check_lists(body: Mapping[str, Any]) -> None:
    """Check attendees, recurrence and extended properties. Raises Rejected (400)."""
    for attendee in body.get("attendees", ()):
        _check_attendee(attendee)
    for line in body.get("recurrence", ()):
        if not isinstance(line, str) or not _RECURRENCE.match(line):
            raise invalid("Invalid recurrence rule.")
    for properties in body.get("extendedProperties", {}).values():
        if not isinstance(properties, dict):
            raise bad_request()
        if not all(isinstance(value, str) for value in properties.values()):
            raise bad_request()


def _check_attendee(attendee: Any) -> None:
    # Google's own words: kewisch/gdata-provider#82, googleapis/google-api-php-client#1605.
    if not isinstance(attendee, dict) or not attendee.get("email"):
        raise missing_value("Missing attendee email.")
    if not isinstance(attendee["email"], str) or not _EMAIL.fullmatch(attendee["email"]):
        raise invalid("Invalid attendee email.")


def apply_patch(old: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a patch as RFC 7396 does: null clears a field, objects merge, any other value replaces.

    An old value that is not an object counts as an empty one.
    """
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = apply_patch(result.get(name), value)
        else:
            result[name] = value
    return result


def encode_event(body: Mapping[str, Any]) -> bytes:
    """The JSON of an event. Raises Rejected (400) if it is nested too deeply to be encoded."""
    try:
        encoded = orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise bad_request() from error
    # A copy: orjson's own result holds a buffer of up to ten times its size.
    return bytes(memoryview(encoded))
