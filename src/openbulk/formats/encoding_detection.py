"""Detects the encoding of a text file: as its caller states, else as its bytes show."""

import codecs
import re
from collections.abc import Mapping
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput
from openbulk.formats.text import byte_lines, read_chunks

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# Latin-1 and its labels mean Windows-1252, and US-ASCII is read as UTF-8, which contains it
# (WHATWG Encoding Standard, https://encoding.spec.whatwg.org/#names-and-labels).
_LABELS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-8-sig": "utf-8",
    "utf-16": "utf-16-le",
    "utf-16le": "utf-16-le",
    "utf-16-le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-16-be": "utf-16-be",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-1": "cp1252",
    "ascii": "utf-8",
    "us-ascii": "utf-8",
}
_UTF16_SAMPLE_BYTES = 1024
_UTF16_ZERO_SHARE = 0.8
_UTF8_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
"""A character of two to four bytes (RFC 3629, section 4, less its rules on overlong forms)."""
_CP1252_UNDEFINED = frozenset(b"\x81\x8d\x8f\x90\x9d")
_LINES_FOR_ONE_DAMAGED = 1_000
"""One bad line in this many is damage to a UTF-8 file; more of them are another encoding."""


def detect_encoding(file: BinaryIO, options: Mapping[str, Any]) -> str:
    """The encoding of a file: `utf-8`, `utf-16-le`, `utf-16-be` or `cp1252`.

    `metaData.encoding` decides, else a byte order mark, else the file. Text that is valid UTF-8 is
    UTF-8. Other text is Windows-1252 if it has no valid sequence of UTF-8, no byte that
    Windows-1252 lacks, and more than one bad line in a thousand. Otherwise it is UTF-8 with damaged
    lines. May read the whole file; leaves it at its beginning. Raises BadInput.
    """
    head = file.read(_UTF16_SAMPLE_BYTES)
    file.seek(0)
    visible = _encoding_by_mark(head) or _utf16_by_zero_bytes(head)
    if label := options.get("encoding"):
        return _encoding_by_label(label, visible)
    return visible or _utf8_or_cp1252(file)


def _encoding_by_mark(head: bytes) -> str | None:
    matches = (name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark))
    return next(matches, None)


def _encoding_by_label(label: Any, visible: str | None) -> str:
    encoding = _LABELS.get(str(label).lower())
    if encoding is None:
        raise BadInput(
            f"metaData.encoding {label!r} is not known; "
            "it can be utf-8, utf-16, utf-16be, windows-1252"
        )
    # The label UTF-16 leaves the order of bytes open; the text shows it (RFC 2781, section 4.3).
    if str(label).lower() == "utf-16" and visible == "utf-16-be":
        return visible
    return encoding


def _utf16_by_zero_bytes(head: bytes) -> str | None:
    """UTF-16 without a mark: text in Latin letters has a zero in every other byte."""
    zeros_of_a_text = _UTF16_ZERO_SHARE * (len(head) // 2)
    if not zeros_of_a_text:
        return None
    if head[1::2].count(0) > zeros_of_a_text:
        return "utf-16-le"
    if head[0::2].count(0) > zeros_of_a_text:
        return "utf-16-be"
    return None


def _utf8_or_cp1252(file: BinaryIO) -> str:
    lines = bad_lines = 0
    try:
        for line in byte_lines(read_chunks(file)):
            lines += 1
            if line.isascii():
                continue
            if _speaks_against_cp1252(line):
                return "utf-8"
            bad_lines += 1
    finally:
        file.seek(0)
    return "cp1252" if bad_lines * _LINES_FOR_ONE_DAMAGED > lines else "utf-8"


def _speaks_against_cp1252(line: bytes) -> bool:
    has_undefined_byte = not _CP1252_UNDEFINED.isdisjoint(line)
    return has_undefined_byte or _UTF8_SEQUENCE.search(line) is not None
