"""Reads the records of a download from its parts."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from openbulk.domain.errors import NotFound
from openbulk.domain.job import Job
from openbulk.domain.records import Row
from openbulk.engine.slices.external_sort import sorted_file
from openbulk.engine.slices.parts import PartReader
from openbulk.exact_json import unpack_lines
from openbulk.storage.files import FileStore, Part
from openbulk.storage.ledger import Ledger

LINES_BYTES = 16 * 1024
"""Records that are unpacked together have at most so many bytes, but for a larger one."""


class Result:
    """The records of a download in their order, starting at record `begin` (counted from 1).

    Each iteration starts at `begin`. It blocks, so iterate in a thread; it holds one part in
    memory. It raises NotFound if the records are no
    longer kept, and KeyMissing if the key that seals them is gone.
    """

    def __init__(self, files: FileStore, file: str, parts: Sequence[Part], begin: int = 1) -> None:
        self._files = files
        self._file = file
        self._parts = parts
        self._begin = begin
        self._reader: PartReader | None = None
        self._place: tuple[Part | None, int] = (None, 0)
        """The part that is read, and the number of its lines before the next one."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return chain.from_iterable(map(unpack_lines, self._lines()))

    def lines(self) -> Iterator[bytes]:
        """The records as `pack_line` has packed them."""
        return chain.from_iterable(self._lines())

    def _lines(self) -> Iterator[Sequence[bytes]]:
        """Several lines at a time."""
        for part in self._parts:
            row = max(0, self._begin - part.first_row)
            while lines := self._next_lines(part, row):
                row += len(lines)
                yield lines

    def release(self) -> None:
        """Hold no part until the next record is wanted: then its part is read again."""
        self._reader, self._place = None, (None, 0)

    def _next_lines(self, part: Part, row: int) -> Sequence[bytes]:
        at_part, at_row = self._place
        if self._reader is None or at_part is not part or at_row != row:
            self._reader = self._open(part)
            self._reader.skip(row)
        lines = self._reader.next_lines(LINES_BYTES)
        self._place = (part, row + len(lines))
        return lines

    def _open(self, part: Part) -> PartReader:
        try:
            return PartReader(self._files.get_now(part.path(self._file)))
        except FileNotFoundError as error:
            raise NotFound(
                "the records of this job are no longer kept; start the download again"
            ) from error


async def result_of(ledger: Ledger, files: FileStore, job: Job, begin: int = 1) -> Result:
    """The records of a download, starting at record `begin`."""
    file = job.download.file
    if job.download.is_sorted_here:
        file = sorted_file(file)
    return Result(files, file, await ledger.parts_from(job.id, begin), begin)


def as_rows(result: Result) -> Iterator[Row]:
    """The records of a download as the rows of an upload."""
    return (Row(number, values) for number, values in enumerate(result, 1))
