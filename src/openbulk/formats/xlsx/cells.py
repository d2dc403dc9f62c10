"""The values of a workbook's cells, both ways."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element

from openbulk.domain.errors import BadInput
from openbulk.formats.table import Cell
from openbulk.formats.xlsx.number_formats import Reader, read_number, shows_days
from openbulk.formats.xlsx.shared_strings import SharedStrings, text_of, unescape

MAX_CELL_CHARACTERS = 32_767
"""Excel's limit (https://support.microsoft.com/office/excel-specifications-and-limits)."""
_MAX_EXACT_NUMBER = 10**15
"""Excel keeps 15 digits of a number; longer ones are written as text."""
_DAY_CHARACTERS = len("2026-05-30")
_TEXT_TOO_LONG = -2
"""The result of `xlsxwriter` for a text longer than MAX_CELL_CHARACTERS."""


class Unreadable(str):
    """Stands for the value of a cell that has none: what is wrong with it, after its place."""

    __slots__ = ()


_NEVER_CALCULATED = Unreadable(
    "has a formula that was never calculated; open the workbook in a spreadsheet program, save it, "
    "and send that"
)


class CellReader:
    """Reads the cells of a sheet (ECMA-376, part 1, 18.3.1.4)."""

    def __init__(
        self,
        namespace: str,
        strings: SharedStrings,
        readers: Sequence[Reader],
        *,
        recalculates: bool,
    ) -> None:
        self._value, self._formula, self._inline = (
            f"{namespace}{name}" for name in ("v", "f", "is")
        )
        self._strings = strings
        self._readers = {str(style): reader for style, reader in enumerate(readers)}
        # A program that writes a formula writes no result, or 0, and has it calculated later.
        self._no_results = {None, "", "0"} if recalculates else {None, ""}
        self._by_type: Mapping[str, Callable[[Element], Any]] = {
            "n": self._read_number,
            "s": self._read_shared,
            "str": self._read_text,
            "inlineStr": self._read_inline,
            "b": self._read_boolean,
            "e": self._read_error,
            "d": self._read_date,
        }

    def read(self, cell: Element) -> Any:
        """The value of a cell; None for an empty one, Unreadable for one without a value.

        Dates, times and durations are text in ISO 8601.
        """
        return self._by_type.get(cell.get("t", "n"), self._read_text)(cell)

    def _read_number(self, cell: Element) -> Any:
        text = cell.findtext(self._value)
        if text in self._no_results and cell.find(self._formula) is not None:
            return _NEVER_CALCULATED
        if not text:
            return None
        try:
            return self._readers.get(cell.get("s", "0"), read_number)(text)
        except ValueError as error:
            return Unreadable(str(error))

    def _read_shared(self, cell: Element) -> Any:
        number = cell.findtext(self._value)
        try:
            return self._strings[int(number or "")] or None
        except (ValueError, IndexError):
            return Unreadable(f"refers to the text {number!r}, which the workbook lacks")

    def _read_text(self, cell: Element) -> Any:
        """The text that a formula gives; it may give an empty one."""
        text = cell.findtext(self._value)
        if text is None and cell.find(self._formula) is not None:
            return _NEVER_CALCULATED
        return unescape(text or "") or None

    def _read_inline(self, cell: Element) -> Any:
        return next(map(text_of, cell.iterfind(self._inline)), "") or None

    def _read_boolean(self, cell: Element) -> Any:
        return cell.findtext(self._value) in {"1", "true"}

    def _read_error(self, cell: Element) -> Any:
        error = cell.findtext(self._value) or "#N/A"
        return Unreadable(f"is the error {error}; correct its formula, or clear the cell")

    def _read_date(self, cell: Element) -> Any:
        """A date in ISO 8601, which few programs write; they write a day with a time, too."""
        text = cell.findtext(self._value) or None
        reader = self._readers.get(cell.get("s", "0"), read_number)
        return text[:_DAY_CHARACTERS] if text and shows_days(reader) else text


def is_blank(value: Any) -> bool:
    """Whether a value is a text of nothing but blanks."""
    return isinstance(value, str) and not value.strip()


# --- writing ---


class _AllDigits(float):
    """A number that is written with all of its digits. `xlsxwriter` writes 16."""

    def __format__(self, _spec: str) -> str:
        return repr(float(self))


def write_cell(sheet: Any, row: int, column: int, cell: Cell, field: str) -> None:
    """Write a value at a place of an `xlsxwriter` sheet. Raises BadInput if it is too long."""
    match cell:
        case None:
            return
        case bool():
            sheet.write_boolean(row, column, cell)
        case int() | float() | Decimal() if _is_exact(cell):
            sheet.write_number(row, column, _AllDigits(cell))
        case _ if sheet.write_string(row, column, _text_of(cell)) == _TEXT_TOO_LONG:
            raise BadInput(
                f"record {row}: {field} has more than the {MAX_CELL_CHARACTERS} characters "
                "of a cell; choose csv"
            )


def _text_of(cell: Cell) -> str:
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    return str(cell)


def _is_exact(number: int | float | Decimal) -> bool:
    """Whether Excel keeps a number as it is."""
    return -_MAX_EXACT_NUMBER <= number <= _MAX_EXACT_NUMBER and float(number) == number
