"""Values on their way into a column and out of it: files and JSON have texts and numbers, databases have types."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from openbulk.connectors.fields import FieldError


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
    """Computed by the database: it takes no values."""
    is_zoned: bool = False
    """A date and time with an offset from UTC."""
    choices: tuple[str, ...] = ()
    length: int | None = None
    comment: str | None = None


def taken(column: Column, value: Any, zone: tzinfo) -> Any:
    """A value as the database takes it. `zone` is that of times without an offset. Raises FieldError."""
    if value is None:
        return None
    try:
        return _TAKEN[column.kind](value, column, zone)
    except (ValueError, TypeError, InvalidOperation, OverflowError, binascii.Error) as error:
        wanted = _WANTED[column.kind]
        raise FieldError(
            column.name, f"{column.name} is {_short(value)}, which is not {wanted}"
        ) from error


def shown(value: Any) -> Any:
    """A value of the database as JSON has it. A number that JSON would round stays a text."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return _number(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | memoryview() | bytearray():
            return base64.b64encode(value).decode()
        case Mapping():
            return {str(name): shown(one) for name, one in value.items()}
        case list() | tuple():
            return [shown(one) for one in value]
    return str(value)


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and value.as_tuple().exponent == 0:
        return int(value) if abs(value) < 2**53 else str(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


# --- into the database ---

_TRUE = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "off"})
_INTEGER = re.compile(r"[+-]?\d{1,40}", re.ASCII)


def _integer(value: Any, _column: Column, _zone: tzinfo) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    if isinstance(value, str) and not _INTEGER.fullmatch(value.strip()):
        raise ValueError
    return int(value)


def _decimal(value: Any, _column: Column, _zone: tzinfo) -> Decimal:
    if isinstance(value, bool):
        raise ValueError
    return Decimal(str(value).strip())


def _boolean(value: Any, _column: Column, _zone: tzinfo) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _date(value: Any, _column: Column, _zone: tzinfo) -> date:
    return date.fromisoformat(str(value).strip())


def _moment(value: Any, column: Column, zone: tzinfo) -> datetime:
    moment = datetime.fromisoformat(str(value).strip())
    if column.is_zoned:
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return moment.astimezone(zone).replace(tzinfo=None) if moment.tzinfo else moment


def _time(value: Any, _column: Column, _zone: tzinfo) -> time:
    return time.fromisoformat(str(value).strip())


def _uuid(value: Any, _column: Column, _zone: tzinfo) -> UUID:
    return UUID(str(value).strip())


def _json(value: Any, _column: Column, _zone: tzinfo) -> Any:
    """A text that is JSON is taken as what it says; any other text as itself."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _list(value: Any, _column: Column, _zone: tzinfo) -> list[Any]:
    found = orjson.loads(value) if isinstance(value, str) else value
    if not isinstance(found, list | tuple):
        raise TypeError
    return list(found)


def _binary(value: Any, _column: Column, _zone: tzinfo) -> bytes:
    return base64.b64decode(value, validate=True)


def _text(value: Any, column: Column, _zone: tzinfo) -> str:
    text = _spelled(value)
    if "\x00" in text:
        raise ValueError
    if column.choices and text not in column.choices:
        raise FieldError(
            column.name, f"{column.name} is {_short(value)}; it can be {', '.join(column.choices)}"
        )
    if column.length is not None and len(text) > column.length:
        raise FieldError(
            column.name, f"{column.name} has {len(text)} characters; it takes {column.length}"
        )
    return text


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else orjson.dumps(value).decode()


_TAKEN: Mapping[Kind, Callable[[Any, Column, tzinfo], Any]] = {
    Kind.INTEGER: _integer,
    Kind.NUMBER: _decimal,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.MOMENT: _moment,
    Kind.TIME: _time,
    Kind.UUID: _uuid,
    Kind.JSON: _json,
    Kind.LIST: _list,
    Kind.BINARY: _binary,
    Kind.TEXT: _text,
    Kind.OTHER: _text,
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


def as_sqlite(value: Any) -> Any:
    """A value that was taken, in one of the types that SQLite has (https://sqlite.org/datatype3.html).

    Dates and times are texts in ISO 8601, those with an offset in UTC.
    """
    match value:
        case bool():
            return int(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value
            return moment.isoformat(" ")
        case date() | time() | timedelta() | UUID():
            return str(value)
        case dict() | list():
            return orjson.dumps(value).decode()
    return value


def _short(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
