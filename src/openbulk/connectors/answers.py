"""The answers of services, which may be wrong in any way: bounded, parsed, and checked.

What an answer may hold follows from the page that was requested. A service that answers more, or
something else, gets a `ServiceError` that says what came and what was expected.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import aiohttp
import orjson

from openbulk.domain.errors import AnswerLost, Refused, RetryLater, ServiceError
from openbulk.domain.http_dates import parse_http_date
from openbulk.exact_json import decode_json, is_deeper

BASE_BYTES = 1024 * 1024
RECORD_BYTES = 16 * 1024
MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""An answer has at most 1 MB and 16 kB for each requested record, and never more than
this. An event with 200 guests has 20 kB, and most events have 1 kB."""
BASE_VALUES = 20_000
RECORD_VALUES = 500
MAX_VALUES = 500_000
"""An answer has at most 20,000 values and 500 for each requested record, and never more than this:
an empty object has 2 bytes, and takes 72 in memory."""
MAX_DEPTH = 32
LARGE_BYTES = 128 * 1024
"""An answer of more bytes is parsed outside of the event loop."""
MAX_SPARSE_PAGES = 200
"""Pages in a row with a twentieth at most of the requested records. Google may answer
some that are empty (https://developers.google.com/workspace/calendar/api/v3/reference/events/list,
`maxResults`); each may stand for thousands of records that a filter leaves out."""
MAX_PAGES = 10_000_000
"""Of one list: 2,500 records each are 25 billion."""
UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""Methods that may change something at the service (RFC 9110, section 9.2.1). A call that was sent
with one of them and has no answer may have taken effect."""

_NOT_EXACT = re.compile(rb"[\[:,][ \t\r\n]*-?(?:0|[1-9][0-9]*)(?:[.eE]|(?<=[0-9]{16}))")
"""Finds each number that orjson may round, and some texts that look like one."""
_parsing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="answers")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large an answer may be."""

    bytes: int = BASE_BYTES + RECORD_BYTES
    values: int = BASE_VALUES + RECORD_VALUES


def bounds_of(records: int) -> Bounds:
    """The bounds of an answer with this many records."""
    return Bounds(
        min(BASE_BYTES + records * RECORD_BYTES, MAX_ANSWER_BYTES),
        min(BASE_VALUES + records * RECORD_VALUES, MAX_VALUES),
    )


async def read_body(body: aiohttp.StreamReader, bounds: Bounds) -> bytes | None:
    """Read a body; None if it is larger, unpacked, than it may be."""
    # aiohttp unpacks a block at a time.
    chunks: list[bytes] = []
    size = 0
    async for chunk in body.iter_chunked(256 * 1024):
        size += len(chunk)
        if size > bounds.bytes:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


