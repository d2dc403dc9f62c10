"""Resolves the columns of a file, or the keys of a JSON record, to the fields of an object.

EXACT   the field of that name, even if the name has a dot in it
CASE    the field whose name differs in case, in blanks, or in how Unicode composes a letter
TITLE   the field that the service shows to people under that title: `Email Address`
PATH    `start.date` is the field `date` of `start`, `attendees[0].email` one of a list's first item

The first that fits decides. A name is resolved once and remembered, so a row costs a look into a
set. Decision 29 says why, and what becomes of a name that fits nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any
from unicodedata import normalize

from openbulk.connectors.base import Features
from openbulk.connectors.fields import FieldError
from openbulk.connectors.sent_fields import ResolvedColumn, Route, SentFields, twice
from openbulk.domain.field_paths import Path, path_text
from openbulk.domain.records import Action, Target, nest_paths, steps_of
from openbulk.domain.renamed_schemas import schema_to_service

Schema = Mapping[str, Any]

MAX_PATH_CHARACTERS = 1_000
"""A longer name is no path: a file may hold anything."""
MAX_REMEMBERED = 10_000
"""Names that are remembered: each record of a JSON file may have names of its own."""
MAX_RESOLUTIONS = 1_000
"""Sets of names that are remembered: empty cells make many of them."""
MAX_SHOWN = 20
"""Fields that a message lists."""
MAX_QUOTED = 100
"""Characters of a name in a message."""
MAX_DEPTH = 3
"""Levels of fields that a misspelt name is compared with."""
_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200e\u200f\u2060"))
"""Byte order marks, and other characters that nobody sees in a header."""
_INDEX = re.compile(r"\[(?P<index>\d{1,4})\]\.?")
_SEPARATOR = re.compile(r"[.\[]")
_TEXT: Schema = {"type": "string"}


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
class _Column:
    """What a name means."""

    path: Path
    level: "_Level"
    """The schema of its values."""
    is_left_out: bool = False


@dataclass(frozen=True, slots=True)
class _Resolution:
    """How records with the same names are resolved."""

    steps: tuple[tuple[str, Path, "_Level"], ...]
    left_out: Mapping[str, None]
    is_flat: bool
    """No field is inside another."""


class Columns:
    """The columns of a job's records, and the fields that they mean."""

    def __init__(
        self, target: Target, features: Features, schema: Schema, *, names_are_paths: bool = False
    ) -> None:
        """`schema` is the object's `metadata`.

        With `names_are_paths`, a dot makes a nested field also in an object that takes any field: a
        table has no other way to nest. Raises FieldError if the target's identifier is no field,
        so that no record can have it.
        """
        known = _known_fields(target, features, schema)
        # A schema that names no field allows any (JSON Schema, core, section 10.3.2).
        whole = {"additionalProperties": "properties" not in schema, **schema, "properties": known}
        self.transformation = transformation = target.transformation
        """The caller's names, if they are not the object's."""
        if transformation is None:
            self._root = _Level(whole, target.object, names_are_paths)
        else:
            whole = schema_to_service(transformation, whole)
            self._root = _Level(whole, transformation.name, names_are_paths)
        self.identifier_is_field = False
        """Whether the identifier is one of the fields that `schema` names."""
        self.identifier = self._identifier(target, features)
        """The field that identifies records, its path with dots; None if the caller names none."""
        self.left_out: dict[str, None] = {}
        """Columns that were left out of records so far: the service fills them itself."""
        read_only: frozenset[str] = frozenset()
        if features.skips_read_only:
            kept = {self.identifier, *features.identifiers}
            read_only = _read_only_names(schema.get("properties", {})) - kept
        self._sent: SentFields | None = None
        """The service's fields, if the caller has other names for them."""
        self._routes: dict[tuple[str, ...], Route | None] = {}
        if transformation is None:
            self._root.read_only = read_only
        else:
            identifiers = _identifiers_sent(target, features, self.identifier)
            self._sent = SentFields(transformation, always=identifiers, read_only=read_only)

    @property
    def takes_any(self) -> bool:
        """Whether the object takes a field of any name."""
        return self._root.any_field is not None

    def _identifier(self, target: Target, features: Features) -> str | None:
        name = target.identifier_field
        if not name:
            return None
        try:
            path = self._root.column(name).path
        except UnknownColumn as error:
            if features.any_identifier:
                self._root = self._root.with_text(name)
            elif target.action is not Action.CREATE:
                message = f"metaData.identifierFieldName: {error.message}"
                raise UnknownColumn("identifierFieldName", message) from error
            return name
        self.identifier_is_field = self._root.has_field(path[0])
        if target.transformation is not None:
            sent = target.transformation.vendor_path_of(path)
            if sent is None:
                message = (
                    f"metaData.identifierFieldName is {name!r}, which the transformation "
                    f"{target.transformation.name!r} does not send to the service"
                )
                raise FieldError(name, message)
            path = sent
        return path_text(path)

    def fields_of(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """A record's values by the names of fields, nested. Raises FieldError.

        The record itself, if its names are those of fields.
        """
        if self._sent is None:
            return self._root.fields_of(values, self.left_out)
        route = self._route(self._sent, tuple(values))
        if route is None:
            return self._sent.rename(self._root.fields_of(values, self.left_out), self.left_out)
        self.left_out.update(route.left_out)
        return route.take(values)

    def _route(self, sent: SentFields, names: tuple[str, ...]) -> Route | None:
        """Where the values of these columns go. Raises FieldError."""
        with suppress(KeyError):  # asked once: another thread may forget it meanwhile
            return self._routes[names]
        if len(self._routes) >= MAX_RESOLUTIONS:
            self._routes.clear()
        columns = [(name, self._root.column(name)) for name in names]
        route = self._routes[names] = sent.route(
            [ResolvedColumn(name, one.path, one.level.has_names) for name, one in columns]
        )
        return route

    def path_of(self, name: str) -> Path | None:
        """The path of the field that a column means; None if it means none, or several."""
        try:
            path = self._root.column(name).path
        except FieldError:
            return None
        return path if self._sent is None else self._sent.path_of(path)

    def is_within(self, name: str, field: str) -> bool:
        """Whether a column means this field, or one inside it."""
        path = self.path_of(name) or ()
        return any(path_text(path[:end]) == field for end in range(1, len(path) + 1))

    def problem_of(self, names: Sequence[str]) -> str | None:
        """Why a file cannot have these columns side by side; None if it can.

        A column that means no field is no reason: rows without a value there can be sent.
        """
        known: dict[str, _Column] = {}
        for name in names:
            try:
                known[name] = self._root.column(name)
            except UnknownColumn:
                continue
            except FieldError as error:
                return error.message
        clash = _columns_of_one_field(known)
        if clash is None and self._sent is not None:
            try:
                self._route(self._sent, tuple(known))
            except FieldError as error:
                clash = error
        return None if clash is None else clash.message

    def inner_columns_of(self, name: str) -> Sequence[str]:
        """The columns to have in place of one that means a whole object, such as `start`.

        Its dates alone if it has any; none if a column means a single value, a list or anything.
        """
        return self._root.inner_columns_of(name)

    def describe_unknown(self, names: Iterable[str]) -> list[str]:
        """A sentence for each column that means no field, with the field that it could mean.

        The first of those that are like none lists the object's fields.
        """
        sentences = []
        has_fields = False
        for name in names:
            try:
                self._root.column(name)
            except UnknownColumn as error:
                sentences.append(error.first_half if has_fields else error.message)
                has_fields |= error.is_like_none
            except FieldError as error:
                sentences.append(error.message)
        return sentences


class _Level:
    """One level of a schema: an object, a list, or a single value."""

    def __init__(
        self, schema: Schema, object: str, names_are_paths: bool, place: Path = ()
    ) -> None:
        self._schema = schema
        self._object = object
        self._names_are_paths = names_are_paths
        self._place = place
        self._properties: Schema = schema.get("properties", {})
        self._levels: dict[str | int, _Level] = {}
        self._columns: dict[str, _Column] = {}
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

    def with_text(self, name: str) -> "_Level":
        """The level with one more field, which is a text."""
        properties = {**self._properties, name: _TEXT}
        return _Level(
            {**self._schema, "properties": properties}, self._object, self._names_are_paths
        )

    def below(self, step: str | int) -> "_Level":
        """The level of a field, or of the items of a list."""
        level = self._levels.get(step)
        if level is None:
            level = _Level(
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
        names = tuple(values)
        resolution = self._resolutions.get(names) or self._resolve_names(names)
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

    def _resolve_names(self, names: tuple[str, ...]) -> _Resolution:
        """How records with these names are resolved. Raises FieldError."""
        columns = {name: self.column(name) for name in names}
        left_out = {name: None for name, column in columns.items() if column.is_left_out}
        kept = {name: columns[name] for name in columns if name not in left_out}
        clash = _columns_of_one_field(kept)
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

    def column(self, name: str) -> _Column:
        """What a name means. Raises UnknownColumn, and FieldError if it can mean several fields."""
        column = self._columns.get(name)
        if column is None:
            column = self._resolve(name)
            if len(self._columns) >= MAX_REMEMBERED:
                self._columns.clear()
                self._plain.clear()
            self._columns[name] = column
            is_plain = column.path == (name,) and not column.level.has_names
            if is_plain and not column.is_left_out:
                self._plain.add(name)
        return column

    def _resolve(self, name: str) -> _Column:
        found = None if name in self._unknown else self._find(name)
        if found is None:
            raise UnknownColumn(self._full(name), self._problem_of_unknown(name))
        path, level = found
        return _Column(path, level, path[0] in self.read_only)

    # --- one name ---

    def _find(self, name: str) -> tuple[Path, "_Level"] | None:
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

    def _find_below(self, rest: str) -> tuple[Path, "_Level"] | None:
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

    def _find_any(self, name: str) -> tuple[Path, "_Level"] | None:
        """What a name means that the schema need not know."""
        if self.any_field is None:
            return None
        is_single = self.any_field.get("type") not in {None, "object", "array"}
        path = (name,) if is_single or not self._names_are_paths else steps_of(name)
        schema = self.any_field if len(path) == 1 else {}
        return path, _Level(schema, self._object, self._names_are_paths, (*self._place, *path))

    def _field(self, name: str) -> str | None:
        """The field of that name, or that is called so. Raises FieldError if several are."""
        if name in self._properties:
            return name
        folded = fold(name)
        fields = self._by_name.get(folded) or self._by_title.get(folded, ())
        if len(fields) > 1:
            could = " or ".join(map(self._full, fields))
            message = f"{self._full(name)!r} can mean {could}; write the field's name exactly"
            raise FieldError(self._full(name), message)
        return next(iter(fields), None)

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[str]]:
        return _group((fold(name), name) for name in self._properties)

    @cached_property
    def _by_title(self) -> Mapping[str, Sequence[str]]:
        titles = ((field.get("title"), name) for name, field in self._properties.items())
        return _group((fold(title), name) for title, name in titles if title)

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

    def _full(self, name: str) -> str:
        return path_text((*self._place, name))

    def _problem_of_unknown(self, name: str) -> str:
        """The message for a name: searching similar names takes longer than a row may."""
        if name not in self._unknown:
            if len(self._unknown) == MAX_REMEMBERED:
                self._unknown.clear()
            self._unknown[name] = self._describe_unknown(name)
        return self._unknown[name]

    def _describe_unknown(self, name: str) -> str:
        near = get_close_matches(fold(name), self._known_names, 1)
        if near:
            meant = self._known_names[near[0]]
            # A cell of a table holds no object.
            inner = self.inner_columns_of(meant) if self._names_are_paths else ()
            hint = f"did you mean {' or '.join(map(repr, inner or [meant]))}?"
        else:
            names = [self._full(path) for path in self._shown_fields()]
            more = f" and {len(names) - MAX_SHOWN} more" * (len(names) > MAX_SHOWN)
            hint = f"{_FIELDS_ARE}{', '.join(names[:MAX_SHOWN])}{more}"
        full = self._full(name)
        shown = full if len(full) <= MAX_QUOTED else f"{full[:MAX_QUOTED]}..."
        return f"{shown!r} is not a field of {self._object}; {hint}"

    def _shown_fields(self) -> Iterator[str]:
        """The fields that can be written; in a table, a column is one of those inside a field."""
        for name, field in self._properties.items():
            if not (field.get("readOnly") or field.get("deprecated")):
                inner = field.get("properties", {}) if self._names_are_paths else {}
                yield from [path for path, _ in _paths(inner, f"{name}.", MAX_DEPTH)] or [name]

    @cached_property
    def _known_names(self) -> Mapping[str, str]:
        """Names and titles as people may write them, and the names of the fields they mean."""
        known: dict[str, str] = {}
        for path, title in _paths(self._properties):
            for text in filter(None, (path, title)):
                known.setdefault(fold(text), self._full(path))
        return known


def fold(name: str) -> str:
    """A name without what people do not see or mean: case, blanks, composition, byte order marks.

    Canonical caseless matching (Unicode 16, section 3.13.5, D145).
    """
    text = normalize("NFD", normalize("NFD", name.translate(_INVISIBLE)).casefold())
    return " ".join(text.split())


def _columns_of_one_field(columns: Mapping[str, _Column]) -> FieldError | None:
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


def _group(pairs: Iterable[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
    groups: dict[str, list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return groups


def _known_fields(target: Target, features: Features, schema: Schema) -> dict[str, Any]:
    """The fields that a file may have, those that most records have or need first.

    What identifies a record is not read-only in a file: it is there to be compared.
    """
    fields = {**schema.get("properties", {}), **dict.fromkeys(features.extra_columns, _TEXT)}
    identifiers = {features.id, *features.identifiers, target.identifier_field}
    for name in identifiers & fields.keys() if target.action is not Action.CREATE else ():
        fields[name] = {**fields[name], "readOnly": False}
    needed = (fields_of_group[0] for fields_of_group in features.needs)
    first = [*features.common, *needed, *schema.get("required", ())]
    return {name: fields[name] for name in dict.fromkeys([*first, *fields]) if name in fields}


def _identifiers_sent(target: Target, features: Features, identifier: str | None) -> Iterator[str]:
    """Fields that go to the service whatever a transformation removes: they say which record."""
    if identifier:
        yield identifier
    if target.action is not Action.CREATE:
        yield from filter(None, [features.id, *features.identifiers])


def _read_only_names(properties: Schema) -> frozenset[str]:
    return frozenset(name for name, field in properties.items() if field.get("readOnly"))


def _paths(properties: Schema, prefix: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    """The paths and titles of the fields that can be written, and of the fields inside them."""
    for name, field in properties.items():
        if field.get("readOnly") or field.get("deprecated"):
            continue
        path = f"{prefix}{name}"
        yield path, field.get("title", "")
        if depth < MAX_DEPTH:
            yield from _paths(field.get("properties", {}), f"{path}.", depth + 1)
            items = field.get("items", {})
            yield from _paths(items.get("properties", {}), f"{path}[0].", depth + 1)
