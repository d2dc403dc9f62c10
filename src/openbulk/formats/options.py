"""The keys of `metaData` that file formats read; each declares its own in `Format.options`."""

from collections.abc import Mapping
from typing import Any

from openbulk.domain.dates import EXAMPLES
from openbulk.domain.errors import BadInput
from openbulk.domain.options import Option, option_text
from openbulk.domain.written_numbers import SIGNS

MAX_HEADER_ROW = 1_000
"""Rows above a header are read at once."""


def _problem_of_row(text: str) -> str | None:
    if text.isascii() and text.isdecimal() and int(text[:9]) <= MAX_HEADER_ROW:
        return None
    return (
        f"metaData.headerRow is {text[:80]!r}; it must be a whole number from 1 to "
        f"{MAX_HEADER_ROW:,}, like 3, or 0 if no row has the names of the columns"
    )


def _problem_of_sign(text: str) -> str | None:
    if text in SIGNS:
        return None
    known = " or ".join(f'"{sign}" ({example})' for sign, example in SIGNS.items())
    return f"metaData.decimal is {text[:80]!r}; it is {known}"


def stated_header_row(options: Mapping[str, Any]) -> int | None:
    """The row in `metaData.headerRow`; 0 if no row is the header, None if nothing is stated.

    Raises BadInput.
    """
    stated = options.get("headerRow")
    if stated in (None, ""):
        return None
    problem = _problem_of_row(option_text(stated))
    if problem is not None:
        raise BadInput(problem)
    return int(stated)


ENCODING = Option("encoding", "the encoding of a text, by its name on the web; default: recognized")
DELIMITER = Option("delimiter", "what separates a CSV's cells; default: recognized")
NULL_VALUE = Option("nullValue", "the text of a CSV's cell that clears a field; default: none")
HEADER_ROW = Option(
    "headerRow",
    "the row of a table that has the names of its columns, counted from 1; 0 if none has them, and "
    "the columns are A, B, C; default: recognized",
    problem_of=_problem_of_row,
)
SHEET = Option("sheet", "the sheet of a workbook; default: the first visible one")
DECIMAL = Option(
    "decimal",
    'the decimal sign of the numbers of a file, "," for 1.234,50 or "." for 1,234.50; default: as '
    "programs write them, or as the mapping says",
    problem_of=_problem_of_sign,
)
DATE_ORDER = Option(
    "dateOrder",
    "how dates like 05/06/2026 are read; default: as other dates of the file show",
    choices=tuple(EXAMPLES),
)
