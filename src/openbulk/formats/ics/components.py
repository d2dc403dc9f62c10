"""Components of a calendar file, such as events: their unfolded lines (RFC 5545, section 3.6)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MAX_EVENT_BYTES = 1024 * 1024


@dataclass
class Component:
    """What stands from a BEGIN to its END, both included. Holds MAX_EVENT_BYTES of it at most."""

    line: int
    """The line of the file on which it begins, from 1."""
    raw_lines: list[bytearray] = field(default_factory=list)
    size: int = 0
    is_closed: bool = False

    def add(self, raw: bytes) -> None:
        """Take a line in."""
        self.size += len(raw)
        if self.size > MAX_EVENT_BYTES:
            return
        text = raw.rstrip(b"\r\n")
        # A line that begins with a blank continues the one before it (RFC 5545, section 3.1).
        if self.raw_lines and text.startswith((b" ", b"\t")):
            self.raw_lines[-1] += text[1:]
        elif text.strip():
            self.raw_lines.append(bytearray(text))

    def require_lines(self) -> Sequence[str]:
        """Its lines as text. Raises ValueError with a sentence where they are not whole.

        Unfolded lines are decoded, as a fold may be inside a character (RFC 5545, section 3.1).
        """
        if not self.is_closed:
            raise ValueError(
                "the event has no END:VEVENT: the file is cut off here, or a line is missing"
            )
        if self.size > MAX_EVENT_BYTES:
            raise ValueError(f"the event is longer than {MAX_EVENT_BYTES} bytes; shorten it")
        try:
            return [line.decode() for line in self.raw_lines]
        except UnicodeDecodeError:
            raise ValueError(
                "the event has bytes that are not in the file's encoding; "
                "name the encoding in metaData.encoding"
            ) from None

    def readable_lines(self) -> Sequence[str]:
        """Its lines as text, with a replacement for what cannot be decoded."""
        return [line.decode(errors="replace") for line in self.raw_lines]


def split_events(lines: Iterator[bytes]) -> Iterator[Component]:
    """The events of a file, also those without an end. Other components are left out."""
    event: Component | None = None
    for number, raw in enumerate(lines, 1):
        # A line with a blank before its BEGIN or END continues a text (RFC 5545, section 3.1).
        name = raw.rstrip().upper()
        if name == b"BEGIN:VEVENT":
            if event is not None:
                yield event
            event = Component(number)
        if event is None:
            continue
        event.add(raw)
        if name == b"END:VEVENT":
            event.is_closed = True
            yield event
            event = None
    if event is not None:
        yield event


def find_unclosed(lines: Sequence[str]) -> str | None:
    """The name of a component, such as an alarm, that begins and does not end; None for none."""
    open_names: list[str] = []
    for line in lines:
        keyword, _, name = line.strip().upper().partition(":")
        if keyword == "BEGIN":
            open_names.append(name)
        elif keyword == "END" and open_names:
            last = open_names.pop()
            if last != name:
                return last
    return open_names[-1] if open_names else None
