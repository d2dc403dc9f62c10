"""Paths of fields: `address.city`, `phones[0]`, and in transformations also `users[*].name`."""

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]
"""Where a field is: the names of the objects around it, the numbers of list items, its name."""

MAX_STEPS = 32
"""A field that is nested deeper could not be shown: answers are JSON, which parsers bound."""
EACH = "[*]"
"""The step to each item of a list. No name has brackets."""
MAX_PATH_CHARACTERS = 500
_STEP = re.compile(r"(?P<name>[^\[\]]+)(?P<items>(?:\[(?:\*|\d{1,2})\])*)")
_ITEM = re.compile(r"\[(\*|\d+)\]")


def path_text(path: Path) -> str:
    """A path as a dotted name: `attendees[0].email`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def parse_field_path(text: str) -> Path:
    """The steps of a path. Raises ValueError, whose message says what would be right."""
    if len(text) > MAX_PATH_CHARACTERS:
        raise ValueError(f"is longer than {MAX_PATH_CHARACTERS} characters; shorten it")
    steps: list[str | int] = []
    for part in text.split("."):
        found = _STEP.fullmatch(part)
        if found is None or part != part.strip():
            raise ValueError(
                "is not a path; paths look like address.city, users[*].name, phones[0]"
            )
        items = _ITEM.findall(found["items"])
        steps += [found["name"], *(EACH if item == "*" else int(item) for item in items)]
    if len(steps) > MAX_STEPS:
        raise ValueError(f"has more than {MAX_STEPS} steps")
    return tuple(steps)


def field_path_text(path: Path) -> str:
    """A path as `parse_field_path` reads it."""
    return path_text(path).replace(f".{EACH}", EACH)


def prefixes_of(path: Path) -> Iterator[Path]:
    """The path itself, and those of the fields around it, the closest first."""
    for end in range(len(path), 0, -1):
        yield path[:end]


def of_each_item(path: Path) -> Path:
    """A path with `[*]` in place of the numbers of items."""
    return tuple(EACH if isinstance(step, int) else step for step in path)


def with_items_of(path: Path, other: Path) -> Path:
    """A path whose `[*]`s are, in their order, the items that another path names."""
    items = iter([step for step in other if step == EACH or isinstance(step, int)])
    return tuple(next(items, EACH) if step == EACH else step for step in path)


def paired_paths(path: Path, other: Path) -> tuple[Path, Path]:
    """Two paths of one field, without `[*]` at their ends where one stands for the other's list.

    `users` and `Users[*]` are two lists as a whole, `flags[*]` and `items[*].on` are item by item.
    """
    lists, others = path.count(EACH), other.count(EACH)
    path = _without_end(path, lists - others)
    other = _without_end(other, others - lists)
    while path[-1] == other[-1] == EACH:
        path, other = path[:-1], other[:-1]
    return path, other


def _without_end(path: Path, count: int) -> Path:
    for _ in range(count):
        path = path[:-1] if path[-1] == EACH else path
    return path
