"""Moves the fields of records to other paths: compiled once, then used for each record."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from openbulk.domain.errors import OpenbulkError
from openbulk.domain.field_paths import EACH, Path, field_path_text

Items = tuple[int, ...]
"""The items of lists that a walk is in."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where the value of a field goes."""

    source: Path
    destination: Path | None
    """None removes it."""


class PathTaken(OpenbulkError):
    """Two fields of a record go to one path."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"two fields of the record are {field_path_text(path)}")
        self.path = path


class _Nothing:
    """No value is left."""


_NOTHING = _Nothing()


@dataclass(slots=True)
class _Node:
    """A step of the sources, and the moves that end there."""

    below: dict[str | int, "_Node"] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    parents: tuple[str, ...] | None = None
    """Of a field that is moved as a whole to one place outside of lists: the objects around it."""
    name: str = ""
    """The last step of that place."""


class Renaming:
    """Renames the fields of records. Never changes a record itself: a service may keep it."""

    def __init__(self, moves: Iterable[Move], *, passes_rest: bool, strict: bool = False) -> None:
        """Other fields stay where they are with `passes_rest`, else they are removed.

        Where two fields go to one path, the one that is moved there counts; with `strict` the
        record is refused.
        """
        moves = list(moves)
        self._passes_rest = passes_rest
        self._strict = strict
        self._root = _Node()
        for move in moves:
            self._add(move)
        _mark_plain(self._root)
        self._flat = _flat_names(moves)
        """The new names of fields, None for removed ones; None if a field is nested."""
        self._hidden: frozenset[str] = frozenset()
        """Names of other fields that are now those of moved ones."""
        if self._flat is not None:
            self._hidden = frozenset(filter(None, self._flat.values())) - self._flat.keys()

    def _add(self, move: Move) -> None:
        node = self._root
        for step in move.source:
            node = node.below.setdefault(step, _Node())
        node.moves.append(move)

    def apply(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record with the new names. Raises PathTaken."""
        if self._flat is not None and self._hidden.isdisjoint(record):
            return self._rename_flat(record, self._flat)
        moved: dict[str, Any] = {}
        rest = self._walk(self._root, record, moved, ())
        if self._passes_rest and isinstance(rest, Mapping):
            return self._merge(moved, rest, ())
        return moved

    def _rename_flat(
        self, record: Mapping[str, Any], names: Mapping[str, str | None]
    ) -> dict[str, Any]:
        if self._passes_rest:
            return {
                new: value
                for name, value in record.items()
                if (new := names.get(name, name)) is not None
            }
        return {
            new: value for name, value in record.items() if (new := names.get(name)) is not None
        }

    # --- the record that is read ---

    def _walk(self, node: _Node, value: Any, moved: dict[str, Any], items: Items) -> Any:
        """Place what is moved; return what stays, or _NOTHING."""
        if node.below and isinstance(value, Mapping):
            value = self._walk_object(node, value, moved, items)
        elif node.below and isinstance(value, list):
            value = self._walk_list(node, value, moved, items)
        if not node.moves or value is _NOTHING:
            return value
        for move in node.moves:
            if move.destination is not None:
                self._place(moved, move.destination, value, items)
        return _NOTHING

    def _walk_object(
        self, node: _Node, value: Mapping[str, Any], moved: dict[str, Any], items: Items
    ) -> Any:
        rest = {}
        for name, inner in value.items():
            below = node.below.get(name)
            if below is None:
                rest[name] = inner
            elif below.parents is not None:
                self._place_plain(moved, below.parents, below.name, inner)
            else:
                kept = self._walk(below, inner, moved, items)
                if kept is not _NOTHING:
                    rest[name] = kept
        return rest if rest or not value else _NOTHING

    def _walk_list(self, node: _Node, value: list[Any], moved: dict[str, Any], items: Items) -> Any:
        each = node.below.get(EACH)
        rest = []
        for number, item in enumerate(value):
            below = node.below.get(number, each)
            inner = (*items, number) if below is each else items
            rest.append(item if below is None else self._walk(below, item, moved, inner))
        if rest and all(item is _NOTHING or item == {} for item in rest):
            return _NOTHING
        return [{} if item is _NOTHING else item for item in rest]

    # --- the record that is made ---

    def _place_plain(
        self, moved: dict[str, Any], parents: tuple[str, ...], name: str, value: Any
    ) -> None:
        """`_place`, where no list is on the way: most fields of most records."""
        place = moved
        for step in parents:
            inner = place.get(step)
            if inner is None:
                inner = place[step] = {}
            elif not isinstance(inner, dict):
                raise PathTaken((*parents, name))
            place = inner
        if name in place:
            value = self._combine(place[name], value, (*parents, name))
        place[name] = value

    def _place(self, moved: dict[str, Any], path: Path, value: Any, items: Items) -> None:
        numbers = iter(items)
        steps = [next(numbers) if step == EACH else step for step in path]
        place: Any = moved
        for step, following in pairwise(steps):
            place = _enter(place, step, [] if isinstance(following, int) else {})
            if place is None:
                raise PathTaken(tuple(steps))
        before = _get(place, steps[-1])
        _set(place, steps[-1], self._combine(before, value, tuple(steps)))

    def _combine(self, over: Any, under: Any, place: Path) -> Any:
        """Both values of one path; where they differ, the first counts."""
        if over is None:
            return under
        if isinstance(over, dict) and isinstance(under, Mapping):
            return self._merge(over, under, place)
        if isinstance(over, list) and isinstance(under, list):
            longer = [*over, *under[len(over) :]]
            both = zip(over, under, strict=False)
            longer[: min(len(over), len(under))] = [
                self._combine(one, other, (*place, number))
                for number, (one, other) in enumerate(both)
            ]
            return longer
        if self._strict:
            raise PathTaken(place)
        return over

    def _merge(self, over: dict[str, Any], under: Mapping[str, Any], place: Path) -> dict[str, Any]:
        merged = {**over, **under}
        for name in over.keys() & under.keys():
            merged[name] = self._combine(over[name], under[name], (*place, name))
        return merged


def _mark_plain(node: _Node) -> None:
    """Mark the fields that need no walk."""
    for below in node.below.values():
        _mark_plain(below)
        if below.below or len(below.moves) != 1:
            continue
        steps = below.moves[0].destination or ()
        names = [step for step in steps if isinstance(step, str) and step != EACH]
        if steps and len(names) == len(steps):
            below.parents, below.name = tuple(names[:-1]), names[-1]


def _flat_names(moves: list[Move]) -> dict[str, str | None] | None:
    names: dict[str, str | None] = {}
    for move in moves:
        destination = move.destination or (None,)
        if len(move.source) > 1 or len(destination) > 1 or move.source[0] in names:
            return None
        names[str(move.source[0])] = None if destination[0] is None else str(destination[0])
    return names


def _get(place: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return place[step] if step < len(place) else None
    return place.get(step)


def _set(place: Any, step: str | int, value: Any) -> None:
    if isinstance(step, int):
        # An item without the field keeps its place in the list.
        empty = dict if isinstance(value, dict) else lambda: None
        place.extend(empty() for _ in range(step + 1 - len(place)))
    place[step] = value


def _enter(place: Any, step: str | int, empty: Any) -> Any:
    """The object or list at a step, made if it is not there; None if another value is."""
    inner = _get(place, step)
    if inner is None:
        _set(place, step, empty)
        return empty
    return inner if isinstance(inner, type(empty)) else None
