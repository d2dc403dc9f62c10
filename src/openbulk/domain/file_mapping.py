"""A mapping: how the columns of a file make the fields of a record (decision 52).

One entry for each field. A text is the name of a column; other entries are objects:

COLUMN    {"column": "Note", "empty": "clear"}, also with `format`, `values`, `default`
COLUMNS   {"columns": ["Date", "Begin"], "format": "DD.MM.YYYY HH:mm"}, joined by blanks
          Both also with `lastDay` and `allDay`, for days (decision 60)
VALUE     {"value": "Hall"}, the same for every record
TEMPLATE  {"template": "{Subject}: {Topic}"}
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

from openbulk.domain.date_formats import parse_date_format
from openbulk.domain.errors import BadInput
from openbulk.domain.field_paths import MAX_STEPS
from openbulk.domain.options import json_text, with_known_spelling
from openbulk.domain.written_numbers import SIGNS

MAX_ENTRIES = 1_000
MAX_COLUMNS = 50
"""Columns of one field."""
MAX_QUOTED = 40
"""Characters of what was given, in a message."""
EXAMPLE = '{"summary": "Title", "location": {"value": "Hall"}}'
CLEAR, SKIP = "clear", "skip"
_DAYS = ("lastDay", "allDay")
_KEYS: Mapping[str, Sequence[str]] = {
    "column": ("format", "decimal", "values", "default", "empty", *_DAYS),
    "columns": ("format", "empty", *_DAYS),
    "value": (),
    "template": ("empty",),
}
"""The ways to make a field, and the keys that each takes beside its own."""
_ALL_KEYS = tuple(dict.fromkeys([*_KEYS, *(key for keys in _KEYS.values() for key in keys)]))
_IN_TEMPLATE = re.compile(r"\{\{|\}\}|\{(?P<column>[^{}]*)\}|[{}]")
_BRACES = {"{{": "{", "}}": "}"}


@dataclass(frozen=True, slots=True)
class FieldSource:
    """How the value of one field is made."""

    columns: tuple[str, ...] = ()
    """The columns that it is made of; none for a constant."""
    is_joined: bool = False
    """Whether it has a list of columns, whose cells are joined by blanks."""
    format: str | None = None
    """How the date or the time is written."""
    decimal: str | None = None
    """The decimal sign of the number: a point or a comma."""
    values: Mapping[str, Any] | None = None
    """The values by the texts of cells."""
    default: Any = None
    """The value for cells that `values` does not have; None if these are refused."""
    template: str | None = None
    value: Any = None
    """A constant."""
    empty: str | None = None
    """What an empty cell does: `clear` clears the field, `skip` leaves it as it is.

    None leaves the field as it is, and passes on the null of a JSON record.
    """
    last_day: bool = False
    """Whether a day is the last one, and the field is the day after it."""
    all_day: str | None = None
    """The column that says of each row whether it is about whole days."""

    @property
    def all_columns(self) -> tuple[str, ...]:
        """The columns that it is made of, and the one that says whether it is a whole day."""
        return self.columns if self.all_day is None else (*self.columns, self.all_day)

    @property
    def is_converted(self) -> bool:
        """Whether the field's value is not what its cells say."""
        return any(one is not None for one in (self.format, self.decimal, self.values))

    def with_columns(self, names: Mapping[str, str]) -> "FieldSource":
        """The source with other names of its columns."""
        template = self.template
        if template is not None:
            template = "".join(
                text if column is None else f"{{{names.get(column, column)}}}"
                for text, column in _pieces_as_written(template)
            )
        columns = tuple(names.get(one, one) for one in self.columns)
        all_day = None if self.all_day is None else names.get(self.all_day, self.all_day)
        return replace(self, columns=columns, template=template, all_day=all_day)

    def as_json(self) -> Any:
        """The entry as JSON; `parse_source` reads it back."""
        if self.template is not None:
            made: dict[str, Any] = {"template": self.template}
        elif self.is_joined:
            made = {"columns": list(self.columns)}
        elif self.columns:
            made = {"column": self.columns[0]}
        else:
            made = {"value": self.value}
        others = {
            "format": self.format,
            "decimal": self.decimal,
            "values": self.values,
            "default": self.default,
            "empty": self.empty,
            "lastDay": self.last_day or None,
            "allDay": self.all_day,
        }
        given = {key: value for key, value in others.items() if value is not None}
        return made["column"] if "column" in made and not given else made | given


def is_read(source: FieldSource) -> bool:
    """Whether the source itself says what a cell means; a constant means what it says."""
    return source.is_converted or not source.columns


