"""The texts of a workbook's cells, each of which is kept once (ECMA-376, part 1, 18.4.9)."""

import os
import re
import tempfile
from array import array
from collections.abc import Iterator
from itertools import accumulate, islice
from xml.etree.ElementTree import Element

from openbulk.formats.xlsx.xml import local_name

_BATCH = 1_000
_MAX_CACHED = 20_000
_MAX_CACHED_CHARACTERS = 100
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


def text_of(item: Element) -> str:
    """The text of an item, without how it is shown and pronounced (18.4.8)."""
    texts: list[str] = []
    for child in item:
        name = local_name(child)
        if name == "t":
            texts.append(child.text or "")
        elif name == "r":
            texts += [part.text or "" for part in child if local_name(part) == "t"]
    return unescape("".join(texts))


def unescape(text: str) -> str:
    """A text whose characters that XML cannot have are escaped: `_x000D_` (22.9.2.19)."""
    return _ESCAPE.sub(_unescape_one, text) if "_x" in text else text


def _unescape_one(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return found[0] if "\ud800" <= character <= "\udfff" else character


class SharedStrings(dict[int, str]):
    """Texts by number. They are read as far as they are needed, and kept in a temporary file.

    The dictionary has the short ones that were needed last.
    """

    def __init__(self, items: Iterator[Element]) -> None:
        super().__init__()
        self._items = items
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._begins = array("Q", [0])

    def __missing__(self, number: int) -> str:
        """The text with this number, from 0. Raises IndexError, and BadInput for damaged XML."""
        if number < 0:
            raise IndexError("texts are numbered from 0")
        while number + 1 >= len(self._begins):
            self._read_batch()
        begin, end = self._begins[number], self._begins[number + 1]
        text = os.pread(self._file.fileno(), end - begin, begin).decode()
        self._cache(number, text)
        return text

    def _read_batch(self) -> None:
        first = len(self._begins) - 1
        texts = [text_of(item) for item in islice(self._items, _BATCH)]
        if not texts:
            raise IndexError("the workbook lacks this text")
        encoded = [text.encode() for text in texts]
        self._file.write(b"".join(encoded))
        self._begins.extend(accumulate(map(len, encoded), initial=self._begins.pop()))
        for number, text in enumerate(texts, first):
            self._cache(number, text)

    def _cache(self, number: int, text: str) -> None:
        if len(self) >= _MAX_CACHED:
            self.clear()
        if len(text) <= _MAX_CACHED_CHARACTERS:
            self[number] = text