@dataclass(frozen=True, slots=True)
class Answer:
    """A service's answer, with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    method: str = "GET"
    call: str = "the service"
    """The service and the call, for messages: `Google Calendar (GET /calendar/v3/...)`."""
    bounds: Bounds = field(default=Bounds(), repr=False)
    parsed: Any = field(default=None, repr=False)
    """The value in a large body, or the error that it has none; None if it was not parsed yet."""
    secrets: Sequence[str] = field(default=(), repr=False)
    """What the request had that nobody may read: a service may repeat what it was sent."""

    @property
    def is_success(self) -> bool:
        """True for any status from 200 to 299."""
        return 200 <= self.status < 300

    @property
    def date(self) -> datetime | None:
        """The header `Date`: when the service answered, by its own clock, to the second.

        None if the header is missing or is not a date (RFC 9110, section 6.6.1).
        """
        return parse_http_date(self.headers.get("Date", ""))

    def json(self) -> Any:
        """The body as JSON. Raises ServiceError for any other body: a proxy may have sent it."""
        value = self.parsed
        if value is None:
            try:
                value = parse_answer(self.body, self.bounds)
            except ValueError as error:
                value = error
        if isinstance(value, ValueError):
            raise self.mismatch(str(value), "JSON") from value
        return value

    def object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ServiceError."""
        value = self.json()
        if not isinstance(value, dict):
            raise self.mismatch(kind_of(value), "an object")
        return value

    def text_at(self, *keys: str) -> str:
        """The text under some keys of the body, each inside the one before. Raises ServiceError."""
        value: Any = self.object()
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, str) or not value:
            raise self.mismatch(f"{kind_of(value)} as {'.'.join(keys)}", "a text there")
        return value

    def mismatch(self, came: str, expected: str) -> ServiceError:
        """The error for an answer that means nothing. The call may have had its effect."""
        return no_answer(self.method)(
            self._mismatch(came, expected), provider_message=self.text() or None
        )

    def refusal(self, came: str, expected: str) -> Refused:
        """The error for an answer that the service would repeat: another call does not help."""
        return Refused(self._mismatch(came, expected), provider_message=self.text() or None)

    def _mismatch(self, came: str, expected: str) -> str:
        return f"{self.call} answered {self.status} with {came}; expected {expected}"

    def text(self, limit: int = 500) -> str:
        """The beginning of the body, for a person to read."""
        return hide_secrets(self.body, self.secrets)[:limit].decode(errors="replace")


MIN_SECRET = 6
"""Characters of a secret that is hidden; a shorter one may be a part of any word."""
MAX_COMPARED = 200
"""Characters of a secret that are compared; of a longer one, all is hidden up to its end."""
HIDDEN = b"********"


def hide_secrets(body: bytes, secrets: Iterable[str]) -> bytes:
    """A body without secrets, however JSON or an address writes their characters."""
    hidden = {secret for secret in secrets if len(secret) >= MIN_SECRET}
    # A secret may have another one in it.
    for secret in sorted(hidden, key=len, reverse=True):
        # Nobody writes letters and digits in another way, and to look for them takes no time.
        word = max(_WORD.findall(secret), key=len, default="")
        if word.encode() in body:
            plain = _BACKSLASHES.sub(r"\\", secret)
            pattern = b"".join(map(_pattern_of, plain[:MAX_COMPARED]))
            rest = rb"[^\s\"',;<>&]*+" if len(plain) > MAX_COMPARED else b""
            body = re.sub(pattern + rest, HIDDEN, body)
    return body


_WORD = re.compile(r"[A-Za-z0-9]+")
_BACKSLASHES = re.compile(r"\\+")


def _pattern_of(character: str) -> bytes:
    """A pattern for the ways to write a character, also in a text within another one.

    Each has a bounded length: the service that answers may want the search to take long.
    """
    plain = character.encode(errors="replace")
    quoted = b"".join(b"%%(?:25){0,4}(?i:%02x)" % byte for byte in plain)
    if character == "\\":
        ways = [rb"\\{1,16}+", b"(?:%s){1,8}+" % quoted]
    else:
        ways = [rb"\\{0,8}+" + re.escape(plain), quoted, rb"\\{1,8}+u(?i:%04x)" % ord(character)]
    return b"(?:%s)" % b"|".join([*ways, rb"\+"] if character == " " else ways)


def no_answer(method: str) -> type[AnswerLost | RetryLater]:
    """The kind of error for a request that was sent and not answered."""
    return AnswerLost if method in UNSAFE_METHODS else RetryLater


async def parse_large(body: bytes, bounds: Bounds) -> Any:
    """The value in a large body, or the ValueError that says why it has none; None for a small one.

    It is parsed in a thread of its own. orjson keeps Python's lock all the while, so the bounds are
    what keeps the event loop going.
    """
    if len(body) <= LARGE_BYTES:
        return None
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_parsing, _value_or_error, body, bounds)


def _value_or_error(body: bytes, bounds: Bounds) -> Any:
    try:
        return parse_answer(body, bounds)
    except ValueError as error:
        return error


