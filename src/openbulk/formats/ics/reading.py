"""The lines of a calendar file to events."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Event

from openbulk.formats.ics.words import ANSWERS, PROPERTIES, RECURRENCE, TEXTS, WORDS, ZONE_BESIDE
from openbulk.formats.ics.zones import zone_described, zone_named

_ESCAPED = re.compile(r"\\([\\,;nN])")
MAX_EVENT_BYTES = 1024 * 1024
_MAX_REMINDERS = 5
"""Google takes no more (discovery document, `reminders.overrides`)."""
_UNTIL = re.compile(r"(?<=UNTIL=)(?P<day>\d{8})(?:T(?P<time>\d{6})(?P<utc>Z?))?", re.I)
_MAX_OWN_ZONES = 50
_MAX_OWN_ZONE_BYTES = 16 * 1024
_TZID = re.compile(r'TZID="?([^;:"]+)"?', re.I)
_ONCE = (
    *TEXTS,
    *("SEQUENCE", "DTSTART", "DTEND", "DURATION", "RECURRENCE-ID", "STATUS", "CLASS", "TRANSP", "ORGANIZER"),
    PROPERTIES,
)
"""What an event has at most one of (section 3.6.1)."""
_RESOURCES = frozenset({"RESOURCE", "ROOM"})
_METHODS = {"EMAIL": "email"}


# --- lines to blocks ---


@dataclass
class Block:
    """The lines of one VEVENT, unfolded."""

    line: int
    """Where it begins."""
    raw: list[bytearray] = field(default_factory=list)
    size: int = 0
    is_closed: bool = False

    def add(self, raw: bytes) -> None:
        """Take a line in; one that begins with a blank goes on where the last one ended (section 3.1)."""
        self.size += len(raw)
        if self.size > MAX_EVENT_BYTES:
            return
        text = raw.rstrip(b"\r\n")
        if text[:1] in {b" ", b"\t"} and self.raw:
            self.raw[-1] += text[1:]
        elif text.strip():
            self.raw.append(bytearray(text))

    def lines(self) -> list[str]:
        """Decoded as whole lines: a fold may stand in the middle of a character (section 3.1). Raises ValueError."""
        return [line.decode() for line in self.raw]


def blocks(lines: Iterator[bytes]) -> Iterator[Block]:
    block: Block | None = None
    for number, raw in enumerate(lines, 1):
        name = raw.rstrip().upper()  # behind a blank it would be the rest of a text
        if name == b"BEGIN:VEVENT":
            if block is not None:
                yield block  # the one before has no end
            block = Block(number)
        if block is None:
            continue
        block.add(raw)
        if name == b"END:VEVENT":
            block.is_closed = True
            yield block
            block = None
    if block is not None:
        yield block


# --- what holds for the whole file ---


@dataclass(frozen=True, slots=True)
class Frame:
    zone: str | None = None
    """The calendar's own (`X-WR-TIMEZONE`)."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """The IANA zones that its VTIMEZONEs describe, by the names that the file gives them; "" where there is none."""
    cancels: bool = False
    """Whether the file takes its events back (`METHOD:CANCEL`, RFC 5546)."""


def frame_of(lines: Iterator[bytes]) -> Frame:
    zone, cancels, in_event = "", False, False
    own: list[Block] = []
    for raw in lines:
        text = raw.decode(errors="replace").rstrip()
        key, _, value = text.partition(":")
        match key.upper():
            case "BEGIN" | "END" if value.upper() == "VEVENT":
                in_event = key.upper() == "BEGIN"
            case "BEGIN" if value.upper() == "VTIMEZONE" and len(own) < _MAX_OWN_ZONES:
                own.append(Block(0))
            case "X-WR-TIMEZONE" if not in_event:
                zone = value
            case "METHOD" if not in_event:
                cancels = value.upper() == "CANCEL"
        if own and not own[-1].is_closed and not in_event and own[-1].size < _MAX_OWN_ZONE_BYTES:
            own[-1].add(raw)
            own[-1].is_closed = text.upper() == "END:VTIMEZONE"
    return _framed(zone, own, cancels=cancels)


def _framed(zone: str, own: Sequence[Block], *, cancels: bool) -> Frame:
    calendars = zone_named(zone, {})
    aliases = dict(zone_described([line.decode(errors="replace") for line in block.raw], calendars) for block in own)
    return Frame(zone_named(zone, aliases), aliases, cancels)


# --- a block to an event ---


