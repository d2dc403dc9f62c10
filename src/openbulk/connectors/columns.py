"""Resolves the columns of a file, or the keys of a JSON record, to the fields of an object.

EXACT   the field of that name, even if the name has a dot in it
CASE    the field whose name differs in case, in blanks, or in how Unicode composes a letter
TITLE   the field that the service shows to people under that title: `Email Address`
PATH    `start.date` is the field `date` of `start`, `attendees[0].email` one of a list's first item

The first that fits decides. A name is resolved once and remembered, so a row costs a look into a
set. Decision 29 says why, and what becomes of a name that fits nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from openbulk.connectors.base import Features
from openbulk.connectors.field_names import Schema
from openbulk.connectors.fields import FieldError
from openbulk.connectors.renamed_columns import RenamedColumns, ResolvedColumn, Route
from openbulk.connectors.schema_level import (
    MAX_RESOLUTIONS,
    TEXT,
    Column,
    SchemaLevel,
    UnknownColumn,
    clash_of,
)
from openbulk.domain.field_paths import Path, path_text
from openbulk.domain.records import Action, Target
from openbulk.domain.renamed_schemas import schema_to_service


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
        self.transformation = target.transformation
        """The caller's names, if they are not the object's."""
        self._root = _root_level(target, features, schema, names_are_paths)
        self.identifier_is_field = False
        """Whether the identifier is one of the fields that `schema` names."""
        self.identifier = self._identifier(target, features)
        """The field that identifies records, its path with dots; None if the caller names none."""
        self.left_out: dict[str, None] = {}
        """Columns that were left out of records so far: the service fills them itself."""
        self._sent: RenamedColumns | None = None
        """The service's fields, if the caller has other names for them."""
        self._routes: dict[tuple[str, ...], Route | None] = {}
        read_only = self._read_only(features, schema)
        if target.transformation is None:
            self._root.read_only = read_only
        else:
            always = _identifiers_sent(target, features, self.identifier)
            self._sent = RenamedColumns(target.transformation, always=always, read_only=read_only)

    def _read_only(self, features: Features, schema: Schema) -> frozenset[str]:
        """The fields to leave out, as the service fills them itself."""
        if not features.skips_read_only:
            return frozenset()
        fields = schema.get("properties", {}).items()
        read_only = frozenset(name for name, field in fields if field.get("readOnly"))
        return read_only - {self.identifier, *features.identifiers}

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

    def flat_names(self, columns: tuple[str, ...]) -> Sequence[str] | None:
        """The fields that columns of texts mean, in their order, if no row needs a second look.

        None if one of them means no field, one inside another, one that is left out, or that of
        another column: then `fields_of` decides, row by row.
        """
        try:
            if self._sent is None:
                return self._root.flat_names(columns)
            route = self._route(self._sent, columns)
        except FieldError:
            return None
        if route is None or route.left_out or not route.is_flat:
            return None
        return [str(path[0]) for path in route.fields.values()]

    def _route(self, sent: RenamedColumns, names: tuple[str, ...]) -> Route | None:
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
        known: dict[str, Column] = {}
        for name in names:
            try:
                known[name] = self._root.column(name)
            except UnknownColumn:
                continue
            except FieldError as error:
                return error.message
        clash = clash_of(known)
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


def _root_level(
    target: Target, features: Features, schema: Schema, names_are_paths: bool
) -> SchemaLevel:
    known = _known_fields(target, features, schema)
    # A schema that names no field allows any (JSON Schema, core, section 10.3.2).
    whole = {"additionalProperties": "properties" not in schema, **schema, "properties": known}
    if target.transformation is None:
        return SchemaLevel(whole, target.object, names_are_paths)
    renamed = schema_to_service(target.transformation, whole)
    return SchemaLevel(renamed, target.transformation.name, names_are_paths)


def _known_fields(target: Target, features: Features, schema: Schema) -> dict[str, Any]:
    """The fields that a file may have, those that most records have or need first.

    What identifies a record is not read-only in a file: it is there to be compared.
    """
    fields = {**schema.get("properties", {}), **dict.fromkeys(features.extra_columns, TEXT)}
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
