"""What an event of a calendar file depends on: its VCALENDAR, and the other events of its UID.

A first pass over the file collects it, before the first event is read. It is kept in a temporary
SQLite database, which goes to disk as it grows (https://sqlite.org/inmemorydb.html).
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby, starmap

import orjson

from openbulk.formats.ics.calendar_properties import CalendarProperties, read_calendars
from openbulk.formats.ics.components import MAX_EVENT_BYTES, Component, split_events
from openbulk.formats.ics.content_lines import unescape_text
from openbulk.formats.ics.event_versions import Standing, Version, judge
from openbulk.formats.ics.events import ParsedEvent, parse_event
from openbulk.formats.ics.iana_zones import VTimezone
from openbulk.formats.ics.properties import parse_property
from openbulk.formats.ics.series_splits import Segment, split_series
from openbulk.formats.ics.time_values import TimeValue
from openbulk.formats.ics.times import SeriesStart

_SCHEMA = """
CREATE TABLE calendars (number INTEGER PRIMARY KEY, properties BLOB);
CREATE TABLE uids (uid BLOB PRIMARY KEY, events INTEGER) WITHOUT ROWID;
CREATE TABLE events (
    line INTEGER PRIMARY KEY, uid BLOB, occurrence TEXT, sequence INTEGER, is_cancelled INTEGER,
    version BLOB, start BLOB, original_start BLOB, is_change INTEGER, component BLOB,
    calendar INTEGER
);
CREATE INDEX by_uid ON events (uid, occurrence, line);
CREATE TABLE verdicts (line INTEGER PRIMARY KEY, standing TEXT, problem TEXT);
CREATE TABLE series (
    uid BLOB PRIMARY KEY, start BLOB, last_line INTEGER, changes INTEGER, occurrences INTEGER
) WITHOUT ROWID;
CREATE VIEW current_events AS
    SELECT events.* FROM events JOIN verdicts USING (line) WHERE standing = 'current';
"""
_ADD_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADD_SERIES = """
INSERT INTO series
SELECT uid, max(iif(occurrence = '', start, NULL)), max(iif(occurrence = '' OR is_change, line, 0)),
    max(is_change), sum(occurrence <> '')
FROM current_events GROUP BY uid HAVING min(occurrence) = ''
"""
_PLACE = """
SELECT standing, problem,
    iif(standing = 'current' AND occurrence <> '' AND NOT is_change, ifnull(last_line, 0), 0),
    iif(occurrence = '', NULL, series.start), ifnull(changes, 0), ifnull(occurrences, 0)
FROM events JOIN verdicts USING (line) LEFT JOIN series USING (uid) WHERE line = ?
"""
_SERIES = """
SELECT component, line, calendar FROM current_events
WHERE uid = ? AND occurrence = '' AND component IS NOT NULL
"""
_NEWER_OCCURRENCES = """
SELECT original_start FROM current_events
WHERE uid = ? AND occurrence <> '' AND sequence >= ? AND NOT is_cancelled
"""
_HAS_EARLY = """
SELECT 1 FROM current_events JOIN series USING (uid)
WHERE occurrence <> '' AND NOT is_change AND line < last_line
"""
_PARTS_OF_CHANGING_SERIES = """
SELECT component, line, calendar FROM current_events
WHERE uid = ? AND component IS NOT NULL AND (occurrence = '' OR is_change)
ORDER BY occurrence <> ''
"""
_ROWS_AT_ONCE = 1_000
_UID_BYTES = 16

Lines = Callable[[], Iterator[bytes]]
"""Reads the lines of the file from its beginning."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the other events of its UID make of an event."""

    standing: Standing = Standing.CURRENT
    problem: str = ""
    last_line: int = 0
    """The last line on which an event of its series begins; 0 if it is not a current occurrence.

    A series has several such events if it changes from some occurrences on.
    """
    series: SeriesStart | None = None
    is_in_changing_series: bool = False
    """Whether its series changes from some occurrence on, in this file."""
    has_occurrences: bool = False
    """Whether the file has occurrences of its series that differ from it."""

    def is_early(self, line: int) -> bool:
        """Whether an event on that line is an occurrence that comes before its series."""
        return line < self.last_line


