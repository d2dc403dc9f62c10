"""The lines of a CSV. A broken record returns its later lines, to be read again."""

import csv
from collections.abc import Iterator
from itertools import islice

from openbulk.formats.text import describe_damage

MAX_RECORD_CHARACTERS = 1024 * 1024
# The module's own limit on a cell holds for the whole process, and is lower than that of a record.
csv.field_size_limit(MAX_RECORD_CHARACTERS)
_MAX_PLAIN_BYTES = 8 * 1024
"""A longer line is read by itself."""


class LineReader:
    """Iterates over text lines, and keeps those of the record that is being read."""

    def __init__(self, lines: Iterator[bytes], encoding: str) -> None:
        self._lines = lines
        self._encoding = encoding
        self._returned: list[str] = []
        self._ahead: list[bytes] = []
        """Lines that were looked at together, the next one at the end."""
        self.record_lines: list[str] = []
        """The lines that the current record has taken so far."""
        self._record_characters = 0
        self.number = 0
        """The number of the last line taken, from 1."""
        self.last_damaged = 0
        """The last line so far that has a byte which is not a character of a text."""
        self.doubtful_until = 0
        """A quote that was not closed reached to this line; a quote up to here may be its end."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line.

        Raises csv.Error if the record exceeds MAX_RECORD_CHARACTERS, or opens a quote in doubt.
        """
        if self.record_lines and self.number < self.doubtful_until:
            raise csv.Error("the quote is the one that was not closed")
        line = self._returned.pop() if self._returned else self._decode(self._next_line())
        self.record_lines.append(line)
        self.number += 1
        self._record_characters += len(line)
        if self._record_characters > MAX_RECORD_CHARACTERS:
            raise csv.Error("the record is too long")
        return line

    def _next_line(self) -> bytes:
        return self._ahead.pop() if self._ahead else next(self._lines)

    def _decode(self, line: bytes) -> str:
        if b"\x00" in line:
            self.last_damaged = self.number + 1
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.last_damaged = self.number + 1
            return line.decode("utf-8", "surrogateescape")

    # --- several lines at a time ---

    def plain_text(self, count: int) -> str:
        """The next `count` lines, if nothing in them needs a second look; "" otherwise.

        Takes none of them. The end of the last one is left out.
        """
        if self._returned or self._ahead or self.number < self.doubtful_until:
            return ""
        lines = list(islice(self._lines, count))
        self._ahead = lines[::-1]
        text = b"".join(lines)
        if not lines or len(max(lines, key=len)) > _MAX_PLAIN_BYTES or not _is_plain(text):
            return ""
        try:
            return text.decode().removesuffix("\n")
        except UnicodeDecodeError:
            return ""

    def take_plain_text(self) -> None:
        """Take the lines that `plain_text` has returned."""
        self.number += len(self._ahead)
        self._ahead.clear()
        self.record_lines.clear()

    # --- the current record ---

    @property
    def damage(self) -> str | None:
        """A sentence on the first byte of the current record that is no character of a text."""
        if self.last_damaged <= self.number - len(self.record_lines):
            return None
        return next(filter(None, map(self._damage_of, self.record_lines)), None)

    def _damage_of(self, line: str) -> str | None:
        if "\x00" in line:
            place = line.index("\x00") + 1
            return f"a zero byte (NUL) is at position {place} of the line; take it out"
        original = line.encode(errors="surrogateescape")
        try:
            original.decode()
        except UnicodeDecodeError as error:
            return describe_damage(original, error, self._encoding)
        return None

    def begin_record(self) -> None:
        """The lines taken so far belong to a record that is complete."""
        self.record_lines = []
        self._record_characters = 0

    def begin_doubt(self, last_line: int) -> None:
        """The current record has a quote that was not closed; the record reached to this line.

        A record that begins before that line and opens a quote, too, would reach as far: inside
        the first quote, a line with good quotes ends outside of it. So such a record is not read
        on, and each line is read twice at most.
        """
        self.doubtful_until = max(self.doubtful_until, last_line)

    def return_lines(self, keep: int) -> None:
        """Return all lines of the current record but the first `keep`, to be read again."""
        returned = self.record_lines[keep:]
        self._returned.extend(reversed(returned))
        self.number -= len(returned)
        del self.record_lines[keep:]
        self._record_characters = sum(map(len, self.record_lines))

    def peek(self, count: int) -> list[str]:
        """The first `count` lines of the file, or as many as a record may have. Takes none."""
        while len(self.record_lines) < count:
            try:
                next(self)
            except (StopIteration, csv.Error):
                break
        sample = self.record_lines.copy()
        self.return_lines(keep=0)
        return sample


def _is_plain(text: bytes) -> bool:
    """Whether lines have no zero byte, no empty text in quotes, and no blank before a quote."""
    if b"\x00" in text:
        return False
    return b'"' not in text or (b'""' not in text and b' "' not in text)