def event_of(block: Block, frame: Frame) -> dict[str, Any]:
    """An event in the fields of the Calendar API. Raises ValueError with a sentence."""
    lines = _whole(block)
    event = _parsed(lines)
    values: dict[str, Any] = {name: _text(event, key) for key, name in TEXTS.items() if event.get(key)}
    if event.get("SEQUENCE") is not None:
        values["sequence"] = int(event["SEQUENCE"])
    values |= dict(_words(event, frame))
    values |= _times(event, frame)
    values |= _people(event)
    values |= _own(event)
    if recurrence := _recurrence(lines, values.get("start", {}), frame):
        values["recurrence"] = recurrence
    if alarms := _reminders(event):
        values["reminders"] = {"useDefault": False, "overrides": alarms}
    return values


def _whole(block: Block) -> Sequence[str]:
    if not block.is_closed:
        raise ValueError("the event has no END:VEVENT: the file is cut off here, or a line is missing")
    if block.size > MAX_EVENT_BYTES:
        raise ValueError(f"the event is longer than {MAX_EVENT_BYTES} bytes")
    try:
        return block.lines()
    except UnicodeDecodeError:
        raise ValueError(
            "the event has bytes that are not in the file's encoding; metaData.encoding says which it is"
        ) from None


def _parsed(lines: Sequence[str]) -> Any:
    """The library's event. What it gives has a type for each property; which one is for the names to say."""
    if missing := _not_closed(lines):
        raise ValueError(f"BEGIN:{missing} in the event has no END:{missing}")
    event: Any = Event.from_ical("\r\n".join(lines) + "\r\n")
    if event.errors:
        name, problem = event.errors[0]
        raise ValueError(f"{name or 'a line'} cannot be read ({problem})")
    for name in _ONCE:
        if isinstance(event.get(name), list):
            raise ValueError(f"{name} is there {len(event[name])} times; an event has one")
    return event


def _not_closed(lines: Sequence[str]) -> str | None:
    """The part of an event, such as an alarm, that begins and does not end."""
    begun: list[str] = []
    for line in lines:
        key, _, name = line.strip().upper().partition(":")
        if key == "BEGIN":
            begun.append(name)
        elif key == "END" and begun and (last := begun.pop()) != name:
            return last
    return begun[-1] if begun else None


def _words(event: Any, frame: Frame) -> Iterator[tuple[str, str]]:
    """Fields with a choice of words; one that is not known is left out."""
    if frame.cancels:
        yield "status", "cancelled"
    for key, name, known in WORDS:
        word = known.get(str(event.get(key, "")).upper())
        if word and not (frame.cancels and name == "status"):
            yield name, word


def _times(event: Any, frame: Frame) -> dict[str, Any]:
    if "DTSTART" not in event and not _is_called_off(event, frame):
        raise ValueError("the event has no DTSTART; it looks like DTSTART;TZID=Europe/Berlin:20260530T100000")
    places: dict[str, Any] = {}
    if "DTSTART" in event:
        places["start"] = _place(event, "DTSTART", frame)
        places["end"] = _end(event, places["start"], frame)
    if "RECURRENCE-ID" in event:
        places["originalStartTime"] = _place(event, "RECURRENCE-ID", frame)
    return places


def _is_called_off(event: Any, frame: Frame) -> bool:
    """Then UID and RECURRENCE-ID say enough (RFC 5546, section 3.2.5)."""
    return frame.cancels or str(event.get("STATUS", "")).upper() == "CANCELLED"


def _place(event: Any, name: str, frame: Frame) -> dict[str, str]:
    """A date or time as the API has it: with its zone, or local where the file names none."""
    moment = event[name].dt
    if not isinstance(moment, datetime):
        if not isinstance(moment, date):
            raise ValueError(f"{name} is neither a date nor a time; it looks like {name}:20260530T100000Z")
        return {"date": moment.isoformat()}
    told = event[name].params.get("TZID")
    if told is None:
        if moment.tzinfo is not None:
            beside = str(event[name].params.get(ZONE_BESIDE, "UTC"))
            return {"dateTime": moment.astimezone(UTC).isoformat().replace("+00:00", "Z"), "timeZone": beside}
        return _local(moment, frame.zone)
    zone = zone_named(str(told), frame.aliases)
    if zone is None:
        raise ValueError(
            f"{name} is in the time zone {str(told)!r}, which nobody knows; zones are called like Europe/Berlin "
            "(IANA), or a VTIMEZONE of that name describes them"
        )
    return _local(moment, zone)


def _local(moment: datetime, zone: str | None) -> dict[str, str]:
    text = moment.replace(tzinfo=None).isoformat()
    return {"dateTime": text, "timeZone": zone} if zone else {"dateTime": text}


