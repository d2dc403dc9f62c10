"""Converts values between files and JSON, which hold text and numbers, and columns' types."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from openbulk.connectors.fields import FieldError, not_a_choice, short_repr


class Kind(StrEnum):
    """What a column holds."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    MOMENT = "date and time"
    TIME = "time"
    UUID = "uuid"
    JSON = "json"
    LIST = "list"
    BINARY = "binary"
    TEXT = "text"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind
    is_nullable: bool = True
    has_default: bool = False
    is_generated: bool = False
    """Computed by the database, so it accepts no values."""
    is_zoned: bool = False
    """A date and time with an offset from UTC."""
    choices: tuple[str, ...] = ()
    length: int | None = None
    comment: str | None = None

    @property
    def is_required(self) -> bool:
        """A new row needs a value for it."""
        return not (self.is_nullable or self.has_default or self.is_generated)


def to_database(column: Column, value: Any, zone: tzinfo, *, is_sqlite: bool) -> Any:
    """A value in the type that the database driver takes for a column. Raises FieldError.

    `zone` is the time zone of times that have no offset from UTC.
    """
    if value is None:
        return None
    try:
        parsed = _PARSERS[column.kind](value, column, zone)
    except (ValueError, TypeError, InvalidOperation, OverflowError, binascii.Error) as error:
        wanted = _WANTED[column.kind]
        raise FieldError(
            column.name, f"{column.name} is {short_repr(value)}, which is not {wanted}"
        ) from error
    if is_sqlite:
        return _TO_SQLITE.get(column.kind, keep_value)(parsed)
    return parsed


def to_json(value: Any) -> Any:
    """A database value for JSON. A number that JSON would round becomes text."""
    return _TO_JSON.get(type(value), str)(value)


def keep_value(value: Any) -> Any:
    """Return a value unchanged."""
    return value


def _object_to_json(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): to_json(one) for name, one in value.items()}


def _list_to_json(value: Iterable[Any]) -> list[Any]:
    return list(map(to_json, value))


def _bytes_to_json(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _number_to_json(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    number: int | float
    # Readers of JSON hold numbers as doubles, which round (RFC 8259, section 6).
    if value.as_tuple().exponent == 0:
        number, is_exact = int(value), abs(value) < 2**53
    else:
        number = float(value)
        is_exact = Decimal(repr(number)) == value
    return number if is_exact else str(value)


_TO_JSON: Mapping[type, Callable[[Any], Any]] = {
    **dict.fromkeys((type(None), bool, int, float, str), keep_value),
    Decimal: _number_to_json,
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    **dict.fromkeys((bytes, bytearray, memoryview), _bytes_to_json),
    dict: _object_to_json,
    **dict.fromkeys((list, tuple), _list_to_json),
}
"""By the type that the driver returns. All others (addresses, ranges, intervals) become text."""


# --- into the database ---

_TRUE = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "off"})
"""The words that PostgreSQL accepts (https://www.postgresql.org/docs/15/datatype-boolean.html)."""
_INTEGER = re.compile(r"[+-]?\d{1,40}", re.ASCII)


def _parse_integer(value: Any, _column: Column, _zone: tzinfo) -> int:
    match value:
        case bool():
            raise ValueError
        case float() if not value.is_integer():
            raise ValueError
        case str() if not _INTEGER.fullmatch(value.strip()):
            raise ValueError
    return int(value)


def _parse_decimal(value: Any, _column: Column, _zone: tzinfo) -> Decimal:
    if isinstance(value, bool):
        raise ValueError
    return Decimal(str(value).strip())


def _parse_boolean(value: Any, _column: Column, _zone: tzinfo) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _parse_date(value: Any, _column: Column, _zone: tzinfo) -> date:
    return date.fromisoformat(str(value).strip())


