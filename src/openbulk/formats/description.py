"""Describes how a file is read: what was stated, or recognized."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, BinaryIO

from openbulk.formats.base import Format
from openbulk.formats.csv import Csv
from openbulk.formats.encoding_detection import detect_encoding
from openbulk.formats.encodings import ENCODING_NAMES
from openbulk.formats.googlecsv import GoogleCsv
from openbulk.formats.header_candidates import NO_HEADER
from openbulk.formats.table import show_text
from openbulk.formats.text import text_lines
from openbulk.formats.xlsx.reading import SheetReader
from openbulk.formats.xlsx.sheets import each_row

MAX_SHEETS = 100
"""Sheets that are listed."""
_TITLES = 3
_TITLE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class FileDescription:
    """How a file is read."""

    encoding: str | None = None
    """By its name on the web; None for a workbook."""
    delimiter: str | None = None
    header_row: int | None = None
    """The line of a text, or the row of a sheet, that has the names of the columns."""
    sheet: str | None = None
    """The sheet that is read."""
    sheets: Sequence[tuple[str, str]] = ()
    """The names of a workbook's sheets, each with its visibility."""
    notes: Sequence[str] = ()
    """Sentences on what is left out."""
    header: Sequence[str] = ()
    """The names of a table's columns, also of those without a value."""


def describe_file(
    file_format: Format, file: BinaryIO, options: Mapping[str, Any]
) -> FileDescription:
    """How a file is read that is unpacked and at its beginning. Raises BadInput, as reading does.

    Leaves the file at its beginning.
    """
    try:
        if file_format.is_binary:
            return _describe_workbook(file, options, file_format.looks_like)
        if isinstance(file_format, Csv | GoogleCsv):
            return _describe_csv(file, options)
        return FileDescription(ENCODING_NAMES[detect_encoding(file, options)])
    finally:
        file.seek(0)


def _describe_csv(file: BinaryIO, options: Mapping[str, Any]) -> FileDescription:
    encoding = detect_encoding(file, options)
    table = Csv().open(file, encoding, options)
    file.seek(0)
    lines = islice(text_lines(file, encoding), max(0, table.header_line - 1))
    titles = (line.decode(errors="replace") for line in lines)
    return FileDescription(
        ENCODING_NAMES[encoding],
        table.delimiter,
        table.header_line,
        notes=_notes_of(titles, table.header_line),
        header=table.header,
    )


def _describe_workbook(
    file: BinaryIO, options: Mapping[str, Any], looks_like: str
) -> FileDescription:
    reader = SheetReader.of(file, options, looks_like)
    package, sheet = reader.package, reader.sheet
    above = takewhile(lambda row: row[0] < reader.header_line, each_row(package, sheet))
    titles = (" ".join(map(show_text, cells.values())) for _, cells in above)
    return FileDescription(
        header_row=reader.header_line,
        sheet=sheet.name,
        sheets=[(one.name, one.visibility) for one in package.sheets[:MAX_SHEETS]],
        notes=_notes_of(titles, reader.header_line),
        header=reader.header,
    )


def _notes_of(above: Iterable[str], header_row: int) -> Sequence[str]:
    """What is left out above the header, in a sentence."""
    if header_row == NO_HEADER:
        return ("no row has the names of the columns; they are called A, B, C",)
    if header_row == 1:
        return ()
    stripped = filter(None, (line.strip() for line in above))
    titles = [repr(line[:_TITLE_CHARACTERS]) for line in islice(stripped, _TITLES)]
    shown = f": {', '.join(titles)}" if titles else ""
    rows = "row 1" if header_row == 2 else f"rows 1 to {header_row - 1}"
    return (f"{rows} above the header, row {header_row}, are no records{shown}",)