class FileIndex:
    """The VCALENDARs of a file, and the events that share a UID."""

    def __init__(self, lines: Lines) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")
        # The events of a calendar, and of a series, mostly follow each other: keep the latest one.
        self._calendar_of = lru_cache(maxsize=1)(self._read_calendar)
        self._split_of = lru_cache(maxsize=1)(self._split_series)
        self._series_of = lru_cache(maxsize=1)(self._read_series)
        self._keys_left_out_of = lru_cache(maxsize=1)(self._read_keys_left_out)
        self._add_calendars_and_uids(lines())
        if self._is_any("SELECT 1 FROM uids WHERE events > 1"):
            self._add_events(lines())
            self._add_verdicts()

    def close(self) -> None:
        """Delete it."""
        self._database.close()

    # --- what it knows ---

    def calendar(self, number: int) -> CalendarProperties:
        """The properties of a VCALENDAR, by its place in the file; 0 for events outside of them."""
        return self._calendar_of(number)

    def place(self, line: int) -> Place:
        """What other events make of the one that begins on that line."""
        row = self._database.execute(_PLACE, (line,)).fetchone()
        if row is None:
            return Place()
        standing, problem, last_line, start, changes, occurrences = row
        return Place(
            Standing(standing),
            problem,
            last_line,
            _unpack_start(start),
            is_in_changing_series=bool(changes),
            has_occurrences=bool(occurrences),
        )

    def segments(self, uid: str) -> Sequence[Segment]:
        """The segments of a series that changes from one occurrence on.

        Empty if it is cancelled, or not in the file. Raises ValueError with half a sentence if it
        cannot be split.
        """
        segments = self._split_of(_uid_digest(uid))
        if isinstance(segments, ValueError):
            raise ValueError(*segments.args)
        return segments

    def with_newer_occurrences(self, event: ParsedEvent) -> ParsedEvent:
        """A series that does not leave out what an event as new as it brings back.

        Exchange writes both of an occurrence that was moved.
        """
        if event.times.original_start is not None or not event.recurrence.left_out:
            return event
        recurrence = replace(event.recurrence, left_out=self._exceptions_of(event))
        return replace(
            event, recurrence=recurrence, values={**event.values, "recurrence": recurrence.lines()}
        )

    def _exceptions_of(self, series: ParsedEvent) -> Sequence[TimeValue]:
        rows = self._database.execute(
            _NEWER_OCCURRENCES, (_uid_digest(series.uid), series.sequence)
        )
        newer = {_key(_unpack_time(**orjson.loads(packed)), series) for (packed,) in rows}
        return [one for one in series.recurrence.left_out if _key(one, series) not in newer]

    def is_left_out(self, occurrence: ParsedEvent) -> bool:
        """Whether a newer version of the series leaves an occurrence out."""
        series, original_start = (
            self._series_of(_uid_digest(occurrence.uid)),
            occurrence.times.original_start,
        )
        if series is None or original_start is None:
            return False
        if occurrence.sequence >= series.sequence:
            return False
        return _key(original_start, series) in self._keys_left_out_of(_uid_digest(occurrence.uid))

    @property
    def has_early_occurrences(self) -> bool:
        """Whether an occurrence comes before its series."""
        return self._is_any(_HAS_EARLY)

    def _is_any(self, query: str, *values: object) -> bool:
        return self._database.execute(query, values).fetchone() is not None

    def _read_calendar(self, number: int) -> CalendarProperties:
        query = "SELECT properties FROM calendars WHERE number = ?"
        (packed,) = self._database.execute(query, (number,)).fetchone()
        return _unpack_calendar(packed)

    def _read_series(self, uid: bytes) -> ParsedEvent | None:
        """The series of that UID; None if it is not in the file, or does not recur."""
        row = self._database.execute(_SERIES, (uid,)).fetchone()
        return None if row is None else self._parse(*row)

    def _read_keys_left_out(self, uid: bytes) -> Collection[date | datetime]:
        """What identifies the occurrences that a series leaves out."""
        series = self._series_of(uid)
        return {_key(one, series) for one in series.recurrence.left_out} if series else ()

    def _split_series(self, uid: bytes) -> Sequence[Segment] | ValueError:
        """The segments of a series; the error if it cannot be split, for each of its events."""
        rows = self._database.execute(_PARTS_OF_CHANGING_SERIES, (uid,)).fetchall()
        events = list(starmap(self._parse, rows))
        if not events or events[0].times.original_start is not None or events[0].is_cancelled:
            return ()
        try:
            return split_series(self.with_newer_occurrences(events[0]), events[1:])
        except ValueError as error:
            return error

    def _parse(self, packed: bytes, line: int, calendar: int) -> ParsedEvent:
        component = Component.unpack(packed, line, calendar)
        return parse_event(component, self.calendar(calendar), self.place(line).series)

    # --- how it is made ---

    def _add_calendars_and_uids(self, lines: Iterator[bytes]) -> None:
        uids: list[tuple[bytes]] = []
        insert = "INSERT INTO uids VALUES (?, 1) ON CONFLICT DO UPDATE SET events = events + 1"

        def note(uid: str) -> None:
            uids.append((_uid_digest(uid),))
            if len(uids) == _ROWS_AT_ONCE:
                self._database.executemany(insert, uids)
                uids.clear()

        for number, calendar in enumerate(read_calendars(_watch_uids(lines, note))):
            packed = orjson.dumps(calendar)
            self._database.execute("INSERT INTO calendars VALUES (?, ?)", (number, packed))
        self._database.executemany(insert, uids)

    def _add_events(self, lines: Iterator[bytes]) -> None:
        """The events whose UID others have, too, as far as they can be read."""
        is_shared = "SELECT 1 FROM uids WHERE uid = ? AND events > 1"
        for component in split_events(lines):
            try:
                event = parse_event(component, self.calendar(component.calendar))
            except (ValueError, OverflowError):
                continue
            if event.uid and self._is_any(is_shared, _uid_digest(event.uid)):
                self._add_event(component, event)

    def _add_event(self, component: Component, event: ParsedEvent) -> None:
        original_start, is_change = event.times.original_start, event.times.is_this_and_future
        is_kept = is_change or bool(event.recurrence.lines())
        row = (
            component.line,
            _uid_digest(event.uid),
            _name_occurrence(original_start, is_change=is_change),
            event.sequence,
            event.is_cancelled,
            orjson.dumps(_pack_version(Version.of(event, component.line))),
            _pack_start(event),
            orjson.dumps(original_start),
            is_change,
            component.pack() if is_kept else None,
            component.calendar,
        )
        self._database.execute(_ADD_EVENT, row)

    def _add_verdicts(self) -> None:
        query = "SELECT uid, occurrence, version FROM events ORDER BY uid, occurrence, line"
        rows = self._database.execute(query)
        for _, alike in groupby(rows, key=lambda row: row[:2]):
            for verdict in judge(_unpack_version(packed) for _, _, packed in alike):
                self._database.execute(
                    "INSERT INTO verdicts VALUES (?, ?, ?)",
                    (verdict.line, verdict.standing, verdict.problem),
                )
        self._database.execute(_ADD_SERIES)


