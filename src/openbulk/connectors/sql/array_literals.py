"""The values of a batch as PostgreSQL's arrays, one a column, each in one text.

https://www.postgresql.org/docs/15/arrays.html#ARRAYS-IO. Elements are in quotes: PostgreSQL reads
each with the input function of its column's type, so that every digit arrives.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from types import MappingProxyType, NoneType
from typing import Any, Self

import orjson

from openbulk.connectors.sql.values import Column, Kind

EMPTY_ARRAY = "{}"


@dataclass(frozen=True, slots=True)
class ArrayColumn:
    """A column of a batch: its values as elements of an array."""

    elements: Sequence[str]
    are_quoted: bool
    """Whether elements have their quotes; NULL has none."""

    @classmethod
    def of(cls, column: Column, values: Sequence[Any]) -> Self:
        """A column's values; NULL for None."""
        write = _WRITERS.get(column.kind, str)
        if NoneType in set(map(type, values)):
            elements = ["NULL" if value is None else quote_text(write(value)) for value in values]
            return cls(elements, are_quoted=True)
        texts = list(map(write, values))
        joined = "".join(texts)
        if "\\" in joined or '"' in joined:
            return cls(list(map(quote_text, texts)), are_quoted=True)
        return cls(texts, are_quoted=False)

    def literal(self, places: slice) -> str:
        """The array of the elements at these places."""
        elements = self.elements[places]
        if not elements:
            return EMPTY_ARRAY
        if self.are_quoted:
            return f"{{{','.join(elements)}}}"
        joined = '","'.join(elements)
        return f'{{"{joined}"}}'


def quote_text(text: str) -> str:
    """A text in quotes, as in an array, and in hstore."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def encode_document(value: Any) -> str:
    """A value as JSON, with every digit."""
    options = orjson.OPT_PASSTHROUGH_DATETIME
    return orjson.dumps(value, default=_input_value, option=options).decode()


def _input_value(value: Any) -> Any:
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
