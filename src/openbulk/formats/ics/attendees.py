"""The people of an event: ORGANIZER and ATTENDEE, both ways."""

import re
from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from typing import Any
from urllib.parse import quote, unquote

from openbulk.formats.ics.content_lines import content_line
from openbulk.formats.ics.properties import Property
from openbulk.formats.ics.vevent import Properties

_RESPONSES = {
    "NEEDS-ACTION": "needsAction",
    "DECLINED": "declined",
    "TENTATIVE": "tentative",
    "ACCEPTED": "accepted",
}
"""PARTSTAT (RFC 5545, section 3.2.12) to `responseStatus`."""
_PARTICIPATIONS = {response: status for status, response in _RESPONSES.items()}
_ADDRESS = re.compile(r"[^\s@:<>]+@[^\s@:/<>]+")
_KEPT_IN_ADDRESS = "@!$'*+/=^`{|}"
"""Characters that an address may have as they are, beside letters and digits (RFC 6068)."""
_RESOURCE_TYPES = frozenset({"RESOURCE", "ROOM"})


# --- from a file ---


def read_people(event: Properties, remarks: list[str]) -> dict[str, Any]:
    """`organizer` and `attendees`, as far as they have a mail address; others are a remark."""
    attendees = [_read_attendee(found, remarks) for found in event.each("ATTENDEE")]
    organizer = event.get("ORGANIZER")
    people = {
        "organizer": _read_person(organizer, remarks) if organizer else {},
        "attendees": [attendee for attendee in attendees if attendee],
    }
    return {field: value for field, value in people.items() if value}


def _read_person(found: Property, remarks: list[str]) -> dict[str, Any]:
    """Mail address and name; empty where there is no address."""
    name, email = _read_address(found)
    if not email:
        remarks.append(f"{found.place} is left out: {found.show()} is no mail address")
        return {}
    person = {"email": email}
    stated = found.parameters.get("CN", "")
    display_name = stated if stated.strip() else name
    if display_name not in {"", email}:
        person["displayName"] = display_name
    return person


def _read_address(found: Property) -> tuple[str, str]:
    """The name and the mail address in a value; else the address in EMAIL (RFC 7986, section 6.2).

    mailto addresses are percent-encoded (RFC 6068, section 2). Programs also write an address
    alone, or as in a mail: `Ann <ann@example.com>`.
    """
    value = found.text.strip()
    scheme, colon, rest = value.partition(":")
    if colon and scheme.lower() == "mailto":
        address = unquote(rest.partition("?")[0])
        name = ""
    else:
        name, address = parseaddr(value)
    candidates = (address.strip(), found.parameters.get("EMAIL", "").strip())
    return name, next(filter(_ADDRESS.fullmatch, candidates), "")


def _read_attendee(found: Property, remarks: list[str]) -> dict[str, Any]:
    person = _read_person(found, remarks)
    if not person:
        return {}
    parameters = {key: value.strip().upper() for key, value in found.parameters.items()}
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
    address = quote(person["email"], safe=_KEPT_IN_ADDRESS, errors="replace")
    return content_line(name, f"mailto:{address}", parameters)


def _participation(attendee: Mapping[str, Any]) -> Mapping[str, str | None]:
    return {
        "CUTYPE": "RESOURCE" if attendee.get("resource") else None,
        "ROLE": "OPT-PARTICIPANT" if attendee.get("optional") else None,
        "PARTSTAT": _PARTICIPATIONS.get(attendee.get("responseStatus", "")),
    }
