"""Results of a job as a file: its columns in their order, and what became of each row."""

import asyncio
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.domain.formulas import guard
from openbulk.domain.records import flatten
from openbulk.domain.row_kinds import RowKind
from openbulk.engine.mending import with_null_text
from openbulk.engine.results import ResultRow, Results
from openbulk.exact_json import encode_json
from openbulk.formats.csv.writing import encode_rows
from openbulk.formats.table import Table, cell_of, order_columns
from openbulk.formats.xlsx.writing import encode_workbook

ROW, UNREAD = "openbulk.row", "openbulk.unread"
OWN_COLUMNS = (ROW, "openbulk.outcome", "openbulk.id", "openbulk.field", "openbulk.error", UNREAD)
"""Columns that stand behind those of the file. A file's own columns of these names are left out."""
FORMATS = ("csv", "xlsx", "jsonl")
MAX_COLUMNS = 16_000
"""Of records that have no table: a workbook has 16,384."""


class ResultsFile:
    """Writes the results of a job."""

    def __init__(
        self, results: Results, word: Callable[[RowKind], str], *, is_guarded: bool
    ) -> None:
        """`word` says what became of a row. Guarded cells are run by no spreadsheet."""
        self._results = results
        self._word = word
        self._is_guarded = is_guarded
        self._loop = asyncio.get_running_loop()

    def write(self, format_name: str) -> Iterator[bytes]:
        """The file, piece by piece, in a thread. Raises BadInput before the first piece."""
        if format_name == "jsonl":
            yield from self._lines()
            return
        columns = self._columns()
        header = [*(map(guard, columns) if self._is_guarded else columns), *OWN_COLUMNS]
        if format_name == "xlsx":
            yield from encode_workbook(header, self._cells(columns))
            return
        # Without the mark, spreadsheets read UTF-8 as their own 8-bit encoding.
        yield BOM_UTF8
        yield from encode_rows(header, self._cells(columns), self._results.job.delimiter)

    def _rows(self) -> Iterator[ResultRow]:
        return self._results.rows(self._loop)

    def _columns(self) -> Sequence[str]:
        names = self._results.job.columns or self._columns_of_records()
        return [name for name in names if name not in OWN_COLUMNS]

    def _columns_of_records(self) -> Sequence[str]:
        """One for each field of the records, which are read for it: their format has no table."""
        names: dict[str, None] = {}
        for result in self._rows():
            names.update(dict.fromkeys(flatten(_values_of(result))))
            if len(names) > MAX_COLUMNS:
                raise BadInput(
                    f"the records have more than {MAX_COLUMNS:,} different fields; choose jsonl"
                )
        return order_columns(names)

    def _cells(self, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
        table = None if self._results.job.columns else Table((), columns)
        for result in self._rows():
            values = with_null_text(self._results.job, _values_of(result))
            cells = table.cells(values) if table else [cell_of(values.get(one)) for one in columns]
            cells += self._outcome(result)
            yield list(map(guard, cells)) if self._is_guarded else cells

    def _lines(self) -> Iterator[bytes]:
        empty: Mapping[str, Any] = dict.fromkeys(self._results.job.columns)
        for result in self._rows():
            values = _values_of(result)
            if empty:
                values = {**empty, **with_null_text(self._results.job, values)}
            own = zip(OWN_COLUMNS, self._outcome(result), strict=True)
            yield encode_json({**values, **dict(own)}, default=str) + b"\n"

    def _outcome(self, result: ResultRow) -> Sequence[Any]:
        """The values of `OWN_COLUMNS`."""
        error = result.error
        field, problem = (None, None) if error is None else (error.field, error.problem)
        row = result.row
        return row.number, self._word(result.kind), result.id, field, problem, row.unread or None


def _values_of(result: ResultRow) -> Mapping[str, Any]:
    """The values of a row, or what could be read of a broken one."""
    return result.row.values or result.row.cells or {}
