"""The fields of an object that hold numbers, and numbers as people write them."""

from collections.abc import Collection, Mapping
from typing import Any

from openbulk.connectors.fields import FieldError, short_repr
from openbulk.domain.field_paths import Path
from openbulk.domain.written_numbers import plain_number

_NUMBERS = frozenset({"number", "integer"})


class NumberFields:
    """The fields of a JSON Schema that hold a number."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._fields: dict[str, NumberFields | None] = {}
        """None for a number; objects with numbers in them have fields of their own."""
        for name, field in schema.get("properties", {}).items():
            if field.get("type") in _NUMBERS:
                self._fields[name] = None
            elif "properties" in field and (inner := NumberFields(field)):
                self._fields[name] = inner

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._fields)

    def has_number(self, path: Path) -> bool:
        """Whether the field at a path holds a number."""
        fields: NumberFields | None = self
        for place, step in enumerate(path, 1):
            if fields is None or str(step) not in fields._fields:
                return False
            fields = fields._fields[str(step)]
            if fields is None:
                return place == len(path)
        return False

    def with_plain_numbers(
        self, values: Mapping[str, Any], sign: str, but: Collection[Path] = (), around: Path = ()
    ) -> Mapping[str, Any]:
        """The values of a record, by the names of fields, with numbers as programs write them.

        `sign` is the decimal sign of their texts; fields of `but` stay as they are. Raises
        FieldError for a text that is no such number.
        """
        changed: dict[str, Any] = {}
        for name, inner in self._fields.items():
            value = values.get(name)
            path = (*around, name)
            if inner is not None and isinstance(value, Mapping):
                changed[name] = inner.with_plain_numbers(value, sign, but, path)
            elif inner is None and isinstance(value, str) and value and path not in but:
                changed[name] = _plain(value, sign, ".".join(map(str, path)))
        return {**values, **changed} if changed else values


def _plain(text: str, sign: str, path: str) -> str:
    try:
        return plain_number(text, sign)
    except ValueError as error:
        raise FieldError(path, f"{path} {short_repr(text)} {error}") from error
