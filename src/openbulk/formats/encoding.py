"""From a file's bytes to lines, whatever encoding and line ends it was saved with."""

import codecs
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput

CHUNK_BYTES = 256 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
_UTF16_SAMPLE = 1024
_CP1252_UNDEFINED = frozenset(b"\x81\x8d\x8f\x90\x9d")
_BAD_LINES_OF_A_WRONG_GUESS = 1_000
"""One bad line in this many is a damaged UTF-8 file; more than that, and the file is in another encoding."""
_NAMES = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-8-sig": "utf-8",
    "utf-16": "utf-16-le",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-1": "cp1252",
    "ascii": "utf-8",
    "us-ascii": "utf-8",
}
"""As the web does, Latin-1 is read as Windows-1252 (https://encoding.spec.whatwg.org/#names-and-labels)."""


class CutLine(bytes):
    """The beginning of a line that is longer than `MAX_LINE_BYTES`; the rest of it was skipped."""


def encoding_of(file: BinaryIO, options: Mapping[str, Any]) -> str:
    """The encoding of a file: as `metaData.encoding` says, else by looking at all of it.

    A byte order mark decides. Without one, a file that is UTF-8 is UTF-8. One that is not, is Windows-1252 where
    nothing speaks against it: no valid sequence of UTF-8, no byte that Windows-1252 lacks, and more than one bad
    line in a thousand. Otherwise it is UTF-8 with damaged lines. Leaves the file at its beginning.
    """
    if told := options.get("encoding"):
        try:
            return _NAMES[str(told).lower()]
        except KeyError as error:
            raise BadInput(
                f"metaData.encoding {told!r} is not known; it can be utf-8, utf-16, utf-16be, windows-1252"
            ) from error
    head = file.read(_UTF16_SAMPLE)
    file.seek(0)
    return _by_mark(head) or _utf16_without_mark(head) or _utf8_or_cp1252(file)


def _by_mark(head: bytes) -> str | None:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(mark):
            return name
    return None


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
            if _is_utf8(line) or not _CP1252_UNDEFINED.isdisjoint(line):
                return "utf-8"
            bad += 1
        return "cp1252" if bad * _BAD_LINES_OF_A_WRONG_GUESS > count else "utf-8"
    finally:
        file.seek(0)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def text_lines(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    """The lines of a file with their ends, in UTF-8. What the encoding lacks is not valid UTF-8 in them either."""
    return byte_lines(_utf8_chunks(file, encoding))


def _utf8_chunks(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    """A file's bytes, turned into UTF-8 where they are not, without a byte order mark."""
    chunks = _chunks(file)
    if encoding.startswith("utf-16"):
        chunks = _utf8_of_utf16(chunks, encoding)
    elif encoding == "cp1252":
        chunks = (chunk.decode("cp1252", "surrogateescape").encode("utf-8", "surrogateescape") for chunk in chunks)
    return _without_mark(chunks)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _without_mark(chunks: Iterable[bytes]) -> Iterator[bytes]:
    first = True
    for chunk in chunks:
        yield chunk.removeprefix(codecs.BOM_UTF8) if first else chunk
        first = False


def _utf8_of_utf16(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"  # half a character at the end of the file


def byte_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends: CRLF, LF or a lone CR, also mixed. One that is too long comes as a CutLine."""
    rest = b""
    skipping = False
    for chunk in chunks:
        lines = (rest + chunk).splitlines(keepends=True)
        # The last line may go on in the next chunk; a CR at the very end may be half of a CRLF.
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            if not skipping:
                yield line
            skipping = False
        if len(rest) > MAX_LINE_BYTES:
            if not skipping:
                yield CutLine(rest[:MAX_LINE_BYTES])
            rest, skipping = b"", True
    if rest and not skipping:
        yield rest


class Utf8File(io.RawIOBase):
    """A file as UTF-8 without a byte order mark, for readers that know nothing else."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._chunks = _utf8_chunks(file, encoding)
        self._left = b""

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the next bytes."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
