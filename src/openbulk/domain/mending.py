"""Values that a person has mended in a row of a file, for the job that retries it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbulk.domain.formulas import guard
from openbulk.domain.records import Row

DAMAGE = "\ufffd"
"""Stands for bytes that are no character."""


@dataclass(frozen=True, slots=True)
class Mend:
    """What differs in a row from its file."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """By column, those that were mended last at the end."""
    empty: tuple[str, ...] = ()
    """Columns without a value now."""
    is_file: bool = False
    """Whether it is a row of a file of results, which was found to be mended."""

    def then(self, later: "Mend") -> "Mend":
        """Both, the later one last."""
        replaced = {*later.values, *later.empty}
        values = {name: one for name, one in self.values.items() if name not in replaced}
        empty = tuple(name for name in self.empty if name not in later.values)
        return Mend({**values, **later.values}, tuple(dict.fromkeys([*empty, *later.empty])))

    def apply(self, row: Row, columns: Sequence[str]) -> Row:
        """The mended row. A row that could not be read is, once all its columns are mended."""
        values = self.values_in(row, columns)
        if row.problem is not None and not (values and self._has_all(columns)):
            return row
        return Row(row.number, values, None, row.line)

    def values_in(self, row: Row, columns: Sequence[str]) -> dict[str, Any]:
        """The values of a row after it was mended, as far as they are known."""
        kept = readable_values(row, columns)
        values = dict(kept)
        for name, one in self.values.items():
            if columns or self.is_file or name in kept:
                values[name] = _value(kept, name, one)
            else:
                values = _set_nested(values, name.split("."), one)
        for name in self.empty:
            values.pop(name, None)
        return values

    def _has_all(self, columns: Sequence[str]) -> bool:
        return self.is_file or {*self.values, *self.empty}.issuperset(columns)


def readable_values(row: Row, columns: Sequence[str]) -> Mapping[str, Any]:
    """The values of a row, or those cells that could be read of a broken one.

    Cells that are none of a table are not fields yet: Google's columns.
    """
    return row.values or (columns and row.cells) or {}


def problem_left(row: Row, mended: Mapping[str, Any], columns: Sequence[str]) -> str | None:
    """What is still wrong with a row that could not be read, as a predicate; None if it is mended.

    `mended` are the values that it would have. All of its text has found a place in them.
    """
    assert row.problem is not None
    kept = readable_values(row, columns)
    if not mended:
        return "has no value"
    if not columns:
        return None
    unchanged = {name for name, one in kept.items() if mended.get(name) == one}
    damaged = [name for name in unchanged if DAMAGE in str(kept[name])]
    if damaged:
        return f"still has characters that could not be read ({DAMAGE}), in {damaged[0]!r}"
    if row.problem.field in unchanged or (mended == kept and not row.unread):
        return f"is as it was: {row.problem.message}"
    return None


def _set_nested(values: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Values with that of a dotted name: `start.date`."""
    first, *rest = path
    if rest:
        inner = values.get(first)
        value = _set_nested(inner if isinstance(inner, Mapping) else {}, rest, value)
    return {**values, first: value}


def _value(kept: Mapping[str, Any], name: str, mended: Any) -> Any:
    """A mended value; the one of the file, with its type, if a table shows both alike."""
    value = kept.get(name)
    if value is None or not isinstance(mended, str):
        return mended
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return value if mended in (text, guard(text)) else mended
