"""An object under names of the caller's own, and the fields of the service that they stand for.

DEFINITION      the caller's object: its fields, with their types
TRANSFORMATION  which field of the service each of them is, for one instance
MAPPED FIELD    one of these pairs; `path` is the caller's, `vendor_path` the service's

The words and their meaning are those of Cloud Elements and of SAP Open Connectors, "Transforming
Fields via API" (https://cloud-elements.github.io/docs/guides/common-resources/mappingapi.html) and
"Removing Fields During Transformation" (.../common-resources/mapping.html). A mapping of a file's
columns will be a transformation whose fields also say how their value is made.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

from openbulk.domain.field_paths import (
    EACH,
    Path,
    field_path_text,
    of_each_item,
    parse_field_path,
    prefixes_of,
    with_items_of,
)
from openbulk.domain.renaming import Move, Renaming

Configuration = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class DefinedField:
    """A field of a definition."""

    path: str
    type: str = "string"


@dataclass(frozen=True, slots=True)
class MappedField:
    """A field of the caller's object, and the service's field that it stands for."""

    path: Path
    vendor_path: Path
    type: str = "string"
    """As the caller writes it; it converts nothing."""
    vendor_type: str | None = None
    is_sent: bool = True
    """Whether it goes to the service."""
    is_shown: bool = True
    """Whether it comes from the service."""
    configuration: Configuration = ()
    """As the caller wrote it."""

    @property
    def name(self) -> str:
        """The caller's path."""
        return field_path_text(self.path)

    @property
    def vendor_name(self) -> str:
        """The service's path."""
        return field_path_text(self.vendor_path)


@dataclass(frozen=True)
class Transformation:
    """An object under the caller's names."""

    name: str
    """The caller's name of the object."""
    vendor_name: str
    """The service's name of the object, or a path of it."""
    fields: tuple[MappedField, ...] = ()
    sends_others: bool = True
    """Whether fields that it does not name go to the service as they are."""
    shows_others: bool = True
    """Whether fields that it does not name come from the service as they are."""
    configuration: Configuration = ()
    """As the caller wrote it."""

    # --- records ---

    def to_service(self, *, always: Sequence[str] = ()) -> Renaming:
        """What renames records on their way to the service.

        It also passes the fields `always`, which identify records.
        """
        moves = [Move(one.path, one.vendor_path if one.is_sent else None) for one in self.fields]
        own: list[Path] = [(name,) for name in always]
        moves += [Move(path, path) for path in own]
        return Renaming(moves, passes_rest=self.sends_others, strict=True)

    def from_service(self) -> Renaming:
        """What renames records that come from the service."""
        moves = [Move(one.vendor_path, one.path if one.is_shown else None) for one in self.fields]
        return Renaming(moves, passes_rest=self.shows_others)

    # --- names ---

    @cached_property
    def by_path(self) -> "FieldIndex":
        """The fields by the caller's paths."""
        return FieldIndex((one.path, one) for one in self.fields)

    @cached_property
    def by_vendor_path(self) -> "FieldIndex":
        """The fields by the service's paths; of two with the same one, the one that is shown."""
        shown_first = sorted(self.fields, key=lambda one: not one.is_shown)
        return FieldIndex((one.vendor_path, one) for one in shown_first)

    def vendor_path_of(self, path: Path) -> Path | None:
        """The service's path of a field that is sent; None if none is."""
        found = self.by_path.closest(path)
        if found is None:
            return path if self.sends_others else None
        mapped, rest = found
        return (*with_items_of(mapped.vendor_path, path), *rest) if mapped.is_sent else None

    def vendor_names_of(self, name: str) -> Sequence[str]:
        """The service's fields that a selected field, or a compared one, stands for.

        Several for an object that is made of them; none if the caller's object has no such field.
        """
        path = tuple(name.split("."))
        found = self.by_path.closest(path)
        if found is not None:
            mapped, rest = found
            return [_list_name((*mapped.vendor_path, *rest))] if mapped.is_shown else ()
        inside = [mapped for mapped, _ in self.by_path.inside(path) if mapped.is_shown]
        if inside:
            return list(dict.fromkeys(_list_name(one.vendor_path) for one in inside))
        is_moved_away = self.by_vendor_path.closest(path) is not None
        return [name] if self.shows_others and not is_moved_away else ()

    def vendor_text_of(self, name: str) -> str:
        """The service's path of a shown field, `[*]` for the items of lists."""
        path = _loose_path(name)
        found = self.by_path.closest(path)
        if found is not None:
            mapped, rest = found
            return field_path_text((*with_items_of(mapped.vendor_path, path), *rest))
        for mapped, rest in self.by_path.inside(path):
            return _text_around(mapped.vendor_path, rest, path)
        return name

    def name_of(self, vendor_name: str) -> str:
        """The caller's name of a service's field; the service's own if the caller has none."""
        path = _loose_path(vendor_name)
        found = self.by_vendor_path.closest(path)
        if found is not None:
            mapped, rest = found
            return field_path_text((*with_items_of(mapped.path, path), *rest))
        for mapped, rest in self.by_vendor_path.inside(path):
            return _text_around(mapped.path, rest, path)
        return vendor_name

    # --- kept with a job ---

    def as_json(self) -> dict[str, Any]:
        """The transformation in JSON's types; `transformation_of` reads it back."""
        return {
            "name": self.name,
            "vendor_name": self.vendor_name,
            "fields": [
                {
                    "path": list(one.path),
                    "vendor_path": list(one.vendor_path),
                    "type": one.type,
                    "vendor_type": one.vendor_type,
                    "is_sent": one.is_sent,
                    "is_shown": one.is_shown,
                    "configuration": [dict(entry) for entry in one.configuration],
                }
                for one in self.fields
            ],
            "sends_others": self.sends_others,
            "shows_others": self.shows_others,
            "configuration": [dict(entry) for entry in self.configuration],
        }


