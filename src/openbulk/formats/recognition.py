"""Recognizes the format of a file: as its caller states, else as its beginning shows."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from openbulk.domain.date_order import DateOrderUnknown
from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats import FORMATS
from openbulk.formats.base import Format
from openbulk.formats.csv import Csv
from openbulk.formats.encoding_detection import EncodingUnknown, detect_encoding
from openbulk.formats.packed import unpack
from openbulk.formats.text import text_chunks
from openbulk.formats.xlsx import GoogleXlsx, Xlsx, describe_sheet

_BEGINNING_CHARACTERS = 100
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
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (xls), or one with a password",
    b"%PDF": "a PDF",
    b"{\\rtf": "a text with formats (RTF)",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "an SQLite database",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
}
"""The beginnings of files that are in no supported format."""
_TEXTS = {
    re.compile(r"<(?:!doctype html|html|head|body|table|meta|script|style|div|title|p)\b"): (
        "a web page (HTML)"
    ),
    re.compile(r"<(?:[?!]|[a-z][\w:.-]*[\s/>])"): "XML",
    re.compile(r"begin:vcard\b"): "a vCard file of addresses",
}
"""Beginnings of texts, in lower case, that no supported format has."""
_JSON_OBJECT = re.compile(r'\s*(?:\[\s*)?\{\s*"(?:[^"\\]|\\.){0,200}"\s*:')
"""No table begins so."""
_FOR_EVENTS = frozenset({"googlecsv", "googlexlsx"})
"""Formats that are not recognized unless the records are sent to a calendar: a table of activities
may have the same columns."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The beginning of a file."""

    format: Format
    rows: Sequence[Row]
    """Its first rows."""
    is_whole: bool
    """Whether the file has no more rows."""
    source: str = ""
    """Where the rows are, as the end of a message about them: in which of a workbook's sheets."""
    header: Sequence[str] = ()
    """The columns of a table; its first rows may leave cells empty."""


def inspect(
    file: BinaryIO, format_name: Any, options: Mapping[str, Any], *, takes_events: bool = True
) -> Format:
    """The format of a file that can be read and holds at least one record. Raises BadInput.

    `format_name` is `metaData.format`, or None. `takes_events` says whether the records are sent to
    a calendar. Reads only the beginning of the file, and seeks back to it.
    """
    return inspect_rows(file, format_name, options, 1, takes_events=takes_events).format


def inspect_rows(
    file: BinaryIO,
    format_name: Any,
    options: Mapping[str, Any],
    count: int,
    *,
    takes_events: bool = True,
) -> Inspection:
    """The format and the first rows of a file, as `inspect` does; the last may be cut off."""
    unpacked = unpack(file)
    inspection = _inspect(unpacked, format_name, options, count, takes_events=takes_events)
    file.seek(0)
    return inspection


@dataclass(frozen=True, slots=True)
class Beginning:
    """A file whose format is known, as far as its beginning shows."""

    format: Format
    file: BinaryIO
    """The beginning of a text, or a whole workbook; at its beginning."""
    is_whole: bool
    """Whether that is all of the file."""


def read_beginning(
    file: BinaryIO, format_name: Any, options: Mapping[str, Any], *, takes_events: bool
) -> Beginning:
    """Recognize the format of an unpacked file, by its beginning alone. Raises BadInput."""
    head = file.read(INSPECTED_BYTES)
    file.seek(0)
    if not head.strip():
        raise BadInput("the file is empty; send a file with at least one record")
    recognized = recognize(head[:HEAD_BYTES], format_name, options, takes_events=takes_events)
    if isinstance(recognized, Xlsx) and takes_events:
        recognized = _recognize_sheet(file, recognized, options)
    # A workbook can only be read as a whole: its directory is at its end.
    readable = file if recognized.is_binary else io.BytesIO(head)
    return Beginning(recognized, readable, recognized.is_binary or len(head) < INSPECTED_BYTES)


def _inspect(
    file: BinaryIO,
    format_name: Any,
    options: Mapping[str, Any],
    count: int,
    *,
    takes_events: bool,
) -> Inspection:
    beginning = read_beginning(file, format_name, options, takes_events=takes_events)
    recognized, readable = beginning.format, beginning.file
    rows = _first_rows(recognized, readable, options, count, is_whole=beginning.is_whole)
    if rows is None:
        return Inspection(recognized, (), is_whole=False)
    if not rows:
        raise BadInput(f"the file holds no record; {recognized.looks_like}")
    source = describe_sheet(file, options) if recognized.is_binary else ""
    is_whole = beginning.is_whole and len(rows) < count
    header = read_header(recognized, readable, options).columns
    return Inspection(recognized, rows, is_whole, source, header)


