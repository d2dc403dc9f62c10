"""Excel workbooks (xlsx): one sheet, its header below any titles, a record in each row below.

`read` takes the first visible sheet, or the one that `metaData.sheet` names, and the header
in the row that `metaData.headerRow` names. A cell has the value
that people see: dates, times and durations come out in ISO 8601, a code with its zeros in front
(`00742`), a merged cell in each of its rows. An error of the workbook's (`#DIV/0!`), a formula that
was never calculated, and a cell beyond the header break their row. `write` keeps text as text,
whatever it begins with, and lists as JSON in a cell.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from openbulk.domain.records import Row
from openbulk.formats.googlecsv.columns import (
    API_COLUMNS,
    GOOGLE_COLUMNS,
    find_unread_columns,
    is_google_header,
    require_usable_header,
)
from openbulk.formats.googlecsv.date_order_detection import detect_date_order
from openbulk.formats.googlecsv.reading import read_event
from openbulk.formats.googlecsv.writing import ShownEvents, event_cells
from openbulk.formats.options import DATE_ORDER, HEADER_ROW, SHEET
from openbulk.formats.table import Table
from openbulk.formats.write_checks import EVENT_LOOKS_LIKE, require_writable
from openbulk.formats.xlsx.package import Package
from openbulk.formats.xlsx.reading import SheetReader
from openbulk.formats.xlsx.writing import encode_workbook

_LOOKS_LIKE = "a workbook has field names in its first filled row and a record in each row below"
_ZIP_MAGIC = b"PK\x03\x04"
_FIRST_PARTS = (b"xl/", b"[Content_Types].xml", b"_rels/.rels", b"docProps/")
"""What a workbook's archive begins with (ECMA-376, part 2)."""
_FIRST_PARTS_BYTES = 4096


class Xlsx:
    """Reads and writes workbooks."""

    name = "xlsx"
    looks_like = _LOOKS_LIKE
    options = (SHEET, HEADER_ROW, DATE_ORDER)
    is_binary = True
    names_are_paths = True

    def recognizes(self, head: bytes) -> bool:
        """It is a zip archive that begins as workbooks do."""
        if not head.startswith(_ZIP_MAGIC):
            return False
        return any(part in head[:_FIRST_PARTS_BYTES] for part in _FIRST_PARTS)

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The rows of a sheet.

        Raises BadInput if the file is not a workbook, if it lacks the sheet that metaData names, or
        if the sheet's header cannot be used.
        """
        return self.open(file, options).rows()

    def open(self, file: BinaryIO, options: Mapping[str, Any]) -> SheetReader:
        """The reader of a sheet's rows. Raises BadInput, as `read`."""
        return SheetReader.of(file, options, self.looks_like)

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """One sheet, with a bold header that stays visible.

        Raises BadInput if a sheet has no room for all records or fields.
        """
        table = Table(records, fields)
        return encode_workbook(table.columns, map(table.cells, records))


def describe_sheet(file: BinaryIO, options: Mapping[str, Any]) -> str:
    """Which sheet of a workbook is read, as the end of a message. Raises BadInput for none."""
    package = Package(file)
    return package.describe(package.choose_sheet(options.get("sheet")))


class GoogleXlsx:
    """Reads and writes workbooks whose sheet has the columns of Google Calendar's CSV."""

    name = "googlexlsx"
    looks_like = "a workbook of events has the columns Subject and Start Date"
    options = (SHEET, HEADER_ROW, DATE_ORDER)
    is_binary = True
    names_are_paths = False

    def recognizes(self, head: bytes) -> bool:
        """False: its beginning is that of any workbook. `has_google_columns` tells them apart."""
        return False

    def has_google_columns(self, file: BinaryIO, options: Mapping[str, Any]) -> bool:
        """Whether the sheet of a workbook has Google's columns. Raises BadInput, as `read`."""
        return is_google_header(SheetReader.of(file, options, _LOOKS_LIKE).header)

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The events of a sheet; a row with a wrong date is broken. Raises BadInput, as Xlsx."""
        sheet = SheetReader.of(file, options, self.looks_like)
        require_usable_header(sheet.header)
        order = detect_date_order(sheet.rows(), options, sheet.header)
        unread = find_unread_columns(sheet.header)
        return (read_event(row, order, unread) for row in sheet.rows())

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """The columns and rows of `googlecsv`. Raises BadInput if a record is not an event."""
        events = ShownEvents(records)
        require_writable(events, event_cells, EVENT_LOOKS_LIKE)
        return encode_workbook([*GOOGLE_COLUMNS, *API_COLUMNS], map(event_cells, events))
