"""The text of a file: its bytes as lines or pieces of UTF-8, in whatever encoding it was saved."""

import codecs
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import IO, BinaryIO

from openbulk.formats.encodings import DAMAGE, ENCODING_NAMES

CHUNK_BYTES = 256 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
_LINE_ENDS = (b"\n", b"\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_SPOKEN_NAMES = {**ENCODING_NAMES, "utf-8": "UTF-8", "cp1252": "Windows-1252"}


class CutLine(bytes):
    """The beginning of a line that is longer than MAX_LINE_BYTES; its rest is skipped."""


def text_lines(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    """The lines of a file with their ends, in UTF-8.

    A line with bytes that the encoding lacks is not valid UTF-8; `describe_damage` says why.
    """
    return byte_lines(_utf8_chunks(file, encoding))


def text_chunks(file: BinaryIO, encoding: str) -> Iterator[str]:
    """The text of a file, in pieces. An undecodable byte is a lone surrogate (PEP 383)."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in _utf8_chunks(file, encoding):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def describe_damage(line: bytes, error: UnicodeDecodeError, encoding: str) -> str:
    """A sentence on a line of `text_lines` that is not valid UTF-8, with the place and a remedy."""
    place = f"at position {len(line[: error.start].decode()) + 1} of the line"
    if encoding.startswith("utf-16"):
        return f"half a character is {place}; save the file as UTF-8"
    return (
        f"byte 0x{line[error.start]:02X} {place} is not {_SPOKEN_NAMES[encoding]}; "
        "save the file as UTF-8, or name its encoding in metaData.encoding"
    )


# --- bytes in any encoding to bytes in UTF-8 ---


def read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a file, from its current position to its end."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _utf8_chunks(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    """A file in UTF-8 without its byte order mark. Bytes that cannot be decoded stay invalid."""
    transcode = _TRANSCODERS.get(encoding, partial(_transcode, encoding))
    chunks = transcode(read_chunks(file))
    yield next(chunks, b"").removeprefix(codecs.BOM_UTF8)
    yield from chunks


def _transcode(encoding: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A byte that the encoding lacks comes out as itself, which no UTF-8 has in that place."""
    decoder = codecs.getincrementaldecoder(encoding)(DAMAGE)
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")


def _transcode_utf16(encoding: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Half a surrogate pair becomes three bytes that UTF-8 does not allow."""
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"  # half a character at the end of the file


_TRANSCODERS: Mapping[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "utf-8": iter,
    "utf-16-le": partial(_transcode_utf16, "utf-16-le"),
    "utf-16-be": partial(_transcode_utf16, "utf-16-be"),
}
"""Encodings with a way of their own."""


# --- chunks to lines ---


def byte_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends: CRLF or LF, also mixed. One that is too long is a CutLine.

    A CR alone ends a line only in a file whose first line ends so.
    """
    unfinished = _UnfinishedLine()
    first_end: bytes | None = None
    for chunk in _chunks_with_whole_line_ends(chunks):
        first_end = first_end or _first_line_end(chunk)
        # Files of BytesIO have lines that end in LF alone.
        is_cr = first_end == b"\r"
        lines = chunk.splitlines(keepends=True) if is_cr else io.BytesIO(chunk).readlines()
        rest = b"" if lines[-1].endswith(_LINE_ENDS if is_cr else b"\n") else lines.pop()
        if lines:
            unfinished.extend(lines[0])
            yield unfinished.take()
            yield from lines[1:]
        unfinished.extend(rest)
    if last := unfinished.take():
        yield last


def _first_line_end(chunk: bytes) -> bytes | None:
    match = _LINE_END.search(chunk)
    return match and match[0]


class _UnfinishedLine:
    """A line whose end is in a later chunk. Holds no more than MAX_LINE_BYTES of it."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._kind: type[bytes] = bytes

    def extend(self, piece: bytes) -> None:
        """Add what the next chunk has of the line."""
        self._held += piece
        if len(self._held) > MAX_LINE_BYTES:
            del self._held[MAX_LINE_BYTES:]
            self._kind = CutLine

    def take(self) -> bytes:
        """The line; the next one is empty."""
        line = self._kind(self._held)
        self._held.clear()
        self._kind = bytes
        return line


def _chunks_with_whole_line_ends(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, cut so that no CRLF spans two of them. No chunk is empty."""
    held = b""
    for chunk in chunks:
        joined = held + chunk
        ready = joined.removesuffix(b"\r")
        held = joined[len(ready) :]
        if ready:
            yield ready
    if held:
        yield held
