"""The values of a batch as PostgreSQL's arrays, one a column, each in one text.

https://www.postgresql.org/docs/15/arrays.html#ARRAYS-IO. Elements are in quotes: PostgreSQL reads
each with the input function of its column's type, so that every digit arrives.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from types import MappingProxyType, NoneType
from typing import Any

import orjson

from openbulk.connectors.sql.values import Column, Kind

EMPTY = "{}"


def array_literal(column: Column, values: Sequence[Any]) -> str:
    """A column's values; NULL for None."""
    write = _WRITERS.get(column.kind, str)
    if NoneType in set(map(type, values)):
        elements = ["NULL" if value is None else quote_text(write(value)) for value in values]
        return f"{{{','.join(elements)}}}"
    texts = list(map(write, values))
    joined = '","'.join(texts)
    if "\\" in joined or joined.count('"') > 2 * (len(texts) - 1):
        return f"{{{','.join(map(quote_text, texts))}}}"
    return f'{{"{joined}"}}' if texts else EMPTY


def quote_text(text: str) -> str:
    """A text in quotes, as in an array, and in hstore."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def encode_document(value: Any) -> str:
    """A value as JSON, with every digit."""
    options = orjson.OPT_PASSTHROUGH_DATETIME
    return orjson.dumps(value, default=_to_json, option=options).decode()


def _to_json(value: Any) -> Any:
    """A value that JSON does not have, as PostgreSQL's input functions read it."""
    match value:
        case Decimal():
            return orjson.Fragment(str(value)) if value.is_finite() else str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return _write_bytes(value)
        case MappingProxyType():
            return _write_hstore(value)
    raise TypeError(type(value).__name__)


def _write_bytes(value: bytes) -> str:
    return f"\\x{value.hex()}"


def _write_hstore(pairs: Mapping[str, str | None] | str) -> str:
    """Pairs in the form of hstore (https://www.postgresql.org/docs/15/hstore.html)."""
    if isinstance(pairs, str):
        return pairs
    return ", ".join(
        f"{quote_text(name)}=>{'NULL' if value is None else quote_text(value)}"
        for name, value in pairs.items()
    )


_WRITERS: Mapping[Kind, Callable[[Any], str]] = {
    Kind.BINARY: _write_bytes,
    Kind.HSTORE: _write_hstore,
    Kind.JSON: encode_document,
    Kind.LIST: encode_document,
}
"""How values are written whose text is not that of PostgreSQL. A list is written as JSON."""
