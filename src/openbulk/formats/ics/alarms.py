"""The reminders of an event: VALARM, both ways."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from openbulk.formats.ics.content_lines import content_line, escape_text

_MAX_REMINDERS = 5
"""Google's limit (discovery document of Calendar v3, `reminders.overrides`)."""
_METHODS = {"EMAIL": "email"}
_DEFAULT_METHOD = "popup"


# --- from a file ---


def read_reminders(event: Any) -> dict[str, Any]:
    """`reminders`, where the event has alarms before its start; Google has no others."""
    overrides: list[dict[str, Any]] = []
    for alarm in filter(_is_before_start, event.walk("VALARM")):
        action = str(alarm.get("ACTION", "")).upper()
        reminder = {
            "method": _METHODS.get(action, _DEFAULT_METHOD),
            "minutes": int(-alarm["TRIGGER"].dt.total_seconds() // 60),
        }
        if reminder not in overrides:
            overrides.append(reminder)
    if not overrides:
        return {}
    return {"reminders": {"useDefault": False, "overrides": overrides[:_MAX_REMINDERS]}}


def _is_before_start(alarm: Any) -> bool:
    """A TRIGGER is a duration from the start, one from the end, or a moment (RFC 5545, 3.8.6.3)."""
    trigger = alarm.get("TRIGGER")
    offset = getattr(trigger, "dt", None)
    if not isinstance(offset, timedelta) or offset > timedelta():
        return False
    return bool(trigger.params.get("RELATED", "") != "END")


# --- to a file ---


def alarm_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of its alarms."""
    summary = str(record.get("summary") or "Reminder")
    for reminder in (record.get("reminders") or {}).get("overrides") or ():
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
