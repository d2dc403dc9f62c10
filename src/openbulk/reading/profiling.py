"""Describes the columns of a file while its rows are read: in bounded memory, many cells at once.

Cells are looked at by their distinct texts, and those by their shape: `12.05.2026` is `00.00.0000`,
and a million texts have few shapes.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import nsmallest
from itertools import islice
from typing import Any

from openbulk.domain.date_order import HALF_DAY, DateOrderUnknown, DateSigns, decide_order
from openbulk.domain.date_signs import MAX_CHARACTERS as DATE_CHARACTERS
from openbulk.domain.file_profile import ColumnProfile, LikelyType, ValueType
from openbulk.domain.file_questions import Example, Question
from openbulk.domain.records import Row
from openbulk.domain.value_types import (
    MAX_CHARACTERS,
    OPEN,
    Look,
    look_of,
    look_of_shape,
    may_be_temporal,
    shapes_of,
    temporal_look,
)
from openbulk.exact_json import encode_json

MAX_COLUMNS = 1_000
"""Columns that are described. A hostile file may have new ones in each row."""
CHUNK_ROWS = 1_000
CHUNK_CELLS = 50_000
"""Rows are looked at together up to these numbers."""
SAMPLES = 3
SAMPLE_CHARACTERS = 100
"""A longer sample is cut."""
EXACT_DISTINCT = 1_024
"""Distinct values are counted up to here, and estimated beyond."""
MAX_NAME_CHARACTERS = 1_000
_HASHES = 2**64
_KNOWN_SHAPES = 20_000
_MAX_NESTING = 10


class DistinctCount:
    """Counts different texts; beyond EXACT_DISTINCT, estimates from the smallest of their hashes.

    If hashes are spread evenly, the k-th smallest of n is near k/n of their range (Bar-Yossef and
    others, "Counting distinct elements in a data stream", 2002); the error is about 3 %.
    """

    def __init__(self) -> None:
        self._smallest: set[int] = set()
        self._limit = _HASHES
        """Larger hashes do not count."""

    def add(self, texts: Iterable[str]) -> None:
        """Count some texts."""
        limit = self._limit
        hashes = {one for one in map(_positive_hash, texts) if one < limit}
        if hashes <= self._smallest:
            return
        self._smallest |= hashes
        if len(self._smallest) > EXACT_DISTINCT:
            kept = nsmallest(EXACT_DISTINCT, self._smallest)
            self._smallest, self._limit = set(kept), kept[-1] + 1

    @property
    def estimate(self) -> int:
        """How many different texts there were."""
        if self._limit == _HASHES:
            return len(self._smallest)
        return round((EXACT_DISTINCT - 1) * _HASHES / self._limit)


def _positive_hash(text: str) -> int:
    return hash(text) + _HASHES // 2


@dataclass(slots=True)
class _Cells:
    """The filled cells of a column in some rows."""

    values: list[Any] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Column:
    """What the cells of a column have shown so far."""

    filled: int = 0
    samples: dict[str, None] = field(default_factory=dict)
    looks: Counter[Look] = field(default_factory=Counter)
    examples: dict[Look, Example] = field(default_factory=dict)
    """The first cell of each look."""
    dates: DateSigns = field(default_factory=DateSigns)
    distinct: DistinctCount = field(default_factory=DistinctCount)

    def add(self, name: str, cells: _Cells, shapes: "_Shapes") -> None:
        """Note what some cells show."""
        self.filled += len(cells.values)
        counts = Counter(map(_text_of, cells.values))
        self.distinct.add(counts)
        self._sample(counts)
        typed = {type(value) for value in cells.values} - {str}
        if typed:
            self._add_typed(name, cells)
        else:
            self._add_texts(name, counts, cells, shapes)

    def _sample(self, texts: Iterable[str]) -> None:
        if len(self.samples) < SAMPLES:
            first = (text[:SAMPLE_CHARACTERS] for text in islice(texts, SAMPLES))
            self.samples |= dict.fromkeys(first)
            self.samples = dict.fromkeys(islice(self.samples, SAMPLES))

    def _add_texts(
        self, name: str, counts: Mapping[str, int], cells: _Cells, shapes: "_Shapes"
    ) -> None:
        looks, seen = self.looks, self.examples
        rows: Mapping[str, int] = {}
        for text, look in shapes.looks_of(counts):
            looks[look] += counts[text]
            is_date = look.type in _WITH_ORDER and look.detail != _ISO
            if not rows and (is_date or look not in seen):
                # Backwards, so that each text has its first row.
                rows = dict(zip(reversed(cells.values), reversed(cells.rows), strict=True))
            if look not in seen:
                seen[look] = Example(rows[text], name, text[:SAMPLE_CHARACTERS])
            if is_date and len(text) <= DATE_CHARACTERS:
                self.dates.add(name, text, rows[text], counts[text])

    def _add_typed(self, name: str, cells: _Cells) -> None:
        """Note cells that are not all texts, as JSON and workbooks have them."""
        for row, value in zip(cells.rows, cells.values, strict=True):
            look = look_of(value) if isinstance(value, str) else _look_of_typed(value)
            self.looks[look] += 1
            if look not in self.examples:
                self.examples[look] = Example(row, name, _text_of(value)[:SAMPLE_CHARACTERS])


_ISO = "YMD"
_WITH_ORDER = frozenset({"date", "datetime", "time"})
"""What shows the order of dates: times do, with AM and PM."""


def _text_of(value: Any) -> str:
    if type(value) is str:
        return value
    if isinstance(value, list | dict):
        return encode_json(value, default=str).decode(errors="replace")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _look_of_typed(value: Any) -> Look:
    match value:
        case bool():
            return Look("yesNo")
        case int() | float() | Decimal():
            return Look("number", "." if value % 1 else None)
        case list():
            return Look("list")
        case _:
            return Look("text")


class _Shapes:
    """What texts look like, by their shapes."""

    def __init__(self) -> None:
        self._looks: dict[str, Look | None] = {}
        """None for a shape whose texts may be dates or times: each of them shows it."""

    def looks_of(self, texts: Collection[str]) -> Iterator[tuple[str, Look]]:
        """Each text with what it looks like."""
        known = self._looks
        if len(known) > _KNOWN_SHAPES:
            known.clear()
        cut = [text[:MAX_CHARACTERS] for text in texts]
        for text, beginning, shape in zip(texts, cut, shapes_of(cut), strict=True):
            try:
                look = known[shape]
            except KeyError:
                look = None if may_be_temporal(shape) else look_of_shape(shape)
                known[shape] = look
            yield text, look or temporal_look(beginning) or look_of_shape(shape)


class FileProfiler:
    """Describes the columns of a file from its rows."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._shapes = _Shapes()
        self._chunk: dict[str, _Cells] = {}
        self._chunk_rows = 0
        self._chunk_cells = 0
        self.rows = 0
        self.broken = 0
        self.has_more_columns = False
        """Whether there are columns beyond those that are described."""

    def add(self, row: Row) -> None:
        """Take a row."""
        self.rows += 1
        if row.values is None:
            self.broken += 1
            return
        self._gather(row.values, "", row.number)
        self._chunk_rows += 1
        self._chunk_cells += len(row.values)
        if self._chunk_rows >= CHUNK_ROWS or self._chunk_cells >= CHUNK_CELLS:
            self.look()

    def _gather(self, values: Mapping[str, Any], prefix: str, row: int) -> None:
        chunk = self._chunk
        for name, value in values.items():
            path = f"{prefix}{name}" if prefix else name
            if type(value) is dict and value and prefix.count(".") < _MAX_NESTING:
                self._gather(value, f"{path}.", row)
            elif value != "" and value is not None:
                cells = chunk.get(path) or self._begin(path)
                if cells is not None:
                    cells.values.append(value)
                    cells.rows.append(row)

    def _begin(self, path: str) -> _Cells | None:
        """The cells of a column in this chunk; None if it is one too many."""
        if path not in self._columns:
            if len(self._columns) >= MAX_COLUMNS or len(path) > MAX_NAME_CHARACTERS:
                self.has_more_columns = True
                return None
            self._columns[path] = _Column()
        cells = self._chunk[path] = _Cells()
        return cells

    def look(self) -> None:
        """Look at the rows that were taken since the last time; hold them no longer."""
        for path, cells in self._chunk.items():
            self._columns[path].add(path, cells, self._shapes)
        self._chunk = {}
        self._chunk_rows = self._chunk_cells = 0

    def profile(self) -> Sequence[ColumnProfile]:
        """The columns, in the order in which they came."""
        self.look()
        return [self._profile(name, column) for name, column in self._columns.items()]

    def _profile(self, name: str, column: _Column) -> ColumnProfile:
        readable = self.rows - self.broken
        return ColumnProfile(
            name,
            round(column.filled / readable, 4) if readable else 0.0,
            column.distinct.estimate,
            tuple(column.samples),
            tuple(_types_of(column)),
        )

    def questions(self, options: Mapping[str, Any]) -> Sequence[Question]:
        """What the columns leave open, and the caller's options do not answer."""
        return [*_date_questions(self._columns.values(), options)]


