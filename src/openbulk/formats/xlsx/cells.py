"""The values of a workbook's cells, both ways."""

from datetime import date, time, timedelta
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.formats.table import Cell

MAX_CELL_CHARACTERS = 32_767
"""Excel's limit (https://support.microsoft.com/office/excel-specifications-and-limits)."""
_MAX_EXACT_NUMBER = 10**15
"""Excel keeps 15 digits of a number; longer ones are written as text."""
_TEXT_TOO_LONG = -2
"""The result of `xlsxwriter` for a text longer than MAX_CELL_CHARACTERS."""


def read_cell(cell: Any) -> Any:
    """A cell's value as JSON has it; None for an empty cell."""
    match cell:
        case "":
            return None
        case float() if cell.is_integer():
            return int(cell)  # Excel has no integers: 7 is stored as 7.0
        case date() | time():
            return cell.isoformat()
        case timedelta():
            return str(cell)
        case _:
            return cell


def read_text(cell: Any) -> str:
    """A cell of the header; "" for an empty one."""
    value = read_cell(cell)
    return "" if value is None else str(value)


def write_cell(sheet: Any, row: int, column: int, cell: Cell, field: str) -> None:
    """Write a value at a place of an `xlsxwriter` sheet. Raises BadInput if it is too long."""
    match cell:
        case None:
            return
        case bool():
            sheet.write_boolean(row, column, cell)
        case int() | float() if abs(cell) <= _MAX_EXACT_NUMBER:
            sheet.write_number(row, column, cell)
        case _ if sheet.write_string(row, column, str(cell)) == _TEXT_TOO_LONG:
            raise BadInput(
                f"record {row}: {field} has more than the {MAX_CELL_CHARACTERS} characters "
                "of a cell; choose csv"
            )
