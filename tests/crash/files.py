"""The files that are uploaded: each row carries a text by which what was made of it is told."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from crash.scenario import Upload

NO_DATE = "2026-02-30"


def text_of(upload: Upload, tag: str, row: int) -> str:
    """What is made of a row carries this; a create that is sent again is another file, with texts of its own."""
    return f"{upload.texts if upload.by_reference else tag} {row}"


def place_of(upload: Upload) -> str:
    """Where its events are: in another version elsewhere."""
    return f"v{upload.version}"


def file_of(upload: Upload, tag: str) -> bytes:
    """The file, as CSV."""
    rows = [
        _row(upload, number, text_of(upload, tag, number)) for number in range(1, upload.rows + 1)
    ]
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def _row(upload: Upload, number: int, text: str) -> Mapping[str, str]:
    is_broken = number in upload.broken
    match upload.object:
        case "events":
            start = NO_DATE if is_broken else f"2026-09-{number % 28 + 1:02d}"
            place = place_of(upload)
            reference = {"ref": text} if upload.by_reference else {}
            return {
                **reference,
                "summary": text,
                "start.date": start,
                "end.date": "2026-10-01",
                "location": place,
            }
        case "calendars":
            return {"summary": text}
        case _:
            return {
                "ref": text,
                "version": str(upload.version),
                "fail": "broken" if is_broken else "",
            }


def metadata_of(upload: Upload, tag: str) -> Mapping[str, Any]:
    """What is said of the file."""
    identifier = {"identifierFieldName": "ref"} if upload.by_reference else {}
    return {"action": upload.action, **identifier, "callback-payload": {"tag": tag}}


def kept_place(number: int) -> str:
    """Where an event is of the calendar that is only read: in the order of these texts it has that of its number."""
    return f"room {number:05d}"


def kept_event(number: int) -> dict[str, Any]:
    """An event of the calendar that is only read."""
    return {
        "summary": f"Kept {number}",
        "start": {"date": "2026-03-01"},
        "end": {"date": "2026-03-02"},
        "location": kept_place(number),
    }
