"""Detects the encoding of a text file: as its caller states, else as its bytes show."""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput
from openbulk.domain.file_questions import Choice, Example, OpenQuestion, Question
from openbulk.formats.encoding_candidates import rank_encodings
from openbulk.formats.encodings import ENCODING_NAMES, find_codec
from openbulk.formats.text import byte_lines, read_chunks

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_UTF16_SAMPLE_BYTES = 1024
_UTF16_ZERO_SHARE = 0.8
_UTF8_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
"""A character of two to four bytes (RFC 3629, section 4, less some rules on what is overlong)."""
_CUT_CHARACTER = re.compile(
    rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})[\r\n]*\Z"
)
_REST_OF_CHARACTER = re.compile(rb"[ \t][\x80-\xbf]")
# In Windows-1252, words of other alphabets are rows of accented letters, or have signs in them:
# "Ïðèâåò" is Russian in Windows-1251, "³¹cznoœæ" Polish in Windows-1250.
_ACCENTED = rb"[\xc0-\xd6\xd8-\xf6\xf8-\xff]"
_LETTER = rb"[A-Za-z\x8a\x8c\x8e\x9a\x9c\x9e\x9f\xc0-\xd6\xd8-\xf6\xf8-\xff]"
_REST_OF_WORD = _LETTER + rb"{0,40}"
"""Bounded: a search looks at it again from each letter of a longer word."""
_SIGN = rb"[\xa2-\xaa\xac\xae\xb0\xb1\xb3\xb6\xb8-\xbe]"
_NOT_WESTERN = (
    _UTF8_SEQUENCE,
    re.compile(rb"[\xc0-\xff]{4}"),
    # A word of accented letters alone: "Îëÿ" is Оля, "Ãç" Γη, "Íõ" 王 in GB 18030; "ß" is Я.
    re.compile(rb"(?<!%b)%b{2,}(?!%b)" % (_LETTER, _ACCENTED, _LETTER)),
    re.compile(
        rb"(?<!%b)[\xca\xcb\xce\xcf\xdf\xe2\xea\xeb\xee-\xf1\xff](?!%b)" % (_LETTER, _LETTER)
    ),
    re.compile(_LETTER + _SIGN + rb"+" + _LETTER),
    re.compile(_SIGN + rb"{2}" + _LETTER),
    # "Pawe³" is Paweł, "£ódŸ" Łódź, "ªchiopu" Şchiopu in Windows-1250.
    re.compile(_LETTER + rb"{3}[\xb3\xb9]"),
    re.compile(rb"(?<![0-9])[\xa3\xa5\xaa\xb3\xb9]" + _LETTER),
    # "Gyõr" is Győr, "Bãlan" Bălan; Portuguese has "põe", "São", "irmã". "Dvoøák" is Dvořák.
    re.compile(rb"(?:\xf5|\xd5)(?![eE\xee])" + _LETTER),
    re.compile(rb"\xe3[bcdfghjklmnpqrtvwxz]"),
    re.compile(
        rb"\xf8%b[\xe1\xe8\xec\xed\xf2\xfd]|[\xe1\xe8\xec\xed\xf2\xfd]%b\xf8"
        % ((_REST_OF_WORD,) * 2)
    ),
    # "žákù" is žáků, "mìsíc" měsíc in Windows-1250: Western words have no two such accents.
    re.compile(
        rb"[\xec\xf2\xf9]%b[\xe1\xed\xfd\x9a\x9e]|[\xe1\xed\xfd\x9a\x9e]%b[\xec\xf2\xf9]"
        % ((_REST_OF_WORD,) * 2)
    ),
    # Capitals inside of words: "FrŸhstŸck" is Frühstück, "CafŽ" Café in Mac OS Roman.
    re.compile(rb"[a-z][\x8a\x8e\x9f]|%b[\x8a\x8e\x9f][a-z]" % _LETTER),
    # Marks inside of words: "K”ln" is Köln in code page 850, "ƒJƒi" カナ in Shift_JIS.
    re.compile(_LETTER + rb"[\x82\x84\x8b\x91\x93\x94\x9b]" + _LETTER),
    re.compile(_LETTER + rb"[\x83\x88\x89\x98]|\x83" + _LETTER),
)
# "Þen" is Şen in Windows-1254: these letters are Turkish there, and Icelandic in Windows-1252,
# whose words have others of its own.
_TURKISH_OR_ICELANDIC = re.compile(rb"[\xd0\xdd\xde\xf0\xfd\xfe]")
_ICELANDIC = re.compile(rb"[\xc1\xc6\xc9\xcd\xd3\xda\xe1\xe6\xe9\xed\xf3\xfa]")
_CP1252_UNDEFINED = frozenset(b"\x81\x8d\x8f\x90\x9d")
_LINES_FOR_ONE_DAMAGED = 1_000
"""One bad line in this many is damage to a UTF-8 file; more of them are another encoding."""
_CHARACTERS_THAT_DECIDE = 200
"""So many more valid sequences of UTF-8 than bytes that are none, and the rest is not looked at."""
_SAMPLE_LINES, _SAMPLE_BYTES = 50, 4_096
_SHOWN_CHARACTERS = 100
_ASCII = bytes(range(128))