def _watch_uids(lines: Iterator[bytes], note: Callable[[str], None]) -> Iterator[bytes]:
    """The lines, unchanged; `note` gets the UIDs in them."""
    held = bytearray()  # a UID as far as it is unfolded; empty between two of them
    for raw in lines:
        if held and raw.startswith((b" ", b"\t")):
            held += raw.rstrip(b"\r\n")[1:] if len(held) < MAX_EVENT_BYTES else b""
        elif raw.strip():
            _note(held, note)
            held.clear()
        if raw[:3].upper() == b"UID":
            held += raw.rstrip(b"\r\n")
        yield raw
    _note(held, note)


def _note(line: bytearray, note: Callable[[str], None]) -> None:
    found = parse_property(line.decode(errors="replace"))
    if found is not None and found.name == "UID":
        note(unescape_text(found.value))


def _uid_digest(uid: str) -> bytes:
    return blake2b(uid.strip().encode(errors="replace"), digest_size=_UID_BYTES).digest()


def _name_occurrence(original_start: TimeValue | None, *, is_change: bool) -> str:
    """A name for each occurrence of a series; "" for the series."""
    if original_start is None:
        return ""
    time = original_start.in_utc()
    return f"{time.moment.isoformat()} {time.zone}, {is_change=}"


# --- values as they are kept ---


def _key(value: TimeValue, series: ParsedEvent) -> date | datetime:
    """What identifies an occurrence of a series: its day, or its time on the series' clocks."""
    start = series.times.start
    assert start is not None, "an event without a start has no occurrences"
    # Programs write a day for an occurrence of a series with times, though RFC 5545, section
    # 3.8.4.4, requires the type of DTSTART.
    if start.is_day:
        return value.day
    if value.is_day:
        return datetime.combine(value.day, start.local.time())
    return value.in_zone(start.zone).local


def _unpack_time(moment: str, zone: str | None) -> TimeValue:
    if "T" in moment:
        return TimeValue(datetime.fromisoformat(moment), zone)
    return TimeValue(date.fromisoformat(moment))


def _pack_start(event: ParsedEvent) -> bytes | None:
    if event.times.start is None:
        return None
    return orjson.dumps((event.times.start, event.recurrence.is_once_a_day))


def _unpack_start(packed: bytes | None) -> SeriesStart | None:
    if packed is None:
        return None
    start, is_once_a_day = orjson.loads(packed)
    return SeriesStart(_unpack_time(**start), is_once_a_day)


def _pack_version(version: Version) -> Sequence[object]:
    digests = version.start, version.appearance, version.content
    return version.line, *version.rank, *(digest.hex() for digest in digests)


def _unpack_version(packed: bytes) -> Version:
    line, sequence, stamp, is_cancelled, *digests = orjson.loads(packed)
    return Version(line, sequence, stamp, is_cancelled, *map(bytes.fromhex, digests))


def _unpack_calendar(packed: bytes) -> CalendarProperties:
    values = orjson.loads(packed)
    described = {name: VTimezone(**one) for name, one in values.pop("described_zones").items()}
    return CalendarProperties(**values, described_zones=described)
