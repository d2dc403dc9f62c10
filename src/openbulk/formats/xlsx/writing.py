"""Rows of cells to a workbook with one sheet."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.formats.table import Cell
from openbulk.formats.xlsx.cells import write_cell
from openbulk.formats.xlsx.sheets import MAX_COLUMNS, MAX_ROWS

_COLUMN_WIDTH = 22
_PIECE_BYTES = 64 * 1024


def encode_workbook(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """The bytes of a workbook, from a temporary file: its directory is at its end.

    Raises BadInput before the first piece if a sheet has no room.
    """
    # It takes long to load, and few write workbooks.
    import xlsxwriter  # type: ignore[import-untyped]  # noqa: PLC0415

    with tempfile.TemporaryFile() as file:
        with xlsxwriter.Workbook(file, {"constant_memory": True}) as workbook:
            _fill(workbook, columns, rows)
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _fill(workbook: Any, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise BadInput(
            f"there are {len(columns)} fields, and a sheet has {MAX_COLUMNS} columns; "
            "choose fewer fields, or json"
        )
    sheet = workbook.add_worksheet("openbulk")
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, max(0, len(columns) - 1), _COLUMN_WIDTH)
    bold = workbook.add_format({"bold": True})
    for column, name in enumerate(columns):
        sheet.write_string(0, column, name, bold)
    for row, cells in enumerate(rows, 1):
        if row >= MAX_ROWS:
            raise BadInput(f"there are more records than a sheet has rows ({MAX_ROWS}); choose csv")
        for column, cell in enumerate(cells):
            write_cell(sheet, row, column, cell, columns[column])
