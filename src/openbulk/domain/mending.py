"""Values that a person has mended in a row of a file, for the job that retries it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbulk.domain.formulas import guard
from openbulk.domain.records import Row


@dataclass(frozen=True, slots=True)
class Mend:
    """What differs in a row from its file."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """By column."""
    empty: tuple[str, ...] = ()
    """Columns without a value now."""
    is_file: bool = False
    """Whether it is a row of a file, which also has the columns in which nothing was mended."""

    def then(self, later: "Mend") -> "Mend":
        """Both, the later one last."""
        values = {name: one for name, one in self.values.items() if name not in later.empty}
        empty = tuple(name for name in self.empty if name not in later.values)
        return Mend({**values, **later.values}, tuple(dict.fromkeys([*empty, *later.empty])))

    def apply(self, row: Row, columns: Sequence[str]) -> Row:
        """The mended row. A row that could not be read is, once all its columns are mended."""
        # Cells that are none of a table are not fields yet: Google's columns.
        kept = dict(row.values or (columns and row.cells) or {})
        values = dict(kept)
        for name, one in self.values.items():
            if columns or self.is_file or name in kept:
                values[name] = _value(kept, name, one)
            else:
                values = _set_nested(values, name.split("."), one)
        for name in self.empty:
            values.pop(name, None)
        if row.problem is not None and not self._mends_all(columns, kept, values):
            return row
        return Row(row.number, values, None, row.line)

    def _mends_all(
        self, columns: Sequence[str], kept: Mapping[str, Any], values: Mapping[str, Any]
    ) -> bool:
        """Whether a row that could not be read has been mended by hand."""
        if not values or (self.is_file and values == kept):
            return False
        return {*self.values, *self.empty}.issuperset(columns)


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