def _end(event: Any, start: Mapping[str, str], frame: Frame) -> dict[str, str]:
    """DTEND, or DTSTART and DURATION; without either, a day, or no time at all (section 3.6.1)."""
    if "DTEND" in event:
        return _place(event, "DTEND", frame)
    duration = event["DURATION"].dt if "DURATION" in event else None
    if "date" in start:
        days = max(1, duration.days) if duration else 1
        return {"date": (date.fromisoformat(start["date"]) + timedelta(days=days)).isoformat()}
    ends = _later(datetime.fromisoformat(start["dateTime"]), duration or timedelta(), start.get("timeZone"))
    return {**start, "dateTime": ends.isoformat().replace("+00:00", "Z")}


def _later(begins: datetime, duration: timedelta, zone: str | None) -> datetime:
    """Days go by the calendar, hours by the clock: eight hours over a change to winter time end at five, not at six
    (section 3.3.6)."""
    ends = begins + timedelta(days=duration.days)
    rest = timedelta(seconds=duration.seconds)
    if zone is None or ends.tzinfo is not None:
        return ends + rest
    moment = ends.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) + rest
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _people(event: Any) -> dict[str, Any]:
    people: dict[str, Any] = {}
    if "ORGANIZER" in event and (organizer := _person(event["ORGANIZER"])):
        people["organizer"] = organizer
    listed = event.get("ATTENDEE", [])
    attendees = [_attendee(one) for one in (listed if isinstance(listed, list) else [listed])]
    if attendees := [one for one in attendees if one]:
        people["attendees"] = attendees
    return people


def _person(address: Any) -> dict[str, Any]:
    """Mail address and name; empty where the address is none that mail is sent to."""
    scheme, _, email = str(address).partition(":")
    if scheme.lower() != "mailto" or "@" not in email:
        return {}
    name = address.params.get("CN")
    return {"email": email.strip(), **({"displayName": str(name)} if name and str(name) != email else {})}


def _attendee(address: Any) -> dict[str, Any]:
    person = _person(address)
    if not person:
        return {}
    parameters = {key: str(value).upper() for key, value in address.params.items()}
    if answer := ANSWERS.get(parameters.get("PARTSTAT", "")):
        person["responseStatus"] = answer
    if parameters.get("ROLE") == "OPT-PARTICIPANT":
        person["optional"] = True
    if parameters.get("CUTYPE") in _RESOURCES:
        person["resource"] = True
    return person


def _own(event: Any) -> dict[str, Any]:
    """What `write` keeps where the standard has no place for it."""
    if PROPERTIES not in event:
        return {}
    try:
        return {"extendedProperties": json.loads(_text(event, PROPERTIES))}
    except ValueError as error:
        raise ValueError(f"{PROPERTIES} is no JSON ({error}); leave it as openbulk wrote it, or out") from None


def _text(event: Any, name: str) -> str:
    """A TEXT; the library leaves those of names that it does not know as they are in the file."""
    text = str(event[name])
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], text) if name[:2] == "X-" else text


def _reminders(event: Any) -> list[dict[str, Any]]:
    """The alarms before the start; those at other times have no counterpart."""
    found: list[dict[str, Any]] = []
    for alarm in event.walk("VALARM"):
        trigger = alarm.get("TRIGGER")
        before = getattr(trigger, "dt", None)
        if not isinstance(before, timedelta) or before > timedelta() or trigger.params.get("RELATED", "") == "END":
            continue
        method = _METHODS.get(str(alarm.get("ACTION", "")).upper(), "popup")
        reminder = {"method": method, "minutes": int(-before.total_seconds() // 60)}
        if reminder not in found:
            found.append(reminder)
    return found[:_MAX_REMINDERS]


# --- recurrence ---


def _recurrence(texts: Sequence[str], start: Mapping[str, str], frame: Frame) -> Sequence[str]:
    """The rules and dates of a series, as the API takes them: in IANA zones, with ends that fit the start."""
    lines: list[str] = []
    depth = 0
    for text in texts:
        depth += text.upper().startswith("BEGIN:") - text.upper().startswith("END:")
        match = RECURRENCE.fullmatch(text)
        if match and depth == 1:
            parameters = _TZID.sub(lambda found: f"TZID={_iana(found[1], frame)}", match["parameters"])
            value = _UNTIL.sub(lambda found: _until(found, start), match["value"])
            lines.append(f"{match['name'].upper()}{parameters}:{value}")
    return lines


def _iana(name: str, frame: Frame) -> str:
    return zone_named(name, frame.aliases) or name


def _until(found: re.Match[str], start: Mapping[str, str]) -> str:
    """The end of a rule: a day for days, a time in UTC for times (section 3.3.10); many programs write it otherwise."""
    if "date" in start:
        return found["day"]
    if found["utc"]:
        return found[0]
    last = time.fromisoformat(found["time"]) if found["time"] else time(23, 59, 59)
    local = datetime.combine(date.fromisoformat(found["day"]), last, ZoneInfo(start.get("timeZone", "UTC")))
    return local.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
