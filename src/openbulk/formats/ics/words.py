"""What calendar files and the Calendar API call the same things by."""

import re

RECURRENCE = re.compile(r"(?P<name>RRULE|EXRULE|RDATE|EXDATE)(?P<parameters>(?:;[^:]*)?):(?P<value>.*)", re.I)
_STATUS = {"TENTATIVE": "tentative", "CONFIRMED": "confirmed", "CANCELLED": "cancelled"}
_VISIBILITY = {"PUBLIC": "public", "PRIVATE": "private", "CONFIDENTIAL": "confidential"}
_TRANSPARENCY = {"OPAQUE": "opaque", "TRANSPARENT": "transparent"}
ANSWERS = {
    "NEEDS-ACTION": "needsAction",
    "DECLINED": "declined",
    "TENTATIVE": "tentative",
    "ACCEPTED": "accepted",
}
TEXTS = {
    "UID": "iCalUID",
    "SUMMARY": "summary",
    "DESCRIPTION": "description",
    "LOCATION": "location",
    "X-OPENBULK-EVENT-ID": "id",
    "X-OPENBULK-SERIES-ID": "recurringEventId",
}
PROPERTIES = "X-OPENBULK-EXTENDED-PROPERTIES"
ZONE_BESIDE = "X-OPENBULK-TZID"
"""The zone of a time that is written in UTC, because the zone's clocks show it twice."""
WORDS = (
    ("STATUS", "status", _STATUS),
    ("CLASS", "visibility", _VISIBILITY),
    ("TRANSP", "transparency", _TRANSPARENCY),
)
