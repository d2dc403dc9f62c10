"""Calendar files (iCalendar, RFC 5545), as Google, Outlook, Apple and others write them.

Each VEVENT is a row in the fields of the Calendar API: `UID` is `iCalUID`, `RRULE` and its kin are
`recurrence`, `RECURRENCE-ID` is `originalStartTime`. The file is read event by event, after a pass
that collects what events need to know of each other (`file_index`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from openbulk.domain.records import Row
from openbulk.formats.encoding_detection import detect_encoding
from openbulk.formats.ics.components import border
from openbulk.formats.ics.content_lines import fold_lines
from openbulk.formats.ics.events import event_lines
from openbulk.formats.ics.file_index import FileIndex
from openbulk.formats.ics.iana_zones import known_zones
from openbulk.formats.ics.rows import read_rows
from openbulk.formats.ics.vtimezone import vtimezone_lines, zones_in
from openbulk.formats.options import ENCODING
from openbulk.formats.text import text_lines
from openbulk.formats.write_checks import EVENT_LOOKS_LIKE, require_writable


class Ics:
    """Reads and writes calendar files."""

    name = "ics"
    looks_like = (
        "a calendar file begins with BEGIN:VCALENDAR "
        "and holds events between BEGIN:VEVENT and END:VEVENT"
    )
    options = (ENCODING,)
    is_binary = False
    names_are_paths = False

    def recognizes(self, head: bytes) -> bool:
        """It begins with BEGIN:VCALENDAR, or with an event without its calendar, in any case."""
        return border(head.lstrip()[:32]).startswith((b"BEGIN:VCALENDAR", b"BEGIN:VEVENT"))

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The events, each of them after its series. One that cannot be read is a broken row.

        To-dos, journals and free-busy times are left out, and so are versions of an event of which
        the file has a newer one.
        """
        encoding = detect_encoding(file, options)

        def lines() -> Iterator[bytes]:
            file.seek(0)
            return text_lines(file, encoding)

        return read_rows(lines, FileIndex(lines))

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """A calendar file of events in the API's fields.

        iCalendar has no properties for colours, conferences and attachments: they are left out.
        Raises BadInput before the first piece if a record is not an event.
        """
        zones: set[str] = set()

        def note_zones(record: Mapping[str, Any]) -> None:
            zones.update(zones_in(event_lines(record)))

        require_writable(records, note_zones, EVENT_LOOKS_LIKE)
        yield fold_lines(
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//openbulk//openbulk//EN",
            "CALSCALE:GREGORIAN",
        )
        for zone in sorted(zones & known_zones()):
            yield fold_lines(*vtimezone_lines(zone))
        for record in records:
            yield fold_lines(*event_lines(record))
        yield fold_lines("END:VCALENDAR")
