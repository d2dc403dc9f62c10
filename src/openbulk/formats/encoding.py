"""From a file's bytes to UTF-8, whatever encoding and line ends it was saved with."""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput

CHUNK_BYTES = 256 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
_LINE_ENDS = (b"\n", b"\r")
_UTF16_SAMPLE = 1024
_CP1252_UNDEFINED = frozenset(b"\x81\x8d\x8f\x90\x9d")
_BAD_LINES_OF_A_WRONG_GUESS = 1_000
"""One bad line in this many is a damaged UTF-8 file; more than that, and the file is in another encoding."""
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NAMES = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-8-sig": "utf-8",
    "utf-16": "utf-16-le",
    "utf-16le": "utf-16-le",
    "utf-16-le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-16-be": "utf-16-be",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-1": "cp1252",
    "ascii": "utf-8",
    "us-ascii": "utf-8",
}
"""As the web does, Latin-1 is read as Windows-1252 (https://encoding.spec.whatwg.org/#names-and-labels)."""
_SPOKEN = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp1252": "Windows-1252"}


class CutLine(bytes):
    """The beginning of a line that is longer than `MAX_LINE_BYTES`; the rest of it was skipped."""


def encoding_of(file: BinaryIO, options: Mapping[str, Any]) -> str:
    """The encoding of a file: as `metaData.encoding` says, else by looking at all of it. Raises BadInput.

    A byte order mark decides. Without one, a file that is UTF-8 is UTF-8. One that is not, is Windows-1252 where
    nothing speaks against it: no valid sequence of UTF-8, no byte that Windows-1252 lacks, and more than one bad
    line in a thousand. Otherwise it is UTF-8 with damaged lines. Leaves the file at its beginning.
    """
    head = file.read(_UTF16_SAMPLE)
    file.seek(0)
    seen = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None) or _utf16_without_mark(head)
    told = options.get("encoding")
    return _told(told, seen) if told else seen or _utf8_or_cp1252(file)


def _told(told: Any, seen: str | None) -> str:
    name = _NAMES.get(str(told).lower())
    if name is None:
        raise BadInput(f"metaData.encoding {told!r} is not known; it can be utf-8, utf-16, utf-16be, windows-1252")
    # "UTF-16" alone leaves the order of the bytes to be seen (RFC 2781, section 4.3).
    return seen if seen == "utf-16-be" and str(told).lower() == "utf-16" else name


def _utf16_without_mark(head: bytes) -> str | None:
    """Text in Latin letters has a NUL in every other byte."""
    half = len(head) // 2
    if half and head[1::2].count(0) > 0.8 * half:
        return "utf-16-le"
    if half and head[0::2].count(0) > 0.8 * half:
        return "utf-16-be"
    return None


def _utf8_or_cp1252(file: BinaryIO) -> str:
    try:
        count = bad = 0
        for line in byte_lines(_chunks(file)):
            count += 1
            if line.isascii():
                continue
            if _UTF8_SEQUENCE.search(line) or not _CP1252_UNDEFINED.isdisjoint(line):
                return "utf-8"
            bad += 1
        return "cp1252" if bad * _BAD_LINES_OF_A_WRONG_GUESS > count else "utf-8"
    finally:
        file.seek(0)


def damage(line: bytes, error: UnicodeDecodeError, encoding: str) -> str:
    """What is wrong with a line of `text_lines` that could not be decoded from UTF-8, and what would help."""
    place = f"at position {len(line[: error.start].decode()) + 1} of the line"
    if encoding.startswith("utf-16"):
        return f"half a character stands {place}; save the file as UTF-8"
    name = "Windows-1252" if encoding == "cp1252" else "UTF-8"
    byte = f"byte 0x{line[error.start]:02X}"
    return f"{byte} {place} is not {name}; save the file as UTF-8, or name its encoding in metaData.encoding"


def text_lines(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    """The lines of a file with their ends, in UTF-8. A line whose bytes the encoding lacks is not valid UTF-8."""
    return byte_lines(_utf8_chunks(file, encoding))


def text_chunks(file: BinaryIO, encoding: str) -> Iterator[str]:
    """The text of a file, in pieces. A byte that the encoding lacks comes out as `surrogateescape` has it."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in _utf8_chunks(file, encoding):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _utf8_chunks(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    """A file in UTF-8 without its byte order mark. What cannot be decoded is not valid UTF-8 afterwards either."""
    chunks = _chunks(file)
    if encoding.startswith("utf-16"):
        chunks = _utf8_of_utf16(chunks, encoding)
    elif encoding == "cp1252":
        # A byte that Windows-1252 lacks comes out as itself.
        chunks = (chunk.decode("cp1252", "surrogateescape").encode("utf-8", "surrogateescape") for chunk in chunks)
    yield next(chunks, b"").removeprefix(codecs.BOM_UTF8)
    yield from chunks


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _utf8_of_utf16(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"  # half a character at the end of the file


def byte_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends: CRLF, LF or a lone CR, also mixed. One that is too long comes as a CutLine."""
    begun = bytearray()
    whole: type[bytes] = bytes
    for chunk in _with_whole_line_ends(chunks):
        lines = chunk.splitlines(keepends=True)
        begun += lines[0]
        if len(begun) > MAX_LINE_BYTES:
            del begun[MAX_LINE_BYTES:]
            whole = CutLine
        if not lines[0].endswith(_LINE_ENDS):
            continue
        yield whole(begun)
        begun.clear()
        whole = bytes
        if len(lines) > 1 and not lines[-1].endswith(_LINE_ENDS):
            begun += lines.pop()
        yield from lines[1:]
    if begun:
        yield whole(begun)


def _with_whole_line_ends(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut so that no CRLF is in two chunks; none is empty."""
    held = b""
    for chunk in chunks:
        joined = held + chunk
        held = b"\r" if joined.endswith(b"\r") else b""
        if ready := joined.removesuffix(b"\r"):
            yield ready
    if held:
        yield held
