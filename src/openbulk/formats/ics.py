"""Calendar files (iCalendar, RFC 5545), as Google, Outlook, Apple and timetable programs export them.

Each VEVENT is a row in the fields of the Calendar API: `UID` is `iCalUID`, `RRULE` and its kin are `recurrence`,
`RECURRENCE-ID` is `originalStartTime`. The file is read block by block: only its time zones are known beforehand.
"""

import hashlib
import json
import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from operator import eq
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, available_timezones

from icalendar import Event, Timezone
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row
from openbulk.formats.encoding import encoding_of, text_lines

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_SPECIAL = re.compile(r"[\\,;]")
_ESCAPED = re.compile(r"\\([\\,;nN])")
_PLAIN = re.compile(r"[\w./+-]+", re.A)
_ZONE_USED = re.compile(r'(?:DTSTART|DTEND|RECURRENCE-ID|EXDATE|RDATE)(?:;[^:;]*)*?;TZID="?([^;:"]+)', re.I)
_FIRST_YEAR, _LAST_YEAR = 1970, 2037
"""Of a zone that is described. Zone files list changes no further than 32 bits of seconds reach (RFC 8536)."""
_YEARS_OF_A_RULE = 10
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_EVENT_BYTES = 1024 * 1024
_MAX_REMINDERS = 5
"""Google takes no more (discovery document, `reminders.overrides`)."""
_RECURRENCE = re.compile(r"(?P<name>RRULE|EXRULE|RDATE|EXDATE)(?P<parameters>(?:;[^:]*)?):(?P<value>.*)", re.I)
_UNTIL = re.compile(r"(?<=UNTIL=)(?P<day>\d{8})(?:T(?P<time>\d{6})(?P<utc>Z?))?", re.I)
_YEARLY = re.compile(
    r"RRULE:(?:;?(?:FREQ=YEARLY|INTERVAL=1|BYMONTH=\d+|BYDAY=[+-]?\d?\w\w|BYMONTHDAY=[\d,-]{1,30}|WKST=\w+|UNTIL=\w+))+",
    re.I,
)
"""Rules that change clocks about once a year: they cost little to follow from 1601, where Windows' zones begin."""
_PLAINNESS = {zone: (len(name), name) for name, zone in WINDOWS_TO_OLSON.items()}
"""Usual zones are Windows'; the plainer the name there, the more usual ("Eastern Standard Time" is New York's)."""
_MAX_OWN_ZONES = 50
_MAX_CHANGES = 10
_MAX_OWN_ZONE_BYTES = 16 * 1024
_WEEKS = 53
_SAMPLED = (
    *(datetime(2026, 1, 1, 12) + timedelta(weeks=week) for week in range(_WEEKS)),  # noqa: DTZ001
    *(datetime(year, month, 15, 12) for year in range(2008, 2026) for month in range(1, 13)),  # noqa: DTZ001
)
"""When zones are compared, on their own clocks: the weeks of a year, then the months since America's present rules."""
_TZID = re.compile(r'TZID="?([^;:"]+)"?', re.I)
_STATUS = {"TENTATIVE": "tentative", "CONFIRMED": "confirmed", "CANCELLED": "cancelled"}
_VISIBILITY = {"PUBLIC": "public", "PRIVATE": "private", "CONFIDENTIAL": "confidential"}
_TRANSPARENCY = {"OPAQUE": "opaque", "TRANSPARENT": "transparent"}
_ANSWERS = {
    "NEEDS-ACTION": "needsAction",
    "DECLINED": "declined",
    "TENTATIVE": "tentative",
    "ACCEPTED": "accepted",
}
_TEXTS = {
    "UID": "iCalUID",
    "SUMMARY": "summary",
    "DESCRIPTION": "description",
    "LOCATION": "location",
    "X-OPENBULK-EVENT-ID": "id",
    "X-OPENBULK-SERIES-ID": "recurringEventId",
}
_PROPERTIES = "X-OPENBULK-EXTENDED-PROPERTIES"
_ZONE_BESIDE = "X-OPENBULK-TZID"
"""The zone of a time that is written in UTC, because the zone's clocks show it twice."""
_ONCE = (
    *_TEXTS,
    *("SEQUENCE", "DTSTART", "DTEND", "DURATION", "RECURRENCE-ID", "STATUS", "CLASS", "TRANSP", "ORGANIZER"),
    _PROPERTIES,
)
"""What an event has at most one of (section 3.6.1)."""
_WORDS = (
    ("STATUS", "status", _STATUS),
    ("CLASS", "visibility", _VISIBILITY),
    ("TRANSP", "transparency", _TRANSPARENCY),
)
_RESOURCES = frozenset({"RESOURCE", "ROOM"})
_METHODS = {"EMAIL": "email"}


