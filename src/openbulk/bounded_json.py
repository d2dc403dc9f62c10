"""JSON within bounds: `read_json` refuses what a caller sends beyond them, the ledger mends it.

Python's own parser takes more than JSON has (NaN, halves of surrogate pairs), and each parser takes
a deeper nesting than any writer can show again. So a value is checked once, where it comes in.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from openbulk.domain.errors import BadInput, TooLarge
from openbulk.exact_json import parse_float, parse_integer

MAX_DEPTH = 32
"""Lists and objects inside each other, in JSON that a caller sends."""
MAX_KEPT_BYTES = 64 * 1024
"""JSON that is stored with a job, and shown with it in lists."""
MAX_STORED_DEPTH = 200
"""orjson writes 254 levels, pydantic 255; an answer adds a few around a stored value."""
_SHOWN_PLACE = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_LARGEST = 2**63

Problem = tuple[str, str]
"""The place in a value, and what is wrong there."""

# --- what callers send ---


def read_json(text: str | bytes, owner: str, *, example: str, max_bytes: int | None = None) -> Any:
    """The value of a JSON text. Refuses a whole number beyond 64 bits.

    Messages begin with `owner` and show `example`. Raises BadInput, or TooLarge.
    """
    value = _parse(text, owner, example, max_bytes, _FLOATS)
    require_bounded(value, owner)
    return value


def read_exact_json(text: str | bytes, owner: str, *, example: str) -> Any:
    """The value of a JSON text, whose numbers keep their digits. Raises BadInput."""
    value = _parse(text, owner, example, None, _EXACT)
    require_bounded(value, owner)
    return value


def require_bounded(value: Any, owner: str) -> None:
    """Raise BadInput for a value that cannot be stored and shown again, with the place in it."""
    found = next(_problems(value, owner, 0), None)
    if found is not None:
        place, problem = found
        raise BadInput(f"{_shorten(place)} {problem}")


def _parse(
    text: str | bytes, owner: str, example: str, max_bytes: int | None, decoder: json.JSONDecoder
) -> Any:
    if max_bytes is not None and len(text) > max_bytes:
        raise TooLarge(f"{owner} is larger than {max_bytes} bytes; send less")
    try:
        # A byte order mark may be ignored (RFC 8259, section 8.1).
        return decoder.decode(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{owner} is not JSON: error at character {error.pos + 1}; it looks like {example}"
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{owner} is not UTF-8: error at byte {error.start + 1}; JSON is sent in UTF-8"
        ) from error
    except RecursionError as error:
        raise BadInput(f"{owner} {_TOO_DEEP}") from error
    except ValueError as error:  # of a number
        raise BadInput(f"{owner} cannot be read: {error}") from error


def _parse_integer(digits: str) -> Any:
    number = parse_integer(digits)
    # A Decimal is beyond 64 bits; `_problems` says where it is.
    return number if isinstance(number, int) else float("inf")


_EXACT = json.JSONDecoder(parse_int=parse_integer, parse_float=parse_float)
_FLOATS = json.JSONDecoder(parse_int=_parse_integer)

_TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep; put lists and objects into fewer others"
_NOT_FINITE = (
    "is not a number that can be kept (NaN, Infinity, or beyond 64 bits); "
    "write a smaller number, or a text in quotes"
)
_HALF = "has half of a surrogate pair (\\ud800 to \\udfff); write the whole character"
_NUL = "has the character NUL (\\u0000); leave it out"


def _problems(value: Any, place: str, depth: int) -> Iterator[Problem]:
    if isinstance(value, str):
        yield from _problems_of_text(value, place)
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, _NOT_FINITE
    elif isinstance(value, dict | list) and depth == MAX_DEPTH:
        yield place, _TOO_DEEP
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _problems_of_text(key, f"a key of {place}")
            yield from _problems(item, f"{place}.{key}", depth + 1)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _problems(item, f"{place}[{number}]", depth + 1)


def _problems_of_text(text: str, place: str) -> Iterator[Problem]:
    if "\0" in text:
        yield place, _NUL
    # Only texts beyond ASCII can have one; most are within.
    if not text.isascii() and _SURROGATE.search(text):
        yield place, _HALF


def _shorten(place: str) -> str:
    place = place.encode("utf-8", "replace").decode()
    if len(place) <= _SHOWN_PLACE:
        return place
    half = _SHOWN_PLACE // 2
    return f"{place[:half]}...{place[-half:]}"


# --- what the ledger keeps ---


def store_json(value: Any) -> str:
    """JSON that can be shown again: what cannot is replaced, as `mend` does."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return orjson.dumps(mend(value)).decode()


def load_json(text: str | bytes) -> Any:
    """The value of a stored JSON, mended: an earlier version may have stored anything."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return mend(json.loads(text))
    opening = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    # As many levels need as many brackets, and few values have them.
    if sum(map(text.count, opening)) <= MAX_STORED_DEPTH:  # type: ignore[arg-type]
        return value
    return mend(value)


def mend(value: Any, depth: int = 0) -> Any:
    """A value with a replacement for all that JSON cannot show, or that is nested too deep."""
    for types, mended in _MENDED:
        if isinstance(value, types):
            return mended(value, depth)
    return value


def _mend_container(value: Any, depth: int) -> Any:
    if depth == MAX_STORED_DEPTH:
        return "(nested too deep to be shown)"
    if isinstance(value, dict):
        return {_mend_text(str(key), depth): mend(item, depth + 1) for key, item in value.items()}
    return [mend(item, depth + 1) for item in value]


def _mend_text(text: str, _depth: int) -> str:
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _mend_integer(number: int, _depth: int) -> int | str:
    return number if -_LARGEST <= number < 2 * _LARGEST else f"{number:.0e}"


def _mend_float(number: float, _depth: int) -> float | None:
    return number if math.isfinite(number) else None


_MENDED: tuple[tuple[Any, Callable[[Any, int], Any]], ...] = (
    (str, _mend_text),
    (bool, lambda value, _depth: value),
    (int, _mend_integer),
    (float, _mend_float),
    (dict | list | tuple, _mend_container),
)
