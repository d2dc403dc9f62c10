"""Calendar files (iCalendar, RFC 5545), as Google, Outlook, Apple and timetable programs export them.

Each VEVENT is a row in the fields of the Calendar API: `UID` is `iCalUID`, `RRULE` and its kin are `recurrence`,
`RECURRENCE-ID` is `originalStartTime`. The file is read block by block: only its time zones are known beforehand.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from openbulk.domain.records import Problem, Row
from openbulk.formats.columns import check_can_begin_anew
from openbulk.formats.encoding import encoding_of, text_lines
from openbulk.formats.ics.lines import folded
from openbulk.formats.ics.reading import Frame, blocks, event_of, frame_of
from openbulk.formats.ics.writing import event_lines
from openbulk.formats.ics.zones import description, known_zones, zones_used


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
        frame = frame_of(text_lines(file, encoding))
        file.seek(0)
        return self._rows(text_lines(file, encoding), frame)

    def write(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> Iterator[bytes]:
        """A calendar file of events in the API's fields.

        What iCalendar has no words for (colours, conferences, attachments) is left out. Raises BadInput before the
        first piece where a record is no event.
        """
        check_can_begin_anew(records)
        zones: set[str] = set()
        for number, record in enumerate(records, 1):
            zones |= zones_used(event_lines(number, record))
        yield folded("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//openbulk//openbulk//EN", "CALSCALE:GREGORIAN")
        for zone in sorted(zones & known_zones()):
            yield folded(*description(zone))
        for number, record in enumerate(records, 1):
            yield folded(*event_lines(number, record))
        yield folded("END:VCALENDAR")

    def _rows(self, lines: Iterator[bytes], frame: Frame) -> Iterator[Row]:
        for number, block in enumerate(blocks(lines), 1):
            try:
                values = event_of(block, frame)
            except OverflowError:
                yield Row(number, problem=Problem("a date is before year 1 or beyond 9999"), line=block.line)
            except ValueError as error:
                yield Row(number, problem=Problem(str(error)), line=block.line)
            else:
                yield Row(number, values, line=block.line)
