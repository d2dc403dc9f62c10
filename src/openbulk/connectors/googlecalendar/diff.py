"""Finds the fields in which an event differs from its row. Without any, nothing is written."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import singledispatch
from typing import Any

from openbulk.connectors.googlecalendar.recurrence import same_recurrence

DEFAULTS: Mapping[str, Any] = {
    "status": "confirmed",
    "transparency": "opaque",
    "visibility": "default",
    "eventType": "default",
    "guestsCanInviteOthers": True,
    "guestsCanSeeOtherGuests": True,
    "guestsCanModify": False,
    "anyoneCanAddSelf": False,
    "attendeesOmitted": False,
    "locked": False,
    "privateCopy": False,
    "endTimeUnspecified": False,
}
"""The defaults of an event's absent fields (discovery document, `Event`)."""
_ATTENDEE_DEFAULTS: Mapping[str, Any] = {
    "responseStatus": "needsAction",
    "optional": False,
    "resource": False,
    "additionalGuests": 0,
    "comment": "",
}
_UNCOMPARED_ATTENDEE_FIELDS = frozenset({"id", "self", "organizer", "email"})
"""Google fills the first three; attendees are matched by the last."""
_UNCOMPARED_FIELDS = frozenset(
    {"id", "iCalUID", "sequence", "etag", "kind", "organizer", "creator", "created", "updated"}
)
_PRIVATE = frozenset({"private", "confidential"})

Attendee = Mapping[str, Any]


def changes(wanted: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row that differ in the event. Fields that the row lacks do not count.

    `wanted` has Google's types and resolved times; `event` is as `events.list` shows it.
    """
    different = {name: value for name, value in wanted.items() if _differs(name, value, event)}
    # A patch replaces a whole list (https://developers.google.com/workspace/calendar/api/guides/
    # performance#patch): adding one person must not erase the answers of the others.
    if different.get("attendees"):
        known = event.get("attendees", ())
        different["attendees"] = _with_known_answers(different["attendees"], known)
    return different


def _differs(name: str, wanted: Any, event: Mapping[str, Any]) -> bool:
    if name in _UNCOMPARED_FIELDS:
        return False
    if name == "recurrence":
        return not same_recurrence(wanted, event)
    is_same = _COMPARISONS.get(name, _same_value)
    return not is_same(wanted, event.get(name, DEFAULTS.get(name)))


@singledispatch
def _same_value(wanted: Any, current: Any) -> bool:
    return bool(wanted == current)


@_same_value.register
def _same_flag(wanted: bool, current: Any) -> bool:
    """An absent flag is false."""
    return wanted == bool(current)


@_same_value.register
def _same_text(wanted: str, current: Any) -> bool:
    """Ignores blanks at the ends of lines."""
    return isinstance(current, str | None) and _plain(wanted) == _plain(current or "")


@_same_value.register(Mapping)
def _same_object(wanted: Mapping[str, Any], current: Any) -> bool:
    """Compares the fields that are wanted."""
    fields = current if isinstance(current, Mapping) else {}
    return all(_same_value(value, fields.get(name)) for name, value in wanted.items())


@_same_value.register(Sequence)
def _same_list(wanted: Sequence[Any], current: Any) -> bool:
    items = current or []
    return len(wanted) == len(items) and all(map(_same_value, wanted, items))


def _plain(text: str) -> str:
    return "\n".join(map(str.rstrip, text.splitlines())).strip()


# --- times ---


def _same_time(wanted: Mapping[str, Any], current: Any) -> bool:
    """Compares dates by the day, times by the moment, and zones if both have one."""
    if not isinstance(current, Mapping):
        return not wanted
    if wanted.get("date") or current.get("date"):
        return bool(wanted.get("date") == current.get("date"))
    return _same_zone(wanted, current) and _same_moment(wanted, current)


def _same_zone(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    zones = {wanted.get("timeZone"), current.get("timeZone")} - {None, ""}
    return len(zones) < 2


def _same_moment(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    if not wanted.get("dateTime"):
        return True
    return bool(current.get("dateTime")) and _moment(wanted) == _moment(current)


def _moment(time: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(time["dateTime"]).timestamp()


# --- attendees ---


def _same_attendees(wanted: Sequence[Attendee], current: Any) -> bool:
    """Compares the people, in any order, each by the fields that are wanted."""
    wanted_people, people = _by_email(wanted), _by_email(current or ())
    return wanted_people.keys() == people.keys() and all(
        _same_attendee(attendee, people[email]) for email, attendee in wanted_people.items()
    )


def _same_attendee(wanted: Attendee, current: Attendee) -> bool:
    names = wanted.keys() - _UNCOMPARED_ATTENDEE_FIELDS
    known = {**_ATTENDEE_DEFAULTS, **current}
    return all(_same_value(wanted[name], known.get(name)) for name in names)


def _with_known_answers(
    wanted: Sequence[Attendee], current: Sequence[Attendee]
) -> list[dict[str, Any]]:
    """The attendees of a row, completed with what the event knows about them."""
    people = _by_email(current)
    attendees = []
    for attendee in wanted:
        known = people.get(_email(attendee), {})
        answers = {name: known[name] for name in known.keys() & _ATTENDEE_DEFAULTS.keys()}
        attendees.append({**answers, **attendee})
    return attendees


def _by_email(attendees: Sequence[Attendee]) -> dict[str, Attendee]:
    return {_email(attendee): attendee for attendee in attendees}


def _email(attendee: Attendee) -> str:
    return str(attendee.get("email", "")).lower()


# --- other fields ---


def _same_reminders(wanted: Mapping[str, Any], current: Any) -> bool:
    """An event without reminders has those of its calendar."""
    reminders = current if isinstance(current, Mapping) else {"useDefault": True}
    if bool(wanted.get("useDefault")) != bool(reminders.get("useDefault")):
        return False
    return "overrides" not in wanted or _overrides(wanted) == _overrides(reminders)


def _overrides(reminders: Mapping[str, Any]) -> list[tuple[str, int]]:
    return sorted(
        (str(override.get("method")), int(override.get("minutes", 0)))
        for override in reminders.get("overrides", ())
    )


def _same_attachments(wanted: Sequence[Mapping[str, Any]], current: Any) -> bool:
    return _file_urls(wanted) == _file_urls(current or ())


def _file_urls(attachments: Sequence[Mapping[str, Any]]) -> set[str | None]:
    return {attachment.get("fileUrl") for attachment in attachments}


def _same_visibility(wanted: Any, current: Any) -> bool:
    """`confidential` is `private` to Google (discovery document, `Event.visibility`)."""
    return bool(wanted == current) or {wanted, current} <= _PRIVATE


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "visibility": _same_visibility,
    "start": _same_time,
    "end": _same_time,
    "originalStartTime": _same_time,
    "attendees": _same_attendees,
    "reminders": _same_reminders,
    "attachments": _same_attachments,
}
"""For the fields that `_same_value` would compare wrongly."""
