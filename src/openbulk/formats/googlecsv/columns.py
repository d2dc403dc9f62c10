"""The columns of Google Calendar's CSV, and how they identify a file."""

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.domain.records import flatten
from openbulk.domain.spelling import likely_name
from openbulk.formats.csv.dialect import detect_dialect
from openbulk.formats.csv.lines import LineReader
from openbulk.formats.csv.rows import read_header
from openbulk.formats.table import show_text
from openbulk.formats.text import byte_lines

SUBJECT, DESCRIPTION, LOCATION = "subject", "description", "location"
START_DATE, START_TIME = "start date", "start time"
END_DATE, END_TIME = "end date", "end time"
ALL_DAY, PRIVATE = "all day event", "private"
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

_API_NAMES: Mapping[str, str] = {"summary": SUBJECT}
"""The names that the API has for Google's columns."""
_READ_COLUMNS = frozenset(map(str.lower, (*GOOGLE_COLUMNS, *API_COLUMNS)))

_OUTLOOK_COLUMNS = frozenset(
    {
        *("reminder on/off", "reminder date", "reminder time", "priority", "sensitivity"),
        *("mileage", "billing information"),
    }
)
"""Columns that Outlook fills for each event, and that say nothing of most."""
_LIKENESS_OF_TYPOS = 0.82
"""`Start Tim` is like `Start Time`, but `Due Date` is not like `End Date`."""
_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+|\d+")
"""A word of a name, also of one in camel case: `calendarId` has two."""

Cells = Mapping[str, str]
"""The cells of a row, by the names of their columns in lower case."""


def cells_of(values: Mapping[str, Any]) -> Cells:
    """The cells of a row, without the blanks around names and texts."""
    return {name_column(name): show_text(value).strip() for name, value in flatten(values).items()}


def name_column(name: str) -> str:
    """Google's name of a column in lower case, with plain blanks between its words."""
    folded = " ".join(name.split()).lower()
    return _API_NAMES.get(folded, folded)


def find_unread_columns(header: Sequence[str]) -> Sequence[str]:
    """The columns that have no place in an event, and whose loss a person has to know of."""
    without_notice = _READ_COLUMNS | _OUTLOOK_COLUMNS
    return [name for name in header if name_column(name) not in without_notice]


def require_usable_header(header: Sequence[str]) -> None:
    """Raise BadInput for a header with which rows would lose values, or could not be events."""
    _require_distinct_columns(header)
    columns = set(map(name_column, header))
    absent = [name for name in (*GOOGLE_COLUMNS, *API_COLUMNS) if name.lower() not in columns]
    misspelt = [_describe_misspelt(name, absent) for name in find_unread_columns(header)]
    problems = list(filter(None, misspelt))
    if problems:
        raise BadInput("; ".join(problems))
    if START_DATE not in columns:
        raise BadInput(
            "the column 'Start Date' is missing; the file's columns are: " + ", ".join(header)
        )


def _describe_misspelt(name: str, absent: Sequence[str]) -> str | None:
    """The problem of a column that is most likely a known one with a typo; None for others.

    `absent` are the columns that the file does not have.
    """
    meant = likely_name(" ".join(name.split()), absent, _LIKENESS_OF_TYPOS)
    if meant is None or _is_name_of_its_own(name, meant):
        return None
    return f"{name!r} is not a column of Google Calendar's CSV; did you mean {meant!r}?"


def _is_name_of_its_own(name: str, known: str) -> bool:
    """Whether a name that is like a known one is none the less no typo of it.

    `Send Date` is not `End Date`: people mistype the first letter least. `Location 2`,
    `Description EN` and `Calendar` have the words of `Location`, `Description` and `calendarId`,
    and more or fewer.
    """
    words, known_words = _words_of(name), _words_of(known)
    if words[:1] and words[0][0] != known_words[0][0]:
        return True
    return set(words) < set(known_words) or set(words) > set(known_words)


def _words_of(name: str) -> Sequence[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _require_distinct_columns(header: Sequence[str]) -> None:
    """Raise BadInput if two columns mean one field of an event: `Subject` and `summary`."""
    first: dict[str, str] = {}
    for name in header:
        column = name_column(name)
        other = first.setdefault(column, name)
        if other != name and column in _READ_COLUMNS:
            raise BadInput(f"the columns {other!r} and {name!r} mean the same; keep one of them")


def names_googles_columns(head: bytes) -> bool:
    """Whether a file begins with a header of Google Calendar's CSV, whatever its delimiter."""
    lines = LineReader(byte_lines([head.removeprefix(codecs.BOM_UTF8)]), "utf-8")
    try:
        return is_google_header(read_header(lines, detect_dialect(lines, {})))
    except BadInput:
        return False


def is_google_header(names: Sequence[str]) -> bool:
    """Whether the names of a table's columns are those of Google Calendar's CSV.

    Google requires these two (https://support.google.com/calendar/answer/37118).
    """
    return {SUBJECT, START_DATE}.issubset(map(name_column, names))
