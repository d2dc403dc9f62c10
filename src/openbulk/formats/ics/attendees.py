"""The people of an event: ORGANIZER and ATTENDEE, both ways."""

import re
from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from typing import Any
from urllib.parse import quote, unquote

from openbulk.formats.ics.api_fields import field_of
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
_MAILTO = re.compile(r"mailto:(?P<address>[^?]*)", re.I)
_OTHER_URI = re.compile(r"[a-z][a-z0-9+.-]*:", re.I)
"""Such as `sip:ann@example.com` or `urn:uuid:1`: what it holds is not an email address."""
_ADDRESS = re.compile(r"[^\s@:<>]+@[^\s@:/<>]+")
_KEPT_IN_ADDRESS = "@!$'*+/=^`{|}"
"""Characters that an address may have as they are, beside letters and digits (RFC 6068)."""
_FLAGS = {
    "resource": ("CUTYPE", ("RESOURCE", "ROOM")),
    "optional": ("ROLE", ("OPT-PARTICIPANT",)),
}
"""Fields that are true for some values of a parameter; the first of them is the one to write."""


# --- from a file ---


def read_people(event: Properties, remarks: list[str]) -> dict[str, Any]:
    """`organizer` and `attendees`, as far as they have a mail address; others are a remark."""
    attendees = [_read_attendee(found, remarks) for found in event.each("ATTENDEE")]
    organizer = event.get("ORGANIZER")
    people: dict[str, Any] = {}
    if organizer is not None:
        people["organizer"] = _read_person(organizer, remarks)
    people["attendees"] = list(filter(None, attendees))
    return {field: value for field, value in people.items() if value}


def _read_person(found: Property, remarks: list[str]) -> dict[str, Any]:
    """Mail address and name; empty if there is no address."""
    name, email = _read_address(found)
    if not email:
        remarks.append(f"{found.place} is left out: {found.show()} is not an email address")
        return {}
    person = {"email": email}
    display_name = next(filter(str.strip, (found.parameters.get("CN", ""), name)), "")
    if display_name not in {"", email}:
        person["displayName"] = display_name
    return person


def _read_address(found: Property) -> tuple[str, str]:
    """The name and the mail address in a value; else the address in EMAIL (RFC 7986, section 6.2).

    mailto addresses are percent-encoded (RFC 6068, section 2). Programs also write an address
    alone, or as in a mail: `Ann <ann@example.com>`.
    """
    value = found.text.strip()
    name, address = "", ""
    mailto = _MAILTO.match(value)
    if mailto is not None:
        address = unquote(mailto["address"])
    elif not _OTHER_URI.match(value):
        name, address = parseaddr(value)
    candidates = (address.strip(), found.parameters.get("EMAIL", "").strip())
    return name, next(filter(_ADDRESS.fullmatch, candidates), "")


def _read_attendee(found: Property, remarks: list[str]) -> dict[str, Any]:
    person = _read_person(found, remarks)
    if not person:
        return {}
    response = _RESPONSES.get(found.parameter_word("PARTSTAT"))
    if response is not None:
        person["responseStatus"] = response
    for field, (parameter, values) in _FLAGS.items():
        if found.parameter_word(parameter) in values:
            person[field] = True
    return person


# --- to a file ---


def people_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of its people who have a mail address."""
    organizer = field_of(record, "organizer", {})
    if organizer.get("email"):
        yield _person_line("ORGANIZER", organizer, {})
    for attendee in field_of(record, "attendees", ()):
        if attendee.get("email"):
            yield _person_line("ATTENDEE", attendee, _participation(attendee))


def _person_line(name: str, person: Mapping[str, Any], parameters: Mapping[str, str | None]) -> str:
    parameters = {"CN": person.get("displayName"), **parameters}
    address = quote(person["email"], safe=_KEPT_IN_ADDRESS, errors="replace")
    return content_line(name, f"mailto:{address}", parameters)


def _participation(attendee: Mapping[str, Any]) -> Mapping[str, str | None]:
    flags = {name: values[0] for field, (name, values) in _FLAGS.items() if attendee.get(field)}
    return {**flags, "PARTSTAT": _PARTICIPATIONS.get(attendee.get("responseStatus", ""))}
