"""Files that hold one other file: gzip, and zip archives of one file, whatever their names.

They are unpacked as they are read, within the bounds of `archives`.
"""

import gzip
import io
import tempfile
import zipfile
from typing import BinaryIO, cast

from openbulk.domain.errors import BadInput
from openbulk.formats.archives import open_archive, reading_archive, size_of, unpacked_limit
from openbulk.formats.text import read_chunks

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""An archive begins with its first file, or with its end if it has none."""
_GZIP = b"\x1f\x8b"
_MAGIC_LENGTH = 4
_MAX_NAMED = 10
_TYPE_BYTES = 100
_OTHER_ARCHIVES = {
    "xl/workbook.bin": "a binary Excel workbook (xlsb)",
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a presentation",
    "index/document.iwa": "a document of Apple's Numbers or Pages",
}
"""What a zip archive is that has this file in it."""
_TYPE_FILE = "mimetype"
"""Names the type of an OpenDocument file (OpenDocument 1.3, part 2, section 3.3)."""


def unpack(file: BinaryIO) -> BinaryIO:
    """The file that a file holds, or the file itself if it is not packed; at its beginning.

    A workbook is a zip archive, and stays one. Raises BadInput for an archive of several files, for
    one that is damaged, and while it is read if it is too large.
    """
    inner = _open_packed(file)
    if inner is None:
        return file
    magic = inner.read(_MAGIC_LENGTH)
    inner.seek(0)
    if not magic.startswith((*_ZIP, _GZIP)):
        return inner
    # Only a workbook is an archive inside of another one: it is read from its end.
    if magic.startswith(_GZIP) or _open_packed(copy := _copy_of(inner)) is not None:
        raise BadInput("the file is packed twice; unpack it once")
    return copy


def _open_packed(file: BinaryIO) -> BinaryIO | None:
    magic = file.read(_MAGIC_LENGTH)
    size = size_of(file)
    if magic.startswith(_GZIP):
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file))
        return cast(BinaryIO, _Unpacked(stream, "the gzip file", unpacked_limit(size)))
    if not magic.startswith(_ZIP):
        return None
    archive = open_archive(file)
    entry = _only_file(archive)
    file.seek(0)
    if entry is None:
        return None
    with reading_archive("the zip archive"):
        stream = cast(BinaryIO, archive.open(entry))
    return cast(BinaryIO, _Unpacked(stream, "the zip archive", unpacked_limit(size)))


def _only_file(archive: zipfile.ZipFile) -> zipfile.ZipInfo | None:
    """The only file of an archive; None for a workbook. Raises BadInput for any other archive."""
    names = {name.lower().replace("\\", "/").lstrip("/") for name in archive.namelist()}
    _refuse_documents(archive, names)
    if any(name.startswith("xl/") for name in names):
        return None
    entries = [entry for entry in archive.infolist() if not _is_of_the_system(entry)]
    if len(entries) != 1:
        shown = ", ".join(entry.filename for entry in entries[:_MAX_NAMED]) or "none"
        more = f" and {len(entries) - _MAX_NAMED} more" * (len(entries) > _MAX_NAMED)
        raise BadInput(f"the zip archive has to have one file; it has {shown}{more}")
    return entries[0]


def _refuse_documents(archive: zipfile.ZipFile, names: set[str]) -> None:
    kind = next((kind for name, kind in _OTHER_ARCHIVES.items() if name in names), None)
    if kind is None and _TYPE_FILE in archive.namelist():
        with reading_archive("the file"), archive.open(_TYPE_FILE) as stream:
            media_type = stream.read(_TYPE_BYTES).decode(errors="replace").strip()
        kind = f"an OpenDocument file ({media_type.rpartition('.')[2]})"
    if kind is not None:
        raise BadInput(f"the file is {kind}; save it as xlsx or as CSV and send that")


def _is_of_the_system(entry: zipfile.ZipInfo) -> bool:
    """Whether it is a folder, or one of the files that macOS adds."""
    *folders, name = entry.filename.split("/")
    return entry.is_dir() or "__MACOSX" in folders or name.startswith(".")


def _copy_of(file: BinaryIO) -> BinaryIO:
    copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
    copy.writelines(read_chunks(file))
    copy.seek(0)
    return copy


class _Unpacked(io.BufferedIOBase):
    """The bytes of a packed file. Its beginning can be returned to."""

    def __init__(self, stream: BinaryIO, what: str, limit: int) -> None:
        self._stream = stream
        self._what = what
        self._limit = limit

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """To a position, not from the end."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes. Raises BadInput if they are damaged, or too many."""
        with reading_archive(self._what):
            content = self._stream.read(-1 if size is None else size)
            position = self._stream.tell()
        if position > self._limit:
            raise BadInput(
                f"{self._what} has more than {self._limit:,} bytes when it is unpacked, the most "
                "that "
                "its size allows, so send several files"
            )
        return content

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a position from the beginning."""
        with reading_archive(self._what):
            return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._stream.tell()
