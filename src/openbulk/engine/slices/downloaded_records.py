"""Reads the records of a download from its parts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openbulk.domain.errors import NotFound
from openbulk.domain.job import Job
from openbulk.domain.records import Row
from openbulk.engine.slices.external_sort import sorted_file
from openbulk.exact_json import unpack_line
from openbulk.storage.files import FileStore, Part
from openbulk.storage.ledger import Ledger


class Result:
    """The records of a download in their order, starting at record `begin` (counted from 1).

    Each iteration starts at `begin`. It blocks, so iterate in a thread; it holds one part in
    memory. It raises NotFound if the records are no longer kept, and KeyMissing if the key that
    seals them is gone.
    """

    def __init__(self, files: FileStore, file: str, parts: Sequence[Part], begin: int = 1) -> None:
        self._files = files
        self._file = file
        self._parts = parts
        self._begin = begin

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for part in self._parts:
            try:
                lines = self._files.get_now(part.path(self._file)).split(b"\n")
            except FileNotFoundError as error:
                raise NotFound(
                    "the records of this job are not kept any more; start the download again"
                ) from error
            for line in lines[max(0, self._begin - part.first_row) :]:
                yield unpack_line(line)


async def result_of(ledger: Ledger, files: FileStore, job: Job, begin: int = 1) -> Result:
    """The records of a download, starting at record `begin`."""
    file = job.download.file
    if job.download.is_sorted_here:
        file = sorted_file(file)
    return Result(files, file, await ledger.parts_from(job.id, begin), begin)


def as_rows(result: Result) -> Iterator[Row]:
    """The records of a download as the rows of an upload."""
    return (Row(number, values) for number, values in enumerate(result, 1))
