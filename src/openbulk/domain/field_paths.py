"""Paths of fields: `address.city`, `phones[0]`, and in transformations also `users[*].name`."""

import re

Path = tuple[str | int, ...]
"""Where a field is: the names of the objects around it, the numbers of list items, its name."""

MAX_STEPS = 32
"""A field that is nested deeper could not be shown: answers are JSON, which parsers bound."""
EACH = "[*]"
"""The step to each item of a list. No name has brackets."""
MAX_PATH_CHARACTERS = 500
_STEP = re.compile(r"(?P<name>[^\[\]]+)(?P<items>(?:\[(?:\*|\d{1,4})\])*)")
_ITEM = re.compile(r"\[(\*|\d+)\]")


def path_text(path: Path) -> str:
    """A path as a dotted name: `attendees[0].email`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def parse_field_path(text: str) -> Path:
    """The steps of a path. Raises ValueError, whose message says what would be right.

    A list in itself is the list of its items: `[*]` at the end is left out.
    """
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
    while steps[-1] == EACH:
        steps.pop()
    if len(steps) > MAX_STEPS:
        raise ValueError(f"has more than {MAX_STEPS} steps")
    return tuple(steps)


def field_path_text(path: Path) -> str:
    """A path as `parse_field_path` reads it."""
    return path_text(path).replace(f".{EACH}", EACH)


def steps_below(path: Path, container: Path) -> Path | None:
    """The steps from a container to a field in it; None if the field is not in it.

    `[*]` of the container is any item.
    """
    if len(path) < len(container) or not all(map(_is_step, path, container)):
        return None
    return path[len(container) :]


def _is_step(step: str | int, wanted: str | int) -> bool:
    return step == wanted or (wanted == EACH and isinstance(step, int))


def with_items_of(path: Path, other: Path) -> Path:
    """A path whose `[*]`s are, in their order, the items that another path names."""
    items = iter([step for step in other if step == EACH or isinstance(step, int)])
    return tuple(next(items, EACH) if step == EACH else step for step in path)