def _parse_moment(value: Any, column: Column, zone: tzinfo) -> datetime:
    moment = datetime.fromisoformat(str(value).strip())
    has_offset = moment.tzinfo is not None
    if has_offset == column.is_zoned:
        return moment
    if has_offset:
        return moment.astimezone(zone).replace(tzinfo=None)
    return moment.replace(tzinfo=zone)


def _parse_time(value: Any, _column: Column, _zone: tzinfo) -> time:
    return time.fromisoformat(str(value).strip())


def _parse_uuid(value: Any, _column: Column, _zone: tzinfo) -> UUID:
    return UUID(str(value).strip())


def _parse_json(value: Any, _column: Column, _zone: tzinfo) -> Any:
    """A text that is JSON is parsed; any other text is a JSON string."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _parse_list(value: Any, _column: Column, _zone: tzinfo) -> list[Any]:
    items = orjson.loads(value) if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise TypeError
    return list(items)


def _parse_binary(value: Any, _column: Column, _zone: tzinfo) -> bytes:
    return base64.b64decode(value, validate=True)


def _parse_text(value: Any, column: Column, _zone: tzinfo) -> str:
    text = _text_of(value)
    if "\x00" in text:
        # PostgreSQL text cannot hold it (https://www.postgresql.org/docs/15/datatype-character.html).
        raise ValueError
    if column.choices and text not in column.choices:
        raise not_a_choice(column.name, value, column.choices)
    if column.length is not None and len(text) > column.length:
        raise FieldError(
            column.name, f"{column.name} has {len(text)} characters; it takes {column.length}"
        )
    return text


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


_PARSERS: Mapping[Kind, Callable[[Any, Column, tzinfo], Any]] = {
    Kind.INTEGER: _parse_integer,
    Kind.NUMBER: _parse_decimal,
    Kind.BOOLEAN: _parse_boolean,
    Kind.DATE: _parse_date,
    Kind.MOMENT: _parse_moment,
    Kind.TIME: _parse_time,
    Kind.UUID: _parse_uuid,
    Kind.JSON: _parse_json,
    Kind.LIST: _parse_list,
    Kind.BINARY: _parse_binary,
    Kind.TEXT: _parse_text,
    Kind.OTHER: _parse_text,
}
_WANTED: Mapping[Kind, str] = {
    Kind.INTEGER: "a whole number, such as 42",
    Kind.NUMBER: "a number, such as 12.50",
    Kind.BOOLEAN: "true or false",
    Kind.DATE: "a date, such as 2026-05-30",
    Kind.MOMENT: "a date and time, such as 2026-05-30T10:00:00+02:00",
    Kind.TIME: "a time, such as 10:30:00",
    Kind.UUID: "a UUID, such as 0b4ad3c6-6f6e-4b5b-9f0e-2d8f0c6b7a11",
    Kind.JSON: "JSON",
    Kind.LIST: "a list in JSON, such as [1, 2]",
    Kind.BINARY: "base64",
    Kind.TEXT: "a text that a database can hold (there is a NUL character in it)",
    Kind.OTHER: "a text that a database can hold",
}


# --- SQLite ---


def _number_to_sqlite(value: Decimal) -> int | float:
    is_whole = value == value.to_integral_value()
    return int(value) if is_whole else float(value)


def _moment_to_sqlite(value: datetime) -> str:
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    return value.isoformat(" ")


def _json_to_sqlite(value: Any) -> Any:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return int(value) if isinstance(value, bool) else value


_TO_SQLITE: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.BOOLEAN: int,
    Kind.NUMBER: _number_to_sqlite,
    Kind.DATE: str,
    Kind.TIME: str,
    Kind.MOMENT: _moment_to_sqlite,
    Kind.UUID: str,
    Kind.JSON: _json_to_sqlite,
    Kind.LIST: _json_to_sqlite,
}
"""SQLite has five types (https://sqlite.org/datatype3.html). Dates and times are text in ISO 8601,
those with an offset in UTC. Values of other kinds already have one of the five."""
