"""Describes the columns of a file while its rows are read: in bounded memory, many cells at once.

Cells are looked at by their distinct texts, and those by their shape: `12.05.2026` is `00.00.0000`,
and a million texts have few shapes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, compress, islice
from typing import Any

from openbulk.domain.date_order import HALF_DAY, DateOrderUnknown, DateSigns, decide_order
from openbulk.domain.date_signs import MAX_CHARACTERS as DATE_CHARACTERS
from openbulk.domain.file_profile import ColumnProfile, LikelyType, ValueType
from openbulk.domain.file_questions import Choice, Example, Question
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
from openbulk.domain.written_numbers import SIGNS, WORDS, readings_of
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
_KEPT_HASHES = 512
MAX_NAME_CHARACTERS = 1_000
_KNOWN_SHAPES = 20_000
_MAX_NESTING = 10


class DistinctCount:
    """Counts different texts; beyond EXACT_DISTINCT, estimates from the smallest of their hashes.

    If hashes are spread evenly, the k-th smallest of n is near k/n of their range (Bar-Yossef and
    others, "Counting distinct elements in a data stream", 2002); the error is about 4 %.
    """

    def __init__(self) -> None:
        self._smallest: set[int] = set()
        self._limit = _HALF
        """Larger hashes do not count."""

    def add(self, texts: Iterable[str]) -> None:
        """Count some texts."""
        limit = self._limit
        hashes = {one for one in map(hash, texts) if one < limit}
        if hashes <= self._smallest:
            return
        self._smallest |= hashes
        if len(self._smallest) > EXACT_DISTINCT:
            self._keep_smallest()

    def _keep_smallest(self) -> None:
        kept = sorted(self._smallest)[:_KEPT_HASHES]
        self._smallest, self._limit = set(kept), kept[-1] + 1

    @property
    def estimate(self) -> int:
        """How many different texts there were."""
        if self._limit == _HALF:
            return len(self._smallest)
        self._keep_smallest()
        return round((_KEPT_HASHES - 1) * 2 * _HALF / (self._limit + _HALF))


_HALF = 2**63
"""Hashes of Python are from the negative of it up to it."""


@dataclass(slots=True)
class _Cells:
    """The filled cells of a column in some rows."""

    name: str
    values: list[Any]
    rows: list[int]

    def example(self, place: int) -> Example:
        """A cell, for a question."""
        text = _text_of(self.values[place])[:SAMPLE_CHARACTERS]
        return Example(self.rows[place], self.name, text)


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

    def add(self, cells: _Cells, shapes: "_Shapes") -> None:
        """Note what some cells show."""
        self.filled += len(cells.values)
        if set(map(type, cells.values)) == {str}:
            counts = Counter(cells.values)
            self._add_texts(counts, cells, shapes)
        else:
            counts = Counter(map(_text_of, cells.values))
            self._add_typed(cells)
        self.distinct.add(counts)
        if len(self.samples) < SAMPLES:
            first = (text[:SAMPLE_CHARACTERS] for text in islice(counts, SAMPLES))
            self.samples = dict.fromkeys(islice((self.samples | dict.fromkeys(first)), SAMPLES))

    def _add_texts(self, counts: Mapping[str, int], cells: _Cells, shapes: "_Shapes") -> None:
        cut = [text[:MAX_CHARACTERS] for text in counts]
        kinds = shapes_of(cut)
        each = Counter(kinds)
        if len(counts) < len(cells.values):
            each = Counter()
            for kind, count in zip(kinds, counts.values(), strict=True):
                each[kind] += count
        temporal: set[str] = set()
        for kind, count in each.items():
            look = shapes.look_of(kind)
            if look is None:
                temporal.add(kind)
                continue
            self.looks[look] += count
            if look not in self.examples:
                text = next(text for text, one in zip(counts, kinds, strict=True) if one == kind)
                self.examples[look] = cells.example(cells.values.index(text))
        if temporal:
            texts = [text for text, kind in zip(counts, kinds, strict=True) if kind in temporal]
            self._add_temporal(texts, counts, cells)

    def _add_temporal(self, texts: Sequence[str], counts: Mapping[str, int], cells: _Cells) -> None:
        """Note texts that may be dates or times: each of them shows it."""
        # Backwards, so that each text has its first place.
        places = dict(
            zip(reversed(cells.values), range(len(cells.values) - 1, -1, -1), strict=True)
        )
        for text in texts:
            look = temporal_look(text) or look_of(text)
            self.looks[look] += counts[text]
            if look not in self.examples:
                self.examples[look] = cells.example(places[text])
            if look.type in _WITH_ORDER and look.detail != _ISO and len(text) <= DATE_CHARACTERS:
                self.dates.add(cells.name, text, cells.rows[places[text]], counts[text])

    def _add_typed(self, cells: _Cells) -> None:
        """Note cells that are not all texts, as JSON and workbooks have them."""
        for place, value in enumerate(cells.values):
            look = look_of(value) if isinstance(value, str) else _look_of_typed(value)
            self.looks[look] += 1
            if look not in self.examples:
                self.examples[look] = cells.example(place)
            if look.type in _WITH_ORDER and look.detail != _ISO and len(value) <= DATE_CHARACTERS:
                self.dates.add(cells.name, value, cells.rows[place])


_ISO = "YMD"
_DATES: frozenset[ValueType] = frozenset({"date", "datetime"})
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
    """What texts of a shape look like."""

    def __init__(self) -> None:
        self._looks: dict[str, Look | None] = {}

    def look_of(self, shape: str) -> Look | None:
        """None if texts of the shape may be dates or times: each of them shows it."""
        try:
            return self._looks[shape]
        except KeyError:
            look = None if may_be_temporal(shape) else look_of_shape(shape)
        if len(self._looks) > _KNOWN_SHAPES:
            self._looks.clear()
        self._looks[shape] = look
        return look


class FileProfiler:
    """Describes the columns of a file from its rows."""

    def __init__(self, header: Iterable[str], *, is_nested: bool) -> None:
        """`header` has the columns of a table, also those without a value.

        With `is_nested`, values may be objects, whose fields are columns of their own.
        """
        self._is_nested = is_nested
        self._columns: dict[str, _Column] = {}
        self._shapes = _Shapes()
        self._records: list[Mapping[str, Any]] = []
        self._numbers: list[int] = []
        self._cells = 0
        self.rows = 0
        self.broken = 0
        self.has_more_columns = False
        """Whether there are columns beyond those that are described."""
        for name in header:
            self._column(name)

    def add(self, row: Row) -> None:
        """Take a row."""
        self.rows += 1
        if row.values is None:
            self.broken += 1
            return
        values = dict(_flat(row.values, "", 0)) if self._is_nested else row.values
        self._records.append(values)
        self._numbers.append(row.number)
        self._cells += len(values)
        if len(self._records) >= CHUNK_ROWS or self._cells >= CHUNK_CELLS:
            self.look()

    def look(self) -> None:
        """Look at the rows that were taken since the last time; hold them no longer."""
        for name in dict.fromkeys(chain.from_iterable(self._records)):
            column = self._column(name)
            if column is not None:
                self._look_at(name, column)
        self._records, self._numbers, self._cells = [], [], 0

    def _column(self, name: str) -> _Column | None:
        """A column by its name; None if it is one too many."""
        column = self._columns.get(name)
        if column is None:
            if len(self._columns) >= MAX_COLUMNS or len(name) > MAX_NAME_CHARACTERS:
                self.has_more_columns = True
                return None
            column = self._columns[name] = _Column()
        return column

    def _look_at(self, name: str, column: _Column) -> None:
        values: list[Any] = [record.get(name) for record in self._records]
        rows = self._numbers
        if None in values or "" in values:
            is_filled = [value is not None and value != "" for value in values]
            values, rows = list(compress(values, is_filled)), list(compress(rows, is_filled))
        if values:
            column.add(_Cells(name, values, rows), self._shapes)

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
            _open_number(column),
        )

    def questions(self, options: Mapping[str, Any]) -> Sequence[Question]:
        """What the columns leave open, and the caller's options do not answer."""
        columns = self._columns.values()
        return [*_date_questions(columns, options), *_number_questions(columns, options)]


