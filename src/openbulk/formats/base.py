"""The interface through which every file format is read and written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol, runtime_checkable

from openbulk.domain.options import Option
from openbulk.domain.records import Row, RowBatch


class Format(Protocol):
    """A file format. It reads and writes streams: memory use does not grow with the file."""

    name: str
    """As in `metaData.format` and in the status: `csv`."""
    looks_like: str
    """What a file in this format looks like, for a person whose file differs. Half a sentence."""

    @property
    def options(self) -> Sequence[Option]:
        """The keys of `metaData` that `read` reads (`formats/options.py`).

        A file of a format that does not read a key ignores it, and its job says so.
        """

    is_binary: bool
    """Whether a file is not text. Then `recognizes` gets its bytes undecoded."""

    names_are_paths: bool
    """Whether a dot in a name makes a nested field: `start.date`. A table has no other way to nest.

    The names of rows are as the file has them: whether `a.b` is the name of a field is known where
    the object is (`connectors/columns.py`)."""

    def recognizes(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes looks like this format.

        `head` has up to 64 KiB, of text in UTF-8.
        """

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The rows of a file, numbered from 1 without a gap.

        `file` is seekable and at its beginning. `options` is the caller's `metaData`: a
        format reads the keys that it declares in `options`. A record that cannot be read
        is a Row with a problem, and reading continues after it. Raises BadInput if the file as a
        whole cannot be read.
        """

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """A file of these records, piece by piece.

        `records` may be iterated more than once: pass a collection, or an object that starts from
        the beginning each time. `fields` are the columns of a table, in their order; without them
        it has one for each field that a record has. Formats without columns write what a record
        has. Raises BadInput before the first piece if a record cannot be written.
        """


@runtime_checkable
class ReadsBatches(Protocol):
    """A format that reads rows in batches: a table, whose rows have the same columns."""

    def read_batches(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row | RowBatch]:
        """The rows that `Format.read` reads. Those that need a second look are rows of their own.

        Raises BadInput, as `Format.read` does.
        """


def read_batches(
    file_format: Format, file: BinaryIO, options: Mapping[str, Any]
) -> Iterator[Row | RowBatch]:
    """The rows of a file, in batches if its format can."""
    if isinstance(file_format, ReadsBatches):
        return file_format.read_batches(file, options)
    return file_format.read(file, options)