@dataclass(frozen=True)
class FileMapping:
    """How the columns of a file make the fields of a record."""

    sources: Mapping[str, FieldSource]
    """By the names of fields, as the caller writes them."""

    @cached_property
    def columns(self) -> Sequence[str]:
        """The columns that are read, each once."""
        read = chain.from_iterable(one.all_columns for one in self.sources.values())
        return list(dict.fromkeys(read))

    def with_columns(self, names: Mapping[str, str]) -> "FileMapping":
        """The mapping with other names of its columns."""
        return FileMapping({key: one.with_columns(names) for key, one in self.sources.items()})

    def with_fields(self, name_of: Callable[[str], str]) -> "FileMapping":
        """The mapping with other names of its fields."""
        return FileMapping({name_of(field): one for field, one in self.sources.items()})

    def columns_behind(self, field: str) -> Sequence[str]:
        """The columns that a field is made of, or those in it, or else the one around it."""
        inside = (f"{field}.", f"{field}[")
        found = [
            source
            for name, source in self.sources.items()
            if name == field or name.startswith(inside)
        ] or [
            source
            for name, source in self.sources.items()
            if field.startswith((f"{name}.", f"{name}["))
        ]
        return list(dict.fromkeys(name for source in found for name in source.columns))

    def fields_of(self, column: str) -> Sequence[str]:
        """The fields that get what the cells of a column say."""
        return [
            field
            for field, source in self.sources.items()
            if column in source.columns and not source.is_converted
        ]

    def as_json(self) -> dict[str, Any]:
        """The mapping as JSON; `parse_mapping` reads it back."""
        return {field: source.as_json() for field, source in self.sources.items()}


def is_reference(given: Mapping[str, Any]) -> bool:
    """Whether it names a version of a saved mapping; no entry of a mapping is a number."""
    return type(given.get("version")) is int


def parse_mapping(given: Any, place: str = "metaData.mapping") -> FileMapping:
    """A mapping from JSON. Raises BadInput, with what would be right.

    Whether its columns and its fields exist is not known here.
    """
    if not isinstance(given, Mapping):
        raise BadInput(
            f"{place} is {_quote(given)}, which is not a JSON object; a mapping looks like "
            f"{EXAMPLE}"
        )
    if not given:
        raise BadInput(f"{place} names no field; a mapping looks like {EXAMPLE}")
    if len(given) > MAX_ENTRIES:
        raise BadInput(f"{place} has {len(given):,} fields; it can have {MAX_ENTRIES:,}")
    for field in given:
        _require_usable_name(field, place)
    mapping = FileMapping(
        {field: _parse_source(one, f"{place}.{field[:80]}") for field, one in given.items()}
    )
    if not mapping.columns:
        raise BadInput(
            f"{place} names no column, so all records would be the same; "
            f"a mapping looks like {EXAMPLE}"
        )
    return mapping


def _require_usable_name(field: str, place: str) -> None:
    """Raise BadInput for a name that no field can have."""
    if not field:
        raise BadInput(f"{place} has a field without a name; a mapping looks like {EXAMPLE}")
    if field.count(".") + field.count("[") >= MAX_STEPS:
        raise BadInput(
            f"{place} has the field {field[:80]!r}, whose path has more than {MAX_STEPS} steps; "
            "no record can have it"
        )


def _parse_source(given: Any, place: str) -> FieldSource:
    if isinstance(given, str):
        return FieldSource((_column_name(given, place),))
    if not isinstance(given, Mapping):
        raise BadInput(
            f"{place} is {_quote(given)}; it is the name of a column, or an object such as "
            '{"column": "Title"} or {"value": "Hall"}'
        )
    entry = with_known_spelling(given, _ALL_KEYS, place)
    kinds = [kind for kind in _KEYS if kind in entry]
    if len(kinds) != 1:
        has = f"has {' and '.join(kinds)}" if kinds else "says not where its value comes from"
        raise BadInput(f"{place} {has}; write one of {', '.join(_KEYS)}")
    kind = kinds[0]
    for key in entry:
        if key != kind and key not in _KEYS[kind]:
            takes = f"{kind} takes {', '.join(_KEYS[kind])}" if _KEYS[kind] else "leave it out"
            raise BadInput(f"{place}: {key} has no effect beside {kind}; {takes}")
    _require_one_reading(entry, place)
    source = _PARSERS[kind](entry[kind], f"{place}.{kind}")
    return replace(
        source,
        last_day=_parse_last_day(entry.get("lastDay"), f"{place}.lastDay"),
        all_day=_parse_all_day(entry.get("allDay"), f"{place}.allDay"),
        format=_parse_format(entry.get("format"), f"{place}.format"),
        decimal=_parse_decimal(entry.get("decimal"), f"{place}.decimal"),
        values=_parse_values(entry.get("values"), f"{place}.values"),
        default=_parse_default(entry, place),
        empty=_parse_empty(entry.get("empty"), f"{place}.empty"),
    )


def _require_one_reading(entry: Mapping[str, Any], place: str) -> None:
    """Raise BadInput for an entry that reads its cells in two ways."""
    ways = [key for key in ("format", "decimal", "values") if entry.get(key) is not None]
    if len(ways) > 1:
        raise BadInput(f"{place} has {' and '.join(ways)}; a cell is read in one of these ways")
    if "values" in ways and entry.get("lastDay"):
        raise BadInput(f"{place}: lastDay has no effect beside values; write the day after there")


