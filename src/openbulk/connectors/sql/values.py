"""Converts values between files and JSON, which hold text and numbers, and columns' types."""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from itertools import chain
from math import isfinite
from types import MappingProxyType
from typing import Any
from uuid import UUID

from openbulk.connectors.fields import FieldError, not_a_choice, short_repr
from openbulk.connectors.sql.numbers import (
    NO_LIMITS,
    NotKept,
    NumberLimits,
    parse_decimal,
    parse_integer,
    require_kept_decimal,
    require_kept_integer,
)
from openbulk.exact_json import decode_json, encode_json


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
    HSTORE = "hstore"
    INTERVAL = "interval"
    RANGE = "range"
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
    is_numbered: bool = False
    """Its default is the next number."""
    is_generated: bool = False
    """Computed by the database, so it accepts no values."""
    is_zoned: bool = False
    """A date and time with an offset from UTC."""
    choices: tuple[str, ...] = ()
    length: int | None = None
    is_padded: bool = False
    """Texts are padded with blanks to its length."""
    is_set: bool = False
    """In MySQL: a text has any of the choices, with commas in between."""
    is_stripped: bool = False
    """In MySQL: blanks at the end of a text are not kept."""
    byte_count: int | None = None
    """In MySQL: fewer bytes are padded with zeros to this count."""
    max_bytes: int | None = None
    """In MySQL: how many bytes a text without a length, or bytes, may have."""
    charset: str | None = None
    """In MySQL: the character set of its texts."""
    numbers: NumberLimits = NO_LIMITS
    number_type: str = ""
    """Of money, or a list of it: the type of numbers as which it goes and comes."""
    has_own_form: bool = False
    """A text is taken only if the database writes it as it is."""
    item: "Column | None" = None
    """What the items of a list, or the bounds of a range, keep; None if they are not checked."""
    second_digits: int = 6
    """How many digits of a second a date and time, a time, or an interval keeps."""
    comment: str | None = None
    type_name: str = ""
    """The name of its type in SQL, without a length."""
    full_type_name: str = ""
    """With its length or precision."""
    collation: str | None = None
    """The name of its collation in SQL, if it is not the database's own."""
    is_plain_text: bool = False
    """Texts are equal if they have the same characters, but for their case and blanks at the end.
    """
    makes_numbers_of_texts: bool = False
    """In SQLite: a text that looks like a number is stored as that number."""

    @property
    def is_required(self) -> bool:
        """A new row needs a value for it."""
        return not (self.is_nullable or self.has_default or self.is_generated)


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the values of a job are read."""

    zone: tzinfo | None = None
    """The time zone of the file's and the table's times that have no offset from UTC, if the
    caller names it. Without it, those that need an offset get that of UTC."""
    is_sqlite: bool = False
    is_typed: bool = False
    """Whether a text is a text, as in JSON. In a CSV it can also be JSON."""
    taken_for_utc: list[str] = field(default_factory=list)
    """The columns of values that got the offset of UTC, as neither they nor the caller name one."""
    is_mysql: bool = False

    @property
    def is_postgresql(self) -> bool:
        """Whether values may have forms that only PostgreSQL reads."""
        return not (self.is_sqlite or self.is_mysql)


def to_database(column: Column, value: Any, conversion: Conversion) -> Any:
    """A value in the type that the database driver takes for a column. Raises FieldError."""
    if value is None:
        return None
    try:
        parsed = _PARSERS[column.kind](value, column, conversion)
    except NotKept as error:
        raise FieldError(column.name, f"{column.name} is {short_repr(value)}; {error}") from error
    except (ValueError, TypeError, InvalidOperation, OverflowError, RecursionError) as error:
        raise FieldError(
            column.name,
            f"{column.name} is {short_repr(value)}, which is not {_expected_value(column)}",
        ) from error
    if conversion.is_sqlite:
        return _to_sqlite(column, parsed)
    return parsed


def to_json(value: Any) -> Any:
    """A database value for JSON. A number that JSON would round becomes text."""
    return _TO_JSON.get(type(value), str)(value)


def keep_value(value: Any) -> Any:
    """Return a value unchanged."""
    return value


def _object_to_json(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _part_to_json(one) for name, one in value.items()}


def _list_to_json(value: Iterable[Any]) -> list[Any]:
    return list(map(_part_to_json, value))


def _part_to_json(value: Any) -> Any:
    """A part of a document: a number stays a number, with its digits."""
    if isinstance(value, Decimal) and value.is_finite():
        return value
    return to_json(value)


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
    if is_exact:
        return number
    return str(value)


def _float_to_json(value: float) -> float | str:
    """JSON has no infinity, and no NaN (RFC 8259, section 6)."""
    if isfinite(value):
        return value
    return _NOT_FINITE[str(value)]


_NOT_FINITE = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
_TO_JSON: Mapping[type, Callable[[Any], Any]] = {
    **dict.fromkeys((type(None), bool, int, str), keep_value),
    float: _float_to_json,
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
_OWN_DATE = re.compile(r"-?infinity|\d{5,7}-\d\d-\d\d|\d{4,7}-\d\d-\d\d BC", re.ASCII)
_OWN_MOMENT = re.compile(
    r"-?infinity"
    r"|(?P<date>\d{4,7}-\d\d-\d\d)"
    r"( \d\d:\d\d(:\d\d(\.\d+)?)?(?P<offset>[+-]\d\d(:\d\d){0,2})?)?(?P<bc> BC)?",
    re.ASCII,
)
"""Dates that PostgreSQL has and Python has not, as PostgreSQL writes them
(https://www.postgresql.org/docs/15/datatype-datetime.html)."""
_OWN_TIME = re.compile(r"24:00(:00)?(?P<offset>[+-]\d\d(:\d\d)?)?", re.ASCII)
_LONG_DATE = len("10000-01-01")
_FRACTION = re.compile(r"[.,](\d+)", re.ASCII)
_JSON_BEGINNINGS = ("{", "[", '"')
_NUL_IN_JSON = re.compile(rb"(?<!\\)(\\\\)*\\u0000")
"""An escaped NUL in encoded JSON, which jsonb does not take
(https://www.postgresql.org/docs/15/datatype-json.html)."""


def _parse_integer(value: Any, column: Column, _conversion: Conversion) -> int:
    number = parse_integer(value)
    require_kept_integer(number, column.numbers)
    return number


def _parse_decimal(value: Any, column: Column, _conversion: Conversion) -> Decimal:
    number = parse_decimal(value)
    require_kept_decimal(number, column.numbers)
    return number


def _parse_boolean(value: Any, column: Column, conversion: Conversion) -> bool | int:
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    if not conversion.is_mysql:
        raise ValueError
    return _parse_integer(value, column, conversion)  # it is a small integer there


def _parse_date(value: Any, _column: Column, conversion: Conversion) -> date | str:
    text = str(value).strip()
    if conversion.is_postgresql and _OWN_DATE.fullmatch(text):
        return text
    return date.fromisoformat(text)


def _parse_moment(value: Any, column: Column, conversion: Conversion) -> datetime | str:
    text = str(value).strip()
    if conversion.is_postgresql and _is_own_moment(text, column, conversion):
        return text
    moment = datetime.fromisoformat(text)
    _require_kept_seconds(text, column)
    has_offset = moment.tzinfo is not None
    if has_offset == column.is_zoned:
        return moment
    if has_offset:
        return _without_offset(moment, conversion.zone)
    if conversion.zone is None:
        conversion.taken_for_utc.append(column.name)
    return _localize(moment, conversion.zone or UTC)


def _is_own_moment(text: str, column: Column, conversion: Conversion) -> bool:
    """Whether a text is a moment in a form that only PostgreSQL reads.

    Raises NotKept if PostgreSQL would cut its offset, or add one that is not meant.
    """
    own = _OWN_MOMENT.fullmatch(text)
    if own is None:
        return False
    if own["date"] is None:
        return True
    if not own["bc"] and len(own["date"]) < _LONG_DATE:
        return False
    _require_kept_seconds(text, column)
    if (own["offset"] is not None) != column.is_zoned and conversion.zone is not None:
        raise NotKept("write it in UTC, with the offset +00, or without one if its type has none")
    if own["offset"] and not column.is_zoned and own["offset"].strip("+-0:"):
        raise NotKept(_NO_OFFSET)
    return True


_NO_OFFSET = (
    "its type has no offset from UTC: leave the offset out, or name in metaData.timeZone the zone "
    "whose clock the column shows"
)


def _without_offset(moment: datetime, zone: tzinfo | None) -> datetime:
    """What the clocks of a zone show at a moment.

    Without a zone, only a moment in UTC is clear. Raises NotKept if the clocks show it twice.
    """
    if zone is None:
        if moment.utcoffset():
            raise NotKept(_NO_OFFSET)
        return moment.replace(tzinfo=None)
    local = moment.astimezone(zone).replace(tzinfo=None, fold=0)
    first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second.utcoffset():
        raise NotKept(
            f"the clocks of {zone} show {local} twice, and without an offset it could not be said "
            "which one it is"
        )
    return local


def _localize(local: datetime, zone: tzinfo) -> datetime:
    """The moment at which clocks show a time. Raises NotKept if they skip it, or show it twice."""
    # The same local time before and after a clock change (PEP 495).
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    moments = sorted({one.astimezone(UTC).astimezone(zone).isoformat() for one in (first, second)})
    is_gap = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local
    fault = "skip it" if is_gap else "show it twice"
    raise NotKept(f"the clocks of {zone} {fault}: write {' or '.join(moments)}")


def _parse_time(value: Any, column: Column, conversion: Conversion) -> time | str:
    text = str(value).strip()
    if conversion.is_mysql and (length := _MYSQL_TIME.fullmatch(text)):
        _require_kept_seconds(text, column)
        return _mysql_time(length)
    own = _OWN_TIME.fullmatch(text) if conversion.is_postgresql else None
    parsed = time.max if own else time.fromisoformat(text)
    _require_kept_seconds(text, column)
    has_offset = bool(own["offset"]) if own else parsed.tzinfo is not None
    if has_offset and not (column.is_zoned or conversion.is_sqlite):
        raise NotKept("it takes a time without an offset from UTC")
    if not column.is_zoned or has_offset:
        return text if own else parsed
    if conversion.zone is None:
        conversion.taken_for_utc.append(column.name)
    offset = _fixed_offset(text, conversion.zone or UTC)
    return f"{text}{time(tzinfo=offset):%z}" if own else parsed.replace(tzinfo=offset)


_MYSQL_TIME = re.compile(
    r"(?P<sign>-?)(?P<hours>\d{2,3}):(?P<rest>[0-5]\d:[0-5]\d)(?P<fraction>\.\d{1,6})?", re.ASCII
)


def _mysql_time(length: re.Match[str]) -> time | str:
    """A length of time, of up to 838 hours, as MySQL writes it; a time of the day is one."""
    fraction = (length["fraction"] or "").rstrip("0").rstrip(".")
    if not length["sign"] and int(length["hours"]) < 24:
        return time.fromisoformat(f"{length['hours'][-2:]}:{length['rest']}{fraction}")
    return f"{length['sign']}{length['hours']}:{length['rest']}{fraction}"


def _fixed_offset(text: str, zone: tzinfo) -> timezone:
    """The offset of a zone's times. Raises NotKept if it changes with the date."""
    offset = zone.utcoffset(None)
    if offset is None:
        raise NotKept(
            f"its type has an offset from UTC, which in {zone} depends on the date: write the "
            f"offset, such as {text}+00:00"
        )
    return timezone(offset)


def _require_kept_seconds(text: str, column: Column) -> None:
    """Raise NotKept for a fraction of a second that Python or the column would cut or round."""
    fraction = _FRACTION.search(text)
    digits = fraction[1].rstrip("0") if fraction else ""
    if len(digits) > column.second_digits:
        raise NotKept(f"it keeps {column.second_digits} digits of a second")


def _parse_uuid(value: Any, _column: Column, _conversion: Conversion) -> UUID:
    return UUID(str(value).strip())


def _parse_json(value: Any, column: Column, conversion: Conversion) -> Any:
    """A text from a CSV that is JSON is parsed; any other text is a JSON string."""
    if isinstance(value, str) and not conversion.is_typed:
        value = _parse_json_text(value)
    encoded = encode_json(value)
    if b"\\u0000" in encoded and _NUL_IN_JSON.search(encoded):
        raise FieldError(column.name, f"{column.name} has a NUL character in it; take it out")
    return value


def _parse_json_text(text: str) -> Any:
    try:
        return decode_json(text)
    except ValueError:
        # It was meant as JSON: a half of it must not become a string.
        if text.lstrip().startswith(_JSON_BEGINNINGS):
            raise
        return text


def _parse_list(value: Any, column: Column, conversion: Conversion) -> Any:
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith("{") and not conversion.is_sqlite:
        if column.item is None or column.item.kind is Kind.BINARY:
            return text  # PostgreSQL's own form: {red,"light blue"}
        text = _list_in_json(text)
    items = decode_json(text) if text else value
    if not isinstance(items, list | tuple):
        raise TypeError
    encode_json(items)
    if column.item is None:
        return list(items)
    return _parse_items(items, column.item, conversion)


def _list_in_json(text: str) -> str:
    """A list in PostgreSQL's own form as JSON: `{1,NULL}` is `["1",null]`."""
    return _LIST_TOKENS.sub(_list_token_in_json, text)


def _list_token_in_json(token: re.Match[str]) -> str:
    if token[0] in "{}":
        return "[" if token[0] == "{" else "]"
    if token[0].startswith('"'):
        return token[0]
    if token[0].strip().upper() == "NULL":
        return "null"
    return encode_json(token[0].strip()).decode()


_LIST_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]|[^{},"]*[^{},"\s][^{},"]*')
"""https://www.postgresql.org/docs/15/arrays.html#ARRAYS-IO"""


def _parse_items(items: Iterable[Any], item: Column, conversion: Conversion) -> list[Any]:
    """The items of a list in their type; a list in it has its own. Raises NotKept."""
    return [
        _parse_items(one, item, conversion)
        if isinstance(one, list)
        else _parse_item(one, item, conversion)
        for one in items
    ]


def _parse_item(value: Any, item: Column, conversion: Conversion) -> Any:
    if value is None:
        return None
    try:
        return _PARSERS[item.kind](value, item, conversion)
    except (ValueError, TypeError, InvalidOperation, OverflowError) as error:
        raise NotKept(f"{short_repr(value)} in it is not {_expected_value(item)}") from error


def _parse_range(value: Any, column: Column, conversion: Conversion) -> str:
    """A range as it is, if PostgreSQL keeps its bounds as they are. Raises NotKept."""
    text = _parse_text(value, column, conversion)
    bounds = column.item
    if bounds is None or text.strip().lower() == "empty":
        return text

    def check(bound: re.Match[str]) -> str:
        parsed = _parse_item(bound[0].strip('"'), bounds, conversion)
        return bound[0] if conversion.zone is None else f'"{parsed}"'

    return _BOUND.sub(check, text)


_BOUND = re.compile(r'"[^"]*"|[^\[\](){},\s"][^\[\](){},"]*')
"""https://www.postgresql.org/docs/15/rangetypes.html#RANGETYPES-IO"""


def _parse_interval(value: Any, column: Column, conversion: Conversion) -> str:
    """An interval as PostgreSQL reads it. A part of a month or a year has no exact length."""
    text = _parse_text(value, column, conversion)
    _require_kept_seconds(text, column)
    if _PART_OF_MONTH.search(text):
        raise NotKept("a part of a month or a year has no exact length: write it in days")
    return text


_PART_OF_MONTH = re.compile(
    r"[.,]\d+\s*(mon|y|dec|c|millen|mil\b)|^[^T]*P[^T]*[.,]\d+M", re.ASCII | re.IGNORECASE
)


def _parse_hstore(value: Any, column: Column, _conversion: Conversion) -> Any:
    """Pairs from JSON, or the text of PostgreSQL's own form: `"size"=>"L"`.

    The pairs are no `dict`, so that they are not taken for a JSON document.
    """
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        _require_characters(column, value)
        return value
    given = decode_json(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise TypeError
    pairs = {name: _hstore_text(one) for name, one in given.items()}
    for text in chain(pairs, filter(None, pairs.values())):
        _require_characters(column, text)
    return MappingProxyType(pairs)


def _hstore_text(value: Any) -> str | None:
    if value is None:
        return None
    return _text_of(value)


def _parse_binary(value: Any, column: Column, _conversion: Conversion) -> bytes:
    decoded = base64.b64decode(value, validate=True)
    _require_bytes(column, len(decoded))
    if column.byte_count is not None and len(decoded) < column.byte_count:
        raise NotKept(
            f"it has {len(decoded)} bytes, and the column would add zeros: it takes "
            f"{column.byte_count}"
        )
    return decoded


def _parse_text(value: Any, column: Column, _conversion: Conversion) -> str:
    text = _text_of(value)
    if not text.isprintable():
        _require_characters(column, text)
    if column.choices:
        _require_choices(column, text, value)
    if column.length is not None:
        return _text_within_length(column, text)
    if column.max_bytes is not None:
        _require_bytes(column, len(text.encode()))
    return text


def _require_bytes(column: Column, count: int) -> None:
    if column.max_bytes is not None and count > column.max_bytes:
        raise FieldError(
            column.name, f"{column.name} has {count} bytes; it takes {column.max_bytes}"
        )


def _require_choices(column: Column, text: str, value: Any) -> None:
    chosen = text.split(",") if column.is_set and text else [text]
    if column.is_set and not text:
        return
    for one in chosen:
        if one not in column.choices:
            raise not_a_choice(column.name, one if column.is_set else value, column.choices)


def _require_characters(column: Column, text: str) -> None:
    """Refuse characters that no database takes.

    https://www.postgresql.org/docs/15/datatype-character.html, and RFC 8259, section 8.2
    """
    if "\x00" in text:
        raise FieldError(column.name, f"{column.name} has a NUL character in it; take it out")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FieldError(
            column.name,
            f"{column.name} has half of a surrogate pair in it (character {error.start + 1}): "
            "which is not a character; correct the text",
        ) from error


def _text_within_length(column: Column, text: str) -> str:
    """A text as the column stores it: char(n) has blanks up to its length.

    https://www.postgresql.org/docs/15/datatype-character.html
    """
    assert column.length is not None
    if column.is_padded:
        text = text.rstrip(" ").ljust(column.length)
    if column.is_stripped:
        text = text.rstrip(" ")
    if len(text) > column.length:
        raise FieldError(
            column.name, f"{column.name} has {len(text)} characters; it takes {column.length}"
        )
    return text


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    return encode_json(value).decode()


_PARSERS: Mapping[Kind, Callable[[Any, Column, Conversion], Any]] = {
    Kind.INTEGER: _parse_integer,
    Kind.NUMBER: _parse_decimal,
    Kind.BOOLEAN: _parse_boolean,
    Kind.DATE: _parse_date,
    Kind.MOMENT: _parse_moment,
    Kind.TIME: _parse_time,
    Kind.UUID: _parse_uuid,
    Kind.JSON: _parse_json,
    Kind.LIST: _parse_list,
    Kind.HSTORE: _parse_hstore,
    Kind.INTERVAL: _parse_interval,
    Kind.RANGE: _parse_range,
    Kind.BINARY: _parse_binary,
    Kind.TEXT: _parse_text,
    Kind.OTHER: _parse_text,
}
_WANTED: Mapping[Kind, str] = {
    Kind.INTEGER: "a whole number; write it like 42",
    Kind.NUMBER: "a number; write it like 12.50",
    Kind.BOOLEAN: "true or false",
    Kind.DATE: "a date; write it like 2026-05-30",
    Kind.MOMENT: "a date and time; write it like 2026-05-30T10:00:00+02:00",
    Kind.TIME: "a time; write it like 10:30:00",
    Kind.UUID: "a UUID; write it like 0b4ad3c6-6f6e-4b5b-9f0e-2d8f0c6b7a11",
    Kind.JSON: "JSON",
    Kind.LIST: "a list in JSON; write it like [1, 2]",
    Kind.HSTORE: 'an object in JSON; write it like {"size": "L"}',
    Kind.INTERVAL: "an interval; write it like 1 day 02:30:00",
    Kind.RANGE: "a range; write it like [1,5)",
    Kind.BINARY: "base64",
    Kind.TEXT: "a text that a database can hold",
    Kind.OTHER: "a text that a database can hold",
}


def _expected_value(column: Column) -> str:
    """What a column takes, for a message."""
    if column.kind is Kind.MOMENT and not column.is_zoned:
        return "a date and time; write it like 2026-05-30T10:00:00"
    return _WANTED[column.kind]


CHECKED_ITEMS = frozenset(
    {
        Kind.INTEGER,
        Kind.NUMBER,
        Kind.BOOLEAN,
        Kind.DATE,
        Kind.MOMENT,
        Kind.TIME,
        Kind.UUID,
        Kind.INTERVAL,
        Kind.RANGE,
        Kind.BINARY,
    }
)
"""The kinds whose values are parsed in a list, too."""


# --- SQLite ---


def _to_sqlite(column: Column, value: Any) -> Any:
    """A value as one of SQLite's five types (https://sqlite.org/datatype3.html).

    Dates and times are text in ISO 8601, those with an offset in UTC. Raises FieldError.
    """
    if isinstance(value, Decimal | float) or is_beyond_64_bits(value):
        return _number_to_sqlite(column, Decimal(str(value)))
    if column.makes_numbers_of_texts and isinstance(value, str):
        _require_kept_text(column, value)
    return _TO_SQLITE.get(column.kind, keep_value)(value)


def is_beyond_64_bits(value: Any) -> bool:
    """Whether a value is an integer that SQLite does not hold."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _number_to_sqlite(column: Column, value: Decimal) -> int | float:
    limits = column.numbers
    has_room = not limits.float_digits and value.is_finite() and value.adjusted() < 19
    if has_room and value == value.to_integral_value() and -(2**63) <= value < 2**63:
        return int(value)
    try:
        require_kept_decimal(value, _SQLITE_FLOATS if limits.float_digits else _SQLITE_DECIMALS)
    except NotKept as error:
        raise FieldError(column.name, f"{column.name} is {short_repr(value)}; {error}") from error
    return float(value)


_SQLITE_FLOATS = NumberLimits(float_digits=17, takes_nan=False)
"""SQLite stores NaN as NULL (https://sqlite.org/floatingpoint.html)."""
_SQLITE_DECIMALS = NumberLimits(float_digits=17, takes_long_floats=False, takes_nan=False)
"""In a column of decimals, SQLite keeps a fraction as a float all the same."""


def _require_kept_text(column: Column, text: str) -> None:
    """Refuse a text that the column would turn into a number that is written in another way.

    https://sqlite.org/datatype3.html, section 3
    """
    if not _NUMBER_IN_SQLITE.fullmatch(text.strip()):
        return
    if not _PLAIN_INTEGER.fullmatch(text) or abs(int(text)) >= 2**63:
        raise FieldError(
            column.name,
            f"{column.name} is {short_repr(text)}; its type makes a number of it, which may be "
            "written in another way: give the column the type TEXT",
        )


_NUMBER_IN_SQLITE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PLAIN_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)


def _moment_to_sqlite(value: datetime) -> str:
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    return value.isoformat(" ")


def _json_to_sqlite(value: Any) -> Any:
    if isinstance(value, dict | list | bool):
        return encode_json(value).decode()
    return value


_TO_SQLITE: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.BOOLEAN: int,
    Kind.DATE: str,
    Kind.TIME: str,
    Kind.MOMENT: _moment_to_sqlite,
    Kind.UUID: str,
    Kind.JSON: _json_to_sqlite,
    Kind.LIST: _json_to_sqlite,
}
"""Values of other kinds already have one of the five types."""
