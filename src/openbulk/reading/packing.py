"""Packs rows in the form that parts keep, and collects what their job has to know of them.

A part has lines. A line is a list, and one row: its line in the file, its values, its problem. Or
it is an object, and many rows of a table: their columns once, and the cells of each (`RowBatch`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from openbulk.domain.date_order import DateSigns
from openbulk.domain.date_signs import DateColumns
from openbulk.domain.job import KEPT_REMARKS, NO_REMARKS, Remarks, RowRemark, shorten_remark
from openbulk.domain.records import Problem, Row, RowBatch
from openbulk.exact_json import MAX_VALUES, has_few_values, pack_line, unpack_line

RECORDS_PER_PART = 1_000
BYTES_PER_PART = 1024 * 1024
"""A part has at most so many records and bytes, but for a larger record, which has a part of its
own: whoever reads a part holds all of it."""
MAX_UNREAD_CHARACTERS = 30_000
"""Of the text that could not be read of a row: a cell of a workbook has room for them."""
MAX_ROW_BYTES = 8 * 1024 * 1024
"""Of one record, packed: a larger one would take the server's memory."""
_VALUE_BYTES = 64
"""Memory that a value takes beside its bytes, with its name and its place."""
_LARGE_ROW_BYTES = 64 * 1024
_OBJECT = ord("{")


