"""The fields of an event that a caller may set, and the values that Google refuses.

Names, types and words come from the discovery document (calendar v3). Like Google, the sandbox
ignores unknown and read-only fields.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from openbulk.sandbox.google.errors import Rejected, bad_request, invalid, missing_value
from openbulk.sandbox.google.schemas import read_fields

WRITABLE = frozenset(
    {
        "anyoneCanAddSelf",
        "attachments",
        "attendees",
        "attendeesOmitted",
        "birthdayProperties",
        "colorId",
        "conferenceData",
        "description",
        "eventLabelId",
        "eventType",
        "extendedProperties",
        "focusTimeProperties",
        "gadget",
        "guestsCanInviteOthers",
        "guestsCanModify",
        "guestsCanSeeOtherGuests",
        "location",
        "outOfOfficeProperties",
        "privateCopy",
        "recurrence",
        "recurringEventId",
        "reminders",
        "sequence",
        "source",
        "status",
        "summary",
        "transparency",
        "visibility",
        "workingLocationProperties",
    }
)
"""The fields that a caller may set, without the times."""
_TIMES = ("start", "end", "originalStartTime")
_PLACE_FIELDS = ("date", "dateTime", "timeZone")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_WEB_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
_COLORS = frozenset(map(str, range(1, 12)))
"""The colors of events in the answer of `colors.get`."""
MAX_ATTACHMENTS = 25
MAX_REMINDERS = 5
MAX_REMINDER_MINUTES = 40320
# https://support.nylas.com/hc/en-us/articles/10571467644957; Google does not document it.
MAX_DESCRIPTION = 8192
MAX_PROPERTY_NAME, MAX_PROPERTY_VALUE = 44, 1024
MAX_PROPERTIES, MAX_PROPERTIES_BYTES = 300, 32 * 1024


def writable_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a caller may set; null clears a field. Raises Rejected (400)."""
    # First refuse a body that is nested too deeply: later steps recurse into it.
    encode_event(body)
    fields = read_fields(body, "Event", WRITABLE)
    for kind, properties in (fields.get("extendedProperties") or {}).items():
        fields["extendedProperties"][kind] = properties and _stored_properties(properties)
    for name in body.keys() & set(_TIMES):
        fields[name] = _read_place(body[name])
    return fields


def _read_place(place: Any) -> dict[str, Any] | None:
    """A start or an end; its values are checked with the others of the event."""
    if place is None:
        return None
    if not isinstance(place, dict):
        raise bad_request()
    return {name: place[name] for name in _PLACE_FIELDS if name in place}


def _stored_properties(properties: Mapping[str, str | None]) -> dict[str, str | None]:
    """What Google stores of extended properties: it drops and cuts without an error.

    https://developers.google.com/workspace/calendar/api/guides/extended-properties#limits
    """
    return {
        name: value and value[:MAX_PROPERTY_VALUE]
        for name, value in properties.items()
        if len(name) <= MAX_PROPERTY_NAME
    }


def check_fields(event: Mapping[str, Any]) -> None:
    """Check the values of an event whose fields have the right types. Raises Rejected (400)."""
    for name in filter(event.get, _CHECKS):
        _CHECKS[name](event[name])


def _too_large() -> Rejected:
    # kewisch/gdata-provider#713, derekantrican/GAS-ICS-Sync#271
    return invalid("A provided value exceeds the allowed size limit.")


def _check_attendees(attendees: Sequence[Mapping[str, Any]]) -> None:
    # Google's own words: kewisch/gdata-provider#82, googleapis/google-api-php-client#1605.
    _require_each(attendees, ("email",), "Missing attendee email.")
    if not all(_EMAIL.fullmatch(one["email"]) for one in attendees):
        raise invalid("Invalid attendee email.")


def _check_reminders(reminders: Mapping[str, Any]) -> None:
    overrides = reminders.get("overrides") or ()
    # A missing `useDefault` counts as true: googleapis/google-api-php-client#233.
    if overrides and reminders.get("useDefault", True):
        message = "Cannot specify both default reminders and overrides at the same time."
        reason = "cannotUseDefaultRemindersAndSpecifyOverride"
        raise Rejected(400, reason, message, domain="calendar")
    if len(overrides) > MAX_REMINDERS:
        raise invalid("Event contains too many reminders.")
    _require_each(overrides, ("method", "minutes"), "Missing reminder method or minutes.")
    if not all(0 <= one["minutes"] <= MAX_REMINDER_MINUTES for one in overrides):
        raise invalid("Invalid value for: reminders.overrides.minutes")


def _check_attachments(attachments: Sequence[Mapping[str, Any] | None]) -> None:
    if len(attachments) > MAX_ATTACHMENTS:
        raise invalid("Event contains too many attachments.")
    _require_each(attachments, ("fileUrl",), "Missing attachment file URL.")


def _require_each(items: Iterable[Any], names: Iterable[str], message: str) -> None:
    """Raise Rejected (400 `required`) unless each item has all these fields."""
    if any(not one or one.get(name) in (None, "") for one in items for name in names):
        raise missing_value(message)


def _check_properties(kinds: Mapping[str, Mapping[str, str]]) -> None:
    for properties in kinds.values():
        size = len("".join([*properties, *properties.values()]).encode())
        if len(properties) > MAX_PROPERTIES or size > MAX_PROPERTIES_BYTES:
            raise _too_large()


def _check_color(color: str) -> None:
    if color not in _COLORS:
        raise invalid("Invalid Value")  # coursetable/coursetable#1551


def _check_description(text: str) -> None:
    if len(text) > MAX_DESCRIPTION:
        raise _too_large()


def _check_source(source: Mapping[str, str]) -> None:
    if not _WEB_ADDRESS.fullmatch(source.get("url", "http://x")):
        raise invalid("Invalid source URL.")


def _check_event_type(event_type: str) -> None:
    # "This type of event cannot be created" (discovery document).
    if event_type == "fromGmail":
        raise invalid("Invalid value for: eventType")


_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "attachments": _check_attachments,
    "attendees": _check_attendees,
    "colorId": _check_color,
    "description": _check_description,
    "eventType": _check_event_type,
    "extendedProperties": _check_properties,
    "reminders": _check_reminders,
    "source": _check_source,
}
"""By field, the check of its value beyond its type."""


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
