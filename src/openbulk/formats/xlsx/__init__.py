"""Excel workbooks (xlsx): one sheet, its first filled row the header, a record in each row below.

`read` takes the first sheet, or the one that `metaData.sheet` names. Dates and times come out in
ISO 8601, whole numbers without a decimal point. A sheet with Google Calendar's columns is read as
its CSV. `write` keeps text as text, whatever it begins with, and lists as JSON in a cell.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from openbulk.domain.records import Row
from openbulk.formats.googlecsv.columns import is_google_header
from openbulk.formats.googlecsv.date_order import detect_date_order
from openbulk.formats.googlecsv.reading import read_event
from openbulk.formats.options import DATE_ORDER, SHEET
from openbulk.formats.table import Table
from openbulk.formats.xlsx.reading import SheetReader, open_sheet, require_safe_size
from openbulk.formats.xlsx.writing import encode_workbook

_ZIP_MAGIC = b"PK\x03\x04"
_FIRST_PARTS = (b"xl/", b"[Content_Types].xml", b"_rels/.rels", b"docProps/")
"""What a workbook's archive begins with (ECMA-376, part 2)."""
_FIRST_PARTS_BYTES = 4096


class Xlsx:
    """Reads and writes workbooks."""

    name = "xlsx"
    looks_like = "a workbook has field names in its first filled row and a record in each row below"
    options = (SHEET, DATE_ORDER)
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
        require_safe_size(file)
        sheet = SheetReader.of(open_sheet(file, options.get("sheet")), self.looks_like)
        if not is_google_header(sheet.header):
            return sheet.rows()
        order = detect_date_order(sheet.rows(), options)
        return (read_event(row, order) for row in sheet.rows())

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """One sheet, with a bold header that stays visible.

        Raises BadInput if a sheet has no room for all records or fields.
        """
        table = Table(records, fields)
        return encode_workbook(table.columns, map(table.cells, records))
