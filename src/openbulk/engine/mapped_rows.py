"""Makes the fields of records out of the cells of a file, as its mapping says.

Compiled once for a slice; then each row costs a look-up and a call for each field.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

from openbulk.connectors.date_fields import DayOrTime
from openbulk.connectors.fields import FieldError, short_repr
from openbulk.domain.date_formats import parse_date_format
from openbulk.domain.dates import is_day
from openbulk.domain.field_paths import Path
from openbulk.domain.file_mapping import CLEAR, SKIP, FieldSource, FileMapping, template_pieces
from openbulk.domain.options import option_text
from openbulk.domain.records import steps_of
from openbulk.domain.times_of_day import is_time_range
from openbulk.domain.written_numbers import plain_number
from openbulk.reading.packing import MAX_ROW_BYTES

MAX_NAMES = 10_000
"""Names of columns that are remembered: each record of a JSON file may have names of its own."""
MAX_NOT_TAKEN, MAX_CHARACTERS = 1_000, 100
"""Columns that a job remembers as not taken, and how much of their names."""
MAX_LISTED = 10
"""Values that a message lists."""
Values = Mapping[str, Any]
ReadCell = Callable[[Values], Any]
_EMPTY = (None, "")


class _Nothing:
    """The field is left as it is."""


_NOTHING = _Nothing()


class MappedRows:
    """Maps the rows of one file."""

    def __init__(
        self,
        mapping: FileMapping,
        *,
        is_table: bool,
        pairs: Mapping[str, DayOrTime] = MappingProxyType({}),
        timed: Collection[str] = (),
    ) -> None:
        """The names of a table's columns are whole; in JSON, `a.b` may be the `b` of `a`.

        `pairs` are the fields that are a day or else a time. Those of `timed` need a time.
        """
        self._fields: list[tuple[str, ReadCell]] = []
        self._pairs: list[tuple[str, DayOrTime, ReadCell]] = []
        for field, source in mapping.sources.items():
            cells = {name: cell_reader(name, is_table=is_table) for name in source.columns}
            read = _reader_of(source, list(cells.values()))
            if field in pairs:
                self._pairs.append((field, pairs[field], _dated_reader(read, source, cells)))
            elif field in timed and source.is_joined:
                self._fields.append((field, _timed_reader(read, field, source, cells)))
            else:
                self._fields.append((field, read))
        self._read = frozenset(
            chain.from_iterable(source.columns for source in mapping.sources.values())
        )
        self._known = set(mapping.columns)
        # A JSON record has a path's first step as its key.
        if not is_table:
            self._read |= {str(steps_of(name)[0]) for name in self._read}
            self._known |= {str(steps_of(name)[0]) for name in mapping.columns}
        self.not_taken: dict[str, None] = {}
        """Columns with values that the mapping does not take."""

    def of(self, values: Values) -> Values:
        """The values of a row by the names of fields. Raises FieldError."""
        if not self._known.issuperset(values):
            self._note_others(values)
        if self._read.isdisjoint(values):
            # Otherwise a line below the table would be a record of constants.
            columns = ", ".join(map(repr, sorted(self._read)[:MAX_LISTED]))
            raise FieldError(None, f"the row has no value in the columns of the mapping: {columns}")
        made: dict[str, Any] = {}
        size = 0
        for field, read in self._fields:
            value = read(values)
            if value is not _NOTHING:
                made[field] = value
                size += len(value) if isinstance(value, str) else 0
        for field, pair, read in self._pairs:
            value = read(values)
            if isinstance(value, _Dated):
                made[f"{field}.{pair.day if value.is_day else pair.moment}"] = value.text
            elif value is not _NOTHING:
                made[field] = value
        _require_small(size)
        return made

    def _note_others(self, values: Values) -> None:
        if len(self._known) < MAX_NAMES:
            others = [name for name in values if name not in self._known]
            self._known.update(others)
            room = MAX_NOT_TAKEN - len(self.not_taken)
            self.not_taken.update(dict.fromkeys(name[:MAX_CHARACTERS] for name in others[:room]))


def _require_small(characters: int) -> None:
    """Raise FieldError for a record that is larger than one of a file may be."""
    if characters > MAX_ROW_BYTES:
        raise FieldError(
            None,
            f"the mapping makes a record of more than {MAX_ROW_BYTES // 2**20} MB; let it repeat "
            "the cells less often",
        )


def _reader_of(source: FieldSource, cells: Sequence[ReadCell]) -> ReadCell:
    """What reads the value of a field out of a row. `cells` read its columns."""
    if not source.columns:
        return lambda values: source.value
    if source.template is not None:
        return _template_reader(source, dict(zip(source.columns, cells, strict=True)))
    if source.is_joined:
        return _joined_reader(source, cells)
    if source.values is not None:
        return _ValueMap(source, cells[0]).read
    return _single_reader(source, cells[0])


class _Dated(NamedTuple):
    """A text that is a day, or a day with a time."""

    text: str
    is_day: bool


def _dated_reader(read: ReadCell, source: FieldSource, cells: Mapping[str, ReadCell]) -> ReadCell:
    """What reads a field that is a day or else a time: the text of the row shows which."""

    def read_dated(values: Values) -> Any:
        _require_single_times(source, cells, values)
        value = read(values)
        # JSON may hold the whole object, also in a cell.
        if not isinstance(value, str) or value.lstrip().startswith("{"):
            return value
        found = is_day(value)
        if found is None:
            empty = _first_empty(cells, values)
            hint = "write it like 2026-05-30 19:00" if empty is None else f"{empty!r} is empty"
            raise FieldError(
                ", ".join(source.columns),
                f"{_columns_have(source)} {short_repr(value)}, which is not a date; {hint}",
            )
        return _Dated(value, found)

    return read_dated


def _timed_reader(
    read: ReadCell, field: str, source: FieldSource, cells: Mapping[str, ReadCell]
) -> ReadCell:
    """What reads a field that needs a time, of which a row may have the day alone."""
    whole = field.rpartition(".")[0]

    def read_timed(values: Values) -> Any:
        _require_single_times(source, cells, values)
        value = read(values)
        empty = _first_empty(cells, values) if isinstance(value, str) and is_day(value) else None
        if empty is None:
            return value
        raise FieldError(
            empty,
            f"the column {empty!r} is empty, and {field} needs a time; fill it, or map {whole!r} "
            f"in place of {field!r}: then a row without a time is a whole day",
        )

    return read_timed


def _require_single_times(
    source: FieldSource, cells: Mapping[str, ReadCell], values: Values
) -> None:
    """Raise FieldError for a start and an end in one cell.

    Behind the day of another cell, `10:00-12:00` would be 10:00 with an offset of twelve hours.
    """
    if not source.is_joined or source.format is not None:
        return
    for name, cell in cells.items():
        text = cell(values)
        if isinstance(text, str) and is_time_range(text):
            raise FieldError(
                name,
                f"the column {name!r} has {short_repr(text)}, a start and an end in one cell; give "
                "each a column, or say with `format` how it is written",
            )


def _first_empty(cells: Mapping[str, ReadCell], values: Values) -> str | None:
    """The first column that is empty in a row."""
    return next((name for name, cell in cells.items() if cell(values) in _EMPTY), None)


def cell_reader(name: str, *, is_table: bool) -> ReadCell:
    """What reads the cell of a column out of a row; None for one that is not there."""
    path = (name,) if is_table else steps_of(name)
    if len(path) == 1:
        return lambda values: values.get(name)
    return lambda values: values[name] if name in values else _value_at(values, path)


def _value_at(place: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, int):
            place = place[step] if isinstance(place, list) and step < len(place) else None
        else:
            place = place.get(step) if isinstance(place, Mapping) else None
    return place


def _empty_value(source: FieldSource) -> Any:
    """What the field becomes if its cells are empty."""
    return None if source.empty == CLEAR else _NOTHING


def _single_reader(source: FieldSource, cell: ReadCell) -> ReadCell:
    convert = _converter(source)
    empty = _empty_value(source)
    if source.default is not None and source.empty is None:
        empty = source.default
    passes_null = source.empty != SKIP and source.default is None

    def read(values: Values) -> Any:
        value = cell(values)
        if value is None or value == "":
            is_null = value is None and passes_null and source.columns[0] in values
            return None if is_null else empty
        return value if convert is None else convert(value)

    return read


def _joined_reader(source: FieldSource, cells: Sequence[ReadCell]) -> ReadCell:
    convert = _converter(source)
    empty = _empty_value(source)

    def read(values: Values) -> Any:
        found = [text_of(value) for cell in cells if (value := cell(values)) not in _EMPTY]
        if not found:
            return empty
        _require_small(sum(map(len, found)))
        text = " ".join(found)
        return text if convert is None else convert(text)

    return read


def _template_reader(source: FieldSource, cells: Mapping[str, ReadCell]) -> ReadCell:
    assert source.template is not None
    pieces = list(template_pieces(source.template))
    empty = _empty_value(source)

    def read(values: Values) -> Any:
        found = {name: cell(values) for name, cell in cells.items()}
        if all(value in _EMPTY for value in found.values()):
            return empty
        texts = {name: text_of(value) for name, value in found.items()}
        _require_small(sum(len(texts[name]) for _, name in pieces if name is not None))
        return "".join(text if name is None else texts[name] for text, name in pieces)

    return read


class _ValueMap:
    """Replaces the texts of a column by the values that the mapping has for them."""

    def __init__(self, source: FieldSource, cell: ReadCell) -> None:
        assert source.values is not None
        self._column = source.columns[0]
        self._cell = cell
        self._values = source.values
        self._folded = _values_in_any_case(source.values)
        self._default = source.default
        self._empty = _empty_value(source)
        if source.default is not None and source.empty is None:
            self._empty = source.default

    def read(self, values: Values) -> Any:
        """The value for a row. Raises FieldError if the mapping has none."""
        cell = self._cell(values)
        text = text_of(cell)
        if text in self._values:
            return self._values[text]
        if not text.strip():
            return self._values.get("", self._empty)
        folded = text.strip().casefold()
        if folded in self._folded:
            return self._folded[folded]
        if self._default is not None:
            return self._default
        raise self._no_value_for(text)

    def _no_value_for(self, text: str) -> FieldError:
        known = [one for one in self._values if one]
        folded = text.strip().casefold()
        alike = [one for one in known if one.strip().casefold() == folded]
        if alike:
            return FieldError(
                self._column,
                f"the column {self._column!r} has {short_repr(text)}, and the mapping has "
                f"{' and '.join(map(repr, alike[:MAX_LISTED]))}, which differ in case alone; write "
                "the cell as one of them",
            )
        more = f" and {len(known) - MAX_LISTED} more" * (len(known) > MAX_LISTED)
        return FieldError(
            self._column,
            f"the column {self._column!r} has {short_repr(text)}, for which the mapping has no "
            f"value; it has values for {', '.join(known[:MAX_LISTED])}{more}; add it, or a default",
        )


def _values_in_any_case(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values by texts in any case; those that differ in case alone are left out."""
    folded: dict[str, list[Any]] = {}
    for text, value in values.items():
        folded.setdefault(text.strip().casefold(), []).append(value)
    return {text: found[0] for text, found in folded.items() if len(found) == 1}


def text_of(value: Any) -> str:
    """The text of a cell; a list or an object of JSON as JSON, null as nothing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else option_text(value)


def _converter(source: FieldSource) -> Callable[[Any], Any] | None:
    """What reads a date or a number out of a cell. Raises FieldError for a text that is none."""
    if source.format is not None:
        read = parse_date_format(source.format).read
    elif source.decimal is not None:
        read = partial(plain_number, sign=source.decimal)
    else:
        return None

    def convert(cell: Any) -> Any:
        if isinstance(cell, int | float | Decimal) and source.decimal is not None:
            return cell  # JSON and workbooks have numbers that are no texts
        text = text_of(cell)
        try:
            return read(text)
        except ValueError as error:
            raise FieldError(
                ", ".join(source.columns),
                f"{_columns_have(source)} {short_repr(text)}, which {error}",
            ) from error

    return convert


def _columns_have(source: FieldSource) -> str:
    """The beginning of a sentence: `the columns 'Datum' and 'Beginn' have`."""
    columns = " and ".join(map(repr, source.columns))
    return f"the columns {columns} have" if len(source.columns) > 1 else f"the column {columns} has"
