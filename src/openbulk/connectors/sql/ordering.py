"""The keys by which the rows of a file are ordered: rows of one key are written one after another.

Only the database knows which values are equal: `1` and `01` in a column of numbers, `Ann` and `ANN`
in one of `citext`. So a key here is coarser than its equality. Values that are equal to the
database always have one key; other values may have it, too, and are put in order for nothing.
Values of a type whose equality is not known may be equal to any other.
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import isnan
from typing import Any

from openbulk.connectors.base import OrderingKeys
from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.numbers import stored_float
from openbulk.connectors.sql.rows import RowMapper
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.unique_keys import UniqueKey
from openbulk.connectors.sql.values import Column, Kind
from openbulk.domain.records import Action, Record, Target

Fold = Callable[[Any], Hashable]
"""Makes the part of a key from a value, as `to_database` has made it; None if it may be equal to
any other value."""


def ordering_keys_of(table: Table, target: Target, *, is_mysql: bool = False) -> OrderingKeys:
    """What makes the keys of the records of a job."""
    try:
        mapper = RowMapper.of(table, target, is_sqlite=False, is_mysql=is_mysql)
    except FieldError:
        return _refused_record  # each of them is
    keys = [UniqueKey(mapper.identifiers)] if mapper.identifiers else []
    if target.action is not Action.DELETE:
        keys += [key for key in table.unique_keys if key not in keys]
    if any(_is_beyond_records(table, key) for key in keys):
        return _any_record
    names = {name for key in keys for name in key.columns}
    folds = {name: fold for name in names if (fold := _fold_of(table.columns[name]))}
    plain = {name: fold for name in names if (fold := _plain_fold_of(table.columns[name]))}
    return RowOrdering(mapper, tuple(keys), names, folds, plain).keys_of


def _refused_record(_record: Record) -> Collection[Hashable]:
    return ()


def _any_record(_record: Record) -> None:
    return None


def _is_beyond_records(table: Table, key: UniqueKey) -> bool:
    """Whether the database computes a key, so that the records do not show it.

    Or has a column that is new.
    """
    shown = table.columns.keys() - set(table.computed_columns)
    return not key.columns or not shown.issuperset(key.columns)


@dataclass(frozen=True, slots=True)
class RowOrdering:
    """Makes the keys of the records of one job."""

    mapper: RowMapper
    keys: Sequence[UniqueKey]
    names: Collection[str]
    """The columns of all keys."""
    folds: Mapping[str, Fold]
    """Of each column whose type has one."""
    plain: Mapping[str, Fold]
    """The same for a value as most files have it, which needs no conversion before."""

    def keys_of(self, record: Record) -> Collection[Hashable] | None:
        """The keys of a record; None if it may have that of any other one."""
        given = record.values
        if (plain := self._plain_keys(given)) is not None:
            return plain
        try:
            values = self.mapper.values_of(
                {name: given[name] for name in self.names if name in given}
            )
        except FieldError:
            return ()  # the record is refused
        found: list[Hashable] = []
        for place, key in enumerate(self.keys):
            parts = self._parts(key, values)
            if parts is None:
                return None
            if parts:
                found.append((place, *parts))
        return found

    def _plain_keys(self, given: Mapping[str, Any]) -> Collection[Hashable] | None:
        """The keys of a record that has a usual value in each column; None for any other one."""
        found: list[Hashable] = []
        for place, key in enumerate(self.keys):
            parts: list[Hashable] = [place]
            for name in key.columns:
                if name not in self.plain or (part := self.plain[name](given.get(name))) is None:
                    return None
                parts.append(part)
            found.append(tuple(parts))
        return found

    def _parts(self, key: UniqueKey, values: Mapping[str, Any]) -> Sequence[Hashable] | None:
        """The parts of one key; none if the record does not have it, None if it may have any."""
        given = [name for name in key.columns if name in values]
        if not given:
            return ()
        if len(given) < len(key.columns):
            return None  # the rest is in the table, or a default
        if not key.has_equal_nulls and any(values[name] is None for name in given):
            return ()
        parts: list[Hashable] = []
        for name in given:
            if name in self.folds:
                value = values[name]
                part = _NULL if value is None else self.folds[name](value)
                if part is None:
                    return None
                parts.append(part)
        return parts or None


_NULL = object()


def _fold_of(column: Column) -> Fold | None:
    """The fold of a column's type; None if its equality is not known.

    A text under a collation with an equality of its own has none, nor have types with several ways
    to write a value, such as addresses, intervals, documents and lists.
    """
    if column.kind is Kind.TEXT and not column.is_plain_text:
        return None
    if column.kind is Kind.NUMBER:
        digits = column.numbers.float_digits
        return lambda number: _fold_number(number, digits)
    return _FOLDS.get(column.kind)


def _plain_fold_of(column: Column) -> Fold | None:
    """The fold of values that a column keeps as they are, before they are converted."""
    if column.kind is Kind.TEXT and column.is_plain_text:
        return _fold_plain_text
    return _fold_digits if column.kind is Kind.INTEGER else None


def _fold_plain_text(value: Any) -> Hashable:
    return _fold_text(value) if type(value) is str else None


def _fold_digits(value: Any) -> Hashable:
    is_plain = type(value) is str and value.isascii() and value.isdecimal()
    return int(value) if is_plain else None


def _fold_number(number: Decimal, float_digits: int) -> Hashable:
    """A float: equal numbers have the same one, and NaN is equal to itself in a database."""
    folded = stored_float(number, float_digits)
    return "NaN" if isnan(folded) else folded


def _fold_text(text: str) -> str:
    """A text without case, as `citext` compares it in any language, and without blanks around it.

    In Turkish, I and the dotless i are one letter, and so are the others
    (https://www.unicode.org/Public/UCD/latest/ucd/SpecialCasing.txt).
    """
    if text.isascii():
        return text.strip().lower()
    return text.strip().casefold().replace("\u0307", "").replace("\u0131", "i")


def _fold_date(value: date | str) -> Hashable:
    """A date, unless it is written in a form that only PostgreSQL reads."""
    return None if isinstance(value, str) else value


def _fold_moment(value: datetime | str) -> Hashable:
    if isinstance(value, str):
        return None
    if value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError:  # in the first or the last year
        return None


def _fold_time(value: time | str) -> Hashable:
    """The time on the clock: in PostgreSQL, times of different zones are never equal."""
    return None if isinstance(value, str) else value.replace(tzinfo=None)


def _fold_exact(value: Hashable) -> Hashable:
    return value


_FOLDS: Mapping[Kind, Fold] = {
    **dict.fromkeys((Kind.INTEGER, Kind.BOOLEAN, Kind.UUID, Kind.BINARY), _fold_exact),
    Kind.DATE: _fold_date,
    Kind.MOMENT: _fold_moment,
    Kind.TIME: _fold_time,
    Kind.TEXT: _fold_text,
}
