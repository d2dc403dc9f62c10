"""The cells of a row as fields of a form, and back."""

import json
from collections.abc import Mapping
from typing import Any

from openbulk.console.cells import text_of, values_of
from openbulk.domain.errors import BadInput

_PREFIX = "cell:"


def texts_of(row: Mapping[str, Any], fields: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """What the fields of a form have in them, by the cells of a row: texts, else JSON.

    With `fields`, it is what the person has written.
    """
    given = fields or {}
    return {
        name: given.get(_PREFIX + name, text_of(value)) for name, value in values_of(row).items()
    }


def changes_in(row: Mapping[str, Any], fields: Mapping[str, str]) -> Mapping[str, Any]:
    """The new values in the fields of a form; of a row that could not be read, all of them.

    An empty field is an empty cell. Raises BadInput.
    """
    changes: dict[str, Any] = {}
    for name, before in values_of(row).items():
        given = fields.get(_PREFIX + name)
        if given is None:
            continue
        text = _with_plain_lines(given)
        if text != _with_plain_lines(text_of(before)):
            changes[name] = _value_of(text, name, before)
        elif "unread" in row:
            changes[name] = before
    return changes


def _with_plain_lines(text: str) -> str:
    """A text with the line ends that a browser does not change."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _value_of(text: str, name: str, before: object) -> Any:
    """A new value of the type that the cell has: a number stays one, and a text is not taken for
    one. Raises BadInput."""
    if before is None or isinstance(before, str) or not text:
        return text or None
    is_nested = isinstance(before, list | dict)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if is_nested and not isinstance(value, list | dict):
        raise BadInput(
            f"{name} is {text[:40]!r}; it must be a list or an object in JSON, as it was: "
            f"{text_of(before)[:80]}"
        )
    return value