@dataclass(frozen=True, slots=True)
class Header:
    """What a table says of itself above its rows."""

    columns: Sequence[str] = ()
    """In their order; none of other formats."""
    delimiter: str = ","
    """What is between the cells of a CSV."""


def read_header(recognized: Format, file: BinaryIO, options: Mapping[str, Any]) -> Header:
    """The header of a table. Raises BadInput, as `read`.

    Seeks back to the beginning of the file first.
    """
    file.seek(0)
    match recognized:
        case Csv():
            reader = recognized.open(file, detect_encoding(file, options), options)
            return Header(reader.header, reader.delimiter)
        case Xlsx():
            return Header(recognized.open(file, options).header)
        case _:
            return Header()


def _first_rows(
    recognized: Format,
    file: BinaryIO,
    options: Mapping[str, Any],
    count: int,
    *,
    is_whole: bool,
) -> list[Row] | None:
    """The first rows; None if only the rest of the file may show how it is read."""
    try:
        return list(islice(recognized.read(file, options), count))
    except (DateOrderUnknown, EncodingUnknown):
        if is_whole:
            raise
        return None


def _recognize_sheet(file: BinaryIO, workbook: Format, options: Mapping[str, Any]) -> Format:
    """The format of a workbook for a calendar."""
    for_events = GoogleXlsx()
    has_events = for_events.has_google_columns(file, options)
    file.seek(0)
    if has_events:
        return for_events
    return workbook


def recognize(
    head: bytes,
    format_name: Any = None,
    options: Mapping[str, Any] | None = None,
    *,
    takes_events: bool = True,
) -> Format:
    """The format of a file that begins with these bytes. Raises BadInput.

    It is the one that the caller states, if any; a file that cannot be in that format is refused.
    """
    stated = resolve_format_name(format_name)
    binary = _find_format(head, is_binary=True, takes_events=takes_events)
    if binary is not None:
        named = FORMATS[stated or binary.name]
        if not named.is_binary:
            raise _other_format(named.name, "a workbook")
        return named
    text = _decode_head(head, options or {})
    recognized = _find_format(
        text.encode(errors="surrogateescape"), is_binary=False, takes_events=takes_events
    )
    assert recognized is not None, "CSV recognizes any text"
    if stated is None:
        return recognized
    return _stated_format(stated, recognized, text)


def _stated_format(stated: str, recognized: Format, text: str) -> Format:
    """The format of a text that its caller states. Raises BadInput if it cannot be that one."""
    if FORMATS[stated].is_binary:
        raise _other_format(stated, "not a workbook")
    # The live service calls an array and JSON Lines both `json`.
    if stated == "json" and recognized.name == "jsonl":
        return recognized
    if stated in {"csv", "googlecsv"} and (recognized.name == "ics" or _JSON_OBJECT.match(text)):
        raise _other_format(stated, recognized.name)
    return FORMATS[stated]


def _other_format(stated: str, kind: str) -> BadInput:
    return BadInput(
        f"metaData.format is {stated}, but the file is {kind}; "
        "without metaData.format, openbulk detects the format"
    )


def _decode_head(head: bytes, options: Mapping[str, Any]) -> str:
    for magic, kind in _MAGIC_BYTES.items():
        if head.startswith(magic):
            raise BadInput(f"the file is {kind}; save it as CSV and send that")
    try:
        encoding = detect_encoding(io.BytesIO(head), options)
    except EncodingUnknown:
        encoding = "utf-8"  # the format shows in any; reading asks for the encoding
    text = "".join(text_chunks(io.BytesIO(head), encoding))
    # A zero byte further down is a problem of its row.
    if "\x00" in text.lstrip().partition("\n")[0]:
        raise BadInput(
            "the file is not text: it has zero bytes in it; send csv, json or jsonl, best in UTF-8"
        )
    beginning = text.lstrip()[:_BEGINNING_CHARACTERS].lower()
    for pattern, kind in _TEXTS.items():
        if pattern.match(beginning):
            raise BadInput(f"the file is {kind}; save its table as CSV and send that")
    return text


def _find_format(head: bytes, *, is_binary: bool, takes_events: bool) -> Format | None:
    for one in FORMATS.values():
        is_possible = one.is_binary == is_binary and (takes_events or one.name not in _FOR_EVENTS)
        if is_possible and one.recognizes(head):
            return one
    return None


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
