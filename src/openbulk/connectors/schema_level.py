"""One level of an object's schema, and the columns of a file that mean its fields.

A name is resolved once and remembered, so a row costs a look into a set.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from openbulk.connectors.field_names import FieldNames, Schema
from openbulk.connectors.fields import FieldError
from openbulk.connectors.renamed_columns import twice
from openbulk.domain.field_paths import Path, path_text
from openbulk.domain.records import nest_paths, steps_of

MAX_PATH_CHARACTERS = 1_000
"""A longer name is no path: a file may hold anything."""
MAX_NAMES = 10_000
"""Names that are remembered: each record of a JSON file may have names of its own."""
MAX_RESOLUTIONS = 1_000
"""Sets of names that are remembered: empty cells make many of them."""
MAX_QUOTED_NAME = 100
"""Characters of a name in a message."""
TEXT: Schema = {"type": "string"}
_INDEX = re.compile(r"\[(?P<index>\d{1,4})\]\.?")
_SEPARATOR = re.compile(r"[.\[]")
_FIELDS_ARE = "its fields are: "


class UnknownColumn(FieldError):
    """A name that is no field of the object. The message has the most similar field."""

    @property
    def is_like_none(self) -> bool:
        """Whether the message lists the object's fields, because none is similar."""
        return _FIELDS_ARE in self.message

    @property
    def first_half(self) -> str:
        """The message without that list."""
        return self.message.partition(f"; {_FIELDS_ARE}")[0]


@dataclass(frozen=True, slots=True)
class Column:
    """What a name means."""

    path: Path
    level: "SchemaLevel"
    """The schema of its values."""
    is_left_out: bool = False


@dataclass(frozen=True, slots=True)
class _Resolution:
    """How records with the same names are resolved."""

    steps: tuple[tuple[str, Path, "SchemaLevel"], ...]
    left_out: Mapping[str, None]
    is_flat: bool
    """No field is inside another."""