def _flat(values: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The fields of a record by their paths, and those inside of them."""
    for name, value in values.items():
        path = f"{prefix}{name}"
        if type(value) is dict and value and depth < _MAX_NESTING:
            yield from _flat(value, f"{path}.", depth + 1)
        else:
            yield path, value


def _types_of(column: _Column) -> Iterator[LikelyType]:
    shares: Counter[tuple[ValueType, str | None]] = Counter()
    for look, count in column.looks.items():
        shares[look.type, _detail_of(look, column)] += count
    if (
        column.filled
        and set(column.samples) <= {"0", "1"}
        and column.distinct.estimate == len(column.samples)
    ):
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


def _open_number(column: _Column) -> str | None:
    """A number of a column whose decimal sign is open; None if there is none."""
    example = column.examples.get(_OPEN_NUMBER)
    is_shown = any(_NUMBER_WITH.get(sign) in column.looks for sign in SIGNS)
    return None if example is None or is_shown else example.text.strip()


_OPEN_NUMBER = Look("number", OPEN)
_NUMBER_WITH = {sign: Look("number", sign) for sign in SIGNS}


def _number_questions(columns: Iterable[_Column], options: Mapping[str, Any]) -> Iterator[Question]:
    """The decimal sign, if a column of numbers has it open, and no other column has one sign."""
    if options.get("decimal") not in (None, ""):
        return
    columns = [column for column in columns if _is_of(column, {"number"})]
    if len({_sign_of(column) for column in columns} - {None}) == 1:
        return
    for column in columns:
        if _open_number(column) is not None:
            yield _number_question(column.examples[_OPEN_NUMBER])
            return


def _number_question(example: Example) -> Question:
    readings = readings_of(example.text.strip())
    listed = " or ".join(f"{readings[sign]} (decimal {WORDS[sign]})" for sign in SIGNS)
    return Question(
        "decimal",
        f'row {example.row}: {example.column} "{example.text}" is {listed}, and no other number of '
        "the file shows which; for a field with a number, set metaData.decimal to "
        f"{' or '.join(map(repr, SIGNS))}",
        tuple(Choice(sign, readings[sign]) for sign in SIGNS),
        example,
    )


def _date_questions(columns: Iterable[_Column], options: Mapping[str, Any]) -> Iterator[Question]:
    dates = [column.dates for column in columns if _is_of(column, _DATES)]
    times = [column.dates.seen[HALF_DAY] for column in columns if HALF_DAY in column.dates.seen]
    half_days = [DateSigns({HALF_DAY: sighting}) for sighting in times]
    try:
        decide_order([*dates, *half_days], options)
    except DateOrderUnknown as error:
        yield error.question


def _is_of(column: _Column, types: AbstractSet[ValueType]) -> bool:
    """Whether most cells of a column look like one of these types."""
    count = sum(count for look, count in column.looks.items() if look.type in types)
    return 2 * count > column.filled