def service_name_of(name: str, transformation: Transformation | None) -> str:
    """The service's name of an object that the caller names."""
    return name if transformation is None else transformation.vendor_name


def transformation_of(kept: Mapping[str, Any]) -> Transformation:
    """A transformation from its `as_json`."""
    fields = tuple(
        MappedField(
            **{
                **one,
                "path": tuple(one["path"]),
                "vendor_path": tuple(one["vendor_path"]),
                "configuration": tuple(one["configuration"]),
            }
        )
        for one in kept["fields"]
    )
    return Transformation(
        **{**kept, "fields": fields, "configuration": tuple(kept["configuration"])}
    )


class FieldIndex:
    """Finds mapped fields by paths of one side."""

    def __init__(self, fields: Iterable[tuple[Path, MappedField]]) -> None:
        self._at: dict[Path, MappedField] = {}
        self._inside: dict[Path, list[tuple[MappedField, Path]]] = {}
        for path, mapped in fields:
            self._at.setdefault(path, mapped)
            for around in prefixes_of(path[:-1]):
                self._inside.setdefault(around, []).append((mapped, path[len(around) :]))

    def closest(self, path: Path) -> tuple[MappedField, Path] | None:
        """The field at a path, or the closest one around it, and the steps below it.

        A number of an item also means the field of each item.
        """
        for around in prefixes_of(path):
            mapped = self._at.get(around) or self._at.get(of_each_item(around))
            if mapped is not None:
                return mapped, path[len(around) :]
        return None

    def inside(self, path: Path) -> Sequence[tuple[MappedField, Path]]:
        """The fields inside the one at a path, and the steps from it to each."""
        found = self._inside.get(path)
        return self._inside.get(of_each_item(path), []) if found is None else found


def _text_around(other: Path, rest: Path, path: Path) -> str:
    """The other name of an object, by that of a field in it, `rest` steps below."""
    return field_path_text(with_items_of(other[: -len(rest)] or other, path))


def _loose_path(name: str) -> Path:
    try:
        return parse_field_path(name)
    except ValueError:
        return (name,)


def _list_name(path: Path) -> str:
    """The dotted name of a field, or of the list that it is in: services select whole lists."""
    names = takewhile(lambda step: step != EACH and not isinstance(step, int), path)
    return ".".join(map(str, names))
