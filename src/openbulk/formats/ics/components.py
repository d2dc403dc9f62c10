"""Components of a calendar file, such as events: their unfolded lines (RFC 5545, section 3.6)."""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MAX_EVENT_BYTES = 1024 * 1024
_MARKED_BEGIN = re.compile(codecs.BOM_UTF8 + rb"(?=BEGIN:VCALENDAR)", re.I)
_JOINED_BORDERS = re.compile(rb"END:VCALENDAR\s*(?:\xef\xbb\xbf)?(?=BEGIN:VCALENDAR)", re.I)
_IS_QUOTED_PRINTABLE = re.compile(rb"[^:]*;\s*(?:ENCODING=)?QUOTED-PRINTABLE\b", re.I)
_MAX_EMPTY_LINES = 3
"""As many between two lines are kept: a text that is not folded may have some."""
_BEFORE_NEXT = frozenset({b"BEGIN:VEVENT", b"BEGIN:VCALENDAR", b"END:VCALENDAR"})
"""Lines before which an event has ended, with or without its END."""
_BORDERS = _BEFORE_NEXT | {b"END:VEVENT"}
_REST_OF_ESCAPE = re.compile(rb"[ \t][0-9A-F]{2}")


@dataclass(slots=True)
class RawLine:
    """An unfolded line, in bytes: a fold may be inside a character (RFC 5545, section 3.1)."""

    number: int
    """The line of the file on which it begins, from 1."""
    content: bytearray

    @property
    def is_unfinished(self) -> bool:
        """Whether it is quoted-printable and goes on in the next line (vCalendar 1.0, 2.1.3)."""
        return self.content.endswith(b"=") and bool(_IS_QUOTED_PRINTABLE.match(self.content))


_NO_LINE = RawLine(0, bytearray())


@dataclass
class Component:
    """The lines from BEGIN to END inclusive; keeps at most MAX_EVENT_BYTES."""

    line: int
    """The line of the file on which it begins, from 1."""
    calendar: int = 0
    """Which of the file's VCALENDARs it is in, from 1; 0 for one that is outside of them."""
    raw_lines: list[RawLine] = field(default_factory=list)
    size: int = 0
    is_closed: bool = False
    _empty_lines: int = 0

    def add(self, number: int, raw: bytes) -> None:
        """Take a line in."""
        self.size += len(raw)
        if self.size > MAX_EVENT_BYTES:
            return
        text = raw.rstrip(b"\r\n")
        self._empty_lines += 1
        if text.strip():
            self._empty_lines = 0
        last = next(reversed(self.raw_lines), _NO_LINE)
        if last.is_unfinished and border(text) not in _BORDERS:
            self._continue_quoted(last, text)
        # A line that begins with a blank continues the one before it (RFC 5545, section 3.1). The
        # first line of a component is its BEGIN.
        elif text.startswith((b" ", b"\t")):
            self._continue_folded(text)
        elif self._empty_lines <= _MAX_EMPTY_LINES:
            self.raw_lines.append(RawLine(number, bytearray(text)))

    def _continue_quoted(self, last: RawLine, text: bytes) -> None:
        # Some programs fold such a line like others, here inside of the three characters of a byte.
        if _REST_OF_ESCAPE.match(text):
            last.content += text[1:]
        else:
            last.content[-1:] = text

    def _continue_folded(self, text: bytes) -> None:
        # Some programs write an empty line between the two.
        while not self.raw_lines[-1].content:
            self.raw_lines.pop()
        self.raw_lines[-1].content += text[1:]

    def require_whole(self) -> None:
        """Raise ValueError with a sentence if it is cut off or too long."""
        if not self.is_closed:
            raise ValueError(
                f"the event that begins on line {self.line} has no END:VEVENT: "
                "the file is cut off here, or a line is missing"
            )
        if self.size > MAX_EVENT_BYTES:
            raise ValueError(
                f"the event that begins on line {self.line} is longer than "
                f"{MAX_EVENT_BYTES} bytes; shorten it"
            )

    def pack(self) -> bytes:
        """Its unfolded lines in one piece; `unpack` makes them a component."""
        return b"\n".join(line.content for line in self.raw_lines)

    @classmethod
    def unpack(cls, packed: bytes, line: int, calendar: int) -> "Component":
        """A closed component from `pack`. Its lines are not numbered as in the file."""
        lines = [RawLine(line, bytearray(content)) for content in packed.split(b"\n")]
        return cls(line, calendar, lines, is_closed=True)

    def readable_lines(self) -> Sequence[str]:
        """Its lines as text, with a replacement for what cannot be decoded."""
        return [line.content.decode(errors="replace") for line in self.raw_lines if line.content]


def calendar_lines(lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines of a file and their numbers, from 1, also if files were joined one after another.

    Such a file has a byte order mark in the middle, and two calendars in a line if the first of
    the files had no line end.
    """
    for number, raw in enumerate(lines, 1):
        joined = _JOINED_BORDERS.match(raw)
        if joined:
            yield number, b"END:VCALENDAR\n"
            yield number, raw[joined.end() :]
        else:
            yield number, _MARKED_BEGIN.sub(b"", raw, count=1)


def border(raw: bytes) -> bytes:
    """The line in capitals, and without blanks if it begins or ends a component.

    A line with a blank before its BEGIN or END continues a text (RFC 5545, section 3.1).
    """
    line = raw.rstrip().upper()
    if line.startswith((b"BEGIN", b"END")):
        return b"".join(line.split())
    return line


def split_events(lines: Iterator[bytes]) -> Iterator[Component]:
    """The events of a file, also those without an end. Other components are left out."""
    begun: list[Component] = []  # the event that is being read, if there is one
    calendars = _CalendarCounter()
    for number, raw in calendar_lines(lines):
        edge = border(raw)
        calendars.pass_line(edge)
        if edge in _BEFORE_NEXT:
            yield from begun
            begun = []
        if edge == b"BEGIN:VEVENT":
            begun = [Component(number, calendars.current)]
        for event in begun:
            event.add(number, raw)
            event.is_closed = edge == b"END:VEVENT"
        if edge == b"END:VEVENT":
            yield from begun
            begun = []
    yield from begun


class _CalendarCounter:
    """Which VCALENDAR of the file a line is in."""

    def __init__(self) -> None:
        self.current = 0
        self._begun = 0

    def pass_line(self, edge: bytes) -> None:
        """Count a line, as `border` gives it."""
        self._begun += edge == b"BEGIN:VCALENDAR"
        borders = {b"BEGIN:VCALENDAR": self._begun, b"END:VCALENDAR": 0}
        self.current = borders.get(edge, self.current)
