"""Recognizes the format of a file: as its caller states, else as its beginning shows."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from openbulk.domain.date_order import DateOrderUnknown
from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats import FORMATS
from openbulk.formats.base import Format
from openbulk.formats.encoding_detection import detect_encoding
from openbulk.formats.text import text_chunks

HEAD_BYTES = 64 * 1024
"""The part of a file that its format is recognized by."""
INSPECTED_BYTES = 1024 * 1024
"""The part of a file that must hold a record before a job is created for the file."""

_ALIASES = {
    "text/csv": "csv",
    "txt/csv": "csv",
    "application/json": "json",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "ndjson": "jsonl",
    "ical": "ics",
    "text/calendar": "ics",
    "excel": "xlsx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_MAGIC_BYTES = {
    b"PK\x03\x04": "a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (xls)",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "packed with gzip",
}
"""The beginnings of files that are neither text nor in a supported format."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The beginning of a file."""

    format: Format
    rows: Sequence[Row]
    """Its first rows."""
    is_whole: bool
    """Whether the file has no more rows."""


def inspect(file: BinaryIO, format_name: Any, options: Mapping[str, Any]) -> Format:
    """The format of a file that can be read and holds at least one record. Raises BadInput.

    `format_name` is `metaData.format`, or None. Reads only the beginning of the file, and seeks
    back to it.
    """
    return inspect_rows(file, format_name, options, 1).format


def inspect_rows(
    file: BinaryIO, format_name: Any, options: Mapping[str, Any], count: int
) -> Inspection:
    """The format and the first rows of a file, as `inspect` does; the last may be cut off."""
    head = file.read(INSPECTED_BYTES)
    file.seek(0)
    if not head.strip():
        raise BadInput("the file is empty; send a file with at least one record")
    recognized = recognize(head[:HEAD_BYTES], format_name, options)
    # A workbook can only be read as a whole: its directory is at its end.
    readable = file if recognized.is_binary else io.BytesIO(head)
    rows = _first_rows(recognized, readable, options, count, is_whole=len(head) < INSPECTED_BYTES)
    if rows == []:
        raise BadInput(f"the file holds no record; {recognized.looks_like}")
    file.seek(0)
    is_read = recognized.is_binary or len(head) < INSPECTED_BYTES
    if rows is None:
        return Inspection(recognized, (), is_whole=False)
    return Inspection(recognized, rows, is_whole=is_read and len(rows) < count)


def _first_rows(
    recognized: Format,
    file: BinaryIO,
    options: Mapping[str, Any],
    count: int,
    *,
    is_whole: bool,
) -> list[Row] | None:
    """The first rows; None if only the rest of the file may show how its dates are read."""
    try:
        return list(islice(recognized.read(file, options), count))
    except DateOrderUnknown:
        if is_whole or recognized.is_binary:
            raise
        return None


def recognize(
    head: bytes, format_name: Any = None, options: Mapping[str, Any] | None = None
) -> Format:
    """The format of a file that begins with these bytes. Raises BadInput.

    A binary format is recognized whatever the caller states. Text is in the format that the caller
    states, if any.
    """
    stated = resolve_format_name(format_name)
    binary = _find_format(head, is_binary=True)
    if binary is not None:
        return binary
    recognized = _recognize_text(head, options or {})
    if stated is None:
        return recognized
    if FORMATS[stated].is_binary:
        raise BadInput(
            f"metaData.format is {stated}, but the file is not a workbook; "
            "without metaData.format, openbulk detects the format"
        )
    # The live service calls an array and JSON Lines both `json`.
    if stated == "json" and recognized.name == "jsonl":
        return recognized
    return FORMATS[stated]


def _recognize_text(head: bytes, options: Mapping[str, Any]) -> Format:
    for magic, kind in _MAGIC_BYTES.items():
        if head.startswith(magic):
            raise BadInput(f"the file is {kind}; save it as CSV and send that")
    encoding = detect_encoding(io.BytesIO(head), options)
    text = "".join(text_chunks(io.BytesIO(head), encoding))
    # A zero byte further down is a problem of its row.
    if "\x00" in text.lstrip().partition("\n")[0]:
        raise BadInput(
            "the file is not text: it has zero bytes in it; send csv, json or jsonl, best in UTF-8"
        )
    utf8 = text.encode(errors="surrogateescape")
    text_format = _find_format(utf8, is_binary=False)
    assert text_format is not None, "CSV recognizes any text"
    return text_format


def _find_format(head: bytes, *, is_binary: bool) -> Format | None:
    candidates = (one for one in FORMATS.values() if one.is_binary == is_binary)
    return next((one for one in candidates if one.recognizes(head)), None)


def resolve_format_name(name: Any, field: str = "metaData.format") -> str | None:
    """The name of a format, by its name or media type in any case; None for None and "".

    `field` is the place of the name in the request. Raises BadInput.
    """
    if name in (None, ""):
        return None
    key = str(name).strip().lower()
    resolved = _ALIASES.get(key, key)
    if resolved not in FORMATS:
        raise BadInput(f"{field} {name!r} is not known; it can be {', '.join(FORMATS)}")
    return resolved
