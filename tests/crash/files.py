"""The files that are uploaded. The text of a row identifies the record that was made of it."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from crash.scenario import Upload

NO_DATE = "2026-02-30"


def text_of(upload: Upload, tag: str, row: int) -> str:
    """The text of a row. A second attempt to create has other texts than the first."""
    return f"{upload.texts if upload.by_reference else tag} {row}"


def place_of(upload: Upload) -> str:
    """The location of its events: each version has its own."""
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
    if upload.object == "calendars":
        return {"summary": text}
    if upload.object != "events":
        problem = "broken" if is_broken else ""
        return {"ref": text, "version": str(upload.version), "fail": problem}
    event = {
        "summary": text,
        "start.date": NO_DATE if is_broken else f"2026-09-{number % 28 + 1:02d}",
        "end.date": "2026-10-01",
        "location": place_of(upload),
    }
    return {"ref": text, **event} if upload.by_reference else event


def metadata_of(upload: Upload, tag: str) -> Mapping[str, Any]:
    """The metadata of the upload."""
    identifier = {"identifierFieldName": "ref"} if upload.by_reference else {}
    plan = {"plan": True} if upload.is_plan else {}
    return {"action": upload.action, **identifier, **plan, "callback-payload": {"tag": tag}}


def kept_place(number: int) -> str:
    """The location of an event in the calendar that is only read; sorts as its number does."""
    return f"room {number:05d}"


def kept_event(number: int) -> dict[str, Any]:
    """An event of the calendar that is only read."""
    return {
        "summary": f"Kept {number}",
        "start": {"date": "2026-03-01"},
        "end": {"date": "2026-03-02"},
        "location": kept_place(number),
    }