@dataclass(frozen=True, slots=True)
class Packed:
    """The rows of a part, packed."""

    records: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Summary:
    """What the job of a file has to know of all its rows."""

    remarks: Remarks = NO_REMARKS
    signs: Mapping[str, DateSigns] = field(default_factory=dict)
    columns: Sequence[str] = ()
    """Those of a table, in their order; none of other formats."""
    delimiter: str = ","
    """What is between the cells of a CSV."""

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        signs = {path: one.to_json() for path, one in self.signs.items()}
        first = [asdict(one) for one in self.remarks.first]
        return {
            "rows": self.remarks.rows,
            "first": first,
            "signs": signs,
            "columns": list(self.columns),
            "delimiter": self.delimiter,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Summary":
        """Of what `to_json` has made."""
        first = tuple(RowRemark(**one) for one in value["first"])
        signs = {path: DateSigns.from_json(one) for path, one in value["signs"].items()}
        return cls(Remarks(value["rows"], first), signs, value["columns"], value["delimiter"])


class PartLines:
    """Lines on their way into parts of `RECORDS_PER_PART` records and `BYTES_PER_PART` bytes."""

    def __init__(self, records: int = RECORDS_PER_PART) -> None:
        self._max_records = records
        self._lines: list[bytes] = []
        self._size = 0
        self.records = 0
        """Those of the part that has begun."""

    @property
    def room(self) -> int:
        """Records that the next line may have, so that parts are full."""
        return self._max_records - self.records or self._max_records

    def add(self, line: bytes, records: int = 1) -> Packed | None:
        """Add a line with some records; return the part before it, if that ends here."""
        part: Packed | None = None
        is_large = self._size + len(line) > BYTES_PER_PART
        if self._lines and (is_large or self.records + records > self._max_records):
            part = self.take()
        self._lines.append(line)
        self._size += len(line)
        self.records += records
        return part

    def take(self) -> Packed | None:
        """The last part, which ends here; None if it has no line."""
        if not self._lines:
            return None
        part = Packed(self.records, b"\n".join(self._lines))
        self._lines, self._size, self.records = [], 0, 0
        return part


class Packer:
    """Packs the rows of a file, part by part."""

    def __init__(
        self,
        rows: Iterator[Row | RowBatch],
        columns: Sequence[str] = (),
        delimiter: str = ",",
    ) -> None:
        self._parts = self._pack_all(rows)
        self._columns = columns
        self._delimiter = delimiter
        self._remarks = _RemarkCollector()
        self._dates = DateColumns()
        self._lines = PartLines()
        self.read = 0
        """Number of the last row that was read."""

    def next_part(self) -> Packed | None:
        """The next part; None after the last one. Raises what reading raises."""
        return next(self._parts, None)

    def summary(self) -> Summary:
        """What the rows have shown so far."""
        remarks = Remarks(self._remarks.rows, tuple(self._remarks.first))
        return Summary(remarks, self._dates.signs(), self._columns, self._delimiter)

    def _pack_all(self, rows: Iterator[Row | RowBatch]) -> Iterator[Packed]:
        for found in rows:
            if isinstance(found, RowBatch):
                yield from self._pack_batch(found)
            else:
                yield from self._pack_row(found)
        yield from _present(self._lines.take())

    def _pack_row(self, row: Row) -> Iterator[Packed]:
        """The part that ends before a row. The remarks of a row that can be sent are collected."""
        self.read = row.number
        self._dates.add(row)
        sendable, packed = pack_row(row)
        if sendable.remarks and sendable.problem is None:
            self._remarks.add(sendable)
        yield from _present(self._lines.add(packed))

    def _pack_batch(self, batch: RowBatch) -> Iterator[Packed]:
        for fitting in batch.split(self._lines.room):
            yield from self._pack_fitting(fitting)

    def _pack_fitting(self, batch: RowBatch) -> Iterator[Packed]:
        packed = pack_batch(batch)
        if len(packed) > BYTES_PER_PART:  # of escapes of control characters
            for row in batch.rows():
                yield from self._pack_row(row)
            return
        self.read = batch.last
        self._dates.add_batch(batch)
        yield from _present(self._lines.add(packed, len(batch.cells)))


def _present(part: Packed | None) -> Iterator[Packed]:
    if part is not None:
        yield part


def pack_batch(batch: RowBatch) -> bytes:
    """Rows of a table, packed in one line."""
    return orjson.dumps({"line": batch.line, "columns": batch.columns, "cells": batch.cells})


def pack_row(row: Row) -> tuple[Row, bytes]:
    """A row as it can be sent, and packed. One that no service takes has a problem in its place."""
    try:
        packed = pack_line(_line_of(row))
    except TypeError as error:
        # No service takes such a value either: half of a surrogate pair, hundreds of nested levels.
        # Its row alone fails.
        return _refuse(row, f"a value cannot be sent ({error})")
    if len(packed) <= MAX_VALUES:
        return row, packed
    if len(packed) > MAX_ROW_BYTES:
        return _refuse(
            row, f"the record has more than {MAX_ROW_BYTES // 2**20} MB; send less in one record"
        )
    if not has_few_values(packed):
        return _refuse(
            row, f"the record has more than {MAX_VALUES:,} values; send less in one record"
        )
    return row, packed


def _line_of(row: Row) -> Sequence[Any]:
    """The items of the line of a part that has a row."""
    if row.problem is None:
        return row.line, row.values, None
    broken = (row.line, row.cells, asdict(row.problem))
    return (*broken, _shorten(row.unread)) if row.unread else broken


def _shorten(unread: str) -> str:
    """The text that could not be read of a row, as JSON and a workbook can have it."""
    if len(unread) > MAX_UNREAD_CHARACTERS:
        unread = f"{unread[:MAX_UNREAD_CHARACTERS]}…"
    return unread.encode(errors="replace").decode()


def is_batch(packed: bytes) -> bool:
    """Whether a line of a part is one of `pack_batch`, and not of `pack_row`."""
    return packed[0] == _OBJECT


def unpack_batch(number: int, packed: bytes) -> RowBatch:
    """The rows that `pack_batch` packed; `number` is that of the first."""
    table = orjson.loads(packed)
    columns, cells = tuple(table["columns"]), table["cells"]
    size = len(packed) // len(cells) + _VALUE_BYTES * len(columns)
    return RowBatch(number, columns, cells, table["line"], size)


def unpack_row(number: int, packed: bytes) -> Row:
    """The row that `pack_row` packed."""
    size = _size_in_memory(packed)
    line, values, problem, *unread = unpack_line(packed)
    if problem is None:
        return Row(number, values, None, line, size=size)
    return Row(number, None, Problem(**problem), line, (), size, values, "".join(unread))


def _size_in_memory(packed: bytes) -> int:
    """About how many bytes a packed row takes as a record."""
    # Commas in texts count, too: such a record is sent with fewer others.
    values = _VALUE_BYTES * min(packed.count(b","), MAX_VALUES)
    # One emoji, and Python keeps each character of its text in four bytes (PEP 393).
    is_wide = len(packed) > _LARGE_ROW_BYTES and not packed.isascii()
    return values + len(packed) * (4 if is_wide else 1)


def _refuse(row: Row, message: str) -> tuple[Row, bytes]:
    return pack_row(Row(row.number, None, Problem(message), row.line))


@dataclass(slots=True)
class _RemarkCollector:
    """Collects what was left out of rows, in bounded memory."""

    rows: int = 0
    first: list[RowRemark] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Note the remarks of a row that is sent."""
        self.rows += 1
        if len(self.first) < KEPT_REMARKS:
            text = shorten_remark("; ".join(row.remarks))
            self.first.append(RowRemark(row.number, row.line, text))
