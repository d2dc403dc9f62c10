"""XML of a workbook's parts, within bounds: small parts as a whole, long ones as a stream."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from xml.etree.ElementTree import Element, ParseError, fromstring

from openbulk.domain.errors import BadInput
from openbulk.formats.archives import reading_archive

MAX_BYTES = 8 * 1024 * 1024
"""Of a small part, of one row, and of one text, as XML."""
MAX_TAGS = 300_000
"""In a piece of XML that is parsed at once. A row of 16,384 columns has half of them."""
MAX_ATTRIBUTES = 500_000
"""In such a piece. A row of 16,384 columns has a tenth of them."""
_MAX_OPENING_BYTES = 64 * 1024
"""Of the tags around a list. They are parsed again with each piece of it."""
_FIRST_CHUNK_BYTES = 256 * 1024
_CHUNK_BYTES = 16 * 1024
# The garbage collector walks the elements that are held: parsing small chunks takes a third less.
_DECLARATION = re.compile(rb"\s*(?:\xef\xbb\xbf)?<\?xml[^>]*\?>")
_ROOT = re.compile(rb"<(?P<prefix>[\w.-]+:)?(?P<name>[\w.-]+)(?:\s[^<>]*)?>")


def local_name(element: Element) -> str:
    """The name of an element without its namespace, of which there are two (ECMA-376, part 4)."""
    return element.tag.rpartition("}")[2]


def parse_part(part: IO[bytes]) -> Element:
    """A small part as a whole. Raises BadInput."""
    with reading_archive("the workbook"):
        content = part.read(MAX_BYTES + 1)
    return _parse(content)


def _parse(content: bytes) -> Element:
    attributes = content.count(b'="') + content.count(b"='")
    is_crowded = content.count(b"<") > MAX_TAGS or attributes > MAX_ATTRIBUTES
    if len(content) > MAX_BYTES or is_crowded:
        raise BadInput("a row, a text or a list of the workbook is too large; send a CSV")
    # What could make a short XML long: no part has a DTD (ECMA-376, part 2, 8.1.4). It would not be
    # seen in UTF-16, which no program writes.
    for forbidden, what in ((b"<!DOCTYPE", "has a DTD"), (b"\x00", "is not UTF-8")):
        if forbidden in content:
            raise BadInput(f"the workbook cannot be read (its XML {what}); save it again")
    try:
        return fromstring(content)  # noqa: S314 - no DTD, and of a limited size
    except (ParseError, LookupError, ValueError) as error:  # an encoding that is not known
        raise BadInput(
            f"the workbook cannot be read ({error}); save it again, or as CSV"
        ) from error


def each_child(part: IO[bytes], container: str, name: str) -> Iterator[Element]:
    """The children of that name in the first `container`, which is the root or a child of it.

    Many of them are parsed at once, between what is around them. Raises BadInput.
    """
    with reading_archive("the workbook"):
        frame = _find_frame(part, container)
        if frame is None:
            return
        held = frame.rest
        while True:
            end = frame.end_of_children(held, name)
            parent = frame.parse(held[:end])
            tag = parent.tag.removesuffix(container) + name
            yield from parent.findall(tag)
            if frame.is_end(held, end):
                return
            chunk = part.read(_chunk_size(len(held) - end))
            if not chunk:
                raise BadInput("the workbook is cut off; save it again, or as CSV")
            held = held[end:] + chunk
            if len(held) > MAX_BYTES:
                raise BadInput("a row or a text of the workbook is too large; send a CSV")


def _chunk_size(held: int) -> int:
    """How much to read: as much as is held of a long child, so that it is not searched often."""
    return min(max(_CHUNK_BYTES, held), _FIRST_CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is around the children of an element, so that some of them can be parsed alone."""

    opening: bytes
    closing: bytes
    depth: int
    """The number of elements around them."""
    prefix: bytes
    container: bytes
    rest: bytes
    """The beginning of the children."""

    def end_of_children(self, text: bytes, name: str) -> int:
        """Where the children end, or else the last one begins, which may not be whole yet."""
        end = text.find(b"</" + self.prefix + self.container)
        last = text.rfind(b"<" + self.prefix + name.encode())
        return end if end >= 0 else max(last, 0)

    def is_end(self, text: bytes, end: int) -> bool:
        """Whether the children end there."""
        return text.startswith(b"</" + self.prefix + self.container, end)

    def parse(self, children: bytes) -> Element:
        """An element with these children."""
        element = _parse(self.opening + children + self.closing)
        return element[0] if self.depth > 1 else element


def _find_frame(part: IO[bytes], container: str) -> _Frame | None:
    """Read up to the beginning of an element's children; None if it has none."""
    name = container.encode()
    tag = re.compile(rb"<(?:[\w.-]+:)?" + name + rb"(?P<attributes>\s[^<>]*?)?(?P<empty>/)?>")
    held = b""
    found = None
    while found is None:
        chunk = part.read(_FIRST_CHUNK_BYTES)
        held += chunk
        found = tag.search(held)
        if found is None and len(held) > MAX_BYTES:
            raise BadInput("what is before the rows of the workbook is too large; send a CSV")
        if found is None and not chunk:
            return None
    declaration = _DECLARATION.match(held)
    root = _ROOT.search(held)
    if found["empty"] or root is None:
        return None
    prefix = root["prefix"] or b""
    opening, closing, depth = root.group(), b"</" + prefix + root["name"] + b">", 1
    if root.start() != found.start():
        opening, closing = opening + found.group(), b"</" + prefix + name + b">" + closing
        depth = 2
    opening = (declaration.group() if declaration else b"") + opening
    if len(opening) > _MAX_OPENING_BYTES:
        raise BadInput("a list of the workbook has too many attributes; save it again, or as CSV")
    return _Frame(opening, closing, depth, prefix, name, held[found.end() :])
