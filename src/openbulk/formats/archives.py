"""Zip archives, opened within bounds: what they unpack to is known before a byte of it is.

The bounds hold against archives that are made to fill memory or disk ("zip bombs").
"""

import gzip
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from openbulk.domain.errors import BadInput

MAX_UNPACKED_BYTES = 4 * 1024 * 1024 * 1024
MAX_RATIO = 200
"""Bytes that a packed byte may stand for, in all that is larger than SMALL_BYTES."""
SMALL_BYTES = 64 * 1024 * 1024
MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
"""Of an archive's list of files, which is held in memory; a file takes about 100."""
_END_SIGNATURE = b"PK\x05\x06"
_END_BYTES = 22 + 65_535
"""The longest end record, with its comment (APPNOTE.TXT, section 4.3.16)."""
_DAMAGES = (
    *(zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error),
    *(EOFError, NotImplementedError, ValueError),
)
"""What reading a damaged archive raises, or one that is packed in an unusual way."""
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Those of workbooks (ECMA-376, part 2, annex B), and of nearly all other archives."""
_ENCRYPTED = 0x1
"""A bit of a file's flags (APPNOTE.TXT, section 4.4.4)."""


def size_of(file: BinaryIO) -> int:
    """The bytes of a file; leaves it at its beginning."""
    size = file.seek(0, 2)
    file.seek(0)
    return size


def unpacked_limit(packed_bytes: int) -> int:
    """How many bytes a packed file of that size may unpack to."""
    return min(MAX_UNPACKED_BYTES, max(SMALL_BYTES, packed_bytes * MAX_RATIO))


def open_archive(file: BinaryIO) -> zipfile.ZipFile:
    """A zip archive that may be unpacked. Raises BadInput for any other, and for any other file."""
    with reading_archive("the zip archive"):
        size = size_of(file)
        _require_short_directory(file, size)
        archive = zipfile.ZipFile(file)
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > unpacked_limit(size):
        raise BadInput(
            f"the file has {unpacked:,} bytes when it is unpacked; "
            f"its size allows {unpacked_limit(size):,}, so send several files"
        )
    if any(entry.compress_type not in _METHODS for entry in archive.infolist()):
        raise BadInput(
            "the zip archive is packed in an unusual way, such as bzip2 or LZMA; "
            "pack its file again with the usual one (deflate)"
        )
    if any(entry.flag_bits & _ENCRYPTED for entry in archive.infolist()):
        raise BadInput("the zip archive has a password; send its file without one")
    return archive


def _require_short_directory(file: BinaryIO, size: int) -> None:
    file.seek(max(0, size - _END_BYTES))
    tail = file.read(_END_BYTES)
    file.seek(0)
    end = tail[tail.rfind(_END_SIGNATURE) :]
    # The size of the directory is at byte 12 (APPNOTE.TXT, section 4.3.16).
    if len(end) >= 16 and struct.unpack_from("<L", end, 12)[0] > MAX_DIRECTORY_BYTES:
        raise BadInput("the zip archive has too many files in it; send the one with the records")


@contextmanager
def reading_archive(what: str) -> Iterator[None]:
    """Raises BadInput for what goes wrong in a damaged archive. `what` begins the message."""
    try:
        yield
    except _DAMAGES as error:
        raise BadInput(f"{what} cannot be read ({error}); save or pack it again") from error
