"""JSON values and Python's: what `json` and `jsonl` have in common.

The decoder is the standard library's, because the fast ones are wrong at the edges: orjson turns
integers beyond 64 bits into floats, and ijson 3.6 (yajl2_c) ends the process at an integer of more
than 4,300 digits.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from openbulk.domain.errors import BadInput
from openbulk.domain.field_paths import path_text
from openbulk.domain.records import Problem, Row
from openbulk.exact_json import (
    MAX_DEPTH,
    MAX_VALUES,
    SAFE_CHARACTERS,
    encode_json,
    has_few_values,
    is_deeper,
    parse_float,
    parse_integer,
    trim,
)

_PIECE_BYTES = 64 * 1024
_QUOTED_CHARACTERS = 24
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape of a surrogate: half of a character (RFC 8259, section 8.2)."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Unusable:
    """Stands for a value that a record cannot have."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        """The end of a sentence that begins with the name of the field."""


class ValueDecoder:
    """Decodes JSON. What a value cannot be is a problem of its field; reading goes on after it."""

    def __init__(self) -> None:
        self._has_unusable = False
        self._decoder = json.JSONDecoder(
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=self._constant,
            object_pairs_hook=self._object,
        )

    def decode(self, text: str) -> tuple[Any, Problem | None]:
        """The only value of a text, and the problem of a field in it.

        Raises ValueError if the text is not JSON, RecursionError if it is nested too deep.
        """
        self._has_unusable = False
        value = self._decoder.decode(text)
        return value, self._find_problem(value, text)

    def decode_at(self, text: str, position: int) -> tuple[Any, Problem | None, int]:
        """The value at a position of a text, the problem of a field in it, and its end.

        Raises ValueError and RecursionError, as `decode` does.
        """
        self._has_unusable = False
        value, end = self._decoder.raw_decode(text, position)
        return value, self._find_problem(value, text[position:end]), end

    def _integer(self, digits: str) -> Any:
        # Most integers are short: a call less for each.
        if len(digits) <= SAFE_CHARACTERS:
            return int(digits)
        return self._parse(parse_integer, digits)

    def _float(self, digits: str) -> Any:
        number = float(digits)
        if repr(number) == digits:
            return number
        return self._parse(parse_float, digits)

    def _parse(self, parse: Callable[[str], Any], digits: str) -> Any:
        try:
            return parse(digits)
        except ValueError as error:
            return self._unusable(f"cannot be sent: {error}")

    def _constant(self, name: str) -> _Unusable:
        """RFC 8259, section 6: NaN and Infinity are not permitted."""
        return self._unusable(f"is {name}, which JSON does not have; write null, or leave it out")

    def _object(self, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        """RFC 8259, section 4: what an object with two equal names means is not defined."""
        fields = dict(pairs)
        if len(fields) != len(pairs):
            name, count = Counter(name for name, _ in pairs).most_common(1)[0]
            fields[name] = self._unusable(
                f"is written {count} times in one JSON object; keep one of them"
            )
        return fields

    def _unusable(self, reason: str) -> _Unusable:
        self._has_unusable = True
        return _Unusable(reason)

    def _find_problem(self, value: Any, text: str) -> Problem | None:
        if self._has_unusable:
            return next(filter(None, (_unusable_problem(*field) for field in _walk(value))))
        if text.count("{") + text.count("[") > MAX_DEPTH and is_deeper(value, MAX_DEPTH):
            return Problem(f"it has more than {MAX_DEPTH} levels of objects and lists; flatten it")
        if "\\u" in text and _HALF_PAIR.search(text):
            return _find_half_character(value)
        if text.isascii():
            return None
        return _describe_damage(value, text)


def _describe_damage(value: Any, text: str) -> Problem | None:
    """What is wrong with a text that has a byte that is none; None for others."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = (
            f"character {error.start + 1} of the element is not text; save the file as UTF-8, "
            "or name its encoding in metaData.encoding"
        )
        return Problem(message, find_surrogate(value))
    return None


def _unusable_problem(steps: Sequence[str | int], value: Any) -> Problem | None:
    if not isinstance(value, _Unusable):
        return None
    path = path_text(tuple(steps))
    return Problem(f"{path or 'it'} {value.reason}", path or None)


