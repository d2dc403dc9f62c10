"""The form of the columns: which columns of a file make which field.

A row of the form is a field: `field:3`, two columns `first:3` and `second:3` or a text `text:3`.
What the form does not show of an entry, such as the values of a column, it carries along in
`rest:3`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EMPTY_ROWS = 3
"""Rows for fields that the proposal does not have."""
_SHOWN = frozenset({"column", "columns", "value"})


@dataclass(frozen=True, slots=True)
class FieldChoice:
    """A row of the form."""

    field: str = ""
    columns: Sequence[str] = ()
    text: str = ""
    rest: str = ""
    """What else the mapping says of the field, as JSON."""
    why: str = ""
    is_sure: bool = False


def choices_of(proposal: Mapping[str, Any]) -> list[FieldChoice]:
    """The rows for a proposal of the API, and some that are empty."""
    reasons = {one["field"]: one for one in proposal["fields"]}
    rows = [
        _choice_of(name, entry, reasons.get(name, {}))
        for name, entry in proposal["mapping"].items()
    ]
    return [*rows, *[FieldChoice()] * EMPTY_ROWS]


def _choice_of(name: str, entry: Any, reason: Mapping[str, Any]) -> FieldChoice:
    if isinstance(entry, str):
        entry = {"column": entry}
    columns = entry.get("columns", [entry["column"]] if "column" in entry else [])
    rest = {key: value for key, value in entry.items() if key not in _SHOWN}
    return FieldChoice(
        name,
        tuple(columns),
        str(entry.get("value", "")),
        json.dumps(rest) if rest else "",
        reason.get("why", ""),
        bool(reason.get("sure")),
    )


def mapping_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The mapping that a form makes. Rows without a field, or with nothing for it, are left out."""
    mapping: dict[str, Any] = {}
    for name, field in form.items():
        kind, _, number = name.partition(":")
        if kind == "field" and field:
            entry = _entry_of(form, number)
            if entry:
                mapping[field] = entry
    return mapping


def _entry_of(form: Mapping[str, str], number: str) -> str | dict[str, Any]:
    columns = [form.get(f"{place}:{number}", "") for place in ("first", "second")]
    columns = [column for column in columns if column]
    text, rest = form.get(f"text:{number}", ""), _rest_of(form.get(f"rest:{number}", ""))
    if len(columns) > 1:
        return {"columns": columns, **rest}
    if columns:
        return {"column": columns[0], **rest} if rest else columns[0]
    if text:
        return {"value": text}
    return rest if "template" in rest else {}


def _rest_of(text: str) -> dict[str, Any]:
    try:
        rest = json.loads(text or "{}")
    except ValueError:
        return {}
    return rest if isinstance(rest, dict) else {}
