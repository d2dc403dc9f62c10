"""The keys of `metaData` that uploads into Google Calendar read."""

from openbulk.connectors.googlecalendar.collections import ACCESS_RULES
from openbulk.connectors.googlecalendar.event_rows import SEND_UPDATES
from openbulk.connectors.googlecalendar.times import DAYLIGHT_SAVING
from openbulk.domain.options import Option

_OF_EVENTS = frozenset({"events"})
_IN_A_CALENDAR = frozenset({"events", ACCESS_RULES})
OPTIONS = (
    Option("calendarId", "the calendar; default: primary", objects=_IN_A_CALENDAR),
    Option("path", "the calendar as a path: /calendars/{id}/events", objects=_IN_A_CALENDAR),
    Option("sendUpdates", "who gets mail; default: none", SEND_UPDATES, _OF_EVENTS),
    Option(
        "sendNotifications",
        "true: the person whose access changes gets mail; default: false",
        ("true", "false"),
        frozenset({ACCESS_RULES}),
    ),
    Option("timeZone", "the zone of local times that have none", objects=_OF_EVENTS),
    Option(
        "daylightSaving",
        "what a local time means that a clock change skips or repeats; default: error",
        DAYLIGHT_SAVING,
        _OF_EVENTS,
    ),
)
