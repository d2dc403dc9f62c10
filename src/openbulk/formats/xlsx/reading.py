"""The sheets of a workbook, and the records in one."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats.header import parse_header
from openbulk.formats.xlsx.cells import read_cell, read_text

MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
"""A workbook is unpacked as a whole: a larger one is refused before that."""


def require_safe_size(file: BinaryIO) -> None:
    """Raise BadInput for a zip bomb, by the sizes in its directory, and for any other file."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise _unreadable(error) from error
    if size > MAX_UNPACKED_BYTES:
        raise BadInput(
            f"the workbook has {size} bytes when it is unpacked; "
            f"{MAX_UNPACKED_BYTES} are allowed, send a CSV"
        )
    file.seek(0)


def open_sheet(file: BinaryIO, name: Any) -> CalamineSheet:
    """The sheet of that name; the first one for None or "". Raises BadInput."""
    try:
        workbook = CalamineWorkbook.from_filelike(file)
        if name in (None, ""):
            return workbook.get_sheet_by_index(0)
        if name in workbook.sheet_names:
            return workbook.get_sheet_by_name(str(name))
    except (CalamineError, OSError) as error:
        raise _unreadable(error) from error
    raise BadInput(
        f"the workbook has no sheet {name!r}; its sheets are: {', '.join(workbook.sheet_names)}"
    )


def _unreadable(error: Exception) -> BadInput:
    return BadInput(f"the workbook cannot be read ({error}); save it again, or as CSV")


@dataclass(frozen=True, slots=True)
class SheetReader:
    """A sheet whose header is known."""

    sheet: CalamineSheet
    header: Sequence[str]
    header_line: int
    """The number of the header's row in the sheet, from 1."""

    @classmethod
    def of(cls, sheet: CalamineSheet, looks_like: str) -> "SheetReader":
        """The header is the first row with a text in it. Raises BadInput if there is none."""
        for line, cells in enumerate(sheet.iter_rows(), 1):
            texts = list(map(read_text, cells))
            if any(map(str.strip, texts)):
                return cls(sheet, parse_header(texts, looks_like), line)
        raise BadInput(f"the sheet {sheet.name!r} is empty; {looks_like}")

    def rows(self) -> Iterator[Row]:
        """The rows below the header that have a value, numbered from 1."""
        number = 0
        lines = enumerate(self.sheet.iter_rows(), 1)
        for line, cells in islice(lines, self.header_line, None):
            pairs = zip(self.header, map(read_cell, cells), strict=False)
            if values := {name: value for name, value in pairs if value is not None}:
                number += 1
                yield Row(number, values, line=line)
