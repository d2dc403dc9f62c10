"""The columns of Google Calendar's CSV, and how they identify a file."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from openbulk.domain.records import flatten
from openbulk.formats.csv.delimiters import DELIMITERS

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
    return {name.strip().lower(): str(value).strip() for name, value in flatten(values).items()}


def names_googles_columns(head: bytes) -> bool:
    """Whether a file begins with a header of Google Calendar's CSV, whatever its delimiter."""
    text = head.decode(errors="replace").lstrip("\ufeff")
    first_line = next(iter(text.splitlines()), "")
    headers = (
        next(csv.reader(io.StringIO(first_line), delimiter=delimiter), [])
        for delimiter in DELIMITERS
    )
    return is_google_header(max(headers, key=len))


def is_google_header(names: Sequence[str]) -> bool:
    """Whether the names of a table's columns are those of Google Calendar's CSV."""
    known = frozenset(name.strip().lower() for name in names)
    has_start = known.issuperset({SUBJECT, START_DATE})
    return has_start and not known.isdisjoint(_COLUMNS_BESIDE_START_DATE)