class Ics:
    """Reads and writes calendar files."""

    name = "ics"
    looks_like = "a calendar file begins with BEGIN:VCALENDAR and holds events between BEGIN:VEVENT and END:VEVENT"
    is_binary = False

    def recognizes(self, head: bytes) -> bool:
        """Its first line says so."""
        return head.lstrip()[:15].upper() == b"BEGIN:VCALENDAR"

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The events; one that cannot be read is a broken row. To-dos, journals and free-busy times are left out."""
        encoding = encoding_of(file, options)
        frame = _frame(text_lines(file, encoding))
        file.seek(0)
        return self._rows(text_lines(file, encoding), frame)

    def write(self, records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
        """A calendar file of events in the API's fields, piece by piece.

        `records` is gone through twice, because the zones come before the events: hand in a collection, or an object
        that begins anew. What iCalendar has no words for (colours, conferences, attachments) is left out. Raises
        BadInput before the first piece where a record is no event.
        """
        if isinstance(records, Iterator):
            raise TypeError("records are gone through twice; hand in a collection, not an iterator")
        zones: set[str] = set()
        for number, record in enumerate(records, 1):
            zones |= _zones_used(_written(number, record))
        yield _folded("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//openbulk//openbulk//EN", "CALSCALE:GREGORIAN")
        for zone in sorted(zones & _zones()):
            yield _folded(*_description(zone))
        for number, record in enumerate(records, 1):
            yield _folded(*_written(number, record))
        yield _folded("END:VCALENDAR")

    def _rows(self, lines: Iterator[bytes], frame: "_Frame") -> Iterator[Row]:
        for number, block in enumerate(_blocks(lines), 1):
            try:
                values = event_of(block, frame)
            except OverflowError:
                yield Row(number, problem=Problem("a date is before year 1 or beyond 9999"), line=block.line)
            except ValueError as error:
                yield Row(number, problem=Problem(str(error)), line=block.line)
            else:
                yield Row(number, values, line=block.line)


# --- lines to blocks ---


@dataclass
class _Block:
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


def _blocks(lines: Iterator[bytes]) -> Iterator[_Block]:
    block: _Block | None = None
    for number, raw in enumerate(lines, 1):
        name = raw.rstrip().upper()  # behind a blank it would be the rest of a text
        if name == b"BEGIN:VEVENT":
            if block is not None:
                yield block  # the one before has no end
            block = _Block(number)
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
class _Frame:
    zone: str | None = None
    """The calendar's own (`X-WR-TIMEZONE`)."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """The IANA zones that its VTIMEZONEs describe, by the names that the file gives them; "" where there is none."""
    cancels: bool = False
    """Whether the file takes its events back (`METHOD:CANCEL`, RFC 5546)."""


