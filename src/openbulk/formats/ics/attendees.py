"""The people of an event: ORGANIZER and ATTENDEE, both ways."""

from collections.abc import Iterator, Mapping
from typing import Any

from openbulk.formats.ics.content_lines import content_line

_RESPONSES = {
    "NEEDS-ACTION": "needsAction",
    "DECLINED": "declined",
    "TENTATIVE": "tentative",
    "ACCEPTED": "accepted",
}
"""PARTSTAT (RFC 5545, section 3.2.12) to `responseStatus`."""
_PARTICIPATIONS = {response: status for status, response in _RESPONSES.items()}
_RESOURCE_TYPES = frozenset({"RESOURCE", "ROOM"})


# --- from a file ---


def read_people(event: Any) -> dict[str, Any]:
    """`organizer` and `attendees`, as far as they have a mail address."""
    listed = event.get("ATTENDEE", [])
    addresses = listed if isinstance(listed, list) else [listed]
    attendees = list(filter(None, map(_read_attendee, addresses)))
    organizer = _read_person(event["ORGANIZER"]) if "ORGANIZER" in event else {}
    people = {"organizer": organizer, "attendees": attendees}
    return {field: value for field, value in people.items() if value}


def _read_person(address: Any) -> dict[str, Any]:
    """Mail address and name; empty where the address is not one for mail."""
    scheme, _, email = str(address).partition(":")
    if scheme.lower() != "mailto" or "@" not in email:
        return {}
    person = {"email": email.strip()}
    name = str(address.params.get("CN") or "")
    if name not in {"", email}:
        person["displayName"] = name
    return person


def _read_attendee(address: Any) -> dict[str, Any]:
    person = _read_person(address)
    if not person:
        return {}
    parameters = {key: str(value).upper() for key, value in address.params.items()}
    if response := _RESPONSES.get(parameters.get("PARTSTAT", "")):
        person["responseStatus"] = response
    if parameters.get("ROLE") == "OPT-PARTICIPANT":
        person["optional"] = True
    if parameters.get("CUTYPE") in _RESOURCE_TYPES:
        person["resource"] = True
    return person


# --- to a file ---


def people_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of its people who have a mail address."""
    organizer = record.get("organizer") or {}
    if organizer.get("email"):
        yield _person_line("ORGANIZER", organizer, {})
    for attendee in record.get("attendees") or ():
        if attendee.get("email"):
            yield _person_line("ATTENDEE", attendee, _participation(attendee))


def _person_line(name: str, person: Mapping[str, Any], parameters: Mapping[str, str | None]) -> str:
    parameters = {"CN": person.get("displayName"), **parameters}
    return content_line(name, f"mailto:{person['email']}", parameters)


def _participation(attendee: Mapping[str, Any]) -> Mapping[str, str | None]:
    return {
        "CUTYPE": "RESOURCE" if attendee.get("resource") else None,
        "ROLE": "OPT-PARTICIPANT" if attendee.get("optional") else None,
        "PARTSTAT": _PARTICIPATIONS.get(attendee.get("responseStatus", "")),
    }
