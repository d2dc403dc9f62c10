"""XML of a workbook's parts as a stream, within bounds."""

from collections.abc import Iterable, Iterator
from typing import IO, Any, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from openbulk.domain.errors import BadInput
from openbulk.formats.archives import reading_archive

MAX_ELEMENT_BYTES = 32 * 1024 * 1024
"""Of one row, or one text, as XML."""
MAX_PARTS_OF_ELEMENT = 400_000
"""Elements inside of one row. A sheet has 16,384 columns; a cell of it has a few elements."""
MAX_NAMES = 10_000
_CHUNK_BYTES = 64 * 1024
_DOCTYPE = b"<!DOCTYPE"


def local_name(element: Element) -> str:
    """The name of an element without its namespace, of which there are two (ECMA-376, part 4)."""
    return element.tag.rpartition("}")[2]


def each_element(part: IO[bytes], wanted: Iterable[str], last: str = "") -> Iterator[Element]:
    """The elements with one of these local names, each complete, up to the end of one named `last`.

    An element is emptied once the next one is taken, and so is what is around it. Raises BadInput.
    """
    reader = _Reader(frozenset(wanted), last)
    previous = b""
    with reading_archive("the workbook"):
        while chunk := part.read(_CHUNK_BYTES):
            _require_plain(previous[-len(_DOCTYPE) :] + chunk)
            yield from reader.feed(chunk)
            if reader.is_over:
                return
            previous = chunk


def _require_plain(text: bytes) -> None:
    """Refuse what could make a short XML long: no part has a DTD (ECMA-376, part 2, 8.1.4)."""
    if _DOCTYPE in text or b"\x00" in text:
        raise BadInput("the workbook cannot be read (its XML has a DTD); save it again, or as CSV")


class _Reader:
    """Holds one wanted element at a time."""

    def __init__(self, wanted: frozenset[str], last: str) -> None:
        self._wanted = wanted
        self._last = last
        self._names: dict[str, str] = {}
        self._parser: XMLPullParser[Any] = XMLPullParser(("start", "end"))
        self._open: list[Element] = []
        self._held_bytes = 0
        self._held_parts = 0
        self.is_over = False
        """Whether the last element has ended."""

    def feed(self, chunk: bytes) -> Iterator[Element]:
        """The wanted elements that end in a chunk. Raises BadInput."""
        self._held_bytes += len(chunk)
        try:
            self._parser.feed(chunk)
            events = cast("Iterator[tuple[str, Element]]", self._parser.read_events())
            for event, element in events:
                if event == "start":
                    self._open.append(element)
                    continue
                self._open.pop()
                name = self._names.get(element.tag) or self._name_of(element)
                if name in self._wanted:
                    yield element
                    self._forget()
                elif name == self._last:
                    self.is_over = True
                    return
                self._held_parts += 1
        except ParseError as error:
            raise BadInput(
                f"the workbook cannot be read ({error}); save it again, or as CSV"
            ) from error
        if self._held_bytes > MAX_ELEMENT_BYTES or self._held_parts > MAX_PARTS_OF_ELEMENT:
            raise BadInput("a row or a text of the workbook is too large; send a CSV")

    def _name_of(self, element: Element) -> str:
        if len(self._names) > MAX_NAMES:
            raise BadInput("the workbook cannot be read (too many kinds of elements)")
        return self._names.setdefault(element.tag, local_name(element))

    def _forget(self) -> None:
        if self._open:
            self._open[-1].clear()
        self._held_bytes = self._held_parts = 0
