"""How an export describes the pages of a list, and which page comes next. `lists.py` reads them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from openbulk.connectors.custom.description import NextKey, Paging, PagingKind
from openbulk.connectors.custom.json_parts import Undoable, steps_in, text_in, value_behind
from openbulk.domain.query import not_a_page_token
from openbulk.exact_json import encode_json

PAGE_PARAMETERS = frozenset({"page", "pageSize", "nextPage", "offset", "limit", "cursor"})
DEFAULT_SIZE = 200
MAX_SIZE = 10_000
_KINDS = {
    "page": PagingKind.PAGE,
    "offset": PagingKind.OFFSET,
    "cursor": PagingKind.CURSOR,
    "link": PagingKind.CURSOR,
}
_OF_ELEMENT = frozenset({"", "vendor_supported", "supported", "default"})
_NONE = frozenset({"none", "unsupported", "not_supported", "vendor_unsupported", "not supported"})
_LINK = re.compile(r"<(?P<address>[^<>]*)>(?P<parameters>[^,<]*)")
_NEXT = re.compile(r"""rel\s*=\s*"?[^"]*\bnext\b""", re.IGNORECASE)
_NUMBERED = re.compile(
    r"(?P<number>\d{1,18})(?:\.(?P<largest>\d{1,9})\.(?P<digest>[0-9a-f]{16}))?", re.ASCII
)
MAX_CURSOR = 4_000


class Pages:
    """The pages that an export describes for all of its lists."""

    def __init__(self, kind: str, max_size: str, start: str) -> None:
        """The texts of `pagination.type`, `pagination.max` and `pagination.page.startindex`."""
        self._kind = kind.lower()
        self._max_size = min(max(_whole(max_size, DEFAULT_SIZE), 1), MAX_SIZE)
        self._start = _whole(start, 1)

    def of(
        self, resource: Mapping[str, Any], place: str, names: Mapping[str, str]
    ) -> Paging | None:
        """The pages of one list; None if one call brings all of it. Raises Undoable.

        `names` are those of the parameters of pages, here and at the service.
        """
        next_key = _next_key(text_in(resource, "nextPageKey", place))
        kind = self._kind_of(text_in(resource, "paginationType", place).lower(), next_key)
        if kind is None or not (names or next_key):
            return None
        paging = Paging(
            kind,
            size=names.get("pageSize") or names.get("limit") or "",
            max_size=self._max_size,
            start=self._start if kind is PagingKind.PAGE else 0,
            next_key=next_key or NextKey(),
        )
        if kind is PagingKind.CURSOR and next_key is None:
            raise Undoable("its pages have cursors, and no nextPageKey names their place")
        return replace(paging, position=_position(kind, names))

    def _kind_of(self, own: str, next_key: NextKey | None) -> PagingKind | None:
        if own in _NONE or (own in _OF_ELEMENT and self._kind in _NONE):
            return None
        name = self._kind if own in _OF_ELEMENT else own
        if not name:
            # The old platform takes a list for one with numbered pages.
            return PagingKind.PAGE if next_key is None else PagingKind.CURSOR
        if name not in _KINDS:
            known = ", ".join(_KINDS)
            raise Undoable(f"openbulk does not know pages of the kind {name[:80]!r}, but {known}")
        return _KINDS[name]


def _whole(text: str, default: int) -> int:
    return int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else default


def _position(kind: PagingKind, names: Mapping[str, str]) -> str:
    wanted = {
        PagingKind.PAGE: ("page",),
        PagingKind.OFFSET: ("offset", "page"),
        PagingKind.CURSOR: ("nextPage", "cursor", "page"),
    }[kind]
    found = next((names[name] for name in wanted if name in names), "")
    if not found and kind is not PagingKind.CURSOR:
        raise Undoable(f"its pages have no parameter {wanted[0]!r}, so there is only a first one")
    return found


def _next_key(text: str) -> NextKey | None:
    """Where the next page is named: `header.x-next`, `body.paging.next`, `body.next?cursor`."""
    if not text:
        return None
    kind, dot, rest = text.partition(".")
    if dot and kind.lower() in {"header", "headers"}:
        return NextKey(header=rest)
    path = rest if dot and kind.lower() == "body" else text
    path, _, parameter = path.partition("?")
    steps = steps_in(path)
    if not steps:
        raise Undoable(f"its nextPageKey {text[:80]!r} names no place; it looks like body.next")
    return NextKey(steps=steps, parameter=parameter)


# --- numbered pages ---


@dataclass(frozen=True, slots=True)
class Numbered:
    """A page by its number, or by its offset."""

    number: int
    largest: int = 0
    """Records in the largest page before it."""
    digest: str = ""
    """Of the page before it."""

    @property
    def token(self) -> str:
        """The page token."""
        return f"{self.number}.{self.largest}.{self.digest}"

    @classmethod
    def of_token(cls, token: str) -> "Numbered":
        """The page of a token. Raises BadInput for one of another list."""
        match = _NUMBERED.fullmatch(token)
        if match is None:
            raise not_a_page_token()
        return cls(int(match["number"]), int(match["largest"] or 0), match["digest"] or "")

    def following(self, kind: PagingKind, records: Sequence[Any]) -> "Numbered | None":
        """The page after this one, which has these records; None if it is the last.

        A service may show fewer records in a page than were requested. So a page ends a list if
        it is empty, or smaller than an earlier one.
        """
        if not records or len(records) < self.largest:
            return None
        step = 1 if kind is PagingKind.PAGE else len(records)
        return Numbered(self.number + step, max(self.largest, len(records)), digest_of(records))


def digest_of(records: Sequence[Any]) -> str:
    """A digest of the records of a page."""
    return hashlib.blake2b(encode_json(records), digest_size=8).hexdigest()


# --- cursors and links ---


def next_place(paging: Paging, headers: Mapping[str, str], body: Any) -> tuple[str, bool] | None:
    """The cursor of the next page or its address, and whether it is an address; None on the last.

    Raises ValueError for anything else.
    """
    key = paging.next_key
    if key.header.lower() == "link":
        address = link_to_next(headers.get(key.header, ""))
        return None if address is None else (address, True)
    value = headers.get(key.header) if key.header else value_behind(body, key.steps)
    if value is None or value == "" or value is False:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("a next page that is neither a text nor a number")
    text = str(value)
    if key.parameter:
        found = parse_qs(urlsplit(text).query).get(key.parameter)
        return None if not found else (found[0], False)
    # A cursor may begin with a slash, too.
    is_address = text.startswith(("http://", "https://"))
    return text, is_address or (not paging.position and text.startswith(("/", "?")))


def link_to_next(header: str) -> str | None:
    """The address with the relation `next` in a `Link` header (RFC 8288, section 3)."""
    for match in _LINK.finditer(header[:MAX_CURSOR]):
        if _NEXT.search(match["parameters"]):
            return match["address"]
    return None
