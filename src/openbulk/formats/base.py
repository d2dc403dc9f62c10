"""The interface that every file format is read and written through."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from openbulk.domain.records import Row


class Format(Protocol):
    """One way of writing records into a file. A stream both ways: memory does not grow with the file."""

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

    def write(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> Iterator[bytes]:
        """A file of these records, piece by piece.

        `records` may be gone through more than once: hand in a collection, or an object that begins anew each time.
        `fields` are the columns of a table, in their order; without them it has one for each field that a record
        has. Formats without columns write what a record has. Raises BadInput before the first piece where a record
        cannot be written.
        """
