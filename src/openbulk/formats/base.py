"""The interface that every file format is read through."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Protocol

from openbulk.domain.records import Row


class Format(Protocol):
    """One way of writing records into a file. Reads as a stream: memory does not grow with the file."""

    name: str
    """As in `metaData.format` and in the status: `csv`."""
    looks_like: str
    """What a file in this format has to look like, in half a sentence, for a person whose file does not."""

    is_binary: bool
    """Whether a file is no text: then it is handed over as it is, and can only be read as a whole."""

    def recognizes(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes (up to 64 KiB, as UTF-8) looks like this format."""

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The rows of a file, numbered from 1 without a gap.

        `file` is seekable and stands at its beginning; `options` is the caller's `metaData` (a format reads
        the keys that it documents and ignores the rest). What cannot be read becomes a Row with a problem, and
        reading goes on behind it. Raises BadInput where the file as a whole cannot be read.
        """
