"""The names of the fields at one level of an object, as people write them.

In another case, with other blanks, by the title that the service shows, or with a typo.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.domain.field_paths import Path, path_text
from openbulk.domain.spelling import fold_name

Schema = Mapping[str, Any]

MAX_SHOWN = 20
"""Fields that a message lists."""
MAX_LEVELS = 3
"""Levels of fields that a misspelt name is compared with."""


class FieldNames:
    """The names of the fields in `properties`, which are found at `place` of an object."""

    def __init__(self, properties: Schema, place: Path) -> None:
        self._properties = properties
        self._place = place

    def full(self, name: str) -> str:
        """The name of a field with the names of those around it."""
        return path_text((*self._place, name))

    def find(self, name: str) -> str | None:
        """The field that is called so. Raises FieldError if several are."""
        folded = fold_name(name)
        fields = self._by_name.get(folded) or self._by_title.get(folded, ())
        if len(fields) > 1:
            could = " or ".join(map(self.full, fields))
            message = f"{self.full(name)!r} can mean {could}; write the field's name exactly"
            raise FieldError(self.full(name), message)
        return next(iter(fields), None)

    def nearest(self, name: str) -> str | None:
        """The full name of the field whose name or title is most similar; None if none is."""
        near = get_close_matches(fold_name(name), self._by_text, 1)
        return self._by_text[near[0]] if near else None

    def listing(self, *, innermost: bool) -> str:
        """The fields that can be written, for a message.

        With `innermost`, the fields inside an object are listed in its place.
        """
        names = [self.full(path) for path in self._writable(innermost=innermost)]
        more = f" and {len(names) - MAX_SHOWN} more" * (len(names) > MAX_SHOWN)
        return f"{', '.join(names[:MAX_SHOWN])}{more}"

    def _writable(self, *, innermost: bool) -> Iterator[str]:
        for name, field in self._properties.items():
            if not (field.get("readOnly") or field.get("deprecated")):
                inner = field.get("properties", {}) if innermost else {}
                yield from [path for path, _ in _paths(inner, f"{name}.", MAX_LEVELS)] or [name]

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[str]]:
        return _group((fold_name(name), name) for name in self._properties)

    @cached_property
    def _by_title(self) -> Mapping[str, Sequence[str]]:
        titles = ((field.get("title"), name) for name, field in self._properties.items())
        return _group((fold_name(title), name) for title, name in titles if title)

    @cached_property
    def _by_text(self) -> Mapping[str, str]:
        """Names and titles as people may write them, and the full names that they mean."""
        known: dict[str, str] = {}
        for path, title in _paths(self._properties):
            for text in filter(None, (path, title)):
                known.setdefault(fold_name(text), self.full(path))
        return known


def _group(pairs: Iterable[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
    groups: dict[str, list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return groups


def _paths(properties: Schema, prefix: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    """The paths and titles of the fields that can be written, and of the fields inside them."""
    for name, field in properties.items():
        if field.get("readOnly") or field.get("deprecated"):
            continue
        path = f"{prefix}{name}"
        yield path, field.get("title", "")
        if depth < MAX_LEVELS:
            yield from _paths(field.get("properties", {}), f"{path}.", depth + 1)
            items = field.get("items", {})
            yield from _paths(items.get("properties", {}), f"{path}[0].", depth + 1)
