"""The form that chooses records: its fields and conditions become a query of the API."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

OPERATORS: Mapping[str, str] = {
    "is": "=",
    "is-not": "!=",
    "more": ">",
    "at-least": ">=",
    "less": "<",
    "at-most": "<=",
    "contains": "like",
    "empty": "is null",
    "not-empty": "is not null",
}
"""What a person chooses, and the word of the query language."""
WITHOUT_VALUE = frozenset({"empty", "not-empty"})
CONDITIONS = 3
"""Conditions that the form has room for. More of them are written as text."""
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def selectable_fields(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The fields of an object that a query can name, each with its type."""
    fields: dict[str, str] = {}
    for field in metadata["fields"]:
        name = field.get("path") or field["vendorPath"]
        if "[" not in name:
            kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
            fields[name] = next((kind for kind in kinds if kind != "null"), "string")
    return fields


def query_of(form: Mapping[str, str], chosen: Iterable[str], types: Mapping[str, str]) -> str:
    """The query that a form makes. Without chosen fields, it selects all.

    What is written as text is taken as it is: the API says what is wrong with it.
    """
    names = ", ".join(map(_quote_name, chosen)) or "*"
    where = form.get("where", "").strip() or _condition(form, types)
    limit = form.get("limit", "").strip()
    return " ".join(
        [
            f"select {names} from {form.get('object', '')}",  # noqa: S608 - the API parses it
            *([f"where {where}"] if where else []),
            *([f"limit {limit}"] if limit else []),
        ]
    )


def _condition(form: Mapping[str, str], types: Mapping[str, str]) -> str:
    word = " or " if form.get("join") == "or" else " and "
    parts = (_comparison(form, str(number), types) for number in range(1, CONDITIONS + 1))
    return word.join(part for part in parts if part)


def _comparison(form: Mapping[str, str], number: str, types: Mapping[str, str]) -> str:
    field, operator = form.get(f"field:{number}", ""), form.get(f"operator:{number}", "is")
    if not field or operator not in OPERATORS:
        return ""
    name = _quote_name(field)
    if operator in WITHOUT_VALUE:
        return f"{name} {OPERATORS[operator]}"
    value = form.get(f"value:{number}", "")
    if operator == "contains":
        return f"{name} like {_quote_text(f'%{value}%')}"
    return f"{name} {OPERATORS[operator]} {_value(value, types.get(field, 'string'))}"


def _value(text: str, kind: str) -> str:
    if kind in {"integer", "number"} and _NUMBER.fullmatch(text):
        return text
    if kind == "boolean" and text.lower() in {"true", "false"}:
        return text.lower()
    return _quote_text(text)


def _quote_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _quote_name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else f"`{name.replace('`', '')}`"
