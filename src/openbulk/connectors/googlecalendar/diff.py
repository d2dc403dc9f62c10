"""Whether an event is as a row wants it: what need not be written costs no call."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

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
"""What an event has whose field is absent (the discovery document's fields of an event)."""
_OF_ATTENDEES: Mapping[str, Any] = {
    "responseStatus": "needsAction",
    "optional": False,
    "resource": False,
    "additionalGuests": 0,
    "comment": "",
}
_FILLED_BY_GOOGLE = frozenset({"id", "self", "organizer"})
"""Fields of an attendee that Google fills."""
_SAID_BY_SILENCE = frozenset({"", "INTERVAL=1", "WKST=MO"})
"""Parts of a rule that mean what it means without them (RFC 5545, section 3.3.10)."""
_IGNORED = frozenset(
    {"id", "iCalUID", "sequence", "etag", "kind", "organizer", "creator", "created", "updated"}
)


def changes(given: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row, in Google's types and with settled times, that the event has otherwise.

    `event` is as `events.list` shows it. What the row does not speak of counts for nothing.
    """
    different = {
        name: value
        for name, value in given.items()
        if name not in _IGNORED
        and not _IS_SAME.get(name, _same_value)(value, event.get(name, DEFAULTS.get(name)))
    }
    if different.get("attendees"):
        different["attendees"] = _with_answers(different["attendees"], event.get("attendees", ()))
    return different


def is_same(given: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether writing these fields would change nothing."""
    return not changes(given, event)


def _same_value(given: Any, seen: Any) -> bool:
    """Objects by the fields that are given, lists by their items, texts less the ends of their lines."""
    if isinstance(given, Mapping):
        fields = seen if isinstance(seen, Mapping) else {}
        return all(_same_value(value, fields.get(name)) for name, value in given.items())
    if isinstance(given, str) and isinstance(seen, str | None):
        return _plain(given) == _plain(seen or "")
    if isinstance(given, Sequence) and not isinstance(given, str):
        items = seen or []
        return len(given) == len(items) and all(
            _same_value(a, b) for a, b in zip(given, items, strict=True)
        )
    return bool(given == seen) or (given is False and seen is None)


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def _same_moment(given: Mapping[str, Any], seen: Any) -> bool:
    """Dates by the day, times by the moment; and by the zone, where both have one."""
    if not isinstance(seen, Mapping):
        return not given
    if given.get("date") or seen.get("date"):
        return bool(given.get("date") == seen.get("date"))
    zones = given.get("timeZone"), seen.get("timeZone")
    if all(zones) and zones[0] != zones[1]:
        return False
    if not given.get("dateTime"):
        return True
    return _moment(given) == _moment(seen)


def _moment(place: Mapping[str, Any]) -> float | None:
    return datetime.fromisoformat(place["dateTime"]).timestamp() if place.get("dateTime") else None


def _same_attendees(given: Sequence[Mapping[str, Any]], seen: Any) -> bool:
    """The same people, in any order, each with what the row says of them."""
    there = {str(one.get("email", "")).lower(): one for one in seen or ()}
    wanted = {str(one.get("email", "")).lower(): one for one in given}
    return wanted.keys() == there.keys() and all(
        _same_value(value, there[email].get(name, _OF_ATTENDEES.get(name)))
        for email, one in wanted.items()
        for name, value in one.items()
        if name not in _FILLED_BY_GOOGLE and name != "email"
    )


def _with_answers(
    given: Sequence[Mapping[str, Any]], seen: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The attendees of a row with what is known of them: a list is written as a whole, and somebody who is added
    must not cost the others their answers."""
    there = {str(one.get("email", "")).lower(): one for one in seen}
    known = [there.get(str(one.get("email", "")).lower(), {}) for one in given]
    return [
        {**{name: before[name] for name in _OF_ATTENDEES if name in before}, **one}
        for one, before in zip(given, known, strict=True)
    ]


def _same_recurrence(given: Sequence[str], seen: Any) -> bool:
    return _rules(given) == _rules(seen or ())


def _rules(lines: Sequence[str]) -> set[str]:
    """The lines of a recurrence in one spelling: neither the order of parts, days and dates matters, nor their case,
    nor how many dates a line has."""
    return {rule for line in lines for rule in _spelled("".join(line.upper().split()))}


def _spelled(line: str) -> Sequence[str]:
    name, _, value = line.partition(":")
    if not name.endswith("RULE"):
        return [
            f"{name.replace(';VALUE=DATE-TIME', '').replace(';VALUE=DATE', '')}:{day}"
            for day in value.split(",")
        ]
    return [
        f"{name}:{';'.join(sorted(_part(part) for part in value.split(';') if part not in _SAID_BY_SILENCE))}"
    ]


def _part(part: str) -> str:
    name, _, values = part.partition("=")
    return f"{name}={','.join(sorted(values.split(',')))}"


def _same_reminders(given: Mapping[str, Any], seen: Any) -> bool:
    there = seen if isinstance(seen, Mapping) else {"useDefault": True}
    if bool(given.get("useDefault")) != bool(there.get("useDefault")):
        return False
    return "overrides" not in given or _overrides(given) == _overrides(there)


def _overrides(reminders: Mapping[str, Any]) -> list[tuple[str, int]]:
    return sorted(
        (str(one.get("method")), int(one.get("minutes", 0)))
        for one in reminders.get("overrides", ())
    )


def _same_attachments(given: Sequence[Mapping[str, Any]], seen: Any) -> bool:
    return {one.get("fileUrl") for one in given} == {one.get("fileUrl") for one in seen or ()}


def _same_visibility(given: Any, seen: Any) -> bool:
    """`confidential` is `private` to Google (discovery document, `Event.visibility`)."""
    return bool({given, seen} <= {"private", "confidential"} or given == seen)


_IS_SAME: Mapping[str, Callable[[Any, Any], bool]] = {
    "visibility": _same_visibility,
    "start": _same_moment,
    "end": _same_moment,
    "originalStartTime": _same_moment,
    "attendees": _same_attendees,
    "recurrence": _same_recurrence,
    "reminders": _same_reminders,
    "attachments": _same_attachments,
}