def _column_name(given: Any, place: str) -> str:
    if not isinstance(given, str) or not given:
        raise BadInput(
            f"{place} has {_quote(given)}, which is not the name of a column; "
            'it is a text, such as "Title"'
        )
    return given


def _parse_column(given: Any, place: str) -> FieldSource:
    return FieldSource((_column_name(given, place),))


def _parse_columns(given: Any, place: str) -> FieldSource:
    if not isinstance(given, list) or not 0 < len(given) <= MAX_COLUMNS:
        raise BadInput(
            f'{place} is not a list of 1 to {MAX_COLUMNS} columns; it looks like ["Date", "Begin"]'
        )
    names = tuple(_column_name(one, place) for one in given)
    if len(set(names)) < len(names):
        raise BadInput(f"{place} names a column twice; name each once")
    return FieldSource(names, is_joined=True)


def _parse_value(given: Any, place: str) -> FieldSource:
    if given is None or given == "":
        raise BadInput(f"{place} is empty; write the value that every record has")
    return FieldSource(value=given)


def _parse_template(given: Any, place: str) -> FieldSource:
    if not isinstance(given, str) or not given:
        raise BadInput(f"{place} is {_quote(given)}; {_LIKE_A_TEMPLATE}")
    try:
        pieces = list(template_pieces(given))
    except ValueError as error:
        raise BadInput(f"{place} {given[:80]!r} {error}") from error
    names = tuple(dict.fromkeys(column for _, column in pieces if column is not None))
    if not names:
        raise BadInput(
            f"{place} {given[:80]!r} names no column; {_LIKE_A_TEMPLATE}, and `value` is for a "
            "text that every record has"
        )
    return FieldSource(names, template=given)


_LIKE_A_TEMPLATE = "a template looks like {Subject}: {Topic}"
_PARSERS = {
    "column": _parse_column,
    "columns": _parse_columns,
    "value": _parse_value,
    "template": _parse_template,
}


def template_pieces(template: str) -> Iterator[tuple[str, str | None]]:
    """The pieces of a template: texts, and names of columns with an empty text.

    `{{` and `}}` are braces. Raises ValueError; its message says what would be right.
    """
    for text, column in _pieces_as_written(template):
        yield _BRACES.get(text, text), column


def _pieces_as_written(template: str) -> Iterator[tuple[str, str | None]]:
    end = 0
    for match in _IN_TEMPLATE.finditer(template):
        if match.start() > end:
            yield template[end : match.start()], None
        end = match.end()
        if match[0] in {"{", "}"}:
            raise ValueError(
                f"has a single {match[0]!r}; {_LIKE_A_TEMPLATE}, and {match[0] * 2} is a brace"
            )
        if match["column"] == "":
            raise ValueError(f"has {{}} without the name of a column; {_LIKE_A_TEMPLATE}")
        yield ("", match["column"]) if match["column"] else (match[0], None)
    if end < len(template):
        yield template[end:], None


def _parse_format(given: Any, place: str) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str):
        raise BadInput(f"{place} is {_quote(given)}; it is a text, like DD.MM.YYYY HH:mm")
    try:
        return parse_date_format(given).text
    except ValueError as error:
        raise BadInput(f"{place} {given[:80]!r} {error}") from error


def _parse_decimal(given: Any, place: str) -> str | None:
    if given is not None and given not in SIGNS:
        known = " or ".join(f'"{sign}" ({example})' for sign, example in SIGNS.items())
        raise BadInput(f"{place} is {_quote(given)}; it is {known}")
    return None if given is None else str(given)


def _parse_values(given: Any, place: str) -> Mapping[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or not given:
        raise BadInput(
            f'{place} is {_quote(given)}; it looks like {{"yes": "cancelled"}}, with the text of '
            "the cell in front"
        )
    return dict(given)


def _parse_default(entry: Mapping[str, Any], place: str) -> Any:
    default = entry.get("default")
    if "default" in entry and default in (None, ""):
        raise BadInput(f"{place}.default is empty; leave it out, or clear the field with `empty`")
    return default


def _parse_last_day(given: Any, place: str) -> bool:
    if not isinstance(given, bool | None):
        raise BadInput(
            f"{place} is {_quote(given)}; it is true if the cells have the last "
            "day, and the field is the day after it, else false"
        )
    return bool(given)


def _parse_all_day(given: Any, place: str) -> str | None:
    return None if given is None else _column_name(given, place)


def _parse_empty(given: Any, place: str) -> str | None:
    if given not in (None, CLEAR, SKIP):
        raise BadInput(
            f"{place} {_quote(given)} is not known; it can be {CLEAR}, which clears the field, or "
            f"{SKIP}, which leaves it as it is"
        )
    return None if given is None else str(given)


def _quote(given: Any) -> str:
    """A value for a message, cut off: a text in quotes, anything else as JSON."""
    if isinstance(given, str):
        return repr(given[:MAX_QUOTED])
    return json_text(given)[:MAX_QUOTED]
