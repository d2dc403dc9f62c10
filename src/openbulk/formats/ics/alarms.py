"""The reminders of an event: VALARM, both ways."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from openbulk.formats.ics.api_fields import field_of
from openbulk.formats.ics.calendar_properties import CalendarProperties
from openbulk.formats.ics.content_lines import content_line, escape_text
from openbulk.formats.ics.properties import Property
from openbulk.formats.ics.time_values import TimeValue, parse_duration, parse_time
from openbulk.formats.ics.vevent import Properties

_MAX_REMINDERS = 5
"""Google's limit (discovery document of Calendar v3, `reminders.overrides`)."""
_MAX_MINUTES = 40_320
"""Google's limit, four weeks (discovery document of Calendar v3, `EventReminder.minutes`)."""
_METHODS = {"EMAIL": "email"}
_DEFAULT_METHOD = "popup"
_OLD_ALARMS = {"AALARM": "AUDIO", "DALARM": "DISPLAY", "MALARM": "EMAIL", "PALARM": "PROCEDURE"}
_DURATION_BEGINS = ("P", "+P", "-P")


# --- from a file ---


def read_reminders(
    event: Properties,
    alarms: Sequence[Properties],
    start: TimeValue | None,
    calendar: CalendarProperties,
    remarks: list[str],
    *,
    is_series: bool,
) -> dict[str, Any]:
    """`reminders`, if the event has alarms before its start; Google has no others.

    Without one, the calendar's own reminders hold. An alarm that cannot be a reminder is left out,
    with a remark.
    """
    overrides: list[dict[str, Any]] = []
    for alarm in [*alarms, *_old_alarms(event, start)]:
        try:
            reminder = _read_reminder(alarm, None if is_series else start, calendar)
        except (ValueError, OverflowError) as error:
            remarks.append(f"the alarm on line {alarm.line} is left out: {error}")
            continue
        if reminder not in ({}, *overrides):
            overrides.append(reminder)
    if len(overrides) > _MAX_REMINDERS:
        remarks.append(
            f"the event has {len(overrides)} alarms; Google takes {_MAX_REMINDERS}, the first ones"
        )
    if not overrides:
        return {}
    return {"reminders": {"useDefault": False, "overrides": overrides[:_MAX_REMINDERS]}}


def _old_alarms(event: Properties, start: TimeValue | None) -> Iterator[Properties]:
    """The alarms of vCalendar 1.0 (section 2.3): properties of the event that begin with a time.

    A local time is in the zone of the event.
    """
    zone = {} if start is None or start.zone is None else {"TZID": start.zone}
    for name, action in _OLD_ALARMS.items():
        for found in event.by_name.get(name, ()):
            moment = found.value.partition(";")[0]
            trigger = replace(found, value=moment, parameters=zone)
            properties = {"ACTION": [Property("ACTION", action)], "TRIGGER": [trigger]}
            yield Properties(found.line, properties)


def _read_reminder(
    alarm: Properties, start: TimeValue | None, calendar: CalendarProperties
) -> dict[str, Any]:
    """A reminder; empty for an alarm that does nothing.

    `start` is None if an alarm at a moment cannot be counted from it. Raises ValueError.
    """
    if alarm.problem:
        raise ValueError(alarm.problem)
    action = alarm.get("ACTION") or Property("ACTION", "")
    word = action.word
    if word == "NONE":  # Apple's way to say that there is no alarm
        return {}
    minutes = int(-_offset_from_start(alarm, start, calendar).total_seconds() // 60)
    if minutes < 0:
        raise ValueError("it is after the start, and Google reminds before it")
    if minutes > _MAX_MINUTES:
        raise ValueError(
            f"it is {minutes} minutes before the start, and Google takes {_MAX_MINUTES} at most"
        )
    return {"method": _METHODS.get(word, _DEFAULT_METHOD), "minutes": minutes}


def _offset_from_start(
    alarm: Properties, start: TimeValue | None, calendar: CalendarProperties
) -> timedelta:
    """A TRIGGER is a duration from the start, one from the end, or a moment (RFC 5545, 3.8.6.3)."""
    trigger = alarm.get("TRIGGER")
    if trigger is None:
        raise ValueError("it has no TRIGGER; it looks like TRIGGER:-PT15M")
    if trigger.parameter_word("RELATED") == "END":
        raise ValueError(
            "it is counted from the end of the event, and Google counts from the start"
        )
    if trigger.value.strip().upper().startswith(_DURATION_BEGINS):
        return parse_duration(trigger).total
    moment = parse_time(trigger, calendar, None)
    if start is None or None in {moment.zone, start.zone}:
        raise ValueError("it is at a moment that cannot be counted from the start")
    return moment.since(start)


# --- to a file ---


def alarm_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of its alarms."""
    summary = str(field_of(record, "summary", "Reminder"))
    for reminder in field_of(field_of(record, "reminders", {}), "overrides", ()):
        yield from _one_alarm(reminder, escape_text(summary))


def _one_alarm(reminder: Mapping[str, Any], summary: str) -> Iterator[str]:
    """The properties that RFC 5545, section 3.6.6, requires of an alarm.

    Without the ATTENDEE of a mail: the API sends it to the owner of the calendar.
    """
    yield "BEGIN:VALARM"
    yield f"TRIGGER:-PT{int(reminder['minutes'])}M"
    yield content_line("DESCRIPTION", summary)
    if reminder.get("method") == "email":
        yield "ACTION:EMAIL"
        yield content_line("SUMMARY", summary)
    else:
        yield "ACTION:DISPLAY"
    yield "END:VALARM"
