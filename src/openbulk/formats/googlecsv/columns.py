"""The columns of Google Calendar's CSV, and how they identify a file."""

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.domain.records import flatten
from openbulk.formats.csv.dialect import detect_dialect
from openbulk.formats.csv.lines import LineReader
from openbulk.formats.csv.rows import read_header
from openbulk.formats.text import byte_lines

SUBJECT, DESCRIPTION, LOCATION = "subject", "description", "location"
START_DATE, START_TIME = "start date", "start time"
END_DATE, END_TIME = "end date", "end time"
ALL_DAY, PRIVATE = "all day event", "private"
_COLUMNS_BESIDE_START_DATE = frozenset({START_TIME, END_DATE, END_TIME, ALL_DAY})

GOOGLE_COLUMNS = (
    "Subject",
    "Start Date",
    "Start Time",
    "End Date",
    "End Time",
    "All Day Event",
    "Description",
    "Location",
    "Private",
)
IDENTITY_COLUMNS = ("id", "iCalUID", "calendarId")
API_COLUMNS = (*IDENTITY_COLUMNS, "start.timeZone", "end.timeZone")
"""Columns named as in the API. Google's own import does not know them and ignores them."""

Cells = Mapping[str, str]
"""The cells of a row, by the names of their columns in lower case."""


def cells_of(values: Mapping[str, Any]) -> Cells:
    """The cells of a row, without the blanks around names and texts."""
    texts = ((name, "" if value is None else str(value)) for name, value in flatten(values).items())
    return {name.strip().lower(): text.strip() for name, text in texts}


def names_googles_columns(head: bytes) -> bool:
    """Whether a file begins with a header of Google Calendar's CSV, whatever its delimiter."""
    lines = LineReader(byte_lines([head.removeprefix(codecs.BOM_UTF8)]), "utf-8")
    try:
        return is_google_header(read_header(lines, detect_dialect(lines, {})))
    except BadInput:
        return False


def is_google_header(names: Sequence[str]) -> bool:
    """Whether the names of a table's columns are those of Google Calendar's CSV."""
    known = frozenset(name.strip().lower() for name in names)
    has_start = known.issuperset({SUBJECT, START_DATE})
    return has_start and not known.isdisjoint(_COLUMNS_BESIDE_START_DATE)
