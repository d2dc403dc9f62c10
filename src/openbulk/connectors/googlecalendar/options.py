"""The keys of `metaData` that uploads into Google Calendar read."""

from collections.abc import Callable, Mapping
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.collections import ACCESS_RULES
from openbulk.connectors.googlecalendar.event_rows import SEND_UPDATES, calendar_of
from openbulk.connectors.googlecalendar.times import DAYLIGHT_SAVING, time_options
from openbulk.domain.options import Option


def _problem_in(
    read: Callable[[Mapping[str, Any]], object], options: Mapping[str, Any]
) -> str | None:
    """Why uploads cannot read options; None if they can."""
    try:
        read(options)
    except FieldError as error:
        return error.message
    return None


_OF_EVENTS = frozenset({"events"})
_IN_A_CALENDAR = frozenset({"events", ACCESS_RULES})
OPTIONS = (
    Option("calendarId", "the calendar; default: primary", objects=_IN_A_CALENDAR),
    Option(
        "path",
        "the calendar as a path: /calendars/{id}/events",
        objects=_IN_A_CALENDAR,
        problem_of=lambda path: _problem_in(calendar_of, {"path": path}),
    ),
    Option("sendUpdates", "who gets mail; default: none", SEND_UPDATES, _OF_EVENTS),
    Option(
        "sendNotifications",
        "true: the person whose access changes gets mail; default: false",
        ("true", "false"),
        frozenset({ACCESS_RULES}),
    ),
    Option(
        "timeZone",
        "the zone of local times that have none",
        objects=_OF_EVENTS,
        problem_of=lambda zone: _problem_in(time_options, {"timeZone": zone}),
    ),
    Option(
        "daylightSaving",
        "what a local time means that a clock change skips or repeats; default: error",
        DAYLIGHT_SAVING,
        _OF_EVENTS,
    ),
)