def _types_of(column: _Column) -> Iterator[LikelyType]:
    shares: Counter[tuple[ValueType, str | None]] = Counter()
    for look, count in column.looks.items():
        shares[look.type, _detail_of(look, column)] += count
    if set(column.samples) <= {"0", "1"} and column.distinct.estimate == len(column.samples):
        yield LikelyType("yesNo", 1.0)
    for (kind, detail), count in shares.most_common():
        yield LikelyType(kind, round(count / column.filled, 4), detail)


def _detail_of(look: Look, column: _Column) -> str | None:
    """The order or the sign of a look, where the other cells of its column show it."""
    if look.type in _WITH_ORDER:
        return look.detail if look.detail != OPEN else _order_of(column)
    if look.type == "number" and look.detail in {None, OPEN}:
        return _sign_of(column)
    return look.detail


def _order_of(column: _Column) -> str | None:
    try:
        return decide_order([column.dates], {}).slashes
    except DateOrderUnknown:
        return None


def _sign_of(column: _Column) -> str | None:
    """The decimal sign of the numbers that have only one; None if there is no such number."""
    signs = {look.detail for look in column.looks if look.type == "number"} - {None, OPEN}
    return signs.pop() if len(signs) == 1 else None


def _date_questions(columns: Iterable[_Column], options: Mapping[str, Any]) -> Iterator[Question]:
    dates = [column.dates for column in columns if _has_dates(column)]
    times = [column.dates.seen[HALF_DAY] for column in columns if HALF_DAY in column.dates.seen]
    half_days = [DateSigns({HALF_DAY: sighting}) for sighting in times]
    try:
        decide_order([*dates, *half_days], options)
    except DateOrderUnknown as error:
        yield error.question


def _has_dates(column: _Column) -> bool:
    days = sum(count for look, count in column.looks.items() if look.type in {"date", "datetime"})
    return 2 * days > column.filled
