"""The service's fields that a caller's columns mean, where a transformation renames them.

`columns.py` resolves a column to a path in the caller's names; from there on, this module decides.
A table's columns go straight to the service's fields: that costs a row nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.domain.field_paths import Path, path_text
from openbulk.domain.records import nest_paths
from openbulk.domain.renaming import PathTaken
from openbulk.domain.transformation import Transformation

MAX_SETS_OF_NAMES = 1_000
"""Sets of names that are remembered."""


@dataclass(frozen=True, slots=True)
class ResolvedColumn:
    """A column of a file."""

    name: str
    path: Path
    """Of the field that it means, in the caller's names."""
    has_names: bool
    """Whether its values have names of their own."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where the values of some columns go."""

    fields: Mapping[str, Path]
    """The service's field of each column."""
    left_out: Mapping[str, None]
    is_flat: bool

    def take(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values of a row by the service's fields. Raises FieldError."""
        if self.is_flat:
            return {str(path[0]): values[name] for name, path in self.fields.items()}
        try:
            return nest_paths({path: values[name] for name, path in self.fields.items()})
        except ValueError as error:
            raise FieldError(None, f"{error}; keep one of the columns") from error


class RenamedColumns:
    """The service's fields of one job's columns."""

    def __init__(
        self,
        transformation: Transformation,
        *,
        always: Iterable[str],
        read_only: Iterable[str],
    ) -> None:
        """`always` are fields that are sent in any case; `read_only` ones are left out."""
        self._transformation = transformation
        named = {str(one.path[0]) for one in transformation.fields}
        self._always = frozenset(always) - named
        self._read_only = frozenset(read_only)
        self._renaming = transformation.to_service(always=sorted(self._always))
        self._routes: dict[tuple[str, ...], Route | None] = {}
        self._dropped: dict[tuple[str, ...], Mapping[str, None]] = {}

    def path_of(self, path: Path) -> Path | None:
        """The service's path of a field; None if it is not sent."""
        if path and path[0] in self._always:
            return path
        found = self._transformation.vendor_path_of(path)
        return None if found is None or found[0] in self._read_only else found

    def route(self, columns: Sequence[ResolvedColumn]) -> Route | None:
        """Where the values of these columns go; None if some have to be taken apart.

        Raises FieldError for two columns that mean one field.
        """
        fields: dict[str, Path] = {}
        left_out: dict[str, None] = {}
        by_path: dict[Path, str] = {}
        for column in columns:
            if column.has_names or self._is_around_others(column.path):
                return None
            path = self.path_of(column.path)
            if path is None:
                left_out[column.name] = None
                continue
            first = by_path.setdefault(path, column.name)
            if first != column.name:
                raise twice(first, column.name, self._transformation.name_of(path_text(path)))
            fields[column.name] = path
        return Route(fields, left_out, all(len(path) == 1 for path in fields.values()))

    def _is_around_others(self, path: Path) -> bool:
        return bool(self._transformation.by_path.inside(path))

    def rename(self, fields: Mapping[str, Any], left_out: dict[str, None]) -> Mapping[str, Any]:
        """A record by the service's names. Raises FieldError."""
        names = tuple(fields)
        dropped = self._dropped.get(names)
        if dropped is None:
            if len(self._dropped) > MAX_SETS_OF_NAMES:
                self._dropped.clear()
            dropped = dict.fromkeys(
                name
                for name in names
                if self.path_of((name,)) is None and not self._is_around_others((name,))
            )
            self._dropped[names] = dropped
        left_out.update(dropped)
        try:
            renamed = self._renaming.apply(fields)
        except PathTaken as error:
            name = self._transformation.name_of(path_text(error.path))
            raise FieldError(name, f"{name} has two values; keep one of them") from error
        if self._read_only.isdisjoint(renamed):
            return renamed
        return {name: value for name, value in renamed.items() if name not in self._read_only}


def twice(first: str, second: str, field: str) -> FieldError:
    """The error for two columns that mean one field."""
    message = f"the columns {first!r} and {second!r} both mean {field}; keep one of them"
    return FieldError(field, message)
