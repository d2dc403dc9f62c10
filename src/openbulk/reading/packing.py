"""Packs rows in the form that parts keep, and collects what their job has to know of them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from openbulk.domain.date_order import DateSigns
from openbulk.domain.date_signs import DateColumns
from openbulk.domain.job import KEPT_REMARKS, NO_REMARKS, Remarks, RowRemark, shorten_remark
from openbulk.domain.records import Problem, Row
from openbulk.exact_json import pack_line, unpack_line

RECORDS_PER_PART = 1_000
BYTES_PER_PART = 4 * 1024 * 1024
"""A part ends at whichever limit it reaches first. This bounds the memory of a slice."""
MAX_ROW_BYTES = 8 * 1024 * 1024
MAX_ROW_VALUES = 200_000
"""Bounds of one record, with the names and lists in it: a larger one would take the server's
memory, and no service takes it."""
_VALUE_BYTES = 64
"""Memory that a value takes beside its bytes, with its name and its place."""
_CERTAINLY_FEW_VALUES = 2 * MAX_ROW_VALUES
"""Bytes of a row whose values need not be counted: each takes two bytes at least."""


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

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        signs = {path: one.to_json() for path, one in self.signs.items()}
        first = [asdict(one) for one in self.remarks.first]
        return {"rows": self.remarks.rows, "first": first, "signs": signs}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Summary":
        """Of what `to_json` has made."""
        first = tuple(RowRemark(**one) for one in value["first"])
        signs = {path: DateSigns.from_json(one) for path, one in value["signs"].items()}
        return cls(Remarks(value["rows"], first), signs)


class Packer:
    """Packs the rows of a file, part by part."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._remarks = _RemarkCollector()
        self._dates = DateColumns()
        self.read = 0
        """Number of the last row that was read."""

    def next_part(self) -> Packed | None:
        """The next part; None after the last one. Raises what reading raises."""
        lines: list[bytes] = []
        size = 0
        for row in self._rows:
            self.read = row.number
            self._dates.add(row)
            lines.append(self._pack(row))
            size += len(lines[-1])
            if len(lines) == RECORDS_PER_PART or size >= BYTES_PER_PART:
                break
        return Packed(len(lines), b"\n".join(lines)) if lines else None

    def summary(self) -> Summary:
        """What the rows have shown so far."""
        remarks = Remarks(self._remarks.rows, tuple(self._remarks.first))
        return Summary(remarks, self._dates.signs())

    def _pack(self, row: Row) -> bytes:
        """A packed row. The remarks of a row that can be sent are collected."""
        sendable, packed = pack_row(row)
        if sendable.remarks and sendable.problem is None:
            self._remarks.add(sendable)
        return packed


def pack_row(row: Row) -> tuple[Row, bytes]:
    """A row as it can be sent, and packed. One that no service takes has a problem in its place."""
    problem = None if row.problem is None else asdict(row.problem)
    try:
        packed = pack_line((row.line, row.values, problem))
    except TypeError as error:
        # No service takes such a value either: half of a surrogate pair, hundreds of nested levels.
        # Its row alone fails.
        return _refuse(row, f"a value cannot be sent ({error})")
    if len(packed) <= _CERTAINLY_FEW_VALUES:
        return row, packed
    if len(packed) > MAX_ROW_BYTES:
        return _refuse(
            row, f"the record has more than {MAX_ROW_BYTES // 2**20} MB; send less in one record"
        )
    if _count_values(row.values) > MAX_ROW_VALUES:
        return _refuse(
            row, f"the record has more than {MAX_ROW_VALUES:,} values; send less in one record"
        )
    return row, packed


def unpack_row(number: int, packed: bytes) -> Row:
    """The row that `pack_row` packed."""
    line, values, problem = unpack_line(packed)
    problem = None if problem is None else Problem(**problem)
    # Commas in texts count, too: such a record is sent with fewer others.
    size = len(packed) + _VALUE_BYTES * packed.count(b",")
    return Row(number, values, problem, line, size=size)


def _refuse(row: Row, message: str) -> tuple[Row, bytes]:
    return pack_row(Row(row.number, None, Problem(message), row.line))


def _count_values(value: Any) -> int:
    """The values in a value, with itself. It was packed before, so it is not nested too deep."""
    if isinstance(value, Mapping):
        return 1 + len(value) + sum(map(_count_values, value.values()))
    if isinstance(value, list | tuple):
        return 1 + sum(map(_count_values, value))
    return 1


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