def _find_half_character(value: Any) -> Problem | None:
    path = find_surrogate(value)
    if path is None:
        return None
    message = (
        f"{path or 'it'} has half of a surrogate pair in it (an emoji that was cut in two), "
        "which is not a character; remove it, or write all of it"
    )
    return Problem(message, path or None)


def find_surrogate(value: Any) -> str | None:
    """The dotted name of the first field with a lone surrogate in its name or its text.

    None if there is none.
    """
    for path, found in _walk(value):
        if path and isinstance(path[-1], str) and _SURROGATE.search(path[-1]):
            return path_text(tuple(path)).encode(errors="replace").decode()
        if isinstance(found, str) and _SURROGATE.search(found):
            return path_text(tuple(path))
    return None


def _walk(value: Any) -> Iterator[tuple[Sequence[str | int], Any]]:
    """Every value inside a value, in order, with its path, which is the same list each time.

    Holds one iterator a level, and no path but that of the value.
    """
    path: list[str | int] = []
    yield path, value
    levels = [_children(value)]
    while levels:
        step, found = next(levels[-1], (None, None))
        if step is None:
            levels.pop()
            del path[len(levels) - 1 :]
            continue
        path[len(levels) - 1 :] = [step]
        yield path, found
        levels.append(_children(found))


def _children(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, list):
        return enumerate(value)
    return iter(value.items() if isinstance(value, dict) else ())


_REASONS: Mapping[str, str] = {
    "Expecting value": "a value is missing",
    "Expecting ',' delimiter": "a comma or a closing bracket is missing",
    "Expecting ':' delimiter": "a colon is missing",
    "Expecting property name enclosed in double quotes": "a name in double quotes is missing",
    "Illegal trailing comma before end of object": "there is a comma after the last field",
    "Illegal trailing comma before end of array": "there is a comma after the last item",
    "Unterminated string starting at": "a text is not closed with a quote",
    "Invalid control character at": "a text has a line break or tab in it (write \\n or \\t)",
    "Invalid \\escape": "a backslash is before a character that takes none (double it)",
    "Invalid \\uXXXX escape": "four hexadecimal digits are missing after \\u",
    "Extra data": "there is more after the value",
}
"""What the messages of Python's decoder mean. They end at a colon in some versions."""


def require_few_values(text: str, begin: int = 0) -> None:
    """Raise BadInput for the text of a record, or its beginning, with more than MAX_VALUES."""
    if not has_few_values(text, begin):
        raise BadInput(f"it has more than {MAX_VALUES:,} values; write several records")


def describe_syntax_error(error: Exception) -> str:
    """Why a text is not JSON, in half a sentence that quotes the place."""
    if not isinstance(error, json.JSONDecodeError):
        return "it is nested too deep"
    reason = _REASONS.get(error.msg.partition(": ")[0].removesuffix(":"), error.msg)
    place = error.doc[error.pos : error.pos + _QUOTED_CHARACTERS].encode(errors="replace").decode()
    if not place.strip():
        return f"{reason} at the end"
    return f"{reason}, at {place!r}"


_SPOKEN_TYPES: Mapping[type, str] = {
    list: "an array",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def make_row(
    number: int, line: int, value: Any, problem: Problem | None, text: str, looks_like: str
) -> Row:
    """The row of a decoded text: a broken one if it has a problem or is not an object."""
    if problem is None and not isinstance(value, dict):
        spoken = _SPOKEN_TYPES.get(type(value), "a number")
        problem = Problem(f"{spoken} is not an object; {looks_like}")
    if problem is not None:
        return Row(number, line=line, problem=problem, unread=text)
    return Row(number, value, line=line)


def encode_records(records: Iterable[Mapping[str, Any]], separator: bytes) -> Iterator[bytes]:
    """Records as JSON in UTF-8, with a separator between them, many in each piece."""
    piece: list[bytes] = []
    size = 0
    for record in records:
        piece.append(trim(encode_json(record)))
        size += len(piece[-1])
        if size > _PIECE_BYTES:
            yield separator.join(piece)
            piece, size = [], 0
    if piece:
        yield separator.join(piece)