def _frame(lines: Iterator[bytes]) -> _Frame:
    zone, cancels, in_event = "", False, False
    own: list[_Block] = []
    for raw in lines:
        text = raw.decode(errors="replace").rstrip()
        key, _, value = text.partition(":")
        match key.upper():
            case "BEGIN" | "END" if value.upper() == "VEVENT":
                in_event = key.upper() == "BEGIN"
            case "BEGIN" if value.upper() == "VTIMEZONE" and len(own) < _MAX_OWN_ZONES:
                own.append(_Block(0))
            case "X-WR-TIMEZONE" if not in_event:
                zone = value
            case "METHOD" if not in_event:
                cancels = value.upper() == "CANCEL"
        if own and not own[-1].is_closed and not in_event and own[-1].size < _MAX_OWN_ZONE_BYTES:
            own[-1].add(raw)
            own[-1].is_closed = text.upper() == "END:VTIMEZONE"
    return _framed(zone, own, cancels=cancels)


def _framed(zone: str, own: Sequence[_Block], *, cancels: bool) -> _Frame:
    calendars = _zone_named(zone, {})
    aliases = dict(_alias(block, calendars) for block in own)
    return _Frame(_zone_named(zone, aliases), aliases, cancels)


def _alias(block: _Block, calendars: str | None) -> tuple[str, str]:
    """A zone that the file describes, and the IANA zone that it is: by name, by place, or by its offsets."""
    lines = [line.decode(errors="replace") for line in block.raw]
    texts = {key.upper(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name, place = texts.get("TZID", ""), texts.get("X-LIC-LOCATION", "")
    return name, _zone_named(name, {name: place}) or _zone_like(name, lines, calendars) or ""


def _zone_like(name: str, lines: Sequence[str], calendars: str | None) -> str | None:
    """An IANA zone whose clocks show the same all year: one whose city is in the name, the calendar's own, or else
    a usual one, best one that had the same rules before."""
    told = _offsets_told(lines)
    same = {zone for zone in _zones() if told and _offsets_of(zone)[:_WEEKS] == told[:_WEEKS]}
    cities = (zone for zone in sorted(same) if zone.rpartition("/")[2].replace("_", " ").upper() in name.upper())
    usual = sorted(
        same & _PLAINNESS.keys(), key=lambda zone: (-sum(map(eq, _offsets_of(zone), told)), _PLAINNESS[zone])
    )
    return next((zone for zone in (*cities, calendars, *usual) if zone in same), None)


def _offsets_told(lines: Sequence[str]) -> Sequence[timedelta | None]:
    """The offsets that a VTIMEZONE has at the sampled moments; none where that cannot be told."""
    rules = [line for line in lines if line.upper().startswith("RRULE")]
    if len(rules) > _MAX_CHANGES or not all(map(_YEARLY.fullmatch, rules)):
        return ()
    try:
        component: Any = Timezone.from_ical("\r\n".join(lines) + "\r\n")
        return _offsets(component.to_tz(lookup_tzid=False))
    except Exception:  # the library raises what it happens to meet; a zone that is used is told of there
        return ()


def _offsets(zone: tzinfo) -> Sequence[timedelta | None]:
    return tuple(moment.replace(tzinfo=zone).utcoffset() for moment in _SAMPLED)


@cache
def _offsets_of(zone: str) -> Sequence[timedelta | None]:
    return _offsets(ZoneInfo(zone))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone_named(name: str, aliases: Mapping[str, str]) -> str | None:
    """The IANA name of a zone that a file calls by this one: as it is, Windows', or at the end of a path."""
    name = name.strip()
    parts = name.strip("/").split("/")
    tails = ["/".join(parts[begin:]) for begin in range(len(parts))]
    for candidate in (name, aliases.get(name, ""), WINDOWS_TO_OLSON.get(name, ""), *tails):
        if candidate in _zones():
            return candidate
    return None


# --- a block to an event ---


def event_of(block: _Block, frame: _Frame) -> dict[str, Any]:
    """An event in the fields of the Calendar API. Raises ValueError with a sentence."""
    lines = _whole(block)
    event = _parsed(lines)
    values: dict[str, Any] = {name: _text(event, key) for key, name in _TEXTS.items() if event.get(key)}
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


def _whole(block: _Block) -> Sequence[str]:
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


def _words(event: Any, frame: _Frame) -> Iterator[tuple[str, str]]:
    """Fields with a choice of words; one that is not known is left out."""
    if frame.cancels:
        yield "status", "cancelled"
    for key, name, known in _WORDS:
        word = known.get(str(event.get(key, "")).upper())
        if word and not (frame.cancels and name == "status"):
            yield name, word


def _times(event: Any, frame: _Frame) -> dict[str, Any]:
    if "DTSTART" not in event and not _is_called_off(event, frame):
        raise ValueError("the event has no DTSTART; it looks like DTSTART;TZID=Europe/Berlin:20260530T100000")
    places: dict[str, Any] = {}
    if "DTSTART" in event:
        places["start"] = _place(event, "DTSTART", frame)
        places["end"] = _end(event, places["start"], frame)
    if "RECURRENCE-ID" in event:
        places["originalStartTime"] = _place(event, "RECURRENCE-ID", frame)
    return places


def _is_called_off(event: Any, frame: _Frame) -> bool:
    """Then UID and RECURRENCE-ID say enough (RFC 5546, section 3.2.5)."""
    return frame.cancels or str(event.get("STATUS", "")).upper() == "CANCELLED"


def _place(event: Any, name: str, frame: _Frame) -> dict[str, str]:
    """A date or time as the API has it: with its zone, or local where the file names none."""
    moment = event[name].dt
    if not isinstance(moment, datetime):
        if not isinstance(moment, date):
            raise ValueError(f"{name} is neither a date nor a time; it looks like {name}:20260530T100000Z")
        return {"date": moment.isoformat()}
    told = event[name].params.get("TZID")
    if told is None:
        if moment.tzinfo is not None:
            beside = str(event[name].params.get(_ZONE_BESIDE, "UTC"))
            return {"dateTime": moment.astimezone(UTC).isoformat().replace("+00:00", "Z"), "timeZone": beside}
        return _local(moment, frame.zone)
    zone = _zone_named(str(told), frame.aliases)
    if zone is None:
        raise ValueError(
            f"{name} is in the time zone {str(told)!r}, which nobody knows; zones are called like Europe/Berlin "
            "(IANA), or a VTIMEZONE of that name describes them"
        )
    return _local(moment, zone)


def _local(moment: datetime, zone: str | None) -> dict[str, str]:
    text = moment.replace(tzinfo=None).isoformat()
    return {"dateTime": text, "timeZone": zone} if zone else {"dateTime": text}


def _end(event: Any, start: Mapping[str, str], frame: _Frame) -> dict[str, str]:
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
    if answer := _ANSWERS.get(parameters.get("PARTSTAT", "")):
        person["responseStatus"] = answer
    if parameters.get("ROLE") == "OPT-PARTICIPANT":
        person["optional"] = True
    if parameters.get("CUTYPE") in _RESOURCES:
        person["resource"] = True
    return person


def _own(event: Any) -> dict[str, Any]:
    """What `write` keeps where the standard has no place for it."""
    if _PROPERTIES not in event:
        return {}
    try:
        return {"extendedProperties": json.loads(_text(event, _PROPERTIES))}
    except ValueError as error:
        raise ValueError(f"{_PROPERTIES} is no JSON ({error}); leave it as openbulk wrote it, or out") from None


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


def _recurrence(texts: Sequence[str], start: Mapping[str, str], frame: _Frame) -> Sequence[str]:
    """The rules and dates of a series, as the API takes them: in IANA zones, with ends that fit the start."""
    lines: list[str] = []
    depth = 0
    for text in texts:
        depth += text.upper().startswith("BEGIN:") - text.upper().startswith("END:")
        match = _RECURRENCE.fullmatch(text)
        if match and depth == 1:
            parameters = _TZID.sub(lambda found: f"TZID={_iana(found[1], frame)}", match["parameters"])
            value = _UNTIL.sub(lambda found: _until(found, start), match["value"])
            lines.append(f"{match['name'].upper()}{parameters}:{value}")
    return lines


def _iana(name: str, frame: _Frame) -> str:
    return _zone_named(name, frame.aliases) or name


def _until(found: re.Match[str], start: Mapping[str, str]) -> str:
    """The end of a rule: a day for days, a time in UTC for times (section 3.3.10); many programs write it otherwise."""
    if "date" in start:
        return found["day"]
    if found["utc"]:
        return found[0]
    last = time.fromisoformat(found["time"]) if found["time"] else time(23, 59, 59)
    local = datetime.combine(date.fromisoformat(found["day"]), last, ZoneInfo(start.get("timeZone", "UTC")))
    return local.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


# --- an event to lines ---


def _written(number: int, record: Mapping[str, Any]) -> Sequence[str]:
    """The lines of an event, not folded. Raises BadInput."""
    try:
        return ["BEGIN:VEVENT", *_lines_of(record), "END:VEVENT"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"record {number} cannot be written into a calendar file ({error}); "
            'an event has a start: {"date": "2026-05-30"} or {"dateTime": "2026-05-30T10:00:00+02:00"}'
        ) from None


def _lines_of(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"DTSTAMP:{_stamp(_changed(record))}Z"
    for name, key in _TEXTS.items():
        if text := record.get(key) or (_uid(record) if name == "UID" else ""):
            yield _line(name, _escaped(str(text)))
    yield from _time_lines(record)
    yield from (_line(*rule) for rule in _rules(record.get("recurrence") or ()))
    if record.get("sequence") is not None:
        yield f"SEQUENCE:{int(record['sequence'])}"
    for name, key, words in _WORDS:
        yield from (f"{name}:{word}" for word, meant in words.items() if meant == record.get(key))
    if (record.get("organizer") or {}).get("email"):
        yield _person_line("ORGANIZER", record["organizer"], {})
    for attendee in record.get("attendees") or ():
        if attendee.get("email"):
            yield _person_line("ATTENDEE", attendee, _attendance(attendee))
    if record.get("extendedProperties"):
        yield _line(_PROPERTIES, _escaped(json.dumps(record["extendedProperties"], ensure_ascii=False)))
    for reminder in (record.get("reminders") or {}).get("overrides") or ():
        yield from _alarm(reminder, str(record.get("summary") or "Reminder"))


def _uid(record: Mapping[str, Any]) -> str:
    """For an event without an iCalUID: every VEVENT has one (section 3.8.4.7), the same each time it is written."""
    if identifier := record.get("recurringEventId") or record.get("id"):
        return f"{identifier}@google.com"  # as Google makes them for events that are created in it
    content = json.dumps(record, sort_keys=True, default=str)
    return f"{hashlib.sha256(content.encode(errors='replace')).hexdigest()[:32]}@openbulk"


def _changed(record: Mapping[str, Any]) -> datetime:
    """When the event was last changed: what DTSTAMP says in a file that is no invitation (section 3.8.7.2)."""
    told = record.get("updated") or record.get("created") or "1970-01-01T00:00:00Z"
    return datetime.fromisoformat(told).astimezone(UTC)


def _time_lines(record: Mapping[str, Any]) -> Iterator[str]:
    original = record.get("originalStartTime")
    is_called_off = record.get("status") == "cancelled"
    # Google tells of an occurrence that was called off little more than when it was.
    if not is_called_off or record.get("start"):
        yield _place_line("DTSTART", record["start"])
    if record.get("end"):
        yield _place_line("DTEND", record["end"])
    if original:
        yield _place_line("RECURRENCE-ID", original)


def _place_line(name: str, place: Mapping[str, Any]) -> str:
    if place.get("date"):
        return _line(name, date.fromisoformat(place["date"]).strftime("%Y%m%d").zfill(8), {"VALUE": "DATE"})
    moment = datetime.fromisoformat(place["dateTime"])
    zone = place.get("timeZone")
    if moment.tzinfo is None:
        if zone == "UTC":
            return _line(name, f"{_stamp(moment)}Z")
        return _line(name, _stamp(moment), {"TZID": zone})
    local = moment.astimezone(ZoneInfo(zone)) if zone in _zones() and zone != "UTC" else None
    if local is not None and local.fold == 0:  # of two times that clocks show alike, the first is meant (3.3.5)
        return _line(name, _stamp(local), {"TZID": zone})
    return _line(name, f"{_stamp(moment.astimezone(UTC))}Z", {_ZONE_BESIDE: None if zone == "UTC" else zone})


def _stamp(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds").replace("-", "").replace(":", "")


def _rules(recurrence: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name with parameters, and value."""
    for line in recurrence:
        match = _RECURRENCE.fullmatch(line)
        if match is None:
            raise ValueError(f"{line!r} is no line of a recurrence; it looks like RRULE:FREQ=WEEKLY;BYDAY=MO")
        yield f"{match['name'].upper()}{match['parameters']}", match["value"]


def _person_line(name: str, person: Mapping[str, Any], parameters: Mapping[str, str | None]) -> str:
    return _line(name, f"mailto:{person['email']}", {"CN": person.get("displayName"), **parameters})


def _attendance(attendee: Mapping[str, Any]) -> Mapping[str, str | None]:
    answers = {meant: word for word, meant in _ANSWERS.items()}
    return {
        "CUTYPE": "RESOURCE" if attendee.get("resource") else None,
        "ROLE": "OPT-PARTICIPANT" if attendee.get("optional") else None,
        "PARTSTAT": answers.get(attendee.get("responseStatus", "")),
    }


def _alarm(reminder: Mapping[str, Any], summary: str) -> Iterator[str]:
    """With what the standard asks of an alarm (section 3.6.6), less the address of a mail: the reader's is meant."""
    yield "BEGIN:VALARM"
    yield f"TRIGGER:-PT{int(reminder['minutes'])}M"
    yield _line("DESCRIPTION", _escaped(summary))
    if reminder.get("method") == "email":
        yield "ACTION:EMAIL"
        yield _line("SUMMARY", _escaped(summary))
    else:
        yield "ACTION:DISPLAY"
    yield "END:VALARM"


# --- lines to bytes ---


def _line(name: str, value: str, parameters: Mapping[str, str | None] | None = None) -> str:
    """A line of content; what has no place in one is left out of it."""
    told = "".join(f";{key}={_quoted(text)}" for key, text in (parameters or {}).items() if text)
    return _CONTROLS.sub("", f"{name}{told}:{value}")


def _escaped(text: str) -> str:
    """A TEXT value (section 3.3.11)."""
    return _LINE_END.sub(r"\\n", _SPECIAL.sub(r"\\\g<0>", text))


def _quoted(text: str) -> str:
    """A parameter's value (RFC 6868)."""
    text = _LINE_END.sub("^n", text.replace("^", "^^").replace('"', "^'"))
    return text if _PLAIN.fullmatch(text) else f'"{text}"'


def _folded(*lines: str) -> bytes:
    """Lines with their ends, none longer than 75 bytes (section 3.1), and no character cut."""
    return b"".join(_folded_one(line.encode(errors="replace")) for line in lines)


def _folded_one(line: bytes) -> bytes:
    pieces: list[bytes] = []
    begin, room = 0, 75
    while len(line) - begin > room:
        end = begin + room
        while line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[begin:end])
        begin, room = end, 74  # the blank counts
    return b"\r\n ".join([*pieces, line[begin:]]) + b"\r\n"


# --- zones to lines ---


def _zones_used(lines: Sequence[str]) -> set[str]:
    return {match[1] for match in map(_ZONE_USED.match, lines) if match}


@cache
def _description(zone: str) -> Sequence[str]:
    """A VTIMEZONE: the zone's changes since 1970, and the rules that they follow for as long as anybody knows."""
    lines = ["BEGIN:VTIMEZONE", f"TZID:{zone}"]
    changes: dict[_Change, list[datetime]] = {}
    for change, onset in _changes(ZoneInfo(zone)):
        changes.setdefault(change, []).append(onset)
    for change, onsets in changes.items():
        rule, since = _rule(onsets)
        if onsets[:since]:
            lines += change.lines(onsets[0], _dates(onsets[1:since]))
        if rule:
            lines += change.lines(onsets[since], rule)
    return [*lines, "END:VTIMEZONE"]


@dataclass(frozen=True, slots=True)
class _Change:
    """From one offset to another."""

    before: timedelta
    after: timedelta
    name: str
    is_summer: bool

    def lines(self, onset: datetime, others: str | None) -> Sequence[str]:
        """With its first onset on the clocks as they were before (section 3.6.5), and a line for the others."""
        kind = "DAYLIGHT" if self.is_summer else "STANDARD"
        return [
            f"BEGIN:{kind}",
            f"DTSTART:{_stamp(onset)}",
            *([others] if others else []),
            f"TZOFFSETFROM:{_offset(self.before)}",
            f"TZOFFSETTO:{_offset(self.after)}",
            _line("TZNAME", _escaped(self.name)),
            f"END:{kind}",
        ]


def _changes(zone: ZoneInfo) -> Iterator[tuple[_Change, datetime]]:
    """The changes of a zone's offset, each with the time on the clocks just before."""
    last = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    offset = _utcoffset(last, zone)
    yield _change(last, offset, zone), datetime(_FIRST_YEAR, 1, 1)  # noqa: DTZ001
    while last.year <= _LAST_YEAR:
        following = last + timedelta(weeks=1)
        if _utcoffset(following, zone) != offset:
            moment = _moment_of_change(last, following, zone)
            yield _change(moment, offset, zone), (moment + offset).replace(tzinfo=None)
            following, offset = moment, _utcoffset(moment, zone)
        last = following


def _change(moment: datetime, before: timedelta, zone: ZoneInfo) -> _Change:
    local = moment.astimezone(zone)
    return _Change(before, _utcoffset(moment, zone), local.tzname() or "", bool(local.dst()))


def _moment_of_change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second with another offset than `before` has."""
    offset = _utcoffset(before, zone)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before).total_seconds() // 2)
        before, after = (middle, after) if _utcoffset(middle, zone) == offset else (before, middle)
    return after


def _utcoffset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _rule(onsets: Sequence[datetime]) -> tuple[str | None, int]:
    """The rule that the changes follow to the end, and the place of the first that does; none where there is none."""
    last = onsets[-1]
    if last.year < _LAST_YEAR:
        return None, len(onsets)
    found: list[tuple[int, int]] = []
    for week in (-1, (last.day - 1) // 7 + 1):
        years = 0
        for onset, year in zip(reversed(onsets), range(last.year, 0, -1), strict=False):
            if onset != _in_week(week, year, last):
                break
            years += 1
        found.append((years, week))
    years, week = max(found)
    if years < _YEARS_OF_A_RULE:
        return None, len(onsets)
    return f"RRULE:FREQ=YEARLY;BYMONTH={last.month};BYDAY={week}{_DAYS[last.weekday()]}", len(onsets) - years


def _in_week(week: int, year: int, like: datetime) -> datetime | None:
    """The same time on the same day of a month's nth week, or of its last one (-1), where there is such a day."""
    length = monthrange(year, like.month)[1]
    first = length - 6 if week < 0 else 7 * week - 6
    if first > length:
        return None
    day = first + (like.weekday() - like.replace(year=year, day=first).weekday()) % 7
    return like.replace(year=year, day=day) if day <= length else None


def _dates(onsets: Sequence[datetime]) -> str | None:
    return f"RDATE:{','.join(map(_stamp, onsets))}" if onsets else None


def _offset(offset: timedelta) -> str:
    seconds = int(abs(offset).total_seconds())
    sign = "-" if offset < timedelta() else "+"
    text = f"{sign}{seconds // 3600:02}{seconds % 3600 // 60:02}"
    return f"{text}{seconds % 60:02}" if seconds % 60 else text
