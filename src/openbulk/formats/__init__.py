"""Bytes to records: the formats that files come in, and telling which one a file is."""

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput
from openbulk.formats.base import Format
from openbulk.formats.csv import Csv
from openbulk.formats.encoding import encoding_of, text_chunks
from openbulk.formats.googlecsv import GoogleCsv
from openbulk.formats.ics import Ics
from openbulk.formats.json import Json
from openbulk.formats.jsonl import Jsonl
from openbulk.formats.xlsx import Xlsx

FORMATS: Mapping[str, Format] = {made.name: made for made in (Xlsx(), Ics(), Json(), Jsonl(), GoogleCsv(), Csv())}
"""By name, in the order in which they are asked whether they recognize a file."""

HEAD_BYTES = 64 * 1024
INSPECTED_BYTES = 1024 * 1024
"""As much of a file is looked at before a job is made of it."""

_ALSO_CALLED = {
    "text/csv": "csv",
    "txt/csv": "csv",
    "application/json": "json",
    "application/jsonl": "jsonl",
    "ndjson": "jsonl",
    "ical": "ics",
    "text/calendar": "ics",
    "excel": "xlsx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/x-ndjson": "jsonl",
}
MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ics": "text/calendar",
    "googlecsv": "text/csv",
}
"""By the names of the formats."""
_NO_WORKBOOK = "the file is no workbook; leave the format out, and openbulk looks"
_NOT_TEXT = {
    b"PK\x03\x04": "a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (xls)",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "packed with gzip",
}


def inspect(file: BinaryIO, told: Any, options: Mapping[str, Any]) -> Format:
    """The format of a file that can be read and holds at least one record. Raises BadInput, saying what would be right.

    `told` is `metaData.format`, where the caller gave one. Looks at the beginning only, and goes back to it.
    """
    head = file.read(INSPECTED_BYTES)
    file.seek(0)
    if not head.strip():
        raise BadInput("the file is empty; send a file with at least one record")
    found = recognize(head[:HEAD_BYTES], told, options)
    looked_at = file if found.is_binary else io.BytesIO(head)
    if next(found.read(looked_at, options), None) is None:
        raise BadInput(f"the file holds no record; {found.looks_like}")
    file.seek(0)
    return found


def recognize(head: bytes, told: Any = None, options: Mapping[str, Any] | None = None) -> Format:
    """The format of a file that begins with these bytes. Raises BadInput.

    `json` may be told of a file with one object a line, too: the live service calls both by that name.
    """
    name = named(told)
    for binary in (made for made in FORMATS.values() if made.is_binary):
        if binary.recognizes(head):
            return binary
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise BadInput(f"the file is {what}; save it as CSV and send that")
    text = "".join(text_chunks(io.BytesIO(head), encoding_of(io.BytesIO(head), options or {})))
    if "\x00" in text:
        raise BadInput("the file is not text: it has zero bytes in it; send csv, json or jsonl, best in UTF-8")
    plain = text.encode(errors="surrogateescape")
    seen = next(made for made in FORMATS.values() if not made.is_binary and made.recognizes(plain))
    if name is not None and FORMATS[name].is_binary:
        raise BadInput(f"metaData.format is {name}, but {_NO_WORKBOOK}")
    return seen if name is None or (name == "json" and seen.name == "jsonl") else FORMATS[name]


def named(told: Any, field: str = "metaData.format") -> str | None:
    """The name of the format that a caller calls by its name or media type; None where he says nothing.

    `field` is where he says it. Raises BadInput.
    """
    if told in (None, ""):
        return None
    name = str(told).strip().lower()
    name = _ALSO_CALLED.get(name, name)
    if name not in FORMATS:
        raise BadInput(f"{field} {told!r} is not known; it can be {', '.join(FORMATS)}")
    return name
