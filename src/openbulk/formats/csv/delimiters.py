"""Detects the character between the cells of a CSV."""

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.formats.csv.lines import LineReader

DELIMITERS = ",;\t|"
_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
_SPOKEN_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_SAMPLE_LINES = 20
# Excel reads a first line like `sep=;` as the delimiter of the file, not as a row.
_EXCEL_SEPARATOR_LINE = re.compile(r'"?sep=(?P<delimiter>.)"?\s*')


def detect_delimiter(lines: LineReader, options: Mapping[str, Any]) -> str:
    """The delimiter in metaData, else in Excel's line `sep=;`, else the one that fits best.

    Takes the line `sep=;` and leaves all others. Raises BadInput.
    """
    sample = lines.peek(_SAMPLE_LINES)
    separator_line = _EXCEL_SEPARATOR_LINE.fullmatch("".join(sample[:1]))
    if separator_line:
        next(lines)
    if wanted := options.get("delimiter"):
        return _parse_delimiter(str(wanted))
    if separator_line:
        return separator_line["delimiter"]
    return max(DELIMITERS, key=lambda delimiter: _fitness(sample, delimiter))


def _parse_delimiter(wanted: str) -> str:
    delimiter = _NAMES.get(wanted.lower(), wanted)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise BadInput(
            f"metaData.delimiter {wanted!r} is not one character; "
            "it can be comma, semicolon, tab or pipe"
        )
    return delimiter


def _fitness(sample: Sequence[str], delimiter: str) -> tuple[int, int]:
    """How many lines have as many cells as the first one, and how many cells that is.

    (0, 0) if a line is a single cell: every character that the file lacks would fit.
    """
    widths: list[int] = []
    with suppress(csv.Error):  # the rows before the one that cannot be read are sample enough
        widths.extend(len(row) for row in csv.reader(sample, delimiter=delimiter) if row)
    if not widths or widths[0] == 1:
        return (0, 0)
    return (widths.count(widths[0]), widths[0])


def delimiter_name(delimiter: str) -> str:
    """The name of a delimiter in a message."""
    return _SPOKEN_NAMES.get(delimiter, repr(delimiter))
