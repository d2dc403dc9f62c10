"""Records and rows as cells of a table that people read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAX_COLUMNS = 40
"""Of a table: the first of a wider one."""
MAX_CELL = 200
"""Characters of a cell."""


def columns_of(records: Iterable[Mapping[str, Any]]) -> Sequence[str]:
    """The columns for all fields of records, in the order in which they come."""
    return list(dict.fromkeys(name for record in records for name in record))[:MAX_COLUMNS]


def cells_of(record: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """A record's cells; "" for a field that it does not have."""
    return [_shorten(text_of(record.get(name))) for name in columns]


def values_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of a row of a job, as they were mended."""
    return {**row.get("values", {}), **row.get("mended", {})}


def text_of(value: object) -> str:
    """A value as text: an object or a list as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}…"