def parse_answer(body: bytes, bounds: Bounds) -> Any:
    """The value in a body; its numbers keep their digits.

    Raises ValueError, whose text says what came instead.
    """
    # Counted before anything is built. Commas in texts count, too.
    if body.count(b",") + body.count(b"[") + body.count(b"{") > bounds.values:
        raise ValueError(f"more than {bounds.values:,} values")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError("a body that is not JSON") from error
    if is_deeper(value, MAX_DEPTH):
        raise ValueError(f"more than {MAX_DEPTH} levels of lists and objects")
    if _NOT_EXACT.search(body):
        try:
            return decode_json(body)
        except ValueError as error:
            raise ValueError(f"a number that cannot be read ({error})") from error
    return value


# --- lists ---


@dataclass(slots=True)
class PageCount:
    """Counts the pages of a list, as a service may name a next one for ever."""

    size: int
    """The records that each page may have."""
    sparse: int = 0
    """The latest pages in a row that had hardly any of them."""
    pages: int = 0
    mark: str | None = None
    """One of the page tokens before: if it comes again, the list is a circle."""

    def add(self, records: int, call: str, next_page: str | None = None) -> None:
        """Count a page that is not the last. Raises Refused if the list has no end.

        `call` says for messages what was called.
        """
        self.pages += 1
        if next_page is not None and next_page == self.mark:
            raise Refused(f"{call} answered a page whose next page is one that came before")
        # Brent's algorithm: the mark moves on at 1, 2, 4, 8 ... pages, until the circle fits.
        if self.pages.bit_count() == 1:
            self.mark = next_page
        self.sparse = self.sparse + 1 if records <= self.size // 20 else 0
        if self.sparse > MAX_SPARSE_PAGES:
            raise Refused(
                f"{call} answered {self.sparse:,} pages in a row with few of the {self.size:,} "
                "records "
                "that each could have, and always names a next page; expected a list that ends"
            )
        if self.pages > MAX_PAGES:
            raise Refused(
                f"{call} answered more than {MAX_PAGES:,} pages, and always names a next page; "
                "expected a list that ends"
            )


# --- shapes ---

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float, Decimal),
}
_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    Decimal: "a number",
    type(None): "nothing",
}
_WANTED = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}


def kind_of(value: Any) -> str:
    """The kind of a value, for messages."""
    return _NAMES.get(type(value), "something else")


def misfit(value: Any, schema: Mapping[str, Any], place: str = "") -> tuple[str, str] | None:
    """What comes first in a value that is not as its schema says, and what was expected there.

    None if nothing does. It reads `type`, `properties`, `required`, `items` and
    `additionalProperties`; a service may answer fields that the schema does not have.
    """
    wanted = schema.get("type", "")
    if wanted in _TYPES:
        fits = isinstance(value, _TYPES[wanted])
        if not fits or (isinstance(value, bool) and wanted != "boolean"):
            return f"{kind_of(value)}{place and f' as {place}'}", f"{_WANTED[wanted]} there"
    if isinstance(value, dict):
        return _misfit_of_object(value, schema, place)
    if isinstance(value, list) and "items" in schema:
        found = (misfit(one, schema["items"], f"{place}[{n}]") for n, one in enumerate(value))
        return next(filter(None, found), None)
    return None


def _misfit_of_object(
    value: Mapping[str, Any], schema: Mapping[str, Any], place: str
) -> tuple[str, str] | None:
    for name in schema.get("required", ()):
        if name not in value:
            return f"nothing as {place}.{name}".replace(" .", " "), "a value there"
    known = schema.get("properties", {})
    other = schema.get("additionalProperties")
    for name, inner in value.items():
        of_field = known.get(name, other)
        if isinstance(of_field, dict):
            found = misfit(inner, of_field, f"{place}.{name}".lstrip("."))
            if found is not None:
                return found
    return None