class SchemaLevel:
    """One level of a schema: an object, a list, or a single value."""

    def __init__(
        self, schema: Schema, object: str, names_are_paths: bool, place: Path = ()
    ) -> None:
        self._schema = schema
        self._object = object
        self._names_are_paths = names_are_paths
        self._place = place
        self._properties: Schema = schema.get("properties", {})
        self._names = FieldNames(self._properties, place)
        self._levels: dict[str | int, SchemaLevel] = {}
        self._columns: dict[str, Column] = {}
        self._unknown: dict[str, str] = {}
        """Names that mean nothing, and the messages about them."""
        self._resolutions: dict[tuple[str, ...], _Resolution] = {}
        self._plain: set[str] = set()
        """Names that are fields as they stand, and whose values have no names to resolve."""
        self.read_only: frozenset[str] = frozenset()
        """Fields that are left out."""

    @property
    def is_read_only(self) -> bool:
        """Whether the service fills it itself."""
        return bool(self._schema.get("readOnly"))

    @cached_property
    def is_list(self) -> bool:
        """Whether its values are lists."""
        return bool(self._schema.get("type") == "array")

    @cached_property
    def has_names(self) -> bool:
        """Whether its values, or the items of its lists, have fields of known names."""
        return self.below(0).has_names if self.is_list else bool(self._properties)

    @cached_property
    def any_field(self) -> Schema | None:
        """The schema of the fields that the schema does not name; None if there can be none."""
        takes_any = not self._properties and self._schema.get("type") in {None, "object"}
        other = self._schema.get("additionalProperties", takes_any)
        if other is False:
            return None
        return {} if other is True else dict(other)

    @property
    def fields(self) -> Schema:
        """The fields that the schema names, those of lists not among them."""
        return self._properties

    def has_field(self, step: str | int) -> bool:
        """Whether the schema names this field."""
        return step in self._properties

    def with_text(self, name: str) -> "SchemaLevel":
        """The level with one more field, which is a text."""
        properties = {**self._properties, name: TEXT}
        return SchemaLevel(
            {**self._schema, "properties": properties}, self._object, self._names_are_paths
        )

    def below(self, step: str | int) -> "SchemaLevel":
        """The level of a field, or of the items of a list."""
        level = self._levels.get(step)
        if level is None:
            level = SchemaLevel(
                self._schema_below(step),
                self._object,
                self._names_are_paths,
                (*self._place, step),
            )
            self._levels[step] = level
        return level

    def _schema_below(self, step: str | int) -> Schema:
        if isinstance(step, int):
            items: Schema = self._schema.get("items", {})
            return items
        field: Schema = self._properties.get(step, self.any_field or {})
        return field

    # --- records ---

    def fields_of(self, values: Mapping[str, Any], left_out: dict[str, None]) -> Mapping[str, Any]:
        """A record's values by the names of fields. Raises FieldError."""
        if self._plain.issuperset(values):
            return values
        resolution = self._resolution(tuple(values))
        left_out.update(resolution.left_out)
        if resolution.is_flat:
            return {str(path[0]): values[name] for name, path, _ in resolution.steps}
        fields = {
            path: level.convert(values[name], left_out) for name, path, level in resolution.steps
        }
        try:
            return nest_paths(fields)
        except ValueError as error:
            raise FieldError(None, f"{error}; keep one of the columns") from error

    def flat_names(self, names: tuple[str, ...]) -> Sequence[str] | None:
        """The fields of names, in their order, if none is left out or inside another; else None.

        Raises FieldError.
        """
        resolution = self._resolution(names)
        if resolution.left_out or not resolution.is_flat:
            return None
        return [str(path[0]) for _, path, _ in resolution.steps]

    def _resolution(self, names: tuple[str, ...]) -> _Resolution:
        """How records with these names are resolved. Raises FieldError."""
        return self._resolutions.get(names) or self._resolve_names(names)

    def _resolve_names(self, names: tuple[str, ...]) -> _Resolution:
        columns = {name: self.column(name) for name in names}
        left_out = {name: None for name, column in columns.items() if column.is_left_out}
        kept = {name: columns[name] for name in columns if name not in left_out}
        clash = clash_of(kept)
        if clash is not None:
            raise clash
        resolution = _Resolution(
            tuple((name, column.path, column.level) for name, column in kept.items()),
            left_out,
            is_flat=all(len(one.path) == 1 and not one.level.has_names for one in kept.values()),
        )
        if len(self._resolutions) >= MAX_RESOLUTIONS:
            self._resolutions.clear()
        self._resolutions[names] = resolution
        return resolution

    def convert(self, value: Any, left_out: dict[str, None]) -> Any:
        """A value whose own names are those of fields. Raises FieldError."""
        if not self.has_names:
            return value
        if isinstance(value, Mapping) and not self.is_list:
            return self.fields_of(value, left_out)
        if isinstance(value, list) and self.is_list:
            return [self.below(0).convert(item, left_out) for item in value]
        return value

    def column(self, name: str) -> Column:
        """What a name means. Raises UnknownColumn, and FieldError if it can mean several fields."""
        column = self._columns.get(name)
        if column is None:
            column = self._resolve(name)
            if len(self._columns) >= MAX_NAMES:
                self._columns.clear()
                self._plain.clear()
            self._columns[name] = column
            is_plain = column.path == (name,) and not column.level.has_names
            if is_plain and not column.is_left_out:
                self._plain.add(name)
        return column

    def _resolve(self, name: str) -> Column:
        found = None if name in self._unknown else self._find(name)
        if found is None:
            raise UnknownColumn(self._names.full(name), self._problem_of_unknown(name))
        path, level = found
        return Column(path, level, path[0] in self.read_only)

    # --- one name ---

    def _find(self, name: str) -> tuple[Path, "SchemaLevel"] | None:
        field = self._field(name)
        if field is not None:
            return (field,), self.below(field)
        if self._properties and len(name) <= MAX_PATH_CHARACTERS:
            for head, rest in _splits(name):
                field = self._field(head)
                below = None if field is None else self.below(field)._find_below(rest)
                if field is not None and below is not None:
                    return (field, *below[0]), below[1]
        return self._find_any(name)

    def _field(self, name: str) -> str | None:
        return name if name in self._properties else self._names.find(name)

    def _find_below(self, rest: str) -> tuple[Path, "SchemaLevel"] | None:
        """What a name means behind the name of this field: `date`, or `[0].email`."""
        index = _INDEX.match(rest)
        if index is None:
            return None if self.is_list else self._find(rest)
        if self._schema.get("type", "array") != "array":
            return None
        step, name = int(index["index"]), rest[index.end() :]
        if not name:
            return (step,), self.below(step)
        below = self.below(step)._find_below(name)
        return None if below is None else ((step, *below[0]), below[1])

    def _find_any(self, name: str) -> tuple[Path, "SchemaLevel"] | None:
        """What a name means that the schema need not know."""
        if self.any_field is None:
            return None
        is_single = self.any_field.get("type") not in {None, "object", "array"}
        path = (name,) if is_single or not self._names_are_paths else steps_of(name)
        schema = self.any_field if len(path) == 1 else {}
        return path, SchemaLevel(schema, self._object, self._names_are_paths, (*self._place, *path))

    def inner_columns_of(self, name: str) -> Sequence[str]:
        """The columns to have in place of one that means a whole object; none if it does not.

        None for an object that the service fills itself: what a file has there is not sent.
        """
        try:
            column = self.column(name)
        except FieldError:
            return ()
        fields = () if column.level.is_read_only else column.level.fields
        dates = [one for one in ("dateTime", "date") if one in fields]
        return [path_text((*column.path, one)) for one in dates or fields]

    # --- a name that means nothing ---

    def _problem_of_unknown(self, name: str) -> str:
        """The message for a name: searching similar names takes longer than a row may."""
        if name not in self._unknown:
            if len(self._unknown) == MAX_NAMES:
                self._unknown.clear()
            self._unknown[name] = self._describe_unknown(name)
        return self._unknown[name]

    def _describe_unknown(self, name: str) -> str:
        meant = self._names.nearest(name)
        if meant is None:
            hint = f"{_FIELDS_ARE}{self._names.listing(innermost=self._names_are_paths)}"
        else:
            # A cell of a table holds no object.
            inner = self.inner_columns_of(meant) if self._names_are_paths else ()
            hint = f"did you mean {' or '.join(map(repr, inner or [meant]))}?"
        full = self._names.full(name)
        shown = full if len(full) <= MAX_QUOTED_NAME else f"{full[:MAX_QUOTED_NAME]}..."
        return f"{shown!r} is not a field of {self._object}; {hint}"


def clash_of(columns: Mapping[str, Column]) -> FieldError | None:
    """The error for two columns that mean one field; None if there are none."""
    by_path: dict[Path, str] = {}
    for name, column in columns.items():
        first = by_path.setdefault(column.path, name)
        if first != name:
            return twice(first, name, path_text(column.path))
    return None


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """A name in two, at each dot or bracket: `start` and `date`, `attendees` and `[0].email`.

    The longest beginning first, so that a field with a dot in its name is found.
    """
    for separator in reversed(list(_SEPARATOR.finditer(name))):
        rest = separator.end() if separator[0] == "." else separator.start()
        head, below = name[: separator.start()], name[rest:]
        if head and below:
            yield head, below