def detect_encoding(file: BinaryIO, options: Mapping[str, Any]) -> str:
    """The encoding of a file, as the name of Python's codec.

    A byte order mark decides (https://encoding.spec.whatwg.org/#decode), else `metaData.encoding`,
    else the file. Text that is valid UTF-8 is UTF-8, also with some damage: a bad line in a
    thousand, or no more bad bytes than characters. Other text is Windows-1252 if nothing speaks
    against it: no valid sequence of UTF-8, no byte that Windows-1252 lacks, no word that makes none
    in a Western language. May read the whole file; leaves it at its beginning. Raises BadInput, and
    EncodingUnknown if the file leaves it open.
    """
    head = file.read(_UTF16_SAMPLE_BYTES)
    file.seek(0)
    label = options.get("encoding") or ""
    stated = _encoding_by_label(label)
    marked = _encoding_by_mark(head)
    if marked is not None:
        return marked
    visible = _utf16_by_zero_bytes(head)
    # The label UTF-16 leaves the order of bytes open; the text shows it (RFC 2781, section 4.3).
    if (str(label).strip().lower(), visible) == ("utf-16", "utf-16-be"):
        return "utf-16-be"
    return stated or visible or _utf8_or_cp1252(file)


def _encoding_by_mark(head: bytes) -> str | None:
    matches = (name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark))
    return next(matches, None)


def _encoding_by_label(label: Any) -> str | None:
    """The encoding that the caller states; None for "". Raises BadInput for an unknown one."""
    encoding = find_codec(str(label))
    if encoding is None and label:
        raise BadInput(
            f"metaData.encoding {label!r} is not known; "
            f"it can be {', '.join(ENCODING_NAMES.values())}"
        )
    return encoding


def _utf16_by_zero_bytes(head: bytes) -> str | None:
    """UTF-16 without a mark: text in Latin letters has a zero in every other byte."""
    zeros_of_a_text = _UTF16_ZERO_SHARE * (len(head) // 2)
    if not zeros_of_a_text:
        return None
    if head[1::2].count(0) > zeros_of_a_text:
        return "utf-16-le"
    if head[0::2].count(0) > zeros_of_a_text:
        return "utf-16-be"
    return None


def _utf8_or_cp1252(file: BinaryIO) -> str:
    """Raises EncodingUnknown if it is neither of them, or nobody can know."""
    signs = _Signs()
    try:
        for number, line in _lines_without_folds(byte_lines(read_chunks(file))):
            if not line.isascii():
                signs.add(number, line)
            if signs.characters - signs.bad_bytes >= _CHARACTERS_THAT_DECIDE:
                return "utf-8"
            signs.lines = number
    finally:
        file.seek(0)
    return signs.decide()


def _lines_without_folds(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines and their numbers. A line that is folded in a character is one with the next.

    Calendars fold lines at a number of bytes (RFC 5545, section 3.1).
    """
    first, held = 0, b""
    for number, line in enumerate(lines, 1):
        if held and _REST_OF_CHARACTER.match(line):
            held = held.rstrip(b"\r\n") + line[1:]
        else:
            if held:
                yield first, held
            first, held = number, line
        if not _CUT_CHARACTER.search(held):
            yield first, held
            held = b""
    if held:
        yield first, held


@dataclass(slots=True)
class _Signs:
    """What the lines of a text show of its encoding."""

    lines: int = 0
    bad_lines: int = 0
    characters: int = 0
    """Valid sequences of UTF-8."""
    bad_bytes: int = 0
    is_western: bool = True
    """Whether nothing speaks against Windows-1252."""
    first: tuple[int, bytes] | None = None
    sample: list[bytes] = field(default_factory=list)
    """Some lines that are not UTF-8, as far as they are short."""

    def add(self, number: int, line: bytes) -> None:
        """Note a line that is not ASCII."""
        rest, characters = _UTF8_SEQUENCE.subn(b"", line)
        self.characters += characters
        self.is_western = self.is_western and not _speaks_against_cp1252(line)
        if rest.isascii():
            return
        self.bad_lines += 1
        self.bad_bytes += len(rest.translate(None, _ASCII))
        self.first = self.first or (number, line[:_SAMPLE_BYTES])
        if len(self.sample) < _SAMPLE_LINES and len(line) <= _SAMPLE_BYTES:
            self.sample.append(line)

    def decide(self) -> str:
        """The encoding. Raises EncodingUnknown."""
        if self.first is None or self.characters >= self.bad_bytes:
            return "utf-8"
        if self.bad_lines * _LINES_FOR_ONE_DAMAGED <= self.lines:
            return "utf-8"
        if self.is_western:
            return "cp1252"
        raise EncodingUnknown(*self.first, rank_encodings(self.sample or [self.first[1]]))


class EncodingUnknown(OpenQuestion):
    """The bytes of a text do not show its encoding."""

    def __init__(self, number: int, line: bytes, choices: Sequence[Choice]) -> None:
        readings = ", ".join(f"{one.value} reads {one.shown!r}" for one in choices) or "none fits"
        text = line.decode("ascii", "backslashreplace").strip()[:_SHOWN_CHARACTERS]
        super().__init__(
            Question(
                "encoding",
                f"line {number} is neither in UTF-8 nor clearly in Windows-1252 ({readings}); set "
                "metaData.encoding to the one that reads it right, or save the file as UTF-8",
                choices,
                Example(None, None, text),
            )
        )


def _speaks_against_cp1252(line: bytes) -> bool:
    has_undefined_byte = not _CP1252_UNDEFINED.isdisjoint(line)
    is_turkish = _TURKISH_OR_ICELANDIC.search(line) and not _ICELANDIC.search(line)
    return has_undefined_byte or bool(is_turkish) or any(one.search(line) for one in _NOT_WESTERN)
